// Package page gives every page of the bridge one look and one set of security
// headers: the console, and the ends of the consents.
//
// Pages are whole without JavaScript, load nothing from anywhere, and are never
// cached or framed. The one script that exists submits a form that is on the
// page anyway. Callers render the body with html/template, so that everything
// that came from outside is escaped.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var (
	//go:embed layout.html
	layoutText string
	//go:embed style.css
	style string

	layout = template.Must(template.New("layout").Parse(layoutText))
)

// submit posts the first form of the page once.
const submit = "document.forms[0].submit()"

// Page is what [Render] shows.
type Page struct {
	Title string
	// Body is the content of <main>, already escaped by html/template.
	Body template.HTML
	// Here is the address of the page among the pages that the top leads to, for who is
	// signed in.
	Here string
	// Refused says that what was asked for was not done: the title begins with it, which
	// is what a screen reader says first.
	Refused bool
	// User is who is signed in, shown at the top with a way out. Empty for none.
	User string
	// AutoSubmit posts the first form on the page when scripts are allowed; the
	// form needs a button for everybody else.
	AutoSubmit bool
	// Refresh loads the page again after that time; zero for never.
	Refresh time.Duration
}

// Wanted reports whether a person's browser asks for a page.
func Wanted(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// hash is a CSP source that allows exactly text (CSP Level 3, 2.3.1).
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Security sets the headers of a page on h.
func (p Page) security(h http.Header) {
	var policy strings.Builder
	policy.WriteString("default-src 'none'; style-src " + hash(style) + "; form-action 'self'")
	if p.AutoSubmit {
		policy.WriteString("; script-src " + hash(submit))
	}
	h.Set("Content-Security-Policy", policy.String()+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// Render answers with the page.
func Render(w http.ResponseWriter, status int, p Page) {
	script := ""
	if p.AutoSubmit {
		script = submit
	}
	var body bytes.Buffer
	err := layout.Execute(&body, map[string]any{
		"Title": p.Title, "Body": p.Body, "User": p.User, "Places": places(p.Here), "Refused": p.Refused,
		"Style": template.CSS(style), "Script": template.JS(script),
		"Refresh": int(p.Refresh / time.Second),
	})
	if err != nil { // the layout is parsed at start and takes only strings
		panic(err)
	}
	p.security(w.Header())
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// place is one of the pages that the top leads to.
type place struct {
	Address, Title string
	Here           bool
}

func places(here string) []place {
	all := []place{{Address: "/api/console", Title: "Overview"}, {Address: "/api/console/people", Title: "People"},
		{Address: "/api/console/mapping", Title: "Meaning of presences"}, {Address: "/api/console/check", Title: "Check"}}
	for i := range all {
		all[i].Here = all[i].Address == here
	}
	return all
}

// Parse parses a body template at start, so that a broken one never gets far.
// It knows the function join, for lists.
func Parse(name, text string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{"join": strings.Join, "sentence": Sentence}).Parse(text))
}

// Sentence makes one of a reason such as "the account is disabled"; nothing of none.
func Sentence(reason string) string {
	if reason == "" {
		return ""
	}
	return strings.ToUpper(reason[:1]) + strings.TrimSuffix(reason[1:], ".") + "."
}

// Execute renders a body template for [Page.Body]. It panics when the template
// does not fit its data, which a test of that page finds.
func Execute(t *template.Template, name string, data any) template.HTML {
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, name, data); err != nil {
		panic(err)
	}
	return template.HTML(body.String()) // escaped by the template just executed
}

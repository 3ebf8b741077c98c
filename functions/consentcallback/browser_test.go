package consentcallback_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/access"
)

// browser is one administrator's browser at the bridge. It keeps cookies as
// browsers do: Lax ones do not come with a form from another site.
type browser struct {
	w       *world
	cookies map[string]*http.Cookie
	visited []string // addresses, for the leak scan
	pages   []string
	// language is Accept-Language; empty for none.
	language string
}

func (w *world) browser(administrator string) *browser {
	w.t.Helper()
	b := &browser{w: w, cookies: map[string]*http.Cookie{}}
	b.signIn(administrator)
	return b
}

const sessionCookie = "__Host-ptb-session"

func (b *browser) signIn(administrator string) {
	b.w.t.Helper()
	recorder := httptest.NewRecorder()
	must(b.w.t, b.w.gate.Begin(recorder, httptest.NewRequest(http.MethodPost, public+"/api/console", nil), access.Session{Administrator: administrator, Tenant: b.w.tenant}))
	b.keep(recorder.Result())
}

// keep does with an answer's cookies what browsers do.
func (b *browser) keep(response *http.Response) {
	b.w.t.Helper()
	for _, c := range response.Cookies() {
		if strings.HasPrefix(c.Name, "__Host-") && (!c.Secure || c.Path != "/" || c.Domain != "") {
			b.w.t.Errorf("browsers refuse the cookie %s", c.Name)
		}
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
}

func (b *browser) send(r *http.Request, crossSite bool) *http.Response {
	b.w.t.Helper()
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", b.language)
	if crossSite {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	if !crossSite || r.Method == http.MethodGet {
		for _, c := range b.cookies {
			r.AddCookie(c)
		}
	}
	recorder := httptest.NewRecorder()
	b.w.handler.ServeHTTP(recorder, r)
	response := recorder.Result()
	b.keep(response)
	b.visited = append(b.visited, r.URL.String())
	b.pages = append(b.pages, recorder.Body.String())
	return response
}

func (b *browser) get(path string) *http.Response {
	b.w.t.Helper()
	return b.send(httptest.NewRequest(http.MethodGet, public+path, nil), false)
}

// begin opens a start page and returns where Microsoft is.
func (b *browser) begin(kind string) string {
	b.w.t.Helper()
	response := b.get("/api/consent/" + kind)
	if response.StatusCode != http.StatusSeeOther {
		b.w.t.Fatalf("GET consent/%s = %d %s; want 303", kind, response.StatusCode, b.last())
	}
	return response.Header.Get("Location")
}

func (b *browser) last() string { return b.pages[len(b.pages)-1] }

func post(path string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, public+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

var (
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	action = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
)

// arrive brings the browser back from Microsoft as back says, posts on what is to
// be posted on, and returns the answer to that, before any redirect.
func (b *browser) arrive(back devEntra.Callback) *http.Response {
	b.w.t.Helper()
	if back.Method == http.MethodGet {
		return b.send(httptest.NewRequest(http.MethodGet, back.URL, nil), true)
	}
	first := b.send(post(strings.TrimPrefix(back.URL, public), back.Form), true)
	if first.StatusCode != http.StatusOK {
		return first
	}
	form := url.Values{}
	for _, field := range hidden.FindAllStringSubmatch(b.last(), -1) {
		form.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	to := action.FindStringSubmatch(b.last())
	if to == nil {
		return first
	}
	return b.send(post(to[1], form), false)
}

// land arrives and follows our own redirects to the page that the person sees.
func (b *browser) land(back devEntra.Callback) (int, string) {
	b.w.t.Helper()
	response := b.arrive(back)
	for range 3 {
		to := response.Header.Get("Location")
		if response.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
			break
		}
		response = b.get(to)
	}
	return response.StatusCode, b.last()
}

var asking = regexp.MustCompile(`action="(/api/consent/user/callback[?]trip=[0-9a-f]+)"`)

// answer presses one of the buttons of the page that asks about another account.
func (b *browser) answer(answer, instead string) (int, string) {
	b.w.t.Helper()
	to := asking.FindStringSubmatch(b.last())
	if to == nil {
		b.w.t.Fatalf("the page asks nothing: %s", b.last())
	}
	response := b.send(post(to[1], url.Values{"answer": {answer}, "account": {instead}}), false)
	if response.StatusCode == http.StatusSeeOther {
		response = b.get(response.Header.Get("Location"))
	}
	return response.StatusCode, b.last()
}

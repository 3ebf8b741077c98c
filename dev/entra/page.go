package entra

import (
	"embed"
	"html/template"
	"net/http"
	"slices"
	"time"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	// deed passes a row of the menu, the account that is looked at and the place to
	// come back to.
	"deed": func(row menuRow, account, at string) []any { return []any{row, account, at} },
}).ParseFS(pageFiles, "pages/*.html"))

const attemptLifetime = 15 * time.Minute

// render writes one page; pages never hold more than a few kilobytes.
func render(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.Header().Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, name, data) // the browser went away
}

// keep makes an attempt findable from its pages, and forgets stale ones.
func (s *Simulator) keep(a *attempt) {
	if a.id == "" {
		a.id = guid()
	}
	s.attempts[a.id] = a
	for id, other := range s.attempts {
		if s.now().Sub(other.begun) > attemptLifetime {
			delete(s.attempts, id)
		}
	}
}

type accountData struct {
	Attempt, Tenant, App, Domain, Hint, Fault string
	Users                                     []*user
}

// accountPage lists the tenant's accounts as buttons user-0, user-1 ...
func (s *Simulator) accountPage(w http.ResponseWriter, a *attempt, fault string) {
	s.keep(a)
	render(w, http.StatusOK, "account.html", accountData{
		Attempt: a.id, Tenant: a.app.tenant.ID, App: a.app.Name, Domain: a.app.tenant.Domain,
		Hint: a.hint, Fault: fault, Users: a.app.tenant.present(),
	})
}

type consentData struct {
	Attempt, Tenant, App, Domain string
	User                         *user
	Organization                 bool // the consent is for everyone
	MayTick                      bool // the box "on behalf of your organization" is shown
	Permissions                  []string
	Workflow                     bool
	Number                       int // AADSTS, of the approval page
}

func (s *Simulator) consentData(a *attempt) consentData {
	names := a.scopes.wanted(a.app)
	if a.kind != userConsent && a.scopes.all {
		names = slices.Concat(a.app.Delegated, a.app.Application)
	}
	texts := make([]string, 0, len(names))
	for _, name := range names {
		text := signInText[name]
		if text == "" {
			text = permissions[name].text + " (" + name + ")"
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return consentData{
		Attempt: a.id, Tenant: a.app.tenant.ID, App: a.app.Name, Domain: a.app.tenant.Domain,
		User: a.session.user, Organization: a.kind != userConsent, MayTick: a.kind == userConsent && a.session.user.Admin,
		Permissions: texts, Workflow: a.app.tenant.workflow,
	}
}

var signInText = map[string]string{
	"openid":         "Sign you in",
	"profile":        "View your basic profile",
	"email":          "View your email address",
	"offline_access": "Maintain access to data you have given it access to",
}

func (s *Simulator) consentPage(w http.ResponseWriter, a *attempt) {
	s.keep(a)
	render(w, http.StatusOK, "consent.html", s.consentData(a))
}

// approvalPage is where a person who may not consent is stuck.
func (s *Simulator) approvalPage(w http.ResponseWriter, a *attempt) {
	s.keep(a)
	data := s.consentData(a)
	data.Number = a.approvalNumber()
	render(w, http.StatusOK, "approval.html", data)
}

// approvalNumber is AADSTS of that page.
func (a *attempt) approvalNumber() int {
	workflow := a.app.tenant.workflow
	switch {
	case a.app.risky && workflow:
		return 900981
	case a.app.risky:
		return 900941
	case workflow:
		return 90095
	}
	return 90094
}

// interruptPage is what a person does between choosing an account and being signed
// in: what is "password", "factor" or "register".
func (s *Simulator) interruptPage(w http.ResponseWriter, a *attempt, what string) {
	s.keep(a)
	render(w, http.StatusOK, "interrupt.html", struct {
		Attempt, Tenant, What string
		User                  *user
	}{a.id, a.app.tenant.ID, what, a.picked})
}

type errorData struct {
	Number                         int
	Text, Trace, Correlation, Time string
	SignedIn                       string // UPN
	Attempt, Tenant                string // empty where no account was chosen
}

// errorPage is the end of an attempt without a callback. Who chose an account may
// choose another.
func (s *Simulator) errorPage(w http.ResponseWriter, a *attempt, refused *refusal) {
	data := errorData{
		Number: refused.number, Text: refused.text, Trace: guid(), Correlation: guid(),
		Time: s.now().UTC().Format(timestampLayout),
	}
	if a != nil && a.session != nil {
		s.keep(a)
		data.SignedIn = a.session.user.UPN
	}
	if a != nil && a.id != "" {
		data.Attempt, data.Tenant = a.id, a.app.tenant.ID
	}
	render(w, http.StatusBadRequest, "error.html", data)
}

func (s *Simulator) endPage(w http.ResponseWriter, text string) {
	render(w, http.StatusOK, "end.html", text)
}

// formPostPage posts the callback by itself, or by its button without JavaScript.
func (s *Simulator) formPostPage(w http.ResponseWriter, action string, fields [][2]string) {
	render(w, http.StatusOK, "formpost.html", struct {
		Action string
		Fields [][2]string
	}{action, fields})
}

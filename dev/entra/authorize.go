package entra

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// kind is which consent a person is on the way through.
type kind int

const (
	userConsent kind = iota
	adminConsent
	legacyAdminConsent
)

// attempt is one visit of the pages: from a valid request to the callback.
type attempt struct {
	id          string
	kind        kind
	app         *app
	redirectURI string
	mode        string // query, fragment, form_post
	state       string
	hasState    bool
	scopes      scopes
	nonce       string
	challenge   string
	method      string
	prompt      string
	hint        string
	claims      string
	begun       time.Time
	picked      *user // chosen, not yet signed in
	factored    bool  // gave a second factor
	session     *browserSession
}

// serveAuthorize starts a sign-in with user consent. Until client and redirect URI
// are known to be right every fault is a page: a callback would be an open
// redirector.
func (s *Simulator) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		s.errorPage(w, nil, refuse(9002313, "Invalid request. Request is malformed or invalid."))
		return
	}
	a, refused := s.begin(r, userConsent)
	if refused != nil {
		s.errorPage(w, nil, refused)
		return
	}
	if refused := s.readAuthorize(a, r.Form); refused != nil {
		s.callbackError(w, a, refused)
		return
	}
	s.proceed(w, r, a)
}

// begin checks what all consents share.
func (s *Simulator) begin(r *http.Request, k kind) (*attempt, *refusal) {
	t, refused := s.findTenant(r.PathValue("tenant"))
	if refused != nil {
		return nil, refused
	}
	registered, refused := t.findApp(r.Form.Get("client_id"))
	if refused != nil {
		return nil, refused
	}
	asked := r.Form.Get("redirect_uri")
	redirectURI, found := registered.redirectURI(asked)
	switch {
	case len(registered.RedirectURIs) == 0:
		return nil, refuse(900971, "No reply address provided.")
	case !found:
		return nil, refuse(50011, "The redirect URI '%s' specified in the request does not match the redirect URIs configured for the application '%s'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal.", asked, registered.ClientID)
	}
	a := &attempt{
		kind: k, app: registered, redirectURI: redirectURI, mode: "query",
		state: r.Form.Get("state"), hasState: r.Form.Has("state"), begun: s.now(),
	}
	return a, nil
}

func (s *Simulator) readAuthorize(a *attempt, form url.Values) *refusal {
	if mode := form.Get("response_mode"); mode != "" {
		if !slices.Contains([]string{"query", "fragment", "form_post"}, mode) {
			return refuse(90023, "Unsupported 'response_mode' value.")
		}
		a.mode = mode
	}
	switch kinds := strings.Fields(form.Get("response_type")); {
	case len(kinds) == 0:
		return refuse(900144, "The request body must contain the following parameter: 'response_type'.")
	case slices.Contains(kinds, "id_token"):
		return refuse(700054, "response_type 'id_token' is not enabled for the application.").as("unsupported_response_type")
	case len(kinds) != 1 || kinds[0] != "code":
		return refuse(70005, "response_type '%s' is not supported for the application.", form.Get("response_type")).as("unsupported_response_type")
	}
	if strings.TrimSpace(form.Get("scope")) == "" {
		return refuse(900144, "The request body must contain the following parameter: 'scope'.")
	}
	sc, refused := s.parseScopes(form.Get("scope"), a.app, true)
	if refused != nil {
		return refused
	}
	a.scopes, a.nonce, a.hint, a.prompt = sc, form.Get("nonce"), form.Get("login_hint"), form.Get("prompt")
	if !slices.Contains([]string{"", "login", "none", "consent", "select_account"}, a.prompt) {
		return refuse(90023, "Unsupported 'prompt' value.")
	}
	a.claims = form.Get("claims")
	if a.claims != "" && !json.Valid([]byte(a.claims)) {
		return refuse(50148, "The claims parameter is not valid JSON.")
	}
	a.challenge, a.method = form.Get("code_challenge"), form.Get("code_challenge_method")
	if a.challenge != "" && a.method == "" {
		a.method = "plain"
	}
	if a.challenge != "" && (a.method != "plain" && a.method != "S256" || len(a.challenge) < 43 || len(a.challenge) > 128) {
		return refuse(501491, "Invalid size or method of Code_Challenge parameter.")
	}
	return nil
}

// proceed decides the next page from what is known: account, consent, callback.
func (s *Simulator) proceed(w http.ResponseWriter, r *http.Request, a *attempt) {
	if a.session == nil {
		a.session = s.signedIn(r, a)
	}
	if a.session == nil {
		if a.prompt == "none" {
			s.callbackError(w, a, refuse(50058, "A silent sign-in request was sent but no user is signed in.").as("login_required"))
			return
		}
		s.accountPage(w, a, "")
		return
	}
	u := a.session.user
	if refused := a.refusesSignIn(u); refused != nil {
		if a.prompt == "none" {
			s.callbackError(w, a, refused.as("interaction_required"))
			return
		}
		s.errorPage(w, a, refused)
		return
	}
	if a.kind != userConsent {
		s.proceedAdmin(w, a)
		return
	}
	missing := slices.ContainsFunc(a.scopes.wanted(a.app), func(name string) bool { return !a.app.allows(u, name) })
	switch {
	case !missing && a.prompt != "consent":
		s.callbackCode(w, a)
	case a.prompt == "none":
		s.callbackError(w, a, a.app.notConsented().as("consent_required"))
	case missing && a.needsApproval(u):
		s.approvalPage(w, a)
	default:
		s.consentPage(w, a)
	}
}

// needsApproval reports whether a person may not consent to what is asked.
func (a *attempt) needsApproval(u *user) bool {
	return !u.Admin && (a.app.tenant.consentOff || a.app.risky || a.needsAdmin())
}

func (a *attempt) needsAdmin() bool {
	return slices.ContainsFunc(a.scopes.wanted(a.app), func(name string) bool { return permissions[name].adminOnly })
}

// callbackCode ends a user consent well.
func (s *Simulator) callbackCode(w http.ResponseWriter, a *attempt) {
	if s.switches.suppressCallback {
		s.endPage(w, "You are signed in. You can close this page.")
		return
	}
	code := s.secret("1.AX", 8)
	u := a.session.user
	s.codes[code] = &codeGrant{
		refreshGrant: refreshGrant{
			app: a.app, user: u, scopes: a.scopes, issued: s.now(),
			revocations: a.session.revocations, demands: a.session.demands, claims: a.claims,
		},
		redirectURI: a.redirectURI, challenge: a.challenge, method: a.method, nonce: a.nonce,
	}
	s.callback(w, a, [][2]string{{"code", code}, {"session_state", guid()}})
}

// callbackError ends a consent at the app with an error. Admin consent says
// admin_consent=True in errors too, and names no tenant.
func (s *Simulator) callbackError(w http.ResponseWriter, a *attempt, refused *refusal) {
	description := refused.text
	fields := [][2]string{{"error", refused.word}}
	if refused.number != 0 {
		description = refused.description(s.now(), "\r\n", guid(), guid())
	}
	fields = append(fields, [2]string{"error_description", description})
	if refused.number != 0 {
		fields = append(fields, [2]string{"error_uri", refused.uri()})
	}
	if refused.suberror != "" && a.kind == userConsent {
		fields = append(fields, [2]string{"error_subcode", refused.suberror})
	}
	if a.kind == adminConsent {
		fields = append(fields, [2]string{"admin_consent", "True"})
	}
	s.callback(w, a, fields)
}

// callback sends the browser back, with state exactly as it came.
func (s *Simulator) callback(w http.ResponseWriter, a *attempt, fields [][2]string) {
	delete(s.attempts, a.id)
	if a.hasState {
		fields = append(fields, [2]string{"state", a.state})
	}
	if a.mode == "form_post" {
		s.formPostPage(w, a.redirectURI, fields)
		return
	}
	var encoded []string
	for _, f := range fields {
		encoded = append(encoded, url.QueryEscape(f[0])+"="+url.QueryEscape(f[1]))
	}
	target := a.redirectURI
	if u, err := url.Parse(target); err == nil && u.Path == "" {
		target = strings.Replace(target, u.Host, u.Host+"/", 1) // a URI without path comes back with a slash
	}
	switch {
	case a.mode == "fragment":
		target += "#"
	case strings.Contains(target, "?"):
		target += "&"
	default:
		target += "?"
	}
	w.Header().Set("Location", target+strings.Join(encoded, "&"))
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.WriteHeader(http.StatusFound)
}

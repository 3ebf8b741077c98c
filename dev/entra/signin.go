package entra

import (
	"net/http"
	"strings"
)

// sessionCookie is the simulator's own: cookies of one host are shared by all
// ports.
const sessionCookie = "ESTSSIMULATOR"

// browserSession is a person who signed in here and may return without picking an
// account again.
type browserSession struct {
	user                 *user
	revocations, demands int
}

// signedIn finds a session that still counts and fits the request.
func (s *Simulator) signedIn(r *http.Request, a *attempt) *browserSession {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || a.prompt == "login" || a.prompt == "select_account" {
		return nil
	}
	session := s.sessions[cookie.Value]
	if session == nil || session.user.tenant != a.app.tenant || !session.user.removedAt.IsZero() {
		return nil
	}
	u := session.user
	if session.revocations != u.revocations || session.demands != u.demands || u.password != passwordGood {
		return nil
	}
	if a.hint != "" && !strings.EqualFold(a.hint, u.UPN) {
		return nil
	}
	return session
}

// attemptOf finds the attempt that a form belongs to, nil when it is over.
func (s *Simulator) attemptOf(r *http.Request) *attempt {
	a := s.attempts[r.FormValue("attempt")]
	if a == nil || a.app.tenant != s.tenant(r.PathValue("tenant")) {
		return nil
	}
	return a
}

// serveAccount takes the choice of an account, by button or by name.
func (s *Simulator) serveAccount(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.attemptOf(r)
	if a == nil {
		s.errorPage(w, nil, refuse(50089, "Authentication failed due to flow token expired."))
		return
	}
	if r.FormValue("cancel") != "" {
		s.callbackError(w, a, a.cancelled(s))
		return
	}
	if r.FormValue("another") != "" {
		a.session = nil
		s.accountPage(w, a, "")
		return
	}
	oid, name := r.FormValue("user"), strings.TrimSpace(r.FormValue("name"))
	var picked *user
	for _, t := range s.tenants {
		for _, u := range t.present() {
			if oid != "" && u.ObjectID == oid || oid == "" && strings.EqualFold(u.UPN, name) {
				picked = u
			}
		}
	}
	switch {
	case picked == nil:
		s.accountPage(w, a, "We couldn't find an account with that username. (AADSTS50034)")
		return
	case picked.tenant != a.app.tenant:
		s.errorPage(w, a, refuse(50020, "User account '%s' from identity provider 'https://sts.windows.net/%s/' does not exist in tenant '%s' and cannot access the application '%s'(%s) in that tenant. The account needs to be added as an external user in the tenant first.", picked.UPN, picked.tenant.ID, a.app.tenant.ID, a.app.ClientID, a.app.Name))
		return
	}
	a.picked, a.factored = picked, false
	s.identify(w, r, a)
}

// identify signs the chosen account in, after what stands between.
func (s *Simulator) identify(w http.ResponseWriter, r *http.Request, a *attempt) {
	picked := a.picked
	if what := a.interrupted(picked); what != "" {
		s.interruptPage(w, a, what)
		return
	}
	// Whoever signs in now meets every demand made so far.
	a.session = &browserSession{user: picked, revocations: picked.revocations, demands: picked.demands}
	id := s.secret("", 2)
	s.sessions[id] = a.session
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	s.proceed(w, r, a)
}

// cancelled is what the app hears when a person turns back on the sign-in page.
func (a *attempt) cancelled(s *Simulator) *refusal {
	if a.kind == legacyAdminConsent {
		return &refusal{word: s.switches.legacyCancel, text: "The admin canceled the request"}
	}
	return &refusal{word: "access_denied", text: "the user canceled the authentication"}
}

// serveConsent takes the answer of a consent page.
func (s *Simulator) serveConsent(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.attemptOf(r)
	if a == nil || a.session == nil {
		s.errorPage(w, nil, refuse(50089, "Authentication failed due to flow token expired."))
		return
	}
	u, answer := a.session.user, r.FormValue("answer")
	if s.switches.declineNext {
		s.switches.declineNext, answer = false, "decline"
	}
	switch {
	case answer == "request":
		a.app.provision()
		a.app.asked[u.ObjectID] = a.scopes.wanted(a.app)
		s.endPage(w, "Request sent. An administrator will review it (AADSTS90095); you will get an e-mail. Then open the app again.")
	case answer == "return":
		// INFER: the error of "return to the application without granting consent".
		s.callbackError(w, a, refuse(a.approvalNumber(), "An administrator must grant consent.").as("access_denied"))
	case answer != "accept" && a.kind == legacyAdminConsent:
		s.callbackError(w, a, a.cancelled(s))
	case answer != "accept":
		s.callbackError(w, a, refuse(65004, "User declined to consent to access the app.").as("access_denied").sub("cancel"))
	case a.kind != userConsent && u.Admin:
		s.grantAdmin(a)
		s.callbackAdmin(w, a)
	case a.kind != userConsent, a.needsApproval(u):
		s.approvalPage(w, a)
	default:
		oid := u.ObjectID
		if u.Admin && r.FormValue("organization") != "" {
			oid = ""
		}
		a.app.grantDelegated(oid, a.scopes.wanted(a.app))
		s.callbackCode(w, a)
	}
}

// serveLogout forgets who is signed in to the browser. Refresh tokens live on.
func (s *Simulator) serveLogout(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		delete(s.sessions, cookie.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1})
	s.endPage(w, "You signed out of your account.")
}

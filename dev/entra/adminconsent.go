package entra

import (
	"net/http"
	"slices"
	"strings"
)

// serveAdminConsent is /v2.0/adminconsent. {resource}/.default consents to all
// registered permissions of both kinds, names to delegated ones only.
func (s *Simulator) serveAdminConsent(w http.ResponseWriter, r *http.Request) {
	s.startAdminConsent(w, r, adminConsent)
}

// serveLegacyAdminConsent is /adminconsent: without scope, all registered
// permissions.
func (s *Simulator) serveLegacyAdminConsent(w http.ResponseWriter, r *http.Request) {
	s.startAdminConsent(w, r, legacyAdminConsent)
}

func (s *Simulator) startAdminConsent(w http.ResponseWriter, r *http.Request, k kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		s.errorPage(w, nil, refuse(9002313, "Invalid request. Request is malformed or invalid."))
		return
	}
	if r.PathValue("tenant") == "common" && k == adminConsent {
		s.errorPage(w, nil, refuse(900144, "The request body must contain the following parameter: 'response_type'."))
		return
	}
	a, refused := s.begin(r, k)
	if refused != nil {
		s.errorPage(w, nil, refused)
		return
	}
	text := r.Form.Get("scope")
	switch {
	case k == adminConsent && r.Form.Get("redirect_uri") == "":
		refused = refuse(900144, "The request body must contain the following parameter: 'redirect_uri'.")
	case k == adminConsent && text == "":
		refused = refuse(900144, "The request body must contain the following parameter: 'scope'.")
	case k == adminConsent:
		a.scopes, refused = s.parseScopes(text, a.app, true)
	default:
		a.scopes = scopes{resource: s.graph, all: true}
	}
	if refused == nil && a.scopes.all && len(a.app.Delegated)+len(a.app.Application) == 0 {
		refused = refuse(650056, "Misconfigured application. This could be due to one of the following: the client has not listed any permissions for Graph in the requested permissions in the client's application registration.")
	}
	if refused != nil {
		s.errorPage(w, a, refused)
		return
	}
	s.proceed(w, r, a)
}

// proceedAdmin shows the consent to whoever may give it. Anyone else is stuck on a
// page, without a callback.
func (s *Simulator) proceedAdmin(w http.ResponseWriter, a *attempt) {
	if !a.session.user.Admin {
		s.errorPage(w, a, refuse(90094, "An administrator of %s has set a policy that prevents you from granting %s the permissions it is requesting. Contact an administrator, who can grant permissions to this app on your behalf.", a.app.tenant.Domain, a.app.Name))
		return
	}
	s.consentPage(w, a)
}

// grantAdmin replaces what was granted tenant-wide by what is registered now.
func (s *Simulator) grantAdmin(a *attempt) {
	clear(a.app.everyone)
	if !a.scopes.all {
		a.app.grantDelegated("", a.scopes.named)
		return
	}
	a.app.grantDelegated("", a.app.Delegated)
	for name := range a.app.roles {
		if !slices.Contains(a.app.Application, name) {
			delete(a.app.roles, name)
		}
	}
	for _, name := range a.app.Application {
		s.grantRole(a.app, name)
	}
}

// callbackAdmin ends an admin consent: a claim without any proof.
func (s *Simulator) callbackAdmin(w http.ResponseWriter, a *attempt) {
	switch {
	case s.switches.suppressCallback:
		s.endPage(w, "The permissions were granted. You can close this page.")
	case a.kind == legacyAdminConsent:
		s.callback(w, a, [][2]string{{"tenant", a.app.tenant.ID}, {"admin_consent", "True"}})
	default:
		s.callback(w, a, [][2]string{
			{"admin_consent", "True"}, {"tenant", a.app.tenant.ID}, {"scope", strings.Join(strings.Fields(a.scopes.text), " ")},
		})
	}
}

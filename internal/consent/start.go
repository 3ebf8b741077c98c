package consent

import (
	"crypto/rand"
	"net/http"
	"strings"
)

// prefetched reports whether a browser fetches the page ahead, without a person
// having asked for it (Fetch: Sec-Purpose; the others are its predecessors).
func prefetched(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.Contains(strings.ToLower(r.Header.Get(name)), "prefetch") {
			return true
		}
	}
	return false
}

// ignorePrefetch answers a fetch ahead with nothing at all.
func ignorePrefetch(w http.ResponseWriter, r *http.Request) bool {
	if !prefetched(r) {
		return false
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// Start sends an administrator's browser to Microsoft. It stands behind the gate
// for administrators.
func (s *Service) Start(w http.ResponseWriter, r *http.Request, kind Kind) {
	if ignorePrefetch(w, r) {
		return
	}
	if r.Method != http.MethodGet {
		notAllowed(w, "GET")
		return
	}
	if s.Administrator(r.Context()) == "" {
		s.show(w, http.StatusForbidden, message{Title: "Sign in first", Text: "Only an administrator of the bridge can start a consent."})
		return
	}
	account := r.URL.Query().Get("account") // whose sign-in is renewed
	renewed := Grant{}
	if account != "" && kind == User {
		var known bool
		if renewed, known = s.known(w, r, account); !known {
			return
		}
	}
	begun := trip{Kind: string(kind), Account: renewed.Account.ObjectID}
	begun.Another = kind == User && account == "" && another(r)
	s.start(w, r, begun, func(app App, t trip, state string) (string, error) {
		if kind == Admin {
			return s.Addresses.AdminConsentURL(r.Context(), app, s.RedirectURI(kind), state)
		}
		leg := t.leg(ReadPresence, s.RedirectURI(kind), state)
		leg.Hint = renewed.Account.UPN
		leg.Claims = s.challenge(r, app, renewed)
		return s.Addresses.AuthorizeURL(r.Context(), app, leg)
	})
}

// another reports whether the button was pressed that connects another person. A link
// on another site does not press it (Fetch Metadata: Sec-Fetch-Site).
func another(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return false
	}
	return r.URL.Query().Get("another") == "1"
}

// challenge is what Entra wants a new sign-in to carry: told to the attempt that this
// one follows (?after=), or when the grant that is renewed was refused.
func (s *Service) challenge(r *http.Request, app App, renewed Grant) string {
	after := r.URL.Query().Get("after")
	if !isTripID(after) {
		return renewed.Claims
	}
	flow, found, err := s.Flows.Flow(r.Context(), app.Tenant, after)
	if err != nil || !found || !same(flow.Administrator, pseudonym(s.Administrator(r.Context()))) {
		return renewed.Claims // without them Entra refuses once more, and says so
	}
	return flow.Claims
}

// known returns the grant of an account. Otherwise it has answered.
func (s *Service) known(w http.ResponseWriter, r *http.Request, account string) (Grant, bool) {
	app, err := s.app(r.Context())
	if err != nil {
		s.fail(w, r, "renew the user consent", err)
		return Grant{}, false
	}
	grant, found, err := s.find(r.Context(), app.Tenant, User, account)
	if err != nil {
		s.fail(w, r, "renew the user consent", err)
		return Grant{}, false
	}
	if !found {
		s.show(w, http.StatusNotFound, message{Title: "This account is not known here", Text: "No consent of it is stored, so there is nothing to renew.", Step: "Connect it as another person instead: open the user consent on the bridge's page."})
	}
	return grant, found
}

// what is the trip in words.
func (t trip) what() string {
	if t.Kind == string(SignIn) {
		return "the sign-in"
	}
	return "the " + t.Kind + " consent"
}

// start sends the browser on a trip, of which t says the kind and what it is for.
func (s *Service) start(w http.ResponseWriter, r *http.Request, t trip, address func(App, trip, string) (string, error)) {
	limit := s.starts
	if t.Kind == string(SignIn) {
		limit = s.signIns
	}
	if !limit.AllowN(s.Now(), 1) {
		w.Header().Set("Retry-After", "10")
		s.show(w, http.StatusTooManyRequests, message{Title: "Too many attempts", Text: "Wait ten seconds, then start again."})
		return
	}
	app, err := s.app(r.Context())
	if err != nil {
		s.fail(w, r, "start "+t.what(), err)
		return
	}
	to, err := s.begin(w, r, app, t, address)
	if err != nil {
		s.fail(w, r, "start "+t.what(), err)
		return
	}
	secure(w, "")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// begin returns the address at which a trip begins, and sets its cookie.
func (s *Service) begin(w http.ResponseWriter, r *http.Request, app App, t trip, address func(App, trip, string) (string, error)) (string, error) {
	state := newState()
	t.ID, t.Tenant, t.ClientID = tripID(state), app.Tenant, app.ClientID
	t.Administrator, t.Began = pseudonym(s.Administrator(r.Context())), s.now()
	if t.Kind != string(Admin) {
		// 52 letters and digits each, within the 43 to 128 of RFC 7636.
		t.Verifier, t.Nonce = newState(), rand.Text()
	}
	to, err := address(app, t, state)
	if err != nil {
		return "", err
	}
	t.keep(w, r)
	return to, nil
}

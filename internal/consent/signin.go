package consent

import (
	"errors"
	"net/http"
)

// signInPath is where Microsoft sends an administrator who signs in to the
// bridge itself.
const signInPath = "/api/console/signin"

// SignInURI returns the address to register for administrators' sign-in, under
// platform "Web".
func (s *Service) SignInURI() string { return s.Public.String() + signInPath }

// StartSignIn sends a browser to Microsoft to prove who its administrator is. It
// needs no session. On any trouble it answers with a page.
func (s *Service) StartSignIn(w http.ResponseWriter, r *http.Request) {
	if ignorePrefetch(w, r) {
		return
	}
	s.start(w, r, trip{Kind: string(SignIn)}, func(app App, t trip, state string) (string, error) {
		return s.Addresses.AuthorizeURL(r.Context(), app, t.leg(SignIn, s.SignInURI(), state))
	})
}

// ErrAnswered reports that the browser got its answer already: a page that posts
// Microsoft's form on to ourselves, or one that says why it ends here.
var ErrAnswered = errors.New("already answered")

// FinishSignIn reads what Microsoft posted to console/signin and returns who
// signed in, with the app roles of that person. It returns [ErrAnswered] when it
// has answered the request itself, and an *aadsts.Error when Entra refused. The
// caller decides whether the roles suffice, and begins a session.
func (s *Service) FinishSignIn(w http.ResponseWriter, r *http.Request) (SignedIn, error) {
	if ignorePrefetch(w, r) {
		return SignedIn{}, ErrAnswered
	}
	if r.Method != http.MethodPost {
		notAllowed(w, "POST")
		return SignedIn{}, ErrAnswered
	}
	form, again, ok := s.posted(w, r)
	if !ok {
		return SignedIn{}, ErrAnswered
	}
	if !again {
		s.postOn(w, signInPath, form)
		return SignedIn{}, ErrAnswered
	}
	ctx := r.Context()
	app, err := s.app(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	if !single(form) {
		s.show(w, http.StatusBadRequest, unknownTrip)
		return SignedIn{}, ErrAnswered
	}
	state := form.Get("state")
	t, ok := s.begun(r, state, string(SignIn))
	if !ok || t.Tenant != app.Tenant || t.ClientID != app.ClientID {
		s.show(w, http.StatusBadRequest, unknownTrip)
		return SignedIn{}, ErrAnswered
	}
	// The row makes a code be used once, as for consents; it holds no person.
	err = s.Flows.BeginFlow(ctx, app.Tenant, Flow{ID: t.ID, Kind: Kind(SignIn), Began: s.now()})
	if isChanged(err) {
		w.Header().Set("Location", "/api/console")
		w.WriteHeader(http.StatusSeeOther)
		return SignedIn{}, ErrAnswered
	}
	if err != nil {
		return SignedIn{}, err
	}
	http.SetCookie(w, tripCookie(t.ID, "", 0))
	who, refusal, err := s.redeem(ctx, app, t.leg(SignIn, s.SignInURI(), ""), form)
	if refusal != nil {
		s.Log.WarnContext(ctx, "administrator's sign-in refused", "code", refusal.Code, "class", string(refusal.Class), "entraTrace", refusal.TraceID)
		return SignedIn{}, refusal
	}
	return who, err
}

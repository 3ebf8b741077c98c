package consent

import (
	"errors"
	"log/slog"
	"net/http"
)

// signInPath is where Microsoft sends an administrator who signs in to the
// bridge itself.
const signInPath = "/api/console/signin"

// SignInURI returns the address to register for administrators' sign-in, under
// platform "Web".
func (s *Service) SignInURI() string { return s.Public.String() + signInPath }

// StartSignIn sends a browser to Microsoft to prove who its administrator is. It
// needs no session. Where the browser wanted to go (?next=) comes back with it. On any
// trouble it answers with a page.
func (s *Service) StartSignIn(w http.ResponseWriter, r *http.Request) {
	if ignorePrefetch(w, r) {
		return
	}
	s.start(w, r, trip{Kind: string(SignIn), Next: bounded(r.URL.Query().Get("next"))}, func(app App, t trip, state string) (string, error) {
		return s.Addresses.AuthorizeURL(r.Context(), app, t.leg(SignIn, s.SignInURI(), state))
	})
}

// ErrPrefetch reports that a browser fetches a page ahead, which begins nothing.
var ErrPrefetch = errors.New("the page is fetched ahead")

// SignInAgain returns the address at which Microsoft says, without a question, who the
// administrator of a session is now; the browser comes back as from
// [Service.StartSignIn]. userName is whom Microsoft is asked about. Only the cookie of
// the trip is set: the caller leads there, or not.
func (s *Service) SignInAgain(w http.ResponseWriter, r *http.Request, userName, next string) (string, error) {
	if prefetched(r) {
		return "", ErrPrefetch
	}
	app, err := s.app(r.Context())
	if err != nil {
		return "", err
	}
	return s.begin(w, r, app, trip{Kind: string(SignIn), Silent: true, Next: bounded(next)}, func(app App, t trip, state string) (string, error) {
		leg := t.leg(SignIn, s.SignInURI(), state)
		leg.Silent, leg.Hint = true, userName
		return s.Addresses.AuthorizeURL(r.Context(), app, leg)
	})
}

// maxNext bounds an address that travels in a cookie, of which a browser sends eight.
const maxNext = 300

func bounded(next string) string {
	if len(next) > maxNext {
		return ""
	}
	return next
}

// ErrAnswered reports that the browser got its answer already: a page that posts
// Microsoft's form on to ourselves, or one that says why it ends here.
var ErrAnswered = errors.New("already answered")

// FinishSignIn reads what Microsoft posted to console/signin and returns who
// signed in, with the app roles of that person. It returns [ErrAnswered] when it
// has answered the request itself, and an *aadsts.Error when Entra refused; where the
// browser wanted to go is said then too. The caller decides whether the roles suffice, and begins a session.
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
	who.Next, who.Silent = t.Next, t.Silent
	if refusal != nil {
		level := slog.LevelWarn
		if t.Silent {
			level = slog.LevelInfo // a question is needed, mostly
		}
		s.Log.Log(ctx, level, "administrator's sign-in refused", "code", refusal.Code, "class", string(refusal.Class), "entraTrace", refusal.TraceID)
		return SignedIn{Next: t.Next, Silent: t.Silent}, refusal
	}
	return who, err
}

package consent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/page"
	"procallteams/internal/secret"
)

// maxForm bounds what comes back: codes and descriptions have some kilobytes.
const maxForm = 64 << 10

// Callback receives a browser from Microsoft. gate lets signed-in administrators
// pass to next, and everybody else to stranger. A form that comes from Microsoft's
// site carries no Lax cookie, so it is first posted on from our own page; that needs
// no session, and keeps nothing.
func (s *Service) Callback(w http.ResponseWriter, r *http.Request, kind Kind, gate func(next, stranger http.Handler) http.Handler) {
	if ignorePrefetch(w, r) {
		return
	}
	stranger := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { s.show(w, http.StatusUnauthorized, sessionEnded(kind)) })
	inside := func(next http.HandlerFunc) { gate(next, stranger).ServeHTTP(w, r) }
	switch {
	case r.Method == http.MethodGet && r.URL.Query().Has("trip"):
		inside(func(w http.ResponseWriter, r *http.Request) { s.outcome(w, r, kind) })
	case r.Method == http.MethodPost && kind == User && r.URL.Query().Has("trip"):
		inside(s.confirmed)
	case r.Method == http.MethodGet && kind == Admin:
		inside(func(w http.ResponseWriter, r *http.Request) { s.arrive(w, r, kind, r.URL.Query()) })
	case r.Method == http.MethodPost && kind == User:
		form, again, ok := s.posted(w, r)
		if !ok {
			return
		}
		if !again {
			s.postOn(w, callbackPath(kind), form)
			return
		}
		inside(func(w http.ResponseWriter, r *http.Request) { s.arrive(w, r, kind, form) })
	case r.Method == http.MethodGet && kind == User: // from the history, or typed: a person reads it
		w.Header().Set("Allow", http.MethodPost)
		s.show(w, http.StatusMethodNotAllowed, unknownTrip)
	case kind == User:
		notAllowed(w, "POST")
	default:
		notAllowed(w, "GET")
	}
}

// answers are the parameters of a callback that mean something; others are
// ignored.
var answers = []string{"code", "state", "error", "error_description", "tenant", "admin_consent"}

// posted reads the form of a callback. again reports that our own page posted it.
// Otherwise it has answered.
func (s *Service) posted(w http.ResponseWriter, r *http.Request) (form url.Values, again, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.show(w, http.StatusBadRequest, unknownTrip)
		return nil, false, false
	}
	return r.PostForm, r.PostForm.Get("again") == "1", true
}

// single reports whether every meaningful parameter stands at most once, within
// its size, and a state is there.
func single(form url.Values) bool {
	size := 0
	for _, name := range answers {
		if len(form[name]) > 1 {
			return false
		}
		size += len(form.Get(name))
	}
	state := form.Get("state")
	return size < maxForm/2 && len(state) >= 26 && len(state) <= 128
}

// arrive ends a trip: once, however often the browser comes.
func (s *Service) arrive(w http.ResponseWriter, r *http.Request, kind Kind, form url.Values) {
	ctx := r.Context()
	app, err := s.app(ctx)
	if err != nil {
		s.fail(w, r, "finish the consent", err)
		return
	}
	if !single(form) {
		s.show(w, http.StatusBadRequest, unknownTrip)
		return
	}
	flow := Flow{ID: tripID(form.Get("state")), Kind: kind, Administrator: pseudonym(s.Administrator(ctx)), Began: s.now()}
	t, ok := s.begun(r, form.Get("state"), string(kind))
	if !ok || t.Tenant != app.Tenant || t.ClientID != app.ClientID || !same(t.Administrator, flow.Administrator) {
		s.arriveWithout(w, r, app, flow)
		return
	}
	err = s.Flows.BeginFlow(ctx, app.Tenant, flow)
	switch {
	case isChanged(err): // it came back before: show what became of it
	case err != nil:
		s.fail(w, r, "finish the consent", err)
		return
	default:
		s.finish(ctx, app, t, form, flow)
		http.SetCookie(w, tripCookie(flow.ID, "", 0))
	}
	s.away(w, kind, flow.ID)
}

// arriveWithout answers a browser that brings no cookie of the trip: the one that came
// back before, and reloads, finds its outcome by the row.
func (s *Service) arriveWithout(w http.ResponseWriter, r *http.Request, app App, trip Flow) {
	flow, found, err := s.Flows.Flow(r.Context(), app.Tenant, trip.ID)
	switch {
	case err != nil:
		s.fail(w, r, "finish the consent", err)
	case found && flow.Kind == trip.Kind && same(flow.Administrator, trip.Administrator):
		s.away(w, trip.Kind, trip.ID)
	default:
		s.show(w, http.StatusBadRequest, unknownTrip)
	}
}

// finish does with Microsoft's answer what is to be done, and notes what became of it.
// Nobody else uses this code; a person who leaves now still gets connected.
func (s *Service) finish(ctx context.Context, app App, t trip, form url.Values, flow Flow) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 80*time.Second)
	defer cancel()
	if flow.Kind == Admin {
		s.arriveAdmin(ctx, app, form, &flow)
	} else {
		s.arriveUser(ctx, app, t, form, &flow)
	}
	flow.Ended = s.now()
	if err := s.Flows.FinishFlow(ctx, app.Tenant, flow); err != nil {
		s.Log.ErrorContext(ctx, "outcome of a consent not stored", "error", err.Error())
	}
}

// away leads to the outcome at an address without code or state.
func (s *Service) away(w http.ResponseWriter, kind Kind, id string) {
	secure(w, "")
	w.Header().Set("Location", callbackPath(kind)+"?trip="+id)
	w.WriteHeader(http.StatusSeeOther)
}

// refuse records an error that came back, and marks the grant as declined or
// blocked where nothing better is known.
func (s *Service) refuse(ctx context.Context, app App, flow *Flow, refusal *aadsts.Error) {
	flow.Outcome, flow.Code, flow.Class, flow.Reason, flow.NextStep, flow.TraceID, flow.Claims = Refused, refusal.Code, whose(refusal), refusal.Cause, refusal.Step, refusal.TraceID, refusal.Claims
	s.Log.WarnContext(ctx, "consent refused", "grant", string(flow.Kind), "code", refusal.Code, "class", string(refusal.Class), "entraTrace", refusal.TraceID, "entraCorrelation", refusal.CorrelationID)
	state := map[aadsts.Class]State{aadsts.Canceled: Declined, aadsts.Policy: Blocked, aadsts.AdminConsent: Blocked}[refusal.Class]
	if state == "" {
		return
	}
	if flow.Kind == User {
		grants, err := s.Grants.Grants(ctx, app.Tenant)
		if err == nil && len(others(grants, app.ClientID, "")) > 0 {
			return // a no that names nobody says nothing beside people's sign-ins
		}
	}
	_, err := s.change(ctx, app.Tenant, Grant{Kind: flow.Kind, ClientID: app.ClientID, State: Required}, func(g *Grant) bool {
		if g.Disconnected || g.SecretName != "" || g.State != Required && g.State != Declined && g.State != Blocked {
			return false
		}
		g.ClientID = app.ClientID
		g.enter(state, s.now(), because(refusal))
		return true
	})
	if err != nil {
		s.Log.ErrorContext(ctx, "refused consent not stored", "error", err.Error())
	}
}

// arriveAdmin takes the callback as a claim that triggers a check: anybody can
// craft it, and its errors carry admin_consent=True too.
func (s *Service) arriveAdmin(ctx context.Context, app App, form url.Values, flow *Flow) {
	if form.Has("error") || form.Has("error_description") {
		s.refuse(ctx, app, flow, s.said(ctx, form))
		return
	}
	if !strings.EqualFold(form.Get("tenant"), app.Tenant) || !strings.EqualFold(form.Get("admin_consent"), "true") {
		flow.Outcome, flow.Reason = Refused, "Microsoft answered for another tenant, or did not confirm the consent"
		flow.NextStep = "Start again with an administrator of the configured tenant."
		return
	}
	now := s.now()
	grant, err := s.change(ctx, app.Tenant, Grant{Kind: Admin, ClientID: app.ClientID}, func(g *Grant) bool {
		if g.Works() && g.ClientID == app.ClientID {
			g.GivenAt = now
			return true
		}
		g.belong(app.ClientID)
		g.Disconnected = false
		g.enter(Waiting, now, spreading)
		g.Since, g.GivenAt, g.HeldSince, g.CheckedAt = now, now, time.Time{}, time.Time{}
		return true
	})
	if err == nil {
		grant, err = s.checkAdmin(ctx, app, grant)
	}
	flow.Outcome = Pending
	if err != nil {
		// The claim is stored; probes go on with it.
		s.Log.WarnContext(ctx, "admin consent not checked yet", "error", err.Error())
		if refusal, ok := errors.AsType[*aadsts.Error](err); ok {
			flow.Reason, flow.Code = refusal.Cause, refusal.Code
		}
	} else if grant.Works() {
		flow.Outcome, flow.Permissions = Connected, grant.Permissions
	}
}

// arriveUser redeems the code and stores the sign-in. Nothing is called connected
// before Key Vault and the row hold it.
func (s *Service) arriveUser(ctx context.Context, app App, t trip, form url.Values, flow *Flow) {
	who, refusal, err := s.redeem(ctx, app, t.leg(ReadPresence, s.RedirectURI(User), ""), form)
	switch {
	case refusal != nil:
		s.refuse(ctx, app, flow, refusal)
		return
	case err != nil:
		s.unstored(ctx, flow, err, "Start again.")
		return
	case !slices.Contains(who.Scopes, readPresence):
		flow.Outcome, flow.Reason, flow.NextStep = Refused, "the permission "+readPresence+" was not granted", "Whoever manages the app registration adds it there as a delegated permission; then start again."
		return
	case who.Refresh.Empty():
		flow.Outcome, flow.Reason, flow.NextStep = Refused, "Microsoft gave no lasting sign-in (offline_access)", "Whoever manages the app registration allows offline_access there; then start again."
		return
	}
	if t.Another {
		// As an answer to the question, which is not asked then.
		if err := s.Audit(ctx, app.Tenant, s.Administrator(ctx), "user consent confirmed", who.Account.ObjectID); err != nil {
			s.unstored(ctx, flow, fmt.Errorf("record that a consent is confirmed: %w", err), "Cure that, then start again.")
			return
		}
	}
	grant, err := s.connect(ctx, app, who, t.Another)
	if err != nil {
		s.unstored(ctx, flow, err, "Cure that, then start again.")
		return
	}
	grant = s.tryAtGraph(ctx, app.Tenant, grant)
	flow.Outcome, flow.Account, flow.Permissions = Connected, grant.Account, grant.Permissions
	if t.Account != grant.Account.ObjectID {
		flow.Wanted = t.Account
	}
	switch grant.State {
	case Unconfirmed:
		flow.Outcome = Asked
	case Blocked:
		flow.Outcome, flow.Code, flow.Class, flow.Reason, flow.NextStep = Refused, grant.Code, grant.Class, grant.Reason, grant.NextStep
	}
	s.forgetRefusal(ctx, app)
}

// forgetRefusal removes a refusal without an account, from an earlier attempt: it is
// history now.
func (s *Service) forgetRefusal(ctx context.Context, app App) {
	grant, found, err := s.find(ctx, app.Tenant, User, "")
	if err == nil && found {
		err = s.Grants.RemoveGrant(ctx, app.Tenant, grant)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "earlier refusal not removed", "error", err.Error())
	}
}

// said is the refusal that came back with a browser.
func (s *Service) said(ctx context.Context, form url.Values) *aadsts.Error {
	return aadsts.FromCallback(form.Get("error"), form.Get("error_description")).For(s.registration(ctx))
}

// redeem reads the callback's fields: an error wins over a code.
func (s *Service) redeem(ctx context.Context, app App, leg Leg, form url.Values) (SignedIn, *aadsts.Error, error) {
	if form.Has("error") {
		return SignedIn{}, s.said(ctx, form), nil
	}
	code := secret.New(form.Get("code"))
	if code.Empty() {
		return SignedIn{}, aadsts.FromCallback("", ""), nil
	}
	who, err := s.Issuer.Redeem(ctx, app, leg, code)
	if unset, ok := errors.AsType[*UnsetError](err); ok {
		err = unset.refusal()
	}
	if refusal, ok := errors.AsType[*aadsts.Error](err); ok {
		if !refusal.Permanent() { // a code is used once, so nobody tries again by itself
			refusal.Step = "Wait a minute, then start again."
		}
		if refusal.Has(54005, 9002313) {
			refusal.Cause, refusal.Step = "this sign-in was used already", "Look at the bridge's page whether it is connected; if not, start again."
		}
		return SignedIn{}, refusal, nil
	}
	return who, nil, err
}

func (s *Service) unstored(ctx context.Context, flow *Flow, err error, step string) {
	flow.Outcome, flow.Reason, flow.NextStep = Unstored, err.Error(), step
	s.Log.ErrorContext(ctx, "consent not stored", "grant", string(flow.Kind), "error", err.Error())
}

// fail answers with what stands in the way of a consent.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, doing string, err error) {
	s.Log.ErrorContext(r.Context(), "consent step failed", "doing", doing, "error", err.Error())
	m := message{
		Title: "This did not work", Text: page.Sentence("the bridge could not " + doing + ": " + err.Error()), Bad: true,
		Step: "Wait a minute, then try again. If it stays, let whoever runs the function app look at its storage account and Key Vault.",
	}
	status := http.StatusBadGateway
	if unset, ok := errors.AsType[*UnsetError](err); ok {
		m = message{Title: "Not yet", Text: fmt.Sprintf("First %s.", unset.Step)}
		status = http.StatusConflict
	} else if refusal, ok := errors.AsType[*aadsts.Error](err); ok {
		m.Text, m.Step, m.Code, m.Advice = refusal.Said()+".", refusal.Step, refusal.Code, s.adviceFor(r, refusal.Class)
		if !refusal.Permanent() {
			m.Step = "Wait a minute, then try again."
		}
	}
	s.show(w, status, m)
}

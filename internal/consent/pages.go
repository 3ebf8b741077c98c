package consent

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/page"
	"procallteams/internal/problem"
	"procallteams/internal/settings"
)

//go:embed pages/consent.html
var pageText string

var pages = page.Parse("consent", pageText)

// message is a page that says one thing.
type message struct {
	Title, Text, Step, Code string
	Bad                     bool
	To, Button              string // the way on; empty: back to the console
	Advice                  advice
	Obstacles               []Obstacle // shown when Bad
}

// advice is what an operator must know about a refusal, in the browser's language.
type advice struct {
	aadsts.Advice
	Lang string
}

func (s *Service) adviceFor(r *http.Request, class aadsts.Class) advice {
	lang := aadsts.Preferred(r.Header.Get("Accept-Language"))
	return advice{class.Advice(lang, s.registration(r.Context())), lang.String()}
}

// unknownTrip is the one answer to a state that is unknown, expired, forged or of
// another browser, so that it tells nothing to whoever tries.
var unknownTrip = message{
	Title: "This consent is not open here",
	Text:  "It has expired, or it began in another browser or by another administrator. Nothing was changed at the bridge.",
	Step:  "Go to the bridge's page and start again. If Microsoft showed an error before, look its AADSTS number up below.",
	Bad:   true,
}

// sessionEnded is the answer to an administrator whose session ended while they
// were at Microsoft: nothing was done with what Microsoft answered.
func sessionEnded(kind Kind) message {
	m := message{
		Title: "Your session at the bridge has ended", To: "/api/console?next=/api/consent/" + string(kind), Button: "Sign in again",
		Text: "You were away for too long, so nothing was done with Microsoft's answer. Nothing is broken.",
		Step: "Sign in again, then start the user consent once more. Microsoft remembers what you agreed to.",
	}
	if kind == Admin {
		m.Step = "If Microsoft confirmed the consent, it counts: the bridge finds it by itself, mostly within a minute. Sign in again to see it."
	}
	return m
}

// secure sets the headers of an answer without a body.
func secure(w http.ResponseWriter, policy string) {
	if policy == "" {
		policy = "default-src 'none'; frame-ancestors 'none'"
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// UnknownKind answers an address that names no grant: a browser with a page, others
// with problem details.
func UnknownKind(w http.ResponseWriter, r *http.Request) {
	d := problem.Details{
		Type: "/problems/not-found", Title: "There is no such consent", Status: http.StatusNotFound,
		NextStep: "Open /api/consent/user or /api/consent/admin.", Who: "administrator",
	}
	if !page.Wanted(r) {
		problem.Write(w, d)
		return
	}
	m := message{Text: "There are two: the user consent and the admin consent.", Step: "Begin either on the bridge's page."}
	page.Render(w, d.Status, page.Page{Title: d.Title, Body: page.Execute(pages, "message", m)})
}

func notAllowed(w http.ResponseWriter, allow string) { problem.MethodNotAllowed(w, allow) }

func (s *Service) show(w http.ResponseWriter, status int, m message) {
	if m.Bad && m.Obstacles == nil {
		m.Obstacles = Obstacles(settings.OwnRegistration)
	}
	page.Render(w, status, page.Page{Title: m.Title, Body: page.Execute(pages, "message", m)})
}

// postOn answers a form from Microsoft's site with a page that posts the same
// fields to ourselves, since Lax cookies do not come with a form from elsewhere.
func (s *Service) postOn(w http.ResponseWriter, path string, form url.Values) {
	if !single(form) {
		s.show(w, http.StatusBadRequest, unknownTrip)
		return
	}
	type field struct{ Name, Value string }
	data := struct {
		Path   string
		Fields []field
	}{Path: path}
	for _, name := range answers {
		if form.Has(name) {
			data.Fields = append(data.Fields, field{name, form.Get(name)})
		}
	}
	page.Render(w, http.StatusOK, page.Page{Title: "One moment", Body: page.Execute(pages, "poston", data), AutoSubmit: true})
}

// ending is what the last page of a trip says.
type ending struct {
	Flow    Flow
	Ago     string
	Working bool    // nobody has finished it yet
	Broken  bool    // nobody will
	Grant   Grant   // the grant now, where it is still open what becomes of it
	Others  []Grant // asked: the accounts before
	Tenant  string
	Other   Kind // the consent that is still missing, empty for none
	// Advice and Obstacles are for who was refused.
	Advice    advice
	Obstacles []Obstacle
}

// outcome shows how a trip ended, as often as somebody looks.
func (s *Service) outcome(w http.ResponseWriter, r *http.Request, kind Kind) {
	app, flow, ok := s.tripOf(w, r, kind, "show how the consent ended")
	if !ok {
		return
	}
	data := s.ending(r, app, flow)
	shown := page.Page{Title: title(data), Body: page.Execute(pages, "ending", data)}
	if data.Working {
		shown.Refresh = 2 * time.Second
	} else if data.Grant.State == Waiting || data.Unseen() {
		shown.Refresh = 5 * time.Second
	}
	page.Render(w, http.StatusOK, shown)
}

// tripOf returns the trip that an address names, to the administrator who made it.
// Otherwise it has answered.
func (s *Service) tripOf(w http.ResponseWriter, r *http.Request, kind Kind, doing string) (App, Flow, bool) {
	ctx, id := r.Context(), r.URL.Query().Get("trip")
	app, err := s.app(ctx)
	if err != nil {
		s.fail(w, r, doing, err)
		return App{}, Flow{}, false
	}
	var flow Flow
	found := false
	if isTripID(id) {
		if flow, found, err = s.finished(ctx, app.Tenant, id); err != nil {
			s.fail(w, r, doing, err)
			return App{}, Flow{}, false
		}
	}
	if !found || flow.Kind != kind || !same(flow.Administrator, pseudonym(s.Administrator(ctx))) {
		s.show(w, http.StatusBadRequest, unknownTrip)
		return App{}, Flow{}, false
	}
	return app, flow, true
}

// ending gathers what there is to say of a trip by now.
func (s *Service) ending(r *http.Request, app App, flow Flow) ending {
	ctx, kind := r.Context(), flow.Kind
	data := ending{Flow: flow, Tenant: app.Tenant, Ago: ago(s.now().Sub(flow.Ended))}
	data.Working = flow.Outcome == "" && s.now().Sub(flow.Began) < 2*time.Minute
	data.Broken = flow.Outcome == "" && !data.Working
	registration := s.registration(ctx)
	data.Advice, data.Obstacles = s.adviceFor(r, flow.Class), Obstacles(registration)
	if flow.Class.Says(flow.NextStep, registration) {
		data.Flow.NextStep = "" // the advice says it
	}
	if flow.Outcome == Pending {
		data.Grant = s.watched(ctx, app)
	}
	if grants, err := s.Report(ctx); err == nil {
		data.Other = missing(kind, grants)
		if flow.Outcome == Asked {
			data.ask(grants, app.ClientID, s.now())
		}
	}
	return data
}

// registration says whose the app registration is; the tenant's own when that can't
// be read now.
func (s *Service) registration(ctx context.Context) settings.Registration {
	integration, _, err := s.Settings.Load(ctx)
	if err != nil {
		return settings.OwnRegistration
	}
	return integration.Registration
}

// Namesake reports whether one of the accounts before has the user name of the one that
// signed in: a person who was deleted and created anew is another account.
func (e ending) Namesake() bool {
	return slices.ContainsFunc(e.Others, func(g Grant) bool {
		return g.Account.UPN != "" && strings.EqualFold(g.Account.UPN, e.Flow.Account.UPN)
	})
}

// ask adds what is to be known about another account that signed in. Its question comes
// first: the other consent is not offered before it is answered.
func (e *ending) ask(grants []Grant, clientID string, now time.Time) {
	account := e.Flow.Account.ObjectID
	e.Others = others(grants, clientID, account)
	for _, g := range grants {
		if g.Kind == User && g.Account.ObjectID == account {
			e.Grant = g
		}
	}
	if e.Grant.State == Unconfirmed && e.Grant.expired(now) {
		e.Grant.enter(Required, now, unanswered) // as the next probe finds
	}
	if e.Grant.State == Unconfirmed {
		e.Other = ""
	}
}

// finished reads a trip's row, and waits a little when its other arrival is still
// being worked on.
func (s *Service) finished(ctx context.Context, tenant, id string) (flow Flow, found bool, err error) {
	for range 20 {
		flow, found, err = s.Flows.Flow(ctx, tenant, id)
		if err != nil || !found || flow.Outcome != "" || s.now().Sub(flow.Began) > time.Minute {
			break
		}
		select {
		case <-ctx.Done():
			return flow, found, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	return flow, found, err
}

// watched proves the admin grant once more when that is due, since somebody is
// looking at it.
func (s *Service) watched(ctx context.Context, app App) Grant {
	grants, err := s.Grants.Grants(ctx, app.Tenant)
	if err != nil {
		return Grant{}
	}
	for _, g := range grants {
		if g.Kind == Admin && g.ClientID == app.ClientID {
			if !g.due(s.now(), settings.DefaultConsentCheck) || s.avoided(ctx, app, g) != nil {
				return g
			}
			checked, err := s.checkAdmin(ctx, app, g)
			if err != nil {
				s.Log.WarnContext(ctx, "admin consent not checked", "error", err.Error())
			}
			return checked
		}
	}
	return Grant{}
}

// Unseen reports whether the bridge could not look yet at a consent that was given again.
func (e ending) Unseen() bool { return e.Grant.givenAgain() }

// missing returns the other consent while it has no working grant.
func missing(kind Kind, grants []Grant) Kind {
	other := Admin
	if kind == Admin {
		other = User
	}
	for _, g := range grants {
		if g.Kind == other && g.Works() {
			return ""
		}
	}
	return other
}

func title(e ending) string {
	switch {
	case e.Working:
		return "One moment"
	case e.Broken:
		return "This consent was interrupted"
	case e.Flow.Outcome == Asked && e.Grant.State == Unconfirmed:
		return "Is this the right account?"
	case e.Unseen():
		return "Not looked at yet"
	case e.Flow.Outcome == Connected || e.Grant.Works():
		return "Connected"
	case e.Flow.Outcome == Pending && e.Grant.State == Waiting:
		return "Waiting for Microsoft"
	case e.Flow.Outcome == Pending:
		return "Not confirmed"
	}
	return "Not connected"
}

func ago(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds ago", int(d.Seconds()))
	}
	return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
}

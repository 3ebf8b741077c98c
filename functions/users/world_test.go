package users_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	"procallteams/functions/users"
	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/contract"
	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/health"
	"procallteams/internal/poll"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

const (
	ada      = presence.UserID("aaaaaaaa-0000-4000-8000-000000000001")
	reporter = "uc1"
	clientID = "c0ffee00-0000-4000-8000-000000000001"
)

// world is one tenant on Azurite, with one clock.
type world struct {
	t        *testing.T
	st       *storage.Storage
	wire     *azurite.Wire
	settings storage.Settings
	tenant   string
	now      time.Time
	book     *feed.Book
	logs     bytes.Buffer
	gate     *access.Gate
	issuer   access.Credentials
	token    string // with scope directory
	seq      int64
	handler  http.Handler
}

// people are the directory's, whoever is asked for.
var people = []directory.Person{
	{ID: ada, UPN: "ada@contoso.com", Name: `DOMAIN\ada`, Standing: directory.TakesPart, Reads: true, Writes: true},
	{ID: "bbbbbbbb-0000-4000-8000-000000000002", UPN: "bob@contoso.com", Name: "bob@contoso.com", Standing: directory.Disabled},
	{ID: "cccccccc-0000-4000-8000-000000000003", UPN: "cleo@contoso.com", Name: "twin", Standing: directory.Ambiguous},
	{ID: "dddddddd-0000-4000-8000-000000000004", UPN: "dora@contoso.com", Name: "twin", Standing: directory.Ambiguous},
	{ID: "eeeeeeee-0000-4000-8000-000000000005", UPN: "é.o'neil@contoso.com", Name: "Jürgen O'Neil/50 %+", Standing: directory.TakesPart, Reads: true, Writes: true},
	{ID: "ffffffff-0000-4000-8000-000000000006", UPN: "gast_x#EXT#@contoso.com", Name: "gast", Standing: directory.Guest},
}

func newWorld(t *testing.T) *world {
	t.Helper()
	wire, err := azurite.NewWire(azurite.ForTest(t).Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	st, err := storage.Open(settings.Storage{ConnectionString: secret.New(wire.ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, st: st, wire: wire, tenant: uuid.NewString(), now: time.Now().UTC().Truncate(time.Second), book: feed.NewBook()}
	w.settings = storage.Settings{Storage: st, Overrides: settings.Overrides{Tenant: w.tenant}}
	clock := func() time.Time { return w.now }
	log := slog.New(slog.NewJSONHandler(&w.logs, nil))
	w.issuer = access.Credentials{Store: st, Tenant: w.settings.Tenant, Audit: st, Now: clock}
	w.gate = &access.Gate{Public: &url.URL{Scheme: "https", Host: "bridge.example"}, Credentials: st, Sessions: st, Tenant: w.settings.Tenant, Now: clock, Log: log}
	cache := &directory.Cache{Read: st.Directory}
	f := users.Function{
		Storage: st, Settings: w.settings, People: cache.Index, Interval: 5 * time.Second, Now: clock, Log: log,
		Feeds: poll.Feeds{Open: func(tenant string) feed.Reader { return st.Feed(tenant) }, Books: &feed.Shelf{}},
	}
	w.handler = contract.Handler(t, w.gate.Either(access.Directory, f.ServeCaller))
	w.token = w.credential(access.Directory)
	return w
}

// everything sets the tenant up: both directions, a directory, a reporter, a sync.
func everything(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.set(func(s *settings.Integration) {
		s.ClientID, s.TeamsToProCall, s.ProCallToTeams = clientID, settings.Everyone, settings.Everyone
	})
	w.directory(people...)
	w.lease(calls.Reporter{ID: reporter, Epoch: 1, Generation: 1, Until: w.now.Add(calls.LeaseTime), Seen: w.now})
	w.teams("Available", "Available", presence.FromTeams)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) credential(scopes ...access.Scope) string {
	w.t.Helper()
	_, text, err := w.issuer.Create(w.t.Context(), "administrator", "connector", scopes)
	w.must(err)
	return text.Reveal()
}

func (w *world) set(change func(*settings.Integration)) {
	w.t.Helper()
	current, _, err := w.settings.Load(w.t.Context())
	w.must(err)
	change(&current)
	_, err = w.settings.Save(w.t.Context(), current)
	w.must(err)
}

func (w *world) directory(people ...directory.Person) {
	w.t.Helper()
	now, err := w.st.Now(w.t.Context(), w.tenant)
	w.must(err)
	_, err = w.st.PutDirectory(w.t.Context(), w.tenant, now.Directory, &directory.Directory{People: people}, &directory.Report{}, directory.Ref{At: w.now})
	w.must(err)
}

// lease stores the reporter.
func (w *world) lease(next calls.Reporter) {
	w.t.Helper()
	now, err := w.st.Now(w.t.Context(), w.tenant)
	w.must(err)
	next.Version = now.Reporters[next.ID].Version
	w.must(storage.Calls{Storage: w.st}.SavePeople(w.t.Context(), w.tenant, nil, &next))
}

// teams is a sync that publishes what Ada's Teams shows.
func (w *world) teams(availability presence.Availability, activity presence.Activity, source presence.Source) {
	w.t.Helper()
	state := presence.State{Availability: availability, Activity: activity}
	outcome := presence.OutcomeOf(state)
	switch source {
	case presence.FromTeams:
	case presence.FromBridge:
		outcome = presence.EchoOf(state)
	default:
		outcome = presence.Withdrawn(source)
	}
	store := w.st.Feed(w.tenant)
	head, err := store.Head(w.t.Context())
	w.must(err)
	change := feed.Change{Kind: feed.Presence, Entra: ada, User: `DOMAIN\ada`, Outcome: outcome, ObservedAt: w.now}
	_, err = feed.Append(w.t.Context(), store, w.book, head, []feed.Change{change}, w.now)
	w.must(err)
	w.must(w.st.Beat(w.t.Context(), w.tenant, health.Heartbeat{AsOf: w.now, Attempt: w.now, Users: 2, Interval: 5000}))
}

// report takes in what the reporter says about Ada, as the ledger does.
func (w *world) report(state calls.State, reasons calls.Reason, more ...func(*calls.Report)) {
	w.t.Helper()
	w.seq++
	r := calls.Report{Reporter: reporter, User: `DOMAIN\ada`, Epoch: 1, Generation: 1, Seq: w.seq, State: state, Reasons: reasons, Since: w.now, At: w.now}
	for _, change := range more {
		change(&r)
	}
	rows := storage.Calls{Storage: w.st}
	held, err := rows.People(w.t.Context(), w.tenant, []presence.UserID{ada})
	w.must(err)
	w.must(rows.SavePeople(w.t.Context(), w.tenant, []calls.Person{{ID: ada, Reports: []calls.Report{r}, Version: held[ada].Version}}, nil))
}

// turn is the writer's: it acts on what is due about Ada, and gets these replies
// from Graph, else success. It notes an intent without its answer when cut is set.
func (w *world) turn(cut bool, replies ...session.Reply) {
	w.t.Helper()
	ctx := w.t.Context()
	written := storage.Written{Storage: w.st}
	now, err := w.st.Now(ctx, w.tenant)
	w.must(err)
	sessions, steps, err := written.Sessions(ctx, w.tenant)
	w.must(err)
	due, err := storage.Calls{Storage: w.st}.Due(ctx, w.tenant)
	w.must(err)
	s := sessions[ada]
	s.User = ada
	for _, d := range due {
		s.Reports = d.Reports
	}
	published, ok := w.book.Get(ada)
	settings, _ := now.Settings.Override(w.settings.Overrides)
	in := session.World{Settings: settings, Reporters: now.Reporters, Outcome: published.Outcome, Published: ok, Lifetime: presence.LifetimeOf(10 * time.Minute)}
	save := func() {
		w.t.Helper()
		steps, err = written.Store(ctx, w.tenant, steps, session.Commit{Save: []session.Session{s}, Done: due})
		w.must(err)
		due = nil
	}
	for {
		step := s.Next(w.now, in)
		if step.Deed == "" {
			save()
			return
		}
		s.Begin(w.now, step, clientID)
		save()
		if cut {
			return
		}
		reply := session.Reply{Answer: session.Done, Status: 200}
		if len(replies) > 0 {
			reply, replies = replies[0], replies[1:]
		}
		s.End(w.now, step, reply)
		save()
	}
}

// answer is what the tests look at.
type answer struct {
	User, UPN, EntraID, Standing string
	Stale                        bool
	Teams                        *struct{ Availability, Source string }
	Reports                      []struct {
		State   string
		Reasons []string
		Counts  bool
	}
	Session      standing
	DoNotDisturb *standing
	Type         string // of a problem
	status       int
	text         string
}

type standing struct {
	State, Reason, Wait, Pair string
	Hidden                    bool
	Since, Expires, Next      time.Time
	LastWrite                 *struct {
		What, Answer, Code string
		Status             int
	}
	Refused *struct {
		Status  int
		Code    string
		RetryAt time.Time
	}
}

func (w *world) ask(method, query, token string, cookies ...*http.Cookie) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "/api/v1/users?"+query, nil)
	r.Host = "bridge.example"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	a := answer{status: recorder.Code, text: recorder.Body.String()}
	if method != http.MethodHead {
		w.must(json.Unmarshal(recorder.Body.Bytes(), &a))
	}
	return a
}

func (w *world) named(name string) answer {
	w.t.Helper()
	return w.ask("GET", url.Values{"name": {name}}.Encode(), w.token)
}

// ada demands where Ada's session stands and returns the whole answer.
func (w *world) ada(state, reason string) answer {
	w.t.Helper()
	a := w.named(`DOMAIN\ada`)
	if a.status != 200 || a.Session.State != state || a.Session.Reason != reason {
		w.t.Errorf("= %d, %s because of %q; want %s because of %q\n%s", a.status, a.Session.State, a.Session.Reason, state, reason, a.text)
	}
	return a
}

func (w *world) administrator() *http.Cookie {
	w.t.Helper()
	recorder := httptest.NewRecorder()
	w.must(w.gate.Begin(recorder, httptest.NewRequestWithContext(context.Background(), "POST", "/", nil), access.Session{Administrator: access.BySetupCode}))
	return recorder.Result().Cookies()[0]
}

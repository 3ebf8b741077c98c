package presenceset_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	sim "procallteams/dev/graph"
	"procallteams/functions/presenceset"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/graph"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// world is one tenant: rows on Azurite, simulated Teams on the other side, and a
// clock that a test moves on.
type world struct {
	t       *testing.T
	tenant  string
	storage *storage.Storage
	wire    *azurite.Wire
	teams   *sim.Simulator
	url     string // of Teams
	graph   *graph.Client
	tokens  *tokens

	mu        sync.Mutex
	offset    time.Duration
	settings  settings.Integration
	published map[presence.UserID]presence.Outcome
	wakes     []time.Duration
	seq       int64
	logs      strings.Builder
}

// tokens stands for the admin consent.
type tokens struct {
	mu      sync.Mutex
	value   string
	err     error
	refused []int
	renew   func(k *tokens) // what a refusal changes
}

func (k *tokens) WriteToken(context.Context, string, []consent.Grant) (consent.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return consent.Token{Value: secret.New(k.value), Kind: consent.Admin}, k.err
}

func (k *tokens) Refused(_ context.Context, _ string, _ consent.Token, status int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused = append(k.refused, status)
	if k.renew != nil {
		k.renew(k)
	}
	return nil
}

const app = "7a1f6e1c-2b0a-4d0f-9c11-0c2f5f0e9d01"

func newWorld(t *testing.T) *world {
	t.Helper()
	wire, err := azurite.NewWire(azurite.ForTest(t).Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	w := &world{
		t: t, tenant: uuid.NewString(), wire: wire, tokens: &tokens{value: "token-1"}, published: map[presence.UserID]presence.Outcome{},
		settings: settings.Integration{ProCallToTeams: settings.Everyone, ClientID: app, GraphBudget: 10000},
	}
	w.storage = w.open(wire.ConnectionString())
	w.teams = sim.New(sim.Config{Seed: 5, Now: w.clock, Settings: sim.Settings{PresenceLimit: -1}, VerifyToken: func(text string) (sim.Caller, error) {
		switch {
		case strings.HasPrefix(text, "token"):
			return sim.Caller{AppID: app, Roles: []string{"Presence.ReadWrite.All"}}, nil
		case strings.HasPrefix(text, "bare"):
			return sim.Caller{AppID: app}, nil
		}
		return sim.Caller{}, errors.New("unknown token")
	}})
	t.Cleanup(w.teams.Close)
	server := httptest.NewServer(w.teams)
	t.Cleanup(server.Close)
	w.url = server.URL
	if w.graph, err = graph.New(graph.Config{Endpoint: server.URL, RetryDelay: time.Millisecond, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	w.reporter("r", 0)
	t.Cleanup(w.neverAvailable)
	return w
}

func (w *world) open(connection string) *storage.Storage {
	w.t.Helper()
	st, err := storage.Open(settings.Storage{ConnectionString: secret.New(connection)}, nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// neverAvailable demands invariant 4 of everything that was sent in a test.
func (w *world) neverAvailable() {
	for _, r := range w.teams.Requests() {
		if strings.Contains(r.Body, `"Available"`) || r.Status == 400 && !strings.Contains(w.t.Name(), "Refuse") {
			w.t.Errorf("sent %s %s, answered %d", r.Path, r.Body, r.Status)
		}
	}
	for _, name := range []string{"@contoso.com", "Ada"} {
		if strings.Contains(w.logs.String(), name) {
			w.t.Errorf("a log holds %q", name)
		}
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.offset)
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offset += d
}

func (w *world) change(edit func(*settings.Integration)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	edit(&w.settings)
}

func (w *world) publish(id presence.UserID, o presence.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published[id] = o
}

func (w *world) look(ctx context.Context, tenant string) (presenceset.View, error) {
	now, err := w.storage.Now(ctx, tenant)
	w.mu.Lock()
	defer w.mu.Unlock()
	return presenceset.View{
		Settings: w.settings, Retired: now.Retired, Reporters: now.Reporters, Grants: now.Grants, ThrottledUntil: now.ThrottledUntil, Head: now.Head, Writer: now.Writer,
	}, err
}

// process is the function as another process would have it.
func (w *world) process() *presenceset.Function {
	return &presenceset.Function{
		Tenant: func(context.Context) (string, error) { return w.tenant, nil },
		Look:   w.look,
		Published: func(context.Context, string, presenceset.View) (presenceset.Published, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			published := maps.Clone(w.published)
			return func(id presence.UserID) (presence.Outcome, bool) { o, ok := published[id]; return o, ok }, nil
		},
		Work: storage.Calls{Storage: w.storage}, Written: storage.Written{Storage: w.storage}, Graph: w.graph, Tokens: w.tokens,
		Throttle: w.storage.Throttle,
		Wake: func(_ context.Context, _ string, delay time.Duration) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wakes = append(w.wakes, delay)
			return nil
		},
		Now: w.clock, Log: slog.New(slog.NewTextHandler(&w.logs, nil)),
	}
}

func (w *world) wakeup() []byte { return []byte(`{"tenant":"` + w.tenant + `"}`) }

func (w *world) run(f *presenceset.Function) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 60*time.Second)
	defer cancel()
	if err := f.Run(ctx, w.wakeup()); err != nil {
		w.t.Fatalf("Run() = %v", err)
	}
}

func (w *world) turn(f *presenceset.Function) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	if err := f.Turn(ctx); err != nil {
		w.t.Fatalf("Turn() = %v", err)
	}
}

func (w *world) hire() presence.UserID {
	u := w.teams.AddUser(sim.User{UserPrincipalName: uuid.NewString() + "@contoso.com", DisplayName: "Ada"})
	id := presence.UserID(u.ID)
	if err := w.teams.Set(u.ID, "Available", "Available"); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) upsert(key string, values map[string]any) {
	w.t.Helper()
	if err := w.storage.Upsert(w.t.Context(), storage.Row{Partition: w.tenant, Key: key, Values: values}); err != nil {
		w.t.Fatal(err)
	}
}

// reporter stores a reporter's row.
func (w *world) reporter(id string, generation int64) {
	w.t.Helper()
	text, err := json.Marshal(calls.Reporter{ID: id, Epoch: 1, Generation: generation})
	if err != nil {
		w.t.Fatal(err)
	}
	w.upsert(storage.RowReporter+id, map[string]any{"data": string(text)})
}

// reports stores what is due as the ledger does.
func (w *world) reports(id presence.UserID, list ...calls.Report) {
	w.t.Helper()
	w.mu.Lock()
	w.seq++
	seq := w.seq
	w.mu.Unlock()
	for i := range list {
		r := &list[i]
		r.Reporter, r.User, r.Epoch, r.Seq, r.At, r.Since = "r", "ada", 1, seq, w.clock().UTC(), w.clock().UTC()
	}
	w.upsertDue(id, list)
}

func (w *world) upsertDue(id presence.UserID, list []calls.Report) {
	w.t.Helper()
	text, err := json.Marshal(list)
	if err != nil {
		w.t.Fatal(err)
	}
	w.upsert(storage.RowDue+string(id), map[string]any{"at": w.clock().UTC(), "reports": string(text), "told": true})
}

func (w *world) talks(id presence.UserID) {
	w.reports(id, calls.Report{State: calls.Busy, Reasons: calls.Call})
}
func (w *world) hangsUp(id presence.UserID) { w.reports(id, calls.Report{State: calls.Available}) }

// shows demands what Teams shows.
func (w *world) shows(id presence.UserID, want string) {
	w.t.Helper()
	if got := w.shown(id); got != want {
		w.t.Errorf("Teams shows %s; want %s", got, want)
	}
}

func (w *world) shown(id presence.UserID) string {
	w.t.Helper()
	answer, err := w.graph.Presences(w.t.Context(), secret.New("token-1"), []presence.UserID{id})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf("%s/%s", answer.States[0].Availability, answer.States[0].Activity)
}

func (w *world) session(id presence.UserID) session.Session {
	w.t.Helper()
	s, _, err := storage.Written{Storage: w.storage}.Session(w.t.Context(), w.tenant, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) writer() session.Writer {
	w.t.Helper()
	row, err := storage.Written{Storage: w.storage}.Writer(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	return row
}

func (w *world) due() int {
	w.t.Helper()
	list, err := storage.Calls{Storage: w.storage}.Due(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(list)
}

// sent counts the writes to Graph whose path ends so.
func (w *world) sent(action string) int {
	n := 0
	for _, r := range w.teams.Requests() {
		if strings.HasSuffix(r.Path, "/presence/"+action) {
			n++
		}
	}
	return n
}

// sentTo counts the writes for one person.
func (w *world) sentTo(id presence.UserID) int {
	n := 0
	for _, r := range w.teams.Requests() {
		if strings.Contains(r.Path, "/users/"+string(id)+"/presence/") {
			n++
		}
	}
	return n
}

// calls demands how many setPresence and clearPresence were sent.
func (w *world) calls(sets, clears int) {
	w.t.Helper()
	if s, c := w.sent("setPresence"), w.sent("clearPresence"); s != sets || c != clears {
		w.t.Errorf("%d setPresence and %d clearPresence; want %d and %d", s, c, sets, clears)
	}
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Fatalf("never: %s", what)
}

// prefers is what the person chooses in Teams.
func (w *world) prefers(id presence.UserID, availability, activity string) {
	w.t.Helper()
	body := `{"availability":"` + availability + `","activity":"` + activity + `","expirationDuration":"PT8H"}`
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+"/v1.0/users/"+string(id)+"/presence/setUserPreferredPresence", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer token-of-the-person")
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	if _ = answer.Body.Close(); answer.StatusCode != http.StatusOK {
		w.t.Fatalf("the person's own choice was answered %d", answer.StatusCode)
	}
}

func (w *world) client(id presence.UserID, availability, activity string) {
	w.t.Helper()
	if err := w.teams.Set(string(id), availability, activity); err != nil {
		w.t.Fatal(err)
	}
}

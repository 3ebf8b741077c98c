package directorysync_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"procallteams/dev/azurite"
	simulated "procallteams/dev/graph"
	"procallteams/functions/directorysync"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/graph"
	"procallteams/internal/host"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// log keeps what several processes write.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// world is one tenant: simulated Entra on one side, what is stored of it on the
// other.
type world struct {
	t        testing.TB
	tenant   string
	entra    *simulated.Simulator
	graph    *graph.Client
	wire     *azurite.Wire
	storage  *storage.Storage
	settings storage.Settings
	sync     *directorysync.Function
	kind     consent.Kind // which consent reads accounts
	grouped  bool         // the admin consent reads groups, though not accounts
	err      error        // why there is none
	refused  []int
	clock    atomic.Pointer[time.Time] // a killed run's request may still be answered
	logs     log
}

func (w *world) now() time.Time { return *w.clock.Load() }

func (w *world) pass(d time.Duration) {
	later := w.now().Add(d)
	w.clock.Store(&later)
}

func (w *world) GroupsToken(context.Context, string, []consent.Grant) (consent.Token, error) {
	if w.kind == consent.User && !w.grouped && w.err == nil {
		return consent.Token{}, &consent.RequiredError{Kind: consent.Admin, Cause: "it was never given"}
	}
	return consent.Token{Value: secret.New("app-token"), Kind: consent.Admin}, w.err
}

func (w *world) DirectoryToken(context.Context, string, []consent.Grant) (consent.Token, error) {
	if w.kind == consent.User {
		return consent.Token{Value: secret.New("user-token"), Kind: consent.User, Account: "o"}, w.err
	}
	return consent.Token{Value: secret.New("app-token"), Kind: consent.Admin}, w.err
}

func (w *world) Refused(_ context.Context, _ string, _ consent.Token, status int) error {
	w.refused = append(w.refused, status)
	return nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, tenant: uuid.NewString(), kind: consent.Admin}
	began := time.Now().UTC().Truncate(time.Second)
	w.clock.Store(&began)
	w.entra = simulated.New(simulated.Config{Seed: 5, Now: w.now, Settings: simulated.Settings{IdentityLimit: -1, DeltaPage: 4},
		VerifyToken: func(text string) (simulated.Caller, error) {
			switch text {
			case "app-token":
				return simulated.Caller{TenantID: w.tenant, AppID: "a", Roles: []string{"User.Read.All", "GroupMember.Read.All"}}, nil
			case "user-token":
				return simulated.Caller{TenantID: w.tenant, AppID: "a", ObjectID: "o", Scopes: []string{"User.ReadBasic.All"}}, nil
			}
			return simulated.Caller{}, errors.New("unknown token")
		}})
	t.Cleanup(w.entra.Close)
	server := httptest.NewServer(w.entra)
	t.Cleanup(server.Close)
	var err error
	if w.graph, err = graph.New(graph.Config{Endpoint: server.URL, RetryDelay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if w.wire, err = azurite.NewWire(azurite.ForTest(t).Endpoints()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.wire.Close() })
	if w.storage, err = storage.Open(settings.Storage{ConnectionString: secret.New(w.wire.ConnectionString())}, nil, nil); err != nil {
		t.Fatal(err)
	}
	w.settings = storage.Settings{Storage: w.storage, Overrides: settings.Overrides{Tenant: w.tenant}}
	w.restart()
	return w
}

// restart forgets what a process keeps in memory.
func (w *world) restart() {
	w.sync = &directorysync.Function{
		Storage: w.storage, Settings: w.settings, Graph: w.graph, Tokens: w,
		Now: w.now, Log: slog.New(slog.NewJSONHandler(&w.logs, nil)),
	}
}

func (w *world) change(edit func(*settings.Integration)) {
	w.t.Helper()
	current, _, err := w.settings.Load(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	edit(&current)
	if _, err := w.settings.Save(w.t.Context(), current); err != nil {
		w.t.Fatal(err)
	}
}

// minute lets a minute pass and does a run.
func (w *world) minute() { w.after(time.Minute) }

func (w *world) after(d time.Duration) {
	w.t.Helper()
	w.pass(d)
	if err := w.sync.Run(w.t.Context(), host.Tick{}); err != nil {
		w.t.Fatalf("run: %v", err)
	}
}

func (w *world) look() storage.Now {
	w.t.Helper()
	now, err := w.storage.Now(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	return now
}

// stored are the accounts as another process reads them.
func (w *world) stored() *directory.Accounts {
	w.t.Helper()
	ref := w.look().Accounts
	if ref.Blob == "" {
		return &directory.Accounts{}
	}
	accounts, err := w.storage.Accounts(w.t.Context(), ref)
	if err != nil {
		w.t.Fatal(err)
	}
	if ref.Count != len(accounts.People) {
		w.t.Errorf("the pointer counts %d accounts; there are %d", ref.Count, len(accounts.People))
	}
	return accounts
}

// inEntra is what Entra holds.
func (w *world) inEntra() []matching.Account {
	var people []matching.Account
	for _, u := range w.entra.Users() {
		people = append(people, matching.Account{
			ID: presence.UserID(u.ID), UPN: u.UserPrincipalName, Mail: u.Mail, Proxies: u.ProxyAddresses, Disabled: u.Disabled, Guest: u.UserType == "Guest",
			OnPremisesUPN: u.OnPremisesUserPrincipalName, SAM: u.OnPremisesSamAccountName, Domain: u.OnPremisesDomainName,
			ImmutableID: u.OnPremisesImmutableID, SID: u.OnPremisesSecurityIdentifier,
		})
	}
	return directory.NewAccounts(people, nil).People
}

// wantAsInEntra holds what is stored to what Entra holds.
func (w *world) wantAsInEntra() {
	w.t.Helper()
	if diff := cmp.Diff(w.inEntra(), w.stored().People, cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("accounts (-in Entra +stored):\n%s", diff)
	}
}

// requests counts what Graph was asked during f.
func (w *world) requests(f func()) int {
	before := len(w.entra.Requests())
	f()
	return len(w.entra.Requests()) - before
}

// byGroups switches reading on for Entra groups, but for those in others.
func (w *world) byGroups(ids []string, excluded ...string) {
	w.t.Helper()
	groups := func(ids []string) (list []participation.Group) {
		for _, id := range ids {
			list = append(list, participation.Group{Source: participation.Entra, ID: id})
		}
		return list
	}
	w.change(func(i *settings.Integration) {
		i.TeamsToProCall = settings.By(participation.Rules{Groups: groups(ids), ExcludedGroups: groups(excluded)})
	})
}

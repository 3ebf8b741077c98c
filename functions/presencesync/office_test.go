package presencesync_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	simulated "procallteams/dev/graph"
	"procallteams/functions/directorysync"
	"procallteams/functions/presencesync"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/graph"
	"procallteams/internal/host"
	"procallteams/internal/matching"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// office is one tenant: simulated Teams on one side, its feed on the other.
type office struct {
	t       testing.TB
	tenant  string
	teams   *simulated.Simulator
	graph   *graph.Client
	storage *storage.Storage
	set     storage.Settings
	sync    *presencesync.Function
	people  *directorysync.Function
	tokens  *tokens
	verify  func(token string) (simulated.Caller, error) // of Graph; nil knows those of tokens
	names   string
	now     time.Time
	logs    strings.Builder
}

// tokens stands for the consents: one app-only token, or the reason why not.
type tokens struct {
	err     error
	refused []int
	user    bool // the user consent is all there is
}

func (k *tokens) ReadToken(context.Context, string, []consent.Grant) (consent.Token, error) {
	if k.user {
		return consent.Token{Value: secret.New("user-token"), Kind: consent.User, Account: "o"}, k.err
	}
	return consent.Token{Value: secret.New("app-token"), Kind: consent.Admin}, k.err
}

func (k *tokens) DirectoryToken(ctx context.Context, tenant string, grants []consent.Grant) (consent.Token, error) {
	return k.ReadToken(ctx, tenant, grants)
}

func (k *tokens) GroupsToken(ctx context.Context, tenant string, grants []consent.Grant) (consent.Token, error) {
	return k.ReadToken(ctx, tenant, grants)
}

func (k *tokens) Refused(_ context.Context, _ string, _ consent.Token, status int) error {
	k.refused = append(k.refused, status)
	return nil
}

// newOffice opens an office in which everyone's presence is read.
func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{
		t: t, tenant: uuid.NewString(), tokens: &tokens{}, names: filepath.Join(t.TempDir(), "usermatching.csv"),
		now: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC),
	}
	o.teams = simulated.New(simulated.Config{Seed: 3, Now: func() time.Time { return o.now }, Settings: simulated.Settings{PresenceLimit: -1, IdentityLimit: -1},
		VerifyToken: func(text string) (simulated.Caller, error) {
			if o.verify != nil {
				return o.verify(text)
			}
			if text == "user-token" {
				return simulated.Caller{TenantID: o.tenant, AppID: "a", ObjectID: "o", Scopes: []string{"Presence.Read.All", "User.ReadBasic.All"}}, nil
			}
			if text != "app-token" {
				return simulated.Caller{}, errors.New("unknown token")
			}
			return simulated.Caller{TenantID: o.tenant, AppID: "a", Roles: []string{"Presence.ReadWrite.All", "User.Read.All", "GroupMember.Read.All"}}, nil
		}})
	t.Cleanup(o.teams.Close)
	server := httptest.NewServer(o.teams)
	t.Cleanup(server.Close)
	var err error
	if o.graph, err = graph.New(graph.Config{Endpoint: server.URL, RetryDelay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	o.storage, err = storage.Open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.set = storage.Settings{Storage: o.storage, Overrides: settings.Overrides{Tenant: o.tenant}}
	o.restart()
	o.change(func(i *settings.Integration) { i.TeamsToProCall, i.GraphBudget = settings.Everyone, 10000 })
	return o
}

// restart forgets what a process keeps in memory.
func (o *office) restart() {
	o.sync = &presencesync.Function{
		Storage: o.storage, Settings: o.set, Graph: o.graph, Tokens: o.tokens, Books: &feed.Shelf{}, People: &directory.Cache{Read: o.storage.Directory}, Names: o.names, Interval: 5 * time.Second,
		Unsteady: func() int64 { return 0 }, Now: func() time.Time { return o.now }, Log: slog.New(slog.NewJSONHandler(&o.logs, nil)),
	}
	o.people = &directorysync.Function{Storage: o.storage, Settings: o.set, Graph: o.graph, Tokens: o.tokens, Now: o.sync.Now, Log: o.sync.Log}
}

func (o *office) change(edit func(*settings.Integration)) {
	o.t.Helper()
	current, _, err := o.set.Load(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	edit(&current)
	if _, err := o.set.Save(o.t.Context(), current); err != nil {
		o.t.Fatal(err)
	}
}

// tick lets five seconds pass and syncs.
func (o *office) tick() { o.after(5 * time.Second) }

func (o *office) after(d time.Duration) {
	o.t.Helper()
	o.now = o.now.Add(d)
	if err := o.sync.Run(o.t.Context(), host.Tick{}); err != nil {
		o.t.Fatalf("sync: %v", err)
	}
}

// reread has the directory read, as happens once a minute.
func (o *office) reread() {
	o.t.Helper()
	if err := o.people.Run(o.t.Context(), host.Tick{}); err != nil {
		o.t.Fatalf("directorysync: %v", err)
	}
}

// upload has an administrator upload usermatching.csv.
func (o *office) upload(csv string) {
	o.t.Helper()
	_, err := o.storage.PutList(o.t.Context(), o.tenant, o.look().List, []byte(csv), directory.ListRef{At: o.now, Fingerprint: matching.Fingerprint([]byte(csv)), Source: directory.Uploaded})
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) look() storage.Now {
	o.t.Helper()
	now, err := o.storage.Now(o.t.Context(), o.tenant)
	if err != nil {
		o.t.Fatal(err)
	}
	return now
}

// since returns what was appended after an append, as a reader sees it.
func (o *office) since(after uint64) []feed.Change {
	o.t.Helper()
	head := o.look().Head
	var changes []feed.Change
	for entry, err := range o.storage.Feed(o.tenant).Entries(o.t.Context(), head, after, head.Last.Append) {
		if err != nil {
			o.t.Fatal(err)
		}
		changes = append(changes, entry.Changes...)
	}
	return changes
}

func (o *office) head() uint64 { return o.look().Head.Last.Append }

func (o *office) hire(upn string) presence.UserID {
	return presence.UserID(o.teams.AddUser(simulated.User{UserPrincipalName: upn}).ID)
}

func (o *office) says(user presence.UserID, availability, activity string) {
	o.t.Helper()
	if err := o.teams.Set(string(user), availability, activity); err != nil {
		o.t.Fatal(err)
	}
}

// words renders changes: "ada@contoso.com Busy/InACall teams" or "... removed:deleted".
func words(changes []feed.Change) []string {
	var list []string
	for _, c := range changes {
		if c.Kind == feed.Removed {
			list = append(list, c.User+" removed:"+string(c.Reason))
			continue
		}
		list = append(list, c.User+" "+string(c.Outcome.Availability)+"/"+string(c.Outcome.Activity)+" "+string(c.Outcome.Source))
	}
	slices.Sort(list)
	return list
}

func (o *office) want(after uint64, want ...string) {
	o.t.Helper()
	slices.Sort(want)
	if got := words(o.since(after)); !slices.Equal(got, want) {
		o.t.Errorf("changes = %q; want %q", got, want)
	}
}

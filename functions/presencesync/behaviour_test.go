package presencesync_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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
		Now: func() time.Time { return o.now }, Log: slog.New(slog.NewJSONHandler(&o.logs, nil)),
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

func TestOnlyWhatChangedIsAppended(t *testing.T) {
	o := newOffice(t)
	ada, bob := o.hire("ada@contoso.com"), o.hire("bob@contoso.com")
	o.says(ada, "Available", "Available")
	o.says(bob, "Away", "Away")
	o.tick()
	o.want(0, "ada@contoso.com Available/Available teams", "bob@contoso.com Away/Away teams")
	first := o.head()
	o.tick()
	o.want(first)
	o.says(ada, "Busy", "InACall")
	o.tick()
	o.want(first, "ada@contoso.com Busy/InACall teams")
	if beat := o.look().Heartbeat; !beat.AsOf.Equal(o.now) || beat.Users != 2 || beat.Changes != 1 || beat.Error != "" || beat.Carrier != "admin" {
		t.Errorf("heartbeat = %+v", beat)
	}
}

func TestARestartForgetsNothingAndRepeatsNothing(t *testing.T) {
	o := newOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Busy", "InACall")
	o.tick()
	first := o.head()
	o.restart()
	o.tick()
	o.want(first)
	o.restart()
	o.says(ada, "Available", "Available")
	o.tick()
	o.want(first, "ada@contoso.com Available/Available teams")
}

func TestNobodyIsReadBeforeAnAdministratorSwitchedItOn(t *testing.T) {
	o := newOffice(t)
	o.hire("ada@contoso.com")
	o.change(func(i *settings.Integration) { i.TeamsToProCall = settings.Nobody })
	o.tick()
	if n := len(o.teams.Requests()); n != 0 {
		t.Errorf("%d requests to Graph while everything is off", n)
	}
	o.want(0)
}

func TestGuestsAndDisabledAccountsDoNotTakePart(t *testing.T) {
	o := newOffice(t)
	ada := o.hire("ada@contoso.com")
	o.teams.AddUser(simulated.User{UserPrincipalName: "guest@fabrikam.com", UserType: "Guest"})
	o.teams.AddUser(simulated.User{UserPrincipalName: "gone@contoso.com", Disabled: true})
	o.says(ada, "Available", "Available")
	o.tick()
	o.want(0, "ada@contoso.com Available/Available teams")
}

func TestTheAdminConsentTellsGuestsAndDisabledAccountsApartAtOnce(t *testing.T) {
	o := newOffice(t)
	o.tokens.user = true
	ada := o.hire("ada@contoso.com")
	o.teams.AddUser(simulated.User{UserPrincipalName: "gone@contoso.com", Disabled: true})
	o.says(ada, "Available", "Available")
	o.tick()
	first := o.head()
	if n := o.look().Heartbeat.Users; n != 2 {
		t.Fatalf("with the user consent alone %d take part; want 2, since nothing tells them apart", n)
	}
	o.tokens.user = false
	o.tick()
	o.want(first, "gone@contoso.com removed:disabled")
	asked := len(o.teams.Requests())
	o.tick()
	if n := len(o.teams.Requests()) - asked; n != 1 {
		t.Errorf("%d requests in the next sync; the directory is read once", n)
	}
}

func TestNamesComeFromTheMatchingFileByExactUPN(t *testing.T) {
	o := newOffice(t)
	csv := "ada@contoso.com,ada.lovelace@domain.local\nBOB@contoso.com,bob@domain.local\n"
	if err := os.WriteFile(o.names, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, upn := range []string{"ada@contoso.com", "bob@contoso.com"} {
		o.says(o.hire(upn), "Available", "Available")
	}
	o.tick()
	o.want(0, "ada.lovelace@domain.local Available/Available teams", "bob@contoso.com Available/Available teams")
}

func TestAnAccountWithoutAnObjectIdIsInNobodysWay(t *testing.T) {
	o := newOffice(t)
	o.hire("ada@contoso.com")
	o.tick()
	now := o.look()
	accounts, err := o.storage.Accounts(t.Context(), now.Accounts)
	if err == nil {
		people := append(accounts.People, matching.Account{ID: "odd", UPN: "odd@contoso.com"})
		_, err = o.storage.PutAccounts(t.Context(), o.tenant, now.Accounts, directory.NewAccounts(people, nil), now.Accounts)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.tick()
	if now := o.look(); now.Heartbeat.Error != "" || now.Heartbeat.Users != 1 || now.Directory.Users != 2 {
		t.Errorf("heartbeat = %+v, directory = %+v", now.Heartbeat, now.Directory)
	}
}

func TestTwoAccountsForOneUCServerNameAreBothUnmatched(t *testing.T) {
	o := newOffice(t)
	csv := "ada@contoso.com,front.desk@domain.local\nbob@contoso.com,front.desk@domain.local\n"
	if err := os.WriteFile(o.names, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, upn := range []string{"ada@contoso.com", "bob@contoso.com", "eve@contoso.com"} {
		o.says(o.hire(upn), "Available", "Available")
	}
	o.tick()
	o.want(0, "eve@contoso.com Available/Available teams")
	if n := o.look().Heartbeat.Ambiguous; n != 2 {
		t.Errorf("ambiguous = %d; want 2", n)
	}
}

func TestLeaversAndRenamedPeopleAreRemovedAtTheNextDirectory(t *testing.T) {
	o := newOffice(t)
	ada, bob, eve := o.hire("ada@contoso.com"), o.hire("bob@contoso.com"), o.hire("eve@contoso.com")
	for _, user := range []presence.UserID{ada, bob, eve} {
		o.says(user, "Busy", "InACall")
	}
	o.tick()
	first := o.head()
	o.teams.Remove(string(ada))
	o.teams.Disable(string(bob))
	o.upload("eve@contoso.com,eve.adams@domain.local\n")
	o.reread()
	o.tick()
	changes := o.since(first)
	last := changes[len(changes)-1].ID.Append
	o.want(first, "ada@contoso.com removed:deleted", "bob@contoso.com removed:disabled", "eve@contoso.com removed:renamed", "eve.adams@domain.local Busy/InACall teams")
	var kinds []feed.Kind
	for _, c := range changes {
		if c.ID.Append == last {
			kinds = append(kinds, c.Kind)
		}
	}
	if !slices.IsSortedFunc(kinds, func(a, b feed.Kind) int { return strings.Compare(string(b), string(a)) }) {
		t.Errorf("kinds within the append = %q; removals stand first", kinds)
	}
}

func TestAPauseWithdrawsOnceAndReturnsCleanly(t *testing.T) {
	o := newOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Busy", "InACall")
	o.tick()
	first := o.head()
	o.change(func(i *settings.Integration) { i.Paused = true })
	o.tick()
	o.tick()
	o.want(first, "ada@contoso.com PresenceUnknown/PresenceUnknown paused")
	paused := o.head()
	o.change(func(i *settings.Integration) { i.Paused = false })
	o.tick()
	o.want(paused, "ada@contoso.com Busy/InACall teams")
}

func TestSwitchingOffRemovesEverybody(t *testing.T) {
	o := newOffice(t)
	o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
	o.tick()
	first := o.head()
	o.change(func(i *settings.Integration) { i.TeamsToProCall = settings.Nobody })
	o.tick()
	o.tick()
	o.want(first, "ada@contoso.com removed:disabled")
}

func TestSomebodyMissingKeepsTheStateForAQuarterOfAnHour(t *testing.T) {
	o := newOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Busy", "InACall")
	o.tick()
	first := o.head()
	fault := o.teams.Inject(simulated.Fault{Kind: simulated.Missing, Path: "getPresencesByUserId"})
	o.tick()
	o.after(14 * time.Minute)
	o.want(first)
	o.restart() // how long it lasts is not only in memory
	o.after(time.Minute)
	o.want(first, "ada@contoso.com PresenceUnknown/PresenceUnknown missing")
	missing := o.head()
	o.teams.Clear(fault)
	o.tick()
	o.want(missing, "ada@contoso.com Busy/InACall teams")
}

func TestReadingThatIsDownWithdrawsAfterTenMinutesAndSaysWhy(t *testing.T) {
	o := newOffice(t)
	o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
	o.tick()
	first := o.head()
	since := o.now.Add(5 * time.Second)
	o.tokens.err = &consent.RequiredError{Kind: consent.User, Cause: "the account was disabled (AADSTS50057)", Code: "AADSTS50057"}
	o.tick()
	if beat := o.look().Heartbeat; beat.ErrorCode != "authorization-required" || !strings.Contains(beat.Error, "AADSTS50057") || !beat.ErrorSince.Equal(since) {
		t.Errorf("heartbeat = %+v", beat)
	}
	o.after(9 * time.Minute)
	o.want(first)
	o.after(time.Minute)
	o.tick()
	o.want(first, "ada@contoso.com PresenceUnknown/PresenceUnknown stale")
	stale := o.head()
	o.tokens.err = nil
	o.tick()
	o.want(stale, "ada@contoso.com Busy/InACall teams")
	if beat := o.look().Heartbeat; beat.Error != "" || !beat.ErrorSince.IsZero() {
		t.Errorf("the error outlived its cause: %+v", beat)
	}
}

func TestAPauseThatGraphAsksForIsKeptByTheNextProcess(t *testing.T) {
	o := newOffice(t)
	o.says(o.hire("ada@contoso.com"), "Available", "Available")
	o.tick()
	o.teams.Inject(simulated.Fault{Kind: simulated.Throttle, Path: "getPresencesByUserId", Count: 1, RetryAfter: 30})
	o.tick()
	asked := len(o.teams.Requests())
	o.restart()
	o.tick()
	if n := len(o.teams.Requests()) - asked; n != 0 {
		t.Errorf("%d requests within the pause", n)
	}
	if beat := o.look().Heartbeat; beat.ErrorCode != "throttled" {
		t.Errorf("heartbeat = %+v", beat)
	}
	o.after(30 * time.Second)
	if beat := o.look().Heartbeat; beat.Error != "" || !beat.AsOf.Equal(o.now) {
		t.Errorf("reading did not go on after the pause: %+v", beat)
	}
}

func TestAFailedBatchFailsOnlyItself(t *testing.T) {
	o := newOffice(t)
	o.teams.AddMembers(700)
	o.tick()
	first := o.head()
	o.teams.Inject(simulated.Fault{Kind: simulated.Truncate, Path: "getPresencesByUserId", Count: 1})
	o.tick()
	o.want(first)
	if beat := o.look().Heartbeat; beat.Failed != 1 || beat.Requests != 2 || beat.Error != "" {
		t.Errorf("heartbeat = %+v; want one of two batches to fail", beat)
	}
}

func TestAnswersThatAreNotAsDocumentedNeverInventAPresence(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault simulated.Fault
	}{
		{"HTML", simulated.Fault{Kind: simulated.HTML}},
		{"no list", simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(`{"value":null}`)}},
		{"an empty object", simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(`{}`)}},
		{"cut JSON", simulated.Fault{Kind: simulated.Truncate}},
		{"a directory record instead of a presence", simulated.Fault{Kind: simulated.NoAvailability}},
		{"a user nobody asked for", simulated.Fault{Kind: simulated.Foreign}},
		{"everybody twice", simulated.Fault{Kind: simulated.Duplicate}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
			o.tick()
			first := o.head()
			tt.fault.Path = "getPresencesByUserId"
			fault := o.teams.Inject(tt.fault)
			o.tick()
			o.want(first)
			o.teams.Clear(fault)
			o.tick()
			o.want(first)
			if beat := o.look().Heartbeat; beat.Error != "" {
				t.Errorf("it did not recover: %+v", beat)
			}
		})
	}
}

func TestADirectoryRecordInPlaceOfAPresenceIsAMissingPerson(t *testing.T) {
	o := newOffice(t)
	ada, bob := o.hire("ada@contoso.com"), o.hire("bob@contoso.com")
	o.says(ada, "Busy", "InACall")
	o.says(bob, "Busy", "InACall")
	o.tick()
	first := o.head()
	o.teams.Inject(simulated.Fault{Kind: simulated.NoAvailability, Path: "getPresencesByUserId", Users: []string{string(ada)}})
	o.says(bob, "Away", "Away")
	o.tick()
	o.want(first, "bob@contoso.com Away/Away teams")
	second := o.head()
	for range 13 { // a tick takes time as well
		o.now = o.now.Add(time.Minute)
		o.tick()
	}
	o.want(second)
	for range 2 {
		o.now = o.now.Add(time.Minute)
		o.tick()
	}
	o.want(second, "ada@contoso.com PresenceUnknown/PresenceUnknown missing")
	if n := o.look().Heartbeat.Oddities["answer without availability"]; n < 10 {
		t.Errorf("%d answers without availability were counted", n)
	}
}

func TestACloudWithoutPresencesIsNamedAndRemovesNobody(t *testing.T) {
	o := newOffice(t)
	for range 3 {
		o.says(o.hire(fmt.Sprintf("user%d@contoso.com", len(o.teams.Users()))), "Busy", "InACall")
	}
	o.tick()
	first, grants := o.head(), len(o.tokens.refused)
	o.teams.Inject(simulated.Fault{Kind: simulated.Status, Path: "getPresencesByUserId", Status: http.StatusNotFound, Code: "Request_ResourceNotFound",
		Message: "Resource 'presence' does not exist or one of its queried reference-property objects are not present."})
	for range 3 {
		o.now = o.now.Add(time.Minute)
		o.tick()
	}
	o.want(first)
	beat := o.look().Heartbeat
	if beat.ErrorCode != "no-presence-here" || !strings.Contains(beat.Error, "AZURE_CLOUD and GRAPH_ENDPOINT") {
		t.Errorf("heartbeat %q: %s", beat.ErrorCode, beat.Error)
	}
	if len(o.tokens.refused) != grants {
		t.Error("a grant was doubted because of it")
	}
	o.teams.Clear("")
	o.tick()
	o.want(first)
	if beat := o.look().Heartbeat; beat.Error != "" {
		t.Errorf("it did not recover: %+v", beat)
	}
}

func TestAnUnknownValueContributesNothingAndIsCounted(t *testing.T) {
	o := newOffice(t)
	o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
	o.tick()
	first := o.head()
	o.teams.Inject(simulated.Fault{Kind: simulated.Unknown, Path: "getPresencesByUserId", Value: "somethingNew"})
	o.tick()
	o.want(first, "ada@contoso.com PresenceUnknown/PresenceUnknown teams")
	counted := 0
	for kind, n := range o.look().Heartbeat.Oddities {
		if strings.Contains(strings.ToLower(kind), "somethingnew") {
			counted += n
		}
	}
	if counted == 0 {
		t.Errorf("oddities = %v; want the value counted", o.look().Heartbeat.Oddities)
	}
}

func TestAnOlderAnswerDoesNotTurnTimeBack(t *testing.T) {
	o := newOffice(t)
	ada := o.hire("ada@contoso.com")
	item := func(availability, activity, sequence string) json.RawMessage {
		return json.RawMessage(`{"id":"` + string(ada) + `","availability":"` + availability + `","activity":"` + activity + `","sequenceNumber":"` + sequence + `"}`)
	}
	o.teams.Inject(simulated.Fault{Kind: simulated.Items, Path: "getPresencesByUserId", Users: []string{string(ada)}, Items: []json.RawMessage{
		item("Busy", "InACall", "A0000000020"), item("Available", "Available", "A0000000019"),
	}})
	for range 20 {
		o.tick()
	}
	o.want(0, "ada@contoso.com Busy/InACall teams")
}

// interrupted is a Graph during whose answers something else happens.
type interrupted struct {
	presencesync.Graph
	meanwhile func()
}

func (g *interrupted) Presences(ctx context.Context, token secret.Text, ids []presence.UserID) (graph.Answer, error) {
	answer, err := g.Graph.Presences(ctx, token, ids)
	if meanwhile := g.meanwhile; meanwhile != nil {
		g.meanwhile = nil
		meanwhile()
	}
	return answer, err
}

func TestTheLoserOfARaceDiscardsWhatItRead(t *testing.T) {
	o := newOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Available", "Available")
	o.tick()
	other := o.sync
	o.restart()
	slow := &interrupted{Graph: o.graph}
	o.sync.Graph = slow
	o.tick()
	head := o.head()

	// The slow process has read Busy; before it can append, the other one appends
	// what came after that.
	o.says(ada, "Busy", "InACall")
	slow.meanwhile = func() {
		o.says(ada, "Away", "Away")
		if err := other.Run(t.Context(), host.Tick{}); err != nil {
			t.Errorf("other process: %v", err)
		}
	}
	o.tick()
	o.want(head, "ada@contoso.com Away/Away teams")
	o.tick()
	o.want(head, "ada@contoso.com Away/Away teams")
}

package presencesync_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	simulated "procallteams/dev/graph"
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
)

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

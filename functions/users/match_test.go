package users_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/functions/presencepush"
	"procallteams/internal/access"
	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

// office has a tenant as the sync makes it: who is who is compiled, not given.
func office(t *testing.T, reading, writing participation.Rules) *world {
	t.Helper()
	w := newWorld(t)
	w.set(func(s *settings.Integration) {
		s.TeamsToProCall, s.ProCallToTeams = settings.By(reading), settings.By(writing)
	})
	accounts := directory.NewAccounts([]matching.Account{
		{ID: ada, UPN: "ada@contoso.com"},
		{ID: "bbbbbbbb-0000-4000-8000-000000000002", UPN: "bob@contoso.com"},
		{ID: "cccccccc-0000-4000-8000-000000000003", UPN: "cleo@contoso.com", Mail: "sales@contoso.com"},
		{ID: "dddddddd-0000-4000-8000-000000000004", UPN: "dora@contoso.com", Mail: "sales@contoso.com"},
		{ID: "eeeeeeee-0000-4000-8000-000000000005", UPN: "erik@contoso.com", Disabled: true},
		{ID: "ffffffff-0000-4000-8000-000000000006", UPN: "frida@contoso.com"},
	}, nil)
	users := directory.NewUsers([]matching.User{
		{ID: "4711", Name: `DOMAIN\ada`, Groups: []string{"Sales"}},
		{ID: "4712", Name: "bob", UPN: "bob@contoso.com"},
		{ID: "4713", Name: "sales", Mail: "sales@contoso.com"},
		{ID: "4714", Name: "erik", UPN: "erik@contoso.com"},
		{ID: "4715", Name: "Nemo"},
	})
	list, err := matching.Parse([]byte("ada@contoso.com,DOMAIN\\ada\nFrida@contoso.com,frida\n"))
	w.must(err)
	d, report := directory.Compile(accounts, users, list, reading, writing)
	now, err := w.st.Now(t.Context(), w.tenant)
	w.must(err)
	_, err = w.st.PutUsers(t.Context(), w.tenant, now.Users, users, directory.UsersRef{At: w.now})
	w.must(err)
	_, err = w.st.PutDirectory(t.Context(), w.tenant, now.Directory, d, report, directory.Ref{At: w.now})
	w.must(err)
	return w
}

// part is what these tests look at.
type part struct {
	User, UCID, EntraID, Standing string
	Match                         *struct {
		Outcome, Rule, Reason, Advice string
		Line                          int
		User                          *struct{ ID, Name string }
		Account                       *struct{ EntraID, UPN string }
		Conflict                      *struct {
			Accounts []struct{ EntraID, UPN string }
			Users    []struct{ ID, Name string }
		}
	}
	TeamsToProCall, ProCallToTeams *struct {
		TakesPart bool
		Rule, By  string
	}
	Teams *struct{ AgeSeconds int64 }
	Told  *struct {
		Change, User string
		At           time.Time
		Push         *struct {
			Confirmed bool
			Problem   string
		}
	}
	Session struct{ State, Reason string }
	text    string
}

func (w *world) part(name string) part {
	w.t.Helper()
	a := w.named(name)
	if a.status != 200 {
		w.t.Fatalf("%s = %d %s", name, a.status, a.text)
	}
	p := part{text: a.text}
	w.must(json.Unmarshal([]byte(a.text), &p))
	return p
}

func TestEveryoneIsToldWhoTheyAreAndWhichRuleDecided(t *testing.T) {
	sales := []participation.Group{{Source: participation.UCServer, ID: "sales"}}
	w := office(t, participation.Rules{Everyone: true, ExcludedUsers: []string{"4712"}}, participation.Rules{Groups: sales})

	p := w.part(`DOMAIN\ada`)
	if p.UCID != "4711" || p.Standing != "takesPart" || p.Match == nil || p.Match.Outcome != "matched" || p.Match.Rule != "usermatching.csv" || p.Match.Line != 1 ||
		p.Match.User == nil || p.Match.User.Name != `DOMAIN\ada` {
		t.Errorf("matched by the file: %s", p.text)
	}
	if p.TeamsToProCall == nil || !p.TeamsToProCall.TakesPart || p.TeamsToProCall.Rule != "everyone" ||
		p.ProCallToTeams == nil || !p.ProCallToTeams.TakesPart || p.ProCallToTeams.Rule != "group" || p.ProCallToTeams.By != "sales" {
		t.Errorf("takes part: %s", p.text)
	}
	if again := w.part("4711"); again.EntraID != string(ada) {
		t.Errorf("asked by stable id: %s", again.text)
	}

	p = w.part("bob")
	if p.Standing != "notEnabled" || p.Match.Rule != "upn" || p.TeamsToProCall.TakesPart || p.TeamsToProCall.Rule != "excludedUser" || p.TeamsToProCall.By != "4712" || p.ProCallToTeams.Rule != "nobody" {
		t.Errorf("excluded: %s", p.text)
	}
	if p.Session.Reason != "" && !strings.Contains(p.Session.Reason, "no direction") {
		t.Errorf("excluded: %s", p.text)
	}

	p = w.part("cleo@contoso.com")
	if p.Standing != "ambiguous" || p.Match.Outcome != "ambiguous" || p.Match.Rule != "mail" || len(p.Match.Conflict.Users) != 1 || p.Match.Conflict.Users[0].Name != "sales" ||
		len(p.Match.Conflict.Accounts) != 1 || p.Match.Conflict.Accounts[0].UPN != "dora@contoso.com" || p.TeamsToProCall != nil {
		t.Errorf("ambiguous: %s", p.text)
	}
	if p = w.part("erik"); p.Standing != "disabled" || p.Match.Outcome != "barred" || p.Match.Reason != "accountDisabled" || p.Match.Advice == "" {
		t.Errorf("disabled: %s", p.text)
	}
	if p = w.part("frida@contoso.com"); p.Standing != "unmatched" || p.Match.Outcome != "nearMiss" || p.Match.Line != 2 || p.Match.Reason == "" {
		t.Errorf("near miss: %s", p.text)
	}
}

func TestWhoIsReadButNotWrittenIsToldThat(t *testing.T) {
	w := office(t, participation.Rules{Everyone: true}, participation.Rules{Users: []string{"4712"}})
	if p := w.part(`DOMAIN\ada`); p.Standing != "takesPart" || p.Session.State != "none" || !strings.Contains(p.Session.Reason, "not written to Teams for this person") {
		t.Errorf("read alone: %s", p.text)
	}
}

func TestAUserOfUCServerWhoIsNoAccountsIsToldWhyToo(t *testing.T) {
	w := office(t, participation.Rules{Everyone: true}, participation.Rules{})
	for _, name := range []string{"Nemo", "nemo", "4715"} {
		p := w.part(name)
		if p.User != "Nemo" || p.UCID != "4715" || p.EntraID != "" || p.Standing != "unmatched" || p.Match == nil || p.Match.Outcome != "unmatched" || p.Match.Advice == "" || p.Session.State != "none" {
			t.Errorf("%s: %s", name, p.text)
		}
	}
	p := w.part("4713")
	if p.Standing != "ambiguous" || len(p.Match.Conflict.Accounts) != 2 || p.Match.Conflict.Accounts[0].UPN != "cleo@contoso.com" {
		t.Errorf("ambiguous: %s", p.text)
	}
	if a := w.named("nobody at all"); a.status != 404 {
		t.Errorf("nobody = %d", a.status)
	}
}

func TestWhatUCServerWasToldIsShownWithWhetherItHasConfirmed(t *testing.T) {
	w := everything(t)
	at := w.now
	w.now = w.now.Add(90 * time.Second)
	p := w.part("ada@contoso.com")
	if p.Teams == nil || p.Teams.AgeSeconds != 90 || p.Told == nil || p.Told.Change != "1.1" || p.Told.User != `DOMAIN\ada` || !p.Told.At.Equal(at) || p.Told.Push != nil {
		t.Errorf("without push: %s", p.text)
	}
	w.set(func(s *settings.Integration) { s.PushURL = "https://ucserver.contoso.com/push" })
	if p = w.part("ada@contoso.com"); p.Told.Push == nil || p.Told.Push.Confirmed {
		t.Errorf("nothing sent yet: %s", p.text)
	}
	store := w.st.Feed(w.tenant)
	head, err := store.Head(t.Context())
	w.must(err)
	c, err := store.SaveConsumer(t.Context(), presencepush.ConsumerID, feed.Consumer{Position: head.Position(), LastSuccess: w.now})
	w.must(err)
	if p = w.part("ada@contoso.com"); !p.Told.Push.Confirmed {
		t.Errorf("confirmed: %s", p.text)
	}
	w.teams("Busy", "InACall", presence.FromTeams)
	c.Problem = "the connection was refused"
	_, err = store.SaveConsumer(t.Context(), presencepush.ConsumerID, c)
	w.must(err)
	if p = w.part("ada@contoso.com"); p.Told.Push.Confirmed || p.Told.Push.Problem != "the connection was refused" || p.Told.Change != "2.1" {
		t.Errorf("a newer change: %s", p.text)
	}
	if p = w.part("é.o'neil@contoso.com"); p.Told != nil {
		t.Errorf("nothing is published: %s", p.text)
	}
}

func TestEachLookUpIsAuditedWithTheIdAndWithoutTheName(t *testing.T) {
	w := office(t, participation.Rules{Everyone: true}, participation.Rules{})
	w.named(`DOMAIN\ada`)
	w.named("Nemo")
	w.named("Somebody Else")
	w.ask("GET", "name=bob", "", w.administrator())
	var trail strings.Builder
	for change, err := range w.st.Changes(t.Context(), w.tenant) {
		w.must(err)
		if change.What == access.LookedUp {
			who, _, _ := strings.Cut(change.Who, " ")
			trail.WriteString(strings.TrimSpace(who+" "+strings.Join(change.Fields, " ")) + "\n")
		}
	}
	want := "credential entra " + string(ada) + "\ncredential ucserver 4715\ncredential\nset-up entra bbbbbbbb-0000-4000-8000-000000000002\n"
	if got := sorted(trail.String()); got != sorted(want) {
		t.Errorf("audit trail =\n%s\nwant\n%s", trail.String(), want)
	}
	if strings.Contains(w.logs.String(), "ada") && strings.Contains(w.logs.String(), "DOMAIN") {
		t.Errorf("the log names people: %s", &w.logs)
	}
}

func TestLookUpsCanBeSwitchedOff(t *testing.T) {
	w := everything(t)
	w.set(func(s *settings.Integration) { s.LookUps = settings.SwitchedOff })
	for _, a := range []answer{w.named("ada@contoso.com"), w.named("nobody"), w.ask("GET", "name=ada", "", w.administrator())} {
		if a.status != 403 || a.Type != "/problems/helpdesk-off" || strings.Contains(a.text, string(ada)) {
			t.Errorf("= %d %s", a.status, a.text)
		}
	}
	for change, err := range w.st.Changes(t.Context(), w.tenant) {
		w.must(err)
		if change.What == access.LookedUp {
			t.Errorf("somebody was looked up: %+v", change)
		}
	}
	w.set(func(s *settings.Integration) { s.LookUps = settings.OnUnlessOff{} })
	if a := w.named("ada@contoso.com"); a.status != 200 {
		t.Errorf("switched on again = %d %s", a.status, a.text)
	}
}

func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

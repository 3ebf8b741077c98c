package presencesync_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	simulated "procallteams/dev/graph"
	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

// sends has UCServer's connector send its users.
func (o *office) sends(users ...matching.User) {
	o.t.Helper()
	if _, err := o.storage.PutUsers(o.t.Context(), o.tenant, o.look().Users, directory.NewUsers(users), directory.UsersRef{At: o.now, By: "connector"}); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) reads(rules participation.Rules) {
	o.t.Helper()
	o.change(func(i *settings.Integration) { i.TeamsToProCall = settings.By(rules) })
}

// edited is an office of three people on the phone, and what was published so far.
func edited(t *testing.T) (o *office, ada, bob, eve presence.UserID) {
	o = newOffice(t)
	ada, bob, eve = o.hire("ada@contoso.com"), o.hire("bob@contoso.com"), o.hire("eve@contoso.com")
	for _, id := range []presence.UserID{ada, bob, eve} {
		o.says(id, "Busy", "InACall")
	}
	o.tick()
	return o, ada, bob, eve
}

func TestAnEditTakesEffectAtTheNextSync(t *testing.T) {
	o, ada, bob, eve := edited(t)
	var sales simulated.Group
	for _, edit := range []struct {
		name string
		do   func()
		want []string
	}{
		{"one is excluded", func() { o.reads(participation.Rules{Everyone: true, ExcludedUsers: []string{string(ada)}}) },
			[]string{"ada@contoso.com removed:disabled"}},
		{"and comes back", func() { o.reads(participation.Rules{Everyone: true}) }, []string{"ada@contoso.com Busy/InACall teams"}},
		{"only one is named", func() { o.reads(participation.Rules{Users: []string{string(eve)}}) },
			[]string{"ada@contoso.com removed:disabled", "bob@contoso.com removed:disabled"}},
		{"everybody again", func() { o.reads(participation.Rules{Everyone: true}) },
			[]string{"ada@contoso.com Busy/InACall teams", "bob@contoso.com Busy/InACall teams"}},
		{"a file gives a name", func() { o.upload("ada@contoso.com,ada\n") },
			[]string{"ada@contoso.com removed:renamed", "ada Busy/InACall teams"}},
		{"another file makes two ambiguous", func() { o.upload("bob@contoso.com,desk\neve@contoso.com,desk\n") },
			[]string{"ada removed:renamed", "ada@contoso.com Busy/InACall teams", "bob@contoso.com removed:unmatched", "eve@contoso.com removed:unmatched"}},
		{"an empty file", func() { o.upload("") }, []string{"bob@contoso.com Busy/InACall teams", "eve@contoso.com Busy/InACall teams"}},
		{"UCServer's users become known", func() {
			o.sends(matching.User{ID: "7", Name: "ada", UPN: "ada@contoso.com", Groups: []string{"Sales"}}, matching.User{ID: "8", Name: "bob@contoso.com"}, matching.User{ID: "9", Name: "stranger"})
		}, []string{"ada@contoso.com removed:renamed", "ada Busy/InACall teams", "bob@contoso.com Busy/InACall teams", "eve@contoso.com removed:unmatched"}},
		{"only a group of UCServer's", func() {
			o.reads(participation.Rules{Groups: []participation.Group{{Source: participation.UCServer, ID: "sales"}}})
		}, []string{"bob@contoso.com removed:disabled"}},
		{"who is in no group any more", func() {
			o.sends(matching.User{ID: "7", Name: "ada", UPN: "ada@contoso.com"}, matching.User{ID: "8", Name: "bob@contoso.com", Groups: []string{"SALES"}})
		}, []string{"ada removed:disabled", "bob@contoso.com Busy/InACall teams"}},
		{"a group of Entra's, which nobody has read yet", func() {
			sales = o.teams.AddGroup(simulated.Group{DisplayName: "sales", Members: []string{string(ada)}})
			o.reads(participation.Rules{Pilot: []participation.Group{{Source: participation.Entra, ID: sales.ID}}})
		}, nil},
		{"its members become known", func() { o.reread() }, []string{"bob@contoso.com removed:disabled", "ada Busy/InACall teams"}},
		{"it is deleted, which may be a mistake", func() {
			o.teams.RemoveGroup(sales.ID)
			o.now = o.now.Add(11 * time.Minute)
			o.reread()
		}, nil},
		{"a day later it is not", func() {
			o.now = o.now.Add(directory.GoneAfter)
			o.reread()
		}, []string{"ada removed:disabled"}},
		{"nobody", func() { o.reads(participation.Rules{}) }, nil},
		{"everybody whom UCServer has", func() { o.reads(participation.Rules{Everyone: true}) }, []string{"ada Busy/InACall teams", "bob@contoso.com Busy/InACall teams"}},
		{"an account is disabled", func() { o.teams.Disable(string(bob)); o.reread() }, []string{"bob@contoso.com removed:disabled"}},
		{"UCServer has no users", func() { o.sends() }, []string{"ada removed:unmatched"}},
		{"the list is taken away", func() {
			if _, err := o.storage.RemoveUsers(o.t.Context(), o.tenant, o.look().Users, directory.UsersRef{At: o.now}); err != nil {
				o.t.Fatal(err)
			}
		}, []string{"ada@contoso.com Busy/InACall teams", "eve@contoso.com Busy/InACall teams"}},
	} {
		t.Run(edit.name, func(t *testing.T) {
			before := o.head()
			edit.do()
			o.tick()
			o.want(before, edit.want...)
			o.tick()
			o.restart()
			o.tick()
			o.want(before, edit.want...)
		})
		if t.Failed() {
			return
		}
	}
}

func TestWhoLeavesIsTakenBackAlsoWhenGraphCannotBeRead(t *testing.T) {
	for name, away := range map[string]func(*office){
		"throttled": func(o *office) {
			if err := o.storage.Throttle(o.t.Context(), o.tenant, o.now.Add(time.Hour)); err != nil {
				o.t.Fatal(err)
			}
		},
		"no token": func(o *office) { o.tokens.err = http.ErrHandlerTimeout },
		"down": func(o *office) {
			o.teams.Inject(simulated.Fault{Kind: simulated.Status, Status: http.StatusBadGateway})
		},
		"paused": func(o *office) { o.change(func(i *settings.Integration) { i.Paused = true }) },
	} {
		t.Run(name, func(t *testing.T) {
			o, ada, _, _ := edited(t)
			before := o.head()
			o.reads(participation.Rules{Everyone: true, ExcludedUsers: []string{string(ada)}})
			o.upload("eve@contoso.com,eve\n")
			away(o)
			o.tick()
			want := []string{"ada@contoso.com removed:disabled", "eve@contoso.com removed:renamed", "eve Busy/InACall teams"}
			if name == "paused" {
				want = []string{"ada@contoso.com removed:disabled", "eve@contoso.com removed:renamed", "eve PresenceUnknown/PresenceUnknown paused", "bob@contoso.com PresenceUnknown/PresenceUnknown paused"}
			}
			o.want(before, want...)
			o.tick()
			o.restart()
			o.tick()
			o.want(before, want...)
		})
	}
}

func TestWhoTakesNoPartIsNotAskedFor(t *testing.T) {
	o, ada, _, _ := edited(t)
	o.reads(participation.Rules{Users: []string{string(ada)}})
	o.tick()
	beat := o.look().Heartbeat
	if beat.Users != 1 || beat.Requests != 1 {
		t.Errorf("heartbeat = %+v; want one person", beat)
	}
	o.reads(participation.Rules{Users: []string{"nobody's id"}})
	before := len(o.teams.Requests())
	o.tick()
	o.tick()
	if n := len(o.teams.Requests()) - before; n != 0 {
		t.Errorf("%d requests to Graph; nobody takes part", n)
	}
}

func TestTheFirstReadingIsFollowedWithoutReadingEverybodyAgain(t *testing.T) {
	o, _, bob, _ := edited(t)
	o.teams.Disable(string(bob))
	before := len(o.teams.Requests())
	o.reread()
	if n := len(o.teams.Requests()) - before; n != 1 {
		t.Errorf("%d requests; want the changes alone", n)
	}
	first := o.head()
	o.tick()
	o.want(first, "bob@contoso.com removed:disabled")
}

func TestTheStableIDIsToldWithEveryPresence(t *testing.T) {
	o, _, _, _ := edited(t)
	o.sends(matching.User{ID: "7", Name: "ada@contoso.com"})
	before := o.head()
	o.tick()
	for _, c := range o.since(before) {
		if c.User == "ada@contoso.com" && c.UCID != "7" {
			t.Errorf("change = %+v; want the connector's id", c)
		}
	}
	before = o.head()
	o.sends(matching.User{ID: "70", Name: "ada@contoso.com"})
	o.tick()
	changes := o.since(before)
	if len(changes) != 1 || changes[0].UCID != "70" || changes[0].User != "ada@contoso.com" {
		t.Errorf("changes = %+v; want the presence once more, with the new id", changes)
	}
}

func TestThePackagesFileIsImportedOnceAndNeverAgain(t *testing.T) {
	o := newOffice(t)
	write := func(csv string) {
		if err := os.WriteFile(o.names, []byte(csv), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ada@contoso.com,ada\n")
	o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
	o.tick()
	o.want(0, "ada Busy/InACall teams")
	ref := o.look().List
	if ref.Source != directory.FromPackage || ref.Lines != 1 || ref.Fingerprint == "" {
		t.Errorf("pointer = %+v", ref)
	}
	before := o.head()
	write("ada@contoso.com,lovelace\n") // the next release's
	o.restart()
	o.tick()
	o.want(before)
	if o.look().Heartbeat.Oddities["usermatching.csv of the package differs from the one in use"] != 1 {
		t.Errorf("oddities = %v; want the difference", o.look().Heartbeat.Oddities)
	}
	o.upload("")
	o.restart()
	o.tick()
	o.want(before, "ada removed:renamed", "ada@contoso.com Busy/InACall teams")
}

func TestAPackagesFileWithFaultsIsNotUsed(t *testing.T) {
	o := newOffice(t)
	if err := os.WriteFile(o.names, []byte("ada@contoso.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
	o.tick()
	o.want(0, "ada@contoso.com Busy/InACall teams")
	now := o.look()
	if now.List.Blob != "" || now.Heartbeat.Oddities["usermatching.csv of the package is not used"] != 1 {
		t.Errorf("list = %+v, oddities = %v", now.List, now.Heartbeat.Oddities)
	}
}

func TestCountsOfThoseWhoAreNobodys(t *testing.T) {
	o := newOffice(t)
	o.hire("ada@contoso.com")
	o.sends(matching.User{ID: "1", Name: "ada@contoso.com"}, matching.User{ID: "2", Name: "stranger"}, matching.User{ID: "3", Name: "x", UPN: "ADA@contoso.de"})
	o.tick()
	if beat := o.look().Heartbeat; beat.Users != 1 || beat.Unmatched != 2 || beat.Ambiguous != 0 {
		t.Errorf("heartbeat = %+v", beat)
	}
	report, err := o.storage.Report(t.Context(), o.look().Directory)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := report.User("1"); !ok || v.Outcome != matching.Matched {
		t.Errorf("verdict = %+v, %t", v, ok)
	}
}

// inGroup has Entra make a group, which nobody has read yet.
func (o *office) inGroup(members ...presence.UserID) participation.Group {
	ids := make([]string, len(members))
	for i, id := range members {
		ids[i] = string(id)
	}
	return participation.Group{Source: participation.Entra, ID: o.teams.AddGroup(simulated.Group{DisplayName: "sales", Members: ids}).ID}
}

func TestAnExclusionByAGroupThatNobodyHasReadRemovesNobodyElse(t *testing.T) {
	o, ada, _, _ := edited(t)
	before := o.head()
	o.reads(participation.Rules{Everyone: true, ExcludedGroups: []participation.Group{o.inGroup(ada)}})
	o.tick()
	o.restart()
	o.tick()
	o.reread()
	o.tick()
	o.want(before, "ada@contoso.com removed:disabled")
}

func TestAGroupThatCannotBeReadHoldsAnEditUpForTwoMinutes(t *testing.T) {
	o, ada, bob, eve := edited(t)
	before := o.head()
	o.reads(participation.Rules{Users: []string{string(ada)}, ExcludedUsers: []string{string(eve)}, ExcludedGroups: []participation.Group{o.inGroup(bob)}})
	o.tick()
	o.after(time.Minute)
	o.want(before)
	o.upload("eve@contoso.com,eve\n") // another edit does not begin the wait anew
	o.after(time.Minute)
	o.want(before, "ada@contoso.com removed:disabled", "bob@contoso.com removed:disabled", "eve@contoso.com removed:disabled")
	// From now on nobody would leave because of the group, so nothing waits.
	before = o.head()
	o.reads(participation.Rules{Everyone: true})
	o.tick()
	o.want(before, "ada@contoso.com Busy/InACall teams", "bob@contoso.com Busy/InACall teams", "eve Busy/InACall teams")
}

func TestAnAdminConsentThatComesBackRemovesNobodyOfAGroup(t *testing.T) {
	o, ada, _, _ := edited(t)
	o.reads(participation.Rules{Groups: []participation.Group{o.inGroup(ada)}})
	o.reread()
	o.tick()
	o.tokens.user = true
	o.after(20 * time.Minute)
	o.reread()
	o.tick()
	if !o.look().Accounts.Basic {
		t.Fatal("the accounts were not read with the person's consent")
	}
	before := o.head()
	o.tokens.user = false
	o.after(2 * time.Minute)
	o.after(5 * time.Minute)
	if o.look().Accounts.Basic {
		t.Error("the accounts were not read with the administrator's consent")
	}
	o.want(before)
}

func TestAccountsThatAreThereAgainAreNotReadAnew(t *testing.T) {
	o, _, _, _ := edited(t)
	ref := o.look().Accounts
	accounts, err := o.storage.Accounts(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.storage.DeleteBlob(t.Context(), ref.Blob); err != nil {
		t.Fatal(err)
	}
	o.tokens.err = http.ErrHandlerTimeout
	o.upload("eve@contoso.com,eve\n")
	o.tick()
	if ref, err = o.storage.PutAccounts(t.Context(), o.tenant, o.look().Accounts, accounts, ref); err != nil {
		t.Fatal(err)
	}
	o.tokens.err = nil
	o.after(2 * time.Minute)
	if now := o.look().Accounts; now.Blob != ref.Blob {
		t.Error("the accounts were read anew, and with them everything about changes and groups was lost")
	}
}

func TestAProcessThatStartsWorksWithWhatWasKnown(t *testing.T) {
	o, ada, _, _ := edited(t)
	users := []matching.User{{ID: "7", Name: "ada", UPN: "ada@contoso.com"}}
	o.sends(users...)
	o.tick()
	before := o.head()
	o.sends(users...)
	if err := o.storage.DeleteBlob(t.Context(), o.look().Users.Blob); err != nil {
		t.Fatal(err)
	}
	o.restart()
	o.says(ada, "Available", "Available")
	o.tick()
	o.want(before, "ada Available/Available teams")
}

func TestAPackagesFileThatNamesNobodyLeavesRoomForALaterOne(t *testing.T) {
	o := newOffice(t)
	o.hire("ada@contoso.com")
	for _, file := range []string{"", "Azure AD username,UCServer username\n"} {
		if err := os.WriteFile(o.names, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		o.restart()
		o.tick()
		if ref := o.look().List; ref.Blob != "" {
			t.Fatalf("%q: pointer = %+v", file, ref)
		}
	}
	if err := os.WriteFile(o.names, []byte("ada@contoso.com,ada\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.restart()
	o.tick()
	if ref := o.look().List; ref.Source != directory.FromPackage || ref.Lines != 1 {
		t.Errorf("pointer = %+v; want the package's file", ref)
	}
	// Who has uploaded a file is not bothered with the package's titles.
	o.upload("ada@contoso.com,lovelace\n")
	if err := os.WriteFile(o.names, []byte("Azure AD username,UCServer username\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.restart()
	o.tick()
	if odd := o.look().Heartbeat.Oddities; len(odd) != 0 {
		t.Errorf("oddities = %v", odd)
	}
}

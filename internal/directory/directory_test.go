package directory_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

var (
	everyone = participation.Rules{Everyone: true}
	nobody   = participation.Rules{}
)

func listOf(t testing.TB, file string) matching.List {
	t.Helper()
	list, err := matching.Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// told is a person in one line.
func told(p directory.Person) string {
	var text strings.Builder
	text.WriteString(fmt.Sprintf("%s %s=%s/%s %c %s", p.ID, p.UPN, p.Name, p.UCID, p.Standing, p.Rule))
	for _, d := range []struct {
		on   bool
		why  *participation.Decision
		name string
	}{{p.Reads, p.Reading, "read"}, {p.Writes, p.Writing, "write"}} {
		if d.why == nil {
			continue
		}
		text.WriteString(fmt.Sprintf(" %s:%t,%s,%s", d.name, d.on, d.why.Rule, d.why.By))
		if d.why.Unknown {
			text.WriteString("?")
		}
	}
	return text.String()
}

func wantPeople(t *testing.T, d *directory.Directory, want ...string) {
	t.Helper()
	var got []string
	for _, p := range d.People {
		got = append(got, told(p))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("people (-want +got):\n%s", diff)
	}
}

func TestWithoutUCServersUsersTheNameIsTheListsOrTheUPN(t *testing.T) {
	accounts := directory.NewAccounts([]matching.Account{
		{ID: "5", UPN: "eve@contoso.com"},
		{ID: "1", UPN: "other@contoso.com"},
		{ID: "2", UPN: "bob@contoso.com"},
		{ID: "3", UPN: "cleo@contoso.com", Disabled: true},
		{ID: "4", UPN: "dan_fabrikam.com#EXT#@contoso.com", Guest: true},
		{ID: "1", UPN: "ada@contoso.com"}, // repeated by the next page
		{ID: "6", UPN: "ADA@contoso.com"},
	}, nil)
	d, report := directory.Compile(accounts, nil, listOf(t, "ada@contoso.com,ada.lovelace@domain.local\nbob@contoso.com,bob@domain.local\neve@contoso.com,bob@domain.local\n"), everyone, nobody)
	wantPeople(t, d,
		"1 ada@contoso.com=ada.lovelace@domain.local/ p usermatching.csv read:true,everyone, write:false,nobody,",
		"2 bob@contoso.com=bob@domain.local/ a ",
		"3 cleo@contoso.com=cleo@contoso.com/ d ",
		"4 dan_fabrikam.com#EXT#@contoso.com=dan_fabrikam.com#EXT#@contoso.com/ g ",
		"5 eve@contoso.com=bob@domain.local/ a ",
		// The file's names are case-sensitive: another spelling is not matched by it.
		"6 ADA@contoso.com=ADA@contoso.com/ p upn read:true,everyone, write:false,nobody,",
	)
	if unmatched, ambiguous := report.Count(); unmatched != 0 || ambiguous != 2 {
		t.Errorf("%d unmatched, %d ambiguous; want 0 and 2", unmatched, ambiguous)
	}
	if p, ok := d.Find("4"); !ok || p.Standing != directory.Guest {
		t.Errorf("Find(4) = %+v, %t", p, ok)
	}
	if _, ok := d.Find("7"); ok {
		t.Error("Find(7) found somebody")
	}
}

// vanished is when a group of [company] went missing.
var vanished = time.Date(2026, 11, 25, 12, 30, 0, 0, time.UTC)

// company is a tenant with somebody of every kind.
func company() (*directory.Accounts, *directory.Users) {
	return directory.NewAccounts([]matching.Account{
			{ID: "a1", UPN: "ada@contoso.com", Mail: "ada@contoso.com"},
			{ID: "a2", UPN: "bob@contoso.com", Proxies: []string{"SMTP:bob@contoso.com", "smtp:robert@contoso.com"}},
			{ID: "a3", UPN: "cleo@contoso.com"},
			{ID: "a4", UPN: "dan@contoso.com", Disabled: true},
			{ID: "a5", UPN: "twin1@contoso.com", SAM: "twin"},
			{ID: "a6", UPN: "twin2@contoso.com", SAM: "twin"},
			{ID: "a7", UPN: "nobody@contoso.com"},
		}, map[string]directory.Members{
			"11111111-0000-4000-8000-000000000001": {Name: "Sales", Accounts: []presence.UserID{"a1", "a4"}},
			"11111111-0000-4000-8000-000000000002": {Name: "gone", Accounts: []presence.UserID{"a2"}, Missing: vanished, Deleted: true},
			"11111111-0000-4000-8000-000000000005": {Name: "missing", Accounts: []presence.UserID{"a3"}, Missing: vanished.Add(time.Hour)},
			"11111111-0000-4000-8000-000000000006": {Deleted: true}, // as an earlier version stored it
		}), directory.NewUsers([]matching.User{
			{ID: "u3", Name: "cleo", UPN: "CLEO@contoso.com", Groups: []string{"Support"}},
			{ID: "u1", Name: "ada", UPN: "ada@contoso.com", Groups: []string{"sales", "Staff"}},
			{ID: "u2", Name: "bob", Mail: "robert@contoso.com"},
			{ID: "u4", Name: "dan", UPN: "dan@contoso.com"},
			{ID: "u5", Name: "twin", SAM: "twin"},
			{ID: "u6", Name: "frida", UPN: "frida@contoso.de"},
		})
}

func TestWhoIsMatchedTakesPartByTheRulesOfEachDirection(t *testing.T) {
	accounts, users := company()
	reading := participation.Rules{
		Groups: []participation.Group{{Source: participation.Entra, ID: "11111111-0000-4000-8000-000000000001"}, {Source: participation.UCServer, ID: "support"}},
	}
	writing := participation.Rules{Everyone: true, ExcludedUsers: []string{"u1"}, ExcludedGroups: []participation.Group{{Source: participation.Entra, ID: "11111111-0000-4000-8000-000000000002"}}}
	d, report := directory.Compile(accounts, users, matching.List{}, reading, writing)
	wantPeople(t, d,
		"a1 ada@contoso.com=ada/u1 p upn read:true,group,11111111-0000-4000-8000-000000000001 write:false,excludedUser,u1",
		"a2 bob@contoso.com=bob/u2 n mail read:false,nobody, write:false,excludedGroup,11111111-0000-4000-8000-000000000002",
		"a3 cleo@contoso.com=cleo/u3 p upn read:true,group,support write:true,everyone,",
		"a4 dan@contoso.com=dan/u4 d ",
		"a5 twin1@contoso.com=twin/u5 a ",
		"a6 twin2@contoso.com=twin/u5 a ",
		"a7 nobody@contoso.com=/ u ",
	)
	if unmatched, ambiguous := report.Count(); unmatched != 2 || ambiguous != 1 {
		t.Errorf("%d unmatched, %d ambiguous; want 2 and 1", unmatched, ambiguous)
	}
	d, _ = directory.Compile(accounts, users, matching.List{}, nobody, participation.Rules{Pilot: []participation.Group{{Source: participation.Entra, ID: "99999999-0000-4000-8000-000000000009"}}})
	if got, want := told(d.People[0]), "a1 ada@contoso.com=ada/u1 n upn read:false,nobody, write:false,pilot,99999999-0000-4000-8000-000000000009?"; got != want {
		t.Errorf("nobody is known to be in the pilot: %s; want %s", got, want)
	}
}

func TestAGroupThatVanishesAdmitsUntilItCountsAsDeletedAndExcludesFurther(t *testing.T) {
	accounts, users := company()
	gone := []participation.Group{{Source: participation.Entra, ID: "11111111-0000-4000-8000-000000000002"}}
	missing := []participation.Group{{Source: participation.Entra, ID: "11111111-0000-4000-8000-000000000005"}}
	for _, row := range []struct {
		name      string
		rules     participation.Rules
		bob, cleo bool // in the one that is gone, in the one that is missing
	}{
		{"deleted, it admits nobody", participation.Rules{Groups: gone}, false, false},
		{"deleted, its pilot has nobody", participation.Rules{Everyone: true, Pilot: gone}, false, false},
		{"deleted, it excludes whom it did", participation.Rules{Everyone: true, ExcludedGroups: gone}, false, true},
		{"missing, it admits", participation.Rules{Groups: missing}, false, true},
		{"missing, its pilot goes on", participation.Rules{Everyone: true, Pilot: missing}, false, true},
		{"missing, it excludes", participation.Rules{Everyone: true, ExcludedGroups: missing}, true, false},
	} {
		d, _ := directory.Compile(accounts, users, matching.List{}, row.rules, nobody)
		if bob, cleo := d.People[1].Reads, d.People[2].Reads; bob != row.bob || cleo != row.cleo {
			t.Errorf("%s: bob %t, cleo %t; want %t, %t", row.name, bob, cleo, row.bob, row.cleo)
		}
	}
	want := directory.Absent{Group: gone[0].ID, Since: vanished, Deleted: true, Others: 1}
	if got := directory.AbsentOf(accounts.Groups); got != want {
		t.Errorf("AbsentOf() = %+v; want %+v", got, want)
	}
}

func TestACloneIsEqual(t *testing.T) {
	accounts, users := company()
	for _, users := range []*directory.Users{users, nil} {
		d, _ := directory.Compile(accounts, users, matching.List{}, everyone, nobody)
		if diff := cmp.Diff(d, d.Clone()); diff != "" {
			t.Errorf("clone (-want +got):\n%s", diff)
		}
	}
}

func TestAnEmptyListOfUsersMatchesNobody(t *testing.T) {
	accounts, _ := company()
	d, report := directory.Compile(accounts, directory.NewUsers(nil), matching.List{}, everyone, everyone)
	for _, p := range d.People {
		if p.Reads || p.Writes || p.Name != "" {
			t.Errorf("%s takes part", told(p))
		}
	}
	if unmatched, _ := report.Count(); unmatched != 0 {
		t.Errorf("%d users are unmatched; there are none", unmatched)
	}
}

func TestTwoUsersOfOneNameAreBothAmbiguous(t *testing.T) {
	accounts, _ := company()
	users := directory.NewUsers([]matching.User{{ID: "u1", Name: "ada", UPN: "ada@contoso.com"}, {ID: "u2", Name: "ada", Mail: "robert@contoso.com"}, {ID: "u3", Name: "cleo@contoso.com"}})
	d, report := directory.Compile(accounts, users, matching.List{}, everyone, nobody)
	for i, want := range []directory.Standing{directory.Ambiguous, directory.Ambiguous, directory.TakesPart} {
		if p := d.People[i]; p.Standing != want || p.Reads != (want == directory.TakesPart) {
			t.Errorf("%s; want standing %c", told(p), want)
		}
	}
	if v, _ := report.User("u1"); v.Outcome != matching.Ambiguous || v.Conflict == nil || !cmp.Equal(v.Conflict.Rivals, []string{"u2"}) {
		t.Errorf("verdict of u1 = %+v", v)
	}
	if v, _ := report.Account("a2"); v.Outcome != matching.Ambiguous || v.Conflict == nil || !cmp.Equal(v.Conflict.Rivals, []string{"a1"}) || !cmp.Equal(v.Conflict.With, []string{"u2"}) {
		t.Errorf("verdict of a2 = %+v", v)
	}
}

package directorysync_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	simulated "procallteams/dev/graph"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/presence"
)

func idsOf(users ...simulated.User) []presence.UserID {
	var ids []presence.UserID
	for _, u := range users {
		ids = append(ids, presence.UserID(u.ID))
	}
	slices.Sort(ids)
	return ids
}

func TestMembersOfTheGroupsThatRulesNameAreKnown(t *testing.T) {
	w := newWorld(t)
	users := w.entra.AddMembers(9)
	inner := w.entra.AddGroup(simulated.Group{DisplayName: "inner", Members: []string{users[2].ID, users[3].ID}})
	outer := w.entra.AddGroup(simulated.Group{DisplayName: "outer", Members: []string{users[0].ID, users[2].ID, inner.ID, w.entra.AddDevice("phone")}})
	w.entra.ChangeMembers(inner.ID, []string{outer.ID}, nil) // in a circle
	other := w.entra.AddGroup(simulated.Group{DisplayName: "other", Members: []string{users[8].ID}})
	const never = "99999999-0000-4000-8000-000000000009"
	w.byGroups([]string{outer.ID}, never)
	w.minute()
	first := w.now().Truncate(time.Minute)
	want := map[string]directory.Members{
		outer.ID: {Name: "outer", Accounts: idsOf(users[0], users[2], users[3])},
		never:    {Missing: first, Deleted: true},
	}
	check := func(what string) {
		t.Helper()
		if diff := cmp.Diff(want, w.stored().Groups); diff != "" {
			t.Errorf("%s: groups (-want +got):\n%s", what, diff)
		}
	}
	check("at first")

	// A group that is named now is read at once, those that are known are not.
	w.byGroups([]string{outer.ID, other.ID}, never)
	if asked := w.requests(w.minute); asked != 1+2 {
		t.Errorf("%d requests; want the changes, and the group with its members", asked)
	}
	want[other.ID] = directory.Members{Name: "other", Accounts: idsOf(users[8])}
	check("with another one")
	w.wire.Reset()
	w.minute()
	if n := w.wire.Operations(); n > 2 {
		t.Errorf("%d storage operations %v; want 2", n, w.wire.Counts())
	}

	// Changes of members, also of groups in groups, are found after ten minutes.
	w.entra.ChangeMembers(inner.ID, []string{users[5].ID}, []string{users[3].ID})
	w.entra.RemoveGroup(other.ID)
	w.after(11 * time.Minute)
	want[outer.ID] = directory.Members{Name: "outer", Accounts: idsOf(users[0], users[2], users[5])}
	gone := directory.Members{Name: "other", Accounts: idsOf(users[8]), Missing: w.now().Truncate(time.Minute)}
	want[other.ID] = gone
	check("after a change")

	w.byGroups([]string{other.ID})
	w.minute()
	want = map[string]directory.Members{other.ID: gone}
	check("with fewer")
	w.byGroups(nil)
	w.minute()
	want = map[string]directory.Members{}
	check("with none")
	w.wantAsInEntra()
}

func TestGroupsAreReadByTheAppWhereAPersonReadsAccounts(t *testing.T) {
	w := newWorld(t)
	w.kind, w.grouped = consent.User, true
	users := w.entra.AddMembers(3)
	a := w.entra.AddGroup(simulated.Group{DisplayName: "a", Members: []string{users[0].ID}})
	w.byGroups([]string{a.ID})
	w.minute()
	if groups := w.stored().Groups; !cmp.Equal(groups, map[string]directory.Members{a.ID: {Name: "a", Accounts: idsOf(users[0])}}) {
		t.Errorf("groups = %+v", groups)
	}
	if ref := w.look().Accounts; !ref.Basic || ref.Error != "" {
		t.Errorf("pointer = %+v", ref)
	}
}

func TestAGroupThatCannotBeReadKeepsItsMembers(t *testing.T) {
	w := newWorld(t)
	users := w.entra.AddMembers(3)
	a := w.entra.AddGroup(simulated.Group{DisplayName: "a", Members: []string{users[0].ID}})
	b := w.entra.AddGroup(simulated.Group{DisplayName: "b", Members: []string{users[1].ID}})
	w.byGroups([]string{a.ID})
	w.minute()
	w.byGroups([]string{a.ID, b.ID})
	for _, row := range []struct {
		status int
		text   string
	}{{http.StatusForbidden, "GroupMember.Read.All"}, {http.StatusBadGateway, "502"}} {
		fault := w.entra.Inject(simulated.Fault{Kind: simulated.Status, Path: "/groups/", Status: row.status})
		added := w.entra.AddMembers(1)[0]
		w.after(11 * time.Minute)
		now := w.stored()
		if !cmp.Equal(now.Groups, map[string]directory.Members{a.ID: {Name: "a", Accounts: idsOf(users[0])}}) {
			t.Errorf("%d: groups = %+v; want what was known", row.status, now.Groups)
		}
		if _, ok := now.Find(presence.UserID(added.ID)); !ok {
			t.Errorf("%d: the newcomer is missing", row.status)
		}
		if ref := w.look().Accounts; !strings.Contains(ref.Error, row.text) {
			t.Errorf("%d: pointer = %+v", row.status, ref)
		}
		w.entra.Clear(fault)
	}
	w.minute()
	if groups := w.stored().Groups; len(groups) != 2 || !cmp.Equal(groups[b.ID].Accounts, idsOf(users[1])) {
		t.Errorf("groups = %+v", groups)
	}
	if ref := w.look().Accounts; ref.Error != "" {
		t.Errorf("pointer = %+v", ref)
	}

	// A person's consent does not tell who is in a group; what was known stays.
	w.kind = consent.User
	w.after(time.Hour)
	if groups := w.stored().Groups; len(groups) != 2 {
		t.Errorf("groups = %+v", groups)
	}
}

// hours lets time pass with the runs that read groups.
func (w *world) hours(n int) {
	w.t.Helper()
	for range 6 * n {
		w.after(10 * time.Minute)
	}
}

func TestAGroupThatVanishesKeepsItsMembersForADay(t *testing.T) {
	w := newWorld(t)
	users := w.entra.AddMembers(3)
	group := w.entra.AddGroup(simulated.Group{DisplayName: "Sales", Members: []string{users[0].ID}})
	w.byGroups([]string{group.ID})
	w.minute()
	want := directory.Members{Name: "Sales", Accounts: idsOf(users[0])}
	check := func(what string, absent directory.Absent) {
		t.Helper()
		w.restart()
		if diff := cmp.Diff(want, w.stored().Groups[group.ID]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if diff := cmp.Diff(absent, w.look().Accounts.Absent); diff != "" {
			t.Errorf("%s: what is told (-want +got):\n%s", what, diff)
		}
	}
	check("at first", directory.Absent{})

	// One answer that is wrong, while Entra copies something.
	w.entra.Inject(simulated.Fault{Kind: simulated.Status, Path: "/groups/", Status: http.StatusNotFound, Code: "Request_ResourceNotFound", Count: 1})
	w.after(10 * time.Minute)
	want.Missing = w.now().Truncate(time.Minute)
	check("not found once", directory.Absent{Group: group.ID, Since: want.Missing})
	w.after(10 * time.Minute)
	want.Missing = time.Time{}
	check("found again", directory.Absent{})

	// Deleted, and restored after most of a day; its members come later.
	w.entra.RemoveGroup(group.ID)
	w.after(10 * time.Minute)
	want.Missing = w.now().Truncate(time.Minute)
	absent := directory.Absent{Group: group.ID, Since: want.Missing}
	check("deleted", absent)
	w.hours(23)
	check("for 23 hours", absent)
	w.entra.AddGroup(simulated.Group{ID: group.ID, DisplayName: "Sales"})
	w.after(10 * time.Minute)
	check("restored without members", absent)
	w.entra.ChangeMembers(group.ID, []string{users[0].ID, users[1].ID}, nil)
	w.after(10 * time.Minute)
	want = directory.Members{Name: "Sales", Accounts: idsOf(users[0], users[1])}
	check("restored", directory.Absent{})

	// Deleted for good. Who was in it stays known: an exclusion goes on.
	w.entra.RemoveGroup(group.ID)
	w.after(10 * time.Minute)
	want.Missing = w.now().Truncate(time.Minute)
	w.hours(24)
	want.Deleted = true
	check("for 24 hours", directory.Absent{Group: group.ID, Since: want.Missing, Deleted: true})
	w.hours(1)
	check("later", directory.Absent{Group: group.ID, Since: want.Missing, Deleted: true})
	for line, times := range map[string]int{"group is missing": 3, "group does not exist": 1} {
		if n := strings.Count(w.logs.String(), line); n != times {
			t.Errorf("%q is logged %d times; want %d", line, n, times)
		}
	}

	// What is restored after that is a group like any other, also an empty one.
	w.entra.AddGroup(simulated.Group{ID: group.ID, DisplayName: "Sales"})
	w.after(10 * time.Minute)
	want = directory.Members{Name: "Sales"}
	check("restored in the end", directory.Absent{})
	w.byGroups(nil)
	w.minute()
	if w.look().Accounts.Absent != (directory.Absent{}) {
		t.Error("a group that no rule names is told of")
	}
}

func TestNothingEmptiesAGroupButAWholeAnswer(t *testing.T) {
	w := newWorld(t)
	users := w.entra.AddMembers(1200) // two pages of members
	var all []string
	for _, u := range users {
		all = append(all, u.ID)
	}
	group := w.entra.AddGroup(simulated.Group{DisplayName: "Sales", Members: all})
	w.byGroups([]string{group.ID})
	w.minute()
	before := w.stored().Groups
	if len(before[group.ID].Accounts) != len(all) {
		t.Fatalf("%d members; want %d", len(before[group.ID].Accounts), len(all))
	}
	status := func(status int, code string) simulated.Fault {
		return simulated.Fault{Kind: simulated.Status, Path: "/groups/", Status: status, Code: code}
	}
	body := func(text string) simulated.Fault {
		return simulated.Fault{Kind: simulated.Body, Path: "/transitiveMembers", Body: []byte(text)}
	}
	for name, fault := range map[string]simulated.Fault{
		"404 of a gateway":     status(404, "ResourceNotFound"),
		"403":                  status(403, "Authorization_RequestDenied"),
		"410":                  status(410, "resyncRequired"),
		"429":                  {Kind: simulated.Throttle, Path: "/groups/", RetryAfter: 1},
		"503":                  status(503, "serviceNotAvailable"),
		"an empty object":      body(`{}`),
		"no list":              body(`{"value":null}`),
		"an error inside":      body(`{"error":{"code":"UnknownError"}}`),
		"another kind of list": body(`{"value":{}}`),
		"a page of a proxy":    {Kind: simulated.HTML, Path: "/transitiveMembers"},
		"a cut answer":         {Kind: simulated.Truncate, Path: "/transitiveMembers"},
		"no second page":       status(502, ""),
		"half a second page":   {Kind: simulated.Truncate, Path: "/transitiveMembers"},
	} {
		if strings.Contains(name, "second") {
			w.entra.OnAnswer(func(path string) {
				if strings.Contains(path, "/transitiveMembers") {
					w.entra.OnAnswer(func(string) {})
					w.entra.Inject(fault)
				}
			})
		} else {
			w.entra.Inject(fault)
		}
		w.after(11 * time.Minute)
		ref := w.look().Accounts
		if diff := cmp.Diff(before, w.stored().Groups); diff != "" || ref.Error == "" {
			t.Errorf("%s: error %q; groups (-before +after):\n%s", name, ref.Error, diff)
		}
		w.entra.Clear("")
		w.after(2 * time.Minute)
	}
	w.entra.ChangeMembers(group.ID, nil, all)
	w.after(11 * time.Minute)
	if n := len(w.stored().Groups[group.ID].Accounts); n != 0 {
		t.Errorf("%d members; a whole answer says that there are none", n)
	}
}

func TestAReadingFromTheStartKeepsTheGroups(t *testing.T) {
	w := newWorld(t)
	users := w.entra.AddMembers(6)
	group := w.entra.AddGroup(simulated.Group{DisplayName: "a", Members: []string{users[0].ID}})
	w.byGroups([]string{group.ID})
	w.minute()
	w.entra.ResetDelta()
	w.entra.AddMembers(1)
	w.minute()
	w.wantAsInEntra()
	if groups := w.stored().Groups; len(groups) != 1 || len(groups[group.ID].Accounts) != 1 {
		t.Errorf("groups = %+v", groups)
	}
}

func TestGroupsThatAPersonsConsentDoesNotTellAreToldOf(t *testing.T) {
	w := newWorld(t)
	w.kind = consent.User
	ada := w.entra.AddMembers(1)[0]
	w.byGroups([]string{w.entra.AddGroup(simulated.Group{DisplayName: "Sales", Members: []string{ada.ID}}).ID})
	w.minute()
	w.minute()
	if ref := w.look().Accounts; ref.Count != 1 || !strings.Contains(ref.Error, "admin consent") || ref.ErrorSince.IsZero() {
		t.Errorf("pointer = %+v; want the reason why the group is not read", ref)
	}
	w.kind = consent.Admin
	w.minute()
	if ref := w.look().Accounts; ref.Error != "" || len(w.stored().Groups) != 1 {
		t.Errorf("pointer = %+v; want the group read", ref)
	}
}

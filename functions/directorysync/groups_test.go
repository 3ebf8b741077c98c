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
	want := map[string]directory.Members{
		outer.ID: {Name: "outer", Accounts: idsOf(users[0], users[2], users[3])},
		never:    {Deleted: true},
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
	want[other.ID] = directory.Members{Deleted: true}
	check("after a change")

	w.byGroups([]string{other.ID})
	w.minute()
	want = map[string]directory.Members{other.ID: {Deleted: true}}
	check("with fewer")
	w.byGroups(nil)
	w.minute()
	want = map[string]directory.Members{}
	check("with none")
	w.wantAsInEntra()
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

package graph_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	simulated "procallteams/dev/graph"
	"procallteams/internal/graph"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
)

// membersOf returns who is in a group, in order of ids, and the error at the end.
func membersOf(t *testing.T, client *graph.Client, token secret.Text, group string) ([]presence.UserID, error) {
	t.Helper()
	var list []presence.UserID
	for user, err := range client.GroupMembers(t.Context(), token, group) {
		if err != nil {
			return list, err
		}
		list = append(list, user)
	}
	slices.Sort(list)
	return list, nil
}

func sorted(users []simulated.User) []presence.UserID {
	return slices.Sorted(slices.Values(idsOf(users)))
}

func TestTheMembersOfAGroupAreTheUsersInItAndInItsGroups(t *testing.T) {
	sim, client := simulator(t)
	users := sim.AddMembers(2100)
	inner := sim.AddGroup(simulated.Group{DisplayName: "Inner", Members: append(texts(users[1000:]), sim.AddDevice("Room"))})
	outer := sim.AddGroup(simulated.Group{DisplayName: "Outer", Members: append(texts(users[:1100]), inner.ID)})
	sim.ChangeMembers(inner.ID, []string{outer.ID}, nil) // a circle
	got, err := membersOf(t, client, token, strings.ToUpper(outer.ID))
	if err != nil || !slices.Equal(got, sorted(users)) {
		t.Errorf("%d members, %v; want %d", len(got), err, len(users))
	}
	empty := sim.AddGroup(simulated.Group{DisplayName: "Empty"})
	if got, err := membersOf(t, client, token, empty.ID); err != nil || len(got) != 0 {
		t.Errorf("an empty group has %v, %v", got, err)
	}
}

func texts(users []simulated.User) []string {
	var list []string
	for _, u := range users {
		list = append(list, u.ID)
	}
	return list
}

func TestAGroupThatIsGoneIsToldFromOtherRefusals(t *testing.T) {
	sim, client := simulator(t)
	group := sim.AddGroup(simulated.Group{DisplayName: "Pilot", Members: texts(sim.AddMembers(1500))})
	const never = "00000000-0000-4000-8000-00000000000a"
	for _, id := range []string{never, "", "pilot", "../users", "{" + never[:34] + "}"} {
		before := len(sim.Requests())
		_, err := membersOf(t, client, token, id)
		_, single := client.Group(t.Context(), token, id)
		for _, err := range []error{err, single} {
			if gone, ok := errors.AsType[*graph.NoGroupError](err); !ok || gone.ID != id {
				t.Errorf("group %q: %v", id, err)
			}
		}
		if id != never && len(sim.Requests()) != before {
			t.Errorf("group %q was asked for", id)
		}
	}
	sim.OnAnswer(func(string) { sim.OnAnswer(nil); sim.RemoveGroup(group.ID) })
	got, err := membersOf(t, client, token, group.ID)
	if _, ok := errors.AsType[*graph.NoGroupError](err); !ok || len(got) != 999 {
		t.Errorf("deleted between two pages: %d members, %v", len(got), err)
	}

}

func TestOtherRefusalsOfAGroupAreNotThatItIsGone(t *testing.T) {
	sim, client := simulator(t)
	group := sim.AddGroup(simulated.Group{DisplayName: "Pilot", Members: texts(sim.AddMembers(3))})
	body := func(text string) simulated.Fault { return simulated.Fault{Kind: simulated.Body, Body: []byte(text)} }
	for _, row := range []struct {
		name            string
		token           secret.Text
		fault           simulated.Fault
		members, single bool // which of the two calls must fail
	}{
		{"no permission", secret.New("bare-token"), simulated.Fault{}, true, true},
		{"throttled", token, simulated.Fault{Kind: simulated.Throttle}, true, true},
		{"404 of something else", token, simulated.Fault{Kind: simulated.Status, Status: 404, Code: "ResourceNotFound"}, true, true},
		{"a page of the network", token, simulated.Fault{Kind: simulated.HTML}, true, true},
		{"half an answer", token, simulated.Fault{Kind: simulated.Truncate}, true, true},
		{"a member without type", token, body(`{"id":"x","value":[{"id":"x"}]}`), true, false},
		{"a member without id", token, body(`{"id":"x","value":[{"@odata.type":"#microsoft.graph.user"}]}`), true, false},
		{"a group without id", token, body(`{"displayName":"x","value":[]}`), false, true},
	} {
		sim.Inject(row.fault)
		_, members := membersOf(t, client, row.token, group.ID)
		_, single := client.Group(t.Context(), row.token, group.ID)
		sim.Clear("")
		if (members != nil) != row.members || (single != nil) != row.single {
			t.Errorf("%s: members %v, group %v", row.name, members, single)
		}
		for _, err := range []error{members, single} {
			if _, gone := errors.AsType[*graph.NoGroupError](err); gone {
				t.Errorf("%s: %v; want another error", row.name, err)
			}
		}
	}
}

func TestGroupsAreReadByIdAndFoundByName(t *testing.T) {
	sim, client := simulator(t)
	first := sim.AddGroup(simulated.Group{DisplayName: "Pilot's & friends"})
	sim.AddGroup(simulated.Group{DisplayName: "pilot's & friends"})
	sim.AddGroup(simulated.Group{DisplayName: "Other"})
	if got, err := client.Group(t.Context(), token, strings.ToUpper(first.ID)); err != nil || got != (graph.Group{ID: first.ID, Name: "Pilot's & friends"}) {
		t.Errorf("group = %+v, %v", got, err)
	}
	if got, err := client.GroupsNamed(t.Context(), token, "Pilot's & friends"); err != nil || len(got) != 2 || got[0].ID == "" {
		t.Errorf("groups = %+v, %v", got, err)
	}
	if got, err := client.GroupsNamed(t.Context(), token, "x' or displayName eq 'Other"); err != nil || len(got) != 0 {
		t.Errorf("a name is part of the query: %+v, %v", got, err)
	}
}

package participation_test

import (
	"fmt"
	"testing"

	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

// members knows the group of Ada and Bob, an empty one, and nothing else.
func members(group string, _ bool) (map[presence.UserID]struct{}, bool) {
	switch group {
	case "sales":
		return map[presence.UserID]struct{}{"ada": {}, "bob": {}}, true
	case "deleted":
		return nil, true
	}
	return nil, false
}

func entra(id string) []participation.Group {
	return []participation.Group{{Source: participation.Entra, ID: id}}
}

func ucserver(name string) []participation.Group {
	return []participation.Group{{Source: participation.UCServer, ID: name}}
}

var ada = participation.Person{Account: "ada", User: "u1", Groups: []string{"Desk", "Hotline", "Reception "}}

func TestOneRuleAlone(t *testing.T) {
	for _, row := range []struct {
		name  string
		rules participation.Rules
		want  participation.Decision
	}{
		{"nothing set lets nobody take part", participation.Rules{}, participation.Decision{Rule: participation.Nobody}},
		{"everyone", participation.Rules{Everyone: true}, participation.Decision{TakesPart: true, Rule: participation.Everyone}},
		{"named by object id", participation.Rules{Users: []string{"ada"}}, participation.Decision{TakesPart: true, Rule: participation.User, By: "ada"}},
		{"named by UCServer's id", participation.Rules{Users: []string{"u1"}}, participation.Decision{TakesPart: true, Rule: participation.User, By: "u1"}},
		{"another is named", participation.Rules{Users: []string{"bob", ""}}, participation.Decision{Rule: participation.Nobody}},
		{"in an Entra group", participation.Rules{Groups: entra("sales")}, participation.Decision{TakesPart: true, Rule: participation.InGroup, By: "sales"}},
		{"in a UCServer group, in another case", participation.Rules{Groups: ucserver("HOTLINE")}, participation.Decision{TakesPart: true, Rule: participation.InGroup, By: "HOTLINE"}},
		{"in one with a blank at its end in UCServer", participation.Rules{Groups: ucserver("reception")}, participation.Decision{TakesPart: true, Rule: participation.InGroup, By: "reception"}},
		{"a group's name of the other source", participation.Rules{Groups: ucserver("sales")}, participation.Decision{Rule: participation.Nobody}},
		{"a deleted group has no members", participation.Rules{Groups: entra("deleted")}, participation.Decision{Rule: participation.Nobody}},
		{"an unknown group admits nobody", participation.Rules{Groups: entra("unread")}, participation.Decision{Rule: participation.Nobody, By: "unread", Unknown: true}},
		{"in the pilot", participation.Rules{Pilot: entra("sales")}, participation.Decision{TakesPart: true, Rule: participation.Pilot, By: "sales"}},
		{"not in the pilot", participation.Rules{Pilot: ucserver("Board"), Everyone: true}, participation.Decision{Rule: participation.Pilot}},
		{"an unknown pilot admits nobody", participation.Rules{Pilot: entra("unread"), Everyone: true}, participation.Decision{Rule: participation.Pilot, By: "unread", Unknown: true}},
		{"a deleted pilot admits nobody", participation.Rules{Pilot: entra("deleted"), Everyone: true}, participation.Decision{Rule: participation.Pilot}},
		{"an unknown excluded group excludes everybody", participation.Rules{ExcludedGroups: entra("unread"), Everyone: true}, participation.Decision{Rule: participation.ExcludedGroup, By: "unread", Unknown: true}},
		{"a deleted excluded group excludes nobody", participation.Rules{ExcludedGroups: entra("deleted"), Everyone: true}, participation.Decision{TakesPart: true, Rule: participation.Everyone}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := participation.NewPolicy(row.rules, members).Effective(ada); got != row.want {
				t.Errorf("Effective() = %+v; want %+v", got, row.want)
			}
		})
	}
}

func TestUCServersGroupsAreUnknownAsLongAsItsUsersAre(t *testing.T) {
	stranger := participation.Person{Account: "ada"}
	for _, row := range []struct {
		name  string
		rules participation.Rules
		want  participation.Decision
	}{
		{"an excluded group", participation.Rules{ExcludedGroups: ucserver("Desk"), Everyone: true}, participation.Decision{Rule: participation.ExcludedGroup, By: "Desk", Unknown: true}},
		{"a group", participation.Rules{Groups: ucserver("Desk")}, participation.Decision{Rule: participation.Nobody, By: "Desk", Unknown: true}},
		{"a group, and everyone", participation.Rules{Groups: ucserver("Desk"), Everyone: true}, participation.Decision{TakesPart: true, Rule: participation.Everyone}},
		{"a pilot", participation.Rules{Pilot: ucserver("Desk"), Everyone: true}, participation.Decision{Rule: participation.Pilot, By: "Desk", Unknown: true}},
		{"an Entra group beside", participation.Rules{Groups: append(ucserver("Desk"), entra("sales")...)}, participation.Decision{TakesPart: true, Rule: participation.InGroup, By: "sales"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := participation.NewPolicy(row.rules, members).Effective(stranger); got != row.want {
				t.Errorf("Effective() = %+v; want %+v", got, row.want)
			}
		})
	}
}

// The table of the package documentation: for every set of rules that concern a
// person, the first of them decides.
func TestTheFirstRuleOfTheTableDecides(t *testing.T) {
	table := []struct {
		rule      participation.Rule
		takesPart bool
		set       func(*participation.Rules)
	}{
		{participation.ExcludedUser, false, func(r *participation.Rules) { r.ExcludedUsers = []string{"ada"} }},
		{participation.ExcludedGroup, false, func(r *participation.Rules) { r.ExcludedGroups = ucserver("Desk") }},
		{participation.Pilot, true, func(r *participation.Rules) { r.Pilot = entra("sales") }},
		{participation.User, true, func(r *participation.Rules) { r.Users = []string{"u1"} }},
		{participation.InGroup, true, func(r *participation.Rules) { r.Groups = entra("sales") }},
		{participation.Everyone, true, func(r *participation.Rules) { r.Everyone = true }},
		{participation.Nobody, false, func(*participation.Rules) {}},
	}
	for set := range 1 << (len(table) - 1) {
		var rules participation.Rules
		first := table[len(table)-1]
		for i := len(table) - 2; i >= 0; i-- {
			if set&(1<<i) != 0 {
				table[i].set(&rules)
				first = table[i]
			}
		}
		got := participation.NewPolicy(rules, members).Effective(ada)
		if got.TakesPart != first.takesPart || got.Rule != first.rule {
			t.Errorf("%+v: %t by %s; want %t by %s", rules, got.TakesPart, got.Rule, first.takesPart, first.rule)
		}
		// Who is not in the pilot is out, whatever comes after it.
		rules.Pilot = ucserver("Board")
		if got := participation.NewPolicy(rules, members).Effective(ada); got.TakesPart || got.Rule > participation.Pilot {
			t.Errorf("%+v, not in the pilot: %t by %s", rules, got.TakesPart, got.Rule)
		}
	}
}

func TestAUserInFiveHundredGroups(t *testing.T) {
	many := participation.Person{Account: "ada", User: "u1"}
	for i := range 500 {
		many.Groups = append(many.Groups, fmt.Sprintf("Group %d", i))
	}
	policy := participation.NewPolicy(participation.Rules{Groups: ucserver("group 499")}, members)
	if got := policy.Effective(many); !got.TakesPart || got.By != "group 499" {
		t.Errorf("Effective() = %+v", got)
	}
}

func BenchmarkEffective100k(b *testing.B) {
	policy := participation.NewPolicy(participation.Rules{Groups: append(entra("sales"), ucserver("Group 19")...), ExcludedGroups: ucserver("Council")}, members)
	people := make([]participation.Person, 100_000)
	for i := range people {
		people[i].Account = presence.UserID(fmt.Sprint(i))
		for g := range 20 {
			people[i].Groups = append(people[i].Groups, fmt.Sprintf("Group %d", g))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range people {
			policy.Effective(p)
		}
	}
}

func TestAPersonIsNamedByAnyIdOrNameInAnyCase(t *testing.T) {
	person := participation.Person{Account: "0b3f5e7a-9c1d-4e2f-8a6b-7c5d3e1f9a0b", User: "U-17", UPN: "erika@contoso.com", Name: "Erika.Mustermann"}
	for _, entry := range []string{"0B3F5E7A-9C1D-4E2F-8A6B-7C5D3E1F9A0B", "{0b3f5e7a-9c1d-4e2f-8a6b-7c5d3e1f9a0b}", "U-17", "u-17", "Erika@Contoso.com", "erika.mustermann"} {
		policy := participation.NewPolicy(participation.Rules{Everyone: true, ExcludedUsers: []string{entry}}, nil)
		if got := policy.Effective(person); got.TakesPart || got.By != entry {
			t.Errorf("excluded as %q: %+v", entry, got)
		}
		if got := policy.Effective(participation.Person{Account: "other", User: "U-18", UPN: "max@contoso.com", Name: "Max"}); !got.TakesPart {
			t.Errorf("excluded as %q: another person is %+v", entry, got)
		}
	}
}

package userlist

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
)

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func named(id, name string) matching.User { return matching.User{ID: id, Name: name} }

func put(u matching.User) Change              { return Change{User: u} }
func remove(id string) Change                 { return Change{Remove: true, User: matching.User{ID: id}} }
func list(u ...matching.User) []matching.User { return u }

func TestChangesAreMadeInTheirOrder(t *testing.T) {
	ada, bob, eve := named("1", "ada"), named("2", "bob"), named("3", "eve")
	for _, test := range []struct {
		name    string
		changes []Change
		want    []matching.User
		effects []Effect
	}{
		{"nothing", nil, list(ada, bob), []Effect{}},
		{"a new user", []Change{put(eve)}, list(ada, bob, eve), []Effect{Added}},
		{"a user who is another one", []Change{put(named("1", "eva"))}, list(named("1", "eva"), bob), []Effect{Changed}},
		{"a user as before", []Change{put(bob)}, list(ada, bob), []Effect{Unchanged}},
		{"a leaver", []Change{remove("1")}, list(bob), []Effect{Removed}},
		{"a leaver who is gone already", []Change{remove("9")}, list(ada, bob), []Effect{Unchanged}},
		{"gone and back", []Change{remove("1"), put(ada)}, list(ada, bob), []Effect{Removed, Added}},
		{"come and gone", []Change{put(eve), remove("3")}, list(ada, bob), []Effect{Added, Removed}},
		{"names that are exchanged", []Change{put(named("1", "bob")), put(named("2", "ada"))}, list(named("1", "bob"), named("2", "ada")), []Effect{Changed, Changed}},
		{"a name that a leaver had", []Change{put(named("3", "ada")), remove("1")}, list(bob, named("3", "ada")), []Effect{Added, Removed}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := list(ada, bob)
			got, effects, err := Apply(before, test.changes)
			if err != nil || !slices.EqualFunc(got, test.want, Same) || !slices.Equal(effects, test.effects) {
				t.Errorf("Apply = %v, %v, %v; want %v, %v", got, effects, err, test.want, test.effects)
			}
			if !slices.EqualFunc(before, list(ada, bob), Same) {
				t.Error("the list before was changed")
			}
			again, effects, err := Apply(got, test.changes)
			if err != nil || !slices.EqualFunc(again, got, Same) {
				t.Errorf("once more: %v, %v, %v", again, effects, err)
			}
		})
	}
}

func TestAChangeMustNotTakeSomebodysName(t *testing.T) {
	_, _, err := Apply(list(named("1", "ada")), []Change{{Line: 4, User: named("2", "ada")}})
	faults, ok := errors.AsType[*FaultsError](err)
	if !ok || faults.Faults[0].Line != 4 || strings.Contains(err.Error(), "ada") {
		t.Errorf("Apply = %v", err)
	}
	// Upper and lower case make another name.
	if _, _, err := Apply(list(named("1", "ada")), []Change{put(named("2", "Ada"))}); err != nil {
		t.Errorf("Apply = %v", err)
	}
}

func TestAStepThatTakesMoreThanAFifthShrinks(t *testing.T) {
	before := list(named("1", "a"), named("2", "b"), named("3", "c"), named("4", "d"), named("5", "e"))
	for _, test := range []struct {
		name  string
		after []matching.User
		want  bool
	}{
		{"the same", before, false},
		{"a fifth goes", before[:4], false},
		{"two fifths go", before[:3], true},
		{"nobody stays", nil, true},
		{"as many, but others", list(named("6", "a"), named("7", "b"), named("8", "c"), named("9", "d"), named("a", "e")), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Between(before, test.after).Shrinks(len(before)); got != test.want {
				t.Errorf("Shrinks = %t", got)
			}
		})
	}
	if Between(nil, before).Shrinks(0) {
		t.Error("a first list shrinks nothing")
	}
}

func TestEveryUserIsTold(t *testing.T) {
	accounts := &directory.Accounts{People: []matching.Account{
		{ID: "e1", UPN: "ada@contoso.com"},
		{ID: "e2", UPN: "bob@contoso.com"},
		{ID: "e3", UPN: "twin.one@contoso.com", Mail: "twins@contoso.com"},
		{ID: "e4", UPN: "twin.two@contoso.com", Mail: "twins@contoso.com"},
		{ID: "e5", UPN: "eve@contoso.onmicrosoft.com"},
		{ID: "e6", UPN: "off@contoso.com", Disabled: true},
	}}
	users := &directory.Users{People: list(
		matching.User{ID: "1", Name: "ada@contoso.com", Groups: []string{"Sales"}}, named("2", "bob@contoso.com"),
		matching.User{ID: "3", Name: "twin", Mail: "twins@contoso.com"}, named("4", "eve@domain.local"), named("5", "off@contoso.com"), named("6", "nobody"),
	)}
	sales := participation.Rules{Groups: []participation.Group{{Source: participation.UCServer, ID: "sales"}}}
	j := Judgement{Users: users.People}
	j.Directory, j.Report = directory.Compile(accounts, users, matching.List{}, sales, participation.Rules{})
	nobody := &Decision{Rule: "nobody"}
	want := []Line{
		{ID: "1", Name: "ada@contoso.com", Result: TakesPart, Match: &Match{Rule: "upn"}, Account: &Account{"e1", "ada@contoso.com"},
			TeamsToProCall: &Decision{TakesPart: true, Rule: "group", By: "sales"}, ProCallToTeams: nobody},
		{ID: "2", Name: "bob@contoso.com", Result: NotEnabled, Match: &Match{Rule: "upn"}, Account: &Account{"e2", "bob@contoso.com"},
			TeamsToProCall: nobody, ProCallToTeams: nobody, Advice: notEnabledAdvice},
		{ID: "3", Name: "twin", Result: "ambiguous", Match: &Match{Rule: "mail"}, Advice: matching.Reason(0).Advice(),
			Conflict: &Conflict{Accounts: []Account{{"e3", "twin.one@contoso.com"}, {"e4", "twin.two@contoso.com"}}, Users: []Other{}}},
		{ID: "4", Name: "eve@domain.local", Result: "nearMiss", Reason: "otherDomain", Advice: matching.OtherDomain.Advice(), Account: &Account{"e5", "eve@contoso.onmicrosoft.com"}},
		{ID: "5", Name: "off@contoso.com", Result: "unmatched", Match: &Match{Rule: "upn"}, Reason: "accountDisabled", Advice: matching.AccountDisabled.Advice(), Account: &Account{"e6", "off@contoso.com"}},
		{ID: "6", Name: "nobody", Result: "unmatched", Advice: matching.Reason(0).Advice()},
	}
	for i, u := range users.People {
		if diff := cmp.Diff(want[i], j.Line(u)); diff != "" {
			t.Errorf("user %s (-want +got):\n%s", u.ID, diff)
		}
	}
}

func TestUsersAreNotJudgedBeforeTheOtherSideIsKnown(t *testing.T) {
	j := Judgement{Users: list(named("1", "ada"))}
	if got := j.Line(j.Users[0]); got.Result != NotJudged {
		t.Errorf("%+v", got)
	}
}

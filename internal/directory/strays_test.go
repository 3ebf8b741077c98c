package directory_test

import (
	"fmt"
	"testing"

	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

func roster(accounts *directory.Accounts, users *directory.Users) directory.Roster {
	d, _ := directory.Compile(accounts, users, matching.List{}, nobody, nobody)
	return directory.Roster{Directory: d, Accounts: accounts, Users: users}
}

func TestEntriesThatConcernNobody(t *testing.T) {
	accounts, users := company()
	users.People[0].Groups = append(users.People[0].Groups, "Works council ") // as somebody typed it in UCServer
	users.People[5].Groups = []string{"Temps"}                                // frida's, who has no account
	all := roster(accounts, users)
	person, group := func(name string) directory.Resemblance { return directory.Resemblance{Name: name} }, func(name string) directory.Resemblance {
		return directory.Resemblance{Name: name, Group: true}
	}
	nothing := directory.Resemblance{}
	for _, row := range []struct {
		name, entry string
		why         directory.Why
		near        directory.Resemblance
	}{
		{"an object id", "a1", 0, nothing},
		{"the connector's id, in another case", "U2", 0, nothing},
		{"a UPN in another case", "Cleo@Contoso.com", 0, nothing},
		{"a UCServer name", "bob", 0, nothing},
		{"an account that was not matched", "nobody@contoso.com", directory.PersonAlone, nothing},
		{"a disabled one", "dan@contoso.com", directory.PersonAlone, nothing},
		{"a user without an account", "frida", directory.PersonAlone, nothing},
		{"another address of an account", "robert@contoso.com", directory.NoPerson, person("bob@contoso.com")},
		{"the UPN in another domain", "ada@fabrikam.com", directory.NoPerson, person("ada@contoso.com")},
		{"a character that nobody sees", "a\u200bda", directory.NoPerson, person("ada")},
		{"one letter missing", "twin1@contso.com", directory.NoPerson, person("twin1@contoso.com")},
		{"two letters swapped", "nobdoy", directory.NoPerson, person("nobody@contoso.com")},
		{"a group's name among the people", "Sales", directory.NoPerson, group("sales")},
		{"short names are not guessed at", "adb", directory.NoPerson, nothing},
		{"nor is a number", "471100", directory.NoPerson, nothing},
		{"nothing like it", "zacharias", directory.NoPerson, nothing},
		{"nothing to compare", "…", directory.NoPerson, nothing},
	} {
		t.Run(row.name, func(t *testing.T) {
			for list, rules := range map[string]participation.Rules{"users": {Users: []string{row.entry}}, "excludedUsers": {ExcludedUsers: []string{row.entry}}} {
				want := []directory.Stray{{List: list, Entry: row.entry, Why: row.why, Near: row.near}}
				if row.why == 0 {
					want = nil
				}
				if got := all.Strays(rules); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("= %v; want %v", got, want)
				}
			}
		})
	}
	entra := func(id string) participation.Group { return participation.Group{Source: participation.Entra, ID: id} }
	ucserver := func(id string) participation.Group {
		return participation.Group{Source: participation.UCServer, ID: id}
	}
	for _, row := range []struct {
		name  string
		group participation.Group
		why   directory.Why
		near  directory.Resemblance
	}{
		{"a UCServer group in another case", ucserver("SALES"), 0, nothing},
		{"a blank at its end in UCServer", ucserver("works council"), 0, nothing},
		{"a hyphen", ucserver("Works-council"), directory.NoGroup, group("Works council ")},
		{"a slip", ucserver("Suport"), directory.NoGroup, group("Support")},
		{"a person's name", ucserver("ada@contoso.com"), directory.NoGroup, person("ada@contoso.com")},
		{"nothing like it", ucserver("Board"), directory.NoGroup, nothing},
		{"nobody in it has an account", ucserver("temps"), directory.GroupAlone, nothing},
		{"an Entra group", entra("11111111-0000-4000-8000-000000000001"), 0, nothing},
		{"one that was deleted", entra("11111111-0000-4000-8000-000000000002"), directory.GroupDeleted, nothing},
		{"one that was not read", entra("11111111-0000-4000-8000-000000000003"), directory.GroupUnread, nothing},
	} {
		t.Run(row.name, func(t *testing.T) {
			for list, rules := range map[string]participation.Rules{
				"groups": {Groups: []participation.Group{row.group}}, "excludedGroups": {ExcludedGroups: []participation.Group{row.group}}, "pilot": {Pilot: []participation.Group{row.group}},
			} {
				want := []directory.Stray{{List: list, Entry: row.group.ID, Why: row.why, Near: row.near}}
				if row.why == 0 {
					want = nil
				}
				if got := all.Strays(rules); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("= %v; want %v", got, want)
				}
			}
		})
	}
}

func TestAGroupOfEntraThatIsAPersonsIdIsSaidToBeThePerson(t *testing.T) {
	const id = "0b3f5e7a-9c1d-4e2f-8a6b-7c5d3e1f9a0b"
	accounts := directory.NewAccounts([]matching.Account{{ID: id, UPN: "ada@contoso.com"}}, map[string]directory.Members{id: {Deleted: true}, "empty": {}})
	got := roster(accounts, nil).Strays(participation.Rules{Groups: []participation.Group{
		{Source: participation.Entra, ID: id}, {Source: participation.Entra, ID: "empty"}, {Source: participation.UCServer, ID: "Sales"},
	}})
	want := []directory.Stray{
		{List: "groups", Entry: id, Why: directory.GroupDeleted, Near: directory.Resemblance{Name: "ada@contoso.com"}},
		{List: "groups", Entry: "empty", Why: directory.GroupAlone}, {List: "groups", Entry: "Sales", Why: directory.UsersUnknown},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("= %v; want %v", got, want)
	}
}

// A page asks for it: 100,000 people and 400 entries that nobody has.
func BenchmarkStrays100k(b *testing.B) {
	people, users, rules := make([]matching.Account, 100_000), make([]matching.User, 100_000), participation.Rules{}
	for i := range people {
		people[i] = matching.Account{ID: presence.UserID(fmt.Sprintf("%08d", i)), UPN: fmt.Sprintf("given%d.family%d@contoso.com", i, i), Mail: fmt.Sprintf("given%d.family%d@contoso.com", i, i)}
		users[i] = matching.User{ID: fmt.Sprintf("%08d", i), Name: fmt.Sprintf("given%d.family%d", i, i), UPN: people[i].UPN, Groups: []string{fmt.Sprint("Group ", i%500)}}
	}
	for i := range 200 {
		rules.Users = append(rules.Users, fmt.Sprint("who.is.this", i))
		rules.Groups = append(rules.Groups, participation.Group{Source: participation.UCServer, ID: fmt.Sprint("What is this ", i)})
	}
	all := roster(directory.NewAccounts(people, nil), directory.NewUsers(users))
	b.ReportAllocs()
	for b.Loop() {
		all.Strays(rules)
	}
}

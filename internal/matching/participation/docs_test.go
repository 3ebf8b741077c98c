package participation_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

// TestTheTableOfTheDocumentationIsTheOrderOfTheRules holds docs/participation.md and
// the package comment to the rules themselves: each row is played with rules of
// which all rows from it downwards concern the person.
func TestTheTableOfTheDocumentationIsTheOrderOfTheRules(t *testing.T) {
	document, err := os.ReadFile("../../../docs/participation.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("participation.go")
	if err != nil {
		t.Fatal(err)
	}
	sales := []participation.Group{{Source: participation.UCServer, ID: "Sales"}}
	all := participation.Rules{Everyone: true, Groups: sales, Users: []string{"4711"}, Pilot: sales, ExcludedGroups: sales, ExcludedUsers: []string{"4711"}}
	person := participation.Person{Account: "a", User: "4711", Groups: []string{"sales"}}
	nobodyKnown := func(string, bool) (map[presence.UserID]struct{}, bool) { return nil, false }
	without := []func(*participation.Rules){
		func(r *participation.Rules) { r.ExcludedUsers = nil }, func(r *participation.Rules) { r.ExcludedGroups = nil },
		func(r *participation.Rules) { r.Pilot = nil }, func(r *participation.Rules) { r.Users = nil },
		func(r *participation.Rules) { r.Groups = nil }, func(r *participation.Rules) { r.Everyone = false },
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]+) \\| ([^|]+) \\|$").FindAllStringSubmatch(string(document), -1)
	if len(rows) != len(without)+1 {
		t.Fatalf("docs/participation.md has %d rows; want %d", len(rows), len(without)+1)
	}
	for i, row := range rows {
		decision := participation.NewPolicy(all, nobodyKnown).Effective(person)
		if decision.Rule.String() != row[1] || decision.TakesPart != (row[3] == "yes" || strings.HasPrefix(row[3], "its members")) {
			t.Errorf("row %d says %s, %s; the rules say %s, %t", i+1, row[1], row[3], decision.Rule, decision.TakesPart)
		}
		if !regexp.MustCompile(`(?m)^//\s+` + row[1] + `\s+` + regexp.QuoteMeta(row[2]) + `\s+` + regexp.QuoteMeta(row[3]) + `$`).Match(source) {
			t.Errorf("the package comment lacks %q", row[0])
		}
		if i < len(without) {
			without[i](&all)
		}
	}
}

package settings_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/matching/participation"
	"procallteams/internal/settings"
)

var sales = participation.Group{Source: participation.Entra, ID: "11111111-2222-4333-8444-555555555555"}

func TestOneTextForTheSameRules(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       settings.Participation // empty: as By makes it
		rules      participation.Rules
		on         bool
	}{
		{"nobody", `"nobody"`, settings.Nobody, participation.Rules{}, false},
		{"everyone", `"everyone"`, settings.Everyone, participation.Rules{Everyone: true}, true},
		{"rules that let nobody", `{"everyone":false,"users":[]}`, settings.Nobody, participation.Rules{}, false},
		{"rules that let everyone", `{ "everyone" : true }`, settings.Everyone, participation.Rules{Everyone: true}, true},
		{"a group", `{"groups":[{"id":"11111111-2222-4333-8444-555555555555","source":"entra"}]}`, "", participation.Rules{Groups: []participation.Group{sales}}, true},
		{"a person", `{"users":["7"]}`, "", participation.Rules{Users: []string{"7"}}, true},
		{"a pilot", `{"pilot":[{"source":"ucserver","id":"Pilot"}],"everyone":true}`, "", participation.Rules{Everyone: true, Pilot: []participation.Group{{Source: participation.UCServer, ID: "Pilot"}}}, true},
		{"exclusions alone", `{"excludedUsers":["7"]}`, "", participation.Rules{ExcludedUsers: []string{"7"}}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var p settings.Participation
			if err := json.Unmarshal([]byte(row.text), &p); err != nil {
				t.Fatal(err)
			}
			if want := row.want; want == "" && p != settings.By(row.rules) || want != "" && p != want {
				t.Errorf("%s is %q", row.text, p)
			}
			if diff := cmp.Diff(row.rules, p.Rules()); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if p.On() != row.on {
				t.Errorf("On() = %t", p.On())
			}
			again, err := json.Marshal(struct{ P settings.Participation }{p})
			if err != nil {
				t.Fatal(err)
			}
			var back struct{ P settings.Participation }
			if err := json.Unmarshal(again, &back); err != nil || back.P != p {
				t.Errorf("%s comes back as %q, %v; want %q", again, back.P, err, p)
			}
			if err := (settings.Integration{TeamsToProCall: p}).Validate(); err != nil {
				t.Errorf("Validate() = %v", err)
			}
		})
	}
	if text, err := json.Marshal(settings.Participation("")); err != nil || string(text) != `"nobody"` {
		t.Errorf("nothing set is %s, %v", text, err)
	}
}

func TestRulesThatAreNotUnderstoodLetNobodyTakePart(t *testing.T) {
	for text, fault := range map[string]string{
		`"some"`:                            `proCallToTeams: must be "nobody", "everyone" or rules`,
		`{"everyone":true,"onlyMondays":1}`: `unknown field "onlyMondays"`,
		`{"everyone":"yes"}`:                "is not rules",
		`"{"`:                               "is not rules",
	} {
		var i settings.Integration
		if err := json.Unmarshal([]byte(`{"proCallToTeams":`+text+`}`), &i); err != nil {
			t.Fatalf("%s: %v; a row of a later version must be readable", text, err)
		}
		if i.ProCallToTeams.On() || i.Writes() {
			t.Errorf("%s: is on", text)
		}
		if err := i.Validate(); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: Validate() = %v; want %s", text, err, fault)
		}
		var again settings.Integration
		if body, err := json.Marshal(i); err != nil {
			t.Error(err)
		} else if err := json.Unmarshal(body, &again); err != nil || again.ProCallToTeams != i.ProCallToTeams {
			t.Errorf("%s comes back as %q, %v", text, again.ProCallToTeams, err)
		}
	}
	for _, text := range []string{`7`, `true`, `[]`} {
		var i settings.Integration
		err := json.Unmarshal([]byte(`{"proCallToTeams":`+text+`}`), &i)
		if err == nil || !strings.Contains(err.Error(), "proCallToTeams") {
			t.Errorf("%s: %v; want the field named", text, err)
		}
	}
}

func TestFaultsOfRulesNameTheEntry(t *testing.T) {
	many := make([]string, 201)
	for i := range many {
		many[i] = "7"
	}
	long := make([]participation.Group, 60)
	for i := range long {
		long[i] = participation.Group{Source: participation.UCServer, ID: strings.Repeat("x", 250)}
	}
	for fault, rules := range map[string]participation.Rules{
		"teamsToProCall: users: has 201 entries, more than 200": {Users: many},
		"teamsToProCall: users[1]: is empty":                    {Users: []string{"7", " "}},
		"excludedUsers[0]: has blanks around it":                {ExcludedUsers: []string{"7 "}},
		"groups[0]: an Entra group is named by its object id":   {Groups: []participation.Group{{Source: participation.Entra, ID: "Sales"}}},
		`excludedGroups[0]: source must be "ucserver"`:          {ExcludedGroups: []participation.Group{{Source: "ad", ID: "x"}}},
		"pilot[0]: has more than 256 bytes":                     {Pilot: []participation.Group{{Source: participation.UCServer, ID: strings.Repeat("x", 257)}}},
		"teamsToProCall: has ":                                  {Groups: long},
	} {
		err := settings.Integration{TeamsToProCall: settings.By(rules)}.Validate()
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("Validate() = %.300v; want %s", err, fault)
		}
	}
}

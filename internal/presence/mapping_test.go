package presence_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"procallteams/internal/presence"
)

func overridesOf(t *testing.T, text string) []presence.Override {
	t.Helper()
	var overrides []presence.Override
	if err := json.Unmarshal([]byte(text), &overrides); err != nil {
		t.Fatal(err)
	}
	return overrides
}

func TestAnOverrideStandsInThePlaceOfItsLine(t *testing.T) {
	for _, row := range []struct{ name, overrides, availability, activity, want string }{
		{"a meeting may make busy", `[{"availability":"Busy","activity":"InAMeeting","state":"busy","reasons":["call"]}]`, "Busy", "InAMeeting", "busy [call]"},
		{"and leaves a call as it is", `[{"availability":"Busy","activity":"InAMeeting","state":"busy"}]`, "Busy", "InACall", "busy [call]"},
		{"a call may contribute nothing", `[{"availability":"Busy","activity":"InACall","state":null}]`, "Busy", "InACall", " []"},
		{"written in the newer set, it is the same line", `[{"availability":"inAMeeting","activity":"busy","state":"busy"}]`, "Busy", "InAMeeting", "busy []"},
		{"in the newer set alone too", `[{"availability":"presenting","state":null}]`, "DoNotDisturb", "Presenting", " []"},
		{"what comes in the newer set finds it", `[{"availability":"Busy","activity":"InAMeeting","state":"busy"}]`, "inAMeeting", "busy", "busy []"},
		{"case does not matter", `[{"availability":"BUSY","activity":"inameeting","state":"busy"}]`, "busy", "inAMeeting", "busy []"},
		{"without an activity, it is about every other activity", `[{"availability":"Away","state":"absent"}]`, "Away", "Inactive", "absent []"},
		{"but not about those with a line", `[{"availability":"DoNotDisturb","state":null}]`, "DoNotDisturb", "Presenting", "doNotDisturb []"},
		{"an exact line goes before it", `[{"availability":"Away","state":"absent"},{"availability":"Away","activity":"Away","state":"busy"}]`, "Away", "Away", "busy []"},
		{"an unknown activity follows it", `[{"availability":"Busy","state":"busy"}]`, "Busy", "Juggling", "busy []"},
		{"an unknown availability has a line too", `[{"availability":"PresenceUnknown","state":"absent"}]`, "Juggling", "Juggling", "absent []"},
	} {
		t.Run(row.name, func(t *testing.T) {
			availability, _ := presence.ParseAvailability(row.availability)
			activity, _ := presence.ParseActivity(row.activity)
			mapping := presence.NewMapping(overridesOf(t, row.overrides))
			outcome := mapping.OutcomeOf(presence.State{Availability: availability, Activity: activity})
			view := outcome.View()
			state := presence.ProCallState("")
			if view.State != nil {
				state = *view.State
			}
			if got := fmt.Sprint(string(state), " ", view.Reasons); got != row.want {
				t.Errorf("%s/%s contributes %q; want %q", row.availability, row.activity, got, row.want)
			}
			if again := mapping.Again(presence.OutcomeOf(presence.State{Availability: availability, Activity: activity})); again != outcome {
				t.Errorf("judged again %+v; want %+v", again, outcome)
			}
		})
	}
}

func TestWhatIsNotTeamsOwnKeepsContributingNothing(t *testing.T) {
	mapping := presence.NewMapping(overridesOf(t, `[{"availability":"Busy","activity":"InACall","state":"busy"},{"availability":"PresenceUnknown","state":"busy"}]`))
	for _, outcome := range []presence.Outcome{
		presence.EchoOf(presence.State{Availability: presence.Busy, Activity: presence.InACall}), presence.Withdrawn(presence.FromStale), presence.Withdrawn(presence.FromPause),
	} {
		if got := mapping.Again(outcome); got != outcome {
			t.Errorf("%+v became %+v", outcome, got)
		}
	}
}

func TestAnOverrideThatCanFitNothingIsRefused(t *testing.T) {
	for _, text := range []string{
		`{"availability":"Juggling","state":null}`, `{"availability":"","state":null}`, `{"state":null}`,
		`{"availability":"Busy","activity":"Juggling","state":null}`, `{"availability":"Busy","state":"away"}`, `{"availability":"Busy","state":""}`,
		`{"availability":"Busy","state":"busy","reasons":["ringing"]}`, `{"availability":"Busy","state":null,"reasons":["call"]}`,
		`{"availability":"Busy","state":"doNotDisturb","reasons":["call"]}`, `{"availability":"Busy","colour":"red"}`,
		`{"availability":7}`, `{"availability":"Busy","reasons":"call"}`, `[]`, `7`,
	} {
		var o presence.Override
		if err := o.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
	if _, err := presence.InOrder(overridesOf(t, `[{"availability":"Busy","activity":"InACall","state":null},{"availability":"inACall","state":"busy"}]`)); err == nil {
		t.Error("two lines about one presence were taken")
	}
}

func TestAnUnknownAvailabilityIsLikeTheBasePresenceBesideIt(t *testing.T) {
	for activity, want := range map[string]string{"doNotDisturb": "doNotDisturb", "busy": "", "Away": "", "InACall": "", "Juggling": ""} {
		availability, known := presence.ParseAvailability("inAHologram")
		parsed, _ := presence.ParseActivity(activity)
		outcome := presence.OutcomeOf(presence.State{Availability: availability, Activity: parsed})
		if known || string(outcome.ProCall.State) != want {
			t.Errorf("inAHologram/%s contributes %q; want %q", activity, outcome.ProCall.State, want)
		}
	}
}

// TestTheMappingInTheDocumentationIsTheMapping compares docs/mapping.md.
func TestTheMappingInTheDocumentationIsTheMapping(t *testing.T) {
	document, err := os.ReadFile("../../docs/mapping.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, l := range (presence.Mapping{}).Lines() {
		activity, state := string(l.Activity), "nothing"
		if activity == "" {
			activity = "every other"
		}
		if l.ProCall.State != nil {
			state = strings.Join(append([]string{string(*l.ProCall.State)}, l.ProCall.Reasons...), ", ")
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s |\n", l.Availability, activity, state, l.ProCall.Icon, l.ProCall.Label)
	}
	if !strings.Contains(string(document), table.String()) {
		t.Errorf("docs/mapping.md lacks the table\n%s", table.String())
	}
}

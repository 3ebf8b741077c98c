package presence_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"procallteams/internal/presence"
)

func asIs(s string) string { return s }

func camel(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func TestEachTeamsPresenceContributesWhatTheTableSays(t *testing.T) {
	const busyCall, dnd, none = `"busy"`, `"doNotDisturb"`, `null`
	for _, row := range []struct {
		name, availability, activity, state string
		raw                                 uint32
		icon, label                         string
	}{
		{"available", "Available", "Available", none, 0, "neutral", "present"},
		{"busy by hand or by calendar", "Busy", "Busy", none, 0, "red", "busy"},
		{"do not disturb", "DoNotDisturb", "DoNotDisturb", dnd, 4, "red", "doNotDisturb"},
		{"be right back", "BeRightBack", "BeRightBack", none, 0, "yellow", "absent"},
		{"away", "Away", "Away", none, 0, "yellow", "absent"},
		{"appear offline", "Offline", "OffWork", none, 0, "neutral", "unknown"},
		{"call or joined meeting", "Busy", "InACall", busyCall, 67108866, "red", "inCall"},
		{"screen sharing", "DoNotDisturb", "Presenting", dnd, 4, "red", "doNotDisturb"},
		{"meeting in the calendar", "Busy", "InAMeeting", none, 0, "red", "inMeeting"},

		{"conference call", "Busy", "InAConferenceCall", busyCall, 67108866, "red", "inCall"},
		{"urgent interruptions only", "DoNotDisturb", "UrgentInterruptionsOnly", dnd, 4, "red", "doNotDisturb"},
		{"focusing", "DoNotDisturb", "Focusing", none, 0, "red", "focusing"},
		{"out of office", "Available", "OutOfOffice", none, 0, "neutral", "outOfOffice"},
		{"inactive", "Away", "Inactive", none, 0, "yellow", "absent"},
		{"available, idle", "AvailableIdle", "AvailableIdle", none, 0, "neutral", "inactive"},
		{"busy, idle", "BusyIdle", "InACall", none, 0, "red", "busy"},
		{"unknown", "PresenceUnknown", "PresenceUnknown", none, 0, "neutral", "unknown"},
		{"an unknown activity falls back to do not disturb", "DoNotDisturb", "Juggling", dnd, 4, "red", "doNotDisturb"},
		{"an unknown activity falls back to busy", "Busy", "Juggling", none, 0, "red", "busy"},
		{"an unknown availability contributes nothing", "Juggling", "InACall", none, 0, "neutral", "unknown"},

		{"September 2025: call", "inACall", "busy", busyCall, 67108866, "red", "inCall"},
		{"September 2025: meeting", "inAMeeting", "busy", none, 0, "red", "inMeeting"},
		{"September 2025: presenting", "presenting", "doNotDisturb", dnd, 4, "red", "doNotDisturb"},
		{"September 2025: focusing", "focusing", "doNotDisturb", none, 0, "red", "focusing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, spell := range []func(string) string{asIs, camel, strings.ToUpper} {
				availability, _ := presence.ParseAvailability(spell(row.availability))
				activity, _ := presence.ParseActivity([]byte(spell(row.activity)))
				outcome := presence.OutcomeOf(presence.State{Availability: availability, Activity: activity})
				reasons := "[]"
				if row.state == busyCall {
					reasons = `["call"]`
				}
				raw := ""
				if row.raw != 0 {
					raw = fmt.Sprintf(`"raw":%d,`, row.raw)
				}
				want := fmt.Sprintf(`{"state":%s,"reasons":%s,%s"icon":%q,"label":%q}`, row.state, reasons, raw, row.icon, row.label)
				got, err := json.Marshal(outcome.View())
				if err != nil || string(got) != want {
					t.Errorf("%s/%s = %s, %v; want %s", spell(row.availability), spell(row.activity), got, err, want)
				}
				if outcome.Source != presence.FromTeams {
					t.Errorf("source = %q; want teams", outcome.Source)
				}
			}
		})
	}
}

func TestBothSetsOfValuesGiveTheSameOutcome(t *testing.T) {
	for _, pair := range [][2]presence.State{
		{{Availability: "InACall", Activity: "Busy"}, {Availability: "Busy", Activity: "InACall"}},
		{{Availability: "InACall", Activity: "OutOfOffice"}, {Availability: "Busy", Activity: "InACall", OutOfOffice: true}},
		{{Availability: "Presenting", Activity: "DoNotDisturb"}, {Availability: "DoNotDisturb", Activity: "Presenting"}},
	} {
		if a, b := presence.OutcomeOf(pair[0]), presence.OutcomeOf(pair[1]); a != b {
			t.Errorf("%+v and %+v differ: %+v, %+v", pair[0], pair[1], a, b)
		}
	}
}

func TestAWithdrawnOutcomeContributesNothing(t *testing.T) {
	outcome := presence.Withdrawn(presence.FromStale)
	if view := outcome.View(); view.State != nil || view.Raw != 0 || view.Label != presence.LabelUnknown || outcome.Source != presence.FromStale {
		t.Errorf("Withdrawn(stale) = %+v, %+v", outcome, view)
	}
}

func TestParsingKnownSpellingsAllocatesNothing(t *testing.T) {
	text := []byte("inACall")
	if n := testing.AllocsPerRun(100, func() { presence.ParseActivity(text) }); n != 0 {
		t.Errorf("ParseActivity allocates %v times", n)
	}
}

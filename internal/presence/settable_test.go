package presence_test

import (
	"encoding/json"
	"testing"
	"time"

	"procallteams/internal/presence"
)

func TestOnlyPairsThatTheBridgeSetsCanBeRead(t *testing.T) {
	for _, text := range []string{"Busy/InACall", "Busy/InAConferenceCall", "Away/Away"} {
		s, err := presence.ParseSettable(text)
		if err != nil || s.String() != text || s.IsZero() || string(s.Availability())+"/"+string(s.Activity()) != text {
			t.Errorf("ParseSettable(%q) = %q, %v", text, s, err)
		}
	}
	// Graph takes the first two; the bridge never sends them.
	for _, text := range []string{"Available/Available", "DoNotDisturb/Presenting", "Busy/Busy", "Offline/OffWork", "busy/inacall", "Busy", "/"} {
		if s, err := presence.ParseSettable(text); err == nil || !s.IsZero() {
			t.Errorf("ParseSettable(%q) = %q, %v", text, s, err)
		}
	}
}

func TestASettableSurvivesItsRow(t *testing.T) {
	for _, s := range []presence.Settable{{}, presence.InACallPair(), presence.AwayPair()} {
		var back struct{ Pair presence.Settable }
		text, err := json.Marshal(map[string]any{"Pair": s})
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || back.Pair != s {
			t.Errorf("%q came back as %q: %v", s, back.Pair, err)
		}
	}
}

func TestWhatAnAnswerMayShowOfAPair(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		pair                   presence.Settable
		availability, activity string
		want                   bool
	}{
		{"the pair itself", presence.InACallPair(), "Busy", "InACall", true},
		{"the base word as activity, as was seen", presence.InACallPair(), "Busy", "Busy", true},
		{"the spelling of 2025-09", presence.InACallPair(), "inACall", "busy", true},
		{"a meeting of Teams' own", presence.InACallPair(), "Busy", "InAMeeting", false},
		{"another of our pairs", presence.InACallPair(), "Busy", "InAConferenceCall", false},
		{"something that stands above it", presence.InACallPair(), "DoNotDisturb", "DoNotDisturb", false},
		{"a conference", presence.InAConferencePair(), "Busy", "InAConferenceCall", true},
		{"away", presence.AwayPair(), "Away", "Away", true},
		{"away out of office", presence.AwayPair(), "Away", "OutOfOffice", false},
		{"nothing was set", presence.Settable{}, "Busy", "InACall", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			availability, _ := presence.ParseAvailability([]byte(tt.availability))
			activity, _ := presence.ParseActivity([]byte(tt.activity))
			if got := tt.pair.Shows(presence.State{Availability: availability, Activity: activity}); got != tt.want {
				t.Errorf("Shows(%s/%s) = %t", tt.availability, tt.activity, got)
			}
		})
	}
}

func TestALifetimeIsAlwaysOneThatGraphAccepts(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Hour, "PT5M"}, {0, "PT5M"}, {4*time.Minute + 59*time.Second, "PT5M"}, {10 * time.Minute, "PT10M"},
		{10*time.Minute + 59*time.Second, "PT10M"}, {4 * time.Hour, "PT240M"}, {5 * time.Hour, "PT240M"}, {1 << 62, "PT240M"},
	} {
		if l := presence.LifetimeOf(tt.d); l.String() != tt.want || tt.want != "PT5M" && l.Duration() > tt.d {
			t.Errorf("LifetimeOf(%s) = %s", tt.d, l)
		}
	}
	if zero := (presence.Lifetime{}); zero.String() != "PT5M" || zero.Duration() != 5*time.Minute {
		t.Errorf("the zero lifetime is %s", zero)
	}
}

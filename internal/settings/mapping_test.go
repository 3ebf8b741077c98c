package settings_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf16"

	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

func mappingOf(t testing.TB, text string) settings.Mapping {
	t.Helper()
	var m settings.Mapping
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheSameOverridesAreOneText(t *testing.T) {
	a := mappingOf(t, ` [ {"availability":"busy","activity":"INAMEETING","state":"busy","reasons":[]}, {"availability":"away","state":null} ]`)
	b := mappingOf(t, `[{"availability":"Away"},{"state":"busy","availability":"inAMeeting"}]`)
	if a != b || a != settings.MappingOf(a.Overrides()) || len(a.Overrides()) != 2 {
		t.Errorf("%s and %s differ", a, b)
	}
	if mappingOf(t, "[]") != "" || settings.MappingOf(nil) != "" {
		t.Error("no overrides are not the zero mapping")
	}
}

func TestAMappingOfALaterVersionChangesNothingAndIsNamed(t *testing.T) {
	stored := mappingOf(t, `[{"availability":"Busy","activity":"InAHologram","state":"busy"}]`)
	if stored.Overrides() != nil {
		t.Errorf("overrides = %+v", stored.Overrides())
	}
	if err := (settings.Integration{Mapping: stored}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "mapping[0]: activity") {
		t.Errorf("Validate() = %v", err)
	}
	if again, err := json.Marshal(stored); err != nil || !strings.Contains(string(again), "InAHologram") {
		t.Errorf("stored again as %s, %v: it must not be lost", again, err)
	}
}

func TestTheLargestSettingsFitIntoTheirRow(t *testing.T) {
	var overrides []presence.Override
	for _, availability := range []presence.Availability{presence.Available, presence.AvailableIdle, presence.PresenceUnknown, presence.DoNotDisturb} {
		for _, activity := range []presence.Activity{presence.InACall, presence.InAConferenceCall, presence.InAMeeting, presence.UrgentInterruptionsOnly, presence.OutOfOffice, presence.AvailableInactive, presence.OffWork, presence.Inactive} {
			overrides = append(overrides, presence.Override{Availability: availability, Activity: activity, Contribution: presence.Contribution{State: presence.ProCallBusy, Reasons: presence.CallReason}})
		}
	}
	rules := participation.Rules{Everyone: true}
	for len(settings.By(rules)) < 11_700 {
		rules.Users = append(rules.Users, strings.Repeat("<", 30)+strings.Repeat("x", len(rules.Users)))
	}
	i := settings.Integration{
		TeamsToProCall: settings.By(rules), ProCallToTeams: settings.By(rules), Mapping: settings.MappingOf(overrides),
		PushURL: "https://ucserver.contoso.com/" + strings.Repeat("x", 2000),
	}
	if err := i.Validate(); err != nil || len(i.Mapping.Overrides()) != 32 {
		t.Fatalf("Validate() = %v; %d overrides", err, len(i.Mapping.Overrides()))
	}
	text, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	// A text property of Table Storage has at most 32 Ki UTF-16 units.
	if n := len(utf16.Encode([]rune(string(text)))); n > 32<<10 {
		t.Errorf("%d units", n)
	}
	overrides = append(overrides, presence.Override{Availability: presence.Away})
	if err := (settings.Integration{Mapping: settings.MappingOf(overrides)}).Validate(); err == nil {
		t.Error("33 lines are taken")
	}
}

func FuzzMapping(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"availability":"Busy"}]`, `[{"availability":"inACall","state":"busy","reasons":["call"]},7]`, `{}`, `[[]]`, `["\ud800"]`, `[{"availability":"Busy","availability":"Away"}]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var m settings.Mapping
		if json.Unmarshal([]byte(text), &m) != nil {
			return
		}
		valid := (settings.Integration{Mapping: m}).Validate() == nil
		presence.NewMapping(m.Overrides()).OutcomeOf(presence.State{Availability: presence.Busy})
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		next := mappingOf(t, string(again))
		if valid && next != m {
			t.Errorf("%q became %q", m, next)
		}
		if valid != ((settings.Integration{Mapping: next}).Validate() == nil) {
			t.Errorf("%q is valid, or not, as %q", m, next)
		}
	})
}

package session_test

import (
	"testing"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

func TestADoNotDisturbLastsAsLongAsAnyReporterSaysSo(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	manual := func(reporter string, until time.Time) calls.Report {
		return calls.Report{Reporter: reporter, State: calls.DoNotDisturb, Manual: &calls.Manual{State: calls.DoNotDisturb, Until: until}}
	}
	w := session.World{
		Settings:  settings.Integration{ProCallToTeams: settings.Everyone, ClientID: "app", AlsoWrite: settings.AlsoWrite{DoNotDisturb: true}},
		Reporters: calls.Reporters{"a": {ID: "a"}, "b": {ID: "b"}}, Lifetime: presence.LifetimeOf(10 * time.Minute),
	}
	over, soon, later := now.Add(-time.Minute), now.Add(time.Hour), now.Add(2*time.Hour)
	for _, c := range []struct {
		a, b time.Time
		want time.Duration
	}{{soon, later, 2 * time.Hour}, {later, soon, 2 * time.Hour}, {later, over, 2 * time.Hour}, {over, later, 2 * time.Hour}, {time.Time{}, soon, 8 * time.Hour}, {soon, time.Time{}, 8 * time.Hour}, {time.Time{}, over, 8 * time.Hour}} {
		s := session.Session{Reports: []calls.Report{manual("a", c.a), manual("b", c.b)}}
		if step := s.Next(now, w); step.Deed != session.Set || step.Lifetime != c.want {
			t.Errorf("until %s and %s: %s for %s; want %s", c.a, c.b, step.Deed, step.Lifetime, c.want)
		}
	}
	s := session.Session{Reports: []calls.Report{manual("a", over), manual("b", over)}}
	if step := s.Next(now, w); step.Deed != "" {
		t.Errorf("both are over: %s", step.Deed)
	}
}

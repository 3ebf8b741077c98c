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

func TestOnTheWordOfWhoIsSilentNothingIsSetOrProlonged(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	w := session.World{
		Settings: settings.Integration{ProCallToTeams: settings.Everyone, ClientID: "app"}, Lifetime: presence.LifetimeOf(10 * time.Minute),
		Reporters: calls.Reporters{"a": {ID: "a", Seen: now, Until: now.Add(calls.LeaseTime)}, "b": {ID: "b", Seen: now.Add(time.Hour)}},
	}
	s := session.Session{Reports: []calls.Report{{Reporter: "a", State: calls.Busy, Reasons: calls.Call}}}
	next := func(at time.Time) session.Step {
		t.Helper()
		step := s.Next(at, w)
		if step.Deed != "" {
			s.Begin(at, step, "app")
			s.End(at, step, session.Reply{Answer: session.Done, Status: 200})
		}
		return step
	}
	if step := next(now); step.Deed != session.Set {
		t.Fatalf("at first: %+v", step)
	}
	if step := next(now.Add(7 * time.Minute)); step.Deed != session.Set {
		t.Errorf("its lease ended, and upkeep may be about to extend it: %+v; want a renewal", step)
	}
	// No timer runs that would end the lease; another reporter wakes the writer.
	late := now.Add(14 * time.Minute)
	if step := next(late); step.Deed != "" || !s.Holds() || step.At.IsZero() {
		t.Errorf("silent: %+v; want nothing, neither a renewal nor a clear, and another look", step)
	}
	late = now.Add(2 * time.Hour)
	if step := next(late); step.Deed != "" {
		t.Errorf("silent for hours: %+v; want nothing", step)
	}
	w.Reporters["a"] = calls.Reporter{ID: "a", Seen: late}
	if step := next(late); step.Deed != session.Set {
		t.Errorf("heard again: %+v; want a set", step)
	}
}

package health_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/health"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

// writing is an installation that writes calls, without anything to say about it.
func writing() health.Input {
	in := working()
	in.Settings.ProCallToTeams = settings.Everyone
	in.Reporters = calls.Reporters{"a1": {ID: "a1", Epoch: 3, Seen: ago(time.Minute), Until: now.Add(4 * time.Minute)}}
	in.Writer = session.Writer{At: ago(time.Minute), LastWrite: ago(time.Hour), Held: 2}
	return in
}

func TestHowWritingStands(t *testing.T) {
	for _, test := range []struct {
		name  string
		edit  func(*health.Input)
		codes []health.Code
		fault bool
		state health.DirectionState
	}{
		{"calls are written", func(*health.Input) {}, nil, false, health.Working},
		{"nothing was ever reported", func(in *health.Input) { in.Reporters, in.Writer = nil, session.Writer{} }, nil, false, health.Starting},
		{"switched off", func(in *health.Input) { in.Settings.ProCallToTeams = settings.Nobody }, nil, false, health.Off},
		{"paused", func(in *health.Input) { in.Settings.Paused = true }, nil, false, health.Paused},
		{"no consent", func(in *health.Input) {
			in.Settings.TeamsToProCall = settings.Nobody
			in.Grants = nil
		}, []health.Code{health.RequiredWrite}, true, health.AuthorizationRequired},
		{"an app registration that may only read", func(in *health.Input) {
			in.Grants[0].Permissions = []string{"Presence.Read.All", "User.Read.All"}
		}, []health.Code{health.RequiredWrite}, true, health.AuthorizationRequired},
		{"a person's consent never writes", func(in *health.Input) {
			in.Grants = []consent.Grant{{Kind: consent.User, State: consent.Granted}}
		}, []health.Code{health.RequiredWrite}, true, health.AuthorizationRequired},
		{"a write failed just now", func(in *health.Input) {
			in.Writer.Error, in.Writer.ErrorSince = "Graph answered 503", ago(30*time.Second)
		}, nil, false, health.Working},
		{"writes fail for a while", func(in *health.Input) {
			in.Writer.Error, in.Writer.ErrorSince = "Graph answered 503", ago(2*time.Minute)
			in.DueSince = ago(3 * time.Minute) // the consequence is not told besides
		}, []health.Code{health.WritesFailing}, true, health.StaleState},
		{"nobody could write, and the consent was given after the last try", func(in *health.Input) {
			in.Writer.Error, in.Writer.ErrorCode, in.Writer.ErrorSince = "authorization required", "authorization-required", ago(2*time.Minute)
			in.Writer.At, in.Grants[0].Since = ago(20*time.Second), ago(10*time.Second)
		}, nil, false, health.Working},
		{"nobody could write with a consent that is older than the last try", func(in *health.Input) {
			in.Writer.Error, in.Writer.ErrorCode, in.Writer.ErrorSince = "authorization required", "authorization-required", ago(2*time.Minute)
			in.Writer.At, in.Grants[0].Since = ago(10*time.Second), ago(20*time.Second)
		}, []health.Code{health.WritesFailing}, true, health.StaleState},
		{"what is left in Teams can't be cleared while paused", func(in *health.Input) {
			in.Settings.Paused = true
			in.Writer.Error, in.Writer.ErrorSince = "Graph answered 503", ago(2*time.Minute)
		}, []health.Code{health.WritesFailing}, true, health.Paused},
		{"a fault of long ago, nothing left in Teams", func(in *health.Input) {
			in.Settings.ProCallToTeams = settings.Nobody
			in.Writer = session.Writer{Error: "Graph answered 503", ErrorSince: ago(48 * time.Hour)}
		}, nil, false, health.Off},
		{"a report waits for the queue", func(in *health.Input) { in.DueSince = ago(100 * time.Second) }, nil, false, health.Working},
		{"a report waits too long", func(in *health.Input) { in.DueSince = ago(3 * time.Minute) }, []health.Code{health.WritesBehind}, true, health.StaleState},
		{"some people can't be written", func(in *health.Input) { in.Writer.Refused = 3 }, []health.Code{health.WritesRefused}, false, health.Working},
		{"UCServer is silent", func(in *health.Input) {
			in.Reporters["a1"] = calls.Reporter{ID: "a1", Need: calls.NeedExpired, NeedSince: ago(10 * time.Minute), Seen: ago(15 * time.Minute), Ended: 4}
		}, []health.Code{health.ReporterSilent}, true, health.StaleState},
		{"UCServer is silent and no timer noticed", func(in *health.Input) {
			in.Reporters["a1"] = calls.Reporter{ID: "a1", Seen: ago(8 * time.Minute), Until: ago(3 * time.Minute)}
		}, []health.Code{health.ReporterSilent}, true, health.StaleState},
		{"one of two UCServers is silent", func(in *health.Input) {
			in.Reporters["b2"] = calls.Reporter{ID: "b2", Need: calls.NeedExpired, Seen: ago(15 * time.Minute)}
		}, []health.Code{health.ReporterSilent}, true, health.StaleState},
		{"a complete list is awaited", func(in *health.Input) {
			in.Reporters["a1"] = calls.Reporter{ID: "a1", Need: calls.NeedMissed, NeedSince: ago(10 * time.Second)}
		}, []health.Code{health.ReporterListNeeded}, false, health.Starting},
		{"a complete list of one of two is awaited", func(in *health.Input) {
			in.Reporters["b2"] = calls.Reporter{ID: "b2", Need: calls.NeedFirst}
		}, []health.Code{health.ReporterListNeeded}, false, health.Working},
		{"only calls are written, and the directory can't be read", func(in *health.Input) {
			in.Settings.TeamsToProCall = settings.Nobody
			in.Heartbeat = health.Heartbeat{Attempt: ago(time.Second), Error: "Graph answered 503", ErrorSince: ago(5 * time.Minute)}
		}, []health.Code{health.StaleReading}, true, health.StaleState},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := writing()
			test.edit(&in)
			found := health.Assess(now, in)
			var codes []health.Code
			for _, f := range found {
				codes = append(codes, f.Code)
				if f.NextStep == "" || f.Who == "" || f.Title == "" {
					t.Errorf("finding %s lacks what to do or who: %+v", f.Code, f)
				}
			}
			if !slices.Equal(codes, test.codes) || health.Failing(found) != test.fault {
				t.Errorf("Assess() = %v, failing %t; want %v, %t", codes, health.Failing(found), test.codes, test.fault)
			}
			if got := health.Directions(now, in)[1]; got.State != test.state {
				t.Errorf("proCallToTeams is %+v; want %q", got, test.state)
			}
		})
	}
}

func TestASilentReporterIsToldWithWhatEndedWithIt(t *testing.T) {
	in := writing()
	in.Reporters["a1"] = calls.Reporter{ID: "a1", Need: calls.NeedExpired, NeedSince: ago(10 * time.Minute), Seen: ago(15 * time.Minute), Ended: 4}
	f := health.Assess(now, in)[0]
	if !f.Since.Equal(ago(15*time.Minute)) || !strings.Contains(f.Detail, "credential a1") || !strings.Contains(f.Detail, "4 people") || f.Who != "connector" {
		t.Errorf("finding = %+v", f)
	}
	d := health.Directions(now, in)[1]
	if !strings.Contains(d.Reason, "no calls any more") || !strings.Contains(d.NextStep, "revoke") || !d.Since.Equal(f.Since) {
		t.Errorf("direction = %+v", d)
	}
}

func TestAReadOnlyAppRegistrationSaysWhatIsMissing(t *testing.T) {
	in := writing()
	in.Grants[0].Permissions = []string{"Presence.Read.All"}
	d := health.Directions(now, in)
	if d[0].State != health.Working {
		t.Errorf("reading = %+v; it needs no more than that", d[0])
	}
	if !strings.Contains(d[1].Reason, "Presence.ReadWrite.All") || !strings.Contains(d[1].NextStep, "app registration") || d[1].Carrier != "" {
		t.Errorf("writing = %+v", d[1])
	}
}

package upkeep_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"procallteams/functions/upkeep"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/health"
	"procallteams/internal/report"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

var now = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)

// stand returns the lines that an installation gives.
func stand(t *testing.T, in health.Input) (state map[string]any, findings []map[string]any) {
	t.Helper()
	var out bytes.Buffer
	standing := upkeep.Standing{
		Log: slog.New(slog.NewJSONHandler(&out, nil)), Now: func() time.Time { return now },
		Read: func(context.Context) (report.State, error) { return report.State{Input: in}, nil },
	}
	if err := standing.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var line map[string]any
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] == "state" {
			state = line
		} else {
			findings = append(findings, line)
		}
	}
	return state, findings
}

// has compares some fields of a line.
func has(t *testing.T, line, want map[string]any) {
	t.Helper()
	for field, value := range want {
		if n, isInt := value.(int); isInt {
			value = float64(n)
		}
		if got, ok := line[field]; !ok || got != value {
			t.Errorf("%s = %v; want %v", field, got, value)
		}
	}
}

func TestHowABusyBridgeStands(t *testing.T) {
	state, findings := stand(t, health.Input{
		Settings:  settings.Integration{Tenant: "t", ClientID: "c", TeamsToProCall: settings.Everyone, ProCallToTeams: settings.Everyone, PushURL: "https://ucserver.example/push"},
		Heartbeat: health.Heartbeat{AsOf: now.Add(-3 * time.Second), Attempt: now.Add(-4 * time.Second), Interval: 5000, Users: 1200, Carrier: "admin"},
		Grants: []consent.Grant{
			{Kind: consent.User, State: consent.Reauthorize}, {Kind: consent.User, State: consent.Granted}, {Kind: consent.User, State: consent.Unconfirmed},
			{Kind: consent.Admin, State: consent.Expiring, CredentialEnds: now.Add(10*24*time.Hour + time.Hour)},
		},
		Throttled: now.Add(20 * time.Second), Interval: 5 * time.Second,
		Push:      &health.Push{Behind: 3, BehindSince: now.Add(-40 * time.Second)},
		Pollers:   &health.Pollers{Count: 1, LastUsed: now.Add(-7 * time.Minute)},
		Reporters: calls.Reporters{"a": {ID: "a", Until: now.Add(time.Minute)}, "b": {ID: "b", Need: calls.NeedFirst}},
		Writer:    session.Writer{Held: 4, Refused: 2}, DueSince: now.Add(-5 * time.Second), Poisoned: 1,
	})
	has(t, state, map[string]any{
		"overall": "working", "teamsToProCall": "working", "proCallToTeams": "working", "faults": 0, "notes": 5,
		"asOfSeconds": 3, "users": 1200, "pushBehind": 3, "pushBehindSeconds": 40, "pollSeconds": 420, "dueSeconds": 5, "held": 4, "refused": 2,
		"reporters": 1, "throttledSeconds": 20, "poisoned": 1, "userGrant": "granted", "adminGrant": "expiring", "credentialDays": 10,
	})
	if len(findings) != 5 {
		t.Errorf("findings = %v", findings)
	}
}

func TestWhatIsNotKnownIsNull(t *testing.T) {
	state, findings := stand(t, health.Input{Settings: settings.Integration{Tenant: "t", ClientID: "c", TeamsToProCall: settings.Everyone}})
	has(t, state, map[string]any{
		"overall": "authorization required", "asOfSeconds": nil, "pushBehind": nil, "pushBehindSeconds": nil, "pollSeconds": nil,
		"dueSeconds": 0, "throttledSeconds": 0, "userGrant": "required", "adminGrant": "required", "credentialDays": nil, "faults": 1, "notes": 0,
	})
	if len(findings) != 1 {
		t.Fatalf("findings = %v", findings)
	}
	has(t, findings[0], map[string]any{"code": "authorization-required-read", "fault": true, "sinceSeconds": nil, "who": "administrator"})
}

func TestAStateThatCannotBeReadIsAFailureOfTheDuty(t *testing.T) {
	broken := errors.New("storage does not answer")
	standing := upkeep.Standing{Read: func(context.Context) (report.State, error) { return report.State{}, broken }}
	if err := standing.Do(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Do() = %v", err)
	}
}

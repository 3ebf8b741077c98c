package health_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/health"
	"procallteams/internal/settings"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// working is an installation without anything to say about it.
func working() health.Input {
	return health.Input{
		Settings:  settings.Integration{Tenant: "t", ClientID: "c", TeamsToProCall: settings.Everyone, PushURL: "https://ucserver.example/push"},
		Heartbeat: health.Heartbeat{AsOf: ago(3 * time.Second), Attempt: ago(4 * time.Second), Interval: 5000, Carrier: "admin"},
		Grants:    []consent.Grant{{Kind: consent.Admin, State: consent.Granted, Since: ago(time.Hour)}},
		Interval:  5 * time.Second,
		Push:      &health.Push{LastSuccess: ago(time.Second)},
	}
}

func TestWhatIsFoundAndHowItIsShown(t *testing.T) {
	for _, test := range []struct {
		name  string
		edit  func(*health.Input)
		codes []health.Code
		fault bool
		state health.DirectionState
	}{
		{"everything works", func(*health.Input) {}, nil, false, health.Working},
		{"nothing is set up", func(in *health.Input) { in.Settings = settings.Integration{} }, []health.Code{health.NotSetUp}, false, health.NotSetUpYet},
		{"switched off", func(in *health.Input) {
			in.Settings.TeamsToProCall = settings.Nobody
			in.Heartbeat = health.Heartbeat{}
		}, nil, false, health.Off},
		{"paused for a day", func(in *health.Input) { in.Settings.Paused = true; in.Heartbeat.AsOf = ago(24 * time.Hour) }, nil, false, health.Paused},
		{"no consent", func(in *health.Input) { in.Grants = nil }, []health.Code{health.RequiredRead}, true, health.AuthorizationRequired},
		{"a consent was given a minute ago", func(in *health.Input) {
			in.Grants = []consent.Grant{{Kind: consent.Admin, State: consent.Waiting, Reason: "Microsoft has not spread the consent yet", NextStep: "Nothing."}}
		}, []health.Code{health.RequiredRead}, false, health.AuthorizationRequired},
		{"the admin consent was removed, a user grant works", func(in *health.Input) {
			in.Grants = []consent.Grant{{Kind: consent.Admin, State: consent.Reauthorize}, {Kind: consent.User, State: consent.Granted}}
		}, nil, false, health.Working},
		{"the last sync was refused, and nobody consented since", func(in *health.Input) {
			in.Heartbeat.ErrorCode = "authorization-required-read"
		}, []health.Code{health.RequiredRead}, true, health.AuthorizationRequired},
		{"somebody consented after the last sync was refused", func(in *health.Input) {
			in.Heartbeat.ErrorCode, in.Grants[0].Since = "authorization-required-read", ago(time.Second)
		}, nil, false, health.Starting},
		{"all timers stand still (C09)", func(in *health.Input) {
			in.Heartbeat.Attempt, in.Heartbeat.AsOf = ago(15*time.Minute), ago(15*time.Minute)
		}, []health.Code{health.NoSync}, true, health.StaleState},
		{"one missed tick", func(in *health.Input) {
			in.Heartbeat.Attempt, in.Heartbeat.AsOf = ago(12*time.Second), ago(12*time.Second)
		}, nil, false, health.Working},
		{"Graph is down for a while", func(in *health.Input) {
			in.Heartbeat.AsOf, in.Heartbeat.Error, in.Heartbeat.ErrorSince = ago(2*time.Minute), "Graph answered 503", ago(2*time.Minute)
		}, []health.Code{health.StaleReading}, true, health.StaleState},
		{"Graph failed once", func(in *health.Input) {
			in.Heartbeat.AsOf, in.Heartbeat.Error, in.Heartbeat.ErrorSince = ago(8*time.Second), "Graph answered 503", ago(4*time.Second)
		}, nil, false, health.Working},
		{"a group can't be read", func(in *health.Input) { in.Unread, in.UnreadSince = "Graph answered 403", ago(time.Hour) }, []health.Code{health.DirectoryUnread}, false, health.Working},
		{"a group could not be read a moment ago", func(in *health.Input) { in.Unread, in.UnreadSince = "Graph answered 503", ago(time.Minute) }, nil, false, health.Working},
		{"a group that the rules name is missing", func(in *health.Input) {
			in.Absent = directory.Absent{Group: "g", Since: ago(time.Hour)}
		}, []health.Code{health.GroupMissing}, false, health.Working},
		{"a group was not found once", func(in *health.Input) {
			in.Absent = directory.Absent{Group: "g", Since: ago(10 * time.Minute)}
		}, nil, false, health.Working},
		{"just switched on", func(in *health.Input) { in.Heartbeat = health.Heartbeat{} }, []health.Code{health.NoSync}, true, health.Starting},
		{"a slow schedule is no fault", func(in *health.Input) {
			in.Interval = 5 * time.Minute
			in.Heartbeat = health.Heartbeat{AsOf: ago(4 * time.Minute), Attempt: ago(4 * time.Minute), Interval: 300_000}
		}, nil, false, health.Working},
		{"throttled", func(in *health.Input) { in.Throttled = now.Add(time.Minute) }, []health.Code{health.Throttled}, false, health.Working},
		{"UCServer is away", func(in *health.Input) {
			in.Push = &health.Push{LastSuccess: ago(5 * time.Minute), Problem: "connection refused", ProblemSince: ago(4 * time.Minute)}
		}, []health.Code{health.PushFailing}, true, health.Working},
		{"UCServer said 410", func(in *health.Input) { in.Push = &health.Push{Stopped: true} }, []health.Code{health.PushStopped}, true, health.Working},
		{"nothing is pushed and nobody may poll", func(in *health.Input) { in.Settings.PushURL, in.Pollers = "", &health.Pollers{} }, []health.Code{health.NobodyPolls}, false, health.Working},
		{"a credential that never polled", func(in *health.Input) { in.Settings.PushURL, in.Pollers = "", &health.Pollers{Count: 1} }, []health.Code{health.NobodyPolls}, false, health.Working},
		{"a poller that went silent", func(in *health.Input) {
			in.Settings.PushURL, in.Pollers = "", &health.Pollers{Count: 2, LastUsed: ago(31 * time.Minute)}
		}, []health.Code{health.NobodyPolls}, true, health.Working},
		{"a poller that polls", func(in *health.Input) {
			in.Settings.PushURL, in.Pollers = "", &health.Pollers{Count: 1, LastUsed: ago(29 * time.Minute)}
		}, nil, false, health.Working},
		{"pushes suffice", func(in *health.Input) { in.Pollers = &health.Pollers{Count: 1, LastUsed: ago(24 * time.Hour)} }, nil, false, health.Working},
		{"messages were given up", func(in *health.Input) { in.Poisoned = 2 }, []health.Code{health.PoisonMessages}, false, health.Working},
		{"a fault stands before a note", func(in *health.Input) {
			in.Throttled, in.Push = now.Add(time.Minute), &health.Push{Stopped: true}
		}, []health.Code{health.PushStopped, health.Throttled}, true, health.Working},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := working()
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
			if got := health.Directions(now, in)[0].State; got != test.state {
				t.Errorf("teamsToProCall is %q; want %q", got, test.state)
			}
		})
	}
}

func TestARefusedConsentSaysWhy(t *testing.T) {
	in := working()
	in.Grants = []consent.Grant{{
		Kind: consent.User, State: consent.Reauthorize, Since: ago(time.Hour),
		Code: "AADSTS50173", Reason: "the password was changed", NextStep: "Sign in again.",
	}}
	d := health.Directions(now, in)[0]
	if d.State != health.AuthorizationRequired || d.Code != "AADSTS50173" || !strings.Contains(d.Reason, "the password was changed") || d.NextStep != "Sign in again." || !d.Since.Equal(ago(time.Hour)) {
		t.Errorf("direction = %+v; want code, reason, since and next step of the grant", d)
	}
	if got := health.Overall(health.Directions(now, in)); got != health.AuthorizationRequired {
		t.Errorf("overall = %q", got)
	}
}

func TestReadingByAPersonsConsentSaysWhatItCannotTell(t *testing.T) {
	in := working()
	if d := health.Directions(now, in)[0]; d.Reason != "" {
		t.Errorf("app-only reading needs no remark: %+v", d)
	}
	in.Grants[0] = consent.Grant{Kind: consent.User, State: consent.Granted, Since: ago(time.Hour)}
	in.Heartbeat.Carrier = "user"
	if d := health.Directions(now, in)[0]; d.State != health.Working || !strings.Contains(d.Reason, "guests and disabled accounts") || !strings.Contains(d.NextStep, "admin consent") {
		t.Errorf("direction = %+v", d)
	}
}

func TestStaleNamesTheReason(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*health.Input)
		want string // part of the reason, empty for fresh
	}{
		{"fresh", func(*health.Input) {}, ""},
		{"never read", func(in *health.Input) { in.Heartbeat = health.Heartbeat{} }, "no presence was read yet"},
		{"timers dead", func(in *health.Input) {
			in.Heartbeat.Attempt, in.Heartbeat.AsOf = ago(15*time.Minute), ago(15*time.Minute)
		}, "no sync since 2026-11-25T11:45:00Z"},
		{"reading fails", func(in *health.Input) {
			in.Heartbeat.AsOf, in.Heartbeat.Error, in.Heartbeat.ErrorSince = ago(5*time.Minute), "Graph answered 503", ago(4*time.Minute)
		}, "since 2026-11-25T11:56:00Z: Graph answered 503"},
		{"off is not stale", func(in *health.Input) {
			in.Settings.TeamsToProCall = ""
			in.Heartbeat.AsOf = ago(time.Hour)
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := working()
			test.edit(&in)
			stale, reason := health.Stale(now, in.Heartbeat, in.Settings)
			if stale != (test.want != "") || !strings.Contains(reason, test.want) {
				t.Errorf("Stale() = %t, %q; want reason %q", stale, reason, test.want)
			}
		})
	}
}

func TestAMissingGroupSaysUntilWhenItCounts(t *testing.T) {
	in := working()
	in.Absent = directory.Absent{Group: "aaaaaaaa-0000-4000-8000-00000000000a", Since: ago(time.Hour), Others: 2}
	f := health.Assess(now, in)[0]
	if f.Detail != "group aaaaaaaa-0000-4000-8000-00000000000a, and 2 more" || !strings.Contains(f.NextStep, "takes part until 2026-11-26T11:00:00Z") {
		t.Errorf("= %+v", f)
	}
	in.Absent.Deleted = true
	if f := health.Assess(now, in)[0]; strings.Contains(f.NextStep, "until 2026") || !strings.Contains(f.NextStep, "Nobody takes part by it any more") {
		t.Errorf("= %+v", f)
	}
}

package health

import (
	"slices"
	"strings"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

// Code names one finding. Codes are stable: alert rules are written with them.
type Code string

// Codes of findings, part of the HTTP contract.
const (
	SettingsFault      Code = "settings-fault"
	StorageUnreachable Code = "storage-unreachable"
	NotSetUp           Code = "not-set-up"
	RequiredRead       Code = "authorization-required-read"
	RequiredWrite      Code = "authorization-required-write"
	NoSync             Code = "no-sync"
	StaleReading       Code = "stale"
	Throttled          Code = "throttled"
	PushFailing        Code = "push-failing"
	PushStopped        Code = "push-stopped"
	PushBehind         Code = "push-behind"
	// The first becomes a fault on the last day; the last one is a quiet note.
	CredentialExpiring   Code = "credential-expiring"
	CredentialExpired    Code = "credential-expired"
	CredentialEndUnknown Code = "credential-end-unknown"
	WritesFailing        Code = "writes-failing"
	WritesBehind         Code = "writes-behind"
	WritesRefused        Code = "writes-refused"
	ReporterSilent       Code = "reporter-silent"
	ReporterListNeeded   Code = "reporter-list-needed"
	DirectoryUnread      Code = "directory-unread"
	GroupMissing         Code = "group-missing"
	NobodyPolls          Code = "nobody-polls"
	PoisonMessages       Code = "poison-messages"
)

// Finding is one thing that somebody should know. Fault says that the bridge
// does not do what it was told to do; the others are notes.
type Finding struct {
	Code   Code      `json:"code"`
	Fault  bool      `json:"fault"`
	Title  string    `json:"title"`
	Detail string    `json:"detail,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// NextStep says what to do, Who who must do it.
	NextStep string `json:"nextStep"`
	Who      string `json:"who"`
}

// Push is where the pushed consumer stands. The zero value: nothing was ever
// pushed.
type Push struct {
	Position    string    // "812.3", empty before the first delivery
	Behind      uint64    // appends that the consumer has not yet
	BehindSince time.Time // when the oldest of them was appended, zero when unknown
	LastSuccess time.Time
	NextAttempt time.Time // zero when none is planned
	Problem     string    // why the last attempt failed, empty after a success
	Code        string
	// ProblemSince is when pushes began to fail.
	ProblemSince time.Time
	Stopped      bool // the target answered 410: off until an administrator switches it on
}

// Input is what a judgement is made from: what one range query reads, and the
// pushed consumer.
type Input struct {
	Settings  settings.Integration // with app settings applied
	Heartbeat Heartbeat
	Grants    []consent.Grant
	Throttled time.Time // until when Graph asked the bridge to wait
	// Unread is why changes of accounts, or members of groups, can't be read from Entra,
	// empty when they can; UnreadSince is since when.
	Unread      string
	UnreadSince time.Time
	// Absent are the Entra groups of the rules that Entra does not have.
	Absent   directory.Absent
	Interval time.Duration // of the schedule
	Push     *Push         // nil when nothing is pushed
	// Reporters say who is on the phone; Writer is how writing that to Teams stands.
	Reporters calls.Reporters
	Writer    session.Writer
	// Pollers are the machines that may poll; nil when nobody looked.
	Pollers *Pollers
	// Poisoned counts messages that the Functions host gave up.
	Poisoned int
	// DueSince is when the oldest report came in that is not written yet, zero when
	// none waits.
	DueSince time.Time
}

// missed is how many intervals may pass without a sync before that is called
// out, and patience the least time: a sync itself may take a minute.
const (
	missed   = 4
	patience = time.Minute
)

// Patience is how old the last reading may be before it is stale.
func Patience(beat Heartbeat, schedule time.Duration) time.Duration {
	interval := max(schedule, time.Duration(beat.Interval)*time.Millisecond)
	return max(patience, missed*interval)
}

// Stale reports whether what consumers hold may be old, and why in words. It is
// computed when an answer is made: nothing relies on a timer having noticed. A
// direction that is off or paused is not stale, since it contributes nothing.
func Stale(now time.Time, beat Heartbeat, s settings.Integration) (bool, string) {
	if !s.Reads() {
		return false, ""
	}
	limit := Patience(beat, 0)
	switch {
	case now.Sub(beat.AsOf) <= limit:
		return false, ""
	case now.Sub(beat.Attempt) > limit && beat.Attempt.IsZero():
		return true, "no presence was read yet"
	case now.Sub(beat.Attempt) > limit:
		return true, "no sync since " + stamp(beat.Attempt)
	case beat.Error != "":
		return true, "reading fails since " + stamp(beat.ErrorSince) + ": " + beat.Error
	case beat.AsOf.IsZero():
		return true, "no presence was read yet"
	}
	return true, "no presence was read since " + stamp(beat.AsOf)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Assess returns everything that should be known now, faults first.
func Assess(now time.Time, in Input) []Finding {
	var found []Finding
	add := func(f Finding) { found = append(found, f) }
	s := in.Settings
	if s.Tenant == "" || s.ClientID == "" {
		add(Finding{Code: NotSetUp, Title: "The bridge is not set up yet", NextStep: "Open /api/console and enter the tenant and the app registration.", Who: "administrator"})
		return found
	}
	if s.Reads() {
		if f, ok := reading(now, in); ok {
			add(f)
		}
	}
	found = append(found, writing(now, in)...)
	if f, ok := following(now, in); ok {
		add(f)
	}
	if f, ok := missing(now, in); ok {
		add(f)
	}
	if f, ok := taking(now, in); ok {
		add(f)
	}
	if in.Poisoned > 0 {
		add(poisoned(in.Poisoned))
	}
	if in.Throttled.After(now) {
		add(Finding{
			Code: Throttled, Title: "Microsoft Graph asked the bridge to wait", Detail: "until " + stamp(in.Throttled),
			NextStep: "Nothing, if it passes. Else see whether another app uses the same quota.", Who: "operator",
		})
	}
	if in.Push != nil && s.PushURL != "" {
		if f, ok := pushing(now, *in.Push); ok {
			add(f)
		}
	}
	if f, ok := expiring(now, in); ok {
		add(f)
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		switch {
		case a.Fault == b.Fault:
			return 0
		case a.Fault:
			return -1
		}
		return 1
	})
	return found
}

// reading judges the direction from Teams to ProCall: the cause before its
// consequences.
func reading(now time.Time, in Input) (Finding, bool) {
	beat := in.Heartbeat
	limit := Patience(beat, in.Interval)
	carrier, ok := consent.Carrier(in.Grants, consent.Reading)
	switch {
	case ok && renewed(beat, carrier):
		return Finding{}, false // the next sync shows it
	case !ok || unauthorized(beat):
		return required(RequiredRead, "Reading presences needs a consent", carrier), true
	case now.Sub(beat.Attempt) > limit:
		return Finding{
			Code: NoSync, Fault: true, Title: "No sync runs", Detail: "the last one began " + orElse(zero(beat.Attempt), "never"), Since: beat.Attempt,
			NextStep: "Restart the function app. If the timer stays dead, deploy it again, give presencesync an always-ready instance, then ask Azure support.", Who: "operator",
		}, true
	case beat.Error != "" && now.Sub(beat.AsOf) > limit:
		return Finding{
			Code: StaleReading, Fault: true, Title: "Presences can't be read from Teams", Detail: beat.Error, Since: beat.ErrorSince,
			NextStep: "Run the check on the console; it names the part that fails.", Who: "operator",
		}, true
	}
	return Finding{}, false
}

// unauthorized reports whether the last sync found nobody who may read.
func unauthorized(beat Heartbeat) bool {
	return strings.Contains(beat.ErrorCode, "authorization-required")
}

// renewed reports whether that sync is older than the consent that may read now.
func renewed(beat Heartbeat, carrier consent.Grant) bool {
	return unauthorized(beat) && carrier.Since.After(beat.Attempt)
}

func pushing(now time.Time, p Push) (Finding, bool) {
	switch {
	case p.Stopped:
		return Finding{
			Code: PushStopped, Fault: true, Title: "UCServer asked for pushes to stop (410)", Detail: p.Problem, Since: p.LastSuccess,
			NextStep: "When the receiver is back, save the push address on the console again.", Who: "administrator",
		}, true
	case p.Problem != "" && now.Sub(p.ProblemSince) > patience:
		return Finding{
			Code: PushFailing, Fault: true, Title: "Pushes don't reach UCServer", Detail: p.Problem, Since: p.ProblemSince,
			NextStep: "Check the receiver and its address. Nothing is lost meanwhile; the bridge keeps trying.", Who: "operator",
		}, true
	case p.Behind > 0 && !p.BehindSince.IsZero() && now.Sub(p.BehindSince) > 3*time.Minute:
		return Finding{
			Code: PushBehind, Fault: true, Title: "Pushes lag behind", Detail: "the oldest undelivered change is from " + stamp(p.BehindSince), Since: p.BehindSince,
			NextStep: "Give presencepush an always-ready instance; check that UCServer answers quickly.", Who: "operator",
		}, true
	}
	return Finding{}, false
}

func required(code Code, title string, grant consent.Grant) Finding {
	f := Finding{
		Code: code, Fault: true, Title: title, Detail: grant.Reason, Since: grant.Since,
		NextStep: orElse(grant.NextStep, "Give the consent on the console (/api/console), step 2."), Who: "administrator",
	}
	if grant.State == consent.Waiting { // a matter of minutes, and of nobody here
		f.Fault, f.Title = false, "A consent waits for Microsoft"
	}
	if grant.Code != "" && !strings.Contains(f.Detail, grant.Code) {
		f.Detail = strings.TrimSpace(f.Detail + " (" + grant.Code + ")")
	}
	return f
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func zero(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}

// Failing reports whether a finding is a fault.
func Failing(found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Fault })
}

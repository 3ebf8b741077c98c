// Package status is the HTTP function that says how the bridge is: both
// directions, both consents, the last sync, deliveries. POST runs the check.
package status

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/check"
	"procallteams/internal/consent"
	"procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/problem"
	"procallteams/internal/reply"
	"procallteams/internal/report"
	"procallteams/internal/session"
)

// Function is the code of function.json beside this file. It is served behind
// access.Gate.Either(access.Monitor, ...).
type Function struct {
	Read func(context.Context) (report.State, error)
	// Consumers lists the machine credentials, for when each was last seen.
	Consumers func(context.Context) ([]access.Credential, error)
	// Check tries everything that the bridge stands on.
	Check    func(context.Context) check.Report
	Version  string
	Warnings []string // of the app settings
	Outbound Outbound
	Now      func() time.Time
	Log      *slog.Logger
}

// answer is api/openapi.yaml, Status.
type answer struct {
	At         time.Time             `json:"at"`
	Version    string                `json:"version"`
	Overall    health.DirectionState `json:"overall"`
	Directions []health.Direction    `json:"directions"`
	Grants     []grant               `json:"grants"`
	Carried    carried               `json:"carried"`
	Sync       sync                  `json:"sync"`
	Writing    *writing              `json:"writing,omitempty"`
	Push       *push                 `json:"push,omitempty"`
	Polls      []poll                `json:"polls,omitempty"`
	Settings   *appSettings          `json:"settings,omitempty"`
	Outbound   *Outbound             `json:"outbound,omitempty"`
	Findings   []health.Finding      `json:"findings"`
}

// carried says which consent carries each use, and what would happen if it failed.
type carried struct {
	Reading health.Carriage `json:"reading"`
	Writing health.Carriage `json:"writing"`
}

type sync struct {
	AsOf           time.Time      `json:"asOf,omitzero"`
	Attempt        time.Time      `json:"attempt,omitzero"`
	Error          string         `json:"error,omitempty"`
	ErrorCode      string         `json:"errorCode,omitempty"`
	ErrorSince     time.Time      `json:"errorSince,omitzero"`
	LagSeconds     int64          `json:"lagSeconds,omitempty"`
	IntervalMillis int64          `json:"intervalMillis,omitempty"`
	Millis         int64          `json:"millis,omitempty"`
	Users          int            `json:"users"`
	Unmatched      int            `json:"unmatched,omitempty"`
	Ambiguous      int            `json:"ambiguous,omitempty"`
	Requests       int            `json:"requests,omitempty"`
	Failed         int            `json:"failed,omitempty"`
	Changes        int            `json:"changes"`
	ThrottledUntil time.Time      `json:"throttledUntil,omitzero"`
	Oddities       map[string]int `json:"oddities,omitempty"`
}

// writing is how calls come to Teams; absent while that was never switched on.
type writing struct {
	LastWrite  time.Time  `json:"lastWrite,omitzero"`
	Held       int        `json:"held"`
	Waiting    int        `json:"waiting"`
	Hidden     int        `json:"hidden"`
	Refused    int        `json:"refused"`
	Due        int        `json:"due"`
	DueSince   time.Time  `json:"dueSince,omitzero"`
	Error      string     `json:"error,omitempty"`
	ErrorCode  string     `json:"errorCode,omitempty"`
	ErrorSince time.Time  `json:"errorSince,omitzero"`
	Reporters  []reporter `json:"reporters"`
}

type reporter struct {
	ID        string     `json:"id"`
	Name      string     `json:"name,omitempty"`
	Epoch     int64      `json:"epoch,omitempty"`
	Until     time.Time  `json:"until,omitzero"`
	Seen      time.Time  `json:"seen,omitzero"`
	Need      calls.Need `json:"need,omitempty"`
	NeedSince time.Time  `json:"needSince,omitzero"`
	Ended     int        `json:"ended,omitempty"`
}

type push struct {
	URL         string    `json:"url"`
	Position    string    `json:"position,omitempty"`
	Behind      uint64    `json:"behind,omitempty"`
	LastSuccess time.Time `json:"lastSuccess,omitzero"`
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
	Problem     string    `json:"problem,omitempty"`
	Code        string    `json:"code,omitempty"`
	Stopped     bool      `json:"stopped,omitempty"`
}

type poll struct {
	ID       string    `json:"id"`
	Name     string    `json:"name,omitempty"`
	LastUsed time.Time `json:"lastUsed,omitzero"`
}

type appSettings struct {
	Fixed    []string `json:"fixed"`
	Warnings []string `json:"warnings"`
}

// ServeCaller answers GET, and POST from administrators.
func (f Function) ServeCaller(w http.ResponseWriter, r *http.Request, caller access.Caller) {
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		f.show(w, r, caller.Administrator != "")
	case r.Method == http.MethodPost && caller.Administrator != "":
		reply.JSON(w, http.StatusOK, f.Check(r.Context()))
	case r.Method == http.MethodPost:
		problem.Write(w, problem.Details{
			Type: "/problems/scope-missing", Title: "Only an administrator may run the check", Status: http.StatusForbidden,
			NextStep: "Run it on the console.", Who: "administrator",
		})
	default:
		problem.MethodNotAllowed(w, "GET, HEAD, POST")
	}
}

func (f Function) show(w http.ResponseWriter, r *http.Request, full bool) {
	state, err := f.Read(r.Context())
	var consumers []access.Credential
	if err == nil {
		consumers, err = f.Consumers(r.Context())
	}
	if err != nil {
		host.Log(r.Context(), f.Log).Error("status", "error", err.Error())
		problem.Write(w, access.Unavailable(err))
		return
	}
	a := f.answer(state, consumers)
	if !full {
		a.reduce()
	}
	reply.JSON(w, http.StatusOK, a)
}

func (f Function) answer(state report.State, consumers []access.Credential) answer {
	now := f.Now().UTC()
	beat := state.Heartbeat
	a := answer{
		At: now, Version: f.Version, Directions: health.Directions(now, state.Input), Findings: health.Assess(now, state.Input),
		Sync: sync{
			AsOf: beat.AsOf, Attempt: beat.Attempt, Error: beat.Error, ErrorCode: beat.ErrorCode, ErrorSince: beat.ErrorSince,
			IntervalMillis: beat.Interval, Millis: beat.Millis, Users: beat.Users, Unmatched: beat.Unmatched, Ambiguous: beat.Ambiguous,
			Requests: beat.Requests, Failed: beat.Failed, Changes: beat.Changes, Oddities: beat.Oddities,
		},
		Settings: &appSettings{Fixed: orEmpty(state.Fixed), Warnings: orEmpty(f.Warnings)},
		Outbound: &f.Outbound,
	}
	a.Overall = health.Overall(a.Directions)
	if a.Findings == nil {
		a.Findings = []health.Finding{}
	}
	if !beat.AsOf.IsZero() {
		a.Sync.LagSeconds = max(0, int64(now.Sub(beat.AsOf)/time.Second))
	}
	if state.Throttled.After(now) {
		a.Sync.ThrottledUntil = state.Throttled
	}
	a.Grants = grants(state.Grants, state.Settings)
	a.Carried = carried{health.CarriageOf(state.Grants, consent.Reading), health.CarriageOf(state.Grants, consent.Writing)}
	a.Writing = writingOf(state, consumers)
	if state.Settings.PushURL != "" {
		a.Push = &push{URL: state.Settings.PushURL}
		if p := state.Push; p != nil {
			*a.Push = push{state.Settings.PushURL, p.Position, p.Behind, p.LastSuccess, p.NextAttempt, p.Problem, p.Code, p.Stopped}
		}
	}
	for _, c := range consumers {
		if c.Revoked.IsZero() && c.Allows(access.Read) {
			a.Polls = append(a.Polls, poll{c.ID, c.Name, c.LastUsed})
		}
	}
	return a
}

func writingOf(state report.State, consumers []access.Credential) *writing {
	w := state.Writer
	if !state.Settings.ProCallToTeams.On() && w == (session.Writer{}) && len(state.Reporters) == 0 {
		return nil
	}
	shown := &writing{
		LastWrite: w.LastWrite, Held: w.Held, Waiting: w.Waiting, Hidden: state.Heartbeat.Hidden, Refused: w.Refused,
		Due: w.Due, DueSince: state.DueSince, Error: w.Error, ErrorCode: w.ErrorCode, ErrorSince: w.ErrorSince, Reporters: []reporter{},
	}
	for _, id := range slices.Sorted(maps.Keys(state.Reporters)) {
		r := state.Reporters[id]
		one := reporter{ID: id, Epoch: r.Epoch, Until: r.Until, Seen: r.Seen, Need: r.Need, NeedSince: r.NeedSince, Ended: r.Ended}
		if i := slices.IndexFunc(consumers, func(c access.Credential) bool { return c.ID == id }); i >= 0 {
			one.Name = consumers[i].Name
		}
		shown.Reporters = append(shown.Reporters, one)
	}
	return shown
}

func orEmpty(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// reduce leaves out names, accounts and addresses: a monitor needs none.
func (a *answer) reduce() {
	for i := range a.Grants {
		a.Grants[i].reduce()
	}
	a.Carried.Reading, a.Carried.Writing = a.Carried.Reading.Anonymous(), a.Carried.Writing.Anonymous()
	for i := range a.Polls {
		a.Polls[i].Name = ""
	}
	if a.Writing != nil {
		for i := range a.Writing.Reporters {
			a.Writing.Reporters[i].Name = ""
		}
	}
	if a.Push != nil {
		a.Push.URL = ""
	}
	a.Settings, a.Outbound = nil, nil
}

// Package session decides what the bridge keeps in Teams for a person.
//
// A [Session] is everything that is known about what we wrote: one row per
// person, written by whoever holds the tenant's write lease. [Session.Next] says
// what to do now, from what reporters say (package calls), what was written so
// far, and what is published about the person ([World]). Each call to Graph is
// [Session.Begin], store, call, [Session.End], store: a crash at any line leaves a
// row that says what may have been called. No I/O and no SDK here: presenceset
// calls Graph, and presencesync asks [Session.Echo] which answers are our own.
package session

import (
	"slices"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/presence"
)

const (
	// LateTime is for how long Graph may still do what was asked by a call whose
	// answer was not seen.
	LateTime = 40 * time.Second
	// SendTime is how long after its intent was noted a call may still be sent.
	SendTime = 5 * time.Second
	// EchoTime is for how long after a clear Teams may still show what was cleared.
	EchoTime = 60 * time.Second
	// KeepTime is how long a row is kept after the clear: longer than EchoTime and
	// the longest sync together.
	KeepTime = 3 * time.Minute
	// Grace is how long a report is held back after Teams ended what may have
	// caused it: UCServer has to hear of the end first.
	Grace = 10 * time.Second
	// RefusedTime is how long a person is left alone whom Graph refused to write, and
	// RefusedFirst how long after the first refusal: that may be a mistake, or
	// everybody's, as after a consent that Microsoft has yet to spread.
	RefusedTime  = 24 * time.Hour
	RefusedFirst = time.Hour
	// againTime is the least time between a clear and its repetition because a sync
	// still saw our pair.
	againTime = 20 * time.Second
)

const (
	shortLife = 10 * time.Minute
	longLife  = 30 * time.Minute
)

// LifetimeFor returns how long sessions are to last while there are so many, and
// so many calls a second may be made: long enough for renewals, at two thirds, to
// take no more than a tenth of these.
func LifetimeFor(sessions int, perSecond float64) presence.Lifetime {
	needed := time.Duration(float64(sessions) / perSecond * 10 * 3 / 2 * float64(time.Second))
	return presence.LifetimeOf(min(max(needed, shortLife), longLife))
}

// Subject is what a deed is about.
type Subject string

// Subjects.
const (
	Call  Subject = "call"         // the bridge's own session (setPresence)
	Quiet Subject = "doNotDisturb" // the person's preferred presence (setUserPreferredPresence)
)

// Deed is a call to Graph.
type Deed string

// Deeds.
const (
	Set   Deed = "set"
	Clear Deed = "clear"
)

// Wait says why a wish is not written now. These are stable words of the HTTP
// contract.
type Wait string

// Waits.
const (
	TeamsFirst Wait = "teams-contributes" // Teams shows it already, and UCServer may show it because of that
	SignedOut  Wait = "signed-out"        // the person is not signed in to Teams
)

// Hold is what is known about one thing that we keep in Teams.
type Hold struct {
	// Intent is the last deed, stored before the call; At is when. Open says that
	// nobody has noted yet what came of it, Redo that it was not done, or that
	// nobody knows.
	Intent Deed      `json:"intent,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Open   bool      `json:"open,omitempty"`
	Redo   bool      `json:"redo,omitempty"`
	// Pair, ClientID and Planned (its end) are those of the last set, Expires is the
	// end of the last one that was confirmed. The session's id is the client id.
	Pair     presence.Settable `json:"pair,omitzero"`
	ClientID string            `json:"clientId,omitempty"`
	Planned  time.Time         `json:"planned,omitzero"`
	Expires  time.Time         `json:"expires,omitzero"`
	// Traces are other pairs than Pair, or those of sessions of another client id,
	// which Teams may still show because of earlier sets.
	Traces []Trace `json:"traces,omitempty"`
	// Held says that a set was confirmed and no clear since; Maybe that a set may
	// have been done.
	Held      bool      `json:"held,omitempty"`
	HeldSince time.Time `json:"heldSince,omitzero"`
	Maybe     bool      `json:"maybe,omitempty"`
	ClearedAt time.Time `json:"clearedAt,omitzero"`
	// LateSet and LateClear are until when Graph may still do a deed whose answer
	// was not seen; the opposite deed is repeated then before it counts. They are zero
	// once one has been confirmed that was begun later. LatePair is
	// what the late set sets, none when there are several: a set of another pair is
	// repeated, too.
	LateSet   time.Time         `json:"lateSet,omitzero"`
	LatePair  presence.Settable `json:"latePair,omitzero"`
	LateClear time.Time         `json:"lateClear,omitzero"`
	// Failures in a row, and when the next try may be made.
	Failures int       `json:"failures,omitempty"`
	RetryAt  time.Time `json:"retryAt,omitzero"`
	// Yielded says that the person chose something else in Teams than was set, so
	// that nothing is set any more until the wish ends.
	Yielded bool `json:"yielded,omitempty"`
	// Wait holds a wish back since WaitSince; WaitOver is when its cause ended.
	Wait      Wait      `json:"wait,omitempty"`
	WaitSince time.Time `json:"waitSince,omitzero"`
	WaitOver  time.Time `json:"waitOver,omitzero"`
}

// Trace is what may still be in Teams, until it ends by itself at the latest.
type Trace struct {
	Pair  presence.Settable `json:"pair"`
	Until time.Time         `json:"until"`
	// Fixed says that nothing ends it earlier.
	Fixed bool `json:"fixed,omitempty"`
}

// Refusal says that Graph does not let this person be written.
type Refusal struct {
	Status int       `json:"status"`
	Code   string    `json:"code,omitempty"`
	At     time.Time `json:"at"`
	Retry  time.Time `json:"retry"`
}

// Last is the last call to Graph and its answer.
type Last struct {
	At      time.Time `json:"at,omitzero"`
	Subject Subject   `json:"subject,omitempty"`
	Deed    Deed      `json:"deed,omitempty"`
	Answer  Answer    `json:"answer,omitempty"`
	Status  int       `json:"status,omitempty"` // HTTP status, 0 when no answer was seen
	Code    string    `json:"code,omitempty"`   // Graph's
}

// Session is one person's row.
type Session struct {
	User presence.UserID `json:"-"`
	// Reports are what the last decision was made from.
	Reports []calls.Report `json:"reports,omitempty"`
	Call    Hold           `json:"call,omitzero"`
	Quiet   Hold           `json:"quiet,omitzero"`
	Refusal *Refusal       `json:"refusal,omitempty"` // of the bridge's own session
	// QuietRefusal is that of the preferred presence, which says nothing about calls.
	QuietRefusal *Refusal `json:"quietRefusal,omitempty"`
	Last         Last     `json:"last,omitzero"`
	// Seen is when a sync last saw our pair although it was cleared.
	Seen time.Time `json:"seen,omitzero"`
}

func (s *Session) hold(about Subject) *Hold {
	if about == Quiet {
		return &s.Quiet
	}
	return &s.Call
}

func (h Hold) traced(now time.Time) bool {
	return slices.ContainsFunc(h.Traces, func(t Trace) bool { return now.Before(t.Until) })
}

// May reports whether a set whose answer was not seen may be in Teams.
func (h Hold) May() bool { return h.Maybe || !h.LateSet.IsZero() }

// refusal returns the refusal that is in force.
func (s *Session) refusal(about Subject, now time.Time) *Refusal {
	r := s.Refusal
	if about == Quiet {
		r = s.QuietRefusal
	}
	if r != nil && now.Before(r.Retry) {
		return r
	}
	return nil
}

// there reports whether what we set may be in Teams.
func (h Hold) there() bool { return h.Maybe || h.Held || !h.LateSet.IsZero() }

// ours reports whether an answer given at a time may show what we set.
func (h Hold) ours(at time.Time) bool {
	switch {
	case h.Maybe, h.Held:
		// It ends by itself when nobody renews it.
		return at.Sub(h.Expires) < EchoTime || (h.Maybe || h.Open || h.Redo) && at.Sub(h.Planned) < EchoTime
	case !h.LateSet.IsZero():
		return at.Sub(h.lasts()) < EchoTime
	}
	return !h.ClearedAt.IsZero() && at.Sub(h.ClearedAt) < EchoTime
}

// was reports whether an answer given at a time may show what was set earlier.
func (h Hold) was(state presence.State, at time.Time) bool {
	return slices.ContainsFunc(h.Traces, func(t Trace) bool { return at.Before(t.Until) && t.Pair.Shows(state) })
}

// Echo reports whether an answer that Graph gave at a time shows nothing but what
// the bridge itself wrote: it is no state of Teams' own (design: echo rule). Any
// other pair passes. A Teams call under our session can't be told apart.
func (s Session) Echo(state presence.State, at time.Time) bool {
	if h := s.Call; h.ours(at) && h.Pair.Shows(state) || h.was(state, at) {
		return true
	}
	return s.Quiet.ours(at) && presence.Classic(state).Availability == presence.DoNotDisturb &&
		presence.Classic(state).Activity == presence.Activity(presence.DoNotDisturb)
}

// Lingers reports whether an answer shows our pair although it was cleared a while
// ago: either Graph did an old set late, or it is a call in Teams. Clearing once
// more tells the two apart.
func (s Session) Lingers(state presence.State, at time.Time) bool {
	h := s.Call
	return !h.Held && !h.Maybe && !h.ClearedAt.IsZero() && at.Sub(h.ClearedAt) > againTime && at.Sub(h.ClearedAt) < EchoTime &&
		h.Pair.Shows(state) && s.Seen.Before(h.ClearedAt)
}

// Released reports whether what held a wish back seems to be over, so that the
// writer should look again. outcome is what is published about the person now.
func (s Session) Released(outcome presence.Outcome) bool {
	return s.Call.Wait != "" && s.Call.WaitOver.IsZero() && waitFor(Call, outcome) == "" ||
		s.Quiet.Wait != "" && s.Quiet.WaitOver.IsZero() && waitFor(Quiet, outcome) == ""
}

// Hidden reports whether Teams shows something else than our session although it
// was confirmed: what the person chose stands above every session (Graph: manage
// presence state). outcome is published as of asOf.
func (s Session) Hidden(outcome presence.Outcome, asOf time.Time) bool {
	h := s.Call
	shown := presence.State{Availability: outcome.Availability, Activity: outcome.Activity}
	return h.Held && !h.Open && !h.Redo && asOf.After(h.At) && asOf.Before(h.Expires) && outcome.Source == presence.FromTeams && !h.Pair.Shows(shown)
}

// Holds reports whether something of ours may be in Teams now.
func (s Session) Holds() bool { return s.Call.there() || s.Quiet.there() }

// Waits reports whether a wish is held back.
func (s Session) Waits() bool { return s.Call.Wait != "" || s.Quiet.Wait != "" }

// Refused reports whether the person is left alone because Graph refused.
func (s Session) Refused(now time.Time) bool {
	return s.refusal(Call, now) != nil || s.refusal(Quiet, now) != nil
}

// Unsettled reports whether it is open what came of a call to Graph, or whether it
// has to be made again.
func (s Session) Unsettled() bool {
	return s.Call.Open || s.Call.Redo || s.Quiet.Open || s.Quiet.Redo
}

// Failures is how often in a row the last deed about a subject failed.
func (s Session) Failures(about Subject) int { return s.hold(about).Failures }

// Over reports whether the row says nothing that anybody needs any more.
func (s Session) Over(now time.Time) bool {
	for _, h := range []Hold{s.Call, s.Quiet} {
		if h.there() || h.Open || h.Redo || h.Wait != "" || now.Before(h.LateClear) || h.traced(now) || !h.ClearedAt.IsZero() && now.Sub(h.ClearedAt) < KeepTime {
			return false
		}
	}
	for _, report := range s.Reports {
		if report.Active() {
			return false
		}
	}
	return !s.Refusal.lasts(now) && !s.QuietRefusal.lasts(now)
}

// lasts reports whether a refusal is to be remembered, so that the next one is known
// not to be the first.
func (r *Refusal) lasts(now time.Time) bool { return r != nil && now.Sub(r.At) < RefusedTime }

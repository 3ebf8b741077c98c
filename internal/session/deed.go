package session

import (
	"slices"
	"time"

	"procallteams/internal/presence"
)

// Answer is what came of a call to Graph. These are stable words of the HTTP
// contract.
type Answer string

// Answers.
const (
	Done    Answer = "done"    // also when there was nothing to clear
	Refused Answer = "refused" // Graph does not let this person be written
	Failed  Answer = "failed"  // an answer that has nothing to do with the person: nothing was done
	Unseen  Answer = "unseen"  // no answer, or one that leaves open what was done
	// Theirs: the person has set Do not disturb already, or something else since we
	// did. Nothing was written.
	Theirs Answer = "theirs"
)

// Reply is the answer to a call, as the row keeps it.
type Reply struct {
	Answer Answer
	Status int
	Code   string
}

// Begin notes that a deed is about to be done, with what it will leave in Teams:
// to be stored before the call.
func (s *Session) Begin(now time.Time, step Step, clientID string) {
	h := s.hold(step.Subject)
	if h.Open { // of a process that ended before the answer came
		h.late(h.At.Add(SendTime))
	}
	if step.Deed == Set {
		h.replace(now, step.Pair, clientID)
		h.Pair, h.ClientID, h.Planned, h.Maybe = step.Pair, clientID, now.Add(step.Lifetime), true
	}
	h.Intent, h.At, h.Open, h.Redo = step.Deed, now, true, false
}

// replace notes what a set puts another in the place of, or beside it: a session of
// another client id stays until it ends by itself.
func (h *Hold) replace(now time.Time, pair presence.Settable, clientID string) {
	another := h.ClientID != "" && h.ClientID != clientID
	until := h.ClearedAt
	if h.there() {
		until = latest(until, h.lasts())
	}
	until = until.Add(EchoTime)
	if h.Pair == pair && !another || h.Pair.IsZero() || !now.Before(until) {
		return
	}
	h.trace(now, Trace{h.Pair, until, another})
	if another {
		// What is known is of a session that is not ours any more.
		h.Held, h.LateSet, h.LateClear = false, time.Time{}, time.Time{}
		h.Traces = slices.Clone(h.Traces) // copies of the session share them
		for i := range h.Traces {
			h.Traces[i].Fixed = true
		}
	}
}

// trace notes what may still be in Teams, and forgets what can't be any more.
func (h *Hold) trace(now time.Time, t Trace) {
	traces := make([]Trace, 0, len(h.Traces)+1)
	for _, other := range h.Traces {
		if other.Pair == t.Pair && other.Fixed == t.Fixed {
			t.Until = latest(t.Until, other.Until)
		} else if now.Before(other.Until) {
			traces = append(traces, other)
		}
	}
	h.Traces = append(traces, t)
}

// certain forgets what Graph can't do any more since a deed came after it.
func (h *Hold) certain() {
	if !h.LateSet.After(h.At) {
		h.LateSet, h.LatePair = time.Time{}, presence.Settable{}
	}
	if !h.LateClear.After(h.At) {
		h.LateClear = time.Time{}
	}
}

// replaced notes that a deed was confirmed, so that earlier ones show no longer:
// unless Graph may still do one of them.
func (h *Hold) replaced(now time.Time) {
	if !h.LateSet.IsZero() {
		return
	}
	traces := slices.Clone(h.Traces) // copies of the session share them
	for i, t := range traces {
		if until := now.Add(EchoTime); !t.Fixed && until.Before(t.Until) {
			traces[i].Until = until
		}
	}
	h.Traces = slices.DeleteFunc(traces, func(t Trace) bool { return !now.Before(t.Until) })
}

// lasts is until when what was set may be in Teams when nobody renews or ends it.
func (h Hold) lasts() time.Time {
	until := h.Expires
	if h.Maybe || !h.LateSet.IsZero() {
		until = latest(until, h.Planned)
	}
	if !h.LateSet.IsZero() || h.Maybe && h.Open {
		until = until.Add(SendTime + LateTime) // it counts from when Graph does it
	}
	return until
}

// End takes the answer in: to be stored after the call.
func (s *Session) End(now time.Time, step Step, r Reply) {
	h := s.hold(step.Subject)
	h.Open, h.Redo = false, r.Answer == Failed || r.Answer == Unseen
	s.Last = Last{At: now, Subject: step.Subject, Deed: step.Deed, Answer: r.Answer, Status: r.Status, Code: r.Code}
	if r.Answer == Done || r.Answer == Theirs {
		h.Failures, h.RetryAt = 0, time.Time{}
	}
	switch r.Answer {
	case Done:
		s.done(h, now, step.Deed)
	case Theirs:
		h.theirs(now, step.Deed)
	case Refused:
		s.refuse(h, now, step.Deed, r)
	case Failed:
		if step.Deed == Set {
			h.Maybe = !h.LateSet.IsZero()
		}
		h.retry(now)
	case Unseen:
		h.late(now)
		h.retry(now)
	}
}

// theirsTime is after how long it is looked again whether a person's own Do not
// disturb is over, when nothing tells.
const theirsTime = 5 * time.Minute

// theirs notes that the person's own choice stands where ours would.
func (h *Hold) theirs(now time.Time, deed Deed) {
	switch {
	case deed == Clear:
		h.ClearedAt = time.Time{} // what is there now is the person's
	case h.Held:
		h.Yielded = true
	default:
		// Held back until theirs ends, as when it is published.
		h.Wait, h.WaitSince, h.WaitOver, h.RetryAt = TeamsFirst, now, time.Time{}, now.Add(theirsTime)
	}
	h.Held, h.Maybe = false, false
	h.certain()
}

func (s *Session) refuse(h *Hold, now time.Time, deed Deed, r Reply) {
	before := &s.Refusal
	if h == &s.Quiet {
		before = &s.QuietRefusal
	}
	lasts := RefusedFirst
	if *before != nil {
		lasts = RefusedTime
	}
	*before = &Refusal{Status: r.Status, Code: r.Code, At: now, Retry: now.Add(lasts)}
	if deed == Set {
		h.Maybe = !h.LateSet.IsZero()
		return
	}
	// It can't be cleared: if it is there, it ends by itself.
	if h.there() && !h.Pair.IsZero() {
		h.trace(now, Trace{h.Pair, h.lasts().Add(EchoTime), true})
	}
	h.Held, h.Maybe, h.LateSet, h.LatePair = false, false, time.Time{}, presence.Settable{}
}

func (s *Session) done(h *Hold, now time.Time, deed Deed) {
	h.certain()
	h.replaced(now)
	if deed == Set {
		if !h.Held {
			h.HeldSince = now
		}
		h.Held, h.Maybe, h.Expires = true, false, h.Planned
		if h == &s.Call {
			s.Refusal = nil
		} else {
			s.QuietRefusal = nil
		}
		return
	}
	if again := !h.Held && !h.Maybe; !again || !s.Seen.After(h.ClearedAt) {
		// A clear that a sync asked for does not prolong what counts as an echo: if
		// Teams still shows the pair then, it is a call there.
		h.ClearedAt = now
	}
	h.Held, h.Maybe = false, false
}

// late notes that the intended deed may still be done for a while after at.
func (h *Hold) late(at time.Time) {
	until := at.Add(LateTime)
	if h.Intent == Set {
		if !h.LateSet.IsZero() && h.LatePair != h.Pair {
			h.LatePair = presence.Settable{}
		} else {
			h.LatePair = h.Pair
		}
		h.LateSet = latest(h.LateSet, until)
	}
	if h.Intent == Clear {
		h.LateClear = latest(h.LateClear, until)
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// retry plans the next try: 1 s, doubled with every failure in a row, at most a
// minute.
func (h *Hold) retry(now time.Time) {
	h.RetryAt = now.Add(min(time.Second<<min(h.Failures, 6), time.Minute))
	h.Failures++
}

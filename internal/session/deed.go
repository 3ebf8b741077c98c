package session

import "time"

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
	h.Intent, h.At, h.Open, h.Redo = step.Deed, now, true, false
	if step.Deed == Set {
		h.Pair, h.ClientID, h.Planned, h.Maybe = step.Pair, clientID, now.Add(step.Lifetime), true
	}
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
		if h.Maybe = false; step.Deed == Set {
			// Held back until theirs ends, as when it is published.
			h.Held, h.Wait, h.WaitSince, h.WaitOver = false, TeamsFirst, now, time.Time{}
		} else {
			h.Held, h.ClearedAt = false, time.Time{} // what is there now is the person's
		}
	case Refused:
		h.Maybe = h.unsure()
		s.Refusal = &Refusal{Status: r.Status, Code: r.Code, At: now, Retry: now.Add(RefusedTime)}
		if step.Deed == Clear { // there is nothing of ours that could be cleared
			h.Held, h.Maybe = false, false
		}
	case Failed:
		if step.Deed == Set {
			h.Maybe = h.unsure()
		}
		h.retry(now)
	case Unseen:
		h.late(now)
		h.retry(now)
	}
}

// unsure reports whether an earlier set, whose answer was not seen, may be in Teams.
func (h Hold) unsure() bool { return h.LateSet.After(h.ClearedAt) }

func (s *Session) done(h *Hold, now time.Time, deed Deed) {
	if deed == Set {
		if !h.Held {
			h.HeldSince = now
		}
		h.Held, h.Maybe, h.Expires = true, false, h.Planned
		if h == &s.Call {
			s.Refusal = nil
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
	if h.Intent == Set && until.After(h.LateSet) {
		h.LateSet = until
	}
	if h.Intent == Clear && until.After(h.LateClear) {
		h.LateClear = until
	}
}

// retry plans the next try: 1 s, doubled with every failure in a row, at most a
// minute.
func (h *Hold) retry(now time.Time) {
	h.RetryAt = now.Add(min(time.Second<<min(h.Failures, 6), time.Minute))
	h.Failures++
}

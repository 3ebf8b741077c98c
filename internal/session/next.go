package session

import (
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

// World is what else a decision depends on.
type World struct {
	Settings  settings.Integration
	Reporters calls.Reporters
	// Outcome is what is published about the person; Published is false when
	// nothing is.
	Outcome   presence.Outcome
	Published bool
	// Lifetime is how long a new session is to last.
	Lifetime presence.Lifetime
}

// Step is what to do about a person now. The zero Step: nothing, until something
// changes.
type Step struct {
	Subject Subject
	Deed    Deed // empty for nothing
	Pair    presence.Settable
	// Lifetime is how long what is set lasts without being renewed.
	Lifetime time.Duration
	// Renewal says that nothing changes for the person by it, or at At: it may wait
	// for others.
	Renewal bool
	// At is when to look again, zero when only a change can make a difference.
	At time.Time
	// Noted says that the session was changed and must be stored, although nothing
	// is to be called.
	Noted bool
}

// wish is what reports ask Teams to show.
type wish struct {
	pair  presence.Settable
	quiet bool
	until time.Time // of quiet, zero when it does not end by itself
	// silent are the subjects of which only reporters speak that are silent: nothing
	// is set or prolonged on their word. Ending it is the lease's.
	silent map[Subject]bool
}

// listen is when to look again whether a silent reporter is heard.
const listen = 30 * time.Second

// ask returns what the reports that count ask for now.
func (s Session) ask(now time.Time, w World) wish {
	asked := wishOf(w.Reporters.Valid(s.Reports), w.Settings)
	if asked.pair.IsZero() && !asked.quiet {
		return asked
	}
	heard := wishOf(w.Reporters.Heard(s.Reports, now), w.Settings)
	asked.silent = map[Subject]bool{Call: heard.pair.IsZero(), Quiet: !heard.quiet}
	if !asked.until.IsZero() && !now.Before(asked.until) {
		asked.quiet = false
	}
	return asked
}

// wishOf returns what the reports that count ask for. What Teams itself caused is
// never written to Teams. Of several Do not disturbs the one that ends last counts.
func wishOf(reports []calls.Report, s settings.Integration) wish {
	var w wish
	rank := 0
	ask := func(r int, pair presence.Settable) {
		if r > rank {
			rank, w.pair = r, pair
		}
	}
	also := s.AlsoWrite
	for _, r := range reports {
		if r.External {
			continue
		}
		switch {
		case r.Reasons.RealTime():
			ask(5, presence.InACallPair())
		case also.Ringing && r.Reasons.Has(calls.Ringing):
			ask(4, presence.InACallPair())
		case also.WrapUp && r.Reasons.Has(calls.WrapUp):
			ask(3, presence.InACallPair())
		case also.Appointment && r.Reasons.Has(calls.Appointment) && r.State == calls.Busy:
			ask(2, presence.InAConferencePair())
		case also.Appointment && r.Reasons.Has(calls.Appointment) && r.State == calls.Absent:
			ask(1, presence.AwayPair())
		}
		if also.DoNotDisturb && r.Manual != nil && r.Manual.State == calls.DoNotDisturb {
			if until := r.Manual.Until; !w.quiet || until.IsZero() || !w.until.IsZero() && until.After(w.until) {
				w.quiet, w.until = true, until
			}
		}
	}
	return w
}

// Wishes reports whether the reports that count ask for anything to be shown in
// Teams now.
func (s Session) Wishes(w World) bool {
	if !w.Settings.Writes() {
		return false
	}
	asked := wishOf(w.Reporters.Valid(s.Reports), w.Settings)
	return asked.quiet || !asked.pair.IsZero()
}

// Next decides. It notes in s what holds a wish back; everything else about s is
// changed by [Session.Begin] and [Session.End].
func (s *Session) Next(now time.Time, w World) Step {
	var asked wish
	if w.Settings.Writes() {
		asked = s.ask(now, w)
	}
	first := s.call(now, w, asked)
	if first.Deed != "" && !first.Renewal {
		return first
	}
	second := s.quiet(now, w, asked)
	if first.Deed != "" && (second.Deed == "" || second.Renewal) {
		first.Noted = first.Noted || second.Noted
		return first
	}
	second.Noted = second.Noted || first.Noted
	if second.Deed == "" {
		second.after(first)
	}
	return second
}

// after adds when to look again because of another step that is nothing to do now.
// A time at which something changes outweighs that of a renewal.
func (s *Step) after(other Step) {
	switch {
	case other.At.IsZero():
	case s.At.IsZero(), s.Renewal && !other.Renewal:
		s.At, s.Renewal = other.At, other.Renewal
	case s.Renewal == other.Renewal:
		s.At = earliest(s.At, other.At)
	}
}

// call decides about the bridge's own session.
func (s *Session) call(now time.Time, w World, asked wish) Step {
	h, pair := &s.Call, asked.pair
	step := Step{Subject: Call}
	if pair.IsZero() {
		step.Noted = h.release()
		if h.ClientID == "" || h.ClientID == w.Settings.ClientID || !h.Held && !h.Maybe {
			s.end(now, h, &step)
			return step
		}
		// Another app's session can't be cleared by this one: it ends by itself.
		if until := h.lasts(); now.Before(until) {
			step.At = until
		} else {
			h.Held, h.Maybe, h.Open, h.Redo, h.ClearedAt, step.Noted = false, false, false, false, until, true
		}
		return step
	}
	same := h.Pair == pair && h.ClientID == w.Settings.ClientID && now.Before(h.Expires)
	step.Pair, step.Lifetime = pair, w.Lifetime.Duration()
	switch {
	case h.Held && !h.Open && !h.Redo && same:
		step.Noted = h.release()
		step.Renewal, step.At = h.renew(now)
		if now.Before(step.At) {
			return step
		}
	case h.Held || h.Maybe:
		step.Noted = h.release()
	default:
		wait := waitFor(Call, w.outcome())
		if wait == SignedOut && !w.Settings.OnlySignedIn {
			wait = ""
		}
		if step.Noted, step.At = h.wait(now, wait); h.Wait != "" {
			return step
		}
	}
	return s.show(now, h, asked, step)
}

// urgent is how long before its end a renewal waits for others no more.
const urgent = 90 * time.Second

// renew returns when to set once more what is there, and whether that may wait for
// others.
func (h *Hold) renew(now time.Time) (renewal bool, at time.Time) {
	lasts := h.Expires.Sub(h.At)
	if !h.LateSet.IsZero() {
		lasts = min(lasts, shortLife) // an old set may have been done after it
	}
	at = h.At.Add(lasts * 2 / 3)
	// What may have been done after it and shows something else.
	if !h.LateClear.IsZero() {
		at = earliest(at, h.LateClear)
	}
	if !h.LateSet.IsZero() && h.LatePair != h.Pair {
		at = earliest(at, h.LateSet)
	}
	return h.LateClear.IsZero() && h.LateSet.IsZero() && now.Before(h.Expires.Add(-urgent)), at
}

// quiet decides about the person's preferred presence.
func (s *Session) quiet(now time.Time, w World, asked wish) Step {
	h := &s.Quiet
	step := Step{Subject: Quiet}
	if !asked.quiet {
		if h.Yielded || h.Wait != "" {
			h.Yielded, h.RetryAt, step.Noted = false, time.Time{}, true
		}
		step.Noted = h.release() || step.Noted
		switch until := h.lasts(); {
		case !h.Held && !h.Maybe:
		case !now.Before(until):
			h.Held, h.Maybe, h.Open, h.Redo, h.ClearedAt, step.Noted = false, false, false, false, until, true
			return step
		case until.Sub(now) < time.Minute:
			step.At = until // ends by itself
			return step
		}
		s.end(now, h, &step)
		return step
	}
	if h.Yielded {
		step.At = asked.until
		return step
	}
	// Always with an end: nobody is left in Do not disturb by a bridge that is gone.
	step.Lifetime = quietTime
	if !asked.until.IsZero() {
		// Whole minutes, as Graph takes them, and rather a little longer.
		step.Lifetime = min((asked.until.Sub(now) + time.Minute - 1).Truncate(time.Minute), longestQuiet)
	}
	step.Lifetime = max(step.Lifetime, shortestQuiet)
	switch {
	case h.Held && !h.Open && !h.Redo && now.Before(h.Expires):
		step.Noted = h.release()
		step.Renewal, step.At = h.renew(now)
		if !asked.until.IsZero() && h.LateClear.IsZero() && h.LateSet.IsZero() && !h.Expires.Before(asked.until.Add(-time.Minute)) {
			step.Renewal, step.At = false, asked.until // lasts as long as was asked for
			return step
		}
		if now.Before(step.At) {
			return step
		}
	case h.Held || h.Maybe:
		step.Noted = h.release()
	default:
		if step.Noted, step.At = h.wait(now, waitFor(Quiet, w.outcome())); h.Wait != "" {
			return step
		}
	}
	return s.show(now, h, asked, step)
}

// show plans to set what is asked for, unless Graph refused it a short while ago or
// the reporter who asks is silent.
func (s *Session) show(now time.Time, h *Hold, asked wish, step Step) Step {
	if r := s.refusal(step.Subject, now); r != nil {
		step.Renewal, step.At = true, r.Retry
		return step
	}
	if asked.silent[step.Subject] {
		step.Renewal, step.At = true, now.Add(listen)
		return step
	}
	step.set(now, *h)
	return step
}

// end plans what takes back what was set.
func (s *Session) end(now time.Time, h *Hold, step *Step) {
	switch {
	case h.Held || h.Maybe, h.Intent == Clear && (h.Open || h.Redo):
		step.clear(now, *h)
	case h.Open || h.Redo: // a set of which it is certain that it was not done
		h.Open, h.Redo, step.Noted = false, false, true
	case !h.LateSet.IsZero():
		// An old set may have been done after the clear: once more, before it counts.
		if step.At = h.LateSet; !now.Before(h.LateSet) {
			step.clear(now, *h)
		}
	case h.Intent == Clear && h == &s.Call && s.Seen.After(h.At):
		step.clear(now, *h)
	}
}

// Times of a Do not disturb: without an end it is set for a work day, and renewed
// while ProCall still shows it.
const (
	quietTime     = 8 * time.Hour
	longestQuiet  = 24 * time.Hour
	shortestQuiet = 5 * time.Minute
)

func (s *Step) clear(now time.Time, h Hold) { s.do(now, h, Clear) }
func (s *Step) set(now time.Time, h Hold)   { s.do(now, h, Set) }

// do plans a deed, or when to try it again after failures of the same one.
func (s *Step) do(now time.Time, h Hold, deed Deed) {
	if deed == h.Intent && now.Before(h.RetryAt) {
		s.At, s.Renewal = h.RetryAt, false
		return
	}
	s.Deed = deed
}

// outcome returns what is published, and something that hides nobody when nothing
// is: then reading is off, or the person is new.
func (w World) outcome() presence.Outcome {
	if !w.Published {
		return presence.Withdrawn(presence.FromMissing)
	}
	return w.Outcome
}

// waitFor returns what holds a wish back while outcome is published.
func waitFor(about Subject, outcome presence.Outcome) Wait {
	fromTeams := outcome.Source == presence.FromTeams
	switch {
	case about == Call && fromTeams && outcome.ProCall.State == presence.ProCallBusy,
		about == Quiet && fromTeams && outcome.ProCall.State == presence.ProCallDoNotDisturb:
		return TeamsFirst
	case about == Call && (outcome.Availability == presence.Offline || outcome.Availability == presence.PresenceUnknown):
		return SignedOut
	}
	return ""
}

// wait takes in what holds the wish back now and reports whether that is news, and
// when to look again. A wish that was held back because of Teams stays so for a
// while after that ended.
func (h *Hold) wait(now time.Time, cause Wait) (noted bool, again time.Time) {
	switch {
	case cause != "" && h.Wait == cause && h.WaitOver.IsZero():
		return false, time.Time{}
	case cause == TeamsFirst, cause != "" && h.Wait != TeamsFirst:
		if h.Wait != cause {
			h.WaitSince = now
		}
		h.Wait, h.WaitOver = cause, time.Time{}
		return true, time.Time{}
	case h.Wait == TeamsFirst && h.WaitOver.IsZero():
		h.WaitOver = now
		return true, now.Add(Grace)
	case h.Wait == TeamsFirst && now.Sub(h.WaitOver) < Grace:
		return false, h.WaitOver.Add(Grace)
	case cause != "": // TeamsFirst is over, and another cause is there
		h.Wait, h.WaitSince, h.WaitOver = cause, now, time.Time{}
		return true, time.Time{}
	}
	return h.release(), time.Time{}
}

// release forgets what held a wish back, and reports whether anything did.
func (h *Hold) release() bool {
	if h.Wait == "" {
		return false
	}
	h.Wait, h.WaitSince, h.WaitOver = "", time.Time{}, time.Time{}
	return true
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

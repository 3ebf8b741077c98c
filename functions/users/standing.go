package users

import (
	"fmt"
	"slices"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/directory"
	"procallteams/internal/presence"
	"procallteams/internal/session"
)

// state is where one thing stands that the bridge keeps in Teams: a stable word of
// the HTTP contract.
type state string

const (
	none     state = "none"     // nothing is kept, and nothing is to be
	pending  state = "pending"  // to be written
	held     state = "held"     // written and confirmed
	waiting  state = "waiting"  // held back until something else ends
	clearing state = "clearing" // to be taken back
	refused  state = "refused"  // Graph does not let this person be written
)

// Standing is api/openapi.yaml, UserSession.
type Standing struct {
	State  state  `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Hidden says that Teams shows something else, which the person chose.
	Hidden  bool              `json:"hidden,omitempty"`
	Wait    session.Wait      `json:"wait,omitempty"`
	Pair    presence.Settable `json:"pair,omitzero"`
	Since   time.Time         `json:"since,omitzero"`
	Expires time.Time         `json:"expires,omitzero"`
	// Next is when the bridge looks again by itself.
	Next    time.Time `json:"next,omitzero"`
	Refused *refusal  `json:"refused,omitempty"`
	// LastWrite is the last call to Graph about the person.
	LastWrite *Write `json:"lastWrite,omitempty"`
}

type refusal struct {
	Status  int       `json:"status"`
	Code    string    `json:"code,omitempty"`
	Since   time.Time `json:"since"`
	RetryAt time.Time `json:"retryAt"`
}

// lifetime does not matter to where things stand.
var lifetime = presence.LifetimeOf(0)

// alone is a copy of the session that has the newest reports and nothing but one
// subject, so that [session.Session.Next] says what is to be done about that one.
func (k known) alone(about session.Subject) session.Session {
	s := k.session
	s.Reports = make([]calls.Report, 0, len(k.reports))
	for _, r := range k.reports {
		if about == session.Call {
			r.Manual = nil
		} else {
			r.Reasons = 0
			if r.Manual != nil && !r.Manual.Until.IsZero() && !k.asked.Before(r.Manual.Until) {
				r.Manual = nil // it has ended by itself
			}
		}
		s.Reports = append(s.Reports, r)
	}
	if about == session.Call {
		s.Quiet, s.QuietRefusal = session.Hold{}, nil
	} else {
		s.Call, s.Refusal, s.Seen = session.Hold{}, nil, time.Time{}
	}
	return s
}

// standing asks the writer's own decision what it would do now.
func (k known) standing(about session.Subject) Standing {
	now := k.asked
	probe := k.alone(about)
	world := session.World{
		Settings: k.settings, Reporters: k.now.Reporters, Outcome: k.published.Outcome, Published: k.isPublished, Lifetime: lifetime,
	}
	wished, step := probe.Wishes(world), probe.Next(now, world)
	h, r := probe.Call, probe.Refusal
	if about == session.Quiet {
		h, r = probe.Quiet, probe.QuietRefusal
	}
	same := h.Pair == step.Pair && (about == session.Quiet || h.ClientID == k.settings.ClientID)
	ours := h.Held && now.Before(h.Expires) && (step.Deed == "" || same)
	st := Standing{State: none, Next: step.At}
	if h.Held {
		st.Expires = h.Expires
	}
	switch {
	case wished && r != nil && now.Before(r.Retry):
		st.State, st.Since, st.Reason = refused, r.At, "Microsoft Graph refuses to write this user; it is tried again after an hour, then once a day"
		st.Refused = &refusal{r.Status, r.Code, r.At, r.Retry}
	case wished && h.Yielded:
		st.Reason = "the user has chosen something else in Teams since: left alone until UCServer ends it"
	case wished && step.Deed == "" && h.Wait != "":
		st.State, st.Wait, st.Since, st.Reason = waiting, h.Wait, h.WaitSince, k.waiting(about, h)
	case wished && ours:
		st.State, st.Since, st.Pair = held, h.HeldSince, h.Pair
		if about == session.Call && !k.now.Heartbeat.AsOf.IsZero() {
			st.Hidden = k.session.Hidden(k.published.Outcome, k.now.Heartbeat.AsOf)
		}
		if st.Hidden {
			st.Reason = chosen(k.published.Outcome)
		}
	case wished:
		st.State, st.Since, st.Pair, st.Reason = pending, k.reported(), step.Pair, k.delayed(h, step, k.unwritten(probe.Reports))
	case step.Deed == session.Clear, h.Held, h.Maybe, now.Before(h.LateSet):
		st.State, st.Pair, st.Reason = clearing, h.Pair, k.ending(about, h, step)
	case now.Before(left(h)):
		st.State, st.Next = clearing, left(h)
		st.Reason = "what is left in Teams can't be cleared: it ends by itself at " + stamp(left(h)) + " at the latest"
	default:
		st.Next, st.Reason = time.Time{}, k.nothing(probe.Reports)
	}
	return st
}

// left is until when Teams may show something of ours that nothing ends earlier.
func left(h session.Hold) (until time.Time) {
	for _, t := range h.Traces {
		if t.Fixed && t.Until.After(until) {
			until = t.Until
		}
	}
	return until
}

func (k known) waiting(about session.Subject, h session.Hold) string {
	switch {
	case h.Wait == session.SignedOut:
		return "not signed in to Teams: an administrator has set that such people are left alone"
	case about == session.Quiet:
		return "the user has chosen Do not disturb or Appear offline in Teams already"
	case !h.WaitOver.IsZero():
		return "Teams has just ended what may have caused this: written in a moment, if UCServer still reports it then"
	}
	return "Teams contributes the call already"
}

// unwritten says why a wish is not written, when nothing else does.
func (k known) unwritten(reports []calls.Report) string {
	if len(k.now.Reporters.Heard(reports, k.asked)) == 0 {
		return "the reporter is silent: on its word nothing is set or prolonged until it is heard"
	}
	return "reported, not written yet"
}

// delayed says why what is to be done is not done yet.
func (k known) delayed(h session.Hold, step session.Step, otherwise string) string {
	switch {
	case k.now.Writer.Error != "":
		return "nothing can be written to Teams now: " + k.now.Writer.Error
	case k.now.ThrottledUntil.After(k.asked):
		return "Microsoft Graph asked the bridge to wait until " + stamp(k.now.ThrottledUntil)
	case step.Deed == "" && k.asked.Before(h.RetryAt):
		return fmt.Sprintf("the last try failed (%d in a row); the next one is at %s", h.Failures, stamp(h.RetryAt))
	case h.Open:
		return "Microsoft Graph was asked; its answer is not noted yet"
	}
	return otherwise
}

func (k known) ending(about session.Subject, h session.Hold, step session.Step) string {
	switch {
	case about == session.Call && h.ClientID != "" && h.ClientID != k.settings.ClientID && (h.Held || h.Maybe):
		return "set by another app registration, which this one can't clear: it ends by itself at " + stamp(step.At)
	case !h.Held && !h.Maybe && k.asked.Before(h.LateSet):
		return "cleared, and once more at " + stamp(h.LateSet) + ": an earlier call whose answer was lost may still be carried out"
	}
	return k.delayed(h, step, "to be cleared in Teams")
}

// reported is when that was taken in which is not written yet.
func (k known) reported() time.Time {
	at := k.due.At
	for _, r := range k.reports {
		if !k.due.Told && r.At.After(at) {
			at = r.At
		}
	}
	return at
}

// nothing says why reports lead to nothing, when there is one that could.
func (k known) nothing(reports []calls.Report) string {
	reports = slices.DeleteFunc(slices.Clone(reports), func(r calls.Report) bool { return !r.Active() })
	counting := k.now.Reporters.Valid(reports)
	switch {
	case k.person.Standing != directory.TakesPart:
		return "does not take part: " + whyNot[k.person.Standing]
	case k.settings.Paused:
		return "the bridge is paused"
	case !k.settings.Writes():
		return "writing calls to Teams is off"
	case !k.person.Writes:
		return "calls are not written to Teams for this person: proCallToTeams says by which rule"
	case len(reports) > 0 && len(counting) == 0:
		return "the reporter was silent for longer than its lease, or began anew: what it said before counts no more"
	case slices.ContainsFunc(counting, func(r calls.Report) bool { return r.External }):
		return "Teams itself caused what UCServer reports: that is never written to Teams"
	case len(counting) > 0:
		return "only calls and conferences are written, and what an administrator switched on beside them"
	}
	return ""
}

var whyNot = map[directory.Standing]string{
	directory.Disabled: "the account is disabled", directory.Guest: "the account is a guest's",
	directory.Ambiguous:  "more than one user of UCServer, or more than one account, fits",
	directory.NotEnabled: "no direction is switched on for this person", directory.Unmatched: "no user of UCServer is this person",
}

// chosen says what the person chose, which Teams shows instead of our session.
func chosen(o presence.Outcome) string {
	switch {
	case o.Activity == presence.Presenting:
		return "the user is presenting in Teams: it stands above the call"
	case o.Availability == presence.Busy:
		return "Teams shows " + string(o.Activity) + " instead of the call"
	case o.Availability == presence.Offline && o.Activity != presence.OffWork:
		return "Teams shows the user as offline, although the session was confirmed"
	}
	words := map[presence.Availability]string{
		presence.DoNotDisturb: "Do not disturb", presence.Available: "Available", presence.Away: "Away",
		presence.BeRightBack: "Be right back", presence.Offline: "Appear offline",
	}
	word, ok := words[o.Availability]
	if !ok {
		return "Teams shows " + string(o.Availability) + " instead of the call"
	}
	return "user has set " + word + " in Teams: it stands above the call"
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

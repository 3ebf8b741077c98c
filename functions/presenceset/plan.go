package presenceset

import (
	"context"
	"slices"
	"time"

	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/storage"
)

const (
	// inFlight is the most calls to Graph at once.
	inFlight = 32
	// together is how long to wait for room in the budget, so that one step stores
	// several intents.
	together = 50 * time.Millisecond
)

// plan decides about everybody who is due or to be looked at, oldest first and
// renewals that may wait last, and returns the calls to make once their intents are stored.
func (t *turn) plan(ctx context.Context) []*flight {
	now := t.Now().UTC()
	t.again, t.planned = time.Time{}, 0
	var flights []*flight
	blocked := false
	for i, id := range t.queue(now) {
		if len(t.changed)+len(t.done) > storage.MaxStep-2 || blocked && i > many {
			t.again = earliest(t.again, now.Add(together))
			break
		}
		if t.flying[id] != nil {
			continue // what is due waits for the answer
		}
		p := t.person(id)
		next, folded := t.fold(p.Session)
		step := next.Next(now, t.world(id))
		if step.Deed != "" {
			if blocked = blocked || !t.may(ctx, now, step); blocked {
				continue
			}
			f := &flight{id: id, step: step, begun: now, token: t.token, failures: next.Failures(step.Subject), held: next.Quiet.Held, maybe: next.Quiet.May()}
			if due := t.due[id]; due.Told {
				f.reported = due.At
			}
			next.Begin(now, step, t.view.Settings.ClientID)
			f.clientID = next.Call.ClientID
			t.flying[id] = f
			t.planned++
			flights = append(flights, f)
		}
		t.settle(id, p, next, step, folded, now)
	}
	t.soon = t.next(now)
	return flights
}

// settle takes a decision in. What is due is done when the session says it.
func (t *turn) settle(id presence.UserID, p *person, next session.Session, step session.Step, folded bool, now time.Time) {
	p.Session, p.look, p.idle = next, time.Time{}, step.Renewal
	if step.At.After(now) {
		p.look = step.At
	}
	if folded {
		t.done = append(t.done, t.due[id])
		delete(t.due, id)
	}
	if folded || step.Noted || step.Deed != "" || next.Over(now) {
		t.people[id] = p
		t.changed[id] = true
	}
}

// queue returns whom to decide about now: by turns those of whom something was
// reported and those whose time has come, so that a flood of reports lets no session
// run out, and many sessions hold up no report; then those who may wait.
func (t *turn) queue(now time.Time) []presence.UserID {
	t.order = slices.DeleteFunc(t.order, func(id presence.UserID) bool { _, due := t.due[id]; return !due })
	var others, idle []*person
	for id, p := range t.people {
		switch _, due := t.due[id]; {
		case due || p.look.IsZero() || p.look.After(now):
		case p.idle:
			idle = append(idle, p)
		default:
			others = append(others, p)
		}
	}
	longest := func(a, b *person) int { return a.look.Compare(b.look) }
	slices.SortFunc(others, longest)
	slices.SortFunc(idle, longest)
	queue := make([]presence.UserID, 0, len(t.order)+len(others)+len(idle))
	for i := range max(len(t.order), len(others)) {
		if i < len(t.order) {
			queue = append(queue, t.order[i])
		}
		if i < len(others) {
			queue = append(queue, others[i].User)
		}
	}
	for _, p := range idle {
		queue = append(queue, p.User)
	}
	return queue
}

// next is when somebody is to be looked at next because something changes then.
func (t *turn) next(now time.Time) time.Time {
	var next time.Time
	for _, p := range t.people {
		if !p.idle && p.look.After(now) {
			next = earliest(next, p.look)
		}
	}
	return next
}

func (t *turn) person(id presence.UserID) *person {
	if p, ok := t.people[id]; ok {
		return p
	}
	return &person{Session: session.Session{User: id}}
}

// fold takes what is due into a session.
func (t *turn) fold(s session.Session) (session.Session, bool) {
	d, due := t.due[s.User]
	if due && d.Told {
		s.Reports = d.Reports
	}
	if due && d.Seen.After(s.Seen) {
		s.Seen = d.Seen
	}
	return s, due
}

// may reports whether a call may be made now, and takes its part of the budget.
func (t *turn) may(ctx context.Context, now time.Time, step session.Step) bool {
	if t.barred || !now.Before(t.end) || len(t.flying) == cap(t.results) || int(t.underway.Load())+t.planned >= inFlight {
		return false
	}
	if t.until.After(now) {
		t.again = earliest(t.again, t.until)
		return false
	}
	weight := 1
	if step.Subject == session.Quiet {
		weight = 2 // it looks first
	}
	room := float64(weight)
	if step.Renewal { // leaves some for those who can't wait
		room += float64(t.limit.Burst() / 4)
	}
	if lacking := min(room, float64(t.limit.Burst())) - t.limit.TokensAt(now); lacking > 0 {
		wait := time.Duration(lacking / float64(t.limit.Limit()) * float64(time.Second))
		t.again = earliest(t.again, now.Add(max(wait, together)))
		return false
	}
	return t.authorized(ctx) && t.limit.AllowN(now, weight)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

package presencesync

import (
	"time"

	"procallteams/internal/presence"
)

// alternating is the oddity of Graph answering two states by turns during one
// call, as its presence service has been seen to do for days.
const alternating = "answers alternate"

// flip is a person's last change: where from, when, and how often it went back
// and forth since.
type flip struct {
	from  presence.Outcome
	at    time.Time
	count int
}

const (
	// flipWithin is the most time between two turns of an alternation.
	flipWithin = 30 * time.Second
	// flipCount is how many turns in a row are no person's doing.
	flipCount = 4
)

// flip notes a change and counts a person whose answers alternate, once per
// alternation. Every state is delivered all the same.
func (r *run) flip(id presence.UserID, from, to presence.Outcome) {
	last, ok := r.flips[id]
	next := flip{from: from, at: r.start}
	if ok && last.from == to && r.start.Sub(last.at) <= flipWithin {
		next.count = last.count + 1
	}
	if next.count == flipCount {
		r.odd.add(alternating, 1)
		r.log.Warn("Microsoft's answers alternate", "user", string(id))
	}
	r.flips[id] = next
}

func (r *run) sweepFlips() {
	r.swept = r.start
	for id, f := range r.flips {
		if r.start.Sub(f.at) > flipWithin {
			delete(r.flips, id)
		}
	}
}

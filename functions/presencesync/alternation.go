package presencesync

import (
	"maps"
	"time"

	"procallteams/internal/health"
	"procallteams/internal/presence"
)

// alternating is the oddity of Graph answering two states by turns during one
// call, as its presence service has been seen to do for days.
const alternating = "answers alternate"

// flip is a person's last change: where from, when, and how often it went back
// and forth since.
type flip struct {
	from      presence.Outcome
	since, at time.Time // the first of the turns, and the last
	count     int
}

const (
	// flipWithin is the most time between two turns of an alternation.
	flipWithin = 30 * time.Second
	// flipCount is how many turns in a row are no person's doing.
	flipCount = 4
	// maxAlternating bounds whom the heartbeat names, and toldFor is for how long after
	// the last turn it does.
	maxAlternating = 20
	toldFor        = 10 * time.Minute
)

// flip notes a change and counts a person whose answers alternate, once per
// alternation. Every state is delivered all the same.
func (r *run) flip(id presence.UserID, from, to presence.Outcome) {
	last, ok := r.flips[id]
	next := flip{from: from, since: r.start, at: r.start}
	if ok && last.from == to && r.start.Sub(last.at) <= flipWithin {
		next.since, next.count = last.since, last.count+1
	}
	if next.count == flipCount {
		r.odd.add(alternating, 1)
		r.log.Warn("Microsoft's answers alternate", "user", string(id))
	}
	if _, told := r.alternating[id]; next.count >= flipCount && (told || len(r.alternating) < maxAlternating) {
		r.alternating[id] = health.Alternation{Since: next.since.UTC(), Last: next.at.UTC(), Turns: next.count}
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
	maps.DeleteFunc(r.alternating, func(_ presence.UserID, a health.Alternation) bool { return r.start.Sub(a.Last) > toldFor })
}

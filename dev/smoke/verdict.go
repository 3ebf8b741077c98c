package smoke

import (
	"cmp"
	"slices"
	"time"
)

// State is what one user shows, in Graph's words.
type State struct {
	Availability, Activity string
	OutOfOffice            bool
}

// Transition is one change of the ground truth.
type Transition struct {
	User string // Entra object id
	At   time.Time
	State
}

// Delivery is one change that reached a consumer, in order of arrival. Several
// deliveries of one ID are duplicates.
type Delivery struct {
	User string // Entra object id
	ID          // of the change
	State
	Removed    bool
	ObservedAt time.Time // as the change says
	Arrived    time.Time // when the consumer had it
	// Snapshot says that it came as part of a snapshot: the user's state now, with
	// the id of the change that made it.
	Snapshot bool
}

// ID is a change's id: append and index, compared as integers.
type ID struct {
	Append uint64
	Index  uint32
}

// Compare orders ids.
func (a ID) Compare(b ID) int {
	return cmp.Or(cmp.Compare(a.Append, b.Append), cmp.Compare(a.Index, b.Index))
}

// Consumer is what one consumer saw and holds.
type Consumer struct {
	Name       string // poll or push
	Deliveries []Delivery
	Final      map[string]State // by Entra object id
	// Snapshots are the positions of the snapshots that it started from: changes
	// up to them need not reach it one by one.
	Snapshots []ID
}

// Evidence is everything that a run has to be judged by.
type Evidence struct {
	// Truth holds every transition in order of time, also those before Begin.
	Truth []Transition
	Final map[string]State // of everybody who takes part
	// Begin and End bound the movement; transitions outside of it are not
	// measured.
	Begin, End time.Time
	// Interval is the time between two syncs; zero means a second.
	Interval  time.Duration
	Kills     []time.Time
	Consumers []Consumer
}

// Rules of the verdict (see the package comment).
const (
	// syncTime is the most that a sync may take beside its interval: a state held for
	// both together has to be seen.
	syncTime  = 2 * time.Second
	afterKill = 5 * time.Second
	// clockSlack covers the time between Graph's answer being made and the bridge
	// stamping its arrival.
	clockSlack = 250 * time.Millisecond
)

// Verdict is the outcome of a run.
type Verdict struct {
	Changes    int // transitions while it was measured
	Delivered  int // of those, per consumer and added up
	Lost       int
	Reordered  int
	Duplicates int
	Skipped    int // states too short, or disturbed by a kill, and never delivered

	P50, P99, P99AfterKill time.Duration
	P99By                  map[string]time.Duration // by consumer, without kills
	// Losses says for at most 20 of the lost ones what is missing.
	Losses []string
}

// Judge compares what the consumers saw with the ground truth.
func Judge(run Evidence) Verdict {
	v := Verdict{P99By: map[string]time.Duration{}}
	truth := map[string][]Transition{}
	for _, t := range run.Truth {
		truth[t.User] = append(truth[t.User], t)
		if run.measures(t.At) {
			v.Changes++
		}
	}
	var steady, disturbed []time.Duration
	known := appended(run.Consumers)
	for _, c := range run.Consumers {
		before := len(steady)
		v.order(c)
		v.gaps(c, known)
		v.final(c, run.Final)
		seen := map[string][]Delivery{}
		for _, d := range firsts(c.Deliveries) {
			seen[d.User] = append(seen[d.User], d)
		}
		for user := range run.Final {
			for _, m := range match(truth[user], seen[user]) {
				if !run.measures(m.truth.At) {
					continue
				}
				switch {
				case m.delivered != nil:
					v.Delivered++
					latency := m.delivered.Arrived.Sub(m.truth.At)
					if run.killedIn(m.truth.At.Add(-afterKill), m.truth.At) || run.killedIn(m.truth.At, m.delivered.Arrived) {
						disturbed = append(disturbed, latency)
					} else {
						steady = append(steady, latency)
					}
				case m.held:
					// The consumer showed this state all along: nothing to deliver.
				case m.until.Sub(m.truth.At) >= max(run.Interval, time.Second)+syncTime && !run.killedIn(m.truth.At.Add(-afterKill), m.until):
					v.lose(c, "user "+user+" showed "+m.truth.text()+" at "+m.truth.At.UTC().Format(time.RFC3339Nano)+" for "+m.until.Sub(m.truth.At).String()+" and it never arrived")
				default:
					v.Skipped++
				}
			}
		}
		v.P99By[c.Name] = percentile(slices.Clone(steady[before:]), 0.99)
	}
	v.P50, v.P99, v.P99AfterKill = percentile(steady, 0.50), percentile(steady, 0.99), percentile(disturbed, 0.99)
	return v
}

func (r Evidence) measures(at time.Time) bool { return !at.Before(r.Begin) && at.Before(r.End) }

func (r Evidence) killedIn(from, to time.Time) bool {
	return slices.ContainsFunc(r.Kills, func(kill time.Time) bool { return !kill.Before(from) && !kill.After(to) })
}

func (s State) text() string {
	text := s.Availability + "/" + s.Activity
	if s.OutOfOffice {
		text += " (out of office)"
	}
	return text
}

func (v *Verdict) lose(c Consumer, what string) {
	v.Lost++
	if len(v.Losses) < 20 {
		v.Losses = append(v.Losses, c.Name+": "+what)
	}
}

// order counts duplicates and reorderings: an id that arrives for the first time
// after a higher one of the same user.
func (v *Verdict) order(c Consumer) {
	seen := map[ID]bool{}
	newest := map[string]ID{}
	for _, d := range c.Deliveries {
		if d.Snapshot {
			// The state as of now: it may repeat changes, and changes that come
			// after it may be older.
			continue
		}
		if seen[d.ID] {
			v.Duplicates++
			continue
		}
		if d.ID.Compare(newest[d.User]) < 0 {
			v.Reordered++
		}
		seen[d.ID] = true
		if d.ID.Compare(newest[d.User]) > 0 {
			newest[d.User] = d.ID
		}
	}
}

// appended returns every change id that any consumer saw.
func appended(consumers []Consumer) map[ID]string {
	known := map[ID]string{}
	for _, c := range consumers {
		for _, d := range c.Deliveries {
			known[d.ID] = d.User
		}
	}
	return known
}

// gaps counts changes that were appended, as the other consumer or the numbering
// proves, and never reached this one.
func (v *Verdict) gaps(c Consumer, known map[ID]string) {
	seen := map[ID]bool{}
	appends := map[uint64]bool{}
	for _, d := range c.Deliveries {
		seen[d.ID], appends[d.Append] = true, true
	}
	covered := ID{}
	for _, s := range c.Snapshots {
		if s.Compare(covered) > 0 {
			covered = s
		}
	}
	last := covered
	for id := range known {
		if id.Compare(last) > 0 {
			last = id
		}
		if !seen[id] && id.Compare(covered) > 0 {
			v.lose(c, "an appended change of user "+known[id]+" never arrived")
		}
	}
	for number := covered.Append + 1; number <= last.Append; number++ {
		if !appends[number] && !anyOf(known, number) {
			v.lose(c, "a whole append never arrived at anybody")
		}
	}
}

func anyOf(known map[ID]string, number uint64) bool {
	for id := range known {
		if id.Append == number {
			return true
		}
	}
	return false
}

// final counts users whose last state is wrong, missing or too many.
func (v *Verdict) final(c Consumer, want map[string]State) {
	for user, state := range want {
		got, ok := c.Final[user]
		if !ok {
			v.lose(c, "user "+user+" is missing in the end")
		} else if got != state {
			v.lose(c, "user "+user+" ends as "+got.text()+", Teams shows "+state.text())
		}
	}
	for user := range c.Final {
		if _, ok := want[user]; !ok {
			v.lose(c, "user "+user+" does not take part and is held in the end")
		}
	}
}

// firsts returns the first arrival of every change, in order of id.
func firsts(deliveries []Delivery) []Delivery {
	seen := map[ID]bool{}
	var list []Delivery
	for _, d := range deliveries {
		if !seen[d.ID] {
			seen[d.ID] = true
			list = append(list, d)
		}
	}
	slices.SortStableFunc(list, func(a, b Delivery) int { return a.ID.Compare(b.ID) })
	return list
}

// matched is one transition of a user with the delivery that reported it.
type matched struct {
	truth     Transition
	until     time.Time // when the next state began; far away for the last
	delivered *Delivery
	// held says that the consumer showed this very state when it began, since
	// what lay between was too short to be read.
	held bool
}

// match walks one user's transitions (in order of time) and deliveries (in order
// of id). A delivery reports the newest transition with its state that had
// happened when the bridge observed it.
func match(truth []Transition, seen []Delivery) []matched {
	list := make([]matched, len(truth))
	for i, t := range truth {
		list[i] = matched{truth: t, until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
		if i > 0 {
			list[i-1].until = t.At
		}
	}
	at := 0
	for d := range seen {
		if seen[d].Removed {
			continue
		}
		best := -1
		for i := at; i < len(list) && !list[i].truth.At.After(seen[d].ObservedAt.Add(clockSlack)); i++ {
			if list[i].truth.State == seen[d].State {
				best = i
			}
		}
		if best < 0 {
			continue
		}
		if list[best].delivered == nil {
			list[best].delivered = &seen[d]
		}
		// Until the next delivery is observed, the consumer goes on showing it.
		for i := best + 1; i < len(list); i++ {
			if d+1 < len(seen) && seen[d+1].ObservedAt.Before(list[i].truth.At) {
				break
			}
			if list[i].truth.State == seen[d].State {
				list[i].held = true
			}
		}
		at = best
	}
	return list
}

// percentile returns the p-quantile (nearest rank), zero of nothing.
func percentile(list []time.Duration, p float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, int(p*float64(len(list))))]
}

package presencesync

import (
	"strings"
	"time"

	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/presence"
)

const (
	// missingAfter is how long a person whom Graph does not answer for keeps the
	// last state.
	missingAfter = 15 * time.Minute
	// olderAfter is how long answers with older version stamps are dropped.
	olderAfter = 2 * time.Minute
)

// compare finds what differs from the published outcomes. Its work per person
// who did not change is a look into the book.
func (r *run) compare(batches []batch) {
	r.part()
	for i := range batches {
		b := &batches[i]
		if b.err != nil {
			if r.unheard(r.ids[b.from]) {
				r.silence(b)
			} else {
				r.restate(r.people[b.from:b.to])
			}
			continue
		}
		for at, state := range b.answer.States {
			r.person(b.from+at, state, b.at)
		}
	}
	r.beat.Hidden = r.echo.hidden
	if r.start.Sub(r.swept) > time.Minute {
		r.sweepFlips()
	}
}

// part removes those who left or have another name now, once per directory. The
// renamed get their presence under the new name in the same append, behind all
// removals.
func (r *run) part() {
	if r.directory == nil || r.passed == r.directory {
		return
	}
	for held := range r.book.All() {
		if reason := r.leaves(held); reason != "" {
			r.remove(held, reason)
		}
	}
	r.passed = r.directory
}

// leaves says why what is published about a person has to be taken back; empty when
// it stays.
func (r *run) leaves(held feed.Change) feed.RemovedReason {
	person, known := r.directory.Find(held.Entra)
	switch {
	case !known:
		return feed.Deleted
	case person.Reads && person.Name == held.User:
		return ""
	case person.Reads:
		return feed.Renamed
	case person.Standing == directory.Ambiguous || person.Standing == directory.Unmatched || person.Standing == directory.Guest:
		return feed.Unmatched
	default: // the account, or the direction for this person
		return feed.Disabled
	}
}

func (r *run) remove(held feed.Change, reason feed.RemovedReason) {
	r.changes = append(r.changes, feed.Change{Kind: feed.Removed, User: held.User, UCID: held.UCID, Entra: held.Entra, Reason: reason, ObservedAt: r.start.UTC()})
	r.removed[held.Entra] = reason
	delete(r.missing, held.Entra)
	delete(r.older, held.Entra)
}

func (r *run) removeAll(reason feed.RemovedReason) {
	for held := range r.book.All() {
		r.remove(held, reason)
	}
}

// withdraw takes back what Teams caused, once, from everybody who stays.
func (r *run) withdraw(why presence.Source) {
	for held := range r.book.All() {
		reason, gone := r.removed[held.Entra]
		if gone && reason != feed.Renamed || !gone && held.Outcome.Source == why {
			continue
		}
		if gone {
			held.User, held.UCID = r.nameOf(held)
		}
		r.put(held, presence.Withdrawn(why), held.Sequence, r.start)
	}
}

func (r *run) nameOf(held feed.Change) (name, ucID string) {
	person, _ := r.directory.Find(held.Entra)
	return person.Name, person.UCID
}

// put publishes an outcome about the person of held.
func (r *run) put(held feed.Change, outcome presence.Outcome, sequence string, at time.Time) {
	r.changes = append(r.changes, feed.Change{
		Kind: feed.Presence, User: held.User, UCID: held.UCID, Entra: held.Entra,
		Outcome: outcome, Sequence: strings.Clone(sequence), ObservedAt: at.UTC(),
	})
}

// silence withdraws what is published about the people of a batch that has
// failed for too long.
func (r *run) silence(b *batch) {
	for _, person := range r.people[b.from:b.to] {
		held, ok := r.book.Get(person.ID)
		if !ok || held.Outcome.Source == presence.FromStale && held.User == person.Name {
			continue
		}
		held.User, held.UCID = person.Name, person.UCID
		r.put(held, presence.Withdrawn(presence.FromStale), held.Sequence, r.start)
	}
}

// restate publishes what is known about people for whom there is no answer, as far
// as an edit of names or of the mapping makes something else of it.
func (r *run) restate(people []*directory.Person) {
	for _, person := range people {
		held, ok := r.book.Get(person.ID)
		if !ok {
			continue
		}
		if outcome := r.mapping.Again(held.Outcome); outcome != held.Outcome || r.removed[person.ID] == feed.Renamed {
			held.User, held.UCID = person.Name, person.UCID
			r.put(held, outcome, held.Sequence, held.ObservedAt)
		}
	}
}

// person judges one answer; the zero state is none.
func (r *run) person(i int, state presence.State, at time.Time) {
	person := r.people[i]
	held, ok := r.book.Get(person.ID)
	var outcome presence.Outcome
	sequence := state.Sequence
	switch {
	case state.Availability == "":
		if !r.gone(person.ID, held) {
			outcome, sequence, at = r.mapping.Again(held.Outcome), held.Sequence, held.ObservedAt
			if !ok || outcome == held.Outcome && same(held, person) {
				return
			}
			break
		}
		outcome, sequence = presence.Withdrawn(presence.FromMissing), held.Sequence
	case !r.newer(i, state.Sequence, held):
		if !ok {
			return
		}
		outcome, sequence, at = r.mapping.Again(held.Outcome), held.Sequence, held.ObservedAt
	default:
		outcome = r.outcomeOf(person.ID, state, at)
	}
	if len(r.echo.sessions) > 0 {
		r.reflect(person.ID, outcome, at)
	}
	if state.Availability != "" && len(r.missing) > 0 {
		delete(r.missing, person.ID)
	}
	if ok && held.Outcome == outcome && same(held, person) {
		return
	}
	// From or to what the bridge wrote is no turn of Microsoft's.
	if ok && outcome.Source == presence.FromTeams && held.Outcome.Source == presence.FromTeams {
		r.flip(person.ID, held.Outcome, outcome)
	}
	r.put(feed.Change{User: person.Name, UCID: person.UCID, Entra: person.ID}, outcome, sequence, at)
}

// same reports whether UCServer knows the person as what was published.
func same(held feed.Change, person *directory.Person) bool {
	return held.User == person.Name && held.UCID == person.UCID
}

// gone notes that Graph did not answer for a person, and reports whether that
// has lasted too long.
func (r *run) gone(id presence.UserID, held feed.Change) bool {
	if held.Outcome.Source == presence.FromMissing {
		delete(r.missing, id)
		return true // published already
	}
	since, ok := r.missing[id]
	if !ok {
		r.missing[id] = r.start
		return false
	}
	return r.start.Sub(since) >= missingAfter
}

// newer reports whether an answer may be used: its version stamp is not below
// the newest seen, or only lower ones have come for two minutes. A stamp equal
// to the newest is used, since what was read with it may never have been stored.
func (r *run) newer(i int, stamp string, held feed.Change) bool {
	id := r.ids[i]
	newest := r.newest[i]
	if held.Sequence != "" && r.overruled[id] != held.Sequence {
		newest = max(newest, held.Sequence)
	}
	if stamp == "" || stamp >= newest {
		r.stamp(i, stamp, held)
		if len(r.older) > 0 {
			delete(r.older, id)
		}
		return true
	}
	since, ok := r.older[id]
	if !ok {
		r.older[id] = r.start
		since = r.start
	}
	if r.start.Sub(since) < olderAfter {
		r.odd.add("answer older than one before", 1)
		return false
	}
	// The published stamp stays as it is until something changes: from now on it
	// counts no more.
	r.overruled[id] = held.Sequence
	r.stamp(i, stamp, held)
	delete(r.older, id)
	return true
}

// stamp keeps a person's newest version stamp, without the answer that it is a part
// of. Nearly always it is the published one, which is in memory already.
func (r *run) stamp(i int, stamp string, held feed.Change) {
	switch stamp {
	case held.Sequence:
		r.newest[i] = held.Sequence
	case r.newest[i]:
	default:
		r.newest[i] = strings.Clone(stamp)
	}
}

package presencesync

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/graph"
	"procallteams/internal/health"
	"procallteams/internal/presence"
)

// tenant is what a process keeps about the tenant between runs.
type tenant struct {
	id   string
	warm *feed.Warm // shared with the polls of this process
	// limit spends reading's share of Graph's budget.
	limit *rate.Limiter

	// directory is the one that loaded names; people are those of it whose presence
	// is read, ids their ids, both in the same order.
	directory *directory.Directory
	loaded    string
	people    []*directory.Person
	ids       []presence.UserID
	// newest is Graph's newest version stamp per person, in the order of people.
	newest []string
	// passed is the directory whose leavers and renamed people are in the feed.
	passed *directory.Directory
	// namesSeen says that the package's usermatching.csv was looked at.
	namesSeen bool
	// accountsLost says that the stored accounts are gone; nextRead is when they may
	// be read from Graph again by this function.
	accountsLost bool
	nextRead     time.Time
	awaited      awaited   // an edit that waits for the members of a group
	saidUnknown  time.Time // when it was last logged that the directory can't be made

	// missing are the people whom Graph does not answer for and since when; nil
	// before the stored list was read. Likewise older, whose answers are all
	// older than one that was seen, and silent, batches that fail, by their first
	// person.
	missing, older, silent map[presence.UserID]time.Time
	// overruled are published version stamps that Graph's numbering went back
	// behind for good.
	overruled map[presence.UserID]string
	flips     map[presence.UserID]flip
	// alternating are those of the last minutes.
	alternating map[presence.UserID]health.Alternation
	// written are the sessions as the last run knew them.
	written written
	// told are those whose wait is over as the writer was told, and when.
	told   map[presence.UserID]time.Time
	swept  time.Time // when flips were last swept
	odd    oddities
	logged time.Time // when a failure was last logged
}

// inFlight is the most requests to Graph at once, and the burst of the limiter.
const inFlight = 16

func newTenant(id string, warm *feed.Warm) *tenant {
	return &tenant{
		id: id, warm: warm, limit: rate.NewLimiter(0, inFlight), odd: oddities{},
		older: map[presence.UserID]time.Time{}, overruled: map[presence.UserID]string{}, silent: map[presence.UserID]time.Time{}, flips: map[presence.UserID]flip{},
		alternating: map[presence.UserID]health.Alternation{},
	}
}

// adoptDirectory replaces the people; what is known about those who stay is kept.
func (t *tenant) adoptDirectory(d *directory.Directory, blob string) {
	before := t.ids
	stamps := make(map[presence.UserID]string, len(t.ids))
	for i, id := range t.ids {
		if t.newest[i] != "" {
			stamps[id] = t.newest[i]
		}
	}
	t.directory, t.loaded = d, blob
	t.people = t.people[:0:0]
	for i := range d.People {
		person := &d.People[i]
		if _, ok := person.ID.GUID(); ok && person.Reads { // what is no object id has no presence
			t.people = append(t.people, person)
		}
	}
	t.ids, t.newest = make([]presence.UserID, len(t.people)), make([]string, len(t.people))
	for i, person := range t.people {
		t.ids[i], t.newest[i] = person.ID, stamps[person.ID]
	}
	// A batch inherits the silence of the one in which its first person was, and
	// nothing is remembered about those who left.
	silent := map[presence.UserID]time.Time{}
	for from := 0; from < len(t.ids); from += graph.MaxIDs {
		at, found := slices.BinarySearch(before, t.ids[from])
		if !found {
			at--
		}
		if at < 0 {
			continue
		}
		if since, ok := t.silent[before[at/graph.MaxIDs*graph.MaxIDs]]; ok {
			silent[t.ids[from]] = since
		}
	}
	t.silent = silent
	left := func(id presence.UserID) bool { _, stays := slices.BinarySearch(t.ids, id); return !stays }
	maps.DeleteFunc(t.missing, func(id presence.UserID, _ time.Time) bool { return left(id) })
	maps.DeleteFunc(t.older, func(id presence.UserID, _ time.Time) bool { return left(id) })
	maps.DeleteFunc(t.overruled, func(id presence.UserID, _ string) bool { return left(id) })
}

// oddities counts what was unusual since the process started, by kind.
type oddities map[string]int

// maxOddities bounds the kinds; values that others made up are part of them.
const maxOddities = 40

func (o oddities) add(kind string, n int) {
	if _, known := o[kind]; !known && len(o) >= maxOddities {
		kind = "other kinds"
	}
	o[kind] += n
}

func (o oddities) addAll(found graph.Oddities) {
	for kind, n := range found {
		o.add(kind, n)
	}
}

func (o oddities) copy() map[string]int { return maps.Clone(o) }

package ucserver

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Delivery is one arrival of one change.
type Delivery struct {
	Via          string    `json:"via"` // changes or snapshot
	Epoch        string    `json:"epoch"`
	ID           Position  `json:"id"`
	Type         string    `json:"type"`
	User         string    `json:"user"`
	EntraID      string    `json:"entraId,omitempty"`
	Availability string    `json:"availability,omitempty"`
	Activity     string    `json:"activity,omitempty"`
	OutOfOffice  bool      `json:"outOfOffice,omitempty"`
	Source       string    `json:"source,omitempty"`
	Reason       string    `json:"reason,omitempty"`
	ObservedAt   time.Time `json:"observedAt,omitzero"`
	ArrivedAt    time.Time `json:"arrivedAt"`
	// Applied says that it changed what is held for the user.
	Applied bool `json:"applied"`
	// Duplicate says that a change with this id had arrived before.
	Duplicate bool `json:"duplicate,omitempty"`
	// Reordered says that it arrived for the first time after a later change of
	// the same user and epoch.
	Reordered bool `json:"reordered,omitempty"`
}

// Person is what the consumer holds about one user.
type Person struct {
	Change
	ArrivedAt time.Time `json:"arrivedAt"`
}

// Counters sum up an inbox.
type Counters struct {
	Delivered  int `json:"delivered"` // changes, each arrival counted
	Applied    int `json:"applied"`
	Duplicates int `json:"duplicates"`
	Reordered  int `json:"reordered"`
	Snapshots  int `json:"snapshots"`
	Heartbeats int `json:"heartbeats"` // valid answers and pushes without a change
	Violations int `json:"violations"` // breaches of the contract by the bridge
}

// View is what an inbox shows at one moment.
type View struct {
	Epoch    string    `json:"epoch"`
	Position Position  `json:"position"`
	Heard    time.Time `json:"heard,omitzero"` // last valid message
	// Withdrawn says that nothing valid was heard for STALE_AFTER: what Teams
	// caused is not shown until the bridge is heard again.
	Withdrawn bool `json:"withdrawn"`
	Freshness
	Counters Counters `json:"counters"`
	People   []Person `json:"people"` // by user name
}

// Inbox is what one consumer holds. Its methods are safe for concurrent use.
type Inbox struct {
	now        func() time.Time
	staleAfter time.Duration
	limit      int

	mu       sync.Mutex
	epoch    string
	position Position
	people   map[string]Person   // removed users as well, so that late changes stay out
	streamed map[string]Position // highest change of each user that came as a change
	seen     map[Position]bool   // ids of this epoch that came as changes
	heard    time.Time
	fresh    Freshness
	counters Counters
	log      []Delivery
	breaches []string
	applied  func(Change)
}

func newInbox(now func() time.Time, stale time.Duration, limit int) *Inbox {
	if now == nil {
		now = time.Now
	}
	b := &Inbox{now: now, staleAfter: cmp.Or(stale, staleAfter), limit: cmp.Or(limit, 1_000_000), people: map[string]Person{}}
	b.forget()
	return b
}

// forget begins a new epoch of the statistics.
func (b *Inbox) forget() {
	b.streamed, b.seen = map[string]Position{}, map[Position]bool{}
}

// OnApplied sets a function that is called, in order, with every change that
// changes what is held; a user that a snapshot left out comes as removed. It must
// not call the inbox.
func (b *Inbox) OnApplied(f func(Change)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applied = f
}

func (b *Inbox) tell(c Change) {
	if b.applied != nil {
		b.applied(c)
	}
}

// held returns the consumer's place in the feed.
func (b *Inbox) held() (string, Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.epoch, b.position
}

// listen notes a valid message.
func (b *Inbox) listen(f Freshness, changes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = b.now()
	if changes == 0 {
		b.counters.Heartbeats++
	}
	// A repeated message must not make the reading look older than it is known
	// to be.
	if !f.AsOf.Before(b.fresh.AsOf) {
		b.fresh = f
	}
}

// take applies changes of an epoch and moves the position to to, if that is
// further. A change counts if its id is above the position and above the one
// held for its user: a user that a snapshot left out must not come back by a
// late delivery. Consumers that poll keep no position.
func (b *Inbox) take(epoch string, to Position, changes []Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.epoch = epoch
	for _, c := range changes {
		d := deliveryOf(c, "changes", epoch, now)
		d.Duplicate = b.seen[c.ID]
		d.Reordered = !d.Duplicate && c.ID.Compare(b.streamed[c.User]) < 0
		b.seen[c.ID] = true
		if c.ID.Compare(b.streamed[c.User]) > 0 {
			b.streamed[c.User] = c.ID
		}
		if d.Applied = c.ID.Compare(b.position) > 0 && c.ID.Compare(b.people[c.User].ID) > 0; d.Applied {
			b.people[c.User] = Person{c, now}
			b.tell(c)
		}
		b.note(d)
	}
	if to.Compare(b.position) > 0 {
		b.position = to
	}
}

// replace takes a whole snapshot: users that it does not list are forgotten. In
// the same epoch a newer state of a listed user stays.
func (b *Inbox) replace(epoch string, to Position, items []Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	before := b.people
	if epoch != b.epoch {
		b.people, b.position = map[string]Person{}, Position{}
		b.forget()
	}
	b.epoch, b.position = epoch, to
	b.counters.Snapshots++
	people := make(map[string]Person, len(items))
	for _, c := range items {
		d := deliveryOf(c, "snapshot", epoch, now)
		held, ok := b.people[c.User]
		if d.Applied = !ok || c.ID.Compare(held.ID) > 0; d.Applied {
			held = Person{c, now}
			b.tell(c)
		}
		people[c.User] = held
		b.note(d)
	}
	for user, p := range before {
		if _, listed := people[user]; !listed && p.Type != typeRemoved {
			b.tell(Change{Type: typeRemoved, User: user})
		}
	}
	b.people = people
}

func deliveryOf(c Change, via, epoch string, now time.Time) Delivery {
	return Delivery{Via: via, Epoch: epoch, ID: c.ID, Type: c.Type, User: c.User, EntraID: c.EntraID, Availability: c.Availability, Activity: c.Activity,
		OutOfOffice: c.OutOfOffice, Source: c.Source, Reason: c.Reason, ObservedAt: c.ObservedAt, ArrivedAt: now}
}

// note logs a delivery and counts it. It needs the lock.
func (b *Inbox) note(d Delivery) {
	b.counters.Delivered++
	for counter, yes := range map[*int]bool{&b.counters.Applied: d.Applied, &b.counters.Duplicates: d.Duplicate, &b.counters.Reordered: d.Reordered} {
		if yes {
			*counter++
		}
	}
	if len(b.log) >= b.limit {
		drop := b.limit/10 + 1
		for _, old := range b.log[:drop] {
			delete(b.seen, old.ID)
		}
		b.log = append(b.log[:0], b.log[drop:]...)
	}
	b.log = append(b.log, d)
}

// breach notes that the bridge broke the contract.
func (b *Inbox) breach(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counters.Violations++
	if len(b.breaches) < 1000 {
		b.breaches = append(b.breaches, fmt.Sprintf(format, args...))
	}
}

// Log returns every delivery so far, in order of arrival.
func (b *Inbox) Log() []Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.log)
}

// Violations returns the first thousand breaches of the contract.
func (b *Inbox) Violations() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.breaches)
}

// View returns what is held now. While withdrawn, nobody has a contribution.
func (b *Inbox) View() View {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := View{Epoch: b.epoch, Position: b.position, Heard: b.heard, Freshness: b.fresh, Counters: b.counters, People: []Person{}}
	v.Withdrawn = !b.heard.IsZero() && b.now().Sub(b.heard) >= b.staleAfter
	for _, p := range b.people {
		if p.Type == typeRemoved {
			continue
		}
		if v.Withdrawn {
			p.ProCall = &ProCall{Reasons: []string{}, Icon: "none", Label: "withdrawn"}
		}
		v.People = append(v.People, p)
	}
	slices.SortFunc(v.People, func(p, q Person) int { return cmp.Compare(p.User, q.User) })
	return v
}

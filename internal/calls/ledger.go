package calls

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"procallteams/internal/directory"
	"procallteams/internal/presence"
)

// ErrChanged reports that a row is not the version that was read: read again.
var ErrChanged = errors.New("row changed meanwhile")

// Store keeps a tenant's reporters and people. Every write is durable when it
// returns.
type Store interface {
	// People returns the rows of the given people, which are in order; those without
	// one are absent.
	People(ctx context.Context, tenant string, ids []presence.UserID) (map[presence.UserID]Person, error)
	// Everybody yields all rows.
	Everybody(ctx context.Context, tenant string) iter.Seq2[Person, error]
	// Reporter returns one reporter's row, which must be there.
	Reporter(ctx context.Context, tenant, id string) (Reporter, error)
	// SavePeople writes at most MaxStep rows and, unless it is nil, the reporter's, all
	// of them or none, each against its Version ([ErrChanged]). A person's row
	// brings its [Due] along unless it is quiet; one without reports is removed.
	SavePeople(ctx context.Context, tenant string, people []Person, reporter *Reporter) error
	// RemoveReporter removes a reporter's row, against its Version ([ErrChanged]).
	RemoveReporter(ctx context.Context, tenant string, reporter Reporter) error
	// SaveSwept stores when leases were looked at.
	SaveSwept(ctx context.Context, tenant string, at time.Time) error
}

// MaxStep is how many people's rows one step writes at most.
const MaxStep = 49

// View is what the ledger needs to know about a tenant: one storage operation.
type View struct {
	Reporters Reporters
	Directory directory.Ref
	// On says that calls are to be written to Teams, now or after a pause.
	On bool
	// Swept is when leases were last looked at.
	Swept time.Time
}

// Ledger takes in what reporters say. It is safe for concurrent use.
//
// Each step that stores people's rows also stores the reporter's row against its
// version. So whoever stored a step knows that no other batch of this reporter, and
// no end of its lease, came between its reading and its writing.
type Ledger struct {
	Store Store
	// Look reads what is known about a tenant now.
	Look func(ctx context.Context, tenant string) (View, error)
	// People returns the directory that a view points at; [ErrChanged] when another has
	// taken its place.
	People func(ctx context.Context, ref directory.Ref) (*directory.Index, error)
	// Stopped returns which reporters could not report since a time: their credentials
	// were revoked before it.
	Stopped func(ctx context.Context, tenant string, since time.Time) (func(reporter string) bool, error)
	// Wake puts a wake-up for the writer on its queue.
	Wake func(ctx context.Context, tenant string) error
	Now  func() time.Time

	// lines are where the batches of one reporter wait in this process.
	mu    sync.Mutex
	lines map[string]*line
}

// Entry is one item of a batch: what was read of it, and why it can't be used.
type Entry struct {
	Item  Item
	Fault error
}

// Result says what became of one item. These are stable words of the HTTP
// contract.
type Result string

// Results.
const (
	Accepted      Result = "accepted"      // stored, and written to Teams as the rules say
	Unchanged     Result = "unchanged"     // known already
	Outdated      Result = "outdated"      // a newer report about this person is there
	Conflict      Result = "conflict"      // another content with the same seq is there
	Invalid       Result = "invalid"       // not understood
	UnknownUser   Result = "unknownUser"   // nobody who takes part has this name
	AmbiguousUser Result = "ambiguousUser" // more than one person has this name
	DisabledUser  Result = "disabledUser"  // the account is disabled, or a guest's
	NotEnabled    Result = "notEnabled"    // calls are not written to Teams; nothing was stored
)

// Outcome is the result of one item, in the order of the batch.
type Outcome struct {
	User   string `json:"user"`
	Seq    int64  `json:"seq"`
	Result Result `json:"result"`
	Detail string `json:"detail,omitempty"`
}

// Receipt is the answer to a batch.
type Receipt struct {
	Epoch int64
	// Until is when the lease ends that this call renewed.
	Until time.Time
	// Expired says that the lease had ended before this complete list, when, and
	// how many active reports were void with it.
	Expired     bool
	ExpiredAt   time.Time
	ExpiredWith int
	Outcomes    []Outcome
	// Ended is how many people a complete list ended that it does not name.
	Ended int
}

// NeedError reports that a complete list must come first.
type NeedError struct {
	Need  Need
	Since time.Time
	// Epoch is the one in force; Ended as in [Reporter].
	Epoch int64
	Ended int
}

func (e *NeedError) Error() string { return "a complete list is needed: " + string(e.Need) }

// EpochError reports an epoch that is not the one in force.
type EpochError struct {
	Given, InForce int64
	// Never says that no complete list of this reporter was ever accepted.
	Never bool
	// Complete says that it came with a complete list, and is older.
	Complete bool
}

func (e *EpochError) Error() string {
	return fmt.Sprintf("epoch %d is not in force", e.Given)
}

// ListError reports a complete list that is older than what was taken in already
// in its epoch.
type ListError struct {
	Epoch, AsOf int64
	// InForce is up to which seq everything is known.
	InForce int64
}

func (e *ListError) Error() string {
	return fmt.Sprintf("the list is as of seq %d, and %d is known already", e.AsOf, e.InForce)
}

// ErrNoDirectory reports that it is not known yet who takes part.
var ErrNoDirectory = errors.New("the tenant's people are not known yet")

// attempts bounds how often a batch is begun anew because somebody else wrote at
// the same time.
const attempts = 12

// skew is how much later than our own clock a time may be without a remark.
const skew = 2 * time.Minute

// again is for how long after a report was taken in its repetition sends one more
// wake-up: the process may have ended before it sent the first. Later, upkeep has
// found what is due.
const again = time.Minute

// Report takes in a batch of reports in epoch. The same batch again changes
// nothing. It returns a *NeedError or an *EpochError when the reporter must send
// a complete list first; then nothing of the batch was kept. Batches that come
// while another one is being stored are taken in together.
func (l *Ledger) Report(ctx context.Context, tenant, reporter string, epoch int64, entries []Entry) (Receipt, error) {
	return l.lineOf(tenant, reporter).report(ctx, epoch, entries, func(ctx context.Context, entries []Entry) (Receipt, error) {
		return l.take(ctx, tenant, reporter, batch{epoch: epoch, entries: entries})
	})
}

// Complete takes in the complete list of active calls as of asOf: it opens epoch,
// and ends everybody who is not listed and whose report is not newer than asOf. A
// call that goes on does not flicker: its row is rewritten, and nobody has to act
// on that. The same list again changes nothing. It returns an *EpochError when a
// newer epoch is in force, a *ListError when something newer is.
//
// A long list is stored in several steps, the epoch with the last one. After a
// crash in between, the old epoch is in force, and the same list completes it.
func (l *Ledger) Complete(ctx context.Context, tenant, reporter string, epoch, asOf int64, entries []Entry) (Receipt, error) {
	line := l.lineOf(tenant, reporter)
	if err := line.enter(ctx); err != nil {
		return Receipt{}, err
	}
	defer line.leave()
	return l.take(ctx, tenant, reporter, batch{epoch: epoch, complete: true, asOf: asOf, entries: entries})
}

// batch is what one call brings.
type batch struct {
	epoch, asOf int64
	complete    bool
	entries     []Entry
}

func (l *Ledger) take(ctx context.Context, tenant, reporter string, b batch) (Receipt, error) {
	for try := 0; ; try++ {
		receipt, err := l.once(ctx, tenant, reporter, b)
		if !errors.Is(err, ErrChanged) || try == attempts {
			return receipt, err
		}
		if err := pause(ctx, try); err != nil {
			return Receipt{}, err
		}
	}
}

// once takes the batch in as of one reading. ErrChanged: somebody else wrote.
func (l *Ledger) once(ctx context.Context, tenant, id string, b batch) (Receipt, error) {
	view, err := l.Look(ctx, tenant) // before any person's row is read
	if err != nil {
		return Receipt{}, err
	}
	reporter, known := view.Reporters[id]
	if !known {
		reporter = Reporter{ID: id, Need: NeedFirst}
	}
	if err := admit(reporter, known, view.On, b); err != nil {
		return Receipt{}, err
	}
	t := &taking{batch: b, reporter: reporter, now: l.Now().UTC(), outcomes: make([]Outcome, len(b.entries)), changed: map[presence.UserID]Person{}}
	if view.On {
		err = t.resolve(ctx, l, tenant, view)
	} else {
		t.refuseAll()
	}
	if err != nil {
		return Receipt{}, err
	}
	next := t.heard(view.On)
	people := t.people()
	if err := l.save(ctx, tenant, people, reporter, next); err != nil {
		return Receipt{}, err
	}
	if t.repeated || slices.ContainsFunc(people, loud) {
		// What is due is stored: a wake-up that is lost is upkeep's, or that of the
		// batch when it comes again.
		_ = l.Wake(ctx, tenant)
	}
	return t.receipt(next), nil
}

func loud(p Person) bool { return !p.Quiet }

// save stores people's rows in steps, the reporter as it is to be with the last
// one.
func (l *Ledger) save(ctx context.Context, tenant string, people []Person, before, next Reporter) error {
	before.Seen, before.Until, before.Extended = next.Seen, next.Until, next.Extended
	for len(people) > MaxStep {
		mark := before.written()
		if err := l.Store.SavePeople(ctx, tenant, people[:MaxStep], &before); err != nil {
			return err
		}
		people = people[MaxStep:]
		var err error
		if before, err = l.Store.Reporter(ctx, tenant, before.ID); err != nil {
			return err
		}
		if before.Mark != mark {
			return ErrChanged // what was read of people may be old
		}
	}
	next.Version = before.Version
	next.written()
	return l.Store.SavePeople(ctx, tenant, people, &next)
}

// admit judges the batch as a whole. While calls are not written, nothing of it is
// kept, so nothing can be missing.
func admit(r Reporter, known, on bool, b batch) error {
	switch {
	case b.complete && known && b.epoch < r.Epoch:
		return &EpochError{Given: b.epoch, InForce: r.Epoch, Complete: true}
	case b.complete && known && b.epoch == r.Epoch && b.asOf < max(r.AsOf, r.Floor):
		return &ListError{Epoch: r.Epoch, AsOf: b.asOf, InForce: max(r.AsOf, r.Floor)}
	case b.complete:
		return nil
	case !known || r.Need == NeedFirst:
		return &EpochError{Given: b.epoch, Never: true}
	case b.epoch != r.Epoch:
		return &EpochError{Given: b.epoch, InForce: r.Epoch}
	case on && r.Need != "":
		return &NeedError{Need: r.Need, Since: r.NeedSince, Epoch: r.Epoch, Ended: r.Ended}
	}
	return nil
}

// pause waits a little longer with every try: batches that meet in two processes
// would else meet again.
func pause(ctx context.Context, try int) error {
	timer := time.NewTimer(time.Duration(1+try) * (5*time.Millisecond + rand.N(20*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

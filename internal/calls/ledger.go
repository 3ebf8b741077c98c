package calls

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"procallteams/internal/directory"
	"procallteams/internal/presence"
)

// ErrChanged reports that a row is not the version that was read: read again.
var ErrChanged = errors.New("row changed meanwhile")

// Store keeps a tenant's reporters and people. Every write is durable when it
// returns.
type Store interface {
	// People returns the rows of the given people; those without one are absent.
	People(ctx context.Context, tenant string, ids []presence.UserID) (map[presence.UserID]Person, error)
	// Everybody yields all rows.
	Everybody(ctx context.Context, tenant string) iter.Seq2[Person, error]
	// SavePeople writes each row against its Version ([ErrChanged]) together with
	// its [Due], unless it is quiet; one without reports is removed. It does so in several steps when
	// there are many, and reporter, when there is one, is written against its
	// Version with the last step. A step is done wholly or not at all.
	SavePeople(ctx context.Context, tenant string, people []Person, reporter *Reporter) error
	// SaveSwept stores when leases were looked at.
	SaveSwept(ctx context.Context, tenant string, at time.Time) error
}

// View is what the ledger needs to know about a tenant: one storage operation.
type View struct {
	Reporters Reporters
	Directory directory.Ref
	// On says that calls are to be written to Teams, now or after a pause.
	On bool
	// Swept is when leases were last looked at.
	Swept time.Time
}

// Ledger takes in what reporters say.
type Ledger struct {
	Store Store
	// Look reads what is known about a tenant now.
	Look func(ctx context.Context, tenant string) (View, error)
	// People returns the directory that a view points at.
	People func(ctx context.Context, ref directory.Ref) (*directory.Index, error)
	// Wake puts a wake-up for the writer on its queue.
	Wake func(ctx context.Context, tenant string) error
	Now  func() time.Time
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
}

func (e *EpochError) Error() string {
	return fmt.Sprintf("epoch %d is not in force", e.Given)
}

// ErrNoDirectory reports that it is not known yet who takes part.
var ErrNoDirectory = errors.New("the tenant's people are not known yet")

// attempts bounds how often a batch is begun anew because somebody else wrote at
// the same time.
const attempts = 12

// skew is how much later than our own clock a time may be without a remark.
const skew = 2 * time.Minute

// Report takes in a batch of reports in epoch. The same batch again changes
// nothing. It returns a *NeedError or an *EpochError when the reporter must send
// a complete list first; then nothing of the batch was kept.
func (l *Ledger) Report(ctx context.Context, tenant, reporter string, epoch int64, entries []Entry) (Receipt, error) {
	return l.take(ctx, tenant, reporter, batch{epoch: epoch, entries: entries})
}

// Complete takes in the complete list of active calls as of asOf: it opens epoch,
// and ends everybody who is not listed and whose report is not newer than asOf.
// People of an older epoch stay as they are until their row is rewritten, so a
// call that goes on does not flicker. The same list again changes nothing. It
// returns an *EpochError when a newer epoch is in force.
func (l *Ledger) Complete(ctx context.Context, tenant, reporter string, epoch, asOf int64, entries []Entry) (Receipt, error) {
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
		receipt, woke, err := l.once(ctx, tenant, reporter, b)
		if errors.Is(err, ErrChanged) && try < attempts {
			if err := pause(ctx, try); err != nil {
				return Receipt{}, err
			}
			continue
		}
		if err != nil {
			return Receipt{}, err
		}
		if woke {
			// A wake-up that is lost is upkeep's: what is due is stored.
			if err := l.Wake(ctx, tenant); err != nil {
				return receipt, nil
			}
		}
		return receipt, nil
	}
}

// once takes the batch in as of one reading. ErrChanged: somebody else wrote.
func (l *Ledger) once(ctx context.Context, tenant, id string, b batch) (Receipt, bool, error) {
	view, err := l.Look(ctx, tenant)
	if err != nil {
		return Receipt{}, false, err
	}
	reporter, known := view.Reporters[id]
	if !known {
		reporter = Reporter{ID: id, Need: NeedFirst}
	}
	if err := admit(reporter, known, view.On, b); err != nil {
		return Receipt{}, false, err
	}
	now := l.Now().UTC()
	t := &taking{batch: b, reporter: reporter, now: now, outcomes: make([]Outcome, len(b.entries)), changed: map[presence.UserID]Person{}}
	if reporter.Need == NeedExpired {
		t.receipt = Receipt{Expired: true, ExpiredAt: reporter.NeedSince, ExpiredWith: reporter.Ended}
	}
	if view.On {
		if err := t.resolve(ctx, l, tenant, view); err != nil {
			return Receipt{}, false, err
		}
	} else {
		t.refuseAll()
	}
	next := t.reporter
	next.Seen, next.Until = now, now.Add(LeaseTime)
	switch {
	case b.complete && view.On:
		if next.Epoch != b.epoch {
			next.Floor = 0
		}
		next.Epoch, next.Need, next.NeedSince, next.Ended = b.epoch, "", time.Time{}, 0
	case b.complete:
		// The epoch is noted, so that the order holds; what was said is not kept.
		next.Epoch, next.Need, next.NeedSince, next.Ended = b.epoch, NeedMissed, now, 0
	case !view.On && next.Need == "":
		next.Need, next.NeedSince = NeedMissed, now
	}
	people := t.people()
	if err := l.Store.SavePeople(ctx, tenant, people, &next); err != nil {
		return Receipt{}, false, err
	}
	t.receipt.Epoch, t.receipt.Until, t.receipt.Outcomes, t.receipt.Ended = next.Epoch, next.Until, t.outcomes, t.ended
	return t.receipt, len(people) > 0, nil
}

// admit judges the batch as a whole. While calls are not written, nothing of it is
// kept, so nothing can be missing.
func admit(r Reporter, known, on bool, b batch) error {
	switch {
	case b.complete && known && b.epoch < r.Epoch:
		return &EpochError{Given: b.epoch, InForce: r.Epoch}
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

// taking is one batch being taken in.
type taking struct {
	batch
	reporter Reporter
	now      time.Time
	receipt  Receipt
	outcomes []Outcome
	changed  map[presence.UserID]Person
	ended    int
}

func (t *taking) refuseAll() {
	for i, e := range t.entries {
		t.outcomes[i] = Outcome{User: e.Item.User, Seq: e.Item.Seq, Result: NotEnabled}
		if e.Fault != nil {
			t.outcomes[i].Result, t.outcomes[i].Detail = Invalid, e.Fault.Error()
		}
	}
}

// resolve finds the people of the batch, compares with what is known about them
// and notes what is to be written.
func (t *taking) resolve(ctx context.Context, l *Ledger, tenant string, view View) error {
	if view.Directory.Blob == "" {
		return ErrNoDirectory
	}
	names, err := l.People(ctx, view.Directory)
	if err != nil {
		return fmt.Errorf("read the tenant's people: %w", err)
	}
	found := make([]directory.Person, len(t.entries))
	var ids []presence.UserID
	for i, e := range t.entries {
		o := &t.outcomes[i]
		*o = Outcome{User: e.Item.User, Seq: e.Item.Seq}
		if e.Fault != nil {
			o.Result, o.Detail = Invalid, e.Fault.Error()
			continue
		}
		if e.Item.Seq < 0 {
			if !t.complete {
				o.Result, o.Detail = Invalid, "seq is missing"
				continue
			}
			o.Seq = t.asOf
		}
		person, standing := names.Find(e.Item.User)
		if o.Result, o.Detail = refusal(standing); o.Result == "" {
			found[i] = person
			ids = append(ids, person.ID)
		}
	}
	held, err := t.held(ctx, l.Store, tenant, ids)
	if err != nil {
		return err
	}
	// Oldest first, so that of two items about one person the newer one stays; of
	// two with the same seq the first.
	order := make([]int, 0, len(t.entries))
	for i := range t.entries {
		if t.outcomes[i].Result == "" {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.outcomes[a].Seq, t.outcomes[b].Seq) })
	listed := map[presence.UserID]bool{}
	for _, i := range order {
		person, ok := t.changed[found[i].ID]
		if !ok {
			if person, ok = held[found[i].ID]; !ok {
				person = Person{ID: found[i].ID}
			}
		}
		listed[person.ID] = true
		t.item(i, person, found[i])
	}
	if t.complete {
		t.endOthers(held, listed)
	}
	return nil
}

func refusal(s directory.Finding) (Result, string) {
	switch s {
	case directory.Found:
		return "", ""
	case directory.Several:
		return AmbiguousUser, "more than one person has this name"
	case directory.Excluded:
		return DisabledUser, "the account is disabled, or a guest's"
	}
	return UnknownUser, "nobody who takes part has this name; send it as the feed and the directory have it"
}

// held reads the rows that the batch is compared with: all of them for a complete
// list, which may end any.
func (t *taking) held(ctx context.Context, store Store, tenant string, ids []presence.UserID) (map[presence.UserID]Person, error) {
	if !t.complete {
		slices.Sort(ids)
		return store.People(ctx, tenant, slices.Compact(ids))
	}
	held := map[presence.UserID]Person{}
	for person, err := range store.Everybody(ctx, tenant) {
		if err != nil {
			return nil, err
		}
		held[person.ID] = person
	}
	return held, nil
}

// item compares one item with what is known about the person.
func (t *taking) item(i int, person Person, found directory.Person) {
	e, o := t.entries[i].Item, &t.outcomes[i]
	next := Report{
		Reporter: t.reporter.ID, User: found.Name, Epoch: t.epoch, Generation: t.reporter.Generation, Seq: o.Seq,
		State: e.State, Reasons: e.Reasons, External: e.External, Manual: e.Manual, Since: e.Since, At: t.now,
	}
	o.Result = Accepted
	if next.Since.IsZero() {
		next.Since = t.now
	} else if next.Since.After(t.now) {
		if next.Since.Sub(t.now) > skew {
			o.Detail = "since lies in the future; the time of arrival is used instead: compare the clocks"
		}
		next.Since = t.now
	}
	before, ok := person.Of(t.reporter.ID)
	switch {
	case !ok:
		if !t.complete && t.reporter.Floor > 0 && next.Seq <= t.reporter.Floor {
			o.Result, o.Detail = Outdated, "newer reports were taken in, and forgotten, long ago"
			return
		}
		if !next.Active() && t.complete {
			o.Result = Unchanged // nothing to end, nothing to keep
			return
		}
	case before.Epoch > next.Epoch:
		o.Result = Outdated
		return
	case before.Epoch == next.Epoch && before.Generation == next.Generation:
		switch {
		case before.Seq > next.Seq:
			o.Result, o.Detail = Outdated, fmt.Sprintf("seq %d is there", before.Seq)
			return
		case before.Seq == next.Seq && before.same(next):
			o.Result = Unchanged
			return
		case before.Seq == next.Seq:
			o.Result, o.Detail = Conflict, "the same seq came with another content; send a newer seq"
			return
		}
	}
	if ok && before.same(next) && !e.Since.IsZero() && e.Since.Equal(before.Since) {
		next.At = before.At // the same state goes on
	}
	_, again := t.changed[person.ID]
	quiet := !next.Active() && !before.Active() && (!again || person.Quiet)
	person = person.with(next)
	person.Quiet = quiet
	t.changed[person.ID] = person
}

// endOthers ends what this reporter said about people who are not listed.
func (t *taking) endOthers(held map[presence.UserID]Person, listed map[presence.UserID]bool) {
	for id, person := range held {
		if listed[id] {
			continue
		}
		report, ok := person.Of(t.reporter.ID)
		newer := report.Epoch == t.epoch && report.Generation == t.reporter.Generation && report.Seq > t.asOf
		if !ok || newer || report.Epoch > t.epoch || !report.Active() {
			continue
		}
		report.Epoch, report.Generation, report.Seq = t.epoch, t.reporter.Generation, t.asOf
		report.State, report.Reasons, report.External, report.Manual = Unknown, 0, false, nil
		report.Since, report.At = t.now, t.now
		t.changed[id] = person.with(report)
		t.ended++
	}
}

// people returns the rows to write in the order of their ids.
func (t *taking) people() []Person {
	people := make([]Person, 0, len(t.changed))
	for _, person := range t.changed {
		people = append(people, person)
	}
	slices.SortFunc(people, func(a, b Person) int { return cmp.Compare(a.ID, b.ID) })
	return people
}

// pause waits a little longer with every try: two reporters' batches, or two
// copies of one, that meet would else meet again.
func pause(ctx context.Context, try int) error {
	timer := time.NewTimer(time.Duration(1+try) * jitter())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// jitter is between 5 and 25 ms.
func jitter() time.Duration { return 5*time.Millisecond + rand.N(20*time.Millisecond) }

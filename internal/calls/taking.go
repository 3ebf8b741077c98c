package calls

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"procallteams/internal/directory"
	"procallteams/internal/presence"
)

// taking is one batch being taken in.
type taking struct {
	batch
	reporter Reporter
	now      time.Time
	outcomes []Outcome
	found    []directory.Person // by item, where the outcome has no result yet
	changed  map[presence.UserID]Person
	ended    int
	// repeated says that something was taken in a moment ago, and now once more.
	repeated bool
}

// heard returns the reporter as it is after the batch.
func (t *taking) heard(on bool) Reporter {
	next := t.reporter
	next.Seen, next.Until, next.Extended = t.now, t.now.Add(LeaseTime), false
	if t.complete && next.Epoch != t.epoch {
		next.Epoch, next.AsOf, next.Floor = t.epoch, 0, 0
	}
	switch {
	case t.complete && on:
		next.AsOf, next.Need, next.NeedSince, next.Ended = t.asOf, "", time.Time{}, 0
	case t.complete:
		// The epoch is noted, so that the order holds; what was said is not kept.
		next.Need, next.NeedSince, next.Ended = NeedMissed, t.now, 0
	case !on && next.Need == "":
		next.Need, next.NeedSince = NeedMissed, t.now
	}
	if !on {
		// What was said before counts no more: its end may be what is refused now.
		next.Generation++
	}
	return next
}

// receipt is the answer, once next is stored.
func (t *taking) receipt(next Reporter) Receipt {
	r := Receipt{Epoch: next.Epoch, Until: next.Until, Outcomes: t.outcomes, Ended: t.ended}
	if t.complete && t.reporter.Need == NeedExpired {
		r.Expired, r.ExpiredAt, r.ExpiredWith = true, t.reporter.NeedSince, t.reporter.Ended
	}
	return r
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
	ids := t.find(names)
	held, err := t.held(ctx, l.Store, tenant, ids)
	if err != nil {
		return err
	}
	for _, i := range t.order() {
		id := t.found[i].ID
		person, ok := t.changed[id]
		if !ok {
			person = held[id]
			person.ID = id
		}
		t.item(i, person)
	}
	if t.complete {
		t.endOthers(held, ids)
	}
	return nil
}

// find looks up the people of the items and returns their ids, in order. Items that
// can't be used get their result.
func (t *taking) find(names *directory.Index) []presence.UserID {
	t.found = make([]directory.Person, len(t.entries))
	var ids []presence.UserID
	for i, e := range t.entries {
		o := &t.outcomes[i]
		*o = Outcome{User: e.Item.User, Seq: e.Item.Seq}
		switch {
		case e.Fault != nil:
			o.Result, o.Detail = Invalid, e.Fault.Error()
			continue
		case o.Seq < 0 && t.complete:
			o.Seq = t.asOf
		case o.Seq < 0:
			o.Result, o.Detail = Invalid, "seq is missing"
			continue
		}
		person, finding := names.Find(e.Item.User)
		if o.Result, o.Detail = refusal(finding); o.Result == "" {
			t.found[i] = person
			ids = append(ids, person.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func refusal(f directory.Finding) (Result, string) {
	switch f {
	case directory.Found:
		return "", ""
	case directory.Several:
		return AmbiguousUser, "more than one person has this name"
	case directory.Excluded:
		return DisabledUser, "the account is disabled, or a guest's"
	case directory.NotWritten:
		return NotEnabled, "calls are not written for this person"
	}
	return UnknownUser, "nobody who takes part has this name; send it as the feed and the directory have it"
}

// held reads the rows that the batch is compared with: all of them for a complete
// list, which may end any.
func (t *taking) held(ctx context.Context, store Store, tenant string, ids []presence.UserID) (map[presence.UserID]Person, error) {
	if !t.complete {
		return store.People(ctx, tenant, ids)
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

// order returns the usable items, oldest first, so that of two about one person
// the newer one stays; of two with the same seq the first.
func (t *taking) order() []int {
	order := make([]int, 0, len(t.entries))
	for i := range t.entries {
		if t.outcomes[i].Result == "" {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.outcomes[a].Seq, t.outcomes[b].Seq) })
	return order
}

// item compares one item with what is known about the person.
func (t *taking) item(i int, person Person) {
	e, o := t.entries[i].Item, &t.outcomes[i]
	next := Report{
		Reporter: t.reporter.ID, User: t.found[i].Name, Epoch: t.epoch, Generation: t.reporter.Generation, Seq: o.Seq,
		State: e.State, Reasons: e.Reasons, External: e.External, Manual: e.Manual, Since: e.Since, At: t.now,
	}
	before, known := person.Of(t.reporter.ID)
	goesOn := known && t.reporter.Valid(before) && before.same(next)
	o.Detail = next.date(before, goesOn)
	result, detail := t.judge(before, known, next)
	if o.Result = result; result != Accepted {
		o.Detail = detail
		t.repeated = t.repeated || result == Unchanged && known && t.now.Sub(before.At) < again
		return
	}
	_, twice := t.changed[person.ID]
	quiet := (goesOn || !next.Active() && !before.Active()) && (!twice || person.Quiet)
	person = person.with(next)
	person.Quiet = quiet
	t.changed[person.ID] = person
}

// date makes since a time that can be, and keeps the times of a state that goes on.
// It returns a remark when the clocks seem to differ.
func (r *Report) date(before Report, goesOn bool) (remark string) {
	unusable := r.Since.IsZero() || r.Since.After(r.At)
	if r.Since.Sub(r.At) > skew {
		remark = "since lies in the future; the time of arrival is used instead: compare the clocks"
	}
	switch {
	case goesOn && (unusable || r.Since.Equal(before.Since)):
		r.Since, r.At = before.Since, before.At
	case unusable:
		r.Since = r.At
	}
	return remark
}

// judge decides about one report. Only reports of one epoch and generation can be
// compared by their seq; those of others are void, or were said before the complete
// list that opened this epoch.
func (t *taking) judge(before Report, known bool, next Report) (Result, string) {
	comparable := known && before.Epoch == next.Epoch && before.Generation == next.Generation
	switch {
	case comparable && before.Seq > next.Seq:
		return Outdated, fmt.Sprintf("seq %d is there", before.Seq)
	case comparable && before.Seq == next.Seq && before.same(next):
		return Unchanged, ""
	case comparable && before.Seq == next.Seq:
		return Conflict, "the same seq came with another content; send a newer seq"
	case t.complete && !known && !next.Active():
		return Unchanged, "" // nothing to end, nothing to keep
	case !t.complete && next.Seq <= t.reporter.AsOf:
		return Outdated, fmt.Sprintf("the complete list as of seq %d stands; after a restart open a new epoch", t.reporter.AsOf)
	case !t.complete && !known && t.reporter.Floor > 0 && next.Seq <= t.reporter.Floor:
		return Outdated, fmt.Sprintf("reports up to seq %d were taken in long ago; after a restart open a new epoch", t.reporter.Floor)
	}
	return Accepted, ""
}

// endOthers ends what this reporter said about people who are not listed.
func (t *taking) endOthers(held map[presence.UserID]Person, listed []presence.UserID) {
	for id, person := range held {
		report, ok := person.Of(t.reporter.ID)
		_, named := slices.BinarySearch(listed, id)
		newer := report.Epoch == t.epoch && report.Seq > t.asOf
		if !ok || named || newer || !report.Active() || !t.reporter.Valid(report) {
			continue
		}
		report.Epoch, report.Seq = t.epoch, t.asOf
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

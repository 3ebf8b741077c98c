package calls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"procallteams/internal/directory"
)

const (
	// away is after how long without a sweep the bridge itself was away: then
	// reporters could not reach it, and their leases are extended once.
	away = 2 * time.Minute
	// forgetAfter is how long a report of a person who does nothing any more is
	// kept, so that older ones that come late are known for such.
	forgetAfter = 10 * time.Minute
)

// Sweep ends the leases of reporters that are silent, and everything that such a
// reporter said; takes back what was said about people who do not take part any
// more; and forgets what is over. For upkeep, once a minute. It may be stopped at
// any line: the next one goes on.
func (l *Ledger) Sweep(ctx context.Context, tenant string) error {
	view, err := l.Look(ctx, tenant)
	if err != nil {
		return err
	}
	if len(view.Reporters) == 0 {
		return nil
	}
	now := l.Now().UTC()
	if now.Sub(view.Swept) > away {
		// Before the sweep is noted: a crash in between extends them again.
		if err := l.extend(ctx, tenant, view, now); err != nil {
			return err
		}
	}
	if err := l.Store.SaveSwept(ctx, tenant, now); err != nil {
		return err
	}
	var everybody []Person
	for person, err := range l.Store.Everybody(ctx, tenant) {
		if err != nil {
			return err
		}
		everybody = append(everybody, person)
	}
	if err := l.expire(ctx, tenant, view.Reporters, everybody, now); err != nil {
		return err
	}
	return l.tidy(ctx, tenant, view, everybody, now)
}

// extend gives every reporter whose lease runs a new one.
func (l *Ledger) extend(ctx context.Context, tenant string, view View, now time.Time) error {
	for id, r := range view.Reporters {
		if r.Need != "" {
			continue
		}
		r.Until = now.Add(LeaseTime)
		// ErrChanged: it was just heard, which extends it as well.
		if err := l.Store.SavePeople(ctx, tenant, nil, &r); err != nil && !errors.Is(err, ErrChanged) {
			return fmt.Errorf("extend the lease of a reporter: %w", err)
		}
		view.Reporters[id] = r
	}
	return nil
}

// expire ends leases that have run out: one write each, before any person's row.
// From then on all that the reporter said is void.
func (l *Ledger) expire(ctx context.Context, tenant string, reporters Reporters, everybody []Person, now time.Time) error {
	for id, r := range reporters {
		if r.Need != "" || !now.After(r.Until) {
			continue
		}
		next := r
		next.Generation++
		next.Need, next.NeedSince, next.Ended = NeedExpired, now, 0
		for _, person := range everybody {
			if report, ok := person.Of(id); ok && report.Active() && r.Valid(report) {
				next.Ended++
			}
		}
		err := l.Store.SavePeople(ctx, tenant, nil, &next)
		if errors.Is(err, ErrChanged) {
			continue // it was heard this instant
		}
		if err != nil {
			return fmt.Errorf("end the lease of a reporter: %w", err)
		}
		reporters[id] = next
	}
	return nil
}

// tidy rewrites the rows of people about whom something is void, over for long,
// or said under a name that is not theirs any more. Of the latter the reporter has
// to send a complete list: the name may be another person's now.
func (l *Ledger) tidy(ctx context.Context, tenant string, view View, everybody []Person, now time.Time) error {
	if len(everybody) == 0 {
		return nil
	}
	var names *directory.Index
	if view.On && view.Directory.Blob != "" {
		var err error
		if names, err = l.People(ctx, view.Directory); err != nil {
			return fmt.Errorf("read the tenant's people: %w", err)
		}
	}
	stays := func(person Person, report Report) bool {
		if names == nil || !report.Active() {
			return true
		}
		owner, found := names.Find(report.User)
		return found == directory.Found && owner.ID == person.ID
	}
	next := map[string]Reporter{}
	reporter := func(id string) Reporter {
		if r, ok := next[id]; ok {
			return r
		}
		return view.Reporters[id]
	}
	var changed []Person
	for _, person := range everybody {
		kept, quiet := make([]Report, 0, len(person.Reports)), true
		for _, report := range person.Reports {
			r := reporter(report.Reporter)
			switch {
			case !view.On || len(view.Reporters.Valid([]Report{report})) == 0:
				quiet = quiet && !report.Active()
			case !report.Active() && now.Sub(report.At) > forgetAfter:
				if report.Epoch == r.Epoch && report.Seq > r.Floor {
					r.Floor = report.Seq
					next[r.ID] = r
				}
			case !stays(person, report):
				quiet = false
				if r.Need == "" {
					r.Need, r.NeedSince, r.Ended = NeedMissed, now, 0
					next[r.ID] = r
				}
			default:
				kept = append(kept, report)
			}
		}
		if len(kept) < len(person.Reports) {
			changed = append(changed, Person{ID: person.ID, Reports: kept, Quiet: quiet, Version: person.Version})
		}
	}
	// The reporters first: once a row is gone, the floor is what tells an old report.
	for _, r := range next {
		if err := l.Store.SavePeople(ctx, tenant, nil, &r); errors.Is(err, ErrChanged) {
			return nil // it was heard this instant; the next sweep looks again
		} else if err != nil {
			return fmt.Errorf("store a reporter: %w", err)
		}
	}
	return l.rewrite(ctx, tenant, changed)
}

// rewrite stores rows. Those that somebody else wrote meanwhile are left to the
// next sweep.
func (l *Ledger) rewrite(ctx context.Context, tenant string, changed []Person) error {
	woke := false
	for rows := range slices.Chunk(changed, 40) {
		err := l.Store.SavePeople(ctx, tenant, rows, nil)
		if err != nil && !errors.Is(err, ErrChanged) {
			return err
		}
		woke = woke || err == nil && slices.ContainsFunc(rows, func(p Person) bool { return !p.Quiet })
	}
	if woke {
		return l.Wake(ctx, tenant)
	}
	return nil
}

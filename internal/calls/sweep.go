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
	// stoppedFor is how long a reporter's credential must be revoked before its row is
	// removed, so that no request that was let in earlier is under way. The row tells old
	// epochs from new ones for as long as anybody can report under its name.
	stoppedFor = time.Hour
)

// Sweep ends the leases of reporters that are silent, and everything that such a
// reporter said; takes back what was said about people who do not take part any
// more; and forgets what is over, also reporters that can't come back. For upkeep,
// once a minute. It may be stopped at any line: the next one goes on.
func (l *Ledger) Sweep(ctx context.Context, tenant string) error {
	view, err := l.Look(ctx, tenant)
	if err != nil || len(view.Reporters) == 0 {
		return err
	}
	now := l.Now().UTC()
	extended := !view.Swept.IsZero() && now.Sub(view.Swept) > away
	if extended {
		// Before the sweep is noted: a crash in between extends the rest as well.
		if err := l.extend(ctx, tenant, view.Reporters, now); err != nil {
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
	ended, err := l.expire(ctx, tenant, view.Reporters, everybody, now)
	if err == nil && (extended || ended) {
		view, err = l.Look(ctx, tenant) // versions of rows
	}
	if err != nil {
		return err
	}
	if err := l.tidy(ctx, tenant, view, everybody, now); err != nil {
		return err
	}
	return l.forgetReporters(ctx, tenant, view.Reporters, everybody, now)
}

// forgetReporters removes the rows of reporters whose credentials were revoked, when
// their leases have ended and nobody's row holds a report of theirs.
func (l *Ledger) forgetReporters(ctx context.Context, tenant string, reporters Reporters, everybody []Person, now time.Time) error {
	var over []Reporter
	for id, r := range reporters {
		said := func(p Person) bool { _, ok := p.Of(id); return ok }
		if r.Need == NeedExpired && now.Sub(r.NeedSince) > stoppedFor && !slices.ContainsFunc(everybody, said) {
			over = append(over, r)
		}
	}
	if len(over) == 0 {
		return nil
	}
	stopped, err := l.Stopped(ctx, tenant, now.Add(-stoppedFor))
	if err != nil {
		return fmt.Errorf("look which reporters were revoked: %w", err)
	}
	for _, r := range over {
		if !stopped(r.ID) {
			continue
		}
		if err := l.Store.RemoveReporter(ctx, tenant, r); err != nil && !errors.Is(err, ErrChanged) {
			return fmt.Errorf("remove a reporter: %w", err)
		}
	}
	return nil
}

// extend gives reporters whose lease runs a new one, once for each silence: a bridge
// that is always late must not keep what a dead reporter said.
func (l *Ledger) extend(ctx context.Context, tenant string, reporters Reporters, now time.Time) error {
	for id, r := range reporters {
		if r.Need == NeedExpired || r.Extended {
			continue
		}
		r.Until, r.Extended = now.Add(LeaseTime), true
		r.written()
		// ErrChanged: it was just heard, which extends it as well.
		if err := l.Store.SavePeople(ctx, tenant, nil, &r); err != nil && !errors.Is(err, ErrChanged) {
			return fmt.Errorf("extend the lease of a reporter: %w", err)
		}
		reporters[id] = r
	}
	return nil
}

// expire ends leases that have run out: one write each, before any person's row.
// From then on all that the reporter said is void. It reports whether it ended any.
func (l *Ledger) expire(ctx context.Context, tenant string, reporters Reporters, everybody []Person, now time.Time) (bool, error) {
	ended := false
	for id, r := range reporters {
		if !r.lapsed(now) {
			continue
		}
		next := r
		next.Generation++
		next.Need, next.NeedSince, next.Ended, next.Extended = NeedExpired, now, 0, false
		for _, person := range everybody {
			if report, ok := person.Of(id); ok && report.Active() && r.Valid(report) {
				next.Ended++
			}
		}
		next.written()
		err := l.Store.SavePeople(ctx, tenant, nil, &next)
		if errors.Is(err, ErrChanged) {
			continue // it was heard this instant
		}
		if err != nil {
			return ended, fmt.Errorf("end the lease of a reporter: %w", err)
		}
		ended = true
	}
	return ended, nil
}

// tidy removes reports that are void, over for long, or said under a name that is
// not the person's any more. Of the last the reporter has to send a complete list:
// the name may be another person's now.
func (l *Ledger) tidy(ctx context.Context, tenant string, view View, everybody []Person, now time.Time) error {
	if len(everybody) == 0 {
		return nil
	}
	s := sweeping{view: view, now: now, floors: map[string]Report{}, missed: map[string]bool{}}
	if view.On && view.Directory.Blob != "" {
		var err error
		if s.names, err = l.People(ctx, view.Directory); err != nil {
			return fmt.Errorf("read the tenant's people: %w", err)
		}
	}
	for _, person := range everybody {
		s.person(person)
	}
	// The reporters first: once a row is gone, the floor is what tells an old report,
	// and the need what brings back what is missing.
	for id := range view.Reporters {
		if err := l.amend(ctx, tenant, id, &s); err != nil {
			return err
		}
	}
	return l.rewrite(ctx, tenant, s.changed)
}

// sweeping is one look at everybody's reports.
type sweeping struct {
	view  View
	now   time.Time
	names *directory.Index // nil when names can't be checked

	changed []Person
	floors  map[string]Report // by reporter: the newest of those that are forgotten
	missed  map[string]bool   // by reporter: something that counts is removed
}

func (s *sweeping) person(person Person) {
	kept, quiet := make([]Report, 0, len(person.Reports)), true
	for _, report := range person.Reports {
		reporter, known := s.view.Reporters[report.Reporter]
		counts := known && reporter.Valid(report)
		switch {
		case counts && !report.Active() && s.now.Sub(report.At) > forgetAfter:
			s.forget(report)
		case counts && s.view.On && s.stays(person, report):
			kept = append(kept, report)
		default:
			s.missed[report.Reporter] = s.missed[report.Reporter] || counts && (report.Active() || !s.view.On)
			quiet = quiet && !report.Active()
		}
	}
	if len(kept) < len(person.Reports) {
		s.changed = append(s.changed, Person{ID: person.ID, Reports: kept, Quiet: quiet, Version: person.Version})
	}
}

// forget notes which report the reporter's floor has to cover.
func (s *sweeping) forget(report Report) {
	before, ok := s.floors[report.Reporter]
	if !ok || report.Epoch > before.Epoch || report.Epoch == before.Epoch && report.Seq > before.Seq {
		s.floors[report.Reporter] = report
	}
}

// stays reports whether the name under which something was said still is the
// person's.
func (s *sweeping) stays(person Person, report Report) bool {
	if s.names == nil || !report.Active() {
		return true
	}
	owner, found := s.names.Find(report.User)
	return found == directory.Found && owner.ID == person.ID
}

// amend changes the reporter's row as far as that is needed; false when it is not.
func (s *sweeping) amend(r *Reporter) bool {
	changed := false
	if floor, ok := s.floors[r.ID]; ok && floor.Epoch == r.Epoch && floor.Seq > r.Floor {
		r.Floor, changed = floor.Seq, true
	}
	if s.missed[r.ID] && r.Need == "" {
		r.Need, r.NeedSince, r.Ended, changed = NeedMissed, s.now, 0, true
	}
	return changed
}

// amend stores what a sweep found out about a reporter, which may be busy.
func (l *Ledger) amend(ctx context.Context, tenant, id string, s *sweeping) error {
	r := s.view.Reporters[id]
	for try := 0; s.amend(&r); try++ {
		r.written()
		err := l.Store.SavePeople(ctx, tenant, nil, &r)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrChanged) || try == attempts {
			return fmt.Errorf("store a reporter: %w", err)
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
		if r, err = l.Store.Reporter(ctx, tenant, id); err != nil {
			return err
		}
	}
	return nil
}

// rewrite stores rows. Those that somebody else wrote meanwhile are left to the
// next sweep.
func (l *Ledger) rewrite(ctx context.Context, tenant string, changed []Person) error {
	woke := false
	for rows := range slices.Chunk(changed, MaxStep) {
		err := l.Store.SavePeople(ctx, tenant, rows, nil)
		if err != nil && !errors.Is(err, ErrChanged) {
			return err
		}
		woke = woke || err == nil && slices.ContainsFunc(rows, loud)
	}
	if woke {
		return l.Wake(ctx, tenant)
	}
	return nil
}

package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"procallteams/internal/calls"
	"procallteams/internal/presence"
)

// Calls implements [calls.Store], and holds the writer's work ([Calls.Due]).
type Calls struct{ Storage *Storage }

var _ calls.Store = Calls{}

// pointReads is up to how many people are read one by one; more are read in one
// range.
const pointReads = 12

// People implements [calls.Store].
func (c Calls) People(ctx context.Context, tenant string, ids []presence.UserID) (map[presence.UserID]calls.Person, error) {
	people := make(map[presence.UserID]calls.Person, len(ids))
	if len(ids) > pointReads {
		for person, err := range c.Everybody(ctx, tenant) {
			if err != nil {
				return nil, err
			}
			if _, wanted := slices.BinarySearch(ids, person.ID); wanted {
				people[person.ID] = person
			}
		}
		return people, nil
	}
	var mu sync.Mutex
	var group errgroup.Group
	for _, id := range ids {
		group.Go(func() error {
			row, err := c.Storage.Get(ctx, tenant, RowCall+string(id))
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read reports: %w", err)
			}
			person, err := personOf(row)
			mu.Lock()
			defer mu.Unlock()
			people[id] = person
			return err
		})
	}
	return people, group.Wait()
}

// Everybody implements [calls.Store]: one storage operation per 1,000 people.
func (c Calls) Everybody(ctx context.Context, tenant string) iter.Seq2[calls.Person, error] {
	return func(yield func(calls.Person, error) bool) {
		for row, err := range c.Storage.Range(ctx, tenant, RowCall, behind(RowCall)) {
			if err != nil {
				yield(calls.Person{}, fmt.Errorf("read reports: %w", err))
				return
			}
			person, err := personOf(row)
			if !yield(person, err) || err != nil {
				return
			}
		}
	}
}

// behind is the first key after every key that begins with prefix, which ends in
// a hyphen.
func behind(prefix string) string { return strings.TrimSuffix(prefix, "-") + "." }

func personOf(row Row) (calls.Person, error) {
	var person calls.Person
	err := decodeJSON(row, &person)
	person.ID, person.Version = presence.UserID(strings.TrimPrefix(row.Key, RowCall)), row.ETag
	return person, err
}

// Reporter implements [calls.Store].
func (c Calls) Reporter(ctx context.Context, tenant, id string) (calls.Reporter, error) {
	row, err := c.Storage.Get(ctx, tenant, RowReporter+EncodeKey(id))
	if err != nil {
		return calls.Reporter{}, fmt.Errorf("read a reporter: %w", err)
	}
	var reporter calls.Reporter
	err = decodeJSON(row, &reporter)
	reporter.Version = row.ETag
	return reporter, err
}

// RemoveReporter implements [calls.Store].
func (c Calls) RemoveReporter(ctx context.Context, tenant string, reporter calls.Reporter) error {
	err := c.Storage.Delete(ctx, tenant, RowReporter+EncodeKey(reporter.ID), reporter.Version)
	if errors.Is(err, ErrChanged) {
		return calls.ErrChanged
	}
	return err
}

// SavePeople implements [calls.Store]: one transaction. One whose answer was lost
// counts as [calls.ErrChanged] when it is met again: who reads anew sees what is
// there.
func (c Calls) SavePeople(ctx context.Context, tenant string, people []calls.Person, reporter *calls.Reporter) error {
	now := time.Now().UTC()
	var writes []Write
	for _, person := range people {
		rows, err := personWrites(tenant, person, now)
		if err != nil {
			return err
		}
		writes = append(writes, rows...)
	}
	if reporter != nil {
		row, err := jsonRow(tenant, RowReporter+EncodeKey(reporter.ID), reporter.Version, reporter)
		if err != nil {
			return err
		}
		kind := ReplaceRow
		if reporter.Version == "" {
			kind = InsertRow
		}
		writes = append(writes, Write{kind, row})
	}
	if len(writes) == 0 {
		return nil
	}
	err := c.Storage.Transact(ctx, writes)
	if lost(err) {
		return calls.ErrChanged
	}
	if err != nil {
		return fmt.Errorf("store reports: %w", err)
	}
	return nil
}

func personWrites(tenant string, person calls.Person, now time.Time) ([]Write, error) {
	key := RowCall + string(person.ID)
	row, err := jsonRow(tenant, key, person.Version, person)
	if err != nil {
		return nil, err
	}
	kind := ReplaceRow
	switch {
	case len(person.Reports) == 0 && person.Version == "":
		return nil, nil
	case len(person.Reports) == 0:
		kind, row = DeleteRow, Row{Partition: tenant, Key: key, ETag: person.Version}
	case person.Version == "":
		kind = InsertRow
	}
	writes := []Write{{kind, row}}
	if person.Quiet {
		return writes, nil
	}
	reports, err := json.Marshal(person.Reports)
	if err != nil {
		return nil, fmt.Errorf("encode reports: %w", err)
	}
	due := Row{Partition: tenant, Key: RowDue + string(person.ID), Values: map[string]any{"at": now, "reports": string(reports), "told": true}}
	return append(writes, Write{UpsertRow, due}), nil
}

// SaveSwept implements [calls.Store].
func (c Calls) SaveSwept(ctx context.Context, tenant string, at time.Time) error {
	if err := c.Storage.Upsert(ctx, Row{Partition: tenant, Key: RowSwept, Values: map[string]any{"at": at}}); err != nil {
		return fmt.Errorf("store the sweep of leases: %w", err)
	}
	return nil
}

// Due returns the people whose reports changed, in no order: one storage operation
// per 1,000. All of them, or the writer would judge people by reports of a lease
// that is over, and begin with the same ones every time.
func (c Calls) Due(ctx context.Context, tenant string) ([]calls.Due, error) {
	var list []calls.Due
	for row, err := range c.Storage.Range(ctx, tenant, RowDue, behind(RowDue)) {
		if err != nil {
			return nil, fmt.Errorf("read what is due: %w", err)
		}
		due, err := dueOf(row)
		if err != nil {
			return nil, err
		}
		list = append(list, due)
	}
	return list, nil
}

// DueOf returns what is due of one person; false when nothing is.
func (c Calls) DueOf(ctx context.Context, tenant string, id presence.UserID) (calls.Due, bool, error) {
	row, err := c.Storage.Get(ctx, tenant, RowDue+string(id))
	if errors.Is(err, ErrNotFound) {
		return calls.Due{}, false, nil
	}
	if err != nil {
		return calls.Due{}, false, fmt.Errorf("read what is due: %w", err)
	}
	due, err := dueOf(row)
	return due, err == nil, err
}

func dueOf(row Row) (calls.Due, error) {
	due := calls.Due{
		ID: presence.UserID(strings.TrimPrefix(row.Key, RowDue)), At: row.Time("at"), Seen: row.Time("seen"), Told: row.Flag("told"), Version: row.ETag,
	}
	if due.Told {
		if err := json.Unmarshal([]byte(row.Text("reports")), &due.Reports); err != nil {
			return calls.Due{}, fmt.Errorf("decode row %s: %w", row.Key, err)
		}
	}
	return due, nil
}

// MarkSeen notes that a sync saw our pair of these people in Teams although it was
// cleared, for the writer.
func (c Calls) MarkSeen(ctx context.Context, tenant string, ids []presence.UserID, at time.Time) error {
	for step := range slices.Chunk(ids, 100) {
		writes := make([]Write, len(step))
		for i, id := range step {
			writes[i] = Write{UpsertRow, Row{Partition: tenant, Key: RowDue + string(id), Values: map[string]any{"seen": at.UTC()}}}
		}
		if err := c.Storage.Transact(ctx, writes); err != nil {
			return fmt.Errorf("note what lingers in Teams: %w", err)
		}
	}
	return nil
}

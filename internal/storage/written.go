package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"procallteams/internal/calls"
	"procallteams/internal/presence"
	"procallteams/internal/session"
)

// Written keeps what the bridge wrote to Teams, and the lease of who writes. Its
// sentinel is [ErrChanged]: the row is not the version that was read.
type Written struct{ Storage *Storage }

// fence is the key of the row that says how many steps were stored in a tenant;
// that of no steps says that there was one. They stand before all sessions, so that
// whoever reads these reads them too.
func fence(steps int64) string { return fmt.Sprintf("%s!%d", RowHeld, steps) }

// Sessions returns everybody's session and how many steps were stored until now:
// one storage operation per 1,000 people.
func (w Written) Sessions(ctx context.Context, tenant string) (map[presence.UserID]session.Session, int64, error) {
	return w.SessionsSince(ctx, tenant, 0)
}

// SessionsSince returns the sessions that were written after the given number of
// steps was stored, and how many were stored until now. Those that were removed are
// not told: they had been over ([session.Session.Over]).
func (w Written) SessionsSince(ctx context.Context, tenant string, since int64) (map[presence.UserID]session.Session, int64, error) {
	filter := rangeFilter(tenant, RowHeld, behind(RowHeld))
	if since > 0 {
		filter += fmt.Sprintf(" and (step gt %dL or RowKey lt '%s')", since, RowHeld+"\"")
	}
	sessions, steps := map[presence.UserID]session.Session{}, int64(0)
	for row, err := range w.Storage.list(ctx, &aztables.ListEntitiesOptions{Filter: &filter}) {
		if err != nil {
			return nil, 0, fmt.Errorf("read sessions: %w", err)
		}
		if count, ok := strings.CutPrefix(row.Key, RowHeld+"!"); ok {
			n, err := strconv.ParseInt(count, 10, 64)
			if err != nil {
				return nil, 0, fmt.Errorf("decode row %s: %w", row.Key, err)
			}
			steps = max(steps, n)
			continue
		}
		s, err := sessionOf(row)
		if err != nil {
			return nil, 0, err
		}
		sessions[s.User] = s
	}
	return sessions, steps, nil
}

// Session returns one person's; false when there is none.
func (w Written) Session(ctx context.Context, tenant string, id presence.UserID) (session.Session, bool, error) {
	row, err := w.Storage.Get(ctx, tenant, RowHeld+string(id))
	if errors.Is(err, ErrNotFound) {
		return session.Session{User: id}, false, nil
	}
	if err != nil {
		return session.Session{}, false, fmt.Errorf("read session: %w", err)
	}
	s, err := sessionOf(row)
	return s, true, err
}

func sessionOf(row Row) (session.Session, error) {
	var s session.Session
	err := decodeJSON(row, &s)
	s.User = presence.UserID(strings.TrimPrefix(row.Key, RowHeld))
	return s, err
}

// MaxStep is the most rows of one step: a transaction, less the count of steps.
const MaxStep = 98

// Store writes one step, all of it or nothing, provided that no other step was
// stored since steps were counted; else it returns [ErrChanged], and what the
// caller knows is old. Of what was due only that is removed which has not changed
// since it was read. It returns the new count.
//
// A transaction's answer names no versions of rows, so the count is what guards
// them all: the one row that carries it in its key is removed, and the next one
// inserted. A step whose answer was lost is recognized by the mark in that row.
func (w Written) Store(ctx context.Context, tenant string, steps int64, step session.Commit) (int64, error) {
	if n := len(step.Save) + len(step.Forget) + len(step.Done); n == 0 || n > MaxStep {
		return 0, fmt.Errorf("store sessions: %d rows; 1 to %d are possible", n, MaxStep)
	}
	mark := rand.Text()
	for try := 0; ; try++ {
		writes, err := stepWrites(tenant, steps, mark, step)
		if err != nil {
			return 0, err
		}
		err = w.Storage.Transact(ctx, writes)
		if err == nil {
			return steps + 1, nil
		}
		next, readErr := w.Storage.Get(ctx, tenant, fence(steps+1))
		switch {
		case readErr == nil && next.Text("mark") == mark:
			return steps + 1, nil // only the answer was lost
		case readErr == nil:
			return 0, ErrChanged
		case !errors.Is(readErr, ErrNotFound) || !lost(err) || try == 3:
			return 0, fmt.Errorf("store sessions: %w", err)
		}
		// The count may be far ahead, or something that was due has changed.
		if current, readErr := w.stands(ctx, tenant, steps); readErr != nil {
			return 0, readErr
		} else if !current {
			return 0, ErrChanged
		}
		if step.Done, err = w.unchanged(ctx, tenant, step.Done); err != nil {
			return 0, err
		}
		if len(step.Save)+len(step.Forget)+len(step.Done) == 0 {
			return steps, nil
		}
	}
}

func stepWrites(tenant string, steps int64, mark string, step session.Commit) ([]Write, error) {
	writes := []Write{{InsertRow, Row{Partition: tenant, Key: fence(steps + 1), Values: map[string]any{"mark": mark}}}}
	if steps > 0 {
		writes = append(writes, Write{DeleteRow, Row{Partition: tenant, Key: fence(steps)}})
	} else {
		// Stays for ever: whoever believes that there was no step yet finds it.
		writes = append(writes, Write{InsertRow, Row{Partition: tenant, Key: fence(0)}})
	}
	for _, s := range step.Save {
		row, err := jsonRow(tenant, RowHeld+string(s.User), "", s)
		if err != nil {
			return nil, err
		}
		row.Values["step"] = steps + 1
		writes = append(writes, Write{UpsertRow, row})
	}
	for _, id := range step.Forget {
		writes = append(writes, Write{DeleteRow, Row{Partition: tenant, Key: RowHeld + string(id)}})
	}
	for _, d := range step.Done {
		writes = append(writes, Write{DeleteRow, Row{Partition: tenant, Key: RowDue + string(d.ID), ETag: d.Version}})
	}
	return writes, nil
}

// stands reports whether the count of steps still is the one given.
func (w Written) stands(ctx context.Context, tenant string, steps int64) (bool, error) {
	if steps == 0 {
		for _, err := range w.Storage.Range(ctx, tenant, RowHeld+"!", RowHeld+"\"") {
			return false, err
		}
		return true, nil
	}
	_, err := w.Storage.Get(ctx, tenant, fence(steps))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// unchanged returns those of the due rows that are as they were read.
func (w Written) unchanged(ctx context.Context, tenant string, done []calls.Due) ([]calls.Due, error) {
	var same []calls.Due
	for _, d := range done {
		row, err := w.Storage.Get(ctx, tenant, RowDue+string(d.ID))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("read what is due: %w", err)
		}
		if err == nil && row.ETag == d.Version {
			same = append(same, d)
		}
	}
	return same, nil
}

// Writer reads the lease of who writes.
func (w Written) Writer(ctx context.Context, tenant string) (session.Writer, error) {
	row, err := w.Storage.Get(ctx, tenant, RowWriter)
	if errors.Is(err, ErrNotFound) {
		return session.Writer{}, nil
	}
	if err != nil {
		return session.Writer{}, fmt.Errorf("read the writer's lease: %w", err)
	}
	var writer session.Writer
	err = decodeJSON(row, &writer)
	writer.Version = row.ETag
	return writer, err
}

// SaveWriter stores the lease against its version ([ErrChanged]) and returns it
// with the new one. The SDK repeats a write whose answer was lost and then meets
// its own row, which is no lost race.
func (w Written) SaveWriter(ctx context.Context, tenant string, writer session.Writer) (session.Writer, error) {
	row, err := jsonRow(tenant, RowWriter, writer.Version, writer)
	if err != nil {
		return session.Writer{}, err
	}
	if writer.Version == "" {
		writer.Version, err = w.Storage.Insert(ctx, row)
	} else {
		writer.Version, err = w.Storage.Replace(ctx, row)
	}
	if lost(err) {
		stored, err := w.Storage.Get(ctx, tenant, row.Key)
		if err != nil || stored.Text("data") != row.Text("data") {
			return session.Writer{}, ErrChanged
		}
		writer.Version = stored.ETag
		return writer, nil
	}
	if err != nil {
		return session.Writer{}, fmt.Errorf("store the writer's lease: %w", err)
	}
	return writer, nil
}

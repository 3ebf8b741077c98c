// Package feed is the durable, ordered list of changes that UCServer follows.
//
// Each append is one numbered [Entry]; a change's [ID] is append and index. An
// epoch names one life of the feed: when it changes, every consumer starts again
// from a snapshot. The feed is written by presencesync alone, read by polls and
// the pusher, and folded into a [Book], the current state of every user, which
// snapshots store. Entries live in Table Storage, snapshots in blobs; package
// storage implements [Store]. No SDK here.
//
// Promises (design section 3): an appended change is never lost and never
// changes; appends are numbered by strictly one; a reader that finds a gap,
// another epoch or a position beyond head gets [GoneError] and starts again.
package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"procallteams/internal/presence"
)

// ID names one change within an epoch: append first, then index, both compared
// as integers. Its text form is "812.3". The zero ID stands before every change.
type ID struct {
	Append uint64
	Index  uint32
}

// Position is a place in the feed: everything up to and including ID in Epoch.
type Position struct {
	Epoch string
	ID
}

// Kind is what a change does.
type Kind string

const (
	// Presence replaces what is known about the user.
	Presence Kind = "presence"
	// Removed says that the user does not take part any more.
	Removed Kind = "removed"
)

// RemovedReason says why a user was removed.
type RemovedReason string

// Reasons of removal, part of the HTTP contract.
const (
	Disabled  RemovedReason = "disabled"
	Unmatched RemovedReason = "unmatched"
	Renamed   RemovedReason = "renamed"
	Deleted   RemovedReason = "deleted"
)

// Change is one change of one user, as consumers see it.
type Change struct {
	ID   ID // set by the append
	Kind Kind
	// User is the UCServer name at the time of the append; UCID the connector's
	// own stable id, empty when it gave none.
	User, UCID string
	Entra      presence.UserID
	// Outcome, Sequence and ObservedAt belong to Presence changes. Sequence is
	// Graph's version stamp; it stays inside the bridge.
	Outcome    presence.Outcome
	Sequence   string
	ObservedAt time.Time // when Graph's answer arrived, UTC
	Reason     RemovedReason
}

// Entry is one append: its changes carry its number and, from 1, their place.
type Entry struct {
	Epoch  string
	Append uint64
	// Previous is the last change of the append before: a reader that has it
	// knows that it misses nothing, even when that append was deleted.
	Previous ID
	At       time.Time
	Changes  []Change
}

// Last returns the id of the entry's newest change.
func (e Entry) Last() ID { return ID{e.Append, uint32(len(e.Changes))} }

// Head is the newest append. The zero Head means that the tenant has no feed yet.
type Head struct {
	Epoch string    `json:"epoch"`
	Last  ID        `json:"last"` // of the newest change
	At    time.Time `json:"at"`   // of the newest append
	// Snapshot is the newest stored one; LogBytes and LogAppends count what was
	// appended since.
	Snapshot   SnapshotRef `json:"snapshot,omitzero"`
	LogBytes   int64       `json:"logBytes"`
	LogAppends uint64      `json:"logAppends"`
	// Version is the stored row's ETag. It orders writers, readers ignore it.
	// Empty on a head that [Writer.Append] returned: the store looks it up when
	// it is needed again.
	Version string `json:"-"`
}

// Position returns the place of the newest change.
func (h Head) Position() Position { return Position{h.Epoch, h.Last} }

// SnapshotRef points at a stored snapshot. The zero value means none.
type SnapshotRef struct {
	Append uint64    `json:"append"` // the state includes this append
	Blob   string    `json:"blob"`
	Bytes  int64     `json:"bytes"`
	At     time.Time `json:"at"` // of that append
}

// Reader reads one tenant's feed. Safe for concurrent use.
type Reader interface {
	// Head returns the newest head, the zero Head when there is no feed.
	Head(ctx context.Context) (Head, error)
	// Entries yields the entries after and up to the given append numbers of
	// head's epoch, in order, without gaps; a missing one is a *GoneError.
	Entries(ctx context.Context, head Head, after, upTo uint64) iter.Seq2[Entry, error]
	// Snapshot returns what head.Snapshot points at; a *GoneError when it was
	// deleted, since a newer head then points at a newer one.
	Snapshot(ctx context.Context, head Head) ([]byte, error)
}

// Writer changes one tenant's feed. It is safe for concurrent use by several
// processes: the head's version decides who was first.
type Writer interface {
	// Append stores one append behind head, all of it or nothing, and returns
	// the new head. When it returns, the append is durable. ErrLostRace means
	// that head is not the newest any more: discard what led to the changes and
	// read again. After any other error it may or may not be stored: read the
	// head again.
	Append(ctx context.Context, head Head, packed Packed) (Head, error)
	// SetSnapshot stores a snapshot, then points head at it. ErrLostRace means
	// that head is not the newest any more; the old snapshot stays in force.
	SetSnapshot(ctx context.Context, head Head, ref SnapshotRef, data []byte) (Head, error)
}

// Store keeps one tenant's feed.
type Store interface {
	Reader
	Writer
}

// ErrLostRace reports that another process changed the feed first.
var ErrLostRace = errors.New("another process changed the feed first")

// GoneError reports that a position can't be continued: the reader starts again
// from the current state.
type GoneError struct {
	// Reason is one of the Gone constants; it is part of no contract.
	Reason string
}

// Reasons of a [GoneError].
const (
	GoneEpoch   = "the feed was made anew"
	GoneAncient = "the changes after this position are not kept any more"
	GoneAhead   = "the position is beyond the end of the feed"
)

func (e *GoneError) Error() string { return "position is gone: " + e.Reason }

// Append stores changes behind head and folds them into book, which must be at
// head ([Load], [Book.CatchUp]). Removals are moved to the front. A list beyond
// the size of one transaction becomes several appends, each atomic: the returned
// head is the last one stored, also beside an error, and a crash in between
// leaves a difference that the next sync finds. Ids are set in changes.
//
// One storage operation per append, and one more for each after the first.
// ErrLostRace means that nothing more was stored: discard the changes.
func Append(ctx context.Context, store Writer, book *Book, head Head, changes []Change, at time.Time) (Head, error) {
	slices.SortStableFunc(changes, func(a, b Change) int { return removalsFirst(a) - removalsFirst(b) })
	for len(changes) > 0 {
		packed, rest, err := Pack(head, changes, at)
		if err != nil {
			return head, fmt.Errorf("pack changes: %w", err)
		}
		next, err := store.Append(ctx, head, packed)
		if err != nil {
			return head, err
		}
		if err := book.Apply(packed.Entry); err != nil {
			return next, err
		}
		head, changes = next, rest
	}
	return head, nil
}

func removalsFirst(c Change) int {
	if c.Kind == Removed {
		return 0
	}
	return 1
}

// Read returns at most limit changes after from and the position behind them.
// head may be old: changes that are newer are left for the next call.
//
// A *GoneError means that from can't be continued; when it says GoneAhead and
// head was not just read, the caller reads it anew first. An empty epoch in from
// is the beginning of the feed, whatever its epoch.
func Read(ctx context.Context, store Reader, head Head, from Position, limit int) ([]Change, Position, error) {
	return ReadUpTo(ctx, store, head, from, head.Last, limit)
}

// ReadUpTo is [Read] that ends at the change upTo: what a retry needs to send
// the same range again.
func ReadUpTo(ctx context.Context, store Reader, head Head, from Position, upTo ID, limit int) ([]Change, Position, error) {
	if from.Epoch == "" && from.ID == (ID{}) {
		from.Epoch = head.Epoch
	}
	switch {
	case from.Epoch != head.Epoch:
		return nil, from, &GoneError{GoneEpoch}
	case from.ID.Compare(head.Last) > 0 || upTo.Compare(head.Last) > 0:
		return nil, from, &GoneError{GoneAhead}
	case from.ID.Compare(upTo) >= 0:
		return nil, from, nil
	}
	// from is nearly always the end of its append, so that one is read only
	// when the next append says otherwise, or when there is none.
	after := from.Append
	if after == upTo.Append {
		after--
	}
	for {
		changes, err := collect(ctx, store, head, from.ID, after, upTo, limit)
		if err == errInside && after == from.Append && after > 0 {
			after--
			continue
		}
		if err != nil {
			return nil, from, err
		}
		if len(changes) > 0 {
			from.ID = changes[len(changes)-1].ID
		}
		return changes, from, nil
	}
}

// errInside says that the position lies inside the append before the first one
// that was read.
var errInside = errors.New("position inside an append")

func collect(ctx context.Context, store Reader, head Head, from ID, after uint64, upTo ID, limit int) ([]Change, error) {
	var changes []Change
	first := true
	for entry, err := range store.Entries(ctx, head, after, upTo.Append) {
		if err != nil {
			return nil, err
		}
		if first && entry.Append == from.Append+1 && from != entry.Previous {
			if from.Compare(entry.Previous) > 0 {
				return nil, &GoneError{GoneAhead} // an index that its append does not have
			}
			return nil, errInside
		}
		first = false
		for _, change := range entry.Changes {
			if change.ID.Compare(from) <= 0 {
				continue
			}
			if change.ID.Compare(upTo) > 0 || len(changes) == limit {
				return changes, nil
			}
			changes = append(changes, change)
		}
		if len(changes) == limit {
			return changes, nil
		}
	}
	return changes, nil
}

func isGone(err error) bool {
	_, ok := errors.AsType[*GoneError](err)
	return ok
}

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

// Entry is one append: its changes carry the index of their place.
type Entry struct {
	Epoch   string
	Append  uint64
	At      time.Time
	Changes []Change
}

// Head is the newest append and where reading may begin. The zero Head means
// that the tenant has no feed yet.
type Head struct {
	Epoch string
	Last  ID // of the newest change
	At    time.Time
	// Oldest is the first append that is still kept.
	Oldest uint64
	// Snapshot is the newest stored one; LogBytes and LogAppends count what was
	// appended since.
	Snapshot   SnapshotRef
	LogBytes   int64
	LogAppends uint64
	// Version is the stored row's ETag. It orders writers, readers ignore it.
	Version string
}

// SnapshotRef points at a stored snapshot. The zero value means none.
type SnapshotRef struct {
	Append uint64 // the state includes this append
	Blob   string
	Bytes  int64
	At     time.Time
}

// Store keeps one tenant's feed. Implementations are safe for concurrent use by
// several processes; [storage] runs this package's conformance suite.
type Store interface {
	// Head returns the newest head, the zero Head when there is no feed.
	Head(ctx context.Context) (Head, error)
	// Append stores changes after head, all or none, and returns the new head.
	// When it returns, they are durable. ErrLostRace means that head is not the
	// newest any more: discard what led to the changes and read again.
	Append(ctx context.Context, head Head, changes []Change, at time.Time) (Head, error)
	// Entries returns the entries after and up to the given append numbers of
	// head's epoch, in order, without gaps; a missing one is a *GoneError.
	Entries(ctx context.Context, head Head, after, upTo uint64) ([]Entry, error)
}

// Package presence holds what the bridge knows about a person's presence and
// what Teams contributes to ProCall because of it.
//
// Availability and activity are Graph's (resource type presence, v1.0). Values
// are compared ignoring case, since Microsoft's documentation and examples
// differ, and kept in one spelling (the classic one: Busy, InACall). Unknown
// values become PresenceUnknown, never an error. No I/O and no SDK here: package
// graph reads, package presencesync decides when, package feed stores.
package presence

import "github.com/google/uuid"

// UserID is an Entra object id: a GUID in lower case.
type UserID string

// GUID returns the id in 16 bytes, whose order is that of the texts. It reports false
// for what is no object id.
func (id UserID) GUID() (uuid.UUID, bool) {
	guid, err := uuid.Parse(string(id))
	return guid, err == nil && len(id) == len("00000000-0000-0000-0000-000000000000")
}

// State is what Graph said about one user. The zero value says nothing.
type State struct {
	Availability Availability
	Activity     Activity
	OutOfOffice  bool
	// Sequence is Graph's version stamp of the presence (sequenceNumber), which
	// sorts as text. Empty where Graph sends none.
	Sequence string
}

// Source says where a published outcome comes from.
type Source string

// Sources. FromTeams and FromBridge carry a state that Graph holds now; the others
// withdraw what Teams caused earlier.
const (
	FromTeams   Source = "teams"   // Graph's last answer
	FromBridge  Source = "bridge"  // Graph's last answer, which shows what the bridge itself wrote there
	FromMissing Source = "missing" // Graph stopped answering for this user
	FromStale   Source = "stale"   // reading has been down for too long
	FromPause   Source = "paused"  // an administrator paused the bridge
)

// Outcome is what the bridge publishes about one user who takes part. Two equal
// outcomes need no change.
type Outcome struct {
	Availability Availability
	Activity     Activity
	OutOfOffice  bool
	Source       Source
	ProCall      Contribution
}

// Contribution is what Teams contributes to a person's ProCall presence now. The
// zero value contributes nothing: the consumer withdraws what Teams caused.
type Contribution struct {
	State   ProCallState
	Reasons Reasons
}

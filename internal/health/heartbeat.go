// Package health judges whether the bridge works, from what it has stored.
//
// Everything is computed when somebody asks, by the process that answers:
// timers of an app have been seen dead while HTTP worked, so nothing here relies
// on a timer having noticed. No I/O.
package health

import (
	"time"

	"procallteams/internal/presence"
)

// Heartbeat is what the last sync left behind: one row per tenant, merged by
// presencesync at the end of every run. The zero value: no sync ever ran.
type Heartbeat struct {
	// AsOf is when presences were last read successfully, UTC.
	AsOf time.Time `json:"asOf,omitzero"`
	// Attempt is when the last sync began; Error says why it read nothing, and
	// since when every sync failed. Both empty after a success.
	Attempt    time.Time `json:"attempt,omitzero"`
	Error      string    `json:"error,omitempty"`
	ErrorCode  string    `json:"errorCode,omitempty"` // stable code for health
	ErrorSince time.Time `json:"errorSince,omitzero"`
	// Users take part; Unmatched and Ambiguous do not, and why.
	Users     int `json:"users"`
	Unmatched int `json:"unmatched,omitempty"`
	Ambiguous int `json:"ambiguous,omitempty"`
	// Requests to Graph, failed batches, appended changes and milliseconds of
	// the last sync; Interval is the effective one, in milliseconds.
	Requests int   `json:"requests"`
	Failed   int   `json:"failed,omitempty"`
	Changes  int   `json:"changes"`
	Millis   int64 `json:"millis"`
	Interval int64 `json:"intervalMillis"`
	// Hidden are people whose session of the bridge is not what Teams shows,
	// because they chose something else there.
	Hidden int `json:"hidden,omitempty"`
	// Carrier is the grant that carried reading: "admin" or "user".
	Carrier string `json:"carrier,omitempty"`
	// Oddities counts answers that were not as documented, by kind (such as
	// "item without availability" or "unknown activity: x"), and failures of the
	// identity endpoint, since the process started.
	Oddities map[string]int `json:"oddities,omitempty"`
	// Alternating are people about whom Graph's answers alternate, or did so lately: some
	// of them, when there are many.
	Alternating map[presence.UserID]Alternation `json:"alternating,omitempty"`
	// Missing is the packed list of users absent from Graph's answers and since
	// when: presencesync's own.
	Missing []byte `json:"missing,omitempty"`
}

// Alternation is how two states of a person came by turns: from when to when, and how
// often.
type Alternation struct {
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
	Turns int       `json:"turns"`
}

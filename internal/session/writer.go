package session

import (
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/presence"
)

// Commit is what one step of the writer stores, all of it or nothing.
type Commit struct {
	Save   []Session
	Forget []presence.UserID // rows that are there and are needed no more
	Done   []calls.Due       // what was acted on
}

// Writer is the row of whoever writes a tenant's sessions to Teams: the lease, and
// how writing stands. The zero value: nothing was ever written.
type Writer struct {
	// Holder may write until Until; renewed while it works.
	Holder string    `json:"holder,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	// At is when writing was last looked at; LastWrite when a call to Graph last
	// succeeded.
	At        time.Time `json:"at,omitzero"`
	LastWrite time.Time `json:"lastWrite,omitzero"`
	// Held, Waiting, Refused and Due count people: with something of ours in Teams,
	// with a wish that is held back, whom Graph refuses to write, and with a change
	// that is not written yet. DueSince is when the oldest of those was reported.
	Held     int       `json:"held,omitempty"`
	Waiting  int       `json:"waiting,omitempty"`
	Refused  int       `json:"refused,omitempty"`
	Due      int       `json:"due,omitempty"`
	DueSince time.Time `json:"dueSince,omitzero"`
	// Error says why nothing can be written, ErrorCode for machines, and since when
	// every try failed. All empty after a success.
	Error      string    `json:"error,omitempty"`
	ErrorCode  string    `json:"errorCode,omitempty"`
	ErrorSince time.Time `json:"errorSince,omitzero"`
	// Version is the stored row's ETag, empty when there is none.
	Version string `json:"-"`
}

// WakeUp is the queue message that tells the writer of new reports. It may be lost
// or late: the truth is what is due.
type WakeUp struct {
	Tenant string `json:"tenant"`
	// At is when it was sent, or is to arrive if that is later; zero when it does not
	// say. A writer that has looked since then need not look again.
	At time.Time `json:"at,omitzero"`
}

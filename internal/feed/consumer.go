package feed

import (
	"context"
	"time"
)

// Consumer is what the bridge remembers about one consumer that it pushes to.
// The zero value: nothing was ever sent.
type Consumer struct {
	// Target is a hash of the address that Position belongs to: another address
	// begins with a snapshot.
	Target string `json:"target"`
	// Position is how far the consumer has confirmed. Without an epoch it needs a
	// snapshot.
	Position Position `json:"position"`
	// InFlight is stored before it is sent, and kept until it is confirmed: a
	// retry, by whatever process, sends exactly that.
	InFlight *Shipment `json:"inFlight,omitempty"`

	// Holder may send until Until; renewed while a request is under way.
	Holder string    `json:"holder,omitempty"`
	Until  time.Time `json:"until,omitzero"`

	// NextAttempt is when the next request may be made, after Failures in a row.
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
	Failures    int       `json:"failures,omitempty"`
	// Stopped: the consumer answered 410; only an administrator ends that.
	Stopped bool `json:"stopped,omitempty"`
	// Problem says in words why the last attempt failed, ProblemCode for machines,
	// and ProblemSince when this row of failures began.
	Problem      string    `json:"problem,omitempty"`
	ProblemCode  string    `json:"problemCode,omitempty"`
	ProblemSince time.Time `json:"problemSince,omitzero"`
	LastSuccess  time.Time `json:"lastSuccess,omitzero"`

	// Version is the stored row's ETag, empty before the first one.
	Version string `json:"-"`
}

// WakeUp is the queue message that tells the pusher of new changes. It may be
// lost or late: the truth is the consumer's row.
type WakeUp struct {
	Tenant string `json:"tenant"`
	// At is when it was sent; zero when it does not say.
	At time.Time `json:"at,omitzero"`
}

// Shipment is one request's content: the changes of (From, To], or a part of a
// snapshot at To. Everything that its body depends on is here or in the feed.
type Shipment struct {
	Epoch    string    `json:"epoch"`
	From     ID        `json:"from"`
	To       ID        `json:"to"`
	Snapshot string    `json:"snapshot,omitempty"` // random, empty for changes
	Part     int       `json:"part,omitempty"`     // from 1
	Parts    int       `json:"parts,omitempty"`
	Planned  time.Time `json:"planned"`

	AsOf        *time.Time `json:"asOf"`
	Stale       bool       `json:"stale"`
	StaleReason string     `json:"staleReason"`
}

// Consumers keeps the consumers of one tenant. Safe for concurrent use by
// several processes: versions decide.
type Consumers interface {
	// Consumer returns what is stored, the zero Consumer when nothing is.
	Consumer(ctx context.Context, id string) (Consumer, error)
	// SaveConsumer stores c, of which c.Version was read, and returns it with its
	// new version. ErrLostRace: another process wrote it first.
	SaveConsumer(ctx context.Context, id string, c Consumer) (Consumer, error)
}

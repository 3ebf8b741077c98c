package ucserver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Position names a change within an epoch, and a place in the feed: "812.3",
// compared as two integers. The zero position stands before every change.
type Position struct {
	Append uint64
	Index  uint32
}

// String is the position's form on the wire.
func (p Position) String() string { return fmt.Sprintf("%d.%d", p.Append, p.Index) }

// Compare orders positions.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Append, q.Append), cmp.Compare(p.Index, q.Index))
}

// MarshalText writes the form on the wire.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the form on the wire and nothing else.
func (p *Position) UnmarshalText(text []byte) error {
	left, right, ok := strings.Cut(string(text), ".")
	appended, err := strconv.ParseUint(left, 10, 64)
	index, err2 := strconv.ParseUint(right, 10, 32)
	read := Position{appended, uint32(index)}
	if !ok || err != nil || err2 != nil || read.String() != string(text) {
		return fmt.Errorf("read position %q: not append.index", text)
	}
	*p = read
	return nil
}

// Change is one change of one user, or one item of a snapshot.
type Change struct {
	ID           Position  `json:"id"`
	Type         string    `json:"type"` // presence or removed
	User         string    `json:"user"` // UCServer's name
	UCID         string    `json:"ucId,omitempty"`
	EntraID      string    `json:"entraId,omitempty"`
	Availability string    `json:"availability,omitempty"`
	Activity     string    `json:"activity,omitempty"`
	OutOfOffice  bool      `json:"outOfOffice,omitempty"`
	Source       string    `json:"source,omitempty"`
	ObservedAt   time.Time `json:"observedAt,omitzero"`
	ProCall      *ProCall  `json:"procall,omitempty"`
	Reason       string    `json:"reason,omitempty"` // of a removal
}

// ProCall is what Teams contributes to a person's presence now.
type ProCall struct {
	State   *string  `json:"state"` // nil: nothing, withdraw what Teams caused
	Reasons []string `json:"reasons"`
	Raw     *uint32  `json:"raw"`
	Icon    string   `json:"icon"`
	Label   string   `json:"label"`
}

const (
	typePresence = "presence"
	typeRemoved  = "removed"
)

// check returns what the contract does not allow about a change.
func (c Change) check() error {
	switch {
	case c.User == "":
		return fmt.Errorf("change %s has no user", c.ID)
	case c.ID == Position{}:
		return errors.New("a change has no id")
	case c.Type == typeRemoved:
		if !slices.Contains([]string{"disabled", "unmatched", "renamed", "deleted"}, c.Reason) {
			return fmt.Errorf("removal %s has the reason %q", c.ID, c.Reason)
		}
	case c.Type != typePresence:
		return fmt.Errorf("change %s has the type %q", c.ID, c.Type)
	case c.Availability == "" || c.Activity == "" || c.Source == "" || c.ObservedAt.IsZero() || c.ProCall == nil:
		return fmt.Errorf("presence %s lacks availability, activity, source, observedAt or procall", c.ID)
	}
	return nil
}

// checkRange returns what is wrong with the ids of a delivery of (from, to].
func checkRange(list []Change, from, to Position) error {
	last := from
	for _, c := range list {
		if err := c.check(); err != nil {
			return err
		}
		if c.ID.Compare(last) <= 0 || c.ID.Compare(to) > 0 {
			return fmt.Errorf("change %s does not rise within %s to %s", c.ID, from, to)
		}
		last = c.ID
	}
	return nil
}

// Freshness is what every answer and push says about the bridge's reading.
type Freshness struct {
	AsOf        time.Time       `json:"asOf"` // zero: never read yet
	Stale       bool            `json:"stale"`
	StaleReason string          `json:"staleReason"`
	Health      json.RawMessage `json:"health,omitempty"`
}

// pushBody is the body of a push of either type.
type pushBody struct {
	Type     string `json:"type"`
	Tenant   string `json:"tenant"`
	Consumer string `json:"consumer"`
	Epoch    string `json:"epoch"`
	Freshness
	From *Position `json:"from"` // exclusive; of changes
	To   *Position `json:"to"`   // inclusive

	Snapshot string `json:"snapshot"`
	Part     int    `json:"part"` // from 1
	Parts    int    `json:"parts"`

	Changes []Change `json:"changes"`
}

const (
	typeChanges  = "presence.changes"
	typeSnapshot = "presence.snapshot"

	maxChanges = 500
	maxBytes   = 256 << 10
)

// readPush decodes and checks a push. The raw changes serve to compare retries.
func readPush(body []byte) (push pushBody, changes json.RawMessage, err error) {
	if err := json.Unmarshal(body, &push); err != nil {
		return push, nil, fmt.Errorf("read body: %w", err)
	}
	var raw struct {
		AsOf    json.RawMessage `json:"asOf"`
		Changes json.RawMessage `json:"changes"`
	}
	_ = json.Unmarshal(body, &raw) // the same bytes were read above
	switch {
	case push.Tenant == "" || push.Consumer == "" || push.Epoch == "" || push.To == nil:
		return push, nil, errors.New("tenant, consumer, epoch or to is missing")
	case raw.AsOf == nil:
		return push, nil, errors.New("asOf is missing")
	case raw.Changes == nil || bytes.Equal(raw.Changes, []byte("null")):
		return push, nil, errors.New("changes is missing")
	case len(push.Changes) > maxChanges:
		return push, nil, fmt.Errorf("%d changes are more than %d", len(push.Changes), maxChanges)
	}
	switch push.Type {
	case typeChanges:
		if push.From == nil {
			return push, nil, errors.New("from is missing")
		}
		if push.From.Compare(*push.To) > 0 {
			return push, nil, fmt.Errorf("from %s is above to %s", push.From, push.To)
		}
		err = checkRange(push.Changes, *push.From, *push.To)
	case typeSnapshot:
		if push.Snapshot == "" || push.Part < 1 || push.Part > push.Parts {
			return push, nil, fmt.Errorf("part %d of %d of snapshot %q", push.Part, push.Parts, push.Snapshot)
		}
		err = checkItems(push.Changes)
	default:
		err = fmt.Errorf("type %q", push.Type)
	}
	return push, raw.Changes, err
}

// checkItems checks the items of a snapshot, which stand in any order.
func checkItems(list []Change) error {
	for _, c := range list {
		if err := c.check(); err != nil {
			return err
		}
		if c.Type != typePresence {
			return fmt.Errorf("item %s of a snapshot is a %s", c.ID, c.Type)
		}
	}
	return nil
}

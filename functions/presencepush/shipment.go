package presencepush

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"procallteams/internal/feed"
	"procallteams/internal/presence"
)

// Limits of one push, part of the contract; maxChangesBytes leaves room for the
// fields around the changes within 256 KiB.
const (
	maxChanges      = 500
	maxChangesBytes = 250 << 10
)

// body is a push of either type, as api/openapi.yaml has it.
type body struct {
	Type        string     `json:"type"`
	Tenant      string     `json:"tenant"`
	Consumer    string     `json:"consumer"`
	Epoch       string     `json:"epoch"`
	Snapshot    string     `json:"snapshot,omitempty"`
	Part        int        `json:"part,omitempty"`
	Parts       int        `json:"parts,omitempty"`
	From        *feed.ID   `json:"from,omitempty"`
	To          feed.ID    `json:"to"`
	AsOf        *time.Time `json:"asOf"`
	Stale       bool       `json:"stale"`
	StaleReason string     `json:"staleReason"`
	// Changes are marshalled one by one, which is how they are counted.
	Changes []json.RawMessage `json:"changes"`
}

// state is a whole state at one position, cut into the parts of a snapshot. The
// cuts depend on nothing but the state, so another process makes the same ones.
type state struct {
	book *feed.Book
	at   feed.Position
	cuts []presence.UserID // after which each part begins; the first is empty
}

// plan decides what to send next: the next changes, the state, or nothing but
// the time when upkeep asks for a sign of life. It stores nothing.
func (p *pusher) plan(ctx context.Context) error {
	c, head := &p.consumer, p.view.Head
	shipment := &feed.Shipment{
		Epoch: head.Epoch, Planned: p.Now().UTC(),
		AsOf: p.view.Freshness.AsOf, Stale: p.view.Freshness.Stale, StaleReason: p.view.Freshness.StaleReason,
	}
	if c.Position.Epoch != "" {
		changes, _, err := feed.Read(ctx, p.store, head, c.Position, maxChanges)
		_, gone := errors.AsType[*feed.GoneError](err)
		switch {
		case gone:
			// The position is not kept any more: the state instead.
		case err != nil:
			return err
		default:
			fit, err := marshal(changes)
			if err != nil {
				return err
			}
			shipment.From, shipment.To = c.Position.ID, c.Position.ID
			if len(fit) > 0 {
				shipment.To = changes[len(fit)-1].ID
			} else if !p.idle {
				return nil
			}
			c.InFlight, p.planned, p.plannedChanges = shipment, shipment, fit
			return nil
		}
	}
	s, err := p.load(ctx, head, head.Last)
	if _, gone := errors.AsType[*feed.GoneError](err); gone {
		// The head is older than retention: the newest one always works.
		if err := p.refresh(ctx); err != nil {
			return err
		}
		head = p.view.Head
		s, err = p.load(ctx, head, head.Last)
	}
	if err != nil {
		return err
	}
	p.state = s
	shipment.Epoch, shipment.To = head.Epoch, head.Last
	shipment.Snapshot, shipment.Part, shipment.Parts = rand.Text()[:16], 1, len(s.cuts)
	c.InFlight = shipment
	return nil
}

// nextPart is the shipment of the part behind sent.
func (p *pusher) nextPart(sent *feed.Shipment) *feed.Shipment {
	next := *sent
	next.Part++
	next.Planned = p.Now().UTC()
	return &next
}

// load reads the state at an append and cuts it.
func (p *pusher) load(ctx context.Context, head feed.Head, at feed.ID) (*state, error) {
	book, err := feed.LoadAt(ctx, p.store, head, at.Append)
	if err != nil {
		return nil, err
	}
	s := &state{book: book, at: feed.Position{Epoch: head.Epoch, ID: at}, cuts: []presence.UserID{""}}
	if book.At() != s.at {
		return nil, &feed.GoneError{Reason: feed.GoneEpoch}
	}
	for after := presence.UserID(""); ; {
		page, _ := book.Page(after, maxChanges)
		fit, err := marshal(page)
		if err != nil {
			return nil, err
		}
		if len(fit) == 0 {
			break
		}
		if after = page[len(fit)-1].Entra; len(page) < maxChanges && len(fit) == len(page) {
			break
		}
		s.cuts = append(s.cuts, after)
	}
	// A cut behind the last user would make an empty part.
	if rest, _ := book.Page(s.cuts[len(s.cuts)-1], 1); len(rest) == 0 && len(s.cuts) > 1 {
		s.cuts = s.cuts[:len(s.cuts)-1]
	}
	return s, nil
}

// body builds the exact bytes of the shipment in flight: whatever process builds
// them, and whenever. A *feed.GoneError means that this can't be done any more.
func (p *pusher) body(ctx context.Context) ([]byte, error) {
	s := p.consumer.InFlight
	if s.Epoch != p.view.Head.Epoch {
		return nil, &feed.GoneError{Reason: feed.GoneEpoch}
	}
	push := body{
		Type: "presence.changes", Tenant: p.tenant, Consumer: ConsumerID, Epoch: s.Epoch, From: &s.From, To: s.To,
		AsOf: s.AsOf, Stale: s.Stale, StaleReason: s.StaleReason,
	}
	if s == p.planned {
		push.Changes, p.changes = p.plannedChanges, len(p.plannedChanges)
		return json.Marshal(push)
	}
	var changes []feed.Change
	var err error
	if s.Snapshot == "" {
		changes, _, err = feed.ReadUpTo(ctx, p.store, p.view.Head, feed.Position{Epoch: s.Epoch, ID: s.From}, s.To, maxChanges)
	} else {
		push.Type, push.From = "presence.snapshot", nil
		push.Snapshot, push.Part, push.Parts = s.Snapshot, s.Part, s.Parts
		changes, err = p.part(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	if push.Changes, err = marshal(changes); err != nil {
		return nil, err
	}
	p.changes = len(push.Changes)
	if len(push.Changes) != len(changes) && s.Snapshot == "" {
		return nil, fmt.Errorf("changes %s to %s do not fit into one push", s.From, s.To)
	}
	return json.Marshal(push)
}

func (p *pusher) part(ctx context.Context, s *feed.Shipment) ([]feed.Change, error) {
	at := feed.Position{Epoch: s.Epoch, ID: s.To}
	if p.state == nil || p.state.at != at {
		// Another process began this snapshot, or an earlier turn of this one.
		loaded, err := p.load(ctx, p.view.Head, s.To)
		if err != nil {
			return nil, err
		}
		p.state = loaded
	}
	if len(p.state.cuts) != s.Parts {
		return nil, &feed.GoneError{Reason: feed.GoneEpoch}
	}
	page, _ := p.state.book.Page(p.state.cuts[s.Part-1], maxChanges)
	return page, nil
}

// marshal returns the JSON of the first changes, as many as fit into one push.
func marshal(changes []feed.Change) ([]json.RawMessage, error) {
	fit := make([]json.RawMessage, 0, len(changes))
	size := 0
	for _, change := range changes {
		text, err := change.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("encode change %s: %w", change.ID, err)
		}
		if size += len(text) + 1; size > maxChangesBytes {
			break
		}
		fit = append(fit, text)
	}
	return fit, nil
}

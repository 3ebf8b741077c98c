package presencepush

import (
	"context"
	"fmt"

	"procallteams/internal/feed"
	"procallteams/internal/ucserver"
)

// Ping sends UCServer one empty push from where it stands to where it stands, as the
// contract allows at any time, and returns how that was answered. It takes no lease,
// stores nothing and moves no position. sent is false while there is nothing to push
// to yet, or pushes are stopped.
func (f Function) Ping(ctx context.Context, tenant string) (outcome ucserver.Outcome, sent bool, err error) {
	p, err := f.look(ctx, tenant)
	if err != nil || p == nil || p.consumer.Stopped {
		return ucserver.Outcome{}, false, err
	}
	if p.key, err = f.Secrets.PushSecret(ctx); err != nil {
		return ucserver.Outcome{}, false, fmt.Errorf("read push secret: %w", err)
	}
	// A receiver that has nothing yet may answer 409, which proves as much as 2xx.
	shipment := &feed.Shipment{
		Epoch: p.view.Head.Epoch, From: p.consumer.Position.ID, To: p.consumer.Position.ID, Planned: f.Now().UTC(),
		AsOf: p.view.Freshness.AsOf, Stale: p.view.Freshness.Stale, StaleReason: p.view.Freshness.StaleReason,
	}
	p.consumer.InFlight, p.planned, p.plannedChanges = shipment, shipment, nil
	if p.plannedChanges, err = marshal(nil); err != nil {
		return ucserver.Outcome{}, false, err
	}
	body, err := p.body(ctx)
	if err != nil {
		return ucserver.Outcome{}, false, fmt.Errorf("build an empty push: %w", err)
	}
	return f.Sender.Push(ctx, ucserver.Delivery{URL: p.view.URL, ID: p.id(), Body: body, Secret: p.key}), true, nil
}

package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"procallteams/internal/consent"
)

// Flows keeps one row per consent or sign-in that came back from Microsoft. Its
// key is a hash of the state; neither state nor code is stored.
type Flows struct{ Storage *Storage }

// BeginFlow inserts the row that makes an authorization code be used once:
// consent.ErrChanged when it is there already.
func (f Flows) BeginFlow(ctx context.Context, tenant string, flow consent.Flow) error {
	row, err := jsonRow(tenant, RowFlow+flow.ID, "", flow)
	if err != nil {
		return err
	}
	row.Values["began"] = flow.Began
	if _, err := f.Storage.Insert(ctx, row); err != nil {
		return fmt.Errorf("begin consent: %w", raced(err))
	}
	return nil
}

// FinishFlow stores the outcome. The row has one writer: whoever inserted it.
func (f Flows) FinishFlow(ctx context.Context, tenant string, flow consent.Flow) error {
	row, err := jsonRow(tenant, RowFlow+flow.ID, "", flow)
	if err != nil {
		return err
	}
	if _, err := f.Storage.Merge(ctx, row); err != nil {
		return fmt.Errorf("finish consent: %w", err)
	}
	return nil
}

// Flow reads a row by its id, which is 64 hexadecimal digits; false when there
// is none.
func (f Flows) Flow(ctx context.Context, tenant, id string) (consent.Flow, bool, error) {
	row, err := f.Storage.Get(ctx, tenant, RowFlow+id)
	if errors.Is(err, ErrNotFound) {
		return consent.Flow{}, false, nil
	}
	if err != nil {
		return consent.Flow{}, false, fmt.Errorf("read consent: %w", err)
	}
	var flow consent.Flow
	if err := decodeJSON(row, &flow); err != nil {
		return consent.Flow{}, false, err
	}
	return flow, true, nil
}

// sweepLimit bounds one sweep: upkeep has ten seconds for it, and comes again.
const sweepLimit = 50

// SweepFlows removes rows that began before, at most 50 per call.
func (f Flows) SweepFlows(ctx context.Context, tenant string, before time.Time) error {
	var old []Row
	for row, err := range f.Storage.Range(ctx, tenant, RowFlow, RowFlow+"~") {
		if err != nil {
			return fmt.Errorf("sweep consents: %w", err)
		}
		if row.Time("began").Before(before) {
			if old = append(old, row); len(old) == sweepLimit {
				break
			}
		}
	}
	for _, row := range old {
		if err := f.Storage.Delete(ctx, tenant, row.Key, row.ETag); err != nil && !errors.Is(err, ErrChanged) {
			return fmt.Errorf("sweep consents: %w", err)
		}
	}
	return nil
}

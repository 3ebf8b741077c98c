package storage

import (
	"context"
	"errors"
	"fmt"

	"procallteams/internal/feed"
)

var _ feed.Consumers = (*Feed)(nil)

// Consumer implements [feed.Consumers]: one storage operation.
func (f *Feed) Consumer(ctx context.Context, id string) (feed.Consumer, error) {
	row, err := f.storage.Get(ctx, f.tenant, RowConsumer+EncodeKey(id))
	if errors.Is(err, ErrNotFound) {
		return feed.Consumer{}, nil
	}
	if err != nil {
		return feed.Consumer{}, fmt.Errorf("read consumer: %w", err)
	}
	var c feed.Consumer
	if err := decodeJSON(row, &c); err != nil {
		return feed.Consumer{}, err
	}
	c.Version = row.ETag
	return c, nil
}

// SaveConsumer implements [feed.Consumers]: one storage operation. The SDK repeats
// a write whose answer was lost and then meets its own row, so a row that holds
// exactly what was to be stored is no lost race.
func (f *Feed) SaveConsumer(ctx context.Context, id string, c feed.Consumer) (feed.Consumer, error) {
	row, err := jsonRow(f.tenant, RowConsumer+EncodeKey(id), c.Version, c)
	if err != nil {
		return feed.Consumer{}, err
	}
	if c.Version == "" {
		c.Version, err = f.storage.Insert(ctx, row)
	} else {
		c.Version, err = f.storage.Replace(ctx, row)
	}
	if lost(err) {
		stored, err := f.storage.Get(ctx, f.tenant, row.Key)
		if err != nil || stored.Text("data") != row.Text("data") {
			return feed.Consumer{}, feed.ErrLostRace
		}
		c.Version = stored.ETag
		return c, nil
	}
	if err != nil {
		return feed.Consumer{}, fmt.Errorf("store consumer: %w", err)
	}
	return c, nil
}

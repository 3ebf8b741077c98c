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

// SaveConsumer implements [feed.Consumers]: one storage operation. A repeated
// write whose first answer was lost counts as lost, too: the row is read again.
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
		return feed.Consumer{}, feed.ErrLostRace
	}
	if err != nil {
		return feed.Consumer{}, fmt.Errorf("store consumer: %w", err)
	}
	return c, nil
}

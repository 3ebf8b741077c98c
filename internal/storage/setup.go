package storage

import (
	"context"
	"errors"

	"procallteams/internal/access"
)

// Version returns the version of the named secret that is in force.
func (s *Storage) Version(ctx context.Context, name string) (version, etag string, err error) {
	row, err := s.Get(ctx, Installation, RowKept+name)
	if errors.Is(err, ErrNotFound) {
		return "", "", access.ErrUnknown
	}
	return row.Text("version"), row.ETag, err
}

// SetVersion names the version of the secret that is in force from now on.
func (s *Storage) SetVersion(ctx context.Context, name, version, etag string) error {
	return s.put(ctx, Row{Partition: Installation, Key: RowKept + name, ETag: etag, Values: map[string]any{"version": version}})
}

// Tries returns how many wrong codes came from an address.
func (s *Storage) Tries(ctx context.Context, address string) (access.Tries, error) {
	row, err := s.Get(ctx, Installation, RowTries+address)
	if errors.Is(err, ErrNotFound) {
		return access.Tries{}, nil
	}
	return access.Tries{Count: int(row.Number("count")), Until: row.Time("until"), At: row.Time("at"), ETag: row.ETag}, err
}

// PutTries stores how many wrong codes came from an address.
func (s *Storage) PutTries(ctx context.Context, address string, t access.Tries) error {
	return s.put(ctx, Row{Partition: Installation, Key: RowTries + address, ETag: t.ETag, Values: map[string]any{
		"count": int64(t.Count), "until": instant(t.Until), "at": instant(t.At),
	}})
}

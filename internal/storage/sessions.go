package storage

import (
	"context"
	"errors"
	"time"

	"procallteams/internal/access"
)

// Session reads an administrator's session by the hash of its cookie.
func (s *Storage) Session(ctx context.Context, hash string) (access.Session, error) {
	row, err := s.Get(ctx, Installation, RowSession+hash)
	if errors.Is(err, ErrNotFound) {
		return access.Session{}, access.ErrUnknown
	}
	if err != nil {
		return access.Session{}, err
	}
	return access.Session{Administrator: row.Text("administrator"), Tenant: row.Text("tenant"), UserName: row.Text("userName"), Began: row.Time("began"), Ends: row.Time("ends")}, nil
}

// PutSession stores a new session, after sweeping what no longer counts: ended
// sessions, and counts of wrong codes that are a day old.
func (s *Storage) PutSession(ctx context.Context, hash string, session access.Session, now time.Time) error {
	if err := s.sweep(ctx, RowSession, func(row Row) bool { return now.After(row.Time("ends")) }); err != nil {
		return err
	}
	if err := s.sweep(ctx, RowTries, func(row Row) bool { return now.Sub(row.Time("at")) > 24*time.Hour }); err != nil {
		return err
	}
	_, err := s.Insert(ctx, Row{Partition: Installation, Key: RowSession + hash, Values: map[string]any{
		"administrator": session.Administrator, "tenant": session.Tenant, "userName": session.UserName, "began": session.Began, "ends": session.Ends,
	}})
	return err
}

// sweep deletes the installation's rows under prefix that are over, at most 200
// at a time.
func (s *Storage) sweep(ctx context.Context, prefix string, over func(Row) bool) error {
	left := 200
	for row, err := range s.Range(ctx, Installation, prefix, after(prefix)) {
		if err != nil {
			return err
		}
		if !over(row) {
			continue
		}
		if err := s.Delete(ctx, Installation, row.Key, ""); err != nil {
			return err
		}
		if left--; left == 0 {
			break
		}
	}
	return nil
}

// DeleteSession forgets a session; a missing one is fine.
func (s *Storage) DeleteSession(ctx context.Context, hash string) error {
	return s.Delete(ctx, Installation, RowSession+hash, "")
}

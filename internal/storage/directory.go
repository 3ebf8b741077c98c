package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"procallteams/internal/directory"
)

// PutDirectory stores a directory, points at it, and removes the one that old
// points at. read says when and how it was read (At, Matching, Basic); the rest
// of it is filled in here.
//
// A crash before the pointer moved leaves the old directory in force, one after
// it leaves a blob behind that nobody points at.
func (s *Storage) PutDirectory(ctx context.Context, tenant string, old directory.Ref, d *directory.Directory, read directory.Ref) (directory.Ref, error) {
	packed, err := d.Encode()
	if err != nil {
		return directory.Ref{}, err
	}
	ref := read
	ref.Blob, ref.At, ref.Users = tenant+"/directory/"+rand.Text(), read.At.UTC(), len(d.People)
	if err := s.PutBlob(ctx, ref.Blob, packed); err != nil {
		return directory.Ref{}, fmt.Errorf("store directory: %w", err)
	}
	if err := s.SetDirectory(ctx, tenant, ref); err != nil {
		return directory.Ref{}, err
	}
	if old.Blob != "" {
		if err := s.DeleteBlob(ctx, old.Blob); err != nil {
			return ref, fmt.Errorf("remove the previous directory: %w", err)
		}
	}
	return ref, nil
}

// Directory reads the directory that ref points at. [ErrNotFound] means that
// another process has replaced it meanwhile, or that somebody removed the blob.
func (s *Storage) Directory(ctx context.Context, ref directory.Ref) (*directory.Directory, error) {
	packed, err := s.GetBlob(ctx, ref.Blob)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read directory: %w", err)
	}
	return directory.Decode(packed)
}

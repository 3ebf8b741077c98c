package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"procallteams/internal/directory"
)

// What is stored here is a blob that is written once, and a row that points at it.
// A new blob is written under a name of its own, then the row is swapped by its
// version ([ErrChanged] when somebody was faster), then the old blob is removed. A
// crash before the swap leaves everything as it was, one after it leaves the old
// blob behind: [Storage.SweepDirectories] finds what nobody points at.

// encoder has a stored form.
type encoder interface{ Encode() ([]byte, error) }

// PutDirectory stores a directory and its report in the place of what old points
// at. made says of what and when (Inputs, At); the rest is filled in here.
func (s *Storage) PutDirectory(ctx context.Context, tenant string, old directory.Ref, d *directory.Directory, report *directory.Report, made directory.Ref) (directory.Ref, error) {
	ref := made
	ref.At, ref.Users = made.At.UTC(), len(d.People)
	ref.Unmatched, ref.Ambiguous = report.Count()
	var err error
	if ref.Report, err = s.store(ctx, tenant+"/directory/", report); err != nil {
		return directory.Ref{}, fmt.Errorf("store report: %w", err)
	}
	if ref.Blob, err = s.store(ctx, tenant+"/directory/", d); err != nil {
		return directory.Ref{}, fmt.Errorf("store directory: %w", err)
	}
	ref.Version, err = s.pointAt(ctx, tenant, RowDirectory, old.Version, ref)
	if err != nil {
		s.discard(ctx, err, ref.Blob, ref.Report)
		return directory.Ref{}, err
	}
	s.discard(ctx, nil, old.Blob, old.Report)
	return ref, nil
}

// Directory reads the directory that ref points at. [ErrNotFound] means that
// another process has replaced it meanwhile, or that somebody removed the blob.
func (s *Storage) Directory(ctx context.Context, ref directory.Ref) (*directory.Directory, error) {
	return load(ctx, s, "directory", ref.Blob, directory.Decode)
}

// Report reads the report that belongs to a directory; [ErrNotFound] as there.
func (s *Storage) Report(ctx context.Context, ref directory.Ref) (*directory.Report, error) {
	return load(ctx, s, "report", ref.Report, directory.DecodeReport)
}

// PutAccounts stores accounts in the place of what old points at. read says the
// rest of the pointer; Blob and Count are filled in here.
func (s *Storage) PutAccounts(ctx context.Context, tenant string, old directory.AccountsRef, accounts *directory.Accounts, read directory.AccountsRef) (directory.AccountsRef, error) {
	ref := read
	ref.Count = len(accounts.People)
	var err error
	if ref.Blob, err = s.store(ctx, tenant+"/accounts/", accounts); err != nil {
		return directory.AccountsRef{}, fmt.Errorf("store accounts: %w", err)
	}
	if ref.Version, err = s.pointAt(ctx, tenant, RowAccounts, old.Version, ref); err != nil {
		s.discard(ctx, err, ref.Blob)
		return directory.AccountsRef{}, err
	}
	s.discard(ctx, nil, old.Blob)
	if old.Draft.Blob != ref.Draft.Blob {
		s.discard(ctx, nil, old.Draft.Blob)
	}
	return ref, nil
}

// PutDraft stores accounts that were read in part, in the place of the draft before.
// next says the rest of the pointer; Draft.Blob is filled in here.
func (s *Storage) PutDraft(ctx context.Context, tenant string, old directory.AccountsRef, accounts *directory.Accounts, next directory.AccountsRef) (directory.AccountsRef, error) {
	ref := next
	var err error
	if ref.Draft.Blob, err = s.store(ctx, tenant+"/accounts/", accounts); err != nil {
		return directory.AccountsRef{}, fmt.Errorf("store accounts read so far: %w", err)
	}
	if ref.Version, err = s.pointAt(ctx, tenant, RowAccounts, old.Version, ref); err != nil {
		s.discard(ctx, err, ref.Draft.Blob)
		return directory.AccountsRef{}, err
	}
	s.discard(ctx, nil, old.Draft.Blob)
	return ref, nil
}

// PointAtAccounts stores a pointer to the same accounts; a draft that it does not
// point at any more is removed.
func (s *Storage) PointAtAccounts(ctx context.Context, tenant string, old, next directory.AccountsRef) (directory.AccountsRef, error) {
	var err error
	if next.Version, err = s.pointAt(ctx, tenant, RowAccounts, old.Version, next); err != nil {
		return directory.AccountsRef{}, err
	}
	if old.Draft.Blob != next.Draft.Blob {
		s.discard(ctx, nil, old.Draft.Blob)
	}
	return next, nil
}

// Accounts reads the accounts that ref points at; [ErrNotFound] when another
// process has replaced them.
func (s *Storage) Accounts(ctx context.Context, ref directory.AccountsRef) (*directory.Accounts, error) {
	return load(ctx, s, "accounts", ref.Blob, directory.DecodeAccounts)
}

// Draft reads the accounts that were read so far.
func (s *Storage) Draft(ctx context.Context, ref directory.AccountsRef) (*directory.Accounts, error) {
	return load(ctx, s, "accounts read so far", ref.Draft.Blob, directory.DecodeAccounts)
}

// PutUsers stores UCServer's users in the place of what old points at. sent says
// when they came and from whom (At, By); the rest is filled in here.
func (s *Storage) PutUsers(ctx context.Context, tenant string, old directory.UsersRef, users *directory.Users, sent directory.UsersRef) (directory.UsersRef, error) {
	ref := sent
	ref.At, ref.Count = sent.At.UTC(), len(users.People)
	var err error
	if ref.Blob, err = s.store(ctx, tenant+"/users/", users); err != nil {
		return directory.UsersRef{}, fmt.Errorf("store users: %w", err)
	}
	if ref.Version, err = s.pointAt(ctx, tenant, RowUsers, old.Version, ref); err != nil {
		s.discard(ctx, err, ref.Blob)
		return directory.UsersRef{}, err
	}
	s.discard(ctx, nil, old.Blob)
	return ref, nil
}

// RemoveUsers takes away what old points at. sent says when, and by whom (At, By).
func (s *Storage) RemoveUsers(ctx context.Context, tenant string, old, sent directory.UsersRef) (directory.UsersRef, error) {
	ref := directory.UsersRef{At: sent.At.UTC(), By: sent.By}
	var err error
	if ref.Version, err = s.pointAt(ctx, tenant, RowUsers, old.Version, ref); err != nil {
		return directory.UsersRef{}, err
	}
	s.discard(ctx, nil, old.Blob)
	return ref, nil
}

// Users reads the users that ref points at; [ErrNotFound] when another list has
// replaced them.
func (s *Storage) Users(ctx context.Context, ref directory.UsersRef) (*directory.Users, error) {
	return load(ctx, s, "users", ref.Blob, directory.DecodeUsers)
}

// PutList stores usermatching.csv, the bytes as they came, in the place of what old
// points at. came says the rest of the pointer; Blob is filled in here.
func (s *Storage) PutList(ctx context.Context, tenant string, old directory.ListRef, file []byte, came directory.ListRef) (directory.ListRef, error) {
	ref := came
	ref.At = came.At.UTC()
	var err error
	if ref.Blob, err = s.store(ctx, tenant+"/matching/", bytesAsTheyCame(file)); err != nil {
		return directory.ListRef{}, fmt.Errorf("store usermatching.csv: %w", err)
	}
	if ref.Version, err = s.pointAt(ctx, tenant, RowMatching, old.Version, ref); err != nil {
		s.discard(ctx, err, ref.Blob)
		return directory.ListRef{}, err
	}
	s.discard(ctx, nil, old.Blob)
	return ref, nil
}

// List reads the file that ref points at; [ErrNotFound] when another one has
// replaced it.
func (s *Storage) List(ctx context.Context, ref directory.ListRef) ([]byte, error) {
	return load(ctx, s, "usermatching.csv", ref.Blob, func(file []byte) ([]byte, error) { return file, nil })
}

type bytesAsTheyCame []byte

func (b bytesAsTheyCame) Encode() ([]byte, error) { return b, nil }

// store writes a blob under a name of its own.
func (s *Storage) store(ctx context.Context, folder string, what encoder) (string, error) {
	packed, err := what.Encode()
	if err != nil {
		return "", err
	}
	name := folder + rand.Text()
	return name, s.PutBlob(ctx, name, packed)
}

func load[T any](ctx context.Context, s *Storage, what, blob string, decode func([]byte) (T, error)) (T, error) {
	var none T
	if blob == "" {
		return none, ErrNotFound
	}
	packed, err := s.GetBlob(ctx, blob)
	if errors.Is(err, ErrNotFound) {
		return none, ErrNotFound
	}
	if err != nil {
		return none, fmt.Errorf("read %s: %w", what, err)
	}
	value, err := decode(packed)
	if err != nil {
		return none, fmt.Errorf("read %s: %w", what, err)
	}
	return value, nil
}

// pointAt swaps a pointer of which version was read, empty for none, and returns
// its new version.
func (s *Storage) pointAt(ctx context.Context, tenant, key, version string, ref any) (string, error) {
	row, err := jsonRow(tenant, key, version, ref)
	if err != nil {
		return "", err
	}
	next := ""
	if version == "" {
		next, err = s.Insert(ctx, row)
	} else {
		next, err = s.Replace(ctx, row)
	}
	if errors.Is(err, ErrExists) || errors.Is(err, ErrChanged) || errors.Is(err, ErrNotFound) {
		// The answer to a write that succeeded may have been lost, and the repetition
		// refused.
		if stored, readErr := s.Get(ctx, tenant, key); readErr == nil && stored.Text("data") == row.Text("data") {
			return stored.ETag, nil
		}
		return "", ErrChanged
	}
	if err != nil {
		return "", fmt.Errorf("store row %s: %w", key, err)
	}
	return next, nil
}

// discard removes blobs that nobody points at: those before a swap, or those of a
// swap that was refused. One whose swap ended without an answer may be in use.
// What stays is swept later.
func (s *Storage) discard(ctx context.Context, swap error, blobs ...string) {
	if swap != nil && !errors.Is(swap, ErrChanged) {
		return
	}
	for _, blob := range blobs {
		if blob != "" {
			_ = s.DeleteBlob(ctx, blob)
		}
	}
}

// SweepDirectories removes blobs written before a time that nothing points at, and
// returns how many. What is written after the pointers were read is younger.
func (s *Storage) SweepDirectories(ctx context.Context, tenant string, before time.Time) (int, error) {
	now, err := s.Now(ctx, tenant)
	if err != nil {
		return 0, err
	}
	used := []string{now.Directory.Blob, now.Directory.Report, now.Accounts.Blob, now.Accounts.Draft.Blob, now.Users.Blob, now.List.Blob}
	removed := 0
	for _, folder := range []string{"/directory/", "/accounts/", "/users/", "/matching/"} {
		for blob, err := range s.blobsIn(ctx, tenant+folder) {
			if err != nil {
				return removed, err
			}
			if !blob.at.Before(before) || slices.Contains(used, blob.name) {
				continue
			}
			if err := s.DeleteBlob(ctx, blob.name); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

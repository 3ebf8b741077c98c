package usermatching

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"procallteams/internal/access"
	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/namelist"
	"procallteams/internal/reply"
	"procallteams/internal/storage"
)

// Upload is a file to be taken in.
type Upload struct {
	Who  string // the administrator
	From io.Reader
	// IfMatch and IfNoneMatch are conditions on the file in force, as in HTTP.
	IfMatch, IfNoneMatch string
	// DryRun tells what would become of it, and stores nothing.
	DryRun bool
}

// Errors of an upload, beside *[matching.FaultsError], *[http.MaxBytesError],
// [access.ErrNoTenant] and those of storage.
var (
	// ErrPrecondition says that the file is not the one that the caller knows.
	ErrPrecondition = errors.New("the file is another one")
	// ErrRace says that another file was taken in meanwhile.
	ErrRace = errors.New("another file was taken in meanwhile")
	// ErrNone says that there is no file.
	ErrNone = errors.New("no usermatching.csv was uploaded yet")

	errBody       = errors.New("the body did not arrive completely")
	errLength     = errors.New("the request has no Content-Length")
	errCompressed = errors.New("the body is compressed")
	errKind       = errors.New("the body is not called a CSV file")
)

// Take takes a file in: as a whole, or not at all. What it returns without an error
// is durable, and in force with the next sync.
//
// The file in force is looked at before the body is read: of two that come at once,
// one is stored, and the other has lost its race.
func (f *Function) Take(ctx context.Context, u Upload) (*Receipt, error) {
	tenant, now, err := f.now(ctx)
	if err != nil {
		return nil, err
	}
	if !reply.Holds(u.IfMatch, u.IfNoneMatch, reply.TagOf(now.List.Blob)) {
		return nil, ErrPrecondition
	}
	f.turn.Lock()
	defer f.turn.Unlock()
	file, err := read(u.From)
	if err != nil {
		return nil, err
	}
	list, err := namelist.Check(file)
	if err != nil {
		return nil, err
	}
	before, same, err := f.before(ctx, now, file)
	if err != nil {
		return nil, err
	}
	receipt, err := f.judge(ctx, now, before, list)
	if err != nil {
		return nil, gone(err)
	}
	receipt.ETag = reply.TagOf(now.List.Blob)
	if u.DryRun || same {
		return receipt, nil
	}
	return receipt, f.store(ctx, tenant, u, now.List, file, receipt)
}

// store keeps the bytes. Judging came first: what can't be answered is not stored
// either.
func (f *Function) store(ctx context.Context, tenant string, u Upload, old directory.ListRef, file []byte, receipt *Receipt) error {
	if err := f.Audit.Record(ctx, tenant, access.Change{Who: u.Who, What: "usermatching.csv uploaded", At: f.Now()}); err != nil {
		return fmt.Errorf("record the upload: %w", err)
	}
	ref, err := f.Storage.PutList(ctx, tenant, old, file, directory.ListRef{
		At: f.Now(), By: u.Who, Lines: receipt.Names, Fingerprint: matching.Fingerprint(file), Source: directory.Uploaded,
	})
	switch {
	case errors.Is(err, storage.ErrChanged) && u.IfMatch+u.IfNoneMatch != "":
		return ErrPrecondition
	case errors.Is(err, storage.ErrChanged):
		return ErrRace
	case err != nil:
		return err
	}
	receipt.ETag, receipt.Stored = reply.TagOf(ref.Blob), true
	return nil
}

// gone makes a lost race of what was replaced while it was read.
func gone(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return ErrRace
	}
	return err
}

// InForce returns the file that was uploaded or came with the package, as it came,
// and its ETag.
func (f *Function) InForce(ctx context.Context) (file []byte, etag string, err error) {
	// What the row pointed at may have been replaced this instant; the newest works.
	for range 2 {
		var now storage.Now
		if _, now, err = f.now(ctx); err != nil {
			return nil, "", err
		}
		if now.List.Blob == "" {
			return nil, "", ErrNone
		}
		if file, err = f.Storage.List(ctx, now.List); !errors.Is(err, storage.ErrNotFound) {
			return file, reply.TagOf(now.List.Blob), err
		}
	}
	return nil, "", ErrNone // somebody removed it
}

// now reads the state of the tenant in use.
func (f *Function) now(ctx context.Context) (string, storage.Now, error) {
	tenant, err := f.Settings.Tenant(ctx)
	if err != nil {
		return "", storage.Now{}, err
	}
	if tenant == "" {
		return "", storage.Now{}, access.ErrNoTenant
	}
	now, err := f.Storage.Now(ctx, tenant)
	return tenant, now, err
}

// before reads the list in force, the zero one for none, and whether file is it.
func (f *Function) before(ctx context.Context, now storage.Now, file []byte) (matching.List, bool, error) {
	if now.List.Blob == "" {
		return matching.List{}, false, nil
	}
	stored, err := f.Storage.List(ctx, now.List)
	if errors.Is(err, storage.ErrNotFound) {
		// Replaced this instant, or removed by somebody: then it is as good as none.
		_, fresh, err := f.now(ctx)
		if err == nil && fresh.List.Blob != now.List.Blob {
			err = ErrRace
		}
		return matching.List{}, false, err
	}
	if err != nil {
		return matching.List{}, false, err
	}
	list, err := matching.Parse(stored)
	if err != nil { // an older version took it in; it names nobody for this one
		list = matching.List{}
	}
	return list, bytes.Equal(stored, file), nil
}

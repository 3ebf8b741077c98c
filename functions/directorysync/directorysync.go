// Package directorysync is the timer function that keeps the tenant's accounts, and
// the members of the Entra groups that participation names, as Entra has them.
//
// One run: read what is known about the tenant (one storage operation) -> ask Graph
// what changed since the link that was kept -> groups, when they are due -> store
// what is new and the next link (one storage operation when nothing is new; a blob
// and the pointer to it otherwise). Once an hour it looks for blobs that nobody
// points at any more.
//
// Reading from the start, the first time or when Graph does not accept the link any
// more, can take many runs: what was read so far is a draft, stored with the link
// behind it, while the accounts before stay in force. Any process may do the next
// run; nothing is kept in memory between two. Who takes part is made of this by
// presencesync, at its next run.
//
// Graph's limit for the directory is another one than that for presences: a pause
// that Graph asks for here stops nothing else.
package directorysync

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/graph"
	"procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

const (
	// slice bounds what one run asks Graph for. The next run goes on.
	slice = 45 * time.Second
	// deadline bounds a run, so that there is time to store what was read.
	deadline = 90 * time.Second
	// draftEvery is how often what was read so far is stored.
	draftEvery = 15 * time.Second
	// groupsEvery is how often the members of groups are read. Graph tells changes of
	// direct members only, so they are all read.
	groupsEvery = 10 * time.Minute
	// sweepEvery is how often forgotten blobs are looked for, and forgottenAfter the
	// age from which one can't be part of a step that is under way.
	sweepEvery     = time.Hour
	forgottenAfter = time.Hour
	// downgradeAfter is how old accounts are before a person's consent, which tells
	// less about them, carries on where the admin consent does not work any more.
	downgradeAfter = 15 * time.Minute
	// maxError bounds what is kept of an error, in bytes: others wrote parts of it.
	maxError = 500
)

// Graph reads Microsoft Graph's directory.
type Graph interface {
	// UsersDelta: see [graph.Client.UsersDelta].
	UsersDelta(ctx context.Context, token secret.Text, link string, detail graph.Detail) iter.Seq2[graph.DeltaPage, error]
	// Group: see [graph.Client.Group].
	Group(ctx context.Context, token secret.Text, id string) (graph.Group, error)
	// GroupMembers: see [graph.Client.GroupMembers].
	GroupMembers(ctx context.Context, token secret.Text, groupID string) iter.Seq2[presence.UserID, error]
}

// Tokens gives access to Graph.
type Tokens interface {
	// DirectoryToken: see [consent.Service.DirectoryToken].
	DirectoryToken(ctx context.Context, tenant string, grants []consent.Grant) (consent.Token, error)
	// GroupsToken: see [consent.Service.GroupsToken].
	GroupsToken(ctx context.Context, tenant string, grants []consent.Grant) (consent.Token, error)
	// Refused tells that Graph answered 401 to the token.
	Refused(ctx context.Context, tenant string, token consent.Token, status int) error
}

// Function is the code of function.json beside this file. It is made once per
// process; its runs follow one another.
type Function struct {
	Storage  *storage.Storage
	Settings storage.Settings
	Graph    Graph
	Tokens   Tokens
	Now      func() time.Time
	Log      *slog.Logger

	running sync.Mutex // held by the run in progress, which owns the rest
	tenant  string     // in use; empty before the first run
	logged  string     // the last problem that was logged
}

// Run does one slice. It returns an error when what it found could not be stored.
// That Graph can't be read is stored, and no error.
func (f *Function) Run(ctx context.Context, _ host.Tick) error {
	if !f.running.TryLock() {
		return nil
	}
	defer f.running.Unlock()
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	now, err := f.look(ctx)
	if err != nil || f.tenant == "" {
		return err
	}
	r := &run{Function: f, now: now, ref: now.Accounts, next: now.Accounts, start: f.Now(), log: host.Log(ctx, f.Log)}
	r.settings, _ = now.Settings.Override(f.Settings.Overrides)
	if r.settings.Paused || r.start.Before(r.ref.Wait) {
		err = r.tidy(ctx)
	} else {
		err = r.do(ctx)
	}
	if r.before != nil || r.fresh != nil {
		r.before, r.fresh = nil, nil
		debug.FreeOSMemory() // the next change may be far
	}
	if errors.Is(err, storage.ErrChanged) {
		// Another process stored what it has read, which is as good.
		r.log.Info("directory sync discarded", "reason", "another process was faster")
		return nil
	}
	return err
}

// look reads what is known about the tenant in use.
func (f *Function) look(ctx context.Context) (now storage.Now, err error) {
	for range 2 {
		if f.tenant == "" {
			if f.tenant, err = f.Settings.Tenant(ctx); err != nil || f.tenant == "" {
				return storage.Now{}, err
			}
		}
		now, err = f.Storage.Now(ctx, f.tenant)
		if err != nil || !now.Retired || f.Settings.Overrides.Tenant != "" {
			return now, err
		}
		f.tenant = "" // another one took its place
	}
	return storage.Now{}, nil
}

// run is one slice.
type run struct {
	*Function
	now      storage.Now
	settings settings.Integration // with app settings applied
	start    time.Time
	token    consent.Token // with which Graph is asked
	log      *slog.Logger

	// ref is the stored pointer, next what it will be. before are the accounts that
	// ref points at, nil until they are needed: many can be large, and most runs need
	// none. fresh are those that take their place; nil when they stay.
	ref, next     directory.AccountsRef
	before, fresh *directory.Accounts
	pages         int // that Graph answered with
}

// do reads, and stores what is new in one step: what was read before something went
// wrong is good. A crash before that loses one slice at most.
func (r *run) do(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, slice)
	defer cancel()
	failure := r.read(ctx, asking)
	if ours, ok := errors.AsType[*storageError](failure); ok {
		return ours.error
	}
	if failure != nil && (asking.Err() == nil || r.pages == 0) { // else the slice is over
		r.note(ctx, failure)
	}
	return r.tidy(ctx)
}

// tidy removes what was forgotten, and puts in force what is new.
func (r *run) tidy(ctx context.Context) error {
	if err := r.sweep(ctx); err != nil {
		return err
	}
	return r.store(ctx)
}

// read asks Graph. ctx is for storage, asking for Graph.
func (r *run) read(ctx, asking context.Context) (err error) {
	if r.token, err = r.Tokens.DirectoryToken(asking, r.tenant, r.now.Grants); err != nil {
		return err
	}
	if err := r.users(ctx, asking); err != nil {
		return err
	}
	if err := r.groups(ctx, asking); err != nil {
		return err
	}
	r.next.Error, r.next.ErrorSince, r.next.Wait, r.logged = "", time.Time{}, time.Time{}, ""
	return nil
}

// note says why Graph could not be read, and until when it wants to be left alone.
func (r *run) note(ctx context.Context, failure error) {
	text := failure.Error()
	if pause, ok := errors.AsType[*graph.ThrottledError](failure); ok {
		r.next.Wait, text = r.Now().Add(pause.RetryAfter).UTC(), "Graph asks for a pause"
	}
	if refusal, ok := errors.AsType[*graph.Error](failure); ok && refusal.Refused() {
		text = fmt.Sprintf("Graph answered %d: the app registration needs User.Read.All and, for groups, GroupMember.Read.All (application)", refusal.Status)
		// A 403 is about the directory alone: presences may be read with the token.
		if refusal.Status == http.StatusUnauthorized {
			if err := r.Tokens.Refused(ctx, r.tenant, r.token, refusal.Status); err != nil {
				r.log.Warn("refusal not noted", "error", err.Error())
			}
		}
	}
	text = health.Clip(text, maxError)
	if r.logged != text {
		r.logged = text
		r.log.Warn("directory not read", "reason", text, "error", failure.Error())
	}
	if r.next.Error == "" {
		r.next.ErrorSince = r.start.UTC()
	}
	r.next.Error = text
}

// storageError is a failure that is not Graph's: it fails the run.
type storageError struct{ error }

func (e *storageError) Unwrap() error { return e.error }

func stored(what string, err error) error {
	if err == nil {
		return nil
	}
	return &storageError{fmt.Errorf("%s: %w", what, err)}
}

// store puts in force what is new; nothing to store is no storage operation.
func (r *run) store(ctx context.Context) error {
	switch {
	case r.fresh != nil:
		ref, err := r.Storage.PutAccounts(ctx, r.tenant, r.ref, r.fresh, r.next)
		if err != nil {
			return fmt.Errorf("store accounts: %w", err)
		}
		r.log.Info("accounts stored", "accounts", ref.Count, "groups", len(r.fresh.Groups), "basic", ref.Basic)
	case r.next != r.ref:
		if _, err := r.Storage.PointAtAccounts(ctx, r.tenant, r.ref, r.next); err != nil {
			return fmt.Errorf("point at the accounts: %w", err)
		}
	}
	return nil
}

// accounts are those that will be in force; nobody when none were read yet, or when
// somebody removed the blob.
func (r *run) accounts(ctx context.Context) (*directory.Accounts, error) {
	switch {
	case r.fresh != nil:
		return r.fresh, nil
	case r.ref.Blob == "":
		return &directory.Accounts{}, nil
	case r.before != nil:
		return r.before, nil
	}
	accounts, err := r.Storage.Accounts(ctx, r.ref)
	if err != nil {
		return nil, stored("read accounts", err)
	}
	r.before = accounts
	return accounts, nil
}

// gone reports that a blob is not there, or is another version's: what it held has
// to be read from Graph again.
func gone(err error) bool {
	return errors.Is(err, storage.ErrNotFound) || errors.Is(err, directory.ErrForm)
}

// sweep removes blobs that nobody points at.
func (r *run) sweep(ctx context.Context) error {
	if r.start.Sub(r.ref.Swept) < sweepEvery || r.ref.Version == "" {
		return nil
	}
	removed, err := r.Storage.SweepDirectories(ctx, r.tenant, r.start.Add(-forgottenAfter))
	if err != nil {
		return fmt.Errorf("remove blobs that nobody points at: %w", err)
	}
	if removed > 0 {
		r.log.Info("blobs removed that nobody pointed at", "blobs", removed)
	}
	r.next.Swept = r.start.UTC()
	return nil
}

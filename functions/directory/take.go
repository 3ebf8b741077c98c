package directory

import (
	"context"
	"errors"
	"fmt"
	"io"

	"procallteams/internal/access"
	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/reply"
	"procallteams/internal/storage"
	"procallteams/internal/userlist"
)

// Do is what a step does to the list in force.
type Do int

// The steps there are.
const (
	Replace Do = iota // with the complete list that is sent
	Change            // as the single changes say that are sent
	Remove            // there is no list any more, as before the first one
)

// Step is a list, or changes to it, to be taken in.
type Step struct {
	Tenant string // the one in use when empty
	// Who sends it: an administrator, whose step is audited, or a machine's credential.
	Who     string
	Machine bool
	Do      Do
	From    io.Reader // not of Remove
	// IfMatch and IfNoneMatch are conditions on the list in force, as in HTTP.
	IfMatch, IfNoneMatch string
	// Confirm is what a *[ShrinkError] asked for, when the step is meant; -1 when nothing
	// is confirmed.
	Confirm int
	// DryRun tells what would become of it, and stores nothing.
	DryRun bool
}

const noConfirm = -1

// Receipt says what became of a step.
type Receipt struct {
	userlist.Step
	Count  int // of the list
	ETag   string
	Stored bool

	judgement userlist.Judgement
	// tookPart counts who takes part without a list; nobodyStays says that with the first
	// one nobody would.
	tookPart    int
	nobodyStays bool

	before  []matching.User
	changes []userlist.Change
	effects []userlist.Effect
}

// Errors of a step, beside *[userlist.FaultsError], *[userlist.LimitError],
// [access.ErrNoTenant] and those of storage.
var (
	// ErrPrecondition says that the list is not the one that the caller knows.
	ErrPrecondition = errors.New("the list is another one")
	// ErrRace says that another list was taken in meanwhile.
	ErrRace   = errors.New("another list was taken in meanwhile")
	errNoList = errors.New("no list was sent yet")
	errBody   = errors.New("the body did not arrive completely")
)

// ShrinkError says that a step would take away so many people that it has to be
// confirmed, by the Count of users on the list that it leaves.
type ShrinkError struct {
	Before, Removed, Count int // users on lists
	// First says that there was no list, and that none of the Before people who take part
	// is on this one.
	First bool
	// Whole says that the list itself would go: that is confirmed by Before.
	Whole bool
}

func (e *ShrinkError) Error() string {
	return fmt.Sprintf("%d of %d would go", e.Removed, e.Before)
}

// shrinks returns a *[ShrinkError] when a step takes away more than a fifth of a list of
// had users, and that is not confirmed.
func (s Step) shrinks(had, removed, count int) error {
	if s.DryRun || s.Confirm == count || !(userlist.Step{Removed: removed}).Shrinks(had) {
		return nil
	}
	return &ShrinkError{Before: had, Removed: removed, Count: count}
}

// maxTries is how often changes are made in a list that others change meanwhile.
const maxTries = 3

// Take takes a list or changes in: as a whole, or not at all. What it returns
// without an error is durable, and in force with the next sync.
//
// The list in force is looked at before the body is read: of two lists that come at
// once, one is stored, and the other has lost its race. Changes are made in whatever
// list is in force then, so they need not lose.
func (f *Function) Take(ctx context.Context, s Step) (*Receipt, error) {
	now, tenant, err := f.now(ctx, s.Tenant)
	if err != nil {
		return nil, err
	}
	s.Tenant = tenant
	if !reply.Holds(s.IfMatch, s.IfNoneMatch, reply.TagOf(now.Users.Blob)) {
		return nil, ErrPrecondition
	}
	f.turn.Lock()
	defer f.turn.Unlock()
	receipt, err := f.takeInto(ctx, s, now)
	if errors.Is(err, ErrRace) && s.IfMatch+s.IfNoneMatch != "" {
		err = ErrPrecondition
	}
	return receipt, err
}

func (f *Function) takeInto(ctx context.Context, s Step, now storage.Now) (*Receipt, error) {
	switch s.Do {
	case Replace:
		return f.replace(ctx, s, now)
	case Remove:
		return f.remove(ctx, s, now)
	}
	changes, err := userlist.ReadChanges(s.From)
	if err != nil {
		return nil, bodyError(err)
	}
	for try := 1; ; try++ {
		receipt, err := f.change(ctx, s, now, changes)
		if !errors.Is(err, ErrRace) || try == maxTries {
			return receipt, err
		}
		if now, _, err = f.now(ctx, s.Tenant); err != nil {
			return nil, err
		}
		if !reply.Holds(s.IfMatch, s.IfNoneMatch, reply.TagOf(now.Users.Blob)) {
			return nil, ErrPrecondition
		}
	}
}

// bodyError tells what the sender did wrong from what the connection did.
func bodyError(err error) error {
	_, isFaults := errors.AsType[*userlist.FaultsError](err)
	_, isLimit := errors.AsType[*userlist.LimitError](err)
	if isFaults || isLimit {
		return err
	}
	return errBody
}

// now reads the tenant's state. An empty tenant is the one in use.
func (f *Function) now(ctx context.Context, tenant string) (storage.Now, string, error) {
	if tenant == "" {
		var err error
		if tenant, err = f.Settings.Tenant(ctx); err != nil {
			return storage.Now{}, "", err
		}
	}
	if tenant == "" {
		return storage.Now{}, "", access.ErrNoTenant
	}
	now, err := f.Storage.Now(ctx, tenant)
	return now, tenant, err
}

// replace puts a complete list in the place of the one in force.
func (f *Function) replace(ctx context.Context, s Step, now storage.Now) (*Receipt, error) {
	list, err := userlist.Read(s.From)
	if err != nil {
		return nil, bodyError(err)
	}
	had := now.Users.Count
	now, before, err := f.users(ctx, s.Tenant, now)
	if err != nil {
		return nil, err
	}
	r := &Receipt{Step: userlist.Between(before.People, list), Count: len(list), before: before.People}
	lost := max(r.Removed, had-len(list)) // the least, where the list in force can't be read
	if err := s.shrinks(had, lost, len(list)); err != nil {
		return nil, err
	}
	return r, f.finish(ctx, s, now, &directory.Users{People: list}, r)
}

// remove takes the list in force away: as before the first one, names are those of
// usermatching.csv, else UPNs. It is always confirmed: that concerns everybody.
func (f *Function) remove(ctx context.Context, s Step, now storage.Now) (*Receipt, error) {
	if now.Users.Blob == "" {
		return nil, errNoList
	}
	had := now.Users.Count
	now, before, err := f.users(ctx, s.Tenant, now)
	if err != nil {
		return nil, err
	}
	if s.Confirm != had && !s.DryRun {
		return nil, &ShrinkError{Before: had, Removed: had, Whole: true}
	}
	r := &Receipt{Step: userlist.Step{Removed: len(before.People)}, before: before.People}
	return r, f.finish(ctx, s, now, nil, r)
}

// change makes changes in the list in force.
func (f *Function) change(ctx context.Context, s Step, now storage.Now, changes []userlist.Change) (*Receipt, error) {
	now, before, err := f.users(ctx, s.Tenant, now)
	if err != nil {
		return nil, err
	}
	if now.Users.Blob == "" {
		return nil, errNoList
	}
	list, effects, err := userlist.Apply(before.People, changes)
	if err != nil {
		return nil, err
	}
	r := &Receipt{
		Step: userlist.Between(before.People, list), Count: len(list), before: before.People,
		changes: append([]userlist.Change{}, changes...), effects: effects,
	}
	if r.Removed > 1 { // one is named on purpose, also on a short list
		if err := s.shrinks(len(before.People), r.Removed, len(list)); err != nil {
			return nil, err
		}
	}
	return r, f.finish(ctx, s, now, &directory.Users{People: list}, r)
}

// users reads the list in force, empty when there is none. One whose blob somebody
// removed, or that another version of the bridge wrote, is as good as none: the state
// that comes back has none, so that the next complete list can take its place.
func (f *Function) users(ctx context.Context, tenant string, now storage.Now) (storage.Now, *directory.Users, error) {
	if now.Users.Blob == "" {
		return now, &directory.Users{}, nil
	}
	users, err := f.Storage.Users(ctx, now.Users)
	if !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, directory.ErrForm) {
		return now, users, err
	}
	fresh, _, err := f.now(ctx, tenant)
	if err != nil {
		return now, nil, err
	}
	if fresh.Users.Blob != now.Users.Blob {
		return now, nil, ErrRace
	}
	now.Users.Blob = ""
	return now, &directory.Users{}, nil
}

// finish judges a list, nil for none, and stores it. It is judged first: what can't be
// answered is not stored either.
func (f *Function) finish(ctx context.Context, s Step, now storage.Now, users *directory.Users, r *Receipt) (err error) {
	r.judgement, err = f.compare(ctx, now, users, r)
	if errors.Is(err, storage.ErrNotFound) {
		// Something that the list is judged by was replaced this instant.
		fresh, _, err := f.now(ctx, s.Tenant)
		if err != nil {
			return err
		}
		if fresh.Users.Version != now.Users.Version {
			return ErrRace
		}
		now = fresh
		if r.judgement, err = f.compare(ctx, now, users, r); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if r.nobodyStays && s.Confirm != r.Count && !s.DryRun {
		return &ShrinkError{Before: r.tookPart, Removed: r.tookPart, Count: r.Count, First: true}
	}
	r.ETag = reply.TagOf(now.Users.Blob)
	if s.DryRun || r.same(now, users) {
		return nil
	}
	return f.store(ctx, s, now, users, r)
}

// same reports whether what is to be in force is in force.
func (r *Receipt) same(now storage.Now, users *directory.Users) bool {
	return r.None() && now.Users.Blob != "" && users != nil
}

func (f *Function) store(ctx context.Context, s Step, now storage.Now, users *directory.Users, r *Receipt) error {
	if !s.Machine {
		change := access.Change{Who: s.Who, What: "users of UCServer sent", At: f.Now()}
		if users == nil {
			change.What = "users of UCServer removed"
		}
		if err := f.Audit.Record(ctx, s.Tenant, change); err != nil {
			return err
		}
	}
	ref, err := f.put(ctx, s, now, users)
	if errors.Is(err, storage.ErrChanged) {
		return ErrRace
	}
	if err != nil {
		return err
	}
	r.ETag, r.Stored = reply.TagOf(ref.Blob), true
	return nil
}

func (f *Function) put(ctx context.Context, s Step, now storage.Now, users *directory.Users) (directory.UsersRef, error) {
	sent := directory.UsersRef{At: f.Now(), By: s.Who}
	if users == nil {
		return f.Storage.RemoveUsers(ctx, s.Tenant, now.Users, sent)
	}
	return f.Storage.PutUsers(ctx, s.Tenant, now.Users, users, sent)
}

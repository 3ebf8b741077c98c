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

// Step is a list, or changes to it, to be taken in.
type Step struct {
	Tenant string // the one in use when empty
	// Who sends it: an administrator, whose step is audited, or a machine's credential.
	Who     string
	Machine bool
	// Changes says that single changes are sent, not the complete list.
	Changes bool
	From    io.Reader
	// IfMatch and IfNoneMatch are conditions on the list in force, as in HTTP.
	IfMatch, IfNoneMatch string
	// Confirm is how many users the new list has, when it is meant to be so much
	// shorter; -1 when nothing is confirmed.
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
	before    []matching.User
	changes   []userlist.Change
	effects   []userlist.Effect
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

// ShrinkError says that a list would take away so many users that it has to be
// confirmed.
type ShrinkError struct{ Before, Removed, Count int }

func (e *ShrinkError) Error() string {
	return fmt.Sprintf("%d of %d users would go", e.Removed, e.Before)
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
	if !s.Changes {
		return f.replace(ctx, s, now)
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
	lost := userlist.Step{Removed: max(r.Removed, had-len(list))} // the least, where the list in force can't be read
	if lost.Shrinks(had) && s.Confirm != len(list) && !s.DryRun {
		return nil, &ShrinkError{had, lost.Removed, len(list)}
	}
	return r, f.finish(ctx, s, now, &directory.Users{People: list}, r)
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

// finish judges a list and stores it. It is judged first: what can't be answered
// is not stored either.
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
	r.ETag = reply.TagOf(now.Users.Blob)
	if s.DryRun || r.None() && now.Users.Blob != "" {
		return nil
	}
	return f.store(ctx, s, now, users, r)
}

func (f *Function) store(ctx context.Context, s Step, now storage.Now, users *directory.Users, r *Receipt) error {
	if !s.Machine {
		change := access.Change{Who: s.Who, What: "users of UCServer sent", At: f.Now()}
		if err := f.Audit.Record(ctx, s.Tenant, change); err != nil {
			return err
		}
	}
	ref, err := f.Storage.PutUsers(ctx, s.Tenant, now.Users, users, directory.UsersRef{At: f.Now(), By: s.Who})
	if errors.Is(err, storage.ErrChanged) {
		return ErrRace
	}
	if err != nil {
		return err
	}
	r.ETag, r.Stored = reply.TagOf(ref.Blob), true
	return nil
}

// compare judges a list, beside what is in force.
func (f *Function) compare(ctx context.Context, now storage.Now, users *directory.Users, r *Receipt) (userlist.Judgement, error) {
	if r.None() && now.Users.Blob != "" {
		return f.inForce(ctx, now, users)
	}
	j, err := f.judge(ctx, now, users)
	if err != nil || j.Report == nil {
		return j, err
	}
	var before *directory.Users // not known without a list
	if now.Users.Blob != "" {
		before = &directory.Users{People: r.before}
	}
	past, err := f.inForce(ctx, now, before)
	j.Before = past.Report
	return j, err
}

// judge says what the next sync will make of a list, nil for none.
func (f *Function) judge(ctx context.Context, now storage.Now, users *directory.Users) (userlist.Judgement, error) {
	j := userlist.Judgement{}
	if users != nil {
		j.Users = users.People
	}
	if now.Accounts.Blob == "" {
		return j, nil // Entra's side was not read yet
	}
	accounts, err := f.Storage.Accounts(ctx, now.Accounts)
	if err != nil {
		return j, err
	}
	var list matching.List
	if now.List.Blob != "" {
		file, err := f.Storage.List(ctx, now.List)
		if err != nil {
			return j, err
		}
		if list, err = matching.Parse(file); err != nil {
			return j, err
		}
	}
	reading, writing := now.Settings.TeamsToProCall, now.Settings.ProCallToTeams
	j.Directory, j.Report = directory.Compile(accounts, users, list, reading.Rules(), writing.Rules())
	return j, nil
}

// fingerprint names what the next sync makes the directory of.
func fingerprint(now storage.Now) string {
	reading, writing := now.Settings.TeamsToProCall, now.Settings.ProCallToTeams
	return directory.Fingerprint(now.Accounts, now.Users, now.List, string(reading), string(writing))
}

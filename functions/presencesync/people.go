package presencesync

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/graph"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/storage"
)

// readPause is the least time between two readings of all accounts by this
// function, which reads them only when there are none: directorysync keeps them.
const readPause = time.Minute

// know brings what is known about people up to date from storage, without asking
// Graph: an edit takes effect also while Graph can't be read. It makes a new
// directory when what the stored one was made of has changed since; the stored one
// serves until that has succeeded.
func (r *run) know(ctx context.Context) error {
	r.importNames(ctx)
	ref, inputs := r.now.Directory, r.inputs()
	if ref.Blob != "" && ref.Blob != r.loaded {
		d, err := r.People.Directory(ctx, ref)
		switch {
		case err == nil:
			r.use(d, ref)
		case !gone(err):
			return err
		}
	}
	// One that somebody removed, or that is another version's, can be made again.
	if ref.Blob != "" && ref.Blob == r.loaded && ref.Inputs == inputs {
		r.awaited = awaited{}
		return nil
	}
	if r.now.Accounts.Blob == "" {
		return nil
	}
	if r.awaited.inputs == inputs && r.start.Sub(r.awaited.since) < groupsAwaited {
		return errAwaited
	}
	return r.compile(ctx, inputs)
}

// gone reports that a blob is not there, or is another version's.
func gone(err error) bool {
	return errors.Is(err, storage.ErrNotFound) || errors.Is(err, directory.ErrForm)
}

func (r *run) inputs() string {
	return directory.Fingerprint(r.now.Accounts, r.now.Users, r.now.List, string(r.settings.TeamsToProCall), string(r.settings.ProCallToTeams))
}

// compile makes the directory of what is stored now.
func (r *run) compile(ctx context.Context, inputs string) error {
	accounts, err := r.accounts(ctx)
	if err != nil {
		return err
	}
	var users *directory.Users
	if r.now.Users.Blob != "" {
		if users, err = r.Storage.Users(ctx, r.now.Users); err != nil {
			return fmt.Errorf("users of UCServer: %w", err)
		}
	}
	list, err := r.list(ctx)
	if err != nil {
		return err
	}
	d, report := directory.Compile(accounts, users, list, r.settings.TeamsToProCall.Rules(), r.settings.ProCallToTeams.Rules())
	if r.awaits(d, inputs) {
		return errAwaited
	}
	ref, err := r.Storage.PutDirectory(ctx, r.tenant.id, r.now.Directory, d, report, directory.Ref{At: r.Now(), Inputs: inputs})
	if errors.Is(err, storage.ErrChanged) {
		return errFaster
	}
	if err != nil {
		return err
	}
	r.now.Directory, r.awaited = ref, awaited{}
	kept := d.Clone()
	r.People.Keep(ref, kept)
	r.use(kept, ref)
	// What it was made of can be many times what stays, and the next edit may be far.
	debug.FreeOSMemory()
	r.log.Info("who takes part is known anew", "accounts", ref.Users, "read", len(r.people), "unmatched", ref.Unmatched, "ambiguous", ref.Ambiguous)
	return nil
}

// errFaster says that another process made the directory, or what it is made of,
// meanwhile: the next run finds it.
var errFaster = errors.New("another process is making the directory")

// accounts are those in force. They are lost when the row still points at a blob that
// is not there.
func (r *run) accounts(ctx context.Context) (*directory.Accounts, error) {
	accounts, err := r.Storage.Accounts(ctx, r.now.Accounts)
	if errors.Is(err, storage.ErrNotFound) {
		if fresh, failed := r.Storage.Now(ctx, r.tenant.id); failed == nil && fresh.Accounts.Blob != r.now.Accounts.Blob {
			return nil, errFaster
		}
	}
	r.accountsLost = err != nil && gone(err)
	if err != nil {
		return nil, fmt.Errorf("accounts of the tenant: %w", err)
	}
	return accounts, nil
}

// groupsAwaited is how long an edit waits for the members of an Entra group that
// nobody has read yet; directorysync reads them within a minute.
const groupsAwaited = 2 * time.Minute

// awaited is what waits for that.
type awaited struct {
	rules, inputs string
	since         time.Time
}

// errAwaited says that what was known before serves until the members of a group
// were read.
var errAwaited = errors.New("the members of a group are not known yet")

// awaits reports whether somebody who takes part would leave only because the members
// of an Entra group were not read yet: an exclusion of a few would remove everybody,
// end their calls, and bring them back a minute later. A group that can't be read
// holds an edit up no longer than [groupsAwaited].
func (r *run) awaits(d *directory.Directory, inputs string) bool {
	rules := string(r.settings.TeamsToProCall) + "\x00" + string(r.settings.ProCallToTeams)
	if r.directory == nil || !leavesUnread(r.directory, d) {
		return false
	}
	if r.awaited.rules != rules {
		r.awaited = awaited{rules: rules, since: r.start}
		r.log.Info("an edit waits for the members of a group")
	}
	r.awaited.inputs = inputs
	return r.start.Sub(r.awaited.since) < groupsAwaited
}

func leavesUnread(before, after *directory.Directory) bool {
	unread := func(d *participation.Decision) bool {
		return d != nil && !d.TakesPart && d.Unknown && uuid.Validate(d.By) == nil
	}
	for i := range after.People {
		person := &after.People[i]
		if !unread(person.Reading) && !unread(person.Writing) {
			continue
		}
		old, _ := before.Find(person.ID)
		if old.Reads && unread(person.Reading) || old.Writes && unread(person.Writing) {
			return true
		}
	}
	return false
}

// list is usermatching.csv, which was accepted when it came.
func (r *run) list(ctx context.Context) (matching.List, error) {
	if r.now.List.Blob == "" {
		return matching.List{}, nil
	}
	file, err := r.Storage.List(ctx, r.now.List)
	if err != nil {
		return matching.List{}, fmt.Errorf("usermatching.csv: %w", err)
	}
	return matching.Parse(file)
}

func (r *run) use(d *directory.Directory, ref directory.Ref) {
	r.adoptDirectory(d, ref.Blob)
}

// ensureAccounts reads the accounts when none were read yet, so that nobody waits
// for directorysync after a consent: also when the one before could not tell guests
// and disabled accounts apart and one that works now can.
func (r *run) ensureAccounts(ctx context.Context) *failure {
	missing := r.now.Accounts.Blob == "" || r.accountsLost
	if !missing && (!r.now.Accounts.Basic || r.start.Before(r.nextRead)) {
		return nil
	}
	err := r.readAccounts(ctx, missing)
	if err == nil {
		err = r.know(ctx)
	}
	switch {
	case err == nil, errors.Is(err, errNoBetter), errors.Is(err, storage.ErrChanged), errors.Is(err, errFaster), errors.Is(err, errAwaited):
		return nil
	case r.directory != nil:
		r.log.Warn("accounts not read; those before stay in use", "error", err.Error())
		return nil
	}
	if pause, ok := errors.AsType[*graph.ThrottledError](err); ok {
		r.pauseFor(ctx, pause.RetryAfter)
	}
	failure := failed(err)
	_, reads := consent.Carrier(r.now.Grants, consent.Reading)
	switch {
	case failure.code == refused:
		failure.next = "the app registration needs User.Read.All (application), or a user consent"
	case failure.code == authorizationRequired && reads:
		failure.code = directoryForbidden
	}
	return failure
}

// errNoBetter says that nobody can tell more about accounts than is known.
var errNoBetter = errors.New("no consent tells more about accounts")

// readAccounts reads all accounts from Graph and stores them; unless they are missing,
// only if more is told about them than before. A token that Graph does not take at all
// is replaced by another one.
func (r *run) readAccounts(ctx context.Context, missing bool) (err error) {
	for range maxTokens {
		token, failed := r.Tokens.DirectoryToken(ctx, r.tenant.id, r.now.Grants)
		if !missing && (failed != nil || token.Kind == consent.User) {
			return errNoBetter
		}
		if failed != nil {
			return &tokenError{failed}
		}
		if err = r.readAccountsBy(ctx, token); !unauthorized(err) {
			return err
		}
		r.tell(ctx, token, http.StatusUnauthorized)
	}
	return err
}

// readAccountsBy is [run.readAccounts] with one token. What changes afterwards is
// directorysync's to find out.
func (r *run) readAccountsBy(ctx context.Context, token consent.Token) error {
	r.nextRead = r.start.Add(readPause)
	detail := graph.Matching
	if token.Kind == consent.User {
		detail = graph.MatchingBasic
	}
	at := r.Now()
	// Taken before the list, so that directorysync follows from here without reading
	// everybody once more.
	link, err := r.Graph.UsersLink(ctx, token.Value, detail)
	if err != nil {
		r.log.Info("changes of accounts are not followed from here", "error", err.Error())
	}
	var people []matching.Account
	for account, err := range r.Graph.Users(ctx, token.Value, detail) {
		if err != nil {
			if pause, ok := errors.AsType[*graph.ThrottledError](err); ok {
				r.nextRead = r.Now().Add(max(pause.RetryAfter, readPause))
			}
			return err
		}
		people = append(people, account)
	}
	if len(people) == 0 && r.directory != nil && len(r.directory.People) > 0 {
		// Somebody gave the consent. Believing it would remove everybody.
		return fmt.Errorf("read users: %w", &graph.FormError{What: "it lists nobody"})
	}
	accounts, read := directory.NewAccounts(people, nil), directory.AccountsRef{At: at.UTC(), Basic: detail == graph.MatchingBasic, Link: link, Swept: r.now.Accounts.Swept}
	if before, err := r.Storage.Accounts(ctx, r.now.Accounts); err == nil { // who is in groups stays known
		accounts.Groups, read.GroupsAt, read.GroupsOf, read.Absent = before.Groups, r.now.Accounts.GroupsAt, r.now.Accounts.GroupsOf, r.now.Accounts.Absent
	}
	ref, err := r.Storage.PutAccounts(ctx, r.tenant.id, r.now.Accounts, accounts, read)
	if err != nil {
		return err
	}
	r.now.Accounts, r.accountsLost, r.nextRead = ref, false, time.Time{}
	r.log.Info("accounts read", "accounts", ref.Count, "basic", ref.Basic)
	return nil
}

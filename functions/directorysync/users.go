package directorysync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/graph"
	"procallteams/internal/matching"
	"procallteams/internal/presence"
)

// users reads what changed of the accounts, or everybody.
func (r *run) users(ctx, asking context.Context) error {
	basic := r.token.Kind == consent.User
	switch {
	case basic && !r.ref.Basic && r.ref.Blob != "" && r.start.Sub(r.ref.At) < downgradeAfter:
		return nil // the admin consent may be back in a minute
	case r.ref.Blob == "" || r.ref.Link == "" || r.ref.Basic != basic:
		return r.readAll(ctx, asking, basic)
	}
	err := r.follow(ctx, asking, basic)
	if _, lost := errors.AsType[*graph.ResyncError](err); lost || gone(err) {
		r.log.Info("accounts are read from the start", "reason", err.Error())
		r.next.Link = ""
		return r.readAll(ctx, asking, basic)
	}
	return err
}

// follow takes in what changed since the link that was kept. What came before Graph
// broke off, or before time was up, counts.
func (r *run) follow(ctx, asking context.Context, basic bool) error {
	var work working
	for page, err := range r.Graph.UsersDelta(asking, r.token.Value, r.ref.Link, detailOf(basic)) {
		if err != nil {
			return errors.Join(err, r.takeIn(&work))
		}
		if len(page.Changes) > 0 && work.base == nil {
			if work.base, err = r.accounts(ctx); err != nil {
				return err
			}
		}
		r.pages++
		work.apply(page.Changes)
		r.next.Link = page.Link
		if page.Complete {
			r.next.At = r.start.UTC()
		}
	}
	return r.takeIn(&work)
}

// takeIn makes the accounts that were worked on those to be stored.
func (r *run) takeIn(work *working) error {
	if len(work.touched) == 0 {
		return nil
	}
	accounts := work.accounts()
	if len(accounts.People) == 0 {
		// Somebody gave the consent. Believing it would remove everybody.
		r.next.Link, r.next.At = r.ref.Link, r.ref.At
		return errNobody
	}
	r.fresh = accounts
	return nil
}

var errNobody = fmt.Errorf("read users: %w", &graph.FormError{What: "nobody is left in the directory"})

func detailOf(basic bool) graph.Detail {
	if basic {
		return graph.MatchingBasic
	}
	return graph.Matching
}

// readAll reads everybody, going on with the draft if there is one.
func (r *run) readAll(ctx, asking context.Context, basic bool) error {
	work := working{}
	var err error
	if work.base, err = r.draft(ctx, basic); err != nil {
		return err
	}
	draft, saved := r.next.Draft, r.start
	for page, err := range r.Graph.UsersDelta(asking, r.token.Value, draft.Link, detailOf(basic)) {
		if err != nil {
			return r.breakOff(ctx, &work, draft, err)
		}
		r.pages++
		work.apply(page.Changes)
		draft.Link = page.Link
		if page.Complete {
			return r.complete(ctx, work.accounts(), draft)
		}
		if now := r.Now(); now.Sub(saved) >= draftEvery {
			saved = now
			if err := r.saveDraft(ctx, &work, draft); err != nil {
				return err
			}
		}
	}
	return nil
}

// draft is what was read so far; nobody, when there is nothing to go on with.
func (r *run) draft(ctx context.Context, basic bool) (*directory.Accounts, error) {
	if d := r.ref.Draft; d.Link != "" && d.Basic == basic {
		accounts, err := r.Storage.Draft(ctx, r.ref)
		if err == nil {
			return accounts, nil
		}
		if !gone(err) {
			return nil, stored("read the draft", err)
		}
	}
	r.next.Draft = directory.Draft{Began: r.start.UTC(), Basic: basic}
	return &directory.Accounts{}, nil
}

// breakOff keeps what was read so far; the next run goes on. A link that Graph does
// not accept any more makes it begin anew.
func (r *run) breakOff(ctx context.Context, work *working, draft directory.Draft, failure error) error {
	if _, lost := errors.AsType[*graph.ResyncError](failure); lost {
		r.next.Draft = directory.Draft{}
		return failure
	}
	if err := r.saveDraft(ctx, work, draft); err != nil {
		return err
	}
	return failure
}

func (r *run) saveDraft(ctx context.Context, work *working, draft directory.Draft) error {
	if draft.Link == r.ref.Draft.Link {
		r.next.Draft = r.ref.Draft // nothing came
		return nil
	}
	next := r.next
	next.Draft = draft
	ref, err := r.Storage.PutDraft(ctx, r.tenant, r.ref, work.settle(), next)
	if err != nil {
		return stored("store the draft", err)
	}
	r.ref, r.next = ref, ref
	return nil
}

// complete makes a whole reading the accounts to be stored.
func (r *run) complete(ctx context.Context, accounts *directory.Accounts, draft directory.Draft) error {
	before, err := r.accounts(ctx)
	if err != nil && !gone(err) {
		return err
	}
	lost := err != nil || r.ref.Blob == ""
	if lost {
		before = &directory.Accounts{}
	}
	if len(accounts.People) == 0 && len(before.People) > 0 {
		r.next.Draft = directory.Draft{}
		return errNobody
	}
	if draft.Basic {
		accounts = withDetails(accounts, before)
	}
	accounts = &directory.Accounts{People: accounts.People, Groups: before.Groups}
	r.next.At, r.next.Basic, r.next.Link, r.next.Draft = draft.Began, draft.Basic, draft.Link, directory.Draft{}
	if lost {
		r.next.GroupsOf = ""
	}
	if lost || !before.Equal(accounts) {
		r.fresh = accounts
	}
	return nil
}

// withDetails fills in what a person's consent does not tell from what was known
// before: matching would lose people without it.
func withDetails(accounts, before *directory.Accounts) *directory.Accounts {
	people := slices.Clone(accounts.People)
	for i := range people {
		if known, ok := before.Find(people[i].ID); ok {
			known.UPN, known.Mail = people[i].UPN, people[i].Mail
			people[i] = known
		}
	}
	return &directory.Accounts{People: people, Groups: accounts.Groups}
}

// working are accounts, and what has changed of them since.
type working struct {
	base    *directory.Accounts
	touched map[presence.UserID]*matching.Account // nil for who left
}

func (w *working) apply(changes []graph.UserChange) {
	if w.touched == nil {
		w.touched = map[presence.UserID]*matching.Account{}
	}
	for _, c := range changes {
		account, known := w.find(c.ID)
		if c.Removed != graph.Stays {
			if known {
				w.touched[c.ID] = nil
			}
			continue
		}
		account.ID = c.ID
		if c.MergeInto(&account) || !known {
			w.touched[c.ID] = &account
		}
	}
}

func (w *working) find(id presence.UserID) (matching.Account, bool) {
	if account, ok := w.touched[id]; ok {
		if account == nil {
			return matching.Account{}, false
		}
		return *account, true
	}
	return w.base.Find(id)
}

// accounts are the base with what changed.
func (w *working) accounts() *directory.Accounts {
	people := make([]matching.Account, 0, len(w.base.People)+len(w.touched))
	for i := range w.base.People {
		if _, touched := w.touched[w.base.People[i].ID]; !touched {
			people = append(people, w.base.People[i])
		}
	}
	for _, account := range w.touched {
		if account != nil && account.UPN != "" {
			people = append(people, *account)
		}
	}
	slices.SortFunc(people, func(a, b matching.Account) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return &directory.Accounts{People: people, Groups: w.base.Groups}
}

// settle makes what changed part of the base.
func (w *working) settle() *directory.Accounts {
	w.base, w.touched = w.accounts(), nil
	return w.base
}

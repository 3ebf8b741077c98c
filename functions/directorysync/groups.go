package directorysync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/graph"
	"procallteams/internal/presence"
)

// groups reads who is in the Entra groups that the rules name: those that are not
// known yet, and every ten minutes all of them. One that can't be read keeps the
// members that it had, and so does one that is missing, until it counts as deleted.
func (r *run) groups(ctx, asking context.Context) error {
	ids := r.settings.EntraGroups()
	set, due := setOf(ids), len(ids) > 0 && r.start.Sub(r.ref.GroupsAt) >= groupsEvery
	if r.next.GroupsOf == set && !due || r.ref.Blob == "" && r.fresh == nil {
		return nil // nothing is to be read, or there is nobody yet
	}
	if len(ids) > 0 {
		token, err := r.Tokens.GroupsToken(asking, r.tenant, r.now.Grants)
		if _, missing := errors.AsType[*consent.RequiredError](err); missing && r.token.Kind == consent.User {
			if r.next.GroupsOf == set {
				return nil // the admin consent may come back
			}
			return fmt.Errorf("%w: %w", errPerson, err)
		}
		if err != nil {
			return err
		}
		r.token = token
	}
	before, err := r.accounts(ctx)
	if gone(err) {
		return nil // the accounts are read anew by the next run
	}
	if err != nil {
		return err
	}
	groups, failure := r.members(asking, ids, before.Groups, due)
	r.next.GroupsOf = ""
	if len(groups) == len(ids) {
		r.next.GroupsOf = set
	}
	if due && (failure == nil || !stops(asking, failure)) {
		r.next.GroupsAt = r.start.UTC()
	}
	if !maps.EqualFunc(groups, before.Groups, directory.Members.Equal) {
		r.fresh = &directory.Accounts{People: before.People, Groups: groups}
	}
	r.next.Absent = directory.AbsentOf(groups)
	return failure
}

// errPerson says why groups are not read.
var errPerson = errors.New("who is in the Entra groups of the rules can only be read with the admin consent")

// stops reports whether it is of no use to ask for another group now.
func stops(asking context.Context, failure error) bool {
	_, throttled := errors.AsType[*graph.ThrottledError](failure)
	refusal, ok := errors.AsType[*graph.Error](failure)
	return throttled || ok && refusal.Refused() || asking.Err() != nil
}

// setOf tells sets of ids apart; empty for none.
func setOf(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(ids, " ")))
	return hex.EncodeToString(sum[:8])
}

// members reads groups, all or those that are not known; the last failure is
// returned.
func (r *run) members(asking context.Context, ids []string, before map[string]directory.Members, all bool) (map[string]directory.Members, error) {
	groups := make(map[string]directory.Members, len(ids))
	var failure error
	for _, id := range ids {
		known, ok := before[id]
		if ok {
			groups[id] = known
		}
		if ok && !all || failure != nil && stops(asking, failure) {
			continue
		}
		group, err := r.group(asking, id)
		_, missing := errors.AsType[*graph.NoGroupError](err)
		switch {
		case missing, err == nil && comesBack(known, group):
			groups[id] = r.missing(known, ok)
			r.tellMissing(id, known, groups[id])
		case err != nil:
			failure = err
		default:
			groups[id] = group
		}
	}
	return groups, failure
}

// comesBack reports whether a group that was missing was found without the members that
// it had: those of one that was restored come a while after it.
func comesBack(known, found directory.Members) bool {
	return !known.Missing.IsZero() && !known.Deleted && len(known.Accounts) > 0 && len(found.Accounts) == 0
}

// missing is what counts of a group that Entra does not have: what was known of it, for
// a day. One that was never known has no members.
func (r *run) missing(known directory.Members, ok bool) directory.Members {
	if known.Missing.IsZero() {
		known.Missing = r.start.UTC().Truncate(time.Minute)
	}
	known.Deleted = known.Deleted || !ok || r.start.Sub(known.Missing) >= directory.GoneAfter
	return known
}

// tellMissing logs what became of a group, once.
func (r *run) tellMissing(id string, before, after directory.Members) {
	switch {
	case after.Deleted && !before.Deleted:
		r.log.Warn("group does not exist", "group", id, "since", after.Missing)
	case before.Missing.IsZero() && !after.Deleted:
		r.log.Warn("group is missing; who was in it stays for now", "group", id)
	}
}

// group reads one group.
func (r *run) group(asking context.Context, id string) (directory.Members, error) {
	group, err := r.Graph.Group(asking, r.token.Value, id)
	var members []presence.UserID
	if err == nil {
		for user, failed := range r.Graph.GroupMembers(asking, r.token.Value, id) {
			if err = failed; err != nil {
				break
			}
			members = append(members, user)
		}
	}
	if err != nil {
		return directory.Members{}, err
	}
	slices.Sort(members)
	return directory.Members{Name: group.Name, Accounts: slices.Compact(members)}, nil
}

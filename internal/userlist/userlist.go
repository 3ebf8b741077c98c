// Package userlist reads what UCServer's connector, or an administrator, sends
// about UCServer's users, and says of each what became of it.
//
// What is sent is text in lines, a JSON object on each (NDJSON): [Read] reads a
// complete list, [ReadChanges] single changes, which [Apply] makes in a list. The
// last line counts the others, so that what was cut off is never taken for a
// shorter list. One line that can't be used refuses everything ([FaultsError]), with
// its number and what to do: a list is in force as a whole, or not at all.
//
// [Judgement] says of a user who takes part in which direction and by which rule,
// or why not. No I/O but the reader's and the writer's.
package userlist

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"procallteams/internal/matching"
	"procallteams/internal/problem"
)

// Limits of a list, part of the contract.
const (
	MaxUsers = 200_000
	// MaxGroups is for one user, MaxMemberships for all of them together.
	MaxGroups      = 1000
	MaxMemberships = 4_000_000
	// MaxText is in characters, and so is MaxID.
	MaxText = 255
	MaxID   = 128
	// MaxLine is in bytes.
	MaxLine = 1 << 20
)

// maxFaults is how many faults are told; all are counted.
const maxFaults = 100

// FaultsError refuses what was sent.
type FaultsError struct {
	Faults []problem.Fault // the first 100
	Count  int             // of all
}

func (e *FaultsError) Error() string {
	return fmt.Sprintf("%d lines can't be used; the first: line %d: %s", e.Count, e.Faults[0].Line, e.Faults[0].Text)
}

// LimitError refuses what is larger than the contract allows.
type LimitError struct{ What string }

func (e *LimitError) Error() string { return "there are more than " + e.What }

// Change is one change to a list: a user that is new or different, or, with Remove,
// the id of one that is gone.
type Change struct {
	Line   int
	Remove bool
	User   matching.User
}

// Effect says what became of a change.
type Effect string

// Effects of changes.
const (
	Added     Effect = "added"
	Changed   Effect = "changed"
	Removed   Effect = "removed"
	Unchanged Effect = "unchanged" // it was like that already
)

// Apply makes changes in a list, in their order, and says what became of each. The
// list is in the order of ids and stays as it is; the result is in that order too.
// The same changes applied again are all [Unchanged].
func Apply(list []matching.User, changes []Change) ([]matching.User, []Effect, error) {
	touched, effects := map[string]*Change{}, make([]Effect, len(changes))
	for i := range changes {
		c := &changes[i]
		var before *matching.User
		if earlier, ok := touched[c.User.ID]; !ok {
			before = Find(list, c.User.ID)
		} else if !earlier.Remove {
			before = &earlier.User
		}
		effects[i] = effectOf(before, c)
		touched[c.User.ID] = c
	}
	next := make([]matching.User, 0, len(list)+len(touched))
	for _, u := range list {
		if touched[u.ID] == nil {
			next = append(next, u)
		}
	}
	for _, c := range touched {
		if !c.Remove {
			next = append(next, c.User)
		}
	}
	sortByID(next)
	return next, effects, checkWhole(next, touched)
}

func effectOf(before *matching.User, c *Change) Effect {
	switch {
	case before == nil && c.Remove, before != nil && !c.Remove && Same(*before, c.User):
		return Unchanged
	case c.Remove:
		return Removed
	case before == nil:
		return Added
	}
	return Changed
}

// checkWhole looks at what the changes made of a list.
func checkWhole(next []matching.User, touched map[string]*Change) error {
	if len(next) > MaxUsers {
		return &LimitError{fmt.Sprintf("%d users", MaxUsers)}
	}
	var f faults
	owners := make(map[string]string, len(next))
	memberships := 0
	for _, u := range next {
		memberships += len(u.Groups)
		other, taken := owners[u.Name]
		if owners[u.Name] = u.ID; !taken {
			continue
		}
		line := 0
		for _, id := range []string{other, u.ID} {
			if c := touched[id]; c != nil {
				line = max(line, c.Line)
			}
		}
		f.add(line, 0, "name: another user has it", "give each user a name of its own; remove who is gone, or change both in one request")
	}
	if memberships > MaxMemberships {
		return &LimitError{fmt.Sprintf("%d memberships in groups", MaxMemberships)}
	}
	return f.err()
}

// Find returns the user with an id from a list in the order of ids, nil for none.
func Find(list []matching.User, id string) *matching.User {
	i, ok := sort.Find(len(list), func(i int) int { return strings.Compare(id, list[i].ID) })
	if !ok {
		return nil
	}
	return &list[i]
}

// Same reports whether two say the same about a user.
func Same(a, b matching.User) bool {
	return slices.Equal(a.Groups, b.Groups) && a.ID == b.ID && a.Name == b.Name && a.UPN == b.UPN && a.SAM == b.SAM &&
		a.ObjectGUID == b.ObjectGUID && a.ObjectSID == b.ObjectSID && a.Mail == b.Mail && a.SIP == b.SIP
}

// Step counts what lies between two lists.
type Step struct{ Added, Changed, Removed int }

// Between compares two lists in the order of ids.
func Between(before, after []matching.User) Step {
	var s Step
	for len(before) > 0 && len(after) > 0 {
		switch order := strings.Compare(before[0].ID, after[0].ID); {
		case order < 0:
			s.Removed++
			before = before[1:]
		case order > 0:
			s.Added++
			after = after[1:]
		default:
			if !Same(before[0], after[0]) {
				s.Changed++
			}
			before, after = before[1:], after[1:]
		}
	}
	s.Removed += len(before)
	s.Added += len(after)
	return s
}

// Shrinks reports whether a step takes away more than a fifth of a list of n users:
// rather a mistake than a day's leavers.
func (s Step) Shrinks(n int) bool { return 5*s.Removed > n }

// None reports whether the lists are the same.
func (s Step) None() bool { return s == Step{} }

func sortByID(list []matching.User) {
	slices.SortFunc(list, func(a, b matching.User) int { return strings.Compare(a.ID, b.ID) })
}

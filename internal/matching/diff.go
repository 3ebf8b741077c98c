package matching

import "strings"

// Effect is what a change does to one account or user.
type Effect uint8

// Effects.
const (
	Gained Effect = iota + 1 // was not matched, will be
	Lost                     // was matched, won't be
	Moved                    // will be matched with somebody else
)

var effects = [...]string{"", "gained", "lost", "moved"}

// String returns the stable code of the effect.
func (e Effect) String() string { return effects[e] }

// Change is what would change for one account or user. Before or After is the zero
// Verdict where the list does not have the person.
type Change struct {
	ID            string
	Effect        Effect
	Before, After Verdict
}

// Changes are in the order of ids.
type Changes struct{ Accounts, Users []Change }

// Diff returns what the step from one result to another would change: who gets
// matched, who no longer is, who is matched with somebody else. The verdict after
// says why. Who is matched with the same person by another rule, or is unmatched
// for another reason, is no change.
func Diff(before, after Result) Changes {
	return Changes{diff(before.Accounts, after.Accounts), diff(before.Users, after.Users)}
}

// diff walks along two lists in the order of ids.
func diff(before, after []Verdict) []Change {
	var changes []Change
	for len(before) > 0 || len(after) > 0 {
		var c Change
		switch order := first(before, after); {
		case order < 0:
			c.Before, before = before[0], before[1:]
		case order > 0:
			c.After, after = after[0], after[1:]
		default:
			c.Before, before = before[0], before[1:]
			c.After, after = after[0], after[1:]
		}
		if c.Effect = effect(c.Before, c.After); c.Effect != 0 {
			c.ID = c.Before.ID
			if c.ID == "" {
				c.ID = c.After.ID
			}
			changes = append(changes, c)
		}
	}
	return changes
}

// first compares the heads of two lists; the end of a list comes after all.
func first(before, after []Verdict) int {
	switch {
	case len(after) == 0:
		return -1
	case len(before) == 0:
		return 1
	}
	return strings.Compare(before[0].ID, after[0].ID)
}

func effect(before, after Verdict) Effect {
	was, is := before.Outcome == Matched, after.Outcome == Matched
	switch {
	case was && !is:
		return Lost
	case !was && is:
		return Gained
	case was && !samePartner(before, after):
		return Moved
	}
	return 0
}

// samePartner compares by id where both have one: names may change. Without a list
// of UCServer's users there are only names.
func samePartner(before, after Verdict) bool {
	if before.Partner != "" && after.Partner != "" {
		return before.Partner == after.Partner
	}
	return before.Name == after.Name
}

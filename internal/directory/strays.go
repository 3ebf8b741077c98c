package directory

import (
	"slices"
	"strings"

	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

// Stray is an entry of the rules of participation that concerns nobody now. It is no
// fault: whom it means may come later.
type Stray struct {
	// List is the entry's list, as [participation.Rules] names it in JSON.
	List string
	// Entry is the person or the group as the rules give it.
	Entry string
	Why   Why
	// Near is what may be meant instead; the zero one when nothing resembles it.
	Near Resemblance
}

// Why says how an entry comes to concern nobody.
type Why int

// Reasons. In the last two it can't be told who is concerned: what such an entry
// does then is said in the documentation of package participation.
const (
	NoPerson     Why = iota + 1 // nobody has this id or name
	PersonAlone                 // somebody has it who was not matched
	NoGroup                     // no user of UCServer is in such a group
	GroupDeleted                // Entra has no such group
	GroupAlone                  // nobody in the group was matched
	GroupUnread                 // who is in the Entra group was not read yet
	UsersUnknown                // UCServer's users, and so its groups, are not known
)

// Roster is everybody whom rules may name. Users is nil while UCServer's users are
// not known.
type Roster struct {
	Directory *Directory
	Accounts  *Accounts
	Users     *Users
}

// Strays returns the entries of rules that concern nobody, list by list in the order
// of the rules. It looks at everybody: for pages, not for every sync.
func (r Roster) Strays(rules participation.Rules) []Stray {
	people, groups := r.people(rules), r.groups(rules)
	var strays []Stray
	note := func(list, entry string, why Why) {
		if why != 0 {
			strays = append(strays, Stray{List: list, Entry: entry, Why: why})
		}
	}
	named := func(list string, entries []string) {
		for _, entry := range entries {
			note(list, entry, people[participation.Compared(entry)])
		}
	}
	grouped := func(list string, entries []participation.Group) {
		for _, g := range entries {
			note(list, g.ID, r.groupWhy(g, groups))
		}
	}
	grouped("groups", rules.Groups)
	named("users", rules.Users)
	grouped("excludedGroups", rules.ExcludedGroups)
	named("excludedUsers", rules.ExcludedUsers)
	grouped("pilot", rules.Pilot)
	r.resemble(strays)
	return strays
}

// people says of every person that the rules name why nobody is concerned; 0 when
// somebody is.
func (r Roster) people(rules participation.Rules) map[string]Why {
	why := map[string]Why{}
	for _, list := range [][]string{rules.Users, rules.ExcludedUsers} {
		for _, entry := range list {
			why[participation.Compared(entry)] = NoPerson
		}
	}
	if len(why) == 0 {
		return why
	}
	found := func(name string, is Why) {
		name = participation.Folded(name)
		if before := why[name]; before != 0 { // asked for, and nobody concerned yet
			why[name] = is
		}
	}
	if r.Users != nil {
		for i := range r.Users.People {
			u := &r.Users.People[i]
			found(u.ID, PersonAlone)
			found(u.Name, PersonAlone)
		}
	}
	for i := range r.Directory.People {
		p := &r.Directory.People[i]
		if p.Reading == nil {
			found(string(p.ID), PersonAlone)
			found(p.UPN, PersonAlone)
			continue
		}
		for _, name := range []string{string(p.ID), p.UCID, p.UPN, p.Name} {
			found(name, 0)
		}
	}
	return why
}

// groups says of every group of UCServer, in lower case, whether somebody in it was
// matched. It is empty when the rules name none.
func (r Roster) groups(rules participation.Rules) map[string]bool {
	groups := map[string]bool{}
	isUCServers := func(g participation.Group) bool { return g.Source == participation.UCServer }
	if r.Users == nil || !slices.ContainsFunc(slices.Concat(rules.Groups, rules.ExcludedGroups, rules.Pilot), isUCServers) {
		return groups
	}
	for i := range r.Users.People {
		for _, group := range r.Users.People[i].Groups {
			groups[participation.Folded(group)] = false
		}
	}
	for i := range r.Directory.People {
		p := &r.Directory.People[i]
		if p.Reading == nil {
			continue
		}
		if user, ok := r.Users.Find(p.UCID); ok {
			for _, group := range user.Groups {
				groups[participation.Folded(group)] = true
			}
		}
	}
	return groups
}

func (r Roster) groupWhy(g participation.Group, ucserver map[string]bool) Why {
	if g.Source == participation.UCServer {
		matched, known := ucserver[participation.Folded(g.ID)]
		switch {
		case r.Users == nil:
			return UsersUnknown
		case !known:
			return NoGroup
		case !matched:
			return GroupAlone
		}
		return 0
	}
	members, known := r.Accounts.Groups[strings.ToLower(g.ID)]
	switch {
	case !known:
		return GroupUnread
	case members.Deleted:
		return GroupDeleted
	case !slices.ContainsFunc(members.Accounts, r.matched):
		return GroupAlone
	}
	return 0
}

func (r Roster) matched(id presence.UserID) bool {
	p, ok := r.Directory.Find(id)
	return ok && p.Reading != nil
}

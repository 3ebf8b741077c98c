// Package participation says for whom a direction is switched on, and which rule
// decided. The default is nobody.
//
// The rules of one direction are asked in this order; the first that concerns the
// person decides:
//
//	rule           concerns                                        takes part
//	excludedUser   who is excluded by name                         no
//	excludedGroup  who is in an excluded group                     no
//	pilot          everybody, while there is a pilot group         its members, nobody else
//	user           who is named                                    yes
//	group          who is in a group that is named                 yes
//	everyone       everybody, when it is set                       yes
//	nobody         everybody                                       no
//
// So an exclusion always wins, also against the person's own name and the pilot;
// and a pilot stands in for users, groups and everyone, which may be prepared
// meanwhile and take effect when the pilot ends.
//
// Groups are UCServer's, by name without regard to case and to blanks at its ends, or
// Entra's, by object id. People are named in the same way, or by an id.
// Who is in a group is the caller's to find out, through nested groups as well. A
// group whose members are not known admits nobody and, where it excludes, excludes
// everybody: who is in it can't be told. That is for a group that could not be
// read, and for UCServer's groups while its users are not known. A group that was
// deleted is known: it admits nobody. No I/O.
package participation

import (
	"strings"

	"github.com/google/uuid"

	"procallteams/internal/presence"
)

// Person is somebody who was matched.
type Person struct {
	Account presence.UserID
	// User is the connector's stable id. It is empty while UCServer's users, and so
	// Groups, are not known.
	User string
	// UPN and Name (in UCServer) are names that rules may use in the place of an id.
	UPN, Name string
	// Groups are the names of the UCServer groups the user is in.
	Groups []string
}

// Source says whose group it is.
type Source string

// Sources.
const (
	UCServer Source = "ucserver"
	Entra    Source = "entra"
)

// Group is a UCServer group by its name, or an Entra group by its object id.
type Group struct {
	Source Source `json:"source"`
	ID     string `json:"id"`
}

// Rules are those of one direction. The zero Rules let nobody take part.
type Rules struct {
	Everyone bool    `json:"everyone"`
	Groups   []Group `json:"groups,omitempty"`
	// Users and ExcludedUsers are object ids of accounts, in any case, or stable ids of
	// UCServer's users.
	Users          []string `json:"users,omitempty"`
	ExcludedGroups []Group  `json:"excludedGroups,omitempty"`
	ExcludedUsers  []string `json:"excludedUsers,omitempty"`
	// Pilot groups limit the direction to their members while there are any.
	Pilot []Group `json:"pilot,omitempty"`
}

// Rule is a row of the table.
type Rule uint8

// Rules, the first to be asked first.
const (
	ExcludedUser Rule = iota
	ExcludedGroup
	Pilot
	User
	InGroup
	Everyone
	Nobody
)

var codes = [...]string{"excludedUser", "excludedGroup", "pilot", "user", "group", "everyone", "nobody"}

// String returns the stable code of the rule.
func (r Rule) String() string { return codes[r] }

// Decision is the effective value for a person, and what decided it.
type Decision struct {
	TakesPart bool
	Rule      Rule
	// By is the id on the list of users, or the group, that the rule rests on; empty
	// when there is none.
	By string
	// Unknown says that By is a group whose members are not known, so that it might
	// have been otherwise.
	Unknown bool
}

// Members are the accounts in an Entra group; false when they are not known. They may
// be others for a rule that excludes than for one that admits.
type Members func(group string, excludes bool) (map[presence.UserID]struct{}, bool)

// Policy is rules made ready for many people. It is not changed after it was made,
// so it may be shared.
type Policy struct {
	everyone             bool
	users, excludedUsers map[string]string // as they are compared, to the entry as it was given
	groups, excluded     groupSet
	pilot                groupSet
}

// groupSet finds which of some groups a person is in.
type groupSet struct {
	ucserver map[string]string // lower case to the name as it was given
	first    string            // of UCServer's
	entra    []entraGroup
	unread   string // the first Entra group whose members are not known
}

type entraGroup struct {
	id      string
	members map[presence.UserID]struct{}
}

// NewPolicy makes rules ready. Of Entra's groups it asks for the members of each
// that the rules name.
func NewPolicy(rules Rules, members Members) *Policy {
	return &Policy{
		everyone: rules.Everyone,
		users:    idSet(rules.Users), excludedUsers: idSet(rules.ExcludedUsers),
		groups: newGroupSet(rules.Groups, members, false), excluded: newGroupSet(rules.ExcludedGroups, members, true), pilot: newGroupSet(rules.Pilot, members, false),
	}
}

func idSet(entries []string) map[string]string {
	set := make(map[string]string, len(entries))
	for _, entry := range entries {
		set[Compared(entry)] = entry
	}
	return set
}

// Compared is the form in which entries that name people are compared: without regard
// to case and to blanks at its ends, and a GUID in whatever spelling.
func Compared(entry string) string {
	if account, err := uuid.Parse(entry); err == nil {
		return account.String()
	}
	return Folded(entry)
}

// Folded is the form in which names of UCServer's groups and of people are compared.
func Folded(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func newGroupSet(groups []Group, members Members, excludes bool) groupSet {
	s := groupSet{ucserver: map[string]string{}}
	for _, g := range groups {
		if g.Source == UCServer {
			s.ucserver[Folded(g.ID)] = g.ID
			if s.first == "" {
				s.first = g.ID
			}
			continue
		}
		known, ok := members(g.ID, excludes)
		if ok {
			s.entra = append(s.entra, entraGroup{g.ID, known})
		} else if s.unread == "" {
			s.unread = g.ID
		}
	}
	return s
}

func (s groupSet) empty() bool {
	return len(s.ucserver) == 0 && len(s.entra) == 0 && s.unread == ""
}

// unknown returns a group of which can't be told whether the person is in it.
func (s groupSet) unknown(p Person) (string, bool) {
	if s.unread == "" && p.User == "" {
		return s.first, s.first != ""
	}
	return s.unread, s.unread != ""
}

// of returns a group that the person is in: Entra's in the order of the rules,
// then UCServer's in the order of the person's.
func (s groupSet) of(p Person) (string, bool) {
	for _, g := range s.entra {
		if _, in := g.members[p.Account]; in {
			return g.id, true
		}
	}
	if len(s.ucserver) == 0 {
		return "", false
	}
	for _, name := range p.Groups {
		if given, in := s.ucserver[Folded(name)]; in {
			return given, true
		}
	}
	return "", false
}

// Effective returns whether a person takes part, and why.
func (p *Policy) Effective(person Person) Decision {
	if id, in := named(p.excludedUsers, person); in {
		return Decision{false, ExcludedUser, id, false}
	}
	if group, in := p.excluded.of(person); in {
		return Decision{false, ExcludedGroup, group, false}
	}
	if group, unknown := p.excluded.unknown(person); unknown {
		return Decision{false, ExcludedGroup, group, true}
	}
	if !p.pilot.empty() {
		return p.pilot.decide(person, Pilot)
	}
	if id, in := named(p.users, person); in {
		return Decision{true, User, id, false}
	}
	decision := p.groups.decide(person, InGroup)
	switch {
	case decision.TakesPart:
	case p.everyone:
		decision = Decision{TakesPart: true, Rule: Everyone}
	default:
		decision.Rule = Nobody
	}
	return decision
}

// decide admits who is in one of the groups.
func (s groupSet) decide(person Person, rule Rule) Decision {
	group, in := s.of(person)
	if in {
		return Decision{true, rule, group, false}
	}
	group, unknown := s.unknown(person)
	return Decision{false, rule, group, unknown}
}

// named returns the entry by which a list of users names a person.
func named(entries map[string]string, person Person) (string, bool) {
	if len(entries) == 0 {
		return "", false
	}
	for _, id := range [...]string{string(person.Account), person.User, person.UPN, person.Name} {
		if entry, in := entries[Folded(id)]; in && id != "" {
			return entry, true
		}
	}
	return "", false
}

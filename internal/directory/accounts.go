package directory

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"procallteams/internal/matching"
	"procallteams/internal/presence"
)

// Accounts are the tenant's Entra accounts, and who is in the Entra groups that
// participation names. They are not changed after they were built, so they may be
// shared.
type Accounts struct {
	People []matching.Account // in the order of their ids
	// Groups are known by their object ids in lower case. One that is not in it
	// could not be read yet.
	Groups map[string]Members
}

// Members are the accounts in an Entra group and in the groups in it.
type Members struct {
	Name     string            // display name; may be empty
	Accounts []presence.UserID // in order; those known last, when there is no such group
	// Missing is since when the tenant has no such group, to the minute; zero while it
	// has. Deleted says that this is so for [GoneAfter], or that its members were never
	// known: it admits nobody any more.
	Missing time.Time
	Deleted bool
}

// GoneAfter is for how long Entra has to say that it has no such group before the group
// counts as deleted: one may be deleted by mistake and restored, and an answer may be
// wrong while Entra copies what was changed to its data centres.
const GoneAfter = 24 * time.Hour

// Absent are the groups of the rules that the tenant does not have: the one that is
// missing longest, and how many others there are. The zero one means none.
type Absent struct {
	Group   string    `json:"group,omitempty"` // object id
	Since   time.Time `json:"since,omitzero"`
	Deleted bool      `json:"deleted,omitempty"` // as of [Members]
	Others  int       `json:"others,omitempty"`
}

// AbsentOf finds the groups that are missing.
func AbsentOf(groups map[string]Members) (absent Absent) {
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		group := groups[id]
		switch {
		case group.Missing.IsZero():
			continue
		case absent.Group == "" || group.Missing.Before(absent.Since):
			absent.Group, absent.Since, absent.Deleted = id, group.Missing, group.Deleted
		}
		absent.Others++
	}
	absent.Others = max(0, absent.Others-1)
	return absent
}

// NewAccounts puts accounts in order. Of entries with the same id the last counts.
func NewAccounts(people []matching.Account, groups map[string]Members) *Accounts {
	return &Accounts{People: inOrder(people, func(a *matching.Account) string { return string(a.ID) }), Groups: groups}
}

// inOrder sorts people by id; of equal ids the last stays.
func inOrder[T any](people []T, id func(*T) string) []T {
	if slices.IsSortedFunc(people, func(a, b T) int { return cmp.Or(strings.Compare(id(&a), id(&b)), -1) }) {
		return people
	}
	at := make([]int, len(people))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(i, j int) int { return cmp.Or(strings.Compare(id(&people[i]), id(&people[j])), cmp.Compare(j, i)) })
	ordered := make([]T, 0, len(people))
	for n, i := range at {
		if n == 0 || id(&people[i]) != id(&people[at[n-1]]) {
			ordered = append(ordered, people[i])
		}
	}
	return ordered
}

// Equal reports whether both say the same.
func (a *Accounts) Equal(other *Accounts) bool {
	return slices.EqualFunc(a.People, other.People, equalAccounts) && maps.EqualFunc(a.Groups, other.Groups, Members.Equal)
}

func equalAccounts(a, b matching.Account) bool {
	return a.ID == b.ID && a.UPN == b.UPN && a.Mail == b.Mail && a.OnPremisesUPN == b.OnPremisesUPN && a.SAM == b.SAM && a.Domain == b.Domain &&
		a.ImmutableID == b.ImmutableID && a.SID == b.SID && a.Disabled == b.Disabled && a.Guest == b.Guest && slices.Equal(a.Proxies, b.Proxies)
}

// Equal reports whether both say the same.
func (m Members) Equal(other Members) bool {
	return m.Name == other.Name && m.Missing.Equal(other.Missing) && m.Deleted == other.Deleted && slices.Equal(m.Accounts, other.Accounts)
}

// Find returns the account with this id.
func (a *Accounts) Find(id presence.UserID) (matching.Account, bool) {
	i, ok := sort.Find(len(a.People), func(i int) int { return strings.Compare(string(id), string(a.People[i].ID)) })
	if !ok {
		return matching.Account{}, false
	}
	return a.People[i], true
}

// Users are UCServer's users as its connector, or an administrator, sent them.
type Users struct {
	People []matching.User // in the order of their ids
}

// NewUsers puts users in order. Of entries with the same id the last counts.
func NewUsers(people []matching.User) *Users {
	return &Users{People: inOrder(people, func(u *matching.User) string { return u.ID })}
}

// Find returns the user with this stable id.
func (u *Users) Find(id string) (matching.User, bool) {
	i, ok := sort.Find(len(u.People), func(i int) int { return strings.Compare(id, u.People[i].ID) })
	if !ok {
		return matching.User{}, false
	}
	return u.People[i], true
}

// AccountsRef points at the stored accounts. The zero one means that none were
// read yet.
type AccountsRef struct {
	Blob  string    `json:"blob,omitempty"`
	At    time.Time `json:"at,omitzero"` // as of when they are true
	Count int       `json:"count,omitempty"`
	// Basic says that guests and disabled accounts could not be told apart: they were
	// read with a user grant (delegated User.ReadBasic.All).
	Basic bool `json:"basic,omitempty"`
	// Link is where changes go on; empty when they have to be read from the start.
	Link string `json:"link,omitempty"`
	// GroupsAt is when the members of groups were last read; GroupsOf tells sets of
	// groups apart: it is that of those whose members are all known.
	GroupsAt time.Time `json:"groupsAt,omitzero"`
	GroupsOf string    `json:"groupsOf,omitempty"`
	Absent   Absent    `json:"absent,omitzero"`
	// Draft is a reading from the start that is not complete yet.
	Draft Draft `json:"draft,omitzero"`
	// Error says why nothing could be read, and since when; empty after a success.
	// Wait is until when Graph asked to leave its directory alone.
	Error      string    `json:"error,omitempty"`
	ErrorSince time.Time `json:"errorSince,omitzero"`
	Wait       time.Time `json:"wait,omitzero"`
	// Swept is when blobs that nobody points at were last looked for.
	Swept time.Time `json:"swept,omitzero"`

	Version string `json:"-"` // of the row, empty when there is none
}

// Draft is the part of the accounts that was read so far.
type Draft struct {
	Blob  string    `json:"blob,omitempty"`
	Link  string    `json:"link,omitempty"`
	Began time.Time `json:"began,omitzero"`
	Basic bool      `json:"basic,omitempty"` // read with a user grant
}

// UsersRef points at the stored users of UCServer. The zero one means that no list
// ever came.
type UsersRef struct {
	Blob  string    `json:"blob,omitempty"` // another one with every list; empty when there is none
	At    time.Time `json:"at,omitzero"`
	Count int       `json:"count,omitempty"`
	By    string    `json:"by,omitempty"` // who sent it: a credential's or an account's id

	Version string `json:"-"` // of the row, empty when there is none
}

// ListSource says how usermatching.csv came.
type ListSource string

// Sources of a list.
const (
	Uploaded    ListSource = "upload"
	FromPackage ListSource = "package" // config/usermatching.csv
)

// ListRef points at the stored usermatching.csv, the bytes as they came. The zero
// one means that none was ever imported or uploaded.
type ListRef struct {
	Blob        string     `json:"blob,omitempty"` // another one with every file
	At          time.Time  `json:"at,omitzero"`
	By          string     `json:"by,omitempty"` // the administrator's object id; empty for the package's
	Lines       int        `json:"lines,omitempty"`
	Fingerprint string     `json:"fingerprint,omitempty"` // [matching.Fingerprint] of the bytes
	Source      ListSource `json:"source,omitempty"`

	Version string `json:"-"` // of the row, empty when there is none
}

package directory

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sort"
	"strings"

	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

// Report says for everybody on both sides who is who, or why not. Who takes part of
// those matched is in the directory that belongs to it.
type Report struct{ matching.Result }

// Count returns how many of UCServer's users are nobody's, and how many could be
// several people's; of accounts, while UCServer's users are not known.
func (r *Report) Count() (unmatched, ambiguous int) {
	side := r.Users
	if side == nil {
		side = r.Accounts
	}
	for i := range side {
		switch side[i].Outcome {
		case matching.Unmatched, matching.NearMiss:
			unmatched++
		case matching.Ambiguous:
			ambiguous++
		}
	}
	return unmatched, ambiguous
}

// Fingerprint tells inputs of [Compile] apart. reading and writing are the rules in
// their stored form.
func Fingerprint(accounts AccountsRef, users UsersRef, list ListRef, reading, writing string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{accounts.Blob, users.Blob, list.Blob, reading, writing}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// Compile finds who is who and who takes part. users nil means that UCServer's
// users are not known: the name on the list, else the UPN, is then the UCServer
// user name. Equal inputs give equal results.
func Compile(accounts *Accounts, users *Users, list matching.List, reading, writing participation.Rules) (*Directory, *Report) {
	c := compiler{accounts: accounts, users: users, list: list, decisions: map[participation.Decision]*participation.Decision{}}
	c.read, c.write = participation.NewPolicy(reading, c.members), participation.NewPolicy(writing, c.members)
	var people []matching.User
	if users != nil {
		if people = users.People; people == nil {
			people = []matching.User{}
		}
	}
	result := matching.Match(accounts.People, people, list)
	if users != nil {
		separateNamesakes(&result)
	}
	d := &Directory{People: make([]Person, len(result.Accounts))}
	for i := range d.People { // both are in the order of ids
		d.People[i] = c.person(&accounts.People[i], &result.Accounts[i])
	}
	return d, &Report{result}
}

// separateNamesakes makes ambiguous who is matched with different users of one name:
// UCServer's side is told names, and nobody could tell whose state it is.
func separateNamesakes(result *matching.Result) {
	first := make(map[string]int, len(result.Accounts))
	for i := range result.Accounts {
		v := &result.Accounts[i]
		if v.Outcome != matching.Matched {
			continue
		}
		before, taken := first[v.Name]
		if !taken {
			first[v.Name] = i
			continue
		}
		for _, pair := range [][2]int{{before, i}, {i, before}} {
			mark(result, pair[0], pair[1])
		}
	}
}

// mark makes an account and its user ambiguous because of another account.
func mark(result *matching.Result, i, because int) {
	account, other := &result.Accounts[i], result.Accounts[because]
	if account.Conflict != nil {
		account.Conflict.More = true // a third one
		return
	}
	u, _ := slices.BinarySearchFunc(result.Users, account.Partner, func(v matching.Verdict, id string) int { return strings.Compare(v.ID, id) })
	user := &result.Users[u]
	account.Conflict = &matching.Conflict{With: []string{account.Partner}, Rivals: []string{other.ID}}
	user.Conflict = &matching.Conflict{With: []string{account.ID}, Rivals: []string{partnerOf(other)}}
	for _, v := range []*matching.Verdict{account, user} {
		v.Outcome, v.Partner, v.Name = matching.Ambiguous, "", ""
	}
}

// partnerOf is the user of somebody who was matched.
func partnerOf(v matching.Verdict) string {
	if v.Outcome == matching.Ambiguous {
		return v.Conflict.With[0]
	}
	return v.Partner
}

type compiler struct {
	accounts    *Accounts
	users       *Users
	list        matching.List
	read, write *participation.Policy
	decisions   map[participation.Decision]*participation.Decision
}

// members are those of an Entra group. One that was deleted admits nobody any more, but
// nobody is admitted because of that either: whom it excluded stays excluded.
func (c *compiler) members(group string, excludes bool) (map[presence.UserID]struct{}, bool) {
	known, ok := c.accounts.Groups[strings.ToLower(group)]
	if !ok {
		return nil, false
	}
	members := make(map[presence.UserID]struct{}, len(known.Accounts))
	if excludes || !known.Deleted {
		for _, id := range known.Accounts {
			members[id] = struct{}{}
		}
	}
	return members, true
}

var standings = map[matching.Outcome]Standing{
	matching.Unmatched: Unmatched, matching.NearMiss: Unmatched, matching.Ambiguous: Ambiguous, matching.Matched: NotEnabled,
}

func (c *compiler) person(a *matching.Account, v *matching.Verdict) Person {
	p := Person{ID: a.ID, UPN: a.UPN, Standing: standings[v.Outcome]}
	switch {
	case v.Outcome == matching.Barred && a.Disabled:
		p.Standing = Disabled
	case v.Outcome == matching.Barred:
		p.Standing = Guest
	}
	user := c.userOf(v)
	switch {
	case c.users == nil:
		p.Name = c.nameWithoutUsers(a)
	case user != nil:
		p.Name, p.UCID = user.Name, user.ID
	}
	if v.Outcome != matching.Matched {
		return p
	}
	p.Rule = v.Rule
	candidate := participation.Person{Account: a.ID, UPN: a.UPN, Name: p.Name}
	if user != nil {
		candidate.User, candidate.Groups = user.ID, user.Groups
	}
	p.Reading, p.Writing = c.shared(c.read.Effective(candidate)), c.shared(c.write.Effective(candidate))
	p.Reads, p.Writes = p.Reading.TakesPart, p.Writing.TakesPart
	if p.Reads || p.Writes {
		p.Standing = TakesPart
	}
	return p
}

func (c *compiler) nameWithoutUsers(a *matching.Account) string {
	if name, ok := c.list.Name(a.UPN); ok {
		return name
	}
	return a.UPN
}

// userOf returns the user that a verdict is about: the one matched, or the first
// that would fit; nil for none.
func (c *compiler) userOf(v *matching.Verdict) *matching.User {
	if c.users == nil {
		return nil
	}
	id := v.Partner
	switch {
	case v.Outcome == matching.Ambiguous && v.Conflict != nil && len(v.Conflict.With) > 0:
		id = v.Conflict.With[0]
	case v.Outcome != matching.Matched && v.Outcome != matching.Barred || id == "":
		return nil
	}
	i, ok := sort.Find(len(c.users.People), func(i int) int { return strings.Compare(id, c.users.People[i].ID) })
	if !ok {
		return nil
	}
	return &c.users.People[i]
}

// shared returns the one copy of a decision.
func (c *compiler) shared(d participation.Decision) *participation.Decision {
	if known, ok := c.decisions[d]; ok {
		return known
	}
	c.decisions[d] = &d
	return &d
}

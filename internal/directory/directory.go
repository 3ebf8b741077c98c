// Package directory knows the tenant's people: who is who on both sides, and for
// whom which direction is switched on.
//
// Three sources are stored on their own, each as a blob that a row points at:
// Entra's [Accounts], UCServer's [Users], and usermatching.csv. [Compile] makes of
// them and of the rules of participation the [Directory] that everybody works with,
// and a [Report] that says for everybody on both sides why. It is stored likewise,
// together with what it was made of ([Fingerprint]), so that every process sees the
// same one and an edit of any source makes a new one. No I/O and no SDK here:
// package graph reads, package storage keeps.
package directory

import (
	"slices"
	"sort"
	"strings"
	"time"

	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

// Ref points at the stored directory. The zero Ref means none was made yet.
type Ref struct {
	Blob string `json:"blob"`
	// Report is the blob of the report that belongs to it.
	Report string    `json:"report,omitempty"`
	At     time.Time `json:"at"` // when it was made
	// Inputs is the [Fingerprint] of what it was made of.
	Inputs string `json:"inputs,omitempty"`
	// Users counts the accounts in it. Unmatched and Ambiguous count UCServer's users
	// who are nobody's; accounts, while UCServer's users are not known.
	Users     int `json:"users"`
	Unmatched int `json:"unmatched,omitempty"`
	Ambiguous int `json:"ambiguous,omitempty"`

	Version string `json:"-"` // of the row, empty when there is none
}

// Standing says whether a person takes part, and if not, why.
type Standing byte

// Standings, stored as these letters.
const (
	TakesPart  Standing = 'p' // in one direction at least: see Reads and Writes
	NotEnabled Standing = 'n' // matched, but no direction is switched on for the person
	Unmatched  Standing = 'u' // no user of UCServer
	Ambiguous  Standing = 'a' // several could be the one: the report names them
	Disabled   Standing = 'd' // the account is disabled
	Guest      Standing = 'g' // the account is a guest's
)

// Person is one account with the UCServer user that matching gave it.
type Person struct {
	ID  presence.UserID
	UPN string
	// Name is the UCServer user name. Of somebody who is ambiguous or barred it is
	// the name of one who would fit; it is empty when there is none.
	Name string
	// UCID is the connector's stable id; empty while UCServer's users are not known.
	UCID     string
	Standing Standing
	// Rule is what made account and user one person.
	Rule matching.Rule
	// Reads says that the presence is read for UCServer, Writes that calls are
	// written to Teams: the effective values, whether or not the direction is paused.
	Reads, Writes bool
	// Reading and Writing say which rule decided that; nil for who is not matched.
	// They are shared: nobody changes them.
	Reading, Writing *participation.Decision
}

// Directory is a tenant's people in the order of their ids. It is not changed
// after it was built, so it may be shared.
type Directory struct{ People []Person }

// Find returns the person with this id.
func (d *Directory) Find(id presence.UserID) (Person, bool) {
	i, ok := sort.Find(len(d.People), func(i int) int { return strings.Compare(string(id), string(d.People[i].ID)) })
	if !ok {
		return Person{}, false
	}
	return d.People[i], true
}

// Clone returns a copy with memory of its own. What [Compile] returns shares the
// texts of the accounts and users it was made of, and so keeps all of these.
func (d *Directory) Clone() *Directory {
	size := 0
	for i := range d.People {
		p := &d.People[i]
		size += len(p.ID) + len(p.UPN) + len(p.UCID)
		if p.Name != p.UPN {
			size += len(p.Name)
		}
	}
	var block strings.Builder
	block.Grow(size)
	keep := func(text string) string {
		from := block.Len()
		block.WriteString(text)
		return block.String()[from:]
	}
	clone := &Directory{People: slices.Clone(d.People)}
	for i := range clone.People {
		p := &clone.People[i]
		namedLikeUPN := p.Name == p.UPN
		p.ID, p.UPN, p.UCID = presence.UserID(keep(string(p.ID))), keep(p.UPN), keep(p.UCID)
		if p.Name = p.UPN; !namedLikeUPN {
			p.Name = keep(d.People[i].Name)
		}
	}
	return clone
}

// Count returns how many people have the standing.
func (d *Directory) Count(s Standing) int {
	n := 0
	for _, p := range d.People {
		if p.Standing == s {
			n++
		}
	}
	return n
}

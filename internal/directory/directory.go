// Package directory knows the tenant's people and their UCServer names.
//
// A directory is read from Graph now and then, stored as one blob, and pointed
// at from a row, so that every process sees the same one. Matching is by the
// exact entry of usermatching.csv, else by UPN. Two people who would get the
// same UCServer name are both left out. No I/O and no SDK here: package graph
// reads, package storage keeps.
package directory

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"procallteams/internal/presence"
)

// Ref points at the stored directory. The zero Ref means none was read yet.
type Ref struct {
	Blob string    `json:"blob"`
	At   time.Time `json:"at"` // when it was read from Graph
	// Users counts the accounts in it.
	Users int `json:"users"`
	// Matching is the fingerprint of the usermatching.csv that it was built with.
	Matching string `json:"matching,omitempty"`
	// Basic says that guests and disabled accounts could not be told apart: it was
	// read with a user grant (delegated User.ReadBasic.All).
	Basic bool `json:"basic,omitempty"`
}

// User is an account as Graph lists it.
type User struct {
	ID  presence.UserID
	UPN string
	// Disabled and Guest stay false where the token may not read them (delegated
	// User.ReadBasic.All).
	Disabled, Guest bool
}

// Standing says whether a person takes part, and if not, why.
type Standing byte

// Standings, stored as these letters.
const (
	TakesPart Standing = 'p'
	Disabled  Standing = 'd' // the account is disabled
	Guest     Standing = 'g' // the account is a guest's
	Ambiguous Standing = 'a' // another person has the same UCServer name
)

// Person is one account with the UCServer name that matching gave it.
type Person struct {
	ID       presence.UserID
	UPN      string
	Name     string // UCServer name
	Standing Standing
}

// Directory is a tenant's people in the order of their ids. It is not changed
// after it was built, so it may be shared.
type Directory struct{ People []Person }

// Find returns the person with this id.
func (d *Directory) Find(id presence.UserID) (Person, bool) {
	i, ok := slices.BinarySearchFunc(d.People, id, func(p Person, id presence.UserID) int {
		return strings.Compare(string(p.ID), string(id))
	})
	if !ok {
		return Person{}, false
	}
	return d.People[i], true
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

// Names gives UPNs their UCServer names.
type Names interface {
	// Name returns the UCServer name for a UPN; false when the UPN itself is it.
	Name(upn string) (string, bool)
}

// Build makes a directory of the accounts. A later entry for the same id wins,
// since a list that is read page by page may repeat one. It stops at the first
// error of users.
func Build(users iter.Seq2[User, error], names Names) (*Directory, error) {
	byID := map[presence.UserID]Person{}
	for user, err := range users {
		if err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		person := Person{ID: user.ID, UPN: user.UPN, Name: user.UPN, Standing: TakesPart}
		if name, ok := names.Name(user.UPN); ok {
			person.Name = name
		}
		switch {
		case user.Disabled:
			person.Standing = Disabled
		case user.Guest:
			person.Standing = Guest
		}
		byID[user.ID] = person
	}
	d := &Directory{People: make([]Person, 0, len(byID))}
	claims := make(map[string]int, len(byID))
	for _, person := range byID {
		d.People = append(d.People, person)
		if person.Standing == TakesPart {
			claims[person.Name]++
		}
	}
	for i, person := range d.People {
		if person.Standing == TakesPart && claims[person.Name] > 1 {
			d.People[i].Standing = Ambiguous
		}
	}
	slices.SortFunc(d.People, func(a, b Person) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return d, nil
}

// The stored form: gzip of a version byte, then one record per person, ended by
// recordEnd, its fields (standing, id, UPN, name; the name empty when it is the
// UPN) separated by fieldEnd. Neither can occur in a name: [Encode] refuses it.
const (
	version   = "1"
	fieldEnd  = "\x1f"
	recordEnd = "\x1e"
)

// maxDirectory bounds a decoded directory: some 250 bytes for each of a million
// people.
const maxDirectory = 256 << 20

// Encode returns the stored form.
func (d *Directory) Encode() ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	var text []byte
	text = append(text, version...)
	for _, p := range d.People {
		if strings.ContainsAny(p.UPN+p.Name+string(p.ID), fieldEnd+recordEnd) {
			return nil, fmt.Errorf("encode directory: the name of user %s holds a control character", p.ID)
		}
		name := p.Name
		if name == p.UPN {
			name = ""
		}
		text = append(text, byte(p.Standing))
		for _, field := range []string{string(p.ID), p.UPN, name} {
			text = append(append(text, fieldEnd...), field...)
		}
		text = append(text, recordEnd...)
		if len(text) > 64<<10 {
			if _, err := w.Write(text); err != nil {
				return nil, err
			}
			text = text[:0]
		}
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

var errForm = errors.New("decode directory: not a stored directory")

// Decode is the inverse of [Directory.Encode]. All strings of the result share
// one block of memory.
func Decode(packed []byte) (*Directory, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errForm
	}
	var block strings.Builder
	if _, err := io.Copy(&block, io.LimitReader(r, maxDirectory)); err != nil {
		return nil, errForm
	}
	text, ok := strings.CutPrefix(block.String(), version)
	if !ok {
		return nil, errForm
	}
	d := &Directory{People: make([]Person, 0, strings.Count(text, recordEnd))}
	for text != "" {
		var record string
		if record, text, ok = strings.Cut(text, recordEnd); !ok {
			return nil, errForm
		}
		standing, record, ok1 := strings.Cut(record, fieldEnd)
		id, record, ok2 := strings.Cut(record, fieldEnd)
		upn, name, ok3 := strings.Cut(record, fieldEnd)
		if len(standing) != 1 || !ok1 || !ok2 || !ok3 {
			return nil, errForm
		}
		if name == "" {
			name = upn
		}
		d.People = append(d.People, Person{ID: presence.UserID(id), UPN: upn, Name: name, Standing: Standing(standing[0])})
	}
	return d, nil
}

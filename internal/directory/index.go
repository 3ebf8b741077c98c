package directory

import (
	"context"
	"strings"
	"sync"
)

// Finding says whether a UCServer name is a person's.
type Finding int

// Findings.
const (
	Missing    Finding = iota // nobody has the name
	Found                     // one person has it, for whom calls are written
	Several                   // more than one person has it
	Excluded                  // the account is disabled or a guest's
	NotWritten                // one person has it, for whom calls are not written
)

// Index finds people by their UCServer names. It is not changed after it was
// built.
type Index struct {
	*Directory
	// byName holds positions of people; lower case names that differ only in case
	// are found by their exact spelling alone.
	byName  map[string]int
	byLower map[string]int
}

// twice marks a spelling that several people share.
const twice = -1

// NewIndex indexes a directory.
func NewIndex(d *Directory) *Index {
	x := &Index{Directory: d, byName: make(map[string]int, len(d.People)), byLower: make(map[string]int, len(d.People))}
	for i, p := range d.People {
		if p.Name == "" {
			continue
		}
		x.enter(x.byName, p.Name, i)
		x.enter(x.byLower, strings.ToLower(p.Name), i)
	}
	return x
}

// enter notes a spelling. Who is matched goes before who is barred.
func (x *Index) enter(names map[string]int, name string, i int) {
	before, taken := names[name]
	switch {
	case !taken:
		names[name] = i
	case before == twice:
	case x.rank(i) > x.rank(before):
		names[name] = i
	case x.rank(i) == x.rank(before):
		names[name] = twice
	}
}

func (x *Index) rank(i int) int {
	switch x.People[i].Standing {
	case TakesPart, NotEnabled, Ambiguous:
		return 1
	}
	return 0
}

// Find returns the person of a UCServer name: spelled exactly so, else without
// regard to case.
func (x *Index) Find(name string) (Person, Finding) {
	i, ok := x.byName[name]
	if !ok {
		if i, ok = x.byLower[strings.ToLower(name)]; !ok {
			return Person{}, Missing
		}
	}
	if i == twice {
		return Person{}, Several
	}
	switch person := x.People[i]; {
	case person.Standing == Ambiguous:
		return person, Several
	case person.Standing == Disabled || person.Standing == Guest:
		return person, Excluded
	case person.Writes:
		return person, Found
	default:
		return person, NotWritten
	}
}

// ByUPN returns the account of a UPN, which Entra compares without regard to
// case. It looks at everybody: for single look-ups by people.
func (x *Index) ByUPN(upn string) (Person, bool) {
	for _, p := range x.People {
		if strings.EqualFold(p.UPN, upn) {
			return p, true
		}
	}
	return Person{}, false
}

// Cache keeps the index of the directory that was last asked for. Read must be
// set.
type Cache struct {
	Read func(ctx context.Context, ref Ref) (*Directory, error)

	mu    sync.Mutex
	blob  string
	index *Index
}

// Get returns the index of the directory that ref points at.
func (c *Cache) Get(ctx context.Context, ref Ref) (*Index, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.index != nil && c.blob == ref.Blob {
		return c.index, nil
	}
	d, err := c.Read(ctx, ref)
	if err != nil {
		return nil, err
	}
	c.blob, c.index = ref.Blob, NewIndex(d)
	return c.index, nil
}

package directory

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
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
	seed   maphash.Seed
	byName []named // in the order of hashes
}

// named is where a person who has a name stands. A map of names would take several
// times the memory.
type named struct {
	hash uint32 // of the name in lower case
	at   int32
}

// NewIndex indexes a directory.
func NewIndex(d *Directory) *Index {
	x := &Index{d, maphash.MakeSeed(), make([]named, 0, len(d.People))}
	for i := range d.People {
		if name := d.People[i].Name; name != "" {
			x.byName = append(x.byName, named{x.hash(strings.ToLower(name)), int32(i)})
		}
	}
	slices.SortFunc(x.byName, func(a, b named) int { return cmp.Compare(a.hash, b.hash) })
	return x
}

func (x *Index) hash(name string) uint32 { return uint32(maphash.String(x.seed, name)) }

// Find returns the person of a UCServer name: spelled exactly so, else without
// regard to case.
func (x *Index) Find(name string) (Person, Finding) {
	if person, finding := x.only(name, func(p *Person) bool { return p.Name == name }); finding != Missing {
		return person, finding
	}
	return x.only(name, func(*Person) bool { return true })
}

// only returns the one person of a name in any case who also fits. Who is known to
// UCServer goes before who is not.
func (x *Index) only(name string, fits func(*Person) bool) (Person, Finding) {
	lower := strings.ToLower(name)
	hash := x.hash(lower)
	i, _ := slices.BinarySearchFunc(x.byName, hash, func(n named, hash uint32) int { return cmp.Compare(n.hash, hash) })
	var best *Person
	several := false
	for ; i < len(x.byName) && x.byName[i].hash == hash; i++ {
		p := &x.People[x.byName[i].at]
		switch {
		case !fits(p) || strings.ToLower(p.Name) != lower:
			continue
		case best == nil, p.known() && !best.known():
			best, several = p, false
		case p.known() == best.known():
			several = true
		}
		if several && best.known() {
			break
		}
	}
	switch {
	case best == nil:
		return Person{}, Missing
	case several:
		return Person{}, Several
	case best.Standing == Ambiguous:
		return *best, Several
	case best.Standing == Disabled || best.Standing == Guest:
		return *best, Excluded
	case best.Writes:
		return *best, Found
	}
	return *best, NotWritten
}

// known says that the account is somebody's in UCServer, or could be several people's.
func (p *Person) known() bool {
	return p.Standing == TakesPart || p.Standing == NotEnabled || p.Standing == Ambiguous
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

// Cache keeps the directory that was last asked for, once for all functions of a
// process. Read must be set.
type Cache struct {
	Read func(ctx context.Context, ref Ref) (*Directory, error)

	mu        sync.Mutex
	blob      string
	directory *Directory
	index     *Index // nil until it is asked for
}

// Directory returns the directory that ref points at.
func (c *Cache) Directory(ctx context.Context, ref Ref) (*Directory, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load(ctx, ref)
}

// Index returns the index of the directory that ref points at.
func (c *Cache) Index(ctx context.Context, ref Ref) (*Index, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.load(ctx, ref)
	if err != nil {
		return nil, err
	}
	if c.index == nil {
		c.index = NewIndex(d)
	}
	return c.index, nil
}

// Keep takes in a directory that was made and stored here.
func (c *Cache) Keep(ref Ref, d *Directory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blob, c.directory, c.index = ref.Blob, d, nil
}

func (c *Cache) load(ctx context.Context, ref Ref) (*Directory, error) {
	if c.directory != nil && c.blob == ref.Blob {
		return c.directory, nil
	}
	d, err := c.Read(ctx, ref)
	if err != nil {
		return nil, err
	}
	c.blob, c.directory, c.index = ref.Blob, d, nil
	return d, nil
}

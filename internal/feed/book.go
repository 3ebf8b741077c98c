package feed

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/google/uuid"

	"procallteams/internal/presence"
)

func newEpoch() string { return rand.Text() }

// Book is the feed folded up to a position: the newest change of every user who
// takes part. A removal takes the user out. It is safe for concurrent use, and
// compact: about 120 bytes per user, names included.
type Book struct {
	mu     sync.RWMutex
	at     Position
	time   time.Time // of the newest append
	people []record  // in the order of Entra ids
}

// NewBook returns the empty Book that stands before the first change of any feed.
func NewBook() *Book { return &Book{} }

// Load reads the state at head: its snapshot and the entries after it. A
// *GoneError means that head is old: read it anew.
func Load(ctx context.Context, store Reader, head Head) (*Book, error) {
	return LoadAt(ctx, store, head, head.Last.Append)
}

// LoadAt is [Load] as of an earlier append, which is not before head's snapshot.
func LoadAt(ctx context.Context, store Reader, head Head, upTo uint64) (*Book, error) {
	book := NewBook()
	if head.Snapshot.Blob != "" {
		if head.Snapshot.Append > upTo {
			return nil, &GoneError{GoneAncient}
		}
		data, err := store.Snapshot(ctx, head)
		if err != nil {
			return nil, err
		}
		if book, err = decodeSnapshot(data); err != nil {
			return nil, err
		}
		if book.at.Epoch != head.Epoch || book.at.Append != head.Snapshot.Append {
			return nil, &GoneError{GoneEpoch}
		}
	}
	head.Last = ID{Append: upTo}
	return book, book.CatchUp(ctx, store, head)
}

// CatchUp applies what was appended up to head. A book that is already there, or
// beyond, reads nothing. A *GoneError means that the book can't follow: [Load]
// another one.
func (b *Book) CatchUp(ctx context.Context, store Reader, head Head) error {
	at := b.At()
	if at.Epoch == head.Epoch && at.Append >= head.Last.Append {
		return nil
	}
	if at.Epoch != "" && at.Epoch != head.Epoch {
		return &GoneError{GoneEpoch}
	}
	for entry, err := range store.Entries(ctx, head, at.Append, head.Last.Append) {
		if err != nil {
			return err
		}
		if err := b.Apply(entry); err != nil {
			return err
		}
	}
	return nil
}

// Apply folds the next entry in. One that is in already changes nothing; one
// that is not the next is a *GoneError, and the book stays as it is.
func (b *Book) Apply(entry Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.Epoch != "" && b.at.Epoch != entry.Epoch {
		return &GoneError{GoneEpoch}
	}
	if entry.Append <= b.at.Append {
		return nil
	}
	if entry.Append != b.at.Append+1 {
		return &GoneError{GoneAncient}
	}
	if err := b.fold(entry.Changes); err != nil {
		return fmt.Errorf("apply append %d: %w", entry.Append, err)
	}
	b.at, b.time = Position{entry.Epoch, entry.Last()}, entry.At
	return nil
}

// fold makes changes in their order: of several about one person the last counts.
// People who join or leave cost a walk along all others, a change of somebody who is
// there costs one search.
func (b *Book) fold(changes []Change) error {
	steps := make([]step, len(changes))
	for i := range changes {
		id, ok := changes[i].Entra.GUID()
		if !ok {
			return errDamaged
		}
		steps[i] = step{id, &changes[i]}
	}
	slices.SortStableFunc(steps, func(s, other step) int { return bytes.Compare(s.id[:], other.id[:]) })
	var joining []record
	leaving := false
	for i, s := range steps {
		if i+1 < len(steps) && steps[i+1].id == s.id {
			continue
		}
		at, known := b.find(s.id)
		switch {
		case s.change.Kind == Removed && known:
			b.people[at], leaving = record{entra: s.id}, true
		case s.change.Kind == Removed:
		case known:
			b.people[at] = recordOf(s.id, s.change)
		default:
			joining = append(joining, recordOf(s.id, s.change))
		}
	}
	if leaving || len(joining) > 0 {
		b.people = merged(b.people, joining)
	}
	return nil
}

// step is one change to a book.
type step struct {
	id     uuid.UUID
	change *Change
}

// merged returns those who stay and those who join, in the order of ids.
func merged(staying, joining []record) []record {
	people := make([]record, 0, len(staying)+len(joining))
	for i := range staying {
		r := &staying[i]
		if r.left() {
			continue
		}
		for len(joining) > 0 && bytes.Compare(joining[0].entra[:], r.entra[:]) < 0 {
			people, joining = append(people, joining[0]), joining[1:]
		}
		people = append(people, *r)
	}
	return append(people, joining...)
}

// find returns where a user stands, or would stand.
func (b *Book) find(id uuid.UUID) (int, bool) {
	return sort.Find(len(b.people), func(i int) int { return bytes.Compare(id[:], b.people[i].entra[:]) })
}

// At returns the position up to which the book is folded.
func (b *Book) At() Position {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.at
}

// Len returns how many users take part.
func (b *Book) Len() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.people)
}

// Get returns the newest presence change of a user who takes part.
func (b *Book) Get(user presence.UserID) (Change, bool) {
	id, ok := user.GUID()
	if !ok {
		return Change{}, false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	at, known := b.find(id)
	if !known {
		return Change{}, false
	}
	return b.people[at].change(user), true
}

// Page returns up to limit changes of users whose Entra id is above after, in
// the order of these ids, and where the book stood at that moment. Above what is no
// id is everybody.
func (b *Book) Page(after presence.UserID, limit int) ([]Change, Position) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	from := 0
	if id, ok := after.GUID(); ok {
		var known bool
		if from, known = b.find(id); known {
			from++
		}
	}
	page := make([]Change, 0, min(limit, len(b.people)-from))
	for i := range b.people[from:min(from+limit, len(b.people))] {
		r := &b.people[from+i]
		page = append(page, r.change(presence.UserID(r.entra.String())))
	}
	return page, b.at
}

// All yields the newest presence change of everybody, in the order of Entra ids.
// The book is not locked while the caller works, so a change that is applied
// meanwhile may or may not be seen.
func (b *Book) All() iter.Seq[Change] {
	return func(yield func(Change) bool) {
		var after presence.UserID
		for {
			page, _ := b.Page(after, 500)
			for _, change := range page {
				if !yield(change) {
					return
				}
				after = change.Entra
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// Warm keeps one tenant's book between invocations, so that a process reads
// only what is new. The zero value is ready. It is a cache: a process that lost
// it loads it again.
type Warm struct {
	mu   sync.Mutex // held while loading, so that requests at once load once
	book *Book
}

// Book returns a book that holds at least head. A *GoneError means that head is
// old: read it anew.
func (w *Warm) Book(ctx context.Context, store Reader, head Head) (*Book, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.book != nil {
		err := w.book.CatchUp(ctx, store, head)
		if err == nil {
			return w.book, nil
		}
		if !isGone(err) {
			return nil, err
		}
		w.book = nil
	}
	book, err := Load(ctx, store, head)
	if err != nil {
		return nil, err
	}
	w.book = book
	return book, nil
}

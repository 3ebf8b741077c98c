package feed

import (
	"cmp"
	"context"
	"crypto/rand"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"procallteams/internal/presence"
)

func newEpoch() string { return rand.Text() }

// Book is the feed folded up to a position: the newest change of every user who
// takes part. A removal takes the user out. It is safe for concurrent use, and
// compact: about 200 bytes per user, names included.
type Book struct {
	mu     sync.RWMutex
	at     Position
	time   time.Time // of the newest append
	people map[presence.UserID]*record
	order  []*record // by Entra id; nil after somebody joined or left
}

// record is a presence change in few bytes. text holds the Entra id, user, ucid
// and sequence behind one another; the map's key is a part of it.
type record struct {
	text                 string
	outcome              unique.Handle[presence.Outcome] // few differ
	append               uint64
	observed             int64 // Unix milliseconds
	index                uint32
	user, ucid, sequence uint16 // where they begin in text
}

func (r *record) entra() presence.UserID { return presence.UserID(r.text[:r.user]) }

func (r *record) change() Change {
	return Change{
		ID: ID{r.append, r.index}, Kind: Presence,
		Entra: r.entra(), User: r.text[r.user:r.ucid], UCID: r.text[r.ucid:r.sequence], Sequence: r.text[r.sequence:],
		Outcome: r.outcome.Value(), ObservedAt: time.UnixMilli(r.observed).UTC(),
	}
}

// NewBook returns the empty Book that stands before the first change of any feed.
func NewBook() *Book { return &Book{people: map[presence.UserID]*record{}} }

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
	for _, change := range entry.Changes {
		b.put(change)
	}
	b.at, b.time = Position{entry.Epoch, entry.Last()}, entry.At
	return nil
}

func (b *Book) put(c Change) {
	old := b.people[c.Entra]
	if c.Kind == Removed {
		if old != nil {
			delete(b.people, c.Entra)
			b.order = nil
		}
		return
	}
	r := old
	if r == nil {
		r = &record{}
		b.order = nil
	}
	text := string(c.Entra) + c.User + c.UCID + c.Sequence
	*r = record{
		text: text, outcome: unique.Make(c.Outcome), append: c.ID.Append, index: c.ID.Index, observed: c.ObservedAt.UnixMilli(),
		user: uint16(len(c.Entra)), ucid: uint16(len(c.Entra) + len(c.User)), sequence: uint16(len(c.Entra) + len(c.User) + len(c.UCID)),
	}
	b.people[r.entra()] = r // also replaces the key, which would keep the old text alive
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
	b.mu.RLock()
	defer b.mu.RUnlock()
	r := b.people[user]
	if r == nil {
		return Change{}, false
	}
	return r.change(), true
}

// Page returns up to limit changes of users whose Entra id is above after, in
// the order of these ids, and where the book stood at that moment.
func (b *Book) Page(after presence.UserID, limit int) ([]Change, Position) {
	b.rlockSorted()
	defer b.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(b.order, after, func(r *record, after presence.UserID) int {
		if r.entra() <= after {
			return -1
		}
		return 1
	})
	page := make([]Change, 0, min(limit, len(b.order)-i))
	for _, r := range b.order[i:min(i+limit, len(b.order))] {
		page = append(page, r.change())
	}
	return page, b.at
}

// rlockSorted locks for reading, with the order in place.
func (b *Book) rlockSorted() {
	b.mu.RLock()
	for b.order == nil && len(b.people) > 0 {
		b.mu.RUnlock()
		b.sort()
		b.mu.RLock()
	}
}

func (b *Book) sort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.order != nil {
		return
	}
	b.order = make([]*record, 0, len(b.people))
	for _, r := range b.people {
		b.order = append(b.order, r)
	}
	slices.SortFunc(b.order, func(a, c *record) int { return cmp.Compare(a.entra(), c.entra()) })
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
				after = presence.UserID(strings.Clone(string(change.Entra)))
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

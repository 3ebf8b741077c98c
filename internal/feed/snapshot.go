package feed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"procallteams/internal/presence"
)

// minSnapshotLog is the size below which a log never calls for a snapshot.
const minSnapshotLog = 64 << 10

// snapshotAge is the age from which the next append brings a snapshot.
const snapshotAge = 24 * time.Hour

// SnapshotDue reports whether the log behind head's snapshot has outgrown it, or
// a day has passed. A feed that stands still needs none.
func SnapshotDue(head Head) bool {
	switch {
	case head.LogAppends == 0:
		return false
	case head.Snapshot.Blob == "":
		return true
	}
	return head.LogBytes > max(head.Snapshot.Bytes, minSnapshotLog) || head.At.Sub(head.Snapshot.At) >= snapshotAge
}

// WriteSnapshot stores the state of book, which must be at head, and points the
// head at it. The older snapshot is deleted later, by retention. ErrLostRace:
// the feed went on meanwhile, the old snapshot stays in force.
func WriteSnapshot(ctx context.Context, store Writer, head Head, book *Book) (Head, error) {
	if at := book.At(); at != head.Position() {
		return head, ErrLostRace
	}
	data := encodeSnapshot(book)
	ref := SnapshotRef{Append: head.Last.Append, Bytes: int64(len(data)), At: head.At,
		// Random, since two processes may write the same one, and the loser's
		// must not be what the winner points at.
		Blob: fmt.Sprintf("%s-%020d-%s", head.Epoch, head.Last.Append, rand.Text()[:8])}
	next, err := store.SetSnapshot(ctx, head, ref, data)
	if err != nil {
		return head, fmt.Errorf("write snapshot: %w", err)
	}
	return next, nil
}

// snapshotVersion is the first byte of a snapshot.
const snapshotVersion = 1

// encodeSnapshot writes version, then blocks of at most maxBlock bytes, each
// compressed and preceded by its length. The first block holds epoch, position
// and time; the others hold changes, each after its id.
func encodeSnapshot(book *Book) []byte {
	book.mu.RLock()
	defer book.mu.RUnlock()
	at, newest := book.at, book.time
	out := []byte{snapshotVersion}
	block := appendText(nil, at.Epoch)
	block = appendID(block, at.ID)
	block = binary.AppendVarint(block, newest.UnixMilli())
	finish := func() {
		packed := compress(block)
		out = append(binary.AppendUvarint(out, uint64(len(packed))), packed...)
		block = block[:0]
	}
	finish()
	for i := range book.people {
		r := &book.people[i]
		c := r.change(presence.UserID(r.entra.String()))
		block = appendChange(appendID(block, c.ID), c)
		if len(block) >= maxBlock-maxChange {
			finish()
		}
	}
	if len(block) > 0 {
		finish()
	}
	return out
}

func appendID(b []byte, id ID) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, id.Append), uint64(id.Index))
}

func decodeSnapshot(data []byte) (*Book, error) {
	outer := decoder{b: string(data)}
	if outer.byte() != snapshotVersion {
		return nil, errors.New("read snapshot: unknown version")
	}
	book, first := NewBook(), true
	var block []byte
	for outer.more() {
		packed := outer.text()
		var err error
		if block, err = decompress(block[:0], []byte(packed)); err != nil {
			return nil, fmt.Errorf("read snapshot: %w", err)
		}
		d := decoder{b: string(block)}
		if first {
			first = false
			book.at = Position{d.text(), d.id()}
			book.time = time.UnixMilli(d.varint()).UTC()
		}
		before := len(book.people)
		if !book.joinAll(&d) {
			return nil, fmt.Errorf("read snapshot: %w", errDamaged)
		}
		// The other blocks hold about as many, for what they weigh.
		others := (len(book.people) - before) * len(outer.b) / len(packed)
		if len(book.people)+others > cap(book.people) {
			book.people = slices.Grow(book.people, others+others/16)
		}
	}
	if outer.bad || book.at.Epoch == "" {
		return nil, fmt.Errorf("read snapshot: %w", errDamaged)
	}
	return book, nil
}

// joinAll takes in the people of a block, who stand behind all before.
func (b *Book) joinAll(d *decoder) bool {
	for d.more() {
		number := d.id()
		c := d.change()
		c.ID = number
		if d.bad || !b.join(&c) {
			return false
		}
	}
	return !d.bad
}

func (b *Book) join(c *Change) bool {
	id, ok := c.Entra.GUID()
	if n := len(b.people); !ok || c.Kind != Presence || n > 0 && bytes.Compare(b.people[n-1].entra[:], id[:]) >= 0 {
		return false
	}
	b.people = append(b.people, recordOf(id, c))
	return true
}

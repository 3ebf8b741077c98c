package feed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"procallteams/internal/presence"
)

// maxBlock bounds a block before compression, and with it what a hostile or
// damaged block can make the decoder allocate. A part of an append is one block.
const maxBlock = 512 << 10

// maxChange bounds one encoded change: names are at most some hundred bytes.
const maxChange = 16 << 10

// zstdWindow is small, since blocks are: the default keeps 8 MiB per coder.
const zstdWindow = 512 << 10

var coders = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // constant options
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxBlock+maxChange))
	if err != nil {
		panic(err)
	}
	return encoder, decoder
})

// compress turns a block into what is stored: zstd, with its own checksum.
func compress(block []byte) []byte {
	encoder, _ := coders()
	return encoder.EncodeAll(block, nil)
}

// decompress appends to a buffer what a block was.
func decompress(buffer []byte, packed []byte) ([]byte, error) {
	_, decoder := coders()
	block, err := decoder.DecodeAll(packed, buffer)
	if err != nil {
		return nil, fmt.Errorf("decompress block: %w", err)
	}
	return block, nil
}

// errDamaged reports a block that this package did not make.
var errDamaged = errors.New("stored changes are damaged")

// appendChange encodes a change without its id:
//
//	kind: 0 presence, 1 removed
//	user, ucid, entra: text, each as length and bytes
//	removed: reason as text
//	presence: availability, activity, source, state, sequence as text;
//	  flags (1 = out of office); reasons; observedAt as Unix milliseconds
//
// Numbers are varints (encoding/binary).
func appendChange(b []byte, c Change) []byte {
	removed := c.Kind == Removed
	b = append(b, flag(removed))
	b = appendText(b, c.User)
	b = appendText(b, c.UCID)
	b = appendText(b, string(c.Entra))
	if removed {
		return appendText(b, string(c.Reason))
	}
	o := c.Outcome
	b = appendText(b, string(o.Availability))
	b = appendText(b, string(o.Activity))
	b = appendText(b, string(o.Source))
	b = appendText(b, string(o.ProCall.State))
	b = appendText(b, c.Sequence)
	b = append(b, flag(o.OutOfOffice), byte(o.ProCall.Reasons))
	return binary.AppendVarint(b, c.ObservedAt.UnixMilli())
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// decoder reads a block. Its texts are parts of the block. After a fault, bad is set
// and every value is zero.
type decoder struct {
	b   string
	bad bool
}

func (d *decoder) more() bool { return !d.bad && len(d.b) > 0 }

func (d *decoder) take(n int) string {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return ""
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

func (d *decoder) byte() byte {
	if b := d.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// number returns the bytes in which the next number is.
func (d *decoder) number() []byte { return []byte(d.b[:min(len(d.b), binary.MaxVarintLen64)]) }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.number())
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.take(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.number())
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.take(n)
	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > maxBlock {
		d.bad = true
		return ""
	}
	return d.take(int(n))
}

func (d *decoder) id() ID {
	number, index := d.uvarint(), d.uvarint()
	if index > math.MaxUint32 {
		d.bad = true
	}
	return ID{number, uint32(index)}
}

func (d *decoder) change() Change {
	c, before := Change{Kind: Presence}, len(d.b)
	defer func() { d.bad = d.bad || before-len(d.b) > maxChange }()
	if d.byte() == 1 {
		c.Kind = Removed
	}
	c.User, c.UCID, c.Entra = d.text(), d.text(), presence.UserID(d.text())
	if c.Kind == Removed {
		c.Reason = RemovedReason(d.text())
		return c
	}
	o := &c.Outcome
	o.Availability, o.Activity = presence.Availability(d.text()), presence.Activity(d.text())
	o.Source, o.ProCall.State = presence.Source(d.text()), presence.ProCallState(d.text())
	c.Sequence = d.text()
	o.OutOfOffice, o.ProCall.Reasons = d.byte() == 1, presence.Reasons(d.byte())
	c.ObservedAt = time.UnixMilli(d.varint()).UTC()
	return c
}

// Packed is one append, ready to be stored in a single transaction.
type Packed struct {
	Entry Entry
	// Parts are the entry's changes, compressed: each fits into one entity, all
	// of them into one transaction.
	Parts [][]byte
	// Head is the head after this append, without a version.
	Head Head
}

// Limits of one append, below those of a transaction (4 MiB of base64 and
// headers, 100 entities), which also holds the head.
const (
	maxParts     = 90
	maxPartBytes = 2400 << 10
)

// partOverhead is what an entity costs beside its packed bytes, for LogBytes.
const partOverhead = 128

// Pack builds the append that follows head from as many of changes as one
// transaction holds, and returns the rest. It sets the ids of those packed, in
// changes too. Times are cut to milliseconds, so that what is read back equals
// what was appended. A zero head begins a feed: it gets a new epoch.
func Pack(head Head, changes []Change, at time.Time) (Packed, []Change, error) {
	if len(changes) == 0 {
		return Packed{}, nil, errors.New("no changes")
	}
	at = at.UTC().Truncate(time.Millisecond)
	next := head
	if head.Epoch == "" {
		next.Epoch = newEpoch()
	}
	next.Last, next.At, next.Version = ID{Append: head.Last.Append + 1}, at, ""
	next.LogAppends++

	var parts [][]byte
	var block []byte
	packed, done := 0, 0 // bytes, changes in finished parts
	finish := func(upTo int) bool {
		part := compress(block)
		if len(parts) == maxParts || len(parts) > 0 && packed+len(part) > maxPartBytes {
			return false
		}
		parts, block = append(parts, part), block[:0]
		packed += len(part)
		done = upTo
		return true
	}
	for i := range changes {
		c := &changes[i]
		c.ID = ID{next.Last.Append, uint32(i + 1)}
		c.ObservedAt = c.ObservedAt.UTC().Truncate(time.Millisecond)
		before := len(block)
		block = appendChange(block, *c)
		if len(block)-before > maxChange {
			return Packed{}, nil, fmt.Errorf("change %s has %d bytes, more than %d", c.ID, len(block)-before, maxChange)
		}
		if len(block) >= maxBlock-maxChange && !finish(i+1) {
			block = nil
			break
		}
	}
	if len(block) > 0 {
		finish(len(changes))
	}
	next.Last.Index = uint32(done)
	next.LogBytes += int64(packed + len(parts)*partOverhead)
	entry := Entry{Epoch: next.Epoch, Append: next.Last.Append, Previous: head.Last, At: at, Changes: changes[:done]}
	return Packed{Entry: entry, Parts: parts, Head: next}, changes[done:], nil
}

// Unpack decodes the parts of a stored entry and sets the ids of its changes.
func Unpack(entry Entry, parts [][]byte) (Entry, error) {
	for _, part := range parts {
		block, err := decompress(nil, part)
		if err != nil {
			return Entry{}, fmt.Errorf("read append %d: %w", entry.Append, err)
		}
		d := decoder{b: string(block)}
		for d.more() {
			c := d.change()
			c.ID = ID{entry.Append, uint32(len(entry.Changes) + 1)}
			entry.Changes = append(entry.Changes, c)
		}
		if d.bad {
			return Entry{}, fmt.Errorf("read append %d: %w", entry.Append, errDamaged)
		}
	}
	return entry, nil
}

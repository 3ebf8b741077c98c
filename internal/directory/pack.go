package directory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// What is stored is zstd of a byte for its form, then fields one after another:
// numbers as varints, texts with their lengths before them. Behind it stands in four
// bytes, the lowest first, how much that is unpacked.
const (
	formDirectory byte = '2'
	formAccounts  byte = 'A'
	formUsers     byte = 'U'
	formReport    byte = 'R'
)

// maxBlock bounds what is unpacked: some 500 bytes for each of a million people.
const maxBlock = 512 << 20

// window is how far back the packed form may refer: all that packing and unpacking
// keep in memory of it.
const window = 1 << 20

// ErrForm refuses a blob that is damaged, or was written by another version of the
// bridge.
var ErrForm = errors.New("not a stored directory of this version")

// packer writes the stored form.
type packer struct {
	packed bytes.Buffer
	zip    *zstd.Encoder
	fields []byte
	size   int // of what was flushed
	err    error
}

func newPacker(form byte) *packer {
	p := &packer{fields: []byte{form}}
	p.zip, p.err = zstd.NewWriter(&p.packed, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	return p
}

func (p *packer) number(n int) { p.fields = binary.AppendUvarint(p.fields, uint64(n)) }

func (p *packer) flag(b bool) {
	n := 0
	if b {
		n = 1
	}
	p.number(n)
}

func (p *packer) text(s string) {
	p.number(len(s))
	p.fields = append(p.fields, s...)
	if len(p.fields) > 64<<10 {
		p.flush()
	}
}

func packTexts[T ~string](p *packer, list []T) {
	p.number(len(list))
	for _, s := range list {
		p.text(string(s))
	}
}

func (p *packer) flush() {
	if p.err == nil {
		_, p.err = p.zip.Write(p.fields)
	}
	p.size += len(p.fields)
	p.fields = p.fields[:0]
}

func (p *packer) done() ([]byte, error) {
	p.flush()
	if p.err != nil {
		return nil, p.err
	}
	if err := p.zip.Close(); err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint32(p.packed.Bytes(), uint32(p.size)), nil
}

// unpacker reads the stored form. All texts share one block of memory. After the
// first field that can't be read everything is zero.
type unpacker struct {
	rest    string
	damaged bool
}

func newUnpacker(packed []byte, form byte) (*unpacker, error) {
	end := len(packed) - 4
	if end < 0 {
		return nil, ErrForm
	}
	size := int(binary.LittleEndian.Uint32(packed[end:]))
	r, err := zstd.NewReader(bytes.NewReader(packed[:end]), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return nil, ErrForm
	}
	defer r.Close()
	var block strings.Builder
	block.Grow(min(size, 64*end, maxBlock)) // a lie costs no more than the packed size allows
	if _, err := io.Copy(&block, io.LimitReader(r, maxBlock)); err != nil || block.Len() != size {
		return nil, ErrForm
	}
	text, ok := strings.CutPrefix(block.String(), string(form))
	if !ok {
		return nil, ErrForm
	}
	return &unpacker{rest: text}, nil
}

func (u *unpacker) number() int {
	n, shift := uint64(0), 0
	for i := range len(u.rest) {
		b := u.rest[i]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			u.rest = u.rest[i+1:]
			if n > maxBlock {
				break
			}
			return int(n)
		}
		if shift += 7; shift > 28 {
			break
		}
	}
	u.rest, u.damaged = "", true
	return 0
}

// count reads how many entries follow; each takes a byte at least.
func (u *unpacker) count() int {
	n := u.number()
	if n > len(u.rest) {
		u.rest, u.damaged = "", true
		return 0
	}
	return n
}

func (u *unpacker) flag() bool { return u.number() == 1 }

func (u *unpacker) text() string {
	n := u.count()
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

func unpackTexts[T ~string](u *unpacker) []T {
	n := u.count()
	if n == 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		list[i] = T(u.text())
	}
	return list
}

// end reports whether everything was read, and nothing was missing.
func (u *unpacker) end() error {
	if u.damaged || u.rest != "" {
		return ErrForm
	}
	return nil
}

package feed

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Compare orders ids: append first, then index, as integers.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Append, other.Append), cmp.Compare(id.Index, other.Index))
}

// String returns the text form, such as "812.3".
func (id ID) String() string {
	return strconv.FormatUint(id.Append, 10) + "." + strconv.FormatUint(uint64(id.Index), 10)
}

// MarshalText is String for encoders.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is [ParseID] for decoders.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// ParseID reads the text form.
func ParseID(text string) (ID, error) {
	left, right, ok := strings.Cut(text, ".")
	number, err := strconv.ParseUint(left, 10, 64)
	index, err2 := strconv.ParseUint(right, 10, 32)
	id := ID{number, uint32(index)}
	if !ok || err != nil || err2 != nil || id.String() != text {
		return ID{}, errors.New("not an id such as 812.3")
	}
	return id, nil
}

// ErrMalformedCursor reports a cursor that this bridge never made.
var ErrMalformedCursor = errors.New("the cursor is malformed")

// cursorVersion is the first byte of a cursor: another layout takes another one.
const cursorVersion = 1

// maxEpoch bounds an epoch's length, and with it a cursor's.
const maxEpoch = 64

// Cursor returns the opaque form of a position that clients keep: base64url of
// version, append, index and epoch. It names no tenant: a cursor is looked up in
// the feed of the credential that came with it, and nowhere else.
func (p Position) Cursor() string {
	b := []byte{cursorVersion}
	b = binary.AppendUvarint(b, p.Append)
	b = binary.AppendUvarint(b, uint64(p.Index))
	return base64.RawURLEncoding.EncodeToString(append(b, p.Epoch...))
}

// String is for logs.
func (p Position) String() string { return p.Epoch + "/" + p.ID.String() }

// MarshalText is Cursor for encoders.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.Cursor()), nil }

// UnmarshalText is [ParseCursor] for decoders.
func (p *Position) UnmarshalText(text []byte) (err error) {
	*p, err = ParseCursor(string(text))
	return err
}

// ParseCursor reads what [Position.Cursor] made, byte for byte. Anything else is
// ErrMalformedCursor.
func ParseCursor(text string) (Position, error) {
	if len(text) > base64.RawURLEncoding.EncodedLen(1+10+5+maxEpoch) {
		return Position{}, fmt.Errorf("%w: too long", ErrMalformedCursor)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) == 0 {
		return Position{}, fmt.Errorf("%w: not base64url", ErrMalformedCursor)
	}
	if b[0] != cursorVersion {
		return Position{}, fmt.Errorf("%w: unknown version", ErrMalformedCursor)
	}
	number, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return Position{}, fmt.Errorf("%w: no append", ErrMalformedCursor)
	}
	index, m := binary.Uvarint(b[1+n:])
	if m <= 0 || index > 1<<32-1 {
		return Position{}, fmt.Errorf("%w: no index", ErrMalformedCursor)
	}
	p := Position{string(b[1+n+m:]), ID{number, uint32(index)}}
	for _, r := range p.Epoch {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return Position{}, fmt.Errorf("%w: bad epoch", ErrMalformedCursor)
		}
	}
	if p.Cursor() != text || p.Epoch == "" && p.ID != (ID{}) {
		return Position{}, fmt.Errorf("%w: not in its own form", ErrMalformedCursor)
	}
	return p, nil
}

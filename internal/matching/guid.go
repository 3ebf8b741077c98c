package matching

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// guid is a GUID's 16 bytes in the order of its text, 00112233-4455-6677-….
type guid [16]byte

// mixed turns between the order of the text and the one in which Windows keeps a
// GUID (Guid.ToByteArray): the first three groups are little-endian.
func (g guid) mixed() guid {
	g[0], g[1], g[2], g[3] = g[3], g[2], g[1], g[0]
	g[4], g[5] = g[5], g[4]
	g[6], g[7] = g[7], g[6]
	return g
}

// immutableGUID appends the objectGUID in an onPremisesImmutableId: the base64 of
// its bytes as Windows keeps them. Other things may stand there; they are no GUID.
func immutableGUID(to []guid, id string) []guid {
	if g, ok := base64GUID(id); ok {
		return append(to, g)
	}
	return to
}

func base64GUID(text string) (guid, bool) {
	text = strings.TrimRight(text, "=")
	var decoded [18]byte
	if len(text) != base64.RawStdEncoding.EncodedLen(16) {
		return guid{}, false
	}
	n, err := base64.RawStdEncoding.Decode(decoded[:], []byte(text))
	g := guid(decoded[:16]).mixed()
	return g, err == nil && n == 16 && g != guid{}
}

// objectGUIDs appends what a user's objectGUID may mean. Usual are the text with
// hyphens, also in braces; the same without hyphens, which is just as well a dump
// of the bytes as Windows keeps them; that dump with backslashes, as LDAP filters
// have it, or with blanks; and base64 of these bytes.
func objectGUIDs(to []guid, text string) []guid {
	text = strings.Trim(text, " {}()")
	if g, ok := base64GUID(text); ok {
		return append(to, g)
	}
	var digits [32]byte
	n, marks := 0, byte(0)
	for _, c := range []byte(text) {
		switch {
		case c == '-' || c == '\\' || c == ' ' || c == ':':
			marks = c
		case n == len(digits):
			return to
		default:
			digits[n] = c
			n++
		}
	}
	var g guid
	if _, err := hex.Decode(g[:], digits[:n]); err != nil || n != len(digits) || g == (guid{}) {
		return to
	}
	switch marks {
	case 0:
		return append(to, g, g.mixed())
	case '-':
		return append(to, g)
	}
	return append(to, g.mixed())
}

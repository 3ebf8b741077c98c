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

// base64GUID reads the base64 of a GUID's bytes as Windows keeps them. That is the
// form of an onPremisesImmutableId made from an objectGUID. Anything else may stand
// there as well, and after a move between forests another GUID: lower rules serve.
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

func (v *values) guid(g guid) {
	v.text = append(v.text, g[:]...)
	v.ends = append(v.ends, len(v.text))
}

// objectGUIDs adds what a user's objectGUID may mean. Usual are the text with
// hyphens, also in braces; the same without hyphens, which is just as well a dump
// of the bytes as Windows keeps them; that dump with backslashes, as LDAP filters
// have it, or with blanks; and base64 of these bytes.
func objectGUIDs(v *values, text string) {
	text = strings.Trim(text, " {}()")
	if g, ok := base64GUID(text); ok {
		v.guid(g)
		return
	}
	var digits [32]byte
	n, marks := 0, byte(0)
	for _, c := range []byte(text) {
		switch {
		case c == '-' || c == '\\' || c == ' ' || c == ':':
			marks = c
		case n == len(digits):
			return
		default:
			digits[n] = c
			n++
		}
	}
	var g guid
	if _, err := hex.Decode(g[:], digits[:n]); err != nil || n != len(digits) || g == (guid{}) {
		return
	}
	if marks == 0 || marks == '-' {
		v.guid(g)
	}
	if marks != '-' {
		v.guid(g.mixed())
	}
}

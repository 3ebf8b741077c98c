package matching

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// decode returns the file as UTF-8 without a byte order mark. A byte that the
// encoding does not have becomes U+FFFD, which the caller refuses.
func (p *parser) decode(file []byte) string {
	switch {
	case bytes.HasPrefix(file, []byte("\xef\xbb\xbf")):
		p.warn(0, "the file begins with a byte order mark (UTF-8); it was skipped")
		return string(file[3:])
	case bytes.HasPrefix(file, []byte("\xff\xfe")), bytes.HasPrefix(file, []byte("\xfe\xff")):
		p.warn(0, "the file is UTF-16")
		return decodeWith(unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM), file)
	case utf8.Valid(file):
		return string(file)
	}
	text := decodeWith(charmap.Windows1252, file)
	for at, b := range file {
		if b >= 0x80 {
			line := 1 + bytes.Count(file[:at], []byte("\n"))
			p.warn(line, fmt.Sprintf("the file was read as Windows-1252: byte %X as %c; save it as CSV UTF-8 to be sure", b, charmap.Windows1252.DecodeByte(b)))
			break
		}
	}
	return text
}

func decodeWith(e encoding.Encoding, file []byte) string {
	text, err := e.NewDecoder().Bytes(file)
	if err != nil {
		return string(utf8.RuneError)
	}
	return string(text)
}

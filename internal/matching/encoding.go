package matching

import (
	"bytes"
	"fmt"
	"strings"
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
		p.warn(0, 0, "the file begins with a byte order mark (UTF-8); it was skipped")
		file = file[3:]
	case bytes.HasPrefix(file, []byte("\xff\xfe")), bytes.HasPrefix(file, []byte("\xfe\xff")):
		p.warn(0, 0, "the file is UTF-16")
		return decodeWith(unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM), file)
	}
	bad, wide := oddBytes(file)
	if bad < 0 {
		return string(file)
	}
	line, column := position(file, bad)
	if wide {
		// Read as Windows-1252, every other umlaut of the file would be wrong.
		p.fault(line, column, fmt.Sprintf("byte %X is not UTF-8, but characters elsewhere are: the file was cut off or put together from two", file[bad]),
			"compare the end of the file with the original, and save it anew as CSV UTF-8")
		return ""
	}
	p.warn(line, column, fmt.Sprintf("the file was read as Windows-1252: byte %X as %c; save it as CSV UTF-8 to be sure", file[bad], charmap.Windows1252.DecodeByte(file[bad])))
	return decodeWith(charmap.Windows1252, file)
}

// oddBytes returns the position of the first byte that is no UTF-8, -1 for none,
// and whether there are characters of several bytes.
func oddBytes(file []byte) (bad int, wide bool) {
	bad = -1
	for at := 0; at < len(file); {
		r, size := utf8.DecodeRune(file[at:])
		switch {
		case size > 1:
			wide = true
		case r == utf8.RuneError && bad < 0:
			bad = at
		}
		at += size
	}
	return bad, wide
}

// position returns the line and the character of a byte, both from 1.
func position(file []byte, at int) (line, column int) {
	before := lineEnds.Replace(string(file[:at]))
	begin := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[begin:])
}

// lineEnds makes every line end a line feed.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

func decodeWith(e encoding.Encoding, file []byte) string {
	text, err := e.NewDecoder().Bytes(file)
	if err != nil {
		return string(utf8.RuneError)
	}
	return string(text)
}

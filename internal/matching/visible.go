package matching

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Visible writes out what a screen does not show of a name, as ⟨U+200B⟩: blanks at its
// ends, other characters that can't be seen, and the second part of a letter that stands
// there in two. For pages, on which two names would else look alike.
func Visible(name string) string {
	if plainASCII(name) {
		return name
	}
	inner := strings.Trim(name, " ")
	head, tail := strings.Index(name, inner), 0
	if inner != "" {
		tail = head + len(inner)
	}
	whole := norm.NFC.IsNormalString(name)
	var shown strings.Builder
	for at, r := range name {
		outside := at < head || at >= tail
		if r == ' ' && outside || r != ' ' && (invisible(r) || unicode.IsControl(r)) || !whole && unicode.Is(unicode.Mn, r) {
			fmt.Fprintf(&shown, "⟨%U⟩", r)
			continue
		}
		shown.WriteRune(r)
	}
	return shown.String()
}

package health

import "strings"

// Clip bounds what a row keeps of a text that others wrote a part of, in bytes: an
// answer, an address or a certificate may be of any length, a row's value may not.
func Clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " ..."
}

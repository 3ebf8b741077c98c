package reply

import (
	"path"
	"strings"
)

// TagOf returns the ETag of what lies in a blob of its own; empty for none.
func TagOf(blob string) string {
	if blob == "" {
		return ""
	}
	return `"` + path.Base(blob) + `"`
}

// Holds reports whether what is in force, under tag, is what a request demands with
// If-Match and If-None-Match (RFC 9110, section 13.1); either may be empty.
func Holds(ifMatch, ifNoneMatch, tag string) bool {
	return (ifMatch == "" || Names(ifMatch, tag)) && (ifNoneMatch == "" || !Names(ifNoneMatch, tag))
}

// Names reports whether a list of ETags names one. A proxy that compresses answers
// may have made it a weak one.
func Names(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if tag != "" && (one == "*" || strings.TrimPrefix(one, "W/") == tag) {
			return true
		}
	}
	return false
}

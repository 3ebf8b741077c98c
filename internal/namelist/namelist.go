// Package namelist takes in usermatching.csv, for the upload, the console and the
// command line alike: it is read, refused with every fault, compared with the file
// in force, and kept exactly as it came.
//
// What a file may look like is package matching's; storage keeps the bytes. The
// next sync works with what was stored.
package namelist

import (
	"bytes"
	"fmt"

	"procallteams/internal/matching"
)

// Limits of a file, far above what UCServer's users need. They keep a wrong file
// from taking the memory of the instance.
const (
	MaxBytes = 64 << 20
	MaxLines = 500_000
)

// Check reads a file as an upload does. Besides what [matching.Parse] refuses, an
// empty file is refused, since it can't be told from an upload that lost its
// content, and one that is too large. It returns a *[matching.FaultsError], and
// then no list.
func Check(file []byte) (matching.List, error) {
	refuse := func(text, repair string) (matching.List, error) {
		return matching.List{}, &matching.FaultsError{Faults: []matching.Fault{{Text: text, Repair: repair}}}
	}
	if len(file) == 0 {
		return refuse("the file is empty", "to match nobody by file, upload one line with the titles: Azure AD username,UCServer username")
	}
	if len(file) > MaxBytes {
		return refuse(fmt.Sprintf("the file has %d bytes; at most %d are read", len(file), MaxBytes), tooLarge)
	}
	if lines := max(bytes.Count(file, []byte("\n")), bytes.Count(file, []byte("\r"))); lines > MaxLines {
		return refuse(fmt.Sprintf("the file has %d lines; at most %d are read", lines, MaxLines), tooLarge)
	}
	return matching.Parse(file)
}

const tooLarge = "name only people whom no other rule matches, and take blank lines away"

// Package matching reads usermatching.csv, the list that gives Entra users their
// UCServer names where the two differ.
//
// The file is what people really save: see [Parse] for encodings, separators and
// quotes. Names are compared exactly, as the original does. What can't be
// understood with certainty refuses the whole file, with every fault listed
// ([FaultsError]); what is merely unusual is a [Warning]. No I/O.
package matching

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// List is a name list that was read. The zero List matches nobody.
type List struct {
	names map[string]string // UPN to UCServer name
	// Warnings are what was unusual, in the order of lines.
	Warnings []Warning
}

// Name returns the UCServer name that the list gives to a UPN. The comparison is
// exact, upper and lower case included.
func (l List) Name(upn string) (string, bool) {
	name, ok := l.names[upn]
	return name, ok
}

// Len returns how many users the list names.
func (l List) Len() int { return len(l.names) }

// Fingerprint tells two files apart.
func Fingerprint(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:8])
}

// Warning is something unusual that does not stand against using the file.
type Warning struct {
	Line int // from 1; 0 concerns the whole file
	Text string
}

// Fault is a reason to refuse the file.
type Fault struct {
	Line int // from 1; 0 concerns the whole file
	Text string
}

// FaultsError refuses a file, with all reasons.
type FaultsError struct{ Faults []Fault }

func (e *FaultsError) Error() string {
	texts := make([]string, 0, 10)
	for _, f := range e.Faults {
		if len(texts) == 9 {
			texts = append(texts, fmt.Sprintf("and %d more", len(e.Faults)-9))
			break
		}
		texts = append(texts, fmt.Sprintf("line %d: %s", f.Line, f.Text))
	}
	return "usermatching.csv is not used: " + strings.Join(texts, "; ")
}

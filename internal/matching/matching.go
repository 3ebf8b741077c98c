// Package matching says which Entra account and which user of UCServer are one
// person, and for everybody on both sides why, or why not.
//
// [Parse] reads usermatching.csv, the administrator's list of names: what people
// really save, see there. What can't be understood with certainty refuses the
// whole file, with every fault listed ([FaultsError]); what is merely unusual is
// a [Warning].
//
// [Match] compares the two directories by these rules, in this order:
//
//	usermatching.csv   the line's left name is the account's UPN and its right name
//	                   the UCServer user name, exactly, upper and lower case included
//	objectGUID         the account's onPremisesImmutableId is the objectGUID
//	objectSID          the account's onPremisesSecurityIdentifier is the objectSID
//	upn                UCServer's UPN or user name is the account's UPN
//	onPremisesUpn      UCServer's UPN or user name is the account's on-premises UPN
//	samAccountName     the SAM account names are equal, and where UCServer gives a
//	                   domain, it is the account's DNS domain or its first label
//	mail               mail or SIP address is the account's mail or a proxy address
//
// All but the first compare without regard to case. What decides:
//
//   - A rule matches two who have nobody else by this rule. Whoever has several,
//     or has one who has several, is ambiguous: that is final, no lower rule
//     guesses, a line in usermatching.csv settles it.
//   - A higher rule wins. Who is matched or ambiguous takes no part in lower rules.
//     So of two users of UCServer who claim one account by different rules the one
//     with the higher rule has it; the other is unmatched, with [Decided] and the
//     account. Two who claim it by the same rule are both ambiguous.
//   - A line of usermatching.csv is the last word on everybody it names: when
//     nobody has the other name, they stay unmatched and take part in no other
//     rule. A name that differs from the line, even in case only, is not named by it.
//   - Disabled accounts and guests are never matched and are in nobody's way; they
//     only serve to explain.
//
// Without a list of UCServer's users, an account's UCServer name is the one that
// usermatching.csv gives, else its UPN; accounts with the same name are ambiguous.
//
// Equal input gives equal results, in whatever order it comes. Who takes part of
// those matched is a matter of package participation. No I/O.
package matching

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// List is a name list that was read. The zero List matches nobody.
type List struct {
	lines  []Line
	byLeft map[string]int32 // UPN to position in lines
	// Warnings are what was unusual, in the order of lines.
	Warnings []Warning
}

// Line is one line that gives a name.
type Line struct {
	Number int // in the file, from 1
	UPN    string
	Name   string // UCServer user name
}

// Name returns the UCServer name that the list gives to a UPN. The comparison is
// exact, upper and lower case included.
func (l List) Name(upn string) (string, bool) {
	line, ok := l.line(upn)
	return line.Name, ok
}

func (l List) line(upn string) (Line, bool) {
	i, ok := l.byLeft[upn]
	if !ok {
		return Line{}, false
	}
	return l.lines[i], true
}

// Lines returns the lines in the order of the file.
func (l List) Lines() []Line { return slices.Clone(l.lines) }

// Len returns how many users the list names.
func (l List) Len() int { return len(l.lines) }

// Fingerprint tells two files apart.
func Fingerprint(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:8])
}

// Warning is something unusual that does not stand against using the file. Like
// [Fault] it quotes no name: both end up in logs and in answers.
type Warning struct {
	Line int // from 1; 0 concerns the whole file
	// Column counts characters from 1; 0 concerns the whole line.
	Column int
	Text   string
}

// Fault is a reason to refuse the file.
type Fault struct {
	Line int // from 1; 0 concerns the whole file
	// Column counts characters from 1; 0 concerns the whole line.
	Column int
	Text   string
	Repair string // what to do
}

func (f Fault) String() string {
	if f.Column == 0 {
		return fmt.Sprintf("line %d: %s", f.Line, f.Text)
	}
	return fmt.Sprintf("line %d, column %d: %s", f.Line, f.Column, f.Text)
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
		texts = append(texts, f.String())
	}
	return "usermatching.csv is not used: " + strings.Join(texts, "; ")
}

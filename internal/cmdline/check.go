package cmdline

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"procallteams/internal/matching"
	"procallteams/internal/namelist"
)

// check looks at one usermatching.csv as an upload does.
func (c command) check(path string, content []byte) int {
	list, err := namelist.Check(content)
	if refused, ok := errors.AsType[*matching.FaultsError](err); ok {
		for _, f := range refused.Faults {
			fmt.Fprintf(c.err, "%s: %s; %s\n", place(path, f.Line, f.Column), visible(f.Text), f.Repair)
		}
		fmt.Fprintf(c.out, "%s: refused, %s\n", path, count(len(refused.Faults), "fault"))
		return faulty
	}
	for _, w := range list.Warnings {
		fmt.Fprintf(c.err, "%s: warning: %s\n", place(path, w.Line, w.Column), visible(w.Text))
	}
	fmt.Fprintf(c.out, "%s: can be used, %s, %s\n", path, count(list.Len(), "name"), count(len(list.Warnings), "warning"))
	return well
}

// place is what editors and people know: file:line:column.
func place(path string, line, column int) string {
	switch {
	case line == 0:
		return path
	case column == 0:
		return fmt.Sprintf("%s:%d", path, line)
	}
	return fmt.Sprintf("%s:%d:%d", path, line, column)
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// visible shows characters that no screen shows, and keeps those that turn a
// line around from doing it here.
func visible(text string) string {
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if hidden(r) {
			fmt.Fprintf(&b, "<%U>", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) || r != ' ' && unicode.IsSpace(r) }

package matching

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parse reads a name list: two columns, the Entra user name, then the UCServer
// name. Accepted are UTF-8 with or without a byte order mark, UTF-16 with one,
// else Windows-1252; comma, semicolon or tab, one of them for the whole file,
// also announced by a "sep=" line; quotes as in RFC 4180; any line end; blank
// lines; the original's column titles as a first line. It returns a
// *FaultsError, and then no list.
func Parse(file []byte) (List, error) {
	p := parser{list: List{names: map[string]string{}}, seenLeft: map[string]int{}, seenRight: map[string]int{}}
	text := p.decode(file)
	if at := strings.IndexFunc(text, binary); at >= 0 {
		p.fault(1+strings.Count(text[:at], "\n"), fmt.Sprintf("holds the control character %U; this is not a text file", firstRune(text[at:])))
		return List{}, &FaultsError{p.faults}
	}
	text, first := p.announced(text)
	separator := p.separator(text, first)
	reader := csv.NewReader(strings.NewReader(text))
	reader.Comma = separator
	reader.FieldsPerRecord = -1
	for titles := true; ; titles = false {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if syntax, ok := errors.AsType[*csv.ParseError](err); ok {
			p.fault(syntax.StartLine+first-1, "a quotation mark is not closed, or stands inside a name")
			break // where the next line begins is not certain
		}
		line, _ := reader.FieldPos(0)
		p.record(line+first-1, record, titles)
	}
	if len(p.faults) > 0 {
		return List{}, &FaultsError{p.faults}
	}
	return p.list, nil
}

type parser struct {
	list                List
	faults              []Fault
	seenLeft, seenRight map[string]int // line of each name
}

func (p *parser) fault(line int, text string) { p.faults = append(p.faults, Fault{line, text}) }
func (p *parser) warn(line int, text string) {
	p.list.Warnings = append(p.list.Warnings, Warning{line, text})
}

func firstRune(text string) rune { r, _ := utf8.DecodeRuneInString(text); return r }

// binary reports characters that no name list holds.
func binary(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f || r == utf8.RuneError
}

// announced takes a first line "sep=;" away and returns the number of the line
// at which the text then begins.
func (p *parser) announced(text string) (string, int) {
	line, rest, _ := strings.Cut(text, "\n")
	line = strings.TrimRight(line, "\r")
	if len(line) == 5 && strings.EqualFold(line[:4], "sep=") && strings.ContainsAny(line[4:], ",;\t") {
		p.warn(1, "the line "+line+" names the separator")
		return rest, 2
	}
	return text, 1
}

// separator finds the one separator outside of quotes. Two different ones are a
// fault: which of them belongs to a name is not certain.
func (p *parser) separator(text string, line int) rune {
	found, quoted := rune(0), false
	for _, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case r == '\n':
			line++
		case !quoted && (r == ',' || r == ';' || r == '\t'):
			if found == 0 {
				found = r
				if r != ',' {
					p.warn(line, fmt.Sprintf("the separator is %s, not a comma", separatorNames[r]))
				}
			}
			if r != found {
				p.fault(line, fmt.Sprintf("two separators in one file: %s here, %s before", separatorNames[r], separatorNames[found]))
				return found
			}
		}
	}
	if found == 0 {
		return ','
	}
	return found
}

var separatorNames = map[rune]string{',': "a comma", ';': "a semicolon", '\t': "a tab"}

func (p *parser) record(line int, record []string, first bool) {
	if len(record) == 1 && strings.TrimFunc(record[0], invisible) == "" {
		return // blank, but for characters that nobody sees
	}
	if len(record) != 2 {
		p.fault(line, fmt.Sprintf("has %d columns; two are needed: Entra user name, UCServer user name", len(record)))
		return
	}
	if first && titles(record) {
		return
	}
	for i, column := range []string{"Entra user name", "UCServer user name"} {
		record[i] = p.trim(line, column, record[i])
		if record[i] == "" {
			p.fault(line, "the "+column+" is empty")
			return
		}
		if len(record[i]) > maxName {
			p.fault(line, fmt.Sprintf("the %s has %d bytes; names have at most %d, so a quotation mark is probably missing", column, len(record[i]), maxName))
			return
		}
	}
	left, right := record[0], record[1]
	if before, ok := p.seenLeft[left]; ok {
		p.fault(line, fmt.Sprintf("%s is already matched on line %d", left, before))
		return
	}
	if before, ok := p.seenRight[right]; ok {
		p.warn(line, fmt.Sprintf("%s is also the UCServer name on line %d: who has it can't be told, so both are left out", right, before))
	}
	p.seenLeft[left], p.seenRight[right] = line, line
	p.list.names[left] = right
}

// maxName bounds a name, in bytes, far above what either side allows and below
// what one change of the feed may hold.
const maxName = 1024

// titles reports the original's column titles (documentation of estos: columns
// "Azure AD username" and "UCServer username").
func titles(record []string) bool {
	left, right := plain(record[0]), plain(record[1])
	return (left == "azureadusername" || left == "azureaduser" || left == "entrausername" || left == "upn") &&
		(right == "ucserverusername" || right == "ucserveruser" || right == "ucserver")
}

func plain(title string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}

// invisible reports blanks and characters that no screen shows.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Z, r)
}

// trim takes invisible characters from the ends and warns about each of them,
// and about those inside, which stay.
func (p *parser) trim(line int, column, name string) string {
	trimmed := strings.TrimFunc(name, invisible)
	if trimmed != name {
		head, tail, _ := strings.Cut(name, trimmed)
		for _, end := range []struct{ text, where string }{{head, "beginning"}, {tail, "end"}} {
			for _, r := range end.text {
				p.warn(line, fmt.Sprintf("%U at the %s of the %s was taken away", r, end.where, column))
			}
		}
	}
	for _, r := range trimmed {
		if r != ' ' && invisible(r) {
			p.warn(line, fmt.Sprintf("%U inside the %s can't be seen on a screen", r, column))
		}
	}
	return trimmed
}

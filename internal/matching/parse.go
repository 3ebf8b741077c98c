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
// lines; the original's column titles as a first line. Blanks and invisible
// characters around a name are taken away, inside a name they stay; both with a
// warning that names line, column and code point. It returns a *FaultsError, and
// then no list.
func Parse(file []byte) (List, error) {
	p := parser{foldedLeft: map[string]int{}, foldedName: map[string]int{}}
	text := lineEnds.Replace(p.decode(file))
	lines := strings.Count(text, "\n") + 1
	p.list.byLeft, p.seenName = make(map[string]int32, lines), make(map[string]int, lines)
	if at := strings.IndexFunc(text, binary); at >= 0 {
		line, column := position([]byte(text), at)
		p.binary(line, column, firstRune(text[at:]))
		return List{}, &FaultsError{p.faults}
	}
	p.records(text)
	if len(p.faults) > 0 {
		return List{}, &FaultsError{p.faults}
	}
	if len(p.list.lines) == 0 && len(file) > 0 {
		p.warn(0, 0, "the file names nobody")
	}
	return p.list, nil
}

type parser struct {
	list     List
	faults   []Fault
	seenName map[string]int // line of each right name
	// Lines of the names with capitals, by what they are in lower case.
	foldedLeft, foldedName map[string]int
}

func (p *parser) fault(line, column int, text, repair string) {
	p.faults = append(p.faults, Fault{line, column, text, repair})
}

func (p *parser) warn(line, column int, text string) {
	switch n := len(p.list.Warnings); {
	case n < maxWarnings:
		p.list.Warnings = append(p.list.Warnings, Warning{line, column, text})
	case n == maxWarnings:
		p.list.Warnings = append(p.list.Warnings, Warning{line, 0, "there are more warnings from here on"})
	}
}

func firstRune(text string) rune { r, _ := utf8.DecodeRuneInString(text); return r }

// binary reports characters that no name list holds.
func binary(r rune) bool {
	return r != '\t' && r != '\n' && unicode.IsControl(r) || r == utf8.RuneError
}

func (p *parser) binary(line, column int, r rune) {
	if r == utf8.RuneError {
		p.fault(line, column, "holds a character that can't be read (U+FFFD)", "write the name anew, and save the file as CSV UTF-8")
		return
	}
	p.fault(line, column, fmt.Sprintf("holds the control character %U: this is not a text file", r),
		"take the character away, or save the list as CSV UTF-8 if it is a spreadsheet's own file")
}

// announced takes a first line "sep=;" away and returns the number of the line
// at which the text then begins.
func (p *parser) announced(text string) (string, int) {
	line, rest, _ := strings.Cut(text, "\n")
	if len(line) == 5 && strings.EqualFold(line[:4], "sep=") && strings.ContainsAny(line[4:], ",;\t") {
		p.warn(1, 0, "the line "+line+" names the separator")
		return rest, 2
	}
	return text, 1
}

// separator finds the one separator outside of quotes. Two different ones are a
// fault: which of them belongs to a name is not certain.
func (p *parser) separator(text string, line int) rune {
	found, quoted, column := rune(0), false, 0
	for _, r := range text {
		column++
		switch {
		case r == '"':
			quoted = !quoted
		case r == '\n':
			line, column = line+1, 0
		case !quoted && (r == ',' || r == ';' || r == '\t'):
			if found == 0 {
				found = r
				if r != ',' {
					p.warn(line, column, fmt.Sprintf("the separator is %s, not a comma", separatorNames[r]))
				}
			}
			if r != found {
				p.fault(line, column, fmt.Sprintf("two separators in one file: %s here, %s before", separatorNames[r], separatorNames[found]),
					"use one of them in the whole file, and put a name that holds the other into quotation marks")
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

// records reads the lines.
func (p *parser) records(text string) {
	text, first := p.announced(text)
	reader := csv.NewReader(strings.NewReader(text))
	reader.Comma = p.separator(text, first)
	reader.FieldsPerRecord = -1
	for titles, from := true, int64(0); ; titles = false {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if syntax, ok := errors.AsType[*csv.ParseError](err); ok {
			p.fault(syntax.StartLine+first-1, 0, "a quotation mark is not closed, or stands inside a name",
				"close it, or take it away; one that belongs to a name is written twice, and the name in quotation marks")
			return // where the next line begins is not certain
		}
		raw := strings.TrimLeft(text[from:reader.InputOffset()], "\n")
		from = reader.InputOffset()
		cells := make([]cell, len(record))
		for i := range record {
			line, begin := reader.FieldPos(i)
			cells[i] = newCell(record[i], line+first-1, raw, begin-1)
		}
		p.record(cells, titles)
	}
}

// cell is one name as it stands in the file. Column is that of its first
// character, which in a quoted cell comes after the quotation mark.
type cell struct {
	text         string
	line, column int
	quoted       bool
}

// newCell is the cell that begins at a byte of its raw line. Begin means nothing
// in a cell after one that holds a line end, which is refused anyway.
func newCell(text string, line int, raw string, begin int) cell {
	c := cell{text: text, line: line}
	if begin < len(raw) && !strings.Contains(raw[:begin], "\n") {
		c.quoted = raw[begin] == '"'
		c.column = 1 + utf8.RuneCountInString(raw[:begin])
		if c.quoted {
			c.column++
		}
	}
	return c
}

func (p *parser) record(cells []cell, first bool) {
	line := cells[0].line
	if len(cells) == 1 && strings.TrimFunc(cells[0].text, invisible) == "" {
		return // blank, but for characters that nobody sees
	}
	if len(cells) != 2 {
		p.fault(line, 0, fmt.Sprintf("has not two columns, Entra user name and UCServer user name, but %d", len(cells)),
			"write exactly two names with one separator between them, or take the line away")
		return
	}
	if first && titles(cells[0].text, cells[1].text) {
		return
	}
	var names [2]string
	for i, title := range []string{"Entra user name", "UCServer user name"} {
		var ok bool
		if names[i], ok = p.name(title, cells[i]); !ok {
			return
		}
	}
	p.enter(Line{line, names[0], names[1]})
}

// name returns a cell's name, without the invisible characters around it.
func (p *parser) name(title string, c cell) (string, bool) {
	name := p.trim(title, c)
	switch {
	case name == "":
		p.fault(c.line, c.column, "the "+title+" is empty", "write the name, or take the line away")
	case len(name) > maxName:
		p.fault(c.line, c.column, fmt.Sprintf("the %s has %d bytes; names have at most %d, so a quotation mark is probably missing", title, len(name), maxName),
			"close the quotation mark before this place")
	case strings.ContainsRune(name, '\n'):
		p.fault(c.line, c.column, fmt.Sprintf("the %s goes on in the next line, so a quotation mark is probably missing", title),
			"close the quotation mark on this line")
	default:
		if strings.ContainsRune("=+-@", firstRune(name)) {
			p.warn(c.line, c.column, fmt.Sprintf("the %s begins with %c: a spreadsheet takes it for a formula", title, firstRune(name)))
		}
		return name, true
	}
	return "", false
}

// enter takes a line into the list.
func (p *parser) enter(line Line) {
	if before, ok := p.list.byLeft[line.UPN]; ok {
		p.fault(line.Number, 0, fmt.Sprintf("the Entra user name is already matched on line %d", p.list.lines[before].Number),
			"keep one of the two lines")
		return
	}
	if i, ok := p.list.byLeft[strings.ToLower(line.UPN)]; ok {
		p.warnTwin(line.Number, "Entra", p.list.lines[i].Number)
	} else {
		p.fold(p.foldedLeft, line.Number, line.UPN, "Entra")
	}
	if before, ok := p.seenName[line.Name]; ok {
		p.warn(line.Number, 0, fmt.Sprintf("the UCServer user name is also on line %d: who has it can't be told, so both are left out", before))
	} else if before, ok := p.seenName[strings.ToLower(line.Name)]; ok {
		p.warnTwin(line.Number, "UCServer", before)
	} else {
		p.fold(p.foldedName, line.Number, line.Name, "UCServer")
	}
	p.seenName[line.Name] = line.Number
	p.list.byLeft[line.UPN] = int32(len(p.list.lines))
	p.list.lines = append(p.list.lines, line)
}

// fold notes a name with capitals, and finds one before it that differs in case.
func (p *parser) fold(seen map[string]int, line int, name, side string) {
	folded := strings.ToLower(name)
	if before, ok := seen[folded]; ok {
		p.warnTwin(line, side, before)
	}
	if folded != name {
		seen[folded] = line
	}
}

func (p *parser) warnTwin(line int, side string, before int) {
	p.warn(line, 0, fmt.Sprintf("the %s user name differs only in case from the one on line %d", side, before))
}

// maxName bounds a name, in bytes, far above what either side allows and below
// what one change of the feed may hold.
const maxName = 1024

// titles reports the original's column titles (documentation of estos: columns
// "Azure AD username" and "UCServer username").
func titles(left, right string) bool {
	left, right = plain(left), plain(right)
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

// maxWarnings keeps a file that is odd everywhere from filling the memory.
const maxWarnings = 100_000

// trim takes invisible characters from the ends and warns about them, and about
// those inside, which stay. A run of the same is one warning.
func (p *parser) trim(title string, c cell) string {
	trimmed := strings.TrimFunc(c.text, invisible)
	head := strings.Index(c.text, trimmed)
	tail := head + len(trimmed)
	column, last := c.column, rune(0)
	for at, r := range c.text {
		switch {
		case r == last && at != head && at != tail:
		case at < head:
			p.warn(c.line, column, fmt.Sprintf("%U at the beginning of the %s was taken away", r, title))
		case at >= tail:
			p.warn(c.line, column, fmt.Sprintf("%U at the end of the %s was taken away", r, title))
		case r != ' ' && invisible(r):
			p.warn(c.line, column, fmt.Sprintf("%U inside the %s can't be seen on a screen", r, title))
		}
		last = r
		column++
		if c.quoted && r == '"' {
			column++ // it stands there twice
		}
	}
	return trimmed
}

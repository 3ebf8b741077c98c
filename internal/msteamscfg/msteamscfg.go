// Package msteamscfg reads msteams.cfg, the settings file of the original: JSON,
// also as a Windows editor saves it.
//
// The names in it are those of the original's published settings record (UCServer
// Web SDK 2.0, AsnMSTeamsSettings). What a value means is its reader's business;
// here are its forms. The file may hold secrets, so no fault holds a value.
package msteamscfg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// File is what the file says. Each reading takes a member away, so that in the end
// the unknown ones are left.
type File struct {
	members map[string]json.RawMessage
	known   int
	faults  []string
}

// Parse reads a file. An error says what is wrong with it as a whole.
func Parse(content []byte) (*File, error) {
	text, _, err := transform.Bytes(unicode.BOMOverride(unicode.UTF8.NewDecoder()), content)
	if err != nil {
		return nil, errors.New("is not a text file")
	}
	var members map[string]json.RawMessage
	err = json.Unmarshal(text, &members)
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := text[:min(int(wrong.Offset), len(text))]
		line := 1 + bytes.Count(before, []byte("\n"))
		return nil, fmt.Errorf("is not JSON from line %d on: look for a comma or a quotation mark that is missing or too many, and write \\ in a value twice", line)
	}
	if err != nil || members == nil {
		return nil, errors.New("is not a JSON object with the original's settings")
	}
	return &File{members: members}, nil
}

// Faults are what was wrong with members, each beginning with its name.
func (f *File) Faults() []string { return f.faults }

// Fault notes what a reader found wrong.
func (f *File) Fault(text string) { f.faults = append(f.faults, text) }

// Known is how many members were there under the names asked for.
func (f *File) Known() int { return f.known }

// Left are the names that nobody asked for.
func (f *File) Left() []string { return slices.Sorted(maps.Keys(f.members)) }

// take returns a member's value; nil when there is none. Names are compared
// without regard to case, as people type them.
func (f *File) take(name string) json.RawMessage {
	for _, key := range f.Left() {
		if strings.EqualFold(key, name) {
			value := f.members[key]
			delete(f.members, key)
			f.known++
			return value
		}
	}
	return nil
}

// Skip takes members away that are not read, and reports which had a value.
func (f *File) Skip(names ...string) (given []string) {
	for _, name := range names {
		switch string(f.take(name)) {
		case "", "null", `""`, "0", "false":
		default:
			given = append(given, name)
		}
	}
	return given
}

// Text reads a text, without blanks around it; empty when there is none.
func (f *File) Text(name string) string {
	value := f.take(name)
	if value == nil {
		return ""
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		f.Fault(name + ": must be a text in quotation marks")
	}
	return strings.TrimSpace(text)
}

// List reads a list of texts.
func (f *File) List(name string) []string {
	value := f.take(name)
	if value == nil {
		return nil
	}
	var texts []string
	if json.Unmarshal(value, &texts) != nil {
		f.Fault(name + ": must be a list of texts")
	}
	return texts
}

// Yes reads a switch: a number in the record, which people also write as true.
func (f *File) Yes(name string) bool {
	switch value := strings.ToLower(strings.Trim(string(f.take(name)), `" `)); value {
	case "1", "true":
		return true
	case "0", "false", "null", "":
		return false
	}
	f.Fault(name + ": must be 0 or 1")
	return false
}

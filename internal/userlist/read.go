package userlist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"procallteams/internal/matching"
	"procallteams/internal/problem"
)

// faults collects what is wrong.
type faults struct {
	list  []problem.Fault
	count int
}

func (f *faults) add(line, column int, text, repair string) {
	if f.count++; len(f.list) < maxFaults {
		f.list = append(f.list, problem.Fault{Line: line, Column: column, Text: text, Repair: repair})
	}
}

func (f *faults) err() error {
	if f.count == 0 {
		return nil
	}
	return &FaultsError{f.list, f.count}
}

// Read reads a complete list and returns it in the order of ids. Its errors are a
// [*FaultsError], a [*LimitError], or the reader's own.
func Read(from io.Reader) ([]matching.User, error) {
	r := newReader(from, "users")
	list, user := []matching.User{}, matching.User{}
	ids, names := map[string]int{}, map[string]int{}
	err := r.all(func() bool {
		user = matching.User{}
		return r.whole(func(name string) bool { return r.member(name, "", &user) })
	}, func() {
		if r.complete(&user, "") {
			r.once(ids, user.ID, "id")
			r.once(names, user.Name, "name")
			list = append(list, user)
		}
	})
	if err != nil {
		return nil, err
	}
	sortByID(list)
	return list, nil
}

// once notes a value that no other line may have.
func (r *reader) once(seen map[string]int, value, member string) {
	if first, taken := seen[value]; taken {
		r.fault(0, fmt.Sprintf("%s: line %d has the same", member, first), "give each user one line, with an id and a name of its own")
		return
	}
	seen[value] = r.line
}

// ReadChanges reads changes in their order. Its errors are those of [Read].
func ReadChanges(from io.Reader) ([]Change, error) {
	r := newReader(from, "changes")
	var list []Change
	var c rawChange
	err := r.all(func() bool {
		c = rawChange{}
		return r.whole(func(name string) bool { return r.changeMember(name, &c) })
	}, func() {
		if change, ok := r.change(c); ok {
			list = append(list, change)
		}
	})
	return list, err
}

// rawChange is a line before it was checked.
type rawChange struct {
	op, id string
	user   *matching.User
}

const opRepair = `write {"op":"put","user":{...}} or {"op":"remove","id":"..."}`

func (r *reader) changeMember(name string, c *rawChange) bool {
	switch name {
	case "op":
		return r.text(name, &c.op, MaxText, r.put)
	case "id":
		return r.text(name, &c.id, MaxID, r.put)
	case "user":
		c.user = &matching.User{}
		return r.object(name, func(inner string) bool { return r.member(inner, "user.", c.user) })
	}
	return r.unknown(name, "there are op, user and id")
}

// change checks what a line says.
func (r *reader) change(c rawChange) (Change, bool) {
	switch {
	case c.op == "put" && c.user != nil && c.id == "":
		return Change{Line: r.line, User: *c.user}, r.complete(c.user, "user.")
	case c.op == "remove" && c.user == nil && c.id != "":
		return Change{Line: r.line, Remove: true, User: matching.User{ID: c.id}}, true
	case c.op == "put":
		r.fault(0, "a put needs user, and nothing else", opRepair)
	case c.op == "remove":
		r.fault(0, "a remove needs id, and nothing else", opRepair)
	default:
		r.fault(0, "op: must be put or remove", opRepair)
	}
	return Change{}, false
}

// reader reads lines, each with one decoder.
type reader struct {
	faults
	what   string // is on the lines
	in     *bufio.Reader
	line   int
	bytes  []byte // of the current line, valid until the next
	source bytes.Reader
	d      *jsontext.Decoder
	groups map[string]string // each name once in memory
	// texts is the block that texts are being put into, unquoted the last of them.
	texts    strings.Builder
	unquoted []byte
	entries  int
	// members are in the outermost object of the current line; count is the value
	// of the one with that name, or none.
	members, count int
	counted        int // what the line with the count says, or none
	memberships    int
}

const none = -1

func newReader(from io.Reader, what string) *reader {
	return &reader{what: what, in: bufio.NewReaderSize(from, MaxLine), d: new(jsontext.Decoder), groups: map[string]string{}, counted: none}
}

func (r *reader) fault(column int, text, repair string) { r.add(r.line, column, text, repair) }

// all reads every line: parse reads one, and accept takes in one that is no count.
func (r *reader) all(parse func() bool, accept func()) error {
	for {
		more, err := r.next()
		if err != nil {
			return err
		}
		if !more {
			r.checkCount()
			return r.err()
		}
		if r.counted != none {
			r.fault(0, "something follows the line with the count", "put that line last")
			return r.err()
		}
		ok := parse()
		if ok && r.count != none && r.members == 1 {
			r.counted = r.count
			continue
		}
		if r.entries++; r.entries > MaxUsers {
			return &LimitError{fmt.Sprintf("%d %s", MaxUsers, r.what)}
		}
		if r.memberships > MaxMemberships {
			return &LimitError{fmt.Sprintf("%d memberships in groups", MaxMemberships)}
		}
		if ok && r.count != none {
			r.fault(0, "count: stands on a line of its own, the last", countRepair)
		} else if ok {
			accept()
		}
	}
}

const countRepair = `end with {"count":n}, n being the number of lines before it, and send all of them`

func (r *reader) checkCount() {
	switch {
	case r.faults.count > 0:
	case r.counted == none:
		r.add(0, 0, "the last line, which counts the others, is missing: this is not all that was meant", countRepair)
	case r.counted != r.entries:
		r.add(0, 0, fmt.Sprintf("the count is %d, but there are %d %s", r.counted, r.entries, r.what), countRepair)
	}
}

// next goes to the next line that holds something.
func (r *reader) next() (more bool, err error) {
	for {
		r.line++
		text, err := r.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			r.fault(0, fmt.Sprintf("the line has more than %d bytes", MaxLine), "put each user on a line of its own")
			r.entries++
			text, err = nil, r.skip()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if r.line == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		}
		if r.bytes = bytes.TrimRight(text, " \t\r\n"); len(r.bytes) > 0 {
			r.source.Reset(r.bytes)
			r.d.Reset(&r.source)
			r.members, r.count = 0, none
			return true, nil
		}
		if err != nil {
			return false, nil
		}
	}
}

// skip leaves a line that is too long.
func (r *reader) skip() error {
	for {
		if _, err := r.in.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// whole reads the current line, which is one object. Where it is no JSON, that is a
// fault, and the rest of it is left.
func (r *reader) whole(member func(name string) bool) bool {
	before := r.faults.count
	if !r.object("", func(name string) bool {
		if r.members++; name == "count" {
			return r.number(name, &r.count)
		}
		return member(name)
	}) {
		return false
	}
	column := r.column()
	if _, err := r.d.ReadToken(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.fault(column, "something follows the object", "put one object on each line")
	}
	return r.faults.count == before
}

// object reads an object; member reads the value of one name. Both report whether
// the decoder can go on.
func (r *reader) object(name string, member func(name string) bool) bool {
	if kind := r.d.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return r.wrong(name, "must be an object", "put one object on each line")
	}
	if _, err := r.d.ReadToken(); err != nil {
		return r.broken(err)
	}
	for {
		token, err := r.d.ReadToken()
		if err != nil {
			return r.broken(err)
		}
		if token.Kind() == '}' {
			return true
		}
		if !member(token.String()) {
			return false
		}
	}
}

// broken says that the line is no JSON.
func (r *reader) broken(err error) bool {
	column := 0
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		column = 1 + utf8.RuneCount(r.bytes[:min(int(syntactic.ByteOffset), len(r.bytes))])
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		r.fault(column, "a member occurs twice", "name each member once")
	} else {
		r.fault(column, "the line is not JSON from here on", "write each line as one JSON object in UTF-8")
	}
	return false
}

// column is where the decoder stands.
func (r *reader) column() int {
	return 1 + utf8.RuneCount(r.bytes[:min(int(r.d.InputOffset()), len(r.bytes))])
}

// wrong says that a value is not what it must be, and skips it.
func (r *reader) wrong(name, text, repair string) bool {
	if err := r.d.SkipValue(); err != nil {
		return r.broken(err)
	}
	if name != "" {
		text = name + ": " + text
	}
	r.fault(0, text, repair)
	return true
}

func (r *reader) unknown(name, repair string) bool {
	if len(name) > 40 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		name = "a member"
	}
	return r.wrong(name, "does not exist here", repair)
}

// complete reports whether a user has what every user has.
func (r *reader) complete(u *matching.User, prefix string) bool {
	before := r.faults.count
	for _, m := range [...]struct{ name, value string }{{"id", u.ID}, {"name", u.Name}} {
		if strings.TrimSpace(m.value) == "" {
			r.fault(0, prefix+m.name+": is missing", "give each user the id that stays the same, and the user name in UCServer")
		}
	}
	return r.faults.count == before
}

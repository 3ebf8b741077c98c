package userlist

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"procallteams/internal/matching"
)

// number reads a whole number that is not negative.
func (r *reader) number(name string, to *int) bool {
	if kind := r.d.PeekKind(); kind != '0' && kind != jsontext.KindInvalid {
		return r.wrong(name, "must be a whole number", countRepair)
	}
	value, err := r.d.ReadValue()
	if err != nil {
		return r.broken(err)
	}
	n, err := strconv.ParseUint(string(value), 10, 31)
	if *to = int(n); err != nil {
		r.fault(0, name+": must be a whole number", countRepair)
	}
	return true
}

const userMembers = "there are id, name, upn, samAccountName, objectGUID, objectSID, mail, sip and groups"

// member reads one member of a user.
func (r *reader) member(name, prefix string, u *matching.User) bool {
	named, most := prefix+name, MaxText
	var to *string
	switch name {
	case "id":
		to, most = &u.ID, MaxID
	case "name":
		to = &u.Name
	case "upn":
		to = &u.UPN
	case "samAccountName":
		to = &u.SAM
	case "objectGUID":
		to = &u.ObjectGUID
	case "objectSID":
		to = &u.ObjectSID
	case "mail":
		to = &u.Mail
	case "sip":
		to = &u.SIP
	case "groups":
		return r.groupsOf(named, u)
	default:
		return r.unknown(named, userMembers)
	}
	return r.text(named, to, most, r.put)
}

// text reads a text; null is an empty one. What it is goes through keep, which makes
// a string of it.
func (r *reader) text(name string, to *string, most int, keep func([]byte) string) bool {
	switch r.d.PeekKind() {
	case '"', 'n', jsontext.KindInvalid:
	default:
		return r.wrong(name, "must be text", "write it in quotation marks, or leave it out")
	}
	value, err := r.d.ReadValue()
	if err != nil {
		return r.broken(err)
	}
	if value.Kind() == 'n' {
		return true
	}
	r.unquoted, _ = jsontext.AppendUnquote(r.unquoted[:0], value) // the decoder has checked it
	*to = keep(r.unquoted)
	if utf8.RuneCountInString(*to) > most {
		r.fault(0, fmt.Sprintf("%s: has more than %d characters", name, most), "send the value as UCServer has it, or leave it out")
	}
	if strings.ContainsFunc(*to, unicode.IsControl) {
		r.fault(0, name+": has a control character", "correct the value in UCServer")
	}
	return true
}

// textBlock is how many bytes of text share one piece of memory: a list of 200,000
// users has more than a million texts.
const textBlock = 64 << 10

// put returns a text as a part of the block.
func (r *reader) put(text []byte) string {
	if r.texts.Cap()-r.texts.Len() < len(text) {
		r.texts.Reset()
		r.texts.Grow(max(textBlock, len(text)))
	}
	from := r.texts.Len()
	r.texts.Write(text)
	return r.texts.String()[from:]
}

// group returns the one copy of a group's name.
func (r *reader) group(text []byte) string {
	if known, ok := r.groups[string(text)]; ok {
		return known
	}
	name := string(text)
	r.groups[name] = name
	return name
}

// groupsOf reads a list of names; null is an empty one. The order in which a
// directory lists them says nothing, so they are kept in one order, each once.
func (r *reader) groupsOf(name string, u *matching.User) bool {
	switch r.d.PeekKind() {
	case '[', 'n', jsontext.KindInvalid:
	default:
		return r.wrong(name, "must be a list", `write ["group", "group"], or leave it out`)
	}
	token, err := r.d.ReadToken()
	if err != nil {
		return r.broken(err)
	}
	if token.Kind() == 'n' {
		return true
	}
	var groups []string
	for r.d.PeekKind() != ']' {
		group := ""
		if !r.text(name, &group, MaxText, r.group) {
			return false
		}
		if r.memberships++; group != "" {
			groups = append(groups, group)
		}
	}
	if _, err := r.d.ReadToken(); err != nil {
		return r.broken(err)
	}
	slices.Sort(groups)
	if u.Groups = slices.Compact(groups); len(u.Groups) > MaxGroups {
		r.fault(0, fmt.Sprintf("%s: there are more than %d", name, MaxGroups), "send the groups by which people are switched on")
	}
	return true
}

package directory

import (
	"maps"
	"slices"
	"time"

	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

// Marks of a person in the stored form.
const (
	reads = 1 << iota
	writes
	namedLikeUPN
)

// Encode returns the stored form.
func (d *Directory) Encode() ([]byte, error) {
	p := newPacker(formDirectory)
	decisions := d.decisions()
	p.number(len(decisions))
	for _, decision := range decisions {
		p.flag(decision.TakesPart)
		p.number(int(decision.Rule))
		p.text(decision.By)
		p.flag(decision.Unknown)
	}
	position := map[*participation.Decision]int{nil: 0}
	for i, decision := range decisions {
		position[decision] = i + 1
	}
	p.number(len(d.People))
	for i := range d.People {
		person := &d.People[i]
		p.number(int(person.Standing))
		p.number(person.marks())
		p.number(int(person.Rule))
		p.number(position[person.Reading])
		p.number(position[person.Writing])
		p.text(string(person.ID))
		p.text(person.UPN)
		if person.Name != person.UPN {
			p.text(person.Name)
		}
		p.text(person.UCID)
	}
	return p.done()
}

func (p *Person) marks() int {
	marks := 0
	for _, m := range []struct {
		set  bool
		mark int
	}{{p.Reads, reads}, {p.Writes, writes}, {p.Name == p.UPN, namedLikeUPN}} {
		if m.set {
			marks |= m.mark
		}
	}
	return marks
}

// decisions are those of the people, each once, in the order in which they occur.
func (d *Directory) decisions() []*participation.Decision {
	var list []*participation.Decision
	seen := map[*participation.Decision]bool{nil: true}
	for i := range d.People {
		for _, decision := range []*participation.Decision{d.People[i].Reading, d.People[i].Writing} {
			if !seen[decision] {
				seen[decision] = true
				list = append(list, decision)
			}
		}
	}
	return list
}

// Decode is the inverse of [Directory.Encode]; ErrForm when it is none. All strings
// of the result share one block of memory.
func Decode(packed []byte) (*Directory, error) {
	u, err := newUnpacker(packed, formDirectory)
	if err != nil {
		return nil, err
	}
	decisions := make([]*participation.Decision, 1+u.count())
	for i := range decisions[1:] {
		decisions[1+i] = &participation.Decision{TakesPart: u.flag(), Rule: participation.Rule(u.number()), By: u.text(), Unknown: u.flag()}
	}
	d := &Directory{People: make([]Person, u.count())}
	decision := func() *participation.Decision {
		n := u.number()
		if n >= len(decisions) {
			u.damaged = true
			return nil
		}
		return decisions[n]
	}
	for i := range d.People {
		p := &d.People[i]
		p.Standing = Standing(u.number())
		marks := u.number()
		p.Reads, p.Writes = marks&reads != 0, marks&writes != 0
		p.Rule = matching.Rule(u.number())
		p.Reading, p.Writing = decision(), decision()
		p.ID, p.UPN = presence.UserID(u.text()), u.text()
		if p.Name = p.UPN; marks&namedLikeUPN == 0 {
			p.Name = u.text()
		}
		p.UCID = u.text()
	}
	return d, u.end()
}

// Encode returns the stored form.
func (a *Accounts) Encode() ([]byte, error) {
	p := newPacker(formAccounts)
	p.number(len(a.People))
	for i := range a.People {
		person := &a.People[i]
		for _, text := range []string{
			string(person.ID), person.UPN, person.Mail, person.OnPremisesUPN, person.SAM, person.Domain, person.ImmutableID, person.SID,
		} {
			p.text(text)
		}
		packTexts(p, person.Proxies)
		p.flag(person.Disabled)
		p.flag(person.Guest)
	}
	p.number(len(a.Groups))
	for _, id := range slices.Sorted(maps.Keys(a.Groups)) {
		group := a.Groups[id]
		p.text(id)
		p.text(group.Name)
		packTexts(p, group.Accounts)
		p.number(group.absence())
	}
	return p.done()
}

// DecodeAccounts is the inverse of [Accounts.Encode]; ErrForm when it is none. All
// strings of the result share one block of memory.
func DecodeAccounts(packed []byte) (*Accounts, error) {
	u, err := newUnpacker(packed, formAccounts)
	if err != nil {
		return nil, err
	}
	a := &Accounts{People: make([]matching.Account, u.count())}
	for i := range a.People {
		person := &a.People[i]
		person.ID = presence.UserID(u.text())
		for _, field := range []*string{
			&person.UPN, &person.Mail, &person.OnPremisesUPN, &person.SAM, &person.Domain, &person.ImmutableID, &person.SID,
		} {
			*field = u.text()
		}
		person.Proxies = unpackTexts[string](u)
		person.Disabled, person.Guest = u.flag(), u.flag()
	}
	a.Groups = map[string]Members{}
	for range u.count() {
		id := u.text()
		group := Members{Name: u.text(), Accounts: unpackTexts[presence.UserID](u)}
		group.setAbsence(u.number())
		a.Groups[id] = group
	}
	return a, u.end()
}

// absence is Missing and Deleted in the stored form: minutes since 1970, twice, and one
// more when it is deleted. A 1 alone is an earlier version's, which did not store since
// when.
func (m Members) absence() int {
	stored := 0
	if !m.Missing.IsZero() {
		stored = 2 * int(m.Missing.Unix()/60)
	}
	if m.Deleted {
		stored++
	}
	return stored
}

func (m *Members) setAbsence(stored int) {
	m.Deleted = stored%2 == 1
	if stored > 1 {
		m.Missing = time.Unix(60*int64(stored/2), 0).UTC()
	}
}

// Encode returns the stored form.
func (users *Users) Encode() ([]byte, error) {
	p := newPacker(formUsers)
	p.number(len(users.People))
	for i := range users.People {
		user := &users.People[i]
		for _, text := range []string{user.ID, user.Name, user.UPN, user.SAM, user.ObjectGUID, user.ObjectSID, user.Mail, user.SIP} {
			p.text(text)
		}
		packTexts(p, user.Groups)
	}
	return p.done()
}

// DecodeUsers is the inverse of [Users.Encode]; ErrForm when it is none. All
// strings of the result share one block of memory.
func DecodeUsers(packed []byte) (*Users, error) {
	u, err := newUnpacker(packed, formUsers)
	if err != nil {
		return nil, err
	}
	users := &Users{People: make([]matching.User, u.count())}
	for i := range users.People {
		user := &users.People[i]
		for _, field := range []*string{
			&user.ID, &user.Name, &user.UPN, &user.SAM, &user.ObjectGUID, &user.ObjectSID, &user.Mail, &user.SIP,
		} {
			*field = u.text()
		}
		user.Groups = unpackTexts[string](u)
	}
	return users, u.end()
}

// Encode returns the stored form.
func (r *Report) Encode() ([]byte, error) {
	p := newPacker(formReport)
	for _, side := range [][]matching.Verdict{r.Accounts, r.Users} {
		p.number(len(side))
		for i := range side {
			packVerdict(p, &side[i])
		}
	}
	p.number(len(r.Lines))
	for _, l := range r.Lines {
		p.number(l.Number)
		p.number(int(l.Outcome))
		p.number(int(l.Reason))
		for _, text := range []string{l.UPN, l.Line.Name, l.Account, l.User} {
			p.text(text)
		}
	}
	return p.done()
}

func packVerdict(p *packer, v *matching.Verdict) {
	for _, n := range []int{int(v.Outcome), int(v.Rule), int(v.Reason), int(v.Line)} {
		p.number(n)
	}
	p.text(v.ID)
	p.text(v.Partner)
	p.text(v.Name)
	p.flag(v.Conflict != nil)
	if v.Conflict != nil {
		packTexts(p, v.Conflict.With)
		packTexts(p, v.Conflict.Rivals)
		p.flag(v.Conflict.More)
	}
}

// DecodeReport is the inverse of [Report.Encode]; ErrForm when it is none. All
// strings of the result share one block of memory.
func DecodeReport(packed []byte) (*Report, error) {
	u, err := newUnpacker(packed, formReport)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	for _, side := range []*[]matching.Verdict{&r.Accounts, &r.Users} {
		*side = make([]matching.Verdict, u.count())
		for i := range *side {
			(*side)[i] = unpackVerdict(u)
		}
	}
	r.Lines = make([]matching.LineVerdict, u.count())
	for i := range r.Lines {
		l := &r.Lines[i]
		l.Number, l.Outcome, l.Reason = u.number(), matching.Outcome(u.number()), matching.Reason(u.number())
		l.UPN, l.Line.Name, l.Account, l.User = u.text(), u.text(), u.text(), u.text()
	}
	return r, u.end()
}

func unpackVerdict(u *unpacker) matching.Verdict {
	v := matching.Verdict{Outcome: matching.Outcome(u.number()), Rule: matching.Rule(u.number()), Reason: matching.Reason(u.number()), Line: int32(u.number())}
	v.ID, v.Partner, v.Name = u.text(), u.text(), u.text()
	if u.flag() {
		v.Conflict = &matching.Conflict{With: unpackTexts[string](u), Rivals: unpackTexts[string](u), More: u.flag()}
	}
	return v
}

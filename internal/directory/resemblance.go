package directory

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"procallteams/internal/presence"
)

// Resemblance is somebody, or a group, that an entry of the rules may mean.
type Resemblance struct {
	// Name is what to write instead: a UPN, a UCServer user name, or the name of one of
	// UCServer's groups.
	Name string
	// Group says that it is a group's name, not a person's.
	Group bool
}

// resemble fills in what the strays may mean that nobody has.
func (r Roster) resemble(strays []Stray) {
	open := openStrays{byWhole: map[string][]*candidate{}, byLocal: map[string][]*candidate{}, byLength: map[int][]*candidate{}}
	for i := range strays {
		s := &strays[i]
		switch s.Why {
		case NoPerson, NoGroup:
			open.add(&candidate{stray: s, forms: formsOf(s.Entry), group: s.Why == NoGroup})
		case GroupDeleted:
			if p, ok := r.Directory.Find(presence.UserID(strings.ToLower(s.Entry))); ok {
				s.Near = Resemblance{Name: p.UPN}
			}
		}
	}
	if len(open.byWhole) > 0 {
		r.eachName(open.consider)
	}
}

// candidate is a stray with the closest that was found so far.
type candidate struct {
	stray *Stray
	forms forms
	group bool
	close closeness
}

// take notes what resembles the entry more than everything before. A group that is
// written for a person, or the reverse, must be the same but for what nobody sees.
func (c *candidate) take(is closeness, meant Resemblance) {
	if is > c.close && (is == sameWhole || c.group == meant.Group) {
		c.close, c.stray.Near = is, meant
	}
}

// openStrays are strays by what is compared: everybody's names pass by.
type openStrays struct {
	byWhole, byLocal map[string][]*candidate
	byLength         map[int][]*candidate // of the local form, where a slip is looked for
}

func (o openStrays) add(c *candidate) {
	f := c.forms
	if f.whole == "" {
		return
	}
	o.byWhole[f.whole] = append(o.byWhole[f.whole], c)
	o.byLocal[f.local] = append(o.byLocal[f.local], c)
	if n := len(f.local); n >= shortest && !isNumber(f.local) {
		o.byLength[n] = append(o.byLength[n], c)
	}
}

func (o openStrays) consider(name string, meant Resemblance) {
	f := formsOf(name)
	if f.local == "" {
		return
	}
	for _, c := range o.byWhole[f.whole] {
		c.take(sameWhole, meant)
	}
	for _, c := range o.byLocal[f.local] {
		c.take(sameLocal, meant)
	}
	for n := len(f.local) - 1; n <= len(f.local)+1; n++ {
		for _, c := range o.byLength[n] {
			if c.close < oneSlip && slipped(c.forms.local, f.local) {
				c.take(oneSlip, meant)
			}
		}
	}
}

// eachName visits every name of everybody, with what to write to mean that person or
// group.
func (r Roster) eachName(visit func(name string, meant Resemblance)) {
	for i := range r.Accounts.People {
		a := &r.Accounts.People[i]
		meant := Resemblance{Name: a.UPN}
		for _, name := range []string{a.UPN, a.OnPremisesUPN, a.SAM, a.Mail} {
			visit(name, meant)
		}
		for _, proxy := range a.Proxies {
			_, address, _ := strings.Cut(proxy, ":")
			visit(address, meant)
		}
	}
	if r.Users == nil {
		return
	}
	seen := map[string]bool{}
	for i := range r.Users.People {
		u := &r.Users.People[i]
		meant := Resemblance{Name: u.Name}
		for _, name := range []string{u.Name, u.UPN, u.SAM, u.Mail, strings.TrimPrefix(u.SIP, "sip:")} {
			visit(name, meant)
		}
		for _, group := range u.Groups {
			if !seen[group] {
				seen[group] = true
				visit(group, Resemblance{Name: group, Group: true})
			}
		}
	}
}

// forms are a name as a hurried reader sees it: its letters and digits alone, in lower
// case and without accents; local is that of it without its domain.
type forms struct{ whole, local string }

func formsOf(name string) forms {
	local := name
	if _, after, ok := strings.Cut(local, `\`); ok {
		local = after
	}
	local, _, _ = strings.Cut(local, "@")
	return forms{bare(name), bare(local)}
}

func bare(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFD.String(name))
}

// closeness says how much two names resemble each other.
type closeness int

const (
	oneSlip   closeness = iota + 1 // one letter is wrong, missing or too many, or two are swapped
	sameLocal                      // but for the domain
	sameWhole                      // but for blanks, dots, hyphens and accents
)

// shortest is how long a name must be for a slip in it to be likelier than another
// name.
const shortest = 5

// isNumber reports digits alone: numbers that differ by one are two numbers.
func isNumber(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !unicode.IsDigit(r) }) < 0
}

// slipped reports whether a and b, neither of them empty, differ by one slip of the
// finger.
func slipped(a, b string) bool {
	if a[0] != b[0] && a[len(a)-1] != b[len(b)-1] {
		return false // a slip leaves one end as it is
	}
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	swapped := len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
	return swapped || len(a) <= 1 && len(b) <= 1
}

package matching

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nearMisses looks for what almost fits, among those whom no rule matched.
func (e *engine) nearMisses() {
	e.judgeLines()
	e.nearMiss(DiffersInvisibly, keys{func(v *values, a *Account) {
		v.visible(a.UPN)
		v.visible(a.OnPremisesUPN)
	}, func(v *values, u *User) {
		v.visible(u.UPN)
		v.visible(u.Name)
	}})
	e.nearMiss(OtherName, keys{func(v *values, a *Account) {
		v.folded(a.UPN)
		accountNames(v, a)
	}, func(v *values, u *User) {
		v.folded(u.Name)
		userNames(v, u)
	}})
	e.nearMiss(OtherDomain, keys{func(v *values, a *Account) {
		v.local(a.UPN)
		v.local(a.OnPremisesUPN)
		v.local(a.SAM)
	}, func(v *values, u *User) {
		v.local(u.UPN)
		v.local(u.Name)
		v.local(u.SAM)
	}})
}

// accountNames adds names of an account that are not its UPN.
func accountNames(v *values, a *Account) {
	v.folded(a.OnPremisesUPN)
	accountAddresses(v, a)
}

// userNames adds names of a user that are not the user name.
func userNames(v *values, u *User) {
	v.folded(u.UPN)
	userAddresses(v, u)
}

// nearMiss tells both of each two who are open and have a value in common. A
// reason that was found before stays, unless the new one is a misspelling.
func (e *engine) nearMiss(reason Reason, by keys) {
	if e.left[accountSide] == 0 || e.left[userSide] == 0 {
		return
	}
	r := e.relate(by, true)
	for side := range e.verdicts {
		for i := range e.verdicts[side] {
			v := &e.verdicts[side][i]
			if !e.open[side][i] || v.Outcome == NearMiss || v.Reason != 0 && reason != DiffersInvisibly {
				continue
			}
			if fit := r.fit(side, int32(i)); fit.open != none {
				v.Outcome, v.Rule, v.Reason, v.Partner = NearMiss, 0, reason, e.verdicts[1-side][fit.open].ID
			}
		}
	}
}

// visible adds a name as a person reads it: in lower case, without characters
// that no screen shows, each letter in one form.
func (v *values) visible(name string) {
	if !plainASCII(name) {
		name = norm.NFC.String(strings.TrimSpace(strings.Map(func(r rune) rune {
			if r != ' ' && (invisible(r) || unicode.IsControl(r)) {
				return -1
			}
			return r
		}, name)))
	}
	v.folded(name)
}

func plainASCII(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// local adds a visible name without its domain, whichever way it is written.
func (v *values) local(name string) {
	if _, after, ok := strings.Cut(name, `\`); ok {
		name = after
	}
	name, _, _ = strings.Cut(name, "@")
	v.visible(name)
}

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
	nearMiss(e, DiffersInvisibly, func(to []string, a *Account) []string {
		return append(to, visible(a.UPN), visible(a.OnPremisesUPN))
	}, func(to []string, u *User) []string {
		return append(to, visible(u.UPN), visible(u.Name))
	})
	nearMiss(e, OtherName, func(to []string, a *Account) []string {
		return add(accountNames(to, a), a.UPN)
	}, func(to []string, u *User) []string {
		return add(userNames(to, u), u.Name)
	})
	nearMiss(e, OtherDomain, func(to []string, a *Account) []string {
		return append(to, localPart(a.UPN), localPart(a.OnPremisesUPN), localPart(a.SAM))
	}, func(to []string, u *User) []string {
		return append(to, localPart(u.UPN), localPart(u.Name), localPart(u.SAM))
	})
}

// accountNames appends names of an account that are not its UPN.
func accountNames(to []string, a *Account) []string {
	return byMail.account(add(to, a.OnPremisesUPN), a)
}

// userNames appends names of a user that are not the user name.
func userNames(to []string, u *User) []string {
	return byMail.user(add(to, u.UPN), u)
}

// nearMiss tells both of each two who are open and have a value in common. A
// reason that was found before stays, unless the new one is a misspelling.
func nearMiss(e *engine, reason Reason, account func([]string, *Account) []string, user func([]string, *User) []string) {
	if e.left[accountSide] == 0 || e.left[userSide] == 0 {
		return
	}
	r := relate(e, keys[string]{
		func(to []string, a *Account) []string { return some(account(to, a)) },
		func(to []string, u *User) []string { return some(user(to, u)) },
	})
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

// some takes the empty keys away.
func some(keys []string) []string {
	kept := keys[:0]
	for _, key := range keys {
		if key != "" {
			kept = append(kept, key)
		}
	}
	return kept
}

// visible is a name as a person reads it: in lower case, without characters that
// no screen shows, each letter in one form.
func visible(name string) string {
	if plainASCII(name) {
		return strings.ToLower(name)
	}
	name = strings.Map(func(r rune) rune {
		if r != ' ' && (invisible(r) || unicode.IsControl(r)) {
			return -1
		}
		return r
	}, name)
	return norm.NFC.String(strings.ToLower(strings.TrimSpace(name)))
}

func plainASCII(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// localPart is a name without its domain, whichever way it is written.
func localPart(name string) string {
	name = visible(name)
	if _, after, ok := strings.Cut(name, `\`); ok {
		name = after
	}
	name, _, _ = strings.Cut(name, "@")
	return name
}

package matching

import (
	"strings"
	"unicode/utf8"
)

// keys names the values by which a rule compares: two fit when they have one in
// common.
type keys struct {
	account func(*values, *Account)
	user    func(*values, *User)
}

// values are one person's values of a rule. They are collected in one buffer,
// since hundreds of thousands of people pass through it.
type values struct {
	text []byte
	ends []int
}

func (v *values) reset() { v.text, v.ends = v.text[:0], v.ends[:0] }

// all yields each value; it is valid until the next reset.
func (v *values) all(yield func([]byte) bool) {
	begin := 0
	for _, end := range v.ends {
		if !yield(v.text[begin:end]) {
			return
		}
		begin = end
	}
}

// exactly adds a value; an empty one is none.
func (v *values) exactly(parts ...string) {
	begin := len(v.text)
	for _, part := range parts {
		v.text = append(v.text, part...)
	}
	v.end(begin)
}

// folded adds a value in lower case; an empty one is none.
func (v *values) folded(parts ...string) {
	begin := len(v.text)
	for _, part := range parts {
		v.text = appendLower(v.text, part)
	}
	v.end(begin)
}

func (v *values) end(begin int) {
	if len(v.text) > begin {
		v.ends = append(v.ends, len(v.text))
	}
}

func appendLower(to []byte, text string) []byte {
	begin := len(to)
	for i := range len(text) {
		c := text[i]
		if c >= utf8.RuneSelf {
			return append(to[:begin], strings.ToLower(text)...)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

var (
	byObjectGUID = keys{
		func(v *values, a *Account) {
			if g, ok := base64GUID(a.ImmutableID); ok {
				v.guid(g)
			}
		},
		func(v *values, u *User) { objectGUIDs(v, u.ObjectGUID) },
	}
	byObjectSID = keys{
		func(v *values, a *Account) { v.folded(a.SID) },
		func(v *values, u *User) { v.folded(u.ObjectSID) },
	}
	byUPN = keys{
		func(v *values, a *Account) { v.folded(a.UPN) }, upnOrName,
	}
	byOnPremisesUPN = keys{
		func(v *values, a *Account) { v.folded(a.OnPremisesUPN) }, upnOrName,
	}
	bySAM  = keys{accountSAM, userSAM}
	byMail = keys{accountAddresses, userAddresses}
)

// upnOrName adds a user's two names that may be a UPN.
func upnOrName(v *values, u *User) {
	v.folded(u.UPN)
	v.folded(u.Name)
}

// maxNetBIOS is the length to which Windows cuts a domain's short name.
const maxNetBIOS = 15

// accountSAM adds the spellings that a user may have: without a domain, with the
// DNS domain, with its first label, which is the usual short name.
func accountSAM(v *values, a *Account) {
	if a.SAM == "" {
		return
	}
	v.folded(a.SAM)
	if a.Domain == "" {
		return
	}
	v.folded(a.Domain, `\`, a.SAM)
	label, _, _ := strings.Cut(a.Domain, ".")
	v.folded(label[:min(len(label), maxNetBIOS)], `\`, a.SAM)
}

func userSAM(v *values, u *User) {
	domain, name, ok := strings.Cut(u.SAM, `\`)
	if !ok || domain == "" {
		v.folded(strings.TrimPrefix(u.SAM, `\`))
	} else if name != "" {
		v.folded(u.SAM)
	}
}

func accountAddresses(v *values, a *Account) {
	v.folded(a.Mail)
	for _, proxy := range a.Proxies {
		v.address(proxy)
	}
}

func userAddresses(v *values, u *User) {
	v.folded(u.Mail)
	v.address(u.SIP)
}

// address adds the address in a proxy address or a SIP URI. What is neither mail
// nor SIP, such as X500 and EUM, is passed over.
func (v *values) address(uri string) {
	scheme, address, ok := strings.Cut(uri, ":")
	switch {
	case !ok:
		v.folded(uri)
	case strings.EqualFold(scheme, "smtp"):
		v.folded(address)
	case strings.EqualFold(scheme, "sip"), strings.EqualFold(scheme, "sips"):
		if end := strings.IndexAny(address, ";?"); end >= 0 {
			address = address[:end]
		}
		v.folded(address)
	}
}

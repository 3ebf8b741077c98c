package matching

import "strings"

// keys names the values by which a rule compares: two fit when they have one in
// common. Both append.
type keys[K comparable] struct {
	account func([]K, *Account) []K
	user    func([]K, *User) []K
}

// add appends text in lower case, unless there is none.
func add(to []string, text string) []string {
	if text == "" {
		return to
	}
	return append(to, strings.ToLower(text))
}

// names are a user's two names that may be a UPN.
func names(to []string, u *User) []string { return add(add(to, u.UPN), u.Name) }

var (
	byObjectGUID = keys[guid]{
		func(to []guid, a *Account) []guid { return immutableGUID(to, a.ImmutableID) },
		func(to []guid, u *User) []guid { return objectGUIDs(to, u.ObjectGUID) },
	}
	byObjectSID = keys[string]{
		func(to []string, a *Account) []string { return add(to, a.SID) },
		func(to []string, u *User) []string { return add(to, u.ObjectSID) },
	}
	byUPN = keys[string]{
		func(to []string, a *Account) []string { return add(to, a.UPN) }, names,
	}
	byOnPremisesUPN = keys[string]{
		func(to []string, a *Account) []string { return add(to, a.OnPremisesUPN) }, names,
	}
	bySAM  = keys[sam]{accountSAM, userSAM}
	byMail = keys[string]{
		func(to []string, a *Account) []string {
			to = add(to, a.Mail)
			for _, proxy := range a.Proxies {
				to = addAddress(to, proxy)
			}
			return to
		},
		func(to []string, u *User) []string { return addAddress(add(to, u.Mail), u.SIP) },
	}
)

// sam is a SAM account name with its domain, empty where none is given.
type sam struct{ domain, name string }

// maxNetBIOS is the length to which Windows cuts a domain's short name.
const maxNetBIOS = 15

// accountSAM appends the spellings that a user may have: without a domain, with
// the DNS domain, with its first label, which is the usual short name.
func accountSAM(to []sam, a *Account) []sam {
	if a.SAM == "" {
		return to
	}
	name, domain := strings.ToLower(a.SAM), strings.ToLower(a.Domain)
	to = append(to, sam{"", name})
	if domain == "" {
		return to
	}
	label, _, _ := strings.Cut(domain, ".")
	return append(to, sam{domain, name}, sam{label[:min(len(label), maxNetBIOS)], name})
}

func userSAM(to []sam, u *User) []sam {
	domain, name, ok := strings.Cut(strings.ToLower(u.SAM), `\`)
	if !ok {
		domain, name = "", domain
	}
	if name == "" {
		return to
	}
	return append(to, sam{domain, name})
}

// addAddress appends the address in a proxy address or a SIP URI. What is neither
// mail nor SIP, such as X500 and EUM, is passed over.
func addAddress(to []string, uri string) []string {
	scheme, address, ok := strings.Cut(uri, ":")
	if !ok {
		return add(to, uri)
	}
	switch strings.ToLower(scheme) {
	case "smtp":
	case "sip", "sips":
		if end := strings.IndexAny(address, ";?"); end >= 0 {
			address = address[:end]
		}
	default:
		return to
	}
	return add(to, address)
}

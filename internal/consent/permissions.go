package consent

import (
	"slices"
	"strings"

	"procallteams/internal/settings"
)

// Names of Graph's other permissions (Graph: permissions reference).
const (
	readBasic  = "User.ReadBasic.All"
	readGroups = "GroupMember.Read.All"
)

// wider names for a permission of Graph those that allow it too, and more (Graph:
// permissions reference, "least privileged" tables).
var wider = map[string][]string{
	readPresence: {writePresence},
	readBasic:    {readUsers, "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"},
	readUsers:    {"User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"},
	readGroups:   {"Group.Read.All", "Group.ReadWrite.All", "GroupMember.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"},
}

// needed are Graph's permissions for each use: application ones of the admin grant,
// delegated ones of a user grant. What is not there a grant of that kind is never used
// for.
var needed = map[Use]map[Kind]string{
	Reading:   {Admin: readPresence, User: readPresence},
	Writing:   {Admin: writePresence},
	Directory: {Admin: readUsers, User: readBasic},
	Groups:    {Admin: readGroups},
}

// Permission returns Graph's permission that a use needs of a grant of that kind, empty
// when such a grant is never used for it.
func (u Use) Permission(kind Kind) string { return needed[u][kind] }

// covers reports whether a permission that was granted is enough for one that is needed.
func covers(granted, needed string) bool {
	return strings.EqualFold(granted, needed) || slices.Contains(wider[needed], granted)
}

// signingIn are scopes that every sign-in brings along; they open nothing of the
// tenant. Entra adds User.Read to new registrations by itself.
var signingIn = []string{"openid", "profile", "email", "offline_access", "User.Read"}

// Wanted returns the permissions that a grant of this kind needs for the settings:
// the profile of the registration, and the rules in use.
func Wanted(kind Kind, s settings.Integration) []string {
	if kind == User {
		return []string{readPresence, readBasic}
	}
	wanted := []string{writePresence, readUsers}
	if s.Profile == settings.ReadOnlyProfile {
		wanted[0] = readPresence
	}
	if len(s.EntraGroups()) > 0 {
		wanted = append(wanted, readGroups)
	}
	return wanted
}

// Gap is how what was granted differs from what is needed. The zero Gap: not at all.
type Gap struct {
	// Missing are needed and neither granted nor covered by a wider one.
	Missing []string `json:"missing,omitempty"`
	// Unused belongs to the bridge, but nothing needs it with the rules in use.
	Unused []string `json:"unused,omitempty"`
	// Superfluous were granted and are never used: less would do.
	Superfluous []string `json:"superfluous,omitempty"`
}

// Compare compares the permissions that a grant holds with those that the settings
// need. Nothing is said about none: a token that could not be read shows none.
func Compare(kind Kind, granted []string, s settings.Integration) Gap {
	var gap Gap
	if len(granted) == 0 {
		return gap
	}
	wanted := Wanted(kind, s)
	for _, name := range wanted {
		if !slices.ContainsFunc(granted, func(g string) bool { return covers(g, name) }) {
			gap.Missing = append(gap.Missing, name)
		}
	}
	for _, name := range granted {
		switch {
		case slices.Contains(wanted, name), kind == User && slices.Contains(signingIn, name):
		case kind == Admin && name == readGroups:
			gap.Unused = append(gap.Unused, name)
		default:
			gap.Superfluous = append(gap.Superfluous, name)
		}
	}
	return gap
}

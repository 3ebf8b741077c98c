package entra

import (
	"slices"
	"strings"
)

// permission is what Graph publishes under one name.
type permission struct {
	text        string
	delegated   bool
	application bool
	adminOnly   bool // the delegated form needs an administrator's consent
}

// permissions are the ones of Graph that presence apps meet. Consent types as in
// Microsoft's permissions reference.
var permissions = map[string]permission{
	"User.Read":              {"Sign in and read your profile", true, false, false},
	"User.ReadBasic.All":     {"Read all users' basic profiles", true, true, false},
	"User.Read.All":          {"Read all users' full profiles", true, true, true},
	"Presence.Read":          {"Read your presence information", true, false, false},
	"Presence.Read.All":      {"Read presence information of all users in your organization", true, true, false},
	"Presence.ReadWrite":     {"Read and write your presence information", true, false, false},
	"Presence.ReadWrite.All": {"Read and write presence information for all users", false, true, true},
	"GroupMember.Read.All":   {"Read group memberships", true, true, true},
	"Group.Read.All":         {"Read all groups", true, true, true},
	"Directory.Read.All":     {"Read directory data", true, true, true},
	"Mail.Read":              {"Read your mail", true, true, false},
	"Calendars.Read":         {"Read your calendars", true, true, false},
}

// signInScopes belong to no resource.
var signInScopes = []string{"openid", "profile", "email", "offline_access"}

// scopes is a scope parameter taken apart.
type scopes struct {
	text     string
	signIn   []string // openid and the like
	resource string   // "" when only signIn was asked
	named    []string // permissions by short name
	all      bool     // {resource}/.default
	short    bool     // asked without a resource: answered without one
}

func (sc scopes) has(name string) bool { return slices.Contains(sc.signIn, name) }

// wanted are the delegated permissions that consent is needed for, sign-in scopes
// included.
func (sc scopes) wanted(a *app) []string {
	if sc.all {
		return append(slices.Clone(sc.signIn), a.Delegated...)
	}
	return append(slices.Clone(sc.signIn), sc.named...)
}

// parseScopes refuses what both legs refuse: unknown resources, several of them,
// .default mixed with names. delegated also refuses names that Graph does not have
// as delegated permissions.
func (s *Simulator) parseScopes(text string, a *app, delegated bool) (scopes, *refusal) {
	sc := scopes{text: text}
	for item := range strings.FieldsSeq(text) {
		if slices.Contains(signInScopes, item) {
			sc.signIn = append(sc.signIn, item)
			continue
		}
		resource, name, short := globalGraph, item, true
		if i := strings.LastIndex(item, "/"); i >= 0 {
			resource, name, short = strings.TrimSuffix(item[:i], "/"), item[i+1:], false
		}
		if !s.knowsResource(resource) {
			return sc, refuse(500011, "The resource principal named %s was not found in the tenant named %s. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.", resource, a.tenant.ID).as("invalid_resource")
		}
		if sc.resource != "" && sc.resource != resource {
			return sc, refuse(28000, "Provided value for the input parameter scope is not valid because it contains more than one resource.").as("invalid_scope")
		}
		sc.resource, sc.short = resource, short
		if name == ".default" {
			sc.all = true
			continue
		}
		if delegated && (resource != s.graph || !permissions[name].delegated) {
			return sc, refuse(650053, "The application '%s' asked for scope '%s' that doesn't exist on the resource '%s'. Contact the app vendor.", a.Name, name, resource).as("invalid_scope")
		}
		sc.named = append(sc.named, name)
	}
	if sc.all && len(sc.named) > 0 {
		return sc, refuse(70011, "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. .default scope can't be combined with resource-specific scopes.").as("invalid_scope")
	}
	return sc, nil
}

func (s *Simulator) knowsResource(resource string) bool {
	return resource == s.graph || resource == s.vault
}

// granted are the delegated permissions that a token for this request holds: all
// consented ones of the resource, which may be more than was asked.
func (sc scopes) granted(a *app, u *user) []string {
	var names []string
	for name, p := range permissions {
		if p.delegated && sc.resource != "" && a.allows(u, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// answer is the scope member of a token response: granted permissions in the form
// that was asked, then the sign-in scopes; offline_access is never listed.
func (sc scopes) answer(granted []string) string {
	items := make([]string, 0, len(granted)+4)
	for _, name := range granted {
		if !sc.short {
			name = sc.resource + "/" + name
		}
		items = append(items, name)
	}
	for _, name := range sc.signIn {
		if name != "offline_access" {
			items = append(items, name)
		}
	}
	return strings.Join(items, " ")
}

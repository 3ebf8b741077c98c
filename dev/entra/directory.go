package entra

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Tenant is a directory. ID is a GUID in lower case.
type Tenant struct {
	ID     string `json:"id"`
	Domain string `json:"domain"`
}

// User is an account of a tenant.
type User struct {
	TenantID string `json:"tenantId"`
	ObjectID string `json:"objectId"`
	UPN      string `json:"upn"`
	Name     string `json:"name"`
	// Admin may consent for the organization, to application permissions too.
	Admin bool `json:"admin"`
	// AppRoles are the roles claim of the user's id tokens, of every app.
	AppRoles []string `json:"appRoles"`
}

// App is an app registration with its service principal.
type App struct {
	TenantID string `json:"tenantId"`
	// HomeID is the tenant that a multi-tenant app is registered in, where that is
	// another one: its credentials are of that tenant, and this tenant has no
	// enterprise application until somebody consents. Empty: TenantID.
	HomeID   string `json:"homeId"`
	ClientID string `json:"clientId"`
	Name     string `json:"name"`
	// Secret is the first client secret; see [Simulator.AddSecret] for more.
	Secret string `json:"secret"`
	// SecretExpires is when Secret stops working; zero means never.
	SecretExpires time.Time `json:"secretExpires"`
	// RedirectURIs are of platform type Web: https, or http on localhost.
	RedirectURIs []string `json:"redirectUris"`
	// Delegated and Application are the permissions on Graph that are registered
	// ("API permissions"), by short name. Registered is not granted.
	Delegated   []string `json:"delegated"`
	Application []string `json:"application"`
	// Certificates are the public parts of certificate credentials.
	Certificates []*x509.Certificate `json:"-"`
	// Federated are the federated identity credentials.
	Federated []Federated `json:"federated"`
}

// Federated is a federated identity credential: an assertion whose iss, sub and
// aud are exactly these stands in for a secret.
type Federated struct {
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`
	Audience string `json:"audience"`
}

// Identity is a managed identity that the app under test runs with.
type Identity struct {
	TenantID string `json:"tenantId"`
	ClientID string `json:"clientId"`
	ObjectID string `json:"objectId"`
	// System answers requests that name no client id.
	System bool `json:"system"`
}

type tenant struct {
	Tenant
	users      []*user
	apps       []*app
	hidden     bool // Entra says that there is no such tenant
	consentOff bool // users may not consent
	workflow   bool // users may ask administrators to consent
}

type user struct {
	User
	tenant    *tenant
	disabled  bool
	removedAt time.Time // zero: not deleted
	password  passwordState
	block     *block // of Conditional Access; nil lets the account through
	demand    demand
	// contextClaims is the claims challenge that a sign-in must answer before it
	// gives tokens; empty: none.
	contextClaims string
	// Each revocation and each new demand starts a generation; sign-ins of an older
	// one no longer count. Counters, not times: a test's clock may stand.
	revocations, demands int
	revokedAt            time.Time
	// critical counts the events that end tokens of clients that handle claims
	// challenges.
	critical int
}

// app is a registration with its enterprise application.
type app struct {
	App
	enterprise
	tenant  *tenant
	home    *tenant     // of the registration
	former  *enterprise // deleted, may be restored
	secrets []clientSecret
	// federatedSince is when each federated identity credential begins to count.
	federatedSince map[Federated]time.Time
	mismatched     bool // somebody edited the subject of the federated credentials
	unredirected   bool // somebody removed the redirect URIs
	risky          bool
	removedAt      time.Time
}

// enterprise is the enterprise application: what a tenant has of an app.
type enterprise struct {
	principal string // object id of the service principal; empty: there is none
	disabled  bool
	everyone  map[string]bool            // delegated scopes granted tenant-wide (AllPrincipals)
	personal  map[string]map[string]bool // delegated scopes by user (Principal)
	roles     map[string]time.Time       // application permissions and when new tokens show them
	assigned  map[string]bool            // nil: no assignment required
	asked     map[string][]string        // what users asked administrators to approve
	removedAt time.Time
}

// provision makes an enterprise application where there is none.
func (a *app) provision() {
	if a.principal == "" {
		a.enterprise = enterprise{
			principal: guid(), everyone: map[string]bool{}, personal: map[string]map[string]bool{},
			roles: map[string]time.Time{}, asked: map[string][]string{},
		}
	}
}

var (
	guidPattern   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	domainPattern = regexp.MustCompile(`^[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)+$`)
)

// AddTenant adds a directory, with users allowed to consent.
func (s *Simulator) AddTenant(t Tenant) error {
	if !guidPattern.MatchString(t.ID) {
		return fmt.Errorf("add tenant: id %q is no GUID", t.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenant(t.ID) != nil {
		return fmt.Errorf("add tenant: %s exists", t.ID)
	}
	t.ID = strings.ToLower(t.ID)
	s.tenants = append(s.tenants, &tenant{Tenant: t})
	return nil
}

// AddUser adds an enabled account.
func (s *Simulator) AddUser(u User) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(u.TenantID)
	if t == nil {
		return fmt.Errorf("add user: no tenant %q", u.TenantID)
	}
	if s.user(u.ObjectID) != nil {
		return fmt.Errorf("add user: %s exists", u.ObjectID)
	}
	t.users = append(t.users, &user{User: u, tenant: t})
	return nil
}

// AddApp registers an app. It refuses redirect URIs that the portal refuses.
func (s *Simulator) AddApp(a App) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(a.TenantID)
	if t == nil {
		return fmt.Errorf("add app: no tenant %q", a.TenantID)
	}
	if t.app(a.ClientID) != nil {
		return fmt.Errorf("add app: %s exists", a.ClientID)
	}
	for _, uri := range a.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return fmt.Errorf("add app: %w", err)
		}
	}
	for _, name := range a.Delegated {
		if !permissions[name].delegated {
			return fmt.Errorf("add app: Graph has no delegated permission %q", name)
		}
	}
	for _, name := range a.Application {
		if !permissions[name].application {
			return fmt.Errorf("add app: Graph has no application permission %q", name)
		}
	}
	registered := &app{App: a, tenant: t, home: t}
	if a.HomeID != "" && a.HomeID != a.TenantID {
		if registered.home = s.tenant(a.HomeID); registered.home == nil {
			return fmt.Errorf("add app: no tenant %q", a.HomeID)
		}
	} else {
		registered.provision()
	}
	s.addSecret(registered, a.Secret, a.SecretExpires)
	t.apps = append(t.apps, registered)
	return nil
}

// AddIdentity adds a managed identity to the identity endpoint.
func (s *Simulator) AddIdentity(i Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenant(i.TenantID) == nil {
		return fmt.Errorf("add identity: no tenant %q", i.TenantID)
	}
	s.identities = append(s.identities, i)
	return nil
}

// checkRedirectURI holds a URI to the rules of platform type Web.
func checkRedirectURI(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("redirect URI %q cannot be read", text)
	case len(text) > 256:
		return fmt.Errorf("redirect URI is longer than 256 characters: %q", text)
	case u.Scheme == "https" && u.Host != "", u.Scheme == "http" && u.Hostname() == "localhost":
		return nil
	}
	return fmt.Errorf("redirect URI %q must begin with https, or with http for localhost", text)
}

// tenant finds a directory by id or domain, nil when there is none.
func (s *Simulator) tenant(name string) *tenant {
	for _, t := range s.tenants {
		if strings.EqualFold(t.ID, name) || name != "" && strings.EqualFold(t.Domain, name) {
			return t
		}
	}
	return nil
}

// user finds an account that is not deleted by object id, nil when there is none.
func (s *Simulator) user(oid string) *user {
	for _, t := range s.tenants {
		for _, u := range t.users {
			if u.ObjectID == oid && u.removedAt.IsZero() {
				return u
			}
		}
	}
	return nil
}

// app finds a registration that is not deleted, nil when there is none.
func (t *tenant) app(clientID string) *app {
	for _, a := range t.apps {
		if strings.EqualFold(a.ClientID, clientID) && a.removedAt.IsZero() {
			return a
		}
	}
	return nil
}

// present lists the accounts that can be picked.
func (t *tenant) present() []*user {
	return slices.DeleteFunc(slices.Clone(t.users), func(u *user) bool { return !u.removedAt.IsZero() })
}

// redirectURI returns the URI to answer to, or false when it is not registered.
// Case, path and slash count; only localhost may come with any port.
func (a *app) redirectURI(asked string) (string, bool) {
	if a.unredirected {
		return "", false
	}
	if asked == "" && len(a.RedirectURIs) > 0 {
		return a.RedirectURIs[0], true
	}
	for _, registered := range a.RedirectURIs {
		if registered == asked || withoutLocalPort(registered) == withoutLocalPort(asked) {
			return asked, true
		}
	}
	return "", false
}

func withoutLocalPort(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() != "localhost" {
		return text
	}
	rest, found := strings.CutPrefix(text, u.Scheme+"://"+u.Host)
	if !found {
		return text
	}
	return u.Scheme + "://localhost" + rest
}

func (a *app) allows(u *user, scope string) bool {
	return a.everyone[scope] || a.personal[u.ObjectID][scope]
}

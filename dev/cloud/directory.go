package cloud

import (
	"crypto/rand"
	"fmt"

	"procallteams/dev/entra"
	"procallteams/dev/graph"
)

// The tenant and the app registration of the local cloud.
const (
	TenantID = "c0470500-0000-4000-8000-000000000001"
	Domain   = "contoso.com"
	ClientID = "c0470500-0000-4000-8000-0000000000aa"
)

// foreign is another organization's tenant with an account, for who wants to see
// what a wrong choice leads to.
var foreign = struct {
	tenant  entra.Tenant
	account entra.User
}{
	entra.Tenant{ID: "fab00000-0000-4000-8000-000000000001", Domain: "fabrikam.com"},
	entra.User{TenantID: "fab00000-0000-4000-8000-000000000001", ObjectID: "fab00000-0000-4000-8000-000000000101", UPN: "eva.extern@fabrikam.com", Name: "Eva Extern"},
}

// The user-assigned managed identity that the handler runs with: its client id and
// its object id, which the app registration trusts.
const (
	bridgeIdentity  = "c0470500-0000-4000-8000-0000000000bb"
	bridgePrincipal = "c0470500-0000-4000-8000-0000000000cc"
)

// Account is somebody who can sign in on the simulated pages.
type Account struct {
	ObjectID, UPN, Name string
	Admin               bool
}

var accounts = []Account{
	{"c0470500-0000-4000-8000-000000000101", "alex.admin@contoso.com", "Alex Admin", true},
	{"c0470500-0000-4000-8000-000000000102", "max.mustermann@contoso.com", "Max Mustermann", false},
	{"c0470500-0000-4000-8000-000000000103", "petra.probe@contoso.com", "Petra Probe", false},
}

// delegated and application are the permissions on Graph that the registration
// lists, as the set-up page asks for them.
var (
	delegated   = []string{"Presence.Read.All", "User.ReadBasic.All"}
	application = []string{"Presence.ReadWrite.All", "User.Read.All", "GroupMember.Read.All"}
)

// populate makes one tenant in Entra and Graph: accounts that sign in, the app
// registration with its redirect URIs and credentials, and the users who move.
func (c *Cloud) populate(o Options) error {
	c.Accounts = accounts
	c.ClientSecret = "local~" + rand.Text()
	if err := c.Entra.AddTenant(entra.Tenant{ID: TenantID, Domain: Domain}); err != nil {
		return err
	}
	for _, a := range accounts {
		user := entra.User{TenantID: TenantID, ObjectID: a.ObjectID, UPN: a.UPN, Name: a.Name, Admin: a.Admin}
		if a.Admin {
			user.AppRoles = []string{"Bridge.Admin"}
		}
		if err := c.Entra.AddUser(user); err != nil {
			return err
		}
		c.Graph.AddUser(graph.User{ID: a.ObjectID, UserPrincipalName: a.UPN, DisplayName: a.Name, Mail: a.UPN})
	}
	if err := c.Entra.AddTenant(foreign.tenant); err != nil {
		return err
	}
	if err := c.Entra.AddUser(foreign.account); err != nil {
		return err
	}
	if o.Members {
		c.Graph.AddMembers(o.Users)
	} else {
		c.Graph.AddUsers(o.Users)
	}
	if o.Roster {
		c.roster()
	}
	err := c.Entra.AddApp(entra.App{
		TenantID: TenantID, ClientID: ClientID, Name: "ProCall Teams Bridge", Secret: c.ClientSecret,
		RedirectURIs: []string{
			c.URL + "/api/consent/user/callback",
			c.URL + "/api/consent/admin/callback",
			c.URL + "/api/console/signin",
		},
		Delegated: delegated, Application: application,
		// As the console tells an administrator to enter it.
		Federated: []entra.Federated{{Issuer: c.entraURL + "/" + TenantID + "/v2.0", Subject: bridgePrincipal, Audience: entra.ExchangeAudience}},
	})
	if err != nil {
		return err
	}
	if err := c.Entra.AddIdentity(entra.Identity{TenantID: TenantID, ClientID: bridgeIdentity, ObjectID: bridgePrincipal}); err != nil {
		return fmt.Errorf("give the bridge an identity: %w", err)
	}
	return nil
}

// verifyGraph reads a token for the Graph simulator.
func (c *Cloud) verifyGraph(token string) (graph.Caller, error) {
	claims, err := c.Entra.VerifyFor(c.graphURL, token)
	if err != nil {
		return graph.Caller{}, err
	}
	return graph.Caller{
		TenantID: claims.TenantID, AppID: claims.AppID, ObjectID: claims.ObjectID,
		Scopes: claims.Scopes, Roles: claims.Roles, Expires: claims.Expires,
	}, nil
}

// verifyVault lets the bridge's identity into the vault.
func (c *Cloud) verifyVault(token string) error {
	claims, err := c.Entra.VerifyFor(c.vaultResource, token)
	if err == nil && claims.AppID != bridgeIdentity {
		return fmt.Errorf("verify token: application %s has no role on the vault", claims.AppID)
	}
	return err
}

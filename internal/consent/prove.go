package consent

import (
	"context"
	"fmt"
)

// Proof is what Entra issued just now.
type Proof struct {
	Token Token
	// Permissions are the app's roles or the account's scopes. Readable is false when
	// the app's token could not be read; then they are unknown.
	Permissions []string
	Readable    bool
	// Credential is what proved the app registration. Of [Service.ProveApp] only.
	Credential CredentialUse
}

// Allows reports whether the token is enough for a use, as far as it could be read.
func (p Proof) Allows(use Use) bool {
	if p.Readable && len(p.Permissions) == 0 {
		return false
	}
	return !p.Readable || use.allowedBy(Grant{Kind: p.Token.Kind, Permissions: p.Permissions})
}

// ProveApp gets a fresh app-only token for whoever checks the bridge. It proves the
// credential, and shows the permissions. Nothing is stored. Errors are *[UnsetError],
// *aadsts.Error, or what hindered the way there.
func (s *Service) ProveApp(ctx context.Context) (Proof, error) {
	app, err := s.app(ctx)
	if err != nil {
		return Proof{}, err
	}
	token, err := s.Issuer.AppToken(ctx, app)
	if err != nil {
		return Proof{}, fmt.Errorf("get a token for the app: %w", err)
	}
	return Proof{
		Token:       Token{Value: token.Value, Expires: token.Expires, Kind: Admin},
		Permissions: token.Roles, Readable: token.Readable, Credential: token.Credential,
	}, nil
}

// ProvePerson refreshes one user grant now, whatever this process holds or knows of
// it, and marks the row as a sync would. It returns *[RequiredError] when the grant
// is not accepted.
func (s *Service) ProvePerson(ctx context.Context, tenant string, grant Grant) (Proof, error) {
	p := s.slot(tenant, grant.ClientID, grant.Kind, grant.Account.ObjectID)
	if err := p.lock(ctx); err != nil {
		return Proof{}, err
	}
	p.refused = nil // nobody waits for the end of a pause who asks now
	p.unlock()
	token, err := s.tokenOf(ctx, tenant, grant, true)
	if err != nil {
		return Proof{}, err
	}
	proof := Proof{Token: token, Permissions: grant.Permissions, Readable: true}
	rows, err := s.Grants.Grants(ctx, tenant)
	if err != nil {
		return Proof{}, fmt.Errorf("read grants: %w", err)
	}
	for _, g := range rows {
		if g.Kind == grant.Kind && g.Account.ObjectID == grant.Account.ObjectID {
			proof.Permissions = g.Permissions
		}
	}
	return proof, nil
}

package consent

import (
	"context"
	"fmt"
	"time"
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

	tenant string
	grant  Grant     // as it was before, of an account as it is now
	issued AppToken  // of the app
	asked  time.Time // for it
}

// Allows reports whether the token is enough for a use, as far as it could be read.
func (p Proof) Allows(use Use) bool {
	if p.Readable && len(p.Permissions) == 0 {
		return false
	}
	return !p.Readable || use.allowedBy(Grant{Kind: p.Token.Kind, Permissions: p.Permissions})
}

// ProveApp gets a fresh app-only token for whoever checks the bridge. It proves the
// credential, and shows the permissions. What Entra refuses stands in the admin
// grant's row afterwards, as a probe would have noted it; what the token allows is
// noted by [Service.ProveAtGraph]. Errors are *[UnsetError], *aadsts.Error, or what
// hindered the way there.
func (s *Service) ProveApp(ctx context.Context) (Proof, error) {
	app, err := s.app(ctx)
	if err != nil {
		return Proof{}, err
	}
	before, err := s.adminGrant(ctx, app)
	if err != nil {
		return Proof{}, err
	}
	asked := s.now()
	token, err := s.Issuer.AppToken(ctx, app)
	if before.Disconnected {
		_, noted := s.credentialOnly(ctx, app, before, token, err, asked)
		s.unnoted(ctx, noted)
	} else if err != nil {
		v, passing := unissued(err, asked)
		_, noted := s.settle(ctx, app, before, v, passing, asked)
		s.unnoted(ctx, noted)
	}
	if err != nil {
		return Proof{}, fmt.Errorf("get a token for the app: %w", err)
	}
	return Proof{
		Token:       Token{Value: token.Value, Expires: token.Expires, Kind: Admin, permissions: token.Roles},
		Permissions: token.Roles, Readable: token.Readable, Credential: token.Credential,
		tenant: app.Tenant, grant: before, issued: token, asked: asked,
	}, nil
}

// adminGrant returns the admin grant to an app registration, a new one when there is
// none.
func (s *Service) adminGrant(ctx context.Context, app App) (Grant, error) {
	grant, found, err := s.find(ctx, app.Tenant, Admin, "")
	switch {
	case err != nil:
		return Grant{}, err
	case !found:
		return Grant{Kind: Admin, ClientID: app.ClientID}, nil
	case grant.ClientID != app.ClientID:
		return s.outdated(ctx, app, grant)
	}
	return grant, nil
}

// unnoted logs why a grant's row does not say what a check found: whoever asked for
// the check is told that anyway, and a probe finds it again.
func (s *Service) unnoted(ctx context.Context, err error) {
	if err != nil {
		s.Log.WarnContext(ctx, "what a check found about a consent is not noted", "error", err.Error())
	}
}

// ProvePerson refreshes one user grant now, whatever this process holds or knows of
// it, and marks the row as a sync would. It returns *[RequiredError] when the grant
// is not accepted.
func (s *Service) ProvePerson(ctx context.Context, tenant string, grant Grant) (Proof, error) {
	p := s.slot(tenant, grant.ClientID, grant.Kind, grant.Account.ObjectID)
	if err := p.lock(ctx); err != nil {
		return Proof{}, err
	}
	// Nobody waits for the end of a pause who asks now.
	token, err := s.renew(ctx, patientTime, tenant, grant, p)
	p.unlock()
	if err != nil {
		return Proof{}, err
	}
	now, found, err := s.find(ctx, tenant, grant.Kind, grant.Account.ObjectID)
	if err != nil {
		return Proof{}, err
	}
	if !found {
		now = grant
	}
	return Proof{Token: token, Permissions: now.Permissions, Readable: true, tenant: tenant, grant: now}, nil
}

// ProveAtGraph asks Graph for nobody's presence with a proof's token, and returns the
// status of the answer. What token and answer say of the grant stands in its row
// afterwards, as a probe or a sync would have noted it: what may pass by itself marks
// nothing.
func (s *Service) ProveAtGraph(ctx context.Context, proof Proof) (status int, err error) {
	status, err = s.Read(ctx, proof.Token.Value)
	grant := proof.grant
	switch {
	case proof.Token.Kind == Admin && grant.Disconnected:
	case proof.Token.Kind == Admin:
		app := App{Tenant: proof.tenant, ClientID: grant.ClientID}
		v, passing := shown(proof.issued, proof.asked, status, err)
		_, noted := s.settle(ctx, app, grant, v, passing, proof.asked)
		s.unnoted(ctx, noted)
	case err == nil:
		p := s.slot(proof.tenant, grant.ClientID, grant.Kind, grant.Account.ObjectID)
		s.unnoted(ctx, s.answered(ctx, proof.tenant, grant, p, status))
	}
	return status, err
}

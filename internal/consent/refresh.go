package consent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
)

// renewAfter is the age from which a stored refresh token is replaced by the one
// that a refresh returned: used refresh tokens stay valid for 90 days, and every
// write makes a version, of which a vault should not hold more than 500.
const renewAfter = 7 * 24 * time.Hour

// keepTime is how long Key Vault may take to store a newer one.
const keepTime = 2 * time.Second

// Entra has been seen to refuse good refresh tokens with AADSTS70000 now and
// then, so it counts only when it was said this often over this time.
const (
	doubtful     = 70000
	doubtsNeeded = 3
	doubtsWithin = 2 * time.Minute
)

// refresh gets an access token for a user grant. A permanent refusal marks the
// row, a success restores it; the stored refresh token is never thrown away,
// since most refusals can be undone at Entra. p is held by the caller.
func (s *Service) refresh(ctx context.Context, tenant string, grant Grant, p *slot) (Token, error) {
	app := App{Tenant: tenant, ClientID: grant.ClientID}
	for range 3 {
		if grant.SecretVersion == "" { // disconnected meanwhile
			return Token{}, grant.required(nil)
		}
		tokens, err := s.redeemStored(ctx, app, grant)
		if err == nil {
			return s.refreshed(ctx, tenant, grant, tokens)
		}
		refusal, ok := errors.AsType[*aadsts.Error](err)
		if !ok || !refusal.Permanent() || ctx.Err() != nil {
			return Token{}, err
		}
		if refusal.Has(doubtful) && p.doubt(s.Now()) {
			return Token{}, err
		}
		marked, err := s.change(ctx, tenant, grant, func(g *Grant) bool {
			if g.SecretVersion != grant.SecretVersion {
				return false // somebody consented meanwhile: try that sign-in
			}
			state := Reauthorize
			if refusal.Class == aadsts.Policy {
				state = Blocked
			}
			if g.State == state && g.Code == refusal.Code && g.Reason == refusal.Cause && g.NextStep == refusal.Step && g.tried(s.now()) {
				return false
			}
			g.enter(state, s.now(), because(refusal))
			return true
		})
		if err != nil {
			return Token{}, err
		}
		if marked.SecretVersion == grant.SecretVersion {
			return Token{}, marked.required(refusal)
		}
		grant = marked
	}
	return Token{}, fmt.Errorf("refresh sign-in of %s: %w", grant.Account.ObjectID, ErrChanged)
}

// tried reports whether the row says of a refusal that it was found a short while ago.
// What a page tells about the latest attempt is that much older than it at most.
func (g Grant) tried(now time.Time) bool { return g.provenAgo(now) < minUserCheck-slack }

// doubt reports whether a refusal that may be a mistake is still to be doubted.
func (p *slot) doubt(now time.Time) bool {
	if p.doubts == 0 {
		p.doubted = now
	}
	p.doubts++
	return p.doubts < doubtsNeeded || now.Sub(p.doubted) < doubtsWithin
}

// malformed is Entra's number for a request with a refresh token that is none.
const malformed = 9002313

// redeemStored reads the stored refresh token and uses it.
func (s *Service) redeemStored(ctx context.Context, app App, grant Grant) (Tokens, error) {
	stored, err := s.Vault.GetVersion(ctx, grant.SecretName, grant.SecretVersion)
	if isNotFound(err) {
		return Tokens{}, &aadsts.Error{Class: aadsts.Reauthorize, Cause: "the stored sign-in is no longer in Key Vault", Step: "Recover the secret " + grant.SecretName + " in Key Vault, or sign in again."}
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("read stored sign-in: %w", err)
	}
	tokens, err := s.Issuer.Refresh(ctx, app, stored)
	if unset, ok := errors.AsType[*UnsetError](err); ok {
		err = unset.refusal()
	}
	if refusal, ok := errors.AsType[*aadsts.Error](err); ok && refusal.Has(malformed) && refusal.Word == "invalid_grant" {
		// The rest of the request serves every other grant.
		refusal.Class, refusal.Cause, refusal.Step = aadsts.Reauthorize, "Entra does not accept the stored sign-in", "Sign in again; somebody may have changed the secret "+grant.SecretName+" in Key Vault."
	}
	if err != nil {
		return Tokens{}, err
	}
	if !slices.Contains(tokens.Scopes, readPresence) {
		return Tokens{}, &aadsts.Error{Class: aadsts.Reauthorize, Cause: "the permission " + readPresence + " was withdrawn", Step: "Give consent again."}
	}
	if !tokens.Refresh.Empty() && (tokens.Refresh.Equal(stored) || s.Now().Sub(grant.StoredAt) < renewAfter) {
		tokens.Refresh = secret.Text{}
	}
	return tokens, nil
}

// refreshed records a success and stores the refresh token that is due. An account
// that Graph refused is restored only when Graph takes it again.
func (s *Service) refreshed(ctx context.Context, tenant string, grant Grant, tokens Tokens) (Token, error) {
	token := Token{Value: tokens.Access, Expires: tokens.Expires, Kind: User, Account: grant.Account.ObjectID, permissions: tokens.Scopes}
	if grant.barred() {
		switch status, err := s.Read(ctx, token.Value); {
		case err != nil:
			return Token{}, fmt.Errorf("prove the account's permission at Graph: %w", err)
		case status == http.StatusForbidden, status == http.StatusUnauthorized:
			return Token{}, s.stillBarred(ctx, tenant, grant)
		case unproven(status):
			return Token{}, fmt.Errorf("prove the account's permission at Graph: it answered %d", status)
		}
	}
	replaced := ""
	if !tokens.Refresh.Empty() {
		// Whoever waits for the access token does not wait for a vault that hangs.
		keeping, cancel := context.WithTimeout(ctx, keepTime)
		version, err := s.Vault.Put(keeping, grant.SecretName, tokens.Refresh, s.label(tenant, grant.Account.ObjectID))
		cancel()
		if err != nil {
			// The stored one still works; the next refresh tries again.
			s.Log.WarnContext(ctx, "newer sign-in not stored", "account", grant.Account.ObjectID, "error", err.Error())
		} else {
			replaced = version
		}
	}
	// A crash here leaves a version that no row names: harmless.
	won := false
	_, err := s.change(ctx, tenant, grant, func(g *Grant) bool {
		won = false
		if replaced != "" && g.SecretVersion == replaced {
			won = true // stored before, only the answer was lost
			return false
		}
		if g.SecretVersion != grant.SecretVersion {
			return false // a newer sign-in is in force
		}
		if !g.Works() && (!g.barred() || grant.barred()) {
			g.enter(Granted, s.now(), why{})
		}
		g.CheckedAt, g.Permissions = s.now(), tokens.Scopes
		if replaced != "" {
			g.SecretVersion, g.StoredAt = replaced, s.now()
			won = true
		}
		return true
	})
	if err != nil {
		return Token{}, err // nobody knows which version the row names: both stay
	}
	switch {
	case won:
		s.tidy(ctx, grant.SecretName, replaced)
	case replaced != "":
		s.disable(ctx, grant.SecretName, replaced)
	}
	return token, nil
}

// keptVersions is how many versions of a sign-in stay readable: an older one still
// works at Entra, should the newest be lost.
const keptVersions = 3

// tidy makes the versions of a sign-in unreadable that are older than the newest
// ones, but never the one in force. What fails is done after the next write.
func (s *Service) tidy(ctx context.Context, name, inForce string) {
	versions, err := s.Vault.Versions(ctx, name)
	if err != nil {
		s.Log.WarnContext(ctx, "superseded secret versions not listed", "error", err.Error())
		return
	}
	kept := 0
	for _, v := range versions {
		if v.Enabled {
			kept++
		}
		if v.Enabled && kept > keptVersions && v.ID != inForce {
			s.disable(ctx, name, v.ID)
		}
	}
}

// disable makes a version unreadable that no row names. It only tidies up.
func (s *Service) disable(ctx context.Context, name, version string) {
	if err := s.Vault.Disable(ctx, name, version); err != nil {
		s.Log.WarnContext(ctx, "superseded secret version not disabled", "error", err.Error())
	}
}

// refreshLifetime is how long Entra keeps a refresh token that nobody uses
// (Microsoft identity platform: refresh tokens).
const refreshLifetime = 90 * 24 * time.Hour

// label shows in the portal whose sign-in a version holds, and how old it is.
func (s *Service) label(tenant, account string) secret.Label {
	now := s.now()
	return secret.Label{
		Tags:    map[string]string{"tid": tenant, "oid": account, "issued": now.Format(time.RFC3339)},
		Expires: now.Add(refreshLifetime),
	}
}

// connect stores a sign-in: first Key Vault, then the row that names its version. An
// account that is new beside others waits for an administrator, unless the trip was begun
// to connect another person (wanted).
// Nothing of the sign-in is kept when Key Vault refuses.
func (s *Service) connect(ctx context.Context, app App, who SignedIn, wanted bool) (Grant, error) {
	account := who.Account.ObjectID
	grants, err := s.Grants.Grants(ctx, app.Tenant)
	if err != nil {
		return Grant{}, fmt.Errorf("read grants: %w", err)
	}
	wanted = wanted || len(others(grants, app.ClientID, account)) == 0
	name := refreshName(app.Tenant, account)
	version, err := s.Vault.Put(ctx, name, who.Refresh, s.label(app.Tenant, account))
	if err != nil {
		return Grant{}, fmt.Errorf("store sign-in: %w", err)
	}
	// A crash before the row leaves a version that no row names: harmless.
	grant, err := s.change(ctx, app.Tenant, Grant{Kind: User, Account: who.Account}, func(g *Grant) bool {
		if g.SecretVersion == version {
			return false // stored before, only the answer was lost
		}
		now := s.now()
		g.signedIn(app.ClientID, wanted, now)
		g.Account, g.ClientID, g.Disconnected, g.Retired = who.Account, app.ClientID, false, ""
		g.GivenAt, g.StoredAt, g.Permissions = now, now, who.Scopes
		g.SecretName, g.SecretVersion = name, version
		return true
	})
	if err != nil {
		return Grant{}, err // the row may name the version all the same
	}
	s.tidy(ctx, name, version)
	p := s.slot(app.Tenant, app.ClientID, User, account)
	if p.lock(ctx) == nil {
		p.accept(Token{Value: who.Access, Expires: who.Expires, Kind: User, Account: account, permissions: who.Scopes})
		p.unlock()
	}
	return grant, nil
}

func refreshName(tenant, account string) string { return "refresh-" + tenant + "-" + account }

func isNotFound(err error) bool { return errors.Is(err, secret.ErrNotFound) }

func isChanged(err error) bool { return errors.Is(err, ErrChanged) }

package consent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"procallteams/internal/secret"
)

// ErrNoGrant reports that there is no such grant.
var ErrNoGrant = errors.New("there is no such consent")

// marker is what is written over a sign-in that is not to be used any more.
const marker = "disconnected"

// Disconnect takes a grant out of use: of kind Admin (account is empty), or the
// sign-in of one account. Its row stays, required, with a line of history. Every
// process stops using it with the next sync, which reads the row; the stored
// refresh token is overwritten, and its versions disabled. What Microsoft holds
// stays: only an administrator of the tenant can revoke that. It returns
// [ErrNoGrant] for a grant that is not there. Asking again is safe.
func (s *Service) Disconnect(ctx context.Context, who string, kind Kind, account string) error {
	app, err := s.app(ctx)
	if err != nil {
		return err
	}
	grant, found, err := s.find(ctx, app.Tenant, kind, account)
	if err != nil {
		return err
	}
	if !found {
		return ErrNoGrant
	}
	if err := s.Audit(ctx, app.Tenant, who, string(kind)+" consent disconnected", account); err != nil {
		return fmt.Errorf("record that a consent is disconnected: %w", err)
	}
	reason, step := "an administrator disconnected this account", "Sign in with it again to use it again."
	if kind == Admin {
		reason, step = "an administrator disconnected it", "Use it again on the bridge's page, or give the admin consent again."
	}
	return s.retire(ctx, app.Tenant, grant, why{reason: reason, step: step})
}

// find returns one grant's row.
func (s *Service) find(ctx context.Context, tenant string, kind Kind, account string) (Grant, bool, error) {
	grants, err := s.Grants.Grants(ctx, tenant)
	if err != nil {
		return Grant{}, false, fmt.Errorf("read grants: %w", err)
	}
	for _, g := range grants {
		if g.Kind == kind && g.Account.ObjectID == account {
			return g, true, nil
		}
	}
	return Grant{}, false, nil
}

// retire takes a grant out of use because of w. The row comes first: from then on
// nobody uses the sign-in, and a renewal that is under way loses against the row
// and disables its own version. A crash after it leaves a row that is disconnected
// and still names its secret, which the next probe finishes.
func (s *Service) retire(ctx context.Context, tenant string, grant Grant, w why) error {
	retired, err := s.change(ctx, tenant, grant, func(g *Grant) bool {
		if g.Disconnected {
			return false
		}
		g.enter(Required, s.now(), w)
		g.Disconnected, g.SecretVersion = true, ""
		return true
	})
	if err != nil {
		return err
	}
	s.drop(tenant, retired)
	return s.erase(ctx, tenant, retired)
}

// erase overwrites the sign-in of a disconnected grant and disables every version
// of it but the marker. The row stops naming the secret when that is done.
func (s *Service) erase(ctx context.Context, tenant string, grant Grant) error {
	if grant.SecretName == "" {
		return nil
	}
	marked, err := s.Vault.Put(ctx, grant.SecretName, secret.New(marker), secret.Label{Tags: map[string]string{"tid": tenant, "oid": grant.Account.ObjectID}})
	if err != nil {
		return fmt.Errorf("overwrite the stored sign-in: %w", err)
	}
	versions, err := s.Vault.Versions(ctx, grant.SecretName)
	if err != nil {
		return fmt.Errorf("overwrite the stored sign-in: %w", err)
	}
	for _, version := range versions {
		if version.ID == marked || !version.Enabled {
			continue
		}
		if err := s.Vault.Disable(ctx, grant.SecretName, version.ID); err != nil {
			return fmt.Errorf("overwrite the stored sign-in: %w", err)
		}
	}
	_, err = s.change(ctx, tenant, grant, func(g *Grant) bool {
		if !g.Disconnected || g.SecretVersion != "" || g.SecretName == "" {
			return false // somebody signed in again meanwhile
		}
		g.SecretName = ""
		return true
	})
	return err
}

// UseAgain takes an admin grant back into use that was disconnected, and proves it
// at once. Whether it works is in its row then.
func (s *Service) UseAgain(ctx context.Context, who string) error {
	app, err := s.app(ctx)
	if err != nil {
		return err
	}
	if err := s.Audit(ctx, app.Tenant, who, "admin consent used again"); err != nil {
		return fmt.Errorf("record that a consent is used again: %w", err)
	}
	grant, err := s.change(ctx, app.Tenant, Grant{Kind: Admin, ClientID: app.ClientID}, func(g *Grant) bool {
		if !g.Disconnected {
			return false
		}
		g.Disconnected, g.CheckedAt = false, time.Time{} // due at once
		g.Reason, g.NextStep = "", ""
		return true
	})
	if err != nil {
		return err
	}
	_, err = s.checkAdmin(ctx, app, grant)
	return err
}

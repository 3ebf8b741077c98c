package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"procallteams/internal/secret"
)

// ErrNoGrant reports that there is no such grant.
var ErrNoGrant = errors.New("there is no such consent")

// marker is what is written over a sign-in that is not to be used any more, and stateTag
// the tag that says so without reading it.
const marker, stateTag = "disconnected", "state"

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
	return s.disconnect(ctx, who, app.Tenant, grant, func(Grant) bool { return true })
}

// disconnect is [Service.Disconnect] of a grant, if still says so when its row changes.
func (s *Service) disconnect(ctx context.Context, who, tenant string, grant Grant, still func(Grant) bool) error {
	if err := s.Audit(ctx, tenant, who, string(grant.Kind)+" consent disconnected", grant.Account.ObjectID); err != nil {
		return fmt.Errorf("record that a consent is disconnected: %w", err)
	}
	reason, step := "an administrator disconnected this account", "Sign in with it again to use it again."
	if grant.Kind == Admin {
		reason, step = "an administrator disconnected it", "Use it again on the bridge's page, or give the admin consent again."
	}
	return s.retire(ctx, tenant, grant, why{reason: reason, step: step}, still)
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

// retire takes a grant out of use because of w, if still says so of the row as it is
// by now; else it returns [ErrNotWaiting]. The row comes first: from then on
// nobody uses the sign-in, and a renewal that is under way loses against the row
// and disables its own version. A crash after it leaves a row that is disconnected
// and still names its secret, which the next probe finishes.
func (s *Service) retire(ctx context.Context, tenant string, grant Grant, w why, still func(Grant) bool) error {
	retired, err := s.change(ctx, tenant, grant, func(g *Grant) bool {
		if g.Disconnected || !still(*g) {
			return false
		}
		g.enter(Required, s.now(), w)
		g.Disconnected, g.SecretVersion, g.Retired = true, "", g.SecretVersion
		return true
	})
	if err != nil {
		return err
	}
	if !retired.Disconnected {
		return ErrNotWaiting
	}
	s.drop(tenant, retired)
	return s.erase(ctx, tenant, retired)
}

// retireIf is [Service.retire] that leaves a grant alone which is not as it was any more.
func (s *Service) retireIf(ctx context.Context, tenant string, grant Grant, w why, still func(Grant) bool) error {
	err := s.retire(ctx, tenant, grant, w, still)
	if errors.Is(err, ErrNotWaiting) {
		return nil
	}
	return err
}

// arriving is how long the version of a sign-in may be older than the row that names
// it: a callback has no more time.
const arriving = 2 * time.Minute

// outlived reports whether a version belongs to the sign-in that was disconnected: it
// is no newer than the one that was in force, or was there long before. Key Vault
// cannot be asked to overwrite only what somebody saw, and whoever signs in again
// while Key Vault is slow has a newer one.
func (g Grant) outlived(v secret.Version, inForce time.Time) bool {
	return !v.Created.After(inForce) || v.Created.Before(g.Since.Add(-arriving))
}

// erase overwrites the sign-in of a disconnected grant and disables its versions.
// The row stops naming the secret when that is done.
func (s *Service) erase(ctx context.Context, tenant string, grant Grant) error {
	if grant.SecretName == "" {
		return nil
	}
	// Versions that come after this list are not looked at.
	versions, err := s.Vault.Versions(ctx, grant.SecretName)
	if err != nil {
		return fmt.Errorf("overwrite the stored sign-in: %w", err)
	}
	var inForce time.Time
	for _, version := range versions {
		if version.ID == grant.Retired {
			inForce = version.Created
		}
	}
	isMarker := func(v secret.Version) bool { return v.Tags[stateTag] == marker && v.Created.After(inForce) }
	if !slices.ContainsFunc(versions, isMarker) { // else an earlier turn came so far
		label := secret.Label{Tags: map[string]string{"tid": tenant, "oid": grant.Account.ObjectID, stateTag: marker}}
		if _, err := s.Vault.Put(ctx, grant.SecretName, secret.New(marker), label); err != nil {
			return fmt.Errorf("overwrite the stored sign-in: %w", err)
		}
	}
	for _, version := range versions {
		if !version.Enabled || isMarker(version) || !grant.outlived(version, inForce) {
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
		g.SecretName, g.Retired = "", ""
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

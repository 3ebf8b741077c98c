package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// former is why a sign-in in a tenant that was replaced is out of use.
var former = why{
	reason: "another tenant took this one's place, and its sign-ins were made unreadable",
	step:   "Sign in with this account again to use it again.",
}

// Abandon makes the sign-ins of a tenant unreadable whose place another one took: all
// their versions in Key Vault are disabled. An administrator may go back to the tenant
// at any moment, so replaced is asked before each of them.
//
// A row names its secret until all of it is unreadable. So a crash, or a Key Vault that
// is away, leaves the rest to the next time, and nothing is left after it. Whoever goes
// back between the two finds a sign-in that is no longer in Key Vault, and is told so.
func (s *Service) Abandon(ctx context.Context, tenant string, replaced func(context.Context) (bool, error)) error {
	grants, err := s.Grants.Grants(ctx, tenant)
	if err != nil {
		return fmt.Errorf("read grants of a former tenant: %w", err)
	}
	var failures []error
	for _, grant := range grants {
		if grant.SecretName != "" {
			failures = append(failures, s.abandon(ctx, tenant, grant, replaced))
		}
	}
	return errors.Join(failures...)
}

func (s *Service) abandon(ctx context.Context, tenant string, grant Grant, replaced func(context.Context) (bool, error)) error {
	versions, err := s.Vault.Versions(ctx, grant.SecretName)
	if err != nil {
		return fmt.Errorf("disable a former tenant's sign-in: %w", err)
	}
	if is, err := replaced(ctx); err != nil || !is {
		return err
	}
	s.drop(tenant, grant)
	for _, version := range slices.Backward(versions) { // the newest, which is in force, last
		if !version.Enabled {
			continue
		}
		if err := s.Vault.Disable(ctx, grant.SecretName, version.ID); err != nil {
			return fmt.Errorf("disable a former tenant's sign-in: %w", err)
		}
	}
	_, err = s.change(ctx, tenant, grant, func(g *Grant) bool {
		if g.SecretName == "" || g.SecretVersion != grant.SecretVersion {
			return false // renewed by a process that did not know yet, or signed in: next time
		}
		g.enter(Required, s.now(), former)
		g.Disconnected, g.SecretName, g.SecretVersion, g.Retired = true, "", "", ""
		return true
	})
	return err
}

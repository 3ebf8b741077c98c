package consent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"procallteams/internal/entra/aadsts"
)

// patience is how long an admin consent may take to show in tokens. Microsoft
// names no figure; some minutes have been seen.
const patience = 15 * time.Minute

// checks are when a consent that was just given is looked for, counted from the
// callback; after the last one, at every probe.
var checks = []time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute}

// due reports whether the admin grant should be proven now.
func (g Grant) due(now time.Time) bool {
	if g.State != Waiting {
		return now.Sub(g.CheckedAt) >= 45*time.Second
	}
	for _, after := range checks {
		if at := g.GivenAt.Add(after); g.CheckedAt.Before(at) {
			return !now.Before(at)
		}
	}
	return now.Sub(g.CheckedAt) >= 45*time.Second
}

// verdict is what a fresh app-only token told about the admin grant.
type verdict struct {
	grant Grant
	token Token // when the grant works
}

// judge proves the admin grant with a token that Entra issues now: it must hold a
// presence role, and with read it must read from Graph too. The answer of the
// token endpoint alone proves only the credential. Nothing is stored. Errors are
// those that say nothing about the grant.
func (s *Service) judge(ctx context.Context, app App, before Grant, read bool) (verdict, error) {
	g := before
	g.Kind, g.ClientID = Admin, app.ClientID
	now := s.now()
	app, err := s.withCredential(ctx, app)
	if unset, ok := errors.AsType[*UnsetError](err); ok {
		g.enter(Unverified, now, unset.why())
		return verdict{grant: g}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	token, err := s.Issuer.AppToken(ctx, app)
	if refusal, ok := errors.AsType[*aadsts.Error](err); ok && refusal.Permanent() {
		g.refused(refusal, now)
		return verdict{grant: g}, nil
	}
	if err != nil {
		return verdict{}, fmt.Errorf("get a token for the app: %w", err)
	}
	held := !token.Readable || slices.Contains(token.Roles, readPresence) || slices.Contains(token.Roles, writePresence)
	if !held {
		g.missing(now, token.Roles)
		return verdict{grant: g}, nil
	}
	if read || !token.Readable {
		switch status, err := s.Read(ctx, token.Value); {
		case err == nil && status == http.StatusForbidden && !token.Readable:
			g.missing(now, nil)
			return verdict{grant: g}, nil
		case err == nil && status == http.StatusForbidden:
			// The role is there; Graph may need some minutes to see it.
			if now.Sub(g.GivenAt) < patience || g.State == Waiting && now.Sub(g.Since) < patience {
				g.enter(Waiting, now, why{reason: "Microsoft Graph does not yet accept the permission that Entra granted"})
			} else {
				g.enter(Blocked, now, why{code: forbidden, class: aadsts.Policy, reason: "Graph refuses the app's requests although the permission is granted", step: "Look for policies of the tenant that restrict applications."})
			}
			return verdict{grant: g}, nil
		case err != nil && !token.Readable:
			return verdict{}, fmt.Errorf("prove the app's permission at Graph: %w", err)
		case !token.Readable && unproven(status):
			return verdict{}, fmt.Errorf("prove the app's permission at Graph: it answered %d", status)
		}
	}
	g.enter(Granted, now, why{})
	if g.GivenAt.IsZero() {
		g.GivenAt = now // given in the portal: first seen now
	}
	g.Permissions = token.Roles
	if token.Readable && !slices.Contains(token.Roles, readUsers) {
		g.Reason = readUsers + " is not granted: guests and disabled accounts cannot be told apart"
		g.NextStep = "Add " + readUsers + " to the app registration, then consent again."
	}
	return verdict{grant: g, token: Token{Value: token.Value, Expires: token.Expires, Kind: Admin}}, nil
}

// unproven reports whether Graph's status says nothing about a permission.
func unproven(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusTooManyRequests || status >= 500
}

// refused marks what Entra refuses to the app itself.
func (g *Grant) refused(refusal *aadsts.Error, now time.Time) {
	state := Unverified // never worked: the consent is not the trouble yet
	switch {
	case refusal.Class == aadsts.Policy:
		state = Blocked
	case g.Works() || g.State == Reauthorize:
		state = Reauthorize
	}
	g.enter(state, now, because(refusal))
}

// missing marks that Entra's token holds no presence role.
func (g *Grant) missing(now time.Time, roles []string) {
	const step = "Check that the app registration lists " + writePresence + " as an application permission, then open the admin consent."
	g.Permissions = roles
	switch {
	case g.State == Waiting && now.Sub(g.GivenAt) < patience:
		g.CheckedAt = now
	case g.State == Waiting:
		g.enter(Required, now, why{class: aadsts.AdminConsent, reason: "Microsoft reported the consent, but no token shows the permission", step: step})
	case g.Works(), g.State == Reauthorize, g.State == Blocked:
		g.enter(Reauthorize, now, why{class: aadsts.AdminConsent, reason: "the permission was removed in the portal", step: "Open the admin consent to give it again."})
	case g.State == Declined:
		g.CheckedAt = now
	case len(roles) > 0:
		g.enter(Required, now, why{class: aadsts.AdminConsent, reason: "consent was given, but not for " + writePresence, step: step})
	default:
		g.enter(Required, now, why{class: aadsts.AdminConsent})
	}
}

// store writes what was found out about before, unless a person consented, or an
// administrator disconnected the grant, meanwhile.
func (s *Service) store(ctx context.Context, tenant string, before, found Grant) (Grant, error) {
	return s.change(ctx, tenant, found, func(g *Grant) bool {
		if g.ETag != "" && !g.GivenAt.Equal(before.GivenAt) || g.Disconnected != before.Disconnected {
			return false
		}
		etag := g.ETag
		*g = found
		g.ETag = etag
		return true
	})
}

// checkAdmin proves the admin grant when that is due and stores the result.
func (s *Service) checkAdmin(ctx context.Context, app App, before Grant) (Grant, error) {
	if before.Disconnected || !before.due(s.now()) {
		return before, nil
	}
	verdict, err := s.judge(ctx, app, before, true)
	if err != nil {
		return before, err
	}
	stored, err := s.store(ctx, app.Tenant, before, verdict.grant)
	if err != nil {
		return before, err
	}
	if stored.Works() && verdict.grant.Works() {
		p := s.slot(app.Tenant, app.ClientID, Admin, "")
		if p.lock(ctx) == nil {
			p.token = verdict.token
			p.unlock()
		}
	}
	return stored, nil
}

// Probe notices what nobody tells the bridge: consent given or removed in the
// portal, an app registration that was changed, accounts that were enabled again.
// It is upkeep's duty once a minute, and safe at any time.
func (s *Service) Probe(ctx context.Context) error {
	app, err := s.app(ctx)
	if _, unset := errors.AsType[*UnsetError](err); unset {
		return nil
	}
	if err != nil {
		return err
	}
	grants, err := s.Grants.Grants(ctx, app.Tenant)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	var failures []error
	admin := Grant{Kind: Admin, ClientID: app.ClientID}
	for _, grant := range ordered(grants) {
		switch {
		case grant.ClientID != app.ClientID:
			// Consent belongs to one app registration.
			_, err := s.change(ctx, app.Tenant, grant, func(g *Grant) bool {
				if g.ClientID == app.ClientID || g.Kind == User && g.State == Required {
					return false
				}
				if g.Kind == Admin {
					*g = Grant{Kind: Admin, ClientID: app.ClientID, State: g.State, History: g.History, ETag: g.ETag}
				}
				g.enter(Required, s.now(), why{reason: "the client id was changed", step: "Give consent for the new app registration."})
				if g.Kind == Admin {
					g.CheckedAt = time.Time{}
					admin = *g
				}
				return true
			})
			failures = append(failures, err)
		case grant.Kind == Admin:
			admin = grant
		case grant.Disconnected:
			failures = append(failures, s.erase(ctx, app.Tenant, grant))
		case grant.Works() || grant.retried() || grant.State == Required && grant.SecretVersion != "":
			// The last one: the client id was changed, and is the former one again.
			_, err := s.tokenOf(ctx, app.Tenant, grant)
			if _, required := errors.AsType[*RequiredError](err); !required {
				failures = append(failures, err)
			}
		}
	}
	_, err = s.checkAdmin(ctx, app, admin)
	failures = append(failures, err, s.Flows.SweepFlows(ctx, app.Tenant, s.now().Add(-24*time.Hour)))
	return errors.Join(failures...)
}

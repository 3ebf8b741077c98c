package consent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Probe notices what nobody tells the bridge: consent given or removed in the
// portal, an app registration that was changed, accounts that were enabled again.
// It is upkeep's duty once a minute, and safe at any time.
func (s *Service) Probe(ctx context.Context) error { return s.probe(ctx, false) }

// ProveNow is [Service.Probe] without waiting for the next turn, as after a new
// credential: what was refused before is asked for again.
func (s *Service) ProveNow(ctx context.Context) error { return s.probe(ctx, true) }

func (s *Service) probe(ctx context.Context, now bool) error {
	integration, _, err := s.Settings.Load(ctx)
	if err != nil {
		return err
	}
	app, err := appOf(integration)
	if _, unset := errors.AsType[*UnsetError](err); unset {
		return nil
	}
	if now {
		s.forget(app.Tenant)
	}
	grants, err := s.Grants.Grants(ctx, app.Tenant)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	admin, people, failures := s.current(ctx, app, grants)
	every := integration.ConsentCheckEvery()
	if now || admin.due(s.now(), every) {
		if err = s.avoided(ctx, app, admin); err == nil {
			_, err = s.checkAdmin(ctx, app, admin)
		}
		failures = append(failures, err)
	}
	// After the app, which is to be seen within minutes however slow these are.
	for _, grant := range people {
		failures = append(failures, s.probeUser(ctx, app.Tenant, grant, every))
	}
	failures = append(failures, s.Flows.SweepFlows(ctx, app.Tenant, s.now().Add(-24*time.Hour)))
	return errors.Join(failures...)
}

// current returns the admin grant to the app registration in use and the sign-ins of
// people that are to be looked at. Grants to another registration are marked.
func (s *Service) current(ctx context.Context, app App, grants []Grant) (admin Grant, people []Grant, failures []error) {
	admin = Grant{Kind: Admin, ClientID: app.ClientID}
	for _, grant := range ordered(grants) {
		var err error
		switch {
		case grant.ClientID == app.ClientID, grant.Kind == User && grant.Disconnected:
		case grant.State == Unconfirmed: // and nobody can say so any more
			err = s.forgetUnanswered(ctx, app.Tenant, grant)
		case grant.Kind == User && grant.lapsed(s.now()):
			err = s.retireIf(ctx, app.Tenant, grant, elsewhere, Grant.replaced)
		default:
			grant, err = s.outdated(ctx, app, grant)
		}
		failures = append(failures, err)
		switch {
		case grant.Kind == Admin:
			admin = grant
		case grant.ClientID == app.ClientID, grant.Disconnected: // which may not be erased yet
			people = append(people, grant)
		}
	}
	return admin, people, failures
}

// replaced reports whether a person's sign-in belongs to a client id that was changed.
func (g Grant) replaced() bool {
	return g.State == Required && g.SecretVersion != "" && !g.Disconnected
}

// lapsed reports whether such a sign-in is of no use any more: Entra forgets one that
// nobody uses.
func (g Grant) lapsed(now time.Time) bool { return g.replaced() && now.Sub(g.Since) > refreshLifetime }

// elsewhere explains that a grant belongs to another app registration.
var elsewhere = why{reason: "the client id was changed", step: "Give consent for the new app registration."}

// outdated marks a grant that was given to another app registration: consent belongs
// to one. A person's sign-in is kept, since the former client id may come back.
func (s *Service) outdated(ctx context.Context, app App, grant Grant) (Grant, error) {
	return s.change(ctx, app.Tenant, grant, func(g *Grant) bool {
		if g.ClientID == app.ClientID || g.Kind == User && g.State == Required {
			return false
		}
		if g.Kind == Admin {
			g.belong(app.ClientID)
		}
		if g.Disconnected {
			return true
		}
		g.enter(Required, s.now(), elsewhere)
		if g.Kind == Admin {
			g.CheckedAt = time.Time{}
		}
		return true
	})
}

// belong makes the admin grant one of an app registration: of another one only the
// history stays, and that an administrator took it out of use. The caller enters the
// state in which it is then.
func (g *Grant) belong(clientID string) {
	if g.ClientID != clientID {
		*g = Grant{Kind: g.Kind, ClientID: clientID, State: g.State, Reason: g.Reason, NextStep: g.NextStep, Disconnected: g.Disconnected, History: g.History, ETag: g.ETag}
	}
}

// keptRow is how long it stays known that an account was disconnected.
const keptRow = 30 * 24 * time.Hour

// minUserCheck is the shortest time between two proofs of a person's sign-in that
// works: each is an entry in Entra's sign-in log.
const minUserCheck = 5 * time.Minute

// probeUser looks at one person's sign-in: one that works is refreshed now and then,
// so that a consent that was withdrawn is noticed, and one that was refused is tried
// again.
func (s *Service) probeUser(ctx context.Context, tenant string, grant Grant, every time.Duration) error {
	switch {
	case grant.Disconnected:
		if err := s.erase(ctx, tenant, grant); err != nil || s.now().Sub(grant.Since) < keptRow {
			return err
		}
		return s.Grants.RemoveGrant(ctx, tenant, grant)
	case grant.State == Unconfirmed && grant.expired(s.now()):
		return s.forgetUnanswered(ctx, tenant, grant)
	case grant.Works(), grant.retried():
	case grant.State == Required && grant.SecretVersion != "": // its client id was changed, and is the former one again
	default:
		return nil
	}
	anew := grant.Works() && grant.provenAgo(s.now()) >= max(every, minUserCheck)-slack
	_, err := s.tokenOf(ctx, tenant, grant, anew)
	return passing(err)
}

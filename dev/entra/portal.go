package entra

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// The methods here do what administrators do in the portal or by Graph: the app
// hears of none of it.

func (s *Simulator) changeApp(tenantID, clientID string, change func(*app) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(tenantID)
	if t == nil {
		return fmt.Errorf("no tenant %q", tenantID)
	}
	a := t.app(clientID)
	if a == nil {
		return fmt.Errorf("no app %q in tenant %s", clientID, tenantID)
	}
	return change(a)
}

func (s *Simulator) changeUser(oid string, change func(*user)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.user(oid)
	if u == nil {
		return fmt.Errorf("no user %q", oid)
	}
	change(u)
	return nil
}

// GrantApplication consents to application permissions: the named ones, or all
// registered. New tokens show them after the consent delay.
func (s *Simulator) GrantApplication(tenantID, clientID string, roles ...string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		if len(roles) == 0 {
			roles = a.Application
		}
		for _, name := range roles {
			if !slices.Contains(a.Application, name) {
				return fmt.Errorf("application permission %q is not registered", name)
			}
			s.grantRole(a, name)
		}
		return nil
	})
}

func (s *Simulator) grantRole(a *app, name string) {
	if _, held := a.roles[name]; !held {
		a.roles[name] = s.now().Add(s.switches.consentDelay)
	}
}

// RevokeApplication takes application permissions away, the named ones or all.
// Tokens already issued keep them until they expire.
func (s *Simulator) RevokeApplication(tenantID, clientID string, roles ...string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		if len(roles) == 0 {
			clear(a.roles)
		}
		for _, name := range roles {
			delete(a.roles, name)
		}
		return nil
	})
}

// GrantDelegated consents to delegated permissions for one user, or for everyone
// when oid is empty: the named ones, or all registered.
func (s *Simulator) GrantDelegated(tenantID, clientID, oid string, scopes ...string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		if len(scopes) == 0 {
			scopes = a.Delegated
		}
		for _, name := range scopes {
			if !permissions[name].delegated && !slices.Contains(signInScopes, name) {
				return fmt.Errorf("no delegated permission %q on Graph", name)
			}
		}
		a.grantDelegated(oid, scopes)
		return nil
	})
}

// grantDelegated also covers the sign-in scopes: whoever may use the app may sign
// in to it.
func (a *app) grantDelegated(oid string, names []string) {
	set := a.everyone
	if oid != "" {
		if a.personal[oid] == nil {
			a.personal[oid] = map[string]bool{}
		}
		set = a.personal[oid]
	}
	for _, name := range append(slices.Clone(signInScopes), names...) {
		set[name] = true
	}
}

// RevokeDelegated takes delegated permissions away from one user, or the
// tenant-wide ones when oid is empty: the named ones, or all.
func (s *Simulator) RevokeDelegated(tenantID, clientID, oid string, scopes ...string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		set := a.everyone
		if oid != "" {
			set = a.personal[oid]
		}
		if len(scopes) == 0 {
			clear(set)
		}
		for _, name := range scopes {
			delete(set, name)
		}
		return nil
	})
}

// SetAppEnabled is "Enabled for users to sign in" of the enterprise application.
func (s *Simulator) SetAppEnabled(tenantID, clientID string, enabled bool) error {
	return s.changeApp(tenantID, clientID, func(a *app) error { a.disabled = !enabled; return nil })
}

// RequireAssignment lets only the named users sign in; without names everyone
// again.
func (s *Simulator) RequireAssignment(tenantID, clientID string, oids ...string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		a.assigned = nil
		for _, oid := range oids {
			if a.assigned == nil {
				a.assigned = map[string]bool{}
			}
			a.assigned[oid] = true
		}
		return nil
	})
}

// RemoveApp deletes the registration.
func (s *Simulator) RemoveApp(tenantID, clientID string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		a.tenant.apps = slices.DeleteFunc(a.tenant.apps, func(other *app) bool { return other == a })
		return nil
	})
}

// RevokeSessions ends every sign-in of a user: refresh is refused with 50173.
// Access tokens live on.
func (s *Simulator) RevokeSessions(oid string) error {
	return s.changeUser(oid, func(u *user) { u.revocations++ })
}

// ResetPassword is a reset in the Entra admin center, which revokes sessions.
func (s *Simulator) ResetPassword(oid string) error { return s.RevokeSessions(oid) }

// ChangePassword is a change by the user: a web app's refresh tokens live on.
func (s *Simulator) ChangePassword(oid string) error { return s.changeUser(oid, func(*user) {}) }

// Disable disables an account; its refresh tokens work again after Enable.
func (s *Simulator) Disable(oid string) error {
	return s.changeUser(oid, func(u *user) { u.disabled = true })
}

// Enable enables an account.
func (s *Simulator) Enable(oid string) error {
	return s.changeUser(oid, func(u *user) { u.disabled = false })
}

// RemoveUser deletes an account.
func (s *Simulator) RemoveUser(oid string) error {
	return s.changeUser(oid, func(u *user) { u.removed = true })
}

// RequireMFA demands a new sign-in with a second factor: refresh is refused with
// 50076 until the user signs in again.
func (s *Simulator) RequireMFA(oid string) error {
	return s.changeUser(oid, func(u *user) { u.demands++ })
}

// ConditionalAccess blocks an account by policy, or lets it through again.
func (s *Simulator) ConditionalAccess(oid string, block bool) error {
	return s.changeUser(oid, func(u *user) { u.blocked = block })
}

// ExpireGrant makes every refresh token of a user as old as one that nobody used
// for 90 days.
func (s *Simulator) ExpireGrant(oid string) error {
	return s.changeUser(oid, func(u *user) {
		for _, g := range s.refresh {
			g.expired = g.expired || g.user == u
		}
	})
}

// SetUserConsentPolicy says whether users may consent for themselves, and when not,
// whether they can send administrators a request. Existing grants stay.
func (s *Simulator) SetUserConsentPolicy(tenantID string, allowed, workflow bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(tenantID)
	if t == nil {
		return fmt.Errorf("no tenant %q", tenantID)
	}
	t.consentOff, t.workflow = !allowed, workflow
	return nil
}

// SuppressCallback lets every consent end on a Microsoft page: what was granted
// is granted, and the app gets no callback.
func (s *Simulator) SuppressCallback(on bool) {
	s.set(func(sw *switches) { sw.suppressCallback = on })
}

// DeclineNext makes the next consent a refusal whatever is clicked.
func (s *Simulator) DeclineNext() { s.set(func(sw *switches) { sw.declineNext = true }) }

// SetConsentDelay is how long after a consent new app-only tokens lack the roles.
func (s *Simulator) SetConsentDelay(d time.Duration) {
	s.set(func(sw *switches) { sw.consentDelay = d })
}

// SetTokenLifetime fixes the lifetime of access tokens; zero is Entra's own.
func (s *Simulator) SetTokenLifetime(d time.Duration) {
	s.set(func(sw *switches) { sw.tokenLifetime = d })
}

// SetLegacyCancel is the error word of a cancelled legacy admin consent:
// permission_denied as documented, access_denied as captured.
func (s *Simulator) SetLegacyCancel(word string) {
	s.set(func(sw *switches) { sw.legacyCancel = word })
}

// SetUnknownTenantError is the error word of 90002: invalid_request or
// invalid_tenant, both were seen.
func (s *Simulator) SetUnknownTenantError(word string) {
	s.set(func(sw *switches) { sw.unknownTenant = word })
}

func (s *Simulator) set(change func(*switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
}

// Roles lists the application permissions that a new token shows now.
func (s *Simulator) Roles(tenantID, clientID string) (roles []string) {
	_ = s.changeApp(tenantID, clientID, func(a *app) error {
		for _, name := range slices.Sorted(maps.Keys(a.roles)) {
			if !a.roles[name].After(s.now()) {
				roles = append(roles, name)
			}
		}
		return nil
	})
	return roles
}

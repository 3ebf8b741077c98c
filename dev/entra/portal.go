package entra

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The methods here do to an app what administrators do in the portal or by Graph:
// the app hears of none of it.

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
	a.provision()
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
	a.provision()
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

// softDelete is how long a deleted account, registration or enterprise application
// can be restored.
const softDelete = 30 * 24 * time.Hour

// RemoveApp deletes the registration: whoever asks for it gets 700016.
func (s *Simulator) RemoveApp(tenantID, clientID string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		a.removedAt = s.now()
		return nil
	})
}

// RestoreApp brings a registration back within 30 days, with its consents.
func (s *Simulator) RestoreApp(tenantID, clientID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(tenantID)
	if t == nil {
		return fmt.Errorf("no tenant %q", tenantID)
	}
	for _, a := range t.apps {
		if strings.EqualFold(a.ClientID, clientID) && s.now().Sub(a.removedAt) < softDelete && t.app(clientID) == nil {
			a.removedAt = time.Time{}
			return nil
		}
	}
	return fmt.Errorf("no deleted app %q in tenant %s", clientID, tenantID)
}

// RemovePrincipal deletes the enterprise application and its consents with it,
// while the registration stays: the token endpoint says 7000229. The next consent
// makes a new one.
func (s *Simulator) RemovePrincipal(tenantID, clientID string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		if a.principal == "" {
			return fmt.Errorf("app %s has no enterprise application", clientID)
		}
		former := a.enterprise
		a.enterprise, a.former = enterprise{}, &former
		a.former.removedAt = s.now()
		return nil
	})
}

// RestorePrincipal brings the enterprise application back within 30 days.
func (s *Simulator) RestorePrincipal(tenantID, clientID string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		if a.principal != "" || a.former == nil || s.now().Sub(a.former.removedAt) >= softDelete {
			return fmt.Errorf("app %s has no deleted enterprise application", clientID)
		}
		a.enterprise, a.former = *a.former, nil
		return nil
	})
}

// RemoveRedirectURIs takes the redirect URIs out of the registration (50011 for who
// names one), or puts them back.
func (s *Simulator) RemoveRedirectURIs(tenantID, clientID string, removed bool) error {
	return s.changeApp(tenantID, clientID, func(a *app) error { a.unredirected = removed; return nil })
}

// SetRisky says that Entra finds the app risky: only an administrator may consent
// to it.
func (s *Simulator) SetRisky(tenantID, clientID string, on bool) error {
	return s.changeApp(tenantID, clientID, func(a *app) error { a.risky = on; return nil })
}

// ApproveRequests does what an administrator does under "Admin consent requests":
// consents for everyone to what was asked for. DenyRequests refuses.
func (s *Simulator) ApproveRequests(tenantID, clientID string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		if len(a.asked) == 0 {
			return fmt.Errorf("nobody asked for app %s", clientID)
		}
		for _, names := range a.asked {
			a.grantDelegated("", names)
		}
		clear(a.asked)
		return nil
	})
}

// DenyRequests drops the requests for approval.
func (s *Simulator) DenyRequests(tenantID, clientID string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error { clear(a.asked); return nil })
}

// HideTenant lets Entra know no such tenant (90002), as after its deletion.
func (s *Simulator) HideTenant(tenantID string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(tenantID)
	if t == nil {
		return fmt.Errorf("no tenant %q", tenantID)
	}
	t.hidden = on
	return nil
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

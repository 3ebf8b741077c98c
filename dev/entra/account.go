package entra

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// The methods here are what happens to an account, by its person, an
// administrator or a policy. What a web app's refresh token survives follows
// Microsoft's table of token revocation (identity platform: refresh tokens).

// passwordState is what the next sign-in does about the password.
type passwordState int

const (
	passwordGood    passwordState = iota
	passwordExpired               // 50055
	passwordReset                 // 50144: an administrator set one that must be changed
)

// block is a Conditional Access policy that refuses an account.
type block struct {
	number int
	// servers lets browsers through and refuses what comes without one, as a policy
	// on locations does with a function's outbound address.
	servers bool
}

// demand is what sign-ins made before it lack; the zero value demands nothing.
type demand struct{ number int }

// factor reports whether a demand is met by a second factor on the sign-in pages.
func (d demand) factor() bool { return d.number == 50076 || d.number == 50078 || d.number == 50079 }

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

// ChangePassword is a change by the person, who knows the old one: a web app's
// refresh tokens live on.
func (s *Simulator) ChangePassword(oid string) error {
	return s.changeUser(oid, func(u *user) { u.password = passwordGood; u.critical++ })
}

// SelfServiceReset is a reset by the person, who forgot it: refresh tokens live on.
func (s *Simulator) SelfServiceReset(oid string) error { return s.ChangePassword(oid) }

// ExpirePassword ends the password's life: refresh tokens live on, and the next
// sign-in wants a new one.
func (s *Simulator) ExpirePassword(oid string) error {
	return s.changeUser(oid, func(u *user) { u.password = passwordExpired })
}

// ResetPassword is a reset in the Entra admin center, which revokes sessions.
func (s *Simulator) ResetPassword(oid string) error {
	return s.changeUser(oid, func(u *user) { u.password = passwordReset; s.revoke(u) })
}

// ResetPasswordInAzure is a reset in the Azure portal: refresh tokens live on.
func (s *Simulator) ResetPasswordInAzure(oid string) error {
	return s.changeUser(oid, func(u *user) { u.password = passwordReset; u.critical++ })
}

// RevokeSessions ends every sign-in of a user: refresh is refused with 50173.
// Access tokens live on, but for clients that handle claims challenges.
func (s *Simulator) RevokeSessions(oid string) error { return s.changeUser(oid, s.revoke) }

func (s *Simulator) revoke(u *user) {
	u.revocations++
	u.critical++
	u.revokedAt = s.now()
}

// Disable disables an account; its refresh tokens work again after Enable.
func (s *Simulator) Disable(oid string) error {
	return s.changeUser(oid, func(u *user) { u.disabled = true; u.critical++ })
}

// Enable enables an account.
func (s *Simulator) Enable(oid string) error {
	return s.changeUser(oid, func(u *user) { u.disabled = false })
}

// RemoveUser deletes an account. It can be restored for 30 days.
func (s *Simulator) RemoveUser(oid string) error {
	return s.changeUser(oid, func(u *user) { u.removedAt = s.now(); u.critical++ })
}

// RestoreUser brings a deleted account back within 30 days. INFER: its refresh
// tokens work again.
func (s *Simulator) RestoreUser(oid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tenants {
		for _, u := range t.users {
			if u.ObjectID == oid && !u.removedAt.IsZero() && s.now().Sub(u.removedAt) < softDelete && s.user(oid) == nil {
				u.removedAt = time.Time{}
				return nil
			}
		}
	}
	return fmt.Errorf("no deleted user %q", oid)
}

// RequireMFA demands a sign-in with a second factor: refresh is refused with
// 50076 until the person signs in again.
func (s *Simulator) RequireMFA(oid string) error { return s.require(oid, 50076) }

// AgeMFA makes the second factor of all sign-ins too old: 50078.
func (s *Simulator) AgeMFA(oid string) error { return s.require(oid, 50078) }

// RequireRegistration demands a second factor of a person who has none yet: 50079.
func (s *Simulator) RequireRegistration(oid string) error { return s.require(oid, 50079) }

// EndSignInFrequency lets all sign-ins be older than a policy on sign-in frequency
// allows: 70043.
func (s *Simulator) EndSignInFrequency(oid string) error { return s.require(oid, 70043) }

func (s *Simulator) require(oid string, number int) error {
	return s.changeUser(oid, func(u *user) { u.demand = demand{number}; u.demands++ })
}

// DropDemands takes back what was demanded: sign-ins made before work again.
func (s *Simulator) DropDemands(oid string) error {
	return s.changeUser(oid, func(u *user) { u.demand = demand{} })
}

// SetAppRoles gives an account these app roles, of every app, and no others: the
// portal's page Users and groups of an enterprise application.
func (s *Simulator) SetAppRoles(oid string, roles ...string) error {
	return s.changeUser(oid, func(u *user) { u.AppRoles = roles })
}

// ChallengeClaims makes Conditional Access want more than the sign-in pages know
// by themselves: the token endpoint refuses with 50076 and claims, also a code that
// is minutes old, until a sign-in begins with these claims.
func (s *Simulator) ChallengeClaims(oid string, on bool) error {
	return s.changeUser(oid, func(u *user) {
		u.contextClaims = ""
		if on {
			u.contextClaims = `{"access_token":{"capolids":{"essential":true,"values":["` + guid() + `"]}}}`
		}
	})
}

// ConditionalAccess blocks an account by policy (53003), or lets it through again.
func (s *Simulator) ConditionalAccess(oid string, on bool) error {
	return s.setBlock(oid, on, block{number: 53003})
}

// BlockServers blocks an account by its location: browsers get through, the app's
// own requests do not (53003).
func (s *Simulator) BlockServers(oid string, on bool) error {
	return s.setBlock(oid, on, block{number: 53003, servers: true})
}

// RequireDevice demands a compliant device, which a server is not (53000).
func (s *Simulator) RequireDevice(oid string, on bool) error {
	return s.setBlock(oid, on, block{number: 53000, servers: true})
}

// BlockRisk blocks an account at risk that has no second factor yet (53004).
func (s *Simulator) BlockRisk(oid string, on bool) error {
	return s.setBlock(oid, on, block{number: 53004})
}

func (s *Simulator) setBlock(oid string, on bool, b block) error {
	return s.changeUser(oid, func(u *user) {
		u.block = nil
		if on {
			u.block = &b
		}
	})
}

// SetBlockedWord is OAuth's error of a block at the token endpoint:
// interaction_required with suberror message_only, or invalid_grant. Both were
// captured.
func (s *Simulator) SetBlockedWord(word string) {
	s.set(func(sw *switches) { sw.blockedWord = word })
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

// refused is a block as the token endpoint says it.
func (b block) refused(word string) *refusal {
	texts := map[int]string{
		53000: "Device is not in required device state: compliant. Conditional Access policy requires a compliant device, and the device is not compliant. The user must enroll their device with an approved MDM provider like Intune.",
		53003: "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
		53004: "User needs to complete the multi-factor authentication registration process before accessing this content.",
	}
	r := refuse(b.number, "%s", texts[b.number]).as(word)
	if word == "interaction_required" {
		return r.sub("message_only")
	}
	return r
}

// refused is a demand as the token endpoint says it. Words as captured: 50078 came
// as invalid_grant, 50076 as interaction_required.
func (d demand) refused() *refusal {
	const graphID = "00000003-0000-0000-c000-000000000000"
	switch d.number {
	case 50078:
		return refuse(50078, "Presented multi-factor authentication has expired due to policies configured by your administrator, you must refresh your multi-factor authentication to access '%s'.", graphID).as("invalid_grant").sub("basic_action").challenge()
	case 50079:
		return refuse(50079, "Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '%s'.", graphID).as("interaction_required").sub("basic_action").challenge()
	case 70043:
		return refuse(70043, "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.").as("invalid_grant")
	}
	return refuse(50076, "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '%s'.", graphID).as("interaction_required").sub("basic_action").challenge()
}

// mayContinue holds a sign-in against what happened to the account since.
func (s *Simulator) mayContinue(g *refreshGrant) *refusal {
	u := g.user
	switch {
	case !u.removedAt.IsZero():
		return refuse(50034, "The user account does not exist in the %s directory. To sign into this application, the account must be added to the directory.", u.tenant.ID).as("invalid_grant")
	case u.disabled:
		return refuse(50057, "The user account is disabled.").as("invalid_grant")
	case g.revocations != u.revocations:
		return refuse(50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password. The grant was issued on '%s' and the TokensValidFrom date (before which tokens are not valid) for this user is '%s'.", precise(g.issued), precise(u.revokedAt)).as("invalid_grant").sub("bad_token")
	case u.block != nil:
		return u.block.refused(s.switches.blockedWord)
	case u.demand.number != 0 && g.demands != u.demands:
		return u.demand.refused()
	case u.contextClaims != "" && g.claims != u.contextClaims:
		r := demand{50076}.refused()
		r.claims = u.contextClaims
		return r
	case g.app.assigned != nil && !g.app.assigned[u.ObjectID]:
		return g.app.unassigned(u)
	}
	return nil
}

func (a *app) unassigned(u *user) *refusal {
	return refuse(50105, "Your administrator has configured the application %s ('%s') to block users unless they are specifically granted ('assigned') access to the application. The signed in user '%s' is blocked because they are not a direct member of a group with access, nor had access directly assigned by an administrator.", a.Name, a.ClientID, u.UPN).as("invalid_grant")
}

// refusesSignIn holds an account against policy at the sign-in page.
func (a *attempt) refusesSignIn(u *user) *refusal {
	switch {
	case u.disabled:
		return refuse(50057, "The user account is disabled.")
	case u.block != nil && !u.block.servers:
		return u.block.refused("interaction_required")
	case a.app.assigned != nil && !a.app.assigned[u.ObjectID]:
		return a.app.unassigned(u)
	}
	return nil
}

// interrupted returns what stands between the choice of an account and its
// sign-in: "password", "factor" or "register"; empty for nothing.
func (a *attempt) interrupted(u *user) string {
	switch {
	case a.refusesSignIn(u) != nil:
		return ""
	case u.password != passwordGood:
		return "password"
	case u.demand.factor() && !a.factored && u.demand.number == 50079:
		return "register"
	case u.demand.factor() && !a.factored:
		return "factor"
	}
	return ""
}

// serveInterrupt takes the answer of such a page.
func (s *Simulator) serveInterrupt(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.attemptOf(r)
	if a == nil || a.picked == nil {
		s.errorPage(w, nil, refuse(50089, "Authentication failed due to flow token expired."))
		return
	}
	if r.FormValue("cancel") != "" {
		s.callbackError(w, a, a.cancelled(s))
		return
	}
	switch a.interrupted(a.picked) {
	case "password":
		a.picked.password = passwordGood
	case "factor", "register":
		a.factored = true
	}
	s.identify(w, r, a)
}

// deadSignIns reports whether every sign-in there is of a user fails for why.
func (s *Simulator) deadSignIns(u *user, why func(*refreshGrant) bool) bool {
	var all []*refreshGrant
	for _, g := range s.refresh {
		if g.user == u {
			all = append(all, g)
		}
	}
	return len(all) > 0 && !slices.ContainsFunc(all, func(g *refreshGrant) bool { return !why(g) })
}

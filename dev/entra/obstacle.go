package entra

import (
	"slices"
	"strings"
	"time"
)

// scope is what an obstacle stands in the way of.
type scope int

const (
	ofAccount scope = iota
	ofApp
	ofTenant
	ofEverything
)

// obstacle is something that happens to a grant in real life, as the menu offers
// it. undo is nil when only a new sign-in cures it; on is nil when it leaves no
// trace.
type obstacle struct {
	name, title, means string
	scope              scope
	play, undo         func(*Simulator, Command) error
	on                 func(*Simulator, target) bool
	cure               string // what a person does instead of undo
}

// target is what the menu looks at: an account and an app of one tenant.
type target struct {
	tenant *tenant
	app    *app
	user   *user
}

// group is a part of the menu.
type group struct {
	title     string
	obstacles []obstacle
}

func account(do func(*Simulator, string) error) func(*Simulator, Command) error {
	return func(s *Simulator, c Command) error { return do(s, c.User) }
}

func accountSwitch(do func(*Simulator, string, bool) error, on bool) func(*Simulator, Command) error {
	return func(s *Simulator, c Command) error { return do(s, c.User, on) }
}

func registration(do func(*Simulator, string, string) error) func(*Simulator, Command) error {
	return func(s *Simulator, c Command) error { return do(s, c.Tenant, c.Client) }
}

func registrationSwitch(do func(*Simulator, string, string, bool) error, on bool) func(*Simulator, Command) error {
	return func(s *Simulator, c Command) error { return do(s, c.Tenant, c.Client, on) }
}

func everything(do func(*Simulator)) func(*Simulator, Command) error {
	return func(s *Simulator, _ Command) error { do(s); return nil }
}

func consentPolicy(allowed, workflow bool) func(*Simulator, Command) error {
	return func(s *Simulator, c Command) error { return s.SetUserConsentPolicy(c.Tenant, allowed, workflow) }
}

// trouble is an obstacle made of a fault.
func trouble(name, title, means string, f Fault) obstacle {
	f.name = name
	return obstacle{
		name: name, title: title, means: means, scope: ofEverything,
		play: func(s *Simulator, _ Command) error { s.clearFault(name); return s.Inject(f) },
		undo: everything(func(s *Simulator) { s.clearFault(name) }),
		on:   func(s *Simulator, _ target) bool { return s.faulted(name) },
	}
}

const signInAgain = "cured by a new sign-in"

// obstacles are all of the menu, in its order.
func obstacles() []group {
	return []group{
		{"The account", accountObstacles()},
		{"Policy", policyObstacles()},
		{"Consent", consentObstacles()},
		{"The app registration", appObstacles()},
		{"Microsoft's side", troubles()},
	}
}

func accountObstacles() []obstacle {
	revoked := func(s *Simulator, t target) bool {
		return s.deadSignIns(t.user, func(g *refreshGrant) bool { return g.revocations != g.user.revocations })
	}
	changed := account((*Simulator).ChangePassword)
	return []obstacle{
		{name: "change-password", title: "The person changes the password", means: "Stops nothing: a web app's sign-in survives it, and a self-service reset too.", play: changed},
		{name: "expire-password", title: "The password expires", means: "Stops nothing; the next sign-in asks for a new password.", play: account((*Simulator).ExpirePassword), undo: changed,
			on: func(_ *Simulator, t target) bool { return t.user.password == passwordExpired }},
		{name: "reset-password-in-azure", title: "Password reset in the Azure portal", means: "Stops nothing; the next sign-in asks for a new password.", play: account((*Simulator).ResetPasswordInAzure), undo: changed,
			on: func(s *Simulator, t target) bool { return t.user.password == passwordReset && !revoked(s, t) }},
		{name: "reset-password", title: "Password reset in the Entra admin center", means: "Revokes every sign-in: refused with AADSTS50173.", play: account((*Simulator).ResetPassword), cure: signInAgain,
			on: func(s *Simulator, t target) bool { return t.user.password == passwordReset && revoked(s, t) }},
		{name: "revoke-sessions", title: "Sessions revoked", means: "An administrator, or the person, signed out everywhere: AADSTS50173.", play: account((*Simulator).RevokeSessions), cure: signInAgain,
			on: func(s *Simulator, t target) bool { return t.user.password != passwordReset && revoked(s, t) }},
		{name: "disable", title: "Account disabled", means: "AADSTS50057 until it is enabled; the same sign-in then works again.", play: account((*Simulator).Disable), undo: account((*Simulator).Enable),
			on: func(_ *Simulator, t target) bool { return t.user.disabled }},
		{name: "remove-user", title: "Account deleted", means: "AADSTS50034; it can be restored for 30 days.", play: account((*Simulator).RemoveUser), undo: account((*Simulator).RestoreUser),
			on: func(_ *Simulator, t target) bool { return !t.user.removedAt.IsZero() }},
		{name: "expire-grant", title: "Ninety days without use", means: "The bridge was switched off for long: AADSTS700082.", play: account((*Simulator).ExpireGrant), cure: signInAgain,
			on: func(s *Simulator, t target) bool {
				return s.deadSignIns(t.user, func(g *refreshGrant) bool { return g.expired })
			}},
	}
}

func policyObstacles() []obstacle {
	dropped := account((*Simulator).DropDemands)
	demanded := func(number int) func(*Simulator, target) bool {
		return func(s *Simulator, t target) bool {
			return t.user.demand.number == number && s.deadSignIns(t.user, func(g *refreshGrant) bool { return g.demands != g.user.demands })
		}
	}
	blocked := func(number int, servers bool) func(*Simulator, target) bool {
		return func(_ *Simulator, t target) bool {
			return t.user.block != nil && t.user.block.number == number && t.user.block.servers == servers
		}
	}
	return []obstacle{
		{name: "require-mfa", title: "Second factor required", means: "A new policy wants one: AADSTS50076 until the person signs in with it.", play: account((*Simulator).RequireMFA), undo: dropped, on: demanded(50076)},
		{name: "age-mfa", title: "Second factor too old", means: "The policy wants it more often: AADSTS50078.", play: account((*Simulator).AgeMFA), undo: dropped, on: demanded(50078)},
		{name: "require-registration", title: "Second factor not registered", means: "The person must set one up first: AADSTS50079.", play: account((*Simulator).RequireRegistration), undo: dropped, on: demanded(50079)},
		{name: "end-sign-in-frequency", title: "Sign-in frequency passed", means: "A policy ends every sign-in after some hours: AADSTS70043.", play: account((*Simulator).EndSignInFrequency), undo: dropped, on: demanded(70043)},
		{name: "challenge-claims", title: "Claims challenge", means: "Even a fresh sign-in is refused with AADSTS50076, until it carries the claims that Entra asked for.", play: accountSwitch((*Simulator).ChallengeClaims, true), undo: accountSwitch((*Simulator).ChallengeClaims, false),
			on: func(_ *Simulator, t target) bool { return t.user.contextClaims != "" }},
		{name: "conditional-access", title: "Blocked by Conditional Access", means: "AADSTS53003 everywhere; a new sign-in does not help.", play: accountSwitch((*Simulator).ConditionalAccess, true), undo: accountSwitch((*Simulator).ConditionalAccess, false), on: blocked(53003, false)},
		{name: "block-servers", title: "Blocked by location", means: "The person in the office gets in, the function's address does not: AADSTS53003.", play: accountSwitch((*Simulator).BlockServers, true), undo: accountSwitch((*Simulator).BlockServers, false), on: blocked(53003, true)},
		{name: "require-device", title: "Managed device required", means: "A server is none: AADSTS53000.", play: accountSwitch((*Simulator).RequireDevice, true), undo: accountSwitch((*Simulator).RequireDevice, false), on: blocked(53000, true)},
		{name: "block-risk", title: "Account at risk", means: "Identity Protection blocks it: AADSTS53004.", play: accountSwitch((*Simulator).BlockRisk, true), undo: accountSwitch((*Simulator).BlockRisk, false), on: blocked(53004, false)},
		{name: "blocked-word", title: "Blocks said in the other words", means: "Entra says a block as interaction_required or, as seen elsewhere, as invalid_grant.", scope: ofEverything,
			play: everything(func(s *Simulator) { s.SetBlockedWord("invalid_grant") }), undo: everything(func(s *Simulator) { s.SetBlockedWord("interaction_required") }),
			on: func(s *Simulator, _ target) bool { return s.switches.blockedWord != "interaction_required" }},
		{name: "assignment", title: "Assignment required", means: "Only assigned people may use the app, and this account is not: AADSTS50105.",
			play: func(s *Simulator, c Command) error { return s.assignOthers(c.Tenant, c.Client, c.User) },
			undo: func(s *Simulator, c Command) error { return s.RequireAssignment(c.Tenant, c.Client) },
			on:   func(_ *Simulator, t target) bool { return t.app.assigned != nil && !t.app.assigned[t.user.ObjectID] }},
	}
}

func consentObstacles() []obstacle {
	return []obstacle{
		{name: "user-consent-off", title: "Users may not consent", means: "Who is no administrator is stuck on \"Need admin approval\": AADSTS90094, and nothing comes back.", scope: ofTenant, play: consentPolicy(false, false), undo: consentPolicy(true, false),
			on: func(_ *Simulator, t target) bool { return t.tenant.consentOff && !t.tenant.workflow }},
		{name: "approval-workflow", title: "Users may ask for approval", means: "The person sends a request and waits for an e-mail: AADSTS90095.", scope: ofTenant, play: consentPolicy(false, true), undo: consentPolicy(true, false),
			on: func(_ *Simulator, t target) bool { return t.tenant.consentOff && t.tenant.workflow }},
		{name: "request", title: "A request waits for approval", means: "Somebody asked; an administrator answers it under \"Admin consent requests\".", scope: ofApp, play: registration((*Simulator).ApproveRequests), undo: registration((*Simulator).DenyRequests),
			on: func(_ *Simulator, t target) bool { return len(t.app.asked) > 0 }},
		{name: "risky", title: "App found risky", means: "Only an administrator may consent: AADSTS900941.", scope: ofApp, play: registrationSwitch((*Simulator).SetRisky, true), undo: registrationSwitch((*Simulator).SetRisky, false),
			on: func(_ *Simulator, t target) bool { return t.app.risky }},
		{name: "decline-next", title: "The next consent is declined", means: "Whatever is clicked, the answer is no: AADSTS65004.", scope: ofEverything, play: everything((*Simulator).DeclineNext),
			undo: everything(func(s *Simulator) { s.set(func(sw *switches) { sw.declineNext = false }) }),
			on:   func(s *Simulator, _ target) bool { return s.switches.declineNext }},
		{name: "suppress-callback", title: "The way back is lost", means: "Consent is given, and the browser stays at Microsoft.", scope: ofEverything, play: everything(func(s *Simulator) { s.SuppressCallback(true) }), undo: everything(func(s *Simulator) { s.SuppressCallback(false) }),
			on: func(s *Simulator, _ target) bool { return s.switches.suppressCallback }},
		{name: "consent-delay", title: "Consent spreads slowly", means: "New tokens show application permissions three minutes after they were granted.", scope: ofEverything, play: everything(func(s *Simulator) { s.SetConsentDelay(3 * time.Minute) }), undo: everything(func(s *Simulator) { s.SetConsentDelay(0) }),
			on: func(s *Simulator, _ target) bool { return s.switches.consentDelay > 0 }},
		{name: "revoke-delegated", title: "User consent withdrawn", means: "Somebody removed the delegated permissions: AADSTS65001.",
			play: func(s *Simulator, c Command) error { return s.withdraw(c) },
			undo: func(s *Simulator, c Command) error { return s.GrantDelegated(c.Tenant, c.Client, c.User) },
			on: func(s *Simulator, t target) bool {
				return s.deadSignIns(t.user, func(g *refreshGrant) bool {
					return !slices.ContainsFunc(g.app.Delegated, func(name string) bool { return g.app.allows(t.user, name) })
				})
			}},
		{name: "revoke-presence", title: "Only Presence.Read.All removed", means: "The other delegated permissions stay.",
			play: func(s *Simulator, c Command) error { return s.withdraw(c, "Presence.Read.All") },
			undo: func(s *Simulator, c Command) error {
				return s.GrantDelegated(c.Tenant, c.Client, c.User, "Presence.Read.All")
			},
			on: func(s *Simulator, t target) bool {
				return s.deadSignIns(t.user, func(g *refreshGrant) bool {
					return !g.app.allows(t.user, "Presence.Read.All") && g.app.allows(t.user, "User.ReadBasic.All")
				})
			}},
		{name: "revoke-application", title: "Admin consent revoked in the portal", means: "Tokens still come, without the permission; nobody is told.", scope: ofApp, play: func(s *Simulator, c Command) error { return s.RevokeApplication(c.Tenant, c.Client) },
			undo: func(s *Simulator, c Command) error { return s.GrantApplication(c.Tenant, c.Client) }},
	}
}

func appObstacles() []obstacle {
	return []obstacle{
		{name: "expire-secrets", title: "Client secret expired", means: "AADSTS7000222, at every request. Felt only while the bridge uses a secret.", scope: ofApp, play: registration((*Simulator).ExpireSecrets), undo: registration((*Simulator).RenewSecrets),
			on: func(s *Simulator, t target) bool {
				return len(t.app.secrets) > 0 && !slices.ContainsFunc(t.app.secrets, func(c clientSecret) bool { return c.expires.IsZero() || s.now().Before(c.expires) })
			}},
		{name: "mismatch-federated", title: "Federated credential mistyped", means: "The subject differs from the managed identity's id: AADSTS700213. Felt only while the bridge uses its identity.", scope: ofApp, play: registrationSwitch((*Simulator).MismatchFederated, true), undo: registrationSwitch((*Simulator).MismatchFederated, false),
			on: func(_ *Simulator, t target) bool { return t.app.mismatched }},
		{name: "remove-redirect-uris", title: "Redirect URIs missing", means: "Sign-in ends at Microsoft: AADSTS50011.", scope: ofApp, play: registrationSwitch((*Simulator).RemoveRedirectURIs, true), undo: registrationSwitch((*Simulator).RemoveRedirectURIs, false),
			on: func(_ *Simulator, t target) bool { return t.app.unredirected }},
		{name: "disable-app", title: "Enterprise application disabled", means: "\"Enabled for users to sign in: No\": AADSTS7000112.", scope: ofApp, play: registrationSwitch((*Simulator).SetAppEnabled, false), undo: registrationSwitch((*Simulator).SetAppEnabled, true),
			on: func(_ *Simulator, t target) bool { return t.app.disabled }},
		{name: "remove-principal", title: "Enterprise application deleted", means: "The registration is there, its consents are gone: AADSTS7000229. The next consent makes a new one.", scope: ofApp, play: registration((*Simulator).RemovePrincipal), undo: registration((*Simulator).RestorePrincipal),
			on: func(_ *Simulator, t target) bool { return t.app.principal == "" }},
		{name: "hide-tenant", title: "The tenant is gone", means: "Deleted, or its subscription ended: AADSTS90002, at every request.", scope: ofTenant,
			play: func(s *Simulator, c Command) error { return s.HideTenant(c.Tenant, true) }, undo: func(s *Simulator, c Command) error { return s.HideTenant(c.Tenant, false) },
			on: func(_ *Simulator, t target) bool { return t.tenant.hidden }},
		{name: "remove-app", title: "App registration deleted", means: "AADSTS700016; it can be restored for 30 days.", scope: ofApp, play: registration((*Simulator).RemoveApp), undo: registration((*Simulator).RestoreApp),
			on: func(_ *Simulator, t target) bool { return !t.app.removedAt.IsZero() }},
	}
}

func troubles() []obstacle {
	token := func(f Fault) Fault { f.Endpoint = EndpointToken; return f }
	return []obstacle{
		trouble("throttle", "Token endpoint throttles", "429 with Retry-After and plain text.", token(Fault{Kind: FaultThrottle})),
		trouble("outage", "Token endpoint is down", "503, AADSTS90033.", token(Fault{Kind: FaultOutage})),
		trouble("gateway", "A gateway before it fails", "504 with a page.", token(Fault{Kind: FaultGateway})),
		trouble("drop", "Connections break", "No answer at all.", token(Fault{Kind: FaultDrop})),
		trouble("slow", "Token endpoint is slow", "The true answer, three seconds later.", token(Fault{Kind: FaultLatency, Latency: 3 * time.Second})),
		trouble("whim", "Good sign-ins refused now and then", "Every other refresh is refused with AADSTS70000, as has been seen.", token(Fault{Kind: FaultRefuse, Number: 70000, Grant: "refresh_token", Probability: 0.5})),
		trouble("loop", "Request loop found", "AADSTS50196 for the next five requests.", token(Fault{Kind: FaultRefuse, Number: 50196, Count: 5})),
		trouble("keys", "Signing keys cannot be read", "503 where the key set is; sign-ins cannot be verified.", Fault{Endpoint: EndpointKeys, Kind: FaultOutage}),
		{name: "roll-keys", title: "Signing keys change", means: "Tokens come signed with a key that nobody has seen.", scope: ofEverything, play: func(s *Simulator, _ Command) error { return s.RollKeys() }},
		trouble("identity", "Identity endpoint unsteady", "The managed identity gets 500 for the next four requests.", Fault{Endpoint: EndpointIdentity, Kind: FaultOutage, Count: 4}),
	}
}

// assignOthers requires assignment and assigns everyone but one.
func (s *Simulator) assignOthers(tenantID, clientID, oid string) error {
	return s.changeApp(tenantID, clientID, func(a *app) error {
		a.assigned = map[string]bool{}
		for _, u := range a.tenant.present() {
			a.assigned[u.ObjectID] = u.ObjectID != oid
		}
		return nil
	})
}

// withdraw takes delegated permissions from an account wherever they come from.
func (s *Simulator) withdraw(c Command, names ...string) error {
	if err := s.RevokeDelegated(c.Tenant, c.Client, c.User, names...); err != nil {
		return err
	}
	return s.RevokeDelegated(c.Tenant, c.Client, "", names...)
}

// standingObstacle is one that is on now.
type standingObstacle struct {
	obstacle
	whose   string // UPN or the app's name; empty: everybody's
	command Command
}

// standing lists what is on now for anybody.
func (s *Simulator) standing() []standingObstacle {
	var found []standingObstacle
	for _, t := range s.targets() {
		for _, g := range obstacles() {
			for _, o := range g.obstacles {
				if o.on == nil || t.user == nil && o.scope == ofAccount || t.app == nil && o.scope != ofEverything && o.scope != ofTenant || !o.on(s, t) {
					continue
				}
				so := standingObstacle{o, t.whose(o.scope), t.command()}
				if !slices.ContainsFunc(found, func(other standingObstacle) bool { return other.name == so.name && other.whose == so.whose }) {
					found = append(found, so)
				}
			}
		}
	}
	return found
}

// targets are all pairs of an account and an app of one tenant, deleted ones
// included.
func (s *Simulator) targets() []target {
	var list []target
	for _, t := range s.tenants {
		apps := t.apps
		if len(apps) == 0 {
			apps = []*app{nil}
		}
		users := t.users
		if len(users) == 0 {
			users = []*user{nil}
		}
		for _, a := range apps {
			for _, u := range users {
				list = append(list, target{t, a, u})
			}
		}
	}
	return list
}

func (t target) whose(of scope) string {
	switch of {
	case ofAccount:
		return t.user.UPN
	case ofApp:
		return t.app.Name
	case ofTenant:
		return t.tenant.Domain
	}
	return ""
}

func (t target) command() Command {
	c := Command{Tenant: t.tenant.ID}
	if t.app != nil {
		c.Client = t.app.ClientID
	}
	if t.user != nil {
		c.User = t.user.ObjectID
	}
	return c
}

// Quiet undoes every obstacle that can be undone.
func (s *Simulator) Quiet() {
	s.mu.Lock()
	standing := s.standing()
	s.mu.Unlock()
	for _, o := range standing {
		if o.undo != nil {
			_ = o.undo(s, o.command) // somebody else undid it meanwhile
		}
	}
}

// obstacleNamed finds one of the menu.
func obstacleNamed(name string) (obstacle, bool) {
	for _, g := range obstacles() {
		for _, o := range g.obstacles {
			if o.name == strings.TrimSpace(name) {
				return o, true
			}
		}
	}
	return obstacle{}, false
}

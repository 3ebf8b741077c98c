package consent

import (
	"context"
	"errors"
	"fmt"
	"math"
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

// slack is how much earlier than asked for a grant may be proven, so that a timer
// that ticks a little early does not skip a turn.
const slack = 15 * time.Second

// givenAgain reports whether an admin consent that works was given once more since it
// was proven: what was seen before says nothing about this one.
func (g Grant) givenAgain() bool {
	return g.Kind == Admin && g.Works() && g.CheckedAt.Before(g.GivenAt)
}

// due reports whether the admin grant should be proven now, when that is to happen
// at least this often.
func (g Grant) due(now time.Time, every time.Duration) bool {
	if g.State == Waiting {
		for _, after := range checks {
			if at := g.GivenAt.Add(after); g.CheckedAt.Before(at) {
				return !now.Before(at)
			}
		}
		every = min(every, time.Minute)
	}
	return g.givenAgain() || g.provenAgo(now) >= every-slack
}

// provenAgo is how long ago the state was proven: for ever, when that lies ahead. Then
// the clock of another process is wrong, and it must not keep this one from looking.
func (g Grant) provenAgo(now time.Time) time.Duration {
	if ago := now.Sub(g.CheckedAt); ago >= -slack {
		return ago
	}
	return math.MaxInt64
}

// verdict is what a fresh app-only token told about the admin grant. mark notes it
// in a row, whatever that holds by now.
type verdict struct {
	mark  func(*Grant)
	at    time.Time // when the token was asked for
	token Token     // when it may be used; empty otherwise
}

// of returns the grant as the verdict leaves it.
func (v verdict) of(g Grant) Grant {
	v.mark(&g)
	return g
}

// judge proves the admin grant with a token that Entra issues now: it must hold a
// presence role, and with read it must read from Graph too. The answer of the
// token endpoint alone proves only the credential. Nothing is stored. Errors are
// those that say nothing about the grant.
func (s *Service) judge(ctx context.Context, app App, read bool) (verdict, error) {
	now := s.now()
	token, err := s.Issuer.AppToken(ctx, app)
	if err != nil {
		return unissued(err, now)
	}
	status := 0 // not asked
	if token.reads() && (read || !token.Readable) {
		status, err = s.Read(ctx, token.Value)
	}
	return shown(token, now, status, err)
}

// unissued is what it says about the admin grant that Entra issued no token.
func unissued(err error, now time.Time) (verdict, error) {
	if unset, ok := errors.AsType[*UnsetError](err); ok {
		err = unset.refusal()
	}
	if refusal, ok := errors.AsType[*aadsts.Error](err); ok && refusal.Permanent() {
		return verdict{at: now, mark: func(g *Grant) { g.refused(refusal, now) }}, nil
	}
	return verdict{}, fmt.Errorf("get a token for the app: %w", err)
}

// reads reports whether a token may read presences, as far as it shows.
func (t AppToken) reads() bool {
	return !t.Readable || slices.Contains(t.Roles, readPresence) || slices.Contains(t.Roles, writePresence)
}

// shown is what a token that was asked for at a time says about the admin grant, and
// the status with which Graph answered it, 0 when it was not asked; unasked is why it
// did not answer.
func shown(token AppToken, now time.Time, status int, unasked error) (verdict, error) {
	proven := func(mark func(*Grant)) verdict {
		return verdict{at: now, mark: func(g *Grant) { g.proven(token.Credential, now); mark(g) }}
	}
	switch {
	case !token.reads():
		return proven(func(g *Grant) { g.missing(now, token.Roles) }), nil
	case token.Readable: // the roles are proof; a Graph that is away says nothing against them
	case unasked != nil:
		return verdict{}, fmt.Errorf("prove the app's permission at Graph: %w", unasked)
	case unproven(status):
		return verdict{}, fmt.Errorf("prove the app's permission at Graph: it answered %d", status)
	case status == http.StatusForbidden:
		return proven(func(g *Grant) { g.missing(now, nil) }), nil
	}
	v := proven(func(g *Grant) { g.held(now, token, status) })
	if status != http.StatusUnauthorized {
		v.token = Token{Value: token.Value, Expires: token.Expires, Kind: Admin, permissions: token.Roles}
	}
	return v, nil
}

// held marks that Entra's token holds a presence role, and what Graph answered to
// it. Graph may need minutes to see a role that is new, wherever it was granted.
func (g *Grant) held(now time.Time, token AppToken, status int) {
	if g.HeldSince.IsZero() {
		g.HeldSince = now
		if !g.Works() && g.State != Waiting { // given in the portal: first seen now
			g.GivenAt = now
		}
	}
	g.Permissions = token.Roles
	switch {
	case status == http.StatusForbidden && now.Sub(g.HeldSince) < patience:
		g.enter(Waiting, now, why{reason: "Microsoft Graph does not yet accept the permission that Entra granted", step: "Nothing: the bridge looks again by itself."})
		return
	case status == http.StatusForbidden:
		g.enter(Blocked, now, why{
			code: forbidden, class: aadsts.Policy, reason: "Graph refuses the app's requests although the permission is granted",
			step: "Look for policies of the tenant that restrict applications.",
		})
		return
	case status == http.StatusUnauthorized && g.barred():
		g.CheckedAt = now
		return
	}
	state, w := token.Credential.standing(now)
	if w.reason == "" && token.Readable && !slices.Contains(token.Roles, readUsers) {
		w.reason = readUsers + " is not granted: guests and disabled accounts cannot be told apart"
		w.step = "Whoever manages the app registration adds " + readUsers + " there; then consent again."
	}
	g.enter(state, now, w)
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

// spreading explains the state right after a consent.
var spreading = why{reason: "Microsoft has not spread the consent yet", step: "Nothing: the bridge looks for it by itself for 15 minutes."}

// missing marks that Entra's token holds no presence role.
func (g *Grant) missing(now time.Time, roles []string) {
	const step = "Open the admin consent. If that was done, whoever manages the app registration sees that it lists " + writePresence + " as an application permission."
	g.Permissions, g.HeldSince = roles, time.Time{}
	switch {
	case g.State == Waiting && (now.Sub(g.GivenAt) < patience || now.Sub(g.Since) < patience):
		g.CheckedAt = now
	case g.State == Waiting:
		g.enter(Required, now, why{class: aadsts.AdminConsent, reason: "Microsoft reported the consent, but no token shows the permission", step: step})
	case g.givenAgain(): // removed in the portal before, and nobody saw it
		g.enter(Waiting, now, spreading)
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

// store marks the row of the admin grant, unless a person consented or disconnected
// it since before was read, or another process knows something newer.
func (s *Service) store(ctx context.Context, tenant string, before Grant, v verdict) (Grant, error) {
	return s.change(ctx, tenant, Grant{Kind: Admin, ClientID: before.ClientID}, func(g *Grant) bool {
		now := s.now()
		if g.ClientID != before.ClientID || !g.GivenAt.Equal(before.GivenAt) || g.Disconnected != before.Disconnected || g.provenAgo(now) < now.Sub(v.at) {
			return false
		}
		v.mark(g)
		return true
	})
}

// checkAdmin proves the admin grant and stores the result.
func (s *Service) checkAdmin(ctx context.Context, app App, before Grant) (Grant, error) {
	now := s.now()
	if before.Disconnected {
		token, err := s.Issuer.AppToken(ctx, app)
		return s.credentialOnly(ctx, app, before, token, err, now)
	}
	v, err := s.judge(ctx, app, true)
	return s.settle(ctx, app, before, v, err, now)
}

// settle stores what was found out about the admin grant since began, in one write.
// Err, which says nothing about it, is returned; Entra is then left alone for a while.
func (s *Service) settle(ctx context.Context, app App, before Grant, v verdict, err error, began time.Time) (Grant, error) {
	if refusal, ok := errors.AsType[*aadsts.Error](err); ok && before.mayReplicate(refusal, began) {
		v, err = verdict{at: began, mark: func(g *Grant) { g.enter(Waiting, began, because(refusal)) }}, nil
	}
	if err != nil {
		s.avoid(ctx, app, err)
		return before, err
	}
	stored, err := s.store(ctx, app.Tenant, before, v)
	if err != nil {
		return before, err
	}
	if stored.Works() && !v.token.Value.Empty() {
		p := s.slot(app.Tenant, app.ClientID, Admin, "")
		if p.lock(ctx) == nil {
			p.accept(v.token)
			p.unlock()
		}
	}
	return stored, nil
}

// mayReplicate reports whether Entra may soon know the federated credential that it
// refuses. A process that has just started always finds so: what a row has told for
// longer, it goes on telling.
func (g Grant) mayReplicate(refusal *aadsts.Error, now time.Time) bool {
	switch {
	case !refusal.Replicating(), g.Works():
		return false
	case g.State == Waiting:
		return now.Sub(g.Since) < patience
	}
	return g.Code != refusal.Code
}

// avoid leaves Entra alone as long as after any other request for the app that said
// nothing about the grant.
func (s *Service) avoid(ctx context.Context, app App, err error) {
	p := s.slot(app.Tenant, app.ClientID, Admin, "")
	if ctx.Err() == nil && p.lock(ctx) == nil {
		p.rest(err, "", s.Now(), p.pause(err, s.Now()))
		p.unlock()
	}
}

// avoided returns why Entra is left alone, nil when it is not. A refusal is none: it is
// asked about at every turn.
func (s *Service) avoided(ctx context.Context, app App, admin Grant) error {
	p := s.slot(app.Tenant, app.ClientID, Admin, "")
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	if p.rests(admin, s.Now()) {
		return passing(p.refused)
	}
	return nil
}

package consent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"procallteams/internal/entra/aadsts"
)

// proven notes the credential that Entra took. One that it did not know yet it knows
// now.
func (g *Grant) proven(c CredentialUse, now time.Time) {
	g.CredentialKind, g.CredentialEnds = c.Kind, c.Ends
	if g.State == Waiting && g.Class != "" {
		g.enter(Required, now, why{})
	}
}

// credentialOnly notes when the app registration's credential ends although the admin
// consent is out of use: people's sign-ins stand on it, too. A refusal is theirs to
// tell. Token and err are Entra's answer to what was asked at now.
func (s *Service) credentialOnly(ctx context.Context, app App, before Grant, token AppToken, err error, now time.Time) (Grant, error) {
	_, unset := errors.AsType[*UnsetError](err)
	refusal, refused := errors.AsType[*aadsts.Error](err)
	switch {
	case unset, refused && refusal.Permanent():
		token.Credential = CredentialUse{Kind: before.CredentialKind, Ends: before.CredentialEnds}
	case err != nil:
		return before, fmt.Errorf("get a token for the app: %w", err)
	}
	return s.store(ctx, app.Tenant, before, verdict{at: now, mark: func(g *Grant) {
		g.proven(token.Credential, now)
		g.CheckedAt = now
	}})
}

// standing is the state of a grant that works, by the credential that the app was
// proven with, and what is to be said about that.
func (c CredentialUse) standing(now time.Time) (State, why) {
	w := why{reason: c.Note, step: c.Step}
	if !EndOf(c.Ends, now).Near() {
		return Granted, w
	}
	if w.reason != "" {
		w.reason += "; "
	}
	name, end := CredentialName(c.Kind), c.Ends.UTC().Format(time.DateOnly)
	if c.Ends.After(now) {
		w.reason += "the " + name + " ends on " + end
	} else {
		w.reason += "the end date of the " + name + " (" + end + ") is past, yet Entra accepts it"
	}
	w.step = CredentialStep(c, now)
	return Expiring, w
}

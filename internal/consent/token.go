package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Names of Graph's permissions (Graph: permissions reference).
const (
	readPresence  = "Presence.Read.All"
	writePresence = "Presence.ReadWrite.All"
	readUsers     = "User.Read.All"
)

// ReadToken returns a token that reads presences: app-only first, then the user
// grants, the healthiest first. grants are the tenant's rows as just read; with a
// token in memory nothing is contacted. It returns *[RequiredError] when no grant
// is accepted, and another error when the reason may pass by itself.
func (s *Service) ReadToken(ctx context.Context, tenant string, grants []Grant) (Token, error) {
	return s.token(ctx, tenant, grants, Reading)
}

// WriteToken returns an app-only token that writes presences, like [Service.ReadToken].
func (s *Service) WriteToken(ctx context.Context, tenant string, grants []Grant) (Token, error) {
	return s.token(ctx, tenant, grants, Writing)
}

// DirectoryToken returns a token that reads the tenant's accounts, which need not be of
// the grant that reads presences, like [Service.ReadToken]. A person's tells less about
// them.
func (s *Service) DirectoryToken(ctx context.Context, tenant string, grants []Grant) (Token, error) {
	return s.token(ctx, tenant, grants, Directory)
}

// GroupsToken returns an app-only token that reads the members of Entra groups, like
// [Service.ReadToken].
func (s *Service) GroupsToken(ctx context.Context, tenant string, grants []Grant) (Token, error) {
	return s.token(ctx, tenant, grants, Groups)
}

// passing leaves out an error that is in a grant's row already.
func passing(err error) error {
	if _, marked := errors.AsType[*RequiredError](err); marked {
		return nil
	}
	return err
}

func (s *Service) token(ctx context.Context, tenant string, grants []Grant, use Use) (Token, error) {
	grants = ordered(grants)
	asking, cancel := context.WithTimeout(ctx, allTime)
	defer cancel()
	var failures []error // that may be cured by time
	for _, grant := range grants {
		if !use.allowedBy(grant) || !grant.Works() && !grant.retried() {
			continue
		}
		token, err := s.tokenOf(asking, tenant, grant, false)
		if err == nil && !token.opens(use) { // it is older than the permission
			token, err = s.tokenOf(asking, tenant, grant, true)
		}
		if err == nil && token.opens(use) {
			return token, nil
		}
		failures = append(failures, passing(err))
		if asking.Err() != nil {
			failures = append(failures, asking.Err())
			break
		}
	}
	if err := errors.Join(failures...); err != nil {
		return Token{}, fmt.Errorf("get a token for Graph: %w", err)
	}
	// The rows may be newer than what was handed in, by what was just found out.
	if fresh, err := s.Grants.Grants(ctx, tenant); err == nil {
		grants = ordered(fresh)
	}
	return Token{}, required(use, grants)
}

// retried reports whether a grant that was refused may recover without a new
// consent, so that it is tried again now and then.
func (g Grant) retried() bool {
	return g.Kind == User && g.SecretVersion != "" && (g.State == Reauthorize || g.State == Blocked || g.State == Unverified)
}

// required says what is missing: the refusal of the grant that would be best, or the
// permission that one lacks which works.
func required(use Use, grants []Grant) *RequiredError {
	kind := Admin
	if use == Reading {
		kind = User
	}
	best := &RequiredError{Kind: kind, Cause: neverGiven}
	for _, g := range grants {
		if use.Permission(g.Kind) == "" || g.State == Required && g.Reason == "" {
			continue
		}
		if g.Works() {
			if use.allowedBy(g) {
				continue
			}
			g.lack(use)
			g.Since = time.Time{} // it has worked since, for something else
		}
		best = g.required(nil)
		if g.Kind == kind {
			break
		}
	}
	return best
}

// required is the error for a grant that does not work, because of refusal.
func (g Grant) required(refusal error) *RequiredError {
	cause := g.Reason
	if cause == "" {
		cause = "it is " + string(g.State)
	}
	if g.Code != "" {
		cause += " (" + g.Code + ")"
	}
	return &RequiredError{Kind: g.Kind, Cause: cause, Code: g.Code, Since: g.Since, Step: g.NextStep, refusal: refusal}
}

// tokenOf returns the token of one grant, from memory or, anew, from Entra. While
// that can't be asked a token in memory serves to its end.
func (s *Service) tokenOf(ctx context.Context, tenant string, grant Grant, anew bool) (Token, error) {
	p := s.slot(tenant, grant.ClientID, grant.Kind, grant.Account.ObjectID)
	inMemory := func(spare time.Duration) (Token, bool) {
		token, lasts := p.lasting(grant, s.Now(), spare)
		return token, lasts && !anew
	}
	if token, ok := inMemory(early); ok {
		return token, nil
	}
	spare, ahead := inMemory(spareTime)
	turn, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if err := p.lock(turn); err != nil {
		if ahead && ctx.Err() == nil {
			return spare, nil
		}
		return Token{}, fmt.Errorf("wait for whoever asks Entra: %w", err)
	}
	defer p.unlock()
	if token, ok := inMemory(early); ok {
		return token, nil
	}
	err := p.refused
	if !p.rests(grant, s.Now()) {
		var token Token
		if token, err = s.renew(ctx, p.patience(ahead), tenant, grant, p); err == nil {
			return token, nil
		}
	}
	if spare, ahead = inMemory(spareTime); ahead {
		return spare, nil
	}
	return Token{}, err
}

// renew asks Entra for a token, for no longer than wait. The caller holds p.
func (s *Service) renew(ctx context.Context, wait time.Duration, tenant string, grant Grant, p *slot) (Token, error) {
	asking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	token, err := s.ask(asking, tenant, grant, p)
	if err == nil {
		p.accept(token)
		return token, nil
	}
	if _, marked := errors.AsType[*RequiredError](err); marked {
		p.held.Store(nil)
	}
	if ctx.Err() == nil {
		p.rest(err, grant.SecretVersion, s.Now(), p.pause(err, s.Now()))
	}
	return Token{}, err
}

func (s *Service) ask(ctx context.Context, tenant string, grant Grant, p *slot) (Token, error) {
	if grant.Kind == Admin {
		return s.appToken(ctx, tenant, grant)
	}
	return s.refresh(ctx, tenant, grant, p)
}

// appToken gets a fresh app-only token for a grant that worked.
func (s *Service) appToken(ctx context.Context, tenant string, grant Grant) (Token, error) {
	v, err := s.judge(ctx, App{Tenant: tenant, ClientID: grant.ClientID}, false)
	if err != nil {
		return Token{}, err
	}
	found := v.of(grant)
	if found.State != grant.State || !sameSet(found.Permissions, grant.Permissions) {
		if _, err := s.store(ctx, tenant, grant, v); err != nil {
			return Token{}, err
		}
	}
	if !found.Works() {
		return Token{}, found.required(nil)
	}
	return v.token, nil
}

// sameSet compares names, in whatever order.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

package consent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"procallteams/internal/entra/aadsts"
)

// Names of Graph's permissions (Graph: permissions reference).
const (
	readPresence  = "Presence.Read.All"
	writePresence = "Presence.ReadWrite.All"
	readUsers     = "User.Read.All"
)

// early is how long before its end an access token is replaced.
const early = 5 * time.Minute

// slot holds the access token of one grant in this process. busy lets one
// goroutine at a time ask Entra; the others wait for its result.
type slot struct {
	busy chan struct{}
	// The fields below belong to whoever holds busy.
	token Token
	// refused is why there is no new token, of that version of the sign-in; until
	// then nobody is asked again.
	refused error
	version string
	until   time.Time
	// failures counts answers in a row that say nothing about the grant.
	failures int
	// doubts counts refusals that mean something only when they repeat; doubted
	// is when the first of them came. rejected and rejectedAt likewise for tokens
	// that Graph answered with 401, and rejection is when the latest of them came.
	doubts, rejected               int
	doubted, rejectedAt, rejection time.Time
}

// accept keeps a token that Entra issued now.
func (p *slot) accept(token Token) {
	p.token, p.refused, p.failures, p.doubts = token, nil, 0, 0
}

// rest leaves a version of a sign-in alone for some time, because of err.
func (p *slot) rest(err error, version string, now time.Time, pause time.Duration) {
	p.refused, p.version, p.until = err, version, now.Add(pause)
}

// rests reports whether a grant is to be left alone. A row that says granted after a
// refusal was restored by another process, or by a person.
func (p *slot) rests(g Grant, now time.Time) bool {
	if p.refused == nil || p.version != g.SecretVersion || !now.Before(p.until) {
		return false
	}
	_, marked := errors.AsType[*RequiredError](p.refused)
	return !marked || !g.Works()
}

func (s *Service) slot(tenant, clientID string, kind Kind, account string) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := slotKey(tenant, clientID, kind, account)
	found, ok := s.tokens[key]
	if !ok {
		found = &slot{busy: make(chan struct{}, 1)}
		s.tokens[key] = found
	}
	return found
}

func slotKey(tenant, clientID string, kind Kind, account string) string {
	return strings.Join([]string{tenant, clientID, string(kind), account}, "/")
}

// forget drops all tokens and refusals of a tenant from this process.
func (s *Service) forget(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.tokens {
		if strings.HasPrefix(key, tenant+"/") {
			delete(s.tokens, key)
		}
	}
}

// drop forgets one grant's access token in this process.
func (s *Service) drop(tenant string, g Grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, slotKey(tenant, g.ClientID, g.Kind, g.Account.ObjectID))
}

func (p *slot) lock(ctx context.Context) error {
	select {
	case p.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *slot) unlock() { <-p.busy }

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

// passing leaves out an error that is in a grant's row already.
func passing(err error) error {
	if _, marked := errors.AsType[*RequiredError](err); marked {
		return nil
	}
	return err
}

func (s *Service) token(ctx context.Context, tenant string, grants []Grant, use Use) (Token, error) {
	grants = ordered(grants)
	var failures []error // that may be cured by time
	for _, grant := range grants {
		if !use.allowedBy(grant) || !grant.Works() && !grant.retried() {
			continue
		}
		token, err := s.tokenOf(ctx, tenant, grant, false)
		if err == nil {
			return token, nil
		}
		if ctx.Err() != nil {
			return Token{}, fmt.Errorf("get a token for Graph: %w", ctx.Err())
		}
		failures = append(failures, passing(err))
	}
	if err := errors.Join(failures...); err != nil {
		return Token{}, fmt.Errorf("get a token for Graph: %w", err)
	}
	// The rows may be newer than what was handed in, by what was just found out.
	if fresh, err := s.Grants.Grants(ctx, tenant); err == nil {
		grants = ordered(fresh)
	}
	kind := Admin
	if use == Reading {
		kind = User
	}
	return Token{}, required(kind, grants)
}

// retried reports whether a grant that was refused may recover without a new
// consent, so that it is tried again now and then.
func (g Grant) retried() bool {
	return g.Kind == User && g.SecretVersion != "" && (g.State == Reauthorize || g.State == Blocked || g.State == Unverified)
}

// required says what is missing: the refusal of the grant that would be best.
func required(kind Kind, grants []Grant) *RequiredError {
	best := &RequiredError{Kind: kind, Cause: neverGiven}
	for _, g := range grants {
		if g.Kind != kind && kind != User || g.State == Required && g.Reason == "" || g.Works() {
			continue
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
// Entra is in trouble a token in memory serves to its end.
func (s *Service) tokenOf(ctx context.Context, tenant string, grant Grant, anew bool) (Token, error) {
	p := s.slot(tenant, grant.ClientID, grant.Kind, grant.Account.ObjectID)
	if err := p.lock(ctx); err != nil {
		return Token{}, err
	}
	defer p.unlock()
	lasts := func(spare time.Duration) bool {
		return grant.Works() && !p.token.Value.Empty() && p.token.Expires.Sub(s.Now()) > spare
	}
	if lasts(early) && !anew {
		return p.token, nil
	}
	err := p.refused
	if !p.rests(grant, s.Now()) {
		var token Token
		if token, err = s.ask(ctx, tenant, grant, p); err == nil {
			p.accept(token)
			return token, nil
		}
		if ctx.Err() == nil {
			p.rest(err, grant.SecretVersion, s.Now(), p.pause(err, s.Now()))
		}
	}
	if _, marked := errors.AsType[*RequiredError](err); marked {
		p.token = Token{}
	} else if lasts(spareTime) && !anew {
		return p.token, nil
	}
	return Token{}, err
}

// spareTime is what a token must last for to be used at all.
const spareTime = 30 * time.Second

func (s *Service) ask(ctx context.Context, tenant string, grant Grant, p *slot) (Token, error) {
	if grant.Kind == Admin {
		return s.appToken(ctx, tenant, grant)
	}
	return s.refresh(ctx, tenant, grant, p)
}

// patient is how long a refusal that Graph, or a new credential, may take back at any
// moment is looked at more often than others.
const patient = 10 * time.Minute

// pause is how long a process leaves a grant alone after err. An Entra that is in
// trouble is asked less and less often, and not before it wants to be.
func (p *slot) pause(err error, now time.Time) time.Duration {
	refusal, entra := errors.AsType[*aadsts.Error](err)
	missing, marked := errors.AsType[*RequiredError](err)
	switch {
	case marked && (missing.Code == forbidden || entra && refusal.Class == aadsts.Credential) && now.Sub(missing.Since) < patient:
		return 45 * time.Second
	case marked, entra && refusal.Has(loop):
		return 5 * time.Minute
	case entra && refusal.Permanent(): // in doubt
		return 40 * time.Second
	case entra:
		p.failures++
		return max(backoff[min(p.failures, len(backoff))-1], refusal.Wait)
	}
	return 0
}

// backoff is how long Entra is left alone after so many answers in a row that say
// nothing.
var backoff = []time.Duration{0, 0, 15 * time.Second, 30 * time.Second, time.Minute}

// loop is Entra's number for the same request too often; it wants five minutes
// without one.
const loop = 50196

// appToken gets a fresh app-only token for a grant that worked.
func (s *Service) appToken(ctx context.Context, tenant string, grant Grant) (Token, error) {
	v, err := s.judge(ctx, App{Tenant: tenant, ClientID: grant.ClientID}, false)
	if err != nil {
		return Token{}, err
	}
	found := v.of(grant)
	if found.State != grant.State {
		if _, err := s.store(ctx, tenant, grant, v); err != nil {
			return Token{}, err
		}
	}
	if !found.Works() {
		return Token{}, found.required(nil)
	}
	return v.token, nil
}

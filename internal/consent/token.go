package consent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// forbidden is Graph's code for a request that the permission does not allow.
const forbidden = "Forbidden"

// early is how long before its end an access token is replaced.
const early = 5 * time.Minute

// slot holds the access token of one grant in this process. busy lets one
// goroutine at a time ask Entra; the others wait for its result.
type slot struct {
	busy chan struct{}
	// The fields below belong to whoever holds busy.
	token Token
	// refused is the last permanent refusal, of that version of the sign-in.
	refused error
	version string
	at      time.Time
	// doubts counts refusals that mean something only when they repeat; doubted
	// is when the first of them came.
	doubts  int
	doubted time.Time
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

func (s *Service) token(ctx context.Context, tenant string, grants []Grant, use Use) (Token, error) {
	grants = ordered(grants)
	var passing []error // may be cured by time
	for _, grant := range grants {
		if !use.allowedBy(grant) || !grant.Works() && !grant.retried() {
			continue
		}
		token, err := s.tokenOf(ctx, tenant, grant)
		if err == nil {
			return token, nil
		}
		if ctx.Err() != nil {
			return Token{}, fmt.Errorf("get a token for Graph: %w", ctx.Err())
		}
		if _, required := errors.AsType[*RequiredError](err); !required {
			passing = append(passing, err)
		}
	}
	if len(passing) > 0 {
		return Token{}, fmt.Errorf("get a token for Graph: %w", errors.Join(passing...))
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

// barred reports whether Graph refuses an account although Entra gives it tokens.
func (g Grant) barred() bool { return g.Kind == User && g.State == Blocked && g.Code == forbidden }

// required says what is missing: the refusal of the grant that would be best.
func required(kind Kind, grants []Grant) *RequiredError {
	best := &RequiredError{Kind: kind, Cause: "it was never given"}
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

// tokenOf returns the token of one grant, from memory or from Entra.
func (s *Service) tokenOf(ctx context.Context, tenant string, grant Grant) (Token, error) {
	p := s.slot(tenant, grant.ClientID, grant.Kind, grant.Account.ObjectID)
	if err := p.lock(ctx); err != nil {
		return Token{}, err
	}
	defer p.unlock()
	if !p.token.Value.Empty() && grant.Works() && p.token.Expires.Sub(s.Now()) > early {
		return p.token, nil
	}
	// A row that says granted was restored by another process, or by a person.
	if p.refused != nil && !grant.Works() && p.version == grant.SecretVersion && s.Now().Sub(p.at) < pause(p.refused) {
		return Token{}, p.refused
	}
	var token Token
	var err error
	if grant.Kind == Admin {
		token, err = s.appToken(ctx, tenant, grant)
	} else {
		token, err = s.refresh(ctx, tenant, grant, p)
	}
	p.token, p.refused = token, nil
	if _, required := errors.AsType[*RequiredError](err); required {
		p.refused, p.at, p.version = err, s.Now(), grant.SecretVersion
	}
	return token, err
}

// pause is how long a process leaves a permanent refusal alone. A wrong client
// secret is cured on our own page, so it is looked at more often, and what Graph
// refuses costs Entra little.
func pause(refused error) time.Duration {
	if missing, ok := errors.AsType[*RequiredError](refused); ok && missing.Code == forbidden {
		return 45 * time.Second
	}
	if refusal, ok := errors.AsType[*aadsts.Error](refused); ok && refusal.Class == aadsts.Credential {
		return time.Minute
	}
	return 5 * time.Minute
}

// appToken gets a fresh app-only token for a grant that worked.
func (s *Service) appToken(ctx context.Context, tenant string, grant Grant) (Token, error) {
	verdict, err := s.judge(ctx, App{Tenant: tenant, ClientID: grant.ClientID}, grant, false)
	if err != nil {
		return Token{}, err
	}
	if verdict.grant.State != grant.State {
		if _, err := s.store(ctx, tenant, grant, verdict.grant); err != nil {
			return Token{}, err
		}
	}
	if !verdict.grant.Works() {
		return Token{}, verdict.grant.required(nil)
	}
	return verdict.token, nil
}

// Refused tells that Graph answered token with status 401 or 403. The token is
// dropped; after a 403 the grant is proven anew with a fresh one, and marked when
// it does not work any more.
func (s *Service) Refused(ctx context.Context, tenant string, token Token, status int) error {
	grants, err := s.Grants.Grants(ctx, tenant)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	for _, grant := range grants {
		if grant.Kind != token.Kind || grant.Account.ObjectID != token.Account {
			continue
		}
		p := s.slot(tenant, grant.ClientID, grant.Kind, grant.Account.ObjectID)
		if err := p.lock(ctx); err != nil {
			return err
		}
		if p.token.Value.Equal(token.Value) {
			p.token = Token{}
		}
		p.unlock()
		if status != http.StatusForbidden {
			return nil
		}
		if grant.Kind == Admin {
			verdict, err := s.judge(ctx, App{Tenant: tenant, ClientID: grant.ClientID}, grant, true)
			if err != nil {
				return err
			}
			_, err = s.store(ctx, tenant, grant, verdict.grant)
			return err
		}
		// A fresh token names the scopes that are left; with all of them there it
		// is Graph that refuses this account.
		if _, err := s.tokenOf(ctx, tenant, grant); err != nil {
			if _, marked := errors.AsType[*RequiredError](err); marked {
				return nil
			}
			return err
		}
		_, err := s.change(ctx, tenant, grant, func(g *Grant) bool {
			g.enter(Blocked, s.now(), why{
				code: forbidden, class: aadsts.Tenant, reason: "Graph refuses this account's requests although the permission is there",
				step: "Check that the account has a Teams licence, or sign in with another account.",
			})
			return true
		})
		return err
	}
	return nil
}

package consent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"procallteams/internal/entra/aadsts"
)

// Codes of a grant that Graph refuses although Entra gives it tokens: Graph's words
// for 403 and 401.
const (
	forbidden    = "Forbidden"
	unauthorized = "Unauthorized"
)

// barred reports whether Graph refuses a grant although Entra gives it tokens. Only
// Graph can take it back.
func (g Grant) barred() bool {
	return g.State == Blocked && (g.Code == forbidden || g.Code == unauthorized)
}

// Graph has been seen to answer 401 to good tokens now and then, and to one person
// alone. So a grant rests after a fresh token was refused in general, and is marked
// when that was so for this often over this time. What comes later than inARow after
// the one before is a new beginning.
const (
	rejectionsNeeded = 3
	rejectionsWithin = 2 * time.Minute
	inARow           = 2 * time.Minute
)

// rejectedRests are how long a grant rests after so many of them: a short disturbance at
// Graph costs little.
var rejectedRests = []time.Duration{10 * time.Second, 20 * time.Second, 45 * time.Second}

// Refused tells that Graph answered token with status 401 or 403. The token is
// dropped. After a 403, and after a second 401 in a row, the grant is proven with a
// fresh token and a read that concerns nobody: one that Graph refuses as well is
// marked, or left alone for a while, and the next call of [Service.ReadToken] with
// rows read anew takes the next grant.
func (s *Service) Refused(ctx context.Context, tenant string, token Token, status int) error {
	grant, found, err := s.find(ctx, tenant, token.Kind, token.Account)
	if err != nil || !found || !grant.Works() {
		return err // marked already
	}
	p := s.slot(tenant, grant.ClientID, grant.Kind, grant.Account.ObjectID)
	if err := p.lock(ctx); err != nil {
		return err
	}
	current, first := p.drop(token, s.Now())
	p.unlock()
	switch {
	case !current, status == http.StatusUnauthorized && first:
		return nil // a fresh one may do
	case grant.Kind == Admin && status == http.StatusForbidden:
		v, err := s.judge(ctx, App{Tenant: tenant, ClientID: grant.ClientID}, true)
		if err == nil {
			_, err = s.store(ctx, tenant, grant, v)
		}
		return err
	}
	return s.proveAtGraph(ctx, tenant, grant, p)
}

// drop forgets a token that Graph refused, unless it was replaced meanwhile, and
// reports whether it was the first one for a while.
func (p *slot) drop(token Token, now time.Time) (current, first bool) {
	if held := p.held.Load(); held != nil && !held.Value.Equal(token.Value) {
		return false, false
	}
	first = p.rejection.IsZero() || now.Sub(p.rejection) >= inARow
	p.held.Store(nil)
	p.rejection = now
	if first {
		p.rejected = 0
	}
	return true, first
}

// proveAtGraph asks Graph with a fresh token whether it refuses the grant as such.
func (s *Service) proveAtGraph(ctx context.Context, tenant string, grant Grant, p *slot) error {
	fresh, err := s.tokenOf(ctx, tenant, grant, false)
	if err != nil {
		return passing(err) // a fresh token names the scopes that are left
	}
	status, err := s.Read(ctx, fresh.Value)
	if err != nil {
		return fmt.Errorf("prove the permission at Graph: %w", err)
	}
	return s.answered(ctx, tenant, grant, p, status)
}

// tryAtGraph looks whether Graph takes a sign-in that is in use from now on, and returns
// its grant as it is then: a stand-in is asked for nothing else before it is needed.
func (s *Service) tryAtGraph(ctx context.Context, tenant string, grant Grant) Grant {
	if !grant.Works() {
		return grant
	}
	err := s.proveAtGraph(ctx, tenant, grant, s.slot(tenant, grant.ClientID, grant.Kind, grant.Account.ObjectID))
	now, found, unread := s.find(ctx, tenant, grant.Kind, grant.Account.ObjectID)
	if err = errors.Join(err, unread); err != nil {
		s.Log.WarnContext(ctx, "consent not tried at Graph", "account", grant.Account.ObjectID, "error", err.Error())
	}
	if !found {
		return grant
	}
	return now
}

// answered notes with which status Graph answered a fresh token of a grant.
func (s *Service) answered(ctx context.Context, tenant string, grant Grant, p *slot, status int) error {
	switch status {
	case http.StatusForbidden:
		return s.bar(ctx, tenant, grant, why{
			code: forbidden, class: aadsts.Tenant, reason: "Graph refuses this account's requests although the permission is there",
			step: "Check that the account is a member of the tenant, no guest, and has a Teams licence; or sign in with another account.",
		})
	case http.StatusUnauthorized:
		if err := p.lock(ctx); err != nil {
			return err
		}
		settled := p.reject(grant, s.Now())
		p.unlock()
		if settled {
			return s.bar(ctx, tenant, grant, why{
				code: unauthorized, class: aadsts.Policy, reason: "Graph accepts no token of this consent, although Entra issues them",
				step: "Look at Entra's sign-in log for this app, and for policies that restrict it; the bridge looks again by itself.",
			})
		}
	}
	return nil
}

// reject notes that Graph refused a fresh token in general, and reports whether that
// has been so for long enough.
func (p *slot) reject(g Grant, now time.Time) bool {
	if p.rejected == 0 {
		p.rejectedAt = now
	}
	p.rejected++
	p.held.Store(nil)
	p.rest(fmt.Errorf("a new token of the %s consent was answered 401 by Microsoft Graph", g.Kind), g.SecretVersion, now, rejectedRests[min(p.rejected, len(rejectedRests))-1])
	return p.rejected >= rejectionsNeeded && now.Sub(p.rejectedAt) >= rejectionsWithin
}

// bar marks a grant that Graph refuses.
func (s *Service) bar(ctx context.Context, tenant string, grant Grant, w why) error {
	_, err := s.change(ctx, tenant, grant, func(g *Grant) bool {
		if !g.Works() || g.SecretVersion != grant.SecretVersion {
			return false
		}
		g.enter(Blocked, s.now(), w)
		return true
	})
	return err
}

// stillBarred notes that Graph was tried and refuses a grant as before.
func (s *Service) stillBarred(ctx context.Context, tenant string, grant Grant) error {
	_, err := s.change(ctx, tenant, grant, func(g *Grant) bool {
		if !g.barred() || g.SecretVersion != grant.SecretVersion || g.tried(s.now()) {
			return false
		}
		g.CheckedAt = s.now()
		return true
	})
	if err != nil {
		return err
	}
	return grant.required(nil)
}

package consent

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"procallteams/internal/entra/aadsts"
)

const (
	// early is how long before its end an access token is replaced, and spareTime what
	// one must last for to be used at all.
	early     = 5 * time.Minute
	spareTime = 30 * time.Second
)

const (
	// askTime is how long somebody waits for a new token, whatever hangs on the way: Key
	// Vault, Entra, or whoever asks already. Syncs come every five seconds.
	askTime = 4 * time.Second
	// patientTime is that from the third time in a row on, for what is slow and answers
	// in the end: a pause follows each try then.
	patientTime = 15 * time.Second
	// allTime is how long a sync waits for all consents together.
	allTime = 20 * time.Second
)

// slot holds the access token of one grant in this process. busy lets one
// goroutine at a time ask Entra; the others wait for its result.
type slot struct {
	busy chan struct{}
	// held is the token, nil for none. It is read without waiting for busy.
	held atomic.Pointer[Token]
	// The fields below belong to whoever holds busy.

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
	p.held.Store(&token)
	p.refused, p.failures, p.doubts = nil, 0, 0
}

// lasting returns the token of a grant if it lasts for longer than spare.
func (p *slot) lasting(g Grant, now time.Time, spare time.Duration) (Token, bool) {
	token := p.held.Load()
	if token == nil || !g.Works() || token.Expires.Sub(now) <= spare {
		return Token{}, false
	}
	return *token, true
}

// patience is how long to wait for an answer; ahead says that a good token is there.
func (p *slot) patience(ahead bool) time.Duration {
	if ahead || p.failures < 2 {
		return askTime
	}
	return patientTime
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

// patient is how long a refusal that Graph, or a new credential, may take back at any
// moment is looked at more often than others.
const patient = 10 * time.Minute

// pause is how long a process leaves a grant alone after err. An Entra, or a Key Vault,
// that is in trouble is asked less and less often, and not before it wants to be.
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
	}
	p.failures++
	pause := backoff[min(p.failures, len(backoff))-1]
	if entra {
		pause = max(pause, refusal.Wait)
	}
	return pause
}

// backoff is how long both are left alone after so many answers in a row that say nothing
// of the grant.
var backoff = []time.Duration{0, 0, 15 * time.Second, 30 * time.Second, time.Minute}

// loop is Entra's number for the same request too often; it wants five minutes
// without one.
const loop = 50196

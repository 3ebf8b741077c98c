package access

import (
	"context"
	"slices"
	"sync"
	"time"

	"procallteams/internal/host"
)

const (
	// keepKnown is how long credentials are believed: below the 5 s within which
	// a revoked one stops.
	keepKnown = 4 * time.Second
	// askAgain is how often an unknown id may cause a look at the storage, so
	// that a credential works soon after it was created elsewhere, and a flood of
	// invented ids costs one operation per second.
	askAgain = time.Second
	// usedEvery is how exact LastUsed is.
	usedEvery = 10 * time.Minute
)

// known is what this process last read: all credentials of the tenant in use.
// They are few, so one range query serves every request of the next seconds.
type known struct {
	mu     sync.Mutex // also held while reading, so that waiters share one answer
	at     time.Time  // when the reading began
	tenant string
	all    []Credential
	marked map[string]time.Time
	// failed is when reading failed last, and how: while storage is away, waiting
	// requests don't queue up for their own time-outs.
	failed time.Time
	err    error
}

// lookup returns the credential with id, [ErrUnknown] when there is none.
func (g *Gate) lookup(ctx context.Context, id string) (string, Credential, error) {
	k := &g.known
	k.mu.Lock()
	defer k.mu.Unlock()
	find := func() int { return slices.IndexFunc(k.all, func(c Credential) bool { return c.ID == id }) }
	age := g.Now().Sub(k.at)
	i := find()
	if age < 0 || age >= keepKnown || i < 0 && age >= askAgain {
		began := g.Now()
		if k.err != nil && began.Sub(k.failed) < askAgain {
			return "", Credential{}, k.err
		}
		tenant, err := g.Tenant(ctx)
		var all []Credential
		if err == nil && tenant != "" {
			all, err = g.Credentials.Credentials(ctx, tenant)
		}
		if err != nil {
			if ctx.Err() == nil { // a client that went away says nothing about storage
				k.failed, k.err = g.Now(), err
			}
			return "", Credential{}, err
		}
		k.at, k.tenant, k.all, k.err = began, tenant, all, nil
		i = find()
	}
	if i < 0 {
		return k.tenant, Credential{}, ErrUnknown
	}
	return k.tenant, k.all[i], nil
}

// markUsed stores now and then that a credential is in use. Losing that is no
// reason to refuse the request.
func (g *Gate) markUsed(ctx context.Context, tenant string, c Credential) {
	k, now := &g.known, g.Now().UTC()
	k.mu.Lock()
	last := k.marked[c.ID]
	due := now.Sub(last) >= usedEvery && now.Sub(c.LastUsed) >= usedEvery
	if due {
		if k.marked == nil || len(k.marked) > 10_000 {
			k.marked = map[string]time.Time{}
		}
		k.marked[c.ID] = now
	}
	k.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := g.Credentials.MarkUsed(ctx, tenant, c.ID, now.Truncate(usedEvery)); err != nil {
		host.Log(ctx, g.Log).Warn("last use of a credential was not stored", "credential", c.ID, "error", err.Error())
	}
}

// Package presenceset is the queue function that writes calls to Teams: the
// newest wish of everybody, one writer per tenant, and nothing stays behind.
//
// The queue message is only a wake-up. The truth is what is due (package calls)
// and the sessions (package session), which say what we hold in Teams. A turn
// looks at both, takes the tenant's lease if there is something to do, and then
// repeats: decide ([session.Session.Next]), store what is about to be called
// together with what came of earlier calls, call Graph. Whoever comes after a
// crash finds every call that may have been made. What is kept in memory is a
// cache, true as long as nobody else had the lease.
package presenceset

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/feed"
	"procallteams/internal/graph"
	"procallteams/internal/host"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/telemetry"
)

// Slice is how long one invocation works before it lets the next one go on.
const Slice = 60 * time.Second

// View is what the writer needs to know about a tenant: one storage operation.
type View struct {
	// Settings have the app settings applied.
	Settings settings.Integration
	// Retired says that another tenant took this one's place: nothing is done.
	Retired   bool
	Reporters calls.Reporters
	Grants    []consent.Grant
	// ThrottledUntil is until when Graph asked this app to wait.
	ThrottledUntil time.Time
	Head           feed.Head
	Writer         session.Writer
}

// Published returns what is published about a person, false when nothing is.
type Published func(presence.UserID) (presence.Outcome, bool)

// Work is what reporters changed and nobody acted on yet.
type Work interface {
	Due(ctx context.Context, tenant string) ([]calls.Due, error)
}

// Written keeps sessions and the lease: see [storage.Written].
type Written interface {
	Sessions(ctx context.Context, tenant string) (map[presence.UserID]session.Session, int64, error)
	// Store and SaveWriter return [storage.ErrChanged] when somebody else wrote.
	Store(ctx context.Context, tenant string, steps int64, step session.Commit) (int64, error)
	SaveWriter(ctx context.Context, tenant string, writer session.Writer) (session.Writer, error)
}

// Graph writes presences, each request once: see [graph.Client]. Presences reads.
type Graph interface {
	SetPresence(ctx context.Context, token secret.Text, user presence.UserID, sessionID string, pair presence.Settable, lasts presence.Lifetime) error
	ClearPresence(ctx context.Context, token secret.Text, user presence.UserID, sessionID string) error
	SetDoNotDisturb(ctx context.Context, token secret.Text, user presence.UserID, lasts time.Duration) error
	ClearPreferred(ctx context.Context, token secret.Text, user presence.UserID) error
	Presences(ctx context.Context, token secret.Text, ids []presence.UserID) (graph.Answer, error)
}

// Tokens gives access to Graph.
type Tokens interface {
	// WriteToken returns a token that writes presences. grants are the tenant's
	// grants as just read. It returns a *consent.RequiredError when an administrator
	// has to consent.
	WriteToken(ctx context.Context, tenant string, grants []consent.Grant) (consent.Token, error)
	// Refused tells that Graph answered 401 or 403 to the token.
	Refused(ctx context.Context, tenant string, token consent.Token, status int) error
}

// Function is the code of function.json beside this file. It is made once per
// process.
type Function struct {
	// Tenant returns the tenant in use, empty when there is none.
	Tenant func(ctx context.Context) (string, error)
	// Look reads what is known about a tenant now.
	Look func(ctx context.Context, tenant string) (View, error)
	// Published returns what is published, as of the view's head or later.
	Published func(ctx context.Context, tenant string, view View) (Published, error)
	Work      Work
	Written   Written
	Graph     Graph
	Tokens    Tokens
	// Throttle stores until when Graph asked this app to wait.
	Throttle func(ctx context.Context, tenant string, until time.Time) error
	// Wake puts a wake-up for the tenant on the queue, to arrive after a delay.
	Wake  func(ctx context.Context, tenant string, delay time.Duration) error
	Now   func() time.Time
	Log   *slog.Logger
	Meter *telemetry.Meter

	// holder names this process in the lease.
	name   sync.Once
	holder string
	// again says that a wake-up came which no turn has served yet.
	again atomic.Bool
	// served is as of when everything was looked at last.
	served atomic.Pointer[lookedAt]

	busy   sync.Mutex // held by the turn in progress, which owns what follows
	memory *memory    // nil when nothing is known
	// limit spends writing's share of Graph's budget.
	limit *rate.Limiter
	// asked is when the delayed wake-up comes that was last asked for.
	asked time.Time
}

type lookedAt struct {
	tenant string
	at     time.Time
}

// Run writes what is due. That Graph can't be reached, or refuses, is stored, and
// no error. An error means that storage could not be used; the message then comes
// again.
func (f *Function) Run(ctx context.Context, wakeup []byte) error {
	var message session.WakeUp
	if err := json.Unmarshal(wakeup, &message); err != nil {
		host.Log(ctx, f.Log).Warn("wake-up ignored", "error", "not a wake-up")
		return nil
	}
	if f.stale(message) {
		return nil
	}
	tenant, err := f.Tenant(ctx)
	if err != nil {
		return err
	}
	if tenant == "" || tenant != message.Tenant {
		return nil // of a tenant that was in use before
	}
	woken := telemetry.Write{Woken: true}
	if !message.At.IsZero() {
		woken.Waited = max(0, f.Now().Sub(message.At))
	}
	f.Meter.Add(ctx, woken)
	return f.serve(ctx, tenant, f.Now().Add(Slice), true)
}

// skew is how far the clocks of two machines may be apart.
const skew = 5 * time.Second

// stale reports whether what the wake-up tells of was looked at since: many come
// while one turn works.
func (f *Function) stale(w session.WakeUp) bool {
	served := f.served.Load()
	return served != nil && served.tenant == w.Tenant && !w.At.IsZero() && w.At.Add(skew).Before(served.at)
}

// Turn does what no wake-up announced: renewals, repetitions, what a crash left
// behind. For upkeep, once a minute. It begins nothing more when ctx is about to
// end; calls under way are let finish.
func (f *Function) Turn(ctx context.Context) error {
	tenant, err := f.Tenant(ctx)
	if err != nil || tenant == "" {
		return err
	}
	end := f.Now().Add(Slice)
	if deadline, ok := ctx.Deadline(); ok {
		// A margin to put the lease back, so that the next writer need not wait.
		end = f.Now().Add(time.Until(deadline) - 2*time.Second)
		var cancel context.CancelFunc
		ctx, cancel = host.Outlive(ctx, callTime+5*time.Second)
		defer cancel()
	}
	return f.serve(ctx, tenant, end, false)
}

// serve does turns until there is nothing more to do. There is one at a time in a
// process; a wake-up that comes meanwhile makes the turn in progress look again
// after it has ended.
func (f *Function) serve(ctx context.Context, tenant string, end time.Time, woken bool) error {
	f.name.Do(func() { f.holder = rand.Text() })
	f.again.Store(true)
	for f.again.Load() && f.busy.TryLock() {
		f.again.Store(false)
		err := f.turns(ctx, tenant, end, woken)
		f.busy.Unlock()
		if err != nil {
			return err
		}
		if f.again.Load() && !f.Now().Before(end) {
			return f.Wake(ctx, tenant, 0)
		}
	}
	return nil
}

// turns does one turn after the other: with the lease put back, what is due is
// looked at once more, since a wake-up that came meanwhile to another process
// found the lease and ended.
func (f *Function) turns(ctx context.Context, tenant string, end time.Time, woken bool) error {
	for old := 0; ; {
		t, err := f.begin(ctx, tenant, end, woken)
		if err != nil {
			f.memory = nil
			return err
		}
		if t == nil {
			return nil
		}
		switch err := t.run(ctx); {
		case errors.Is(err, errLost):
			// Somebody else writes, and looks at what is due in the end: or nobody does,
			// and only the lease could not be renewed.
			f.memory = nil
			return f.Wake(ctx, tenant, leaseTime)
		case errors.Is(err, errOld) && old < 3:
			f.memory = nil
			old++
			continue // read anew, if the lease is still ours
		case err != nil:
			f.memory = nil
			return err
		}
		more, err := t.news(ctx)
		if err != nil || !more {
			return err
		}
		if !f.Now().Before(end) {
			return f.Wake(ctx, tenant, 0)
		}
	}
}

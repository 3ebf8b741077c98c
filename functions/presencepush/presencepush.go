// Package presencepush is the queue function that delivers the feed to the
// address that UCServer's connector named, at least once and in order.
//
// The queue message is only a wake-up. The truth is the consumer's row
// ([feed.Consumer]): who holds its lease plans a [feed.Shipment], stores it,
// sends it, and moves the position after 2xx. Whoever comes after a crash sends
// the same shipment again, with the same id and the same bytes.
package presencepush

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"procallteams/internal/feed"
	"procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/poll"
	"procallteams/internal/secret"
	"procallteams/internal/telemetry"
	"procallteams/internal/ucserver"
)

// ConsumerID names the push target among the consumers of a tenant.
const ConsumerID = "push"

// Slice is how long one invocation works before it lets the next one go on.
const Slice = 60 * time.Second

// View is what the pusher needs to know about a tenant: one storage operation.
type View struct {
	poll.View
	// URL is where pushes go; empty while there is nothing to push to, or the
	// tenant is not in use any more.
	URL string
	// Authority signed UCServer's private certificate: PEM, empty for a public one.
	Authority string
}

// Store is a tenant's feed and its consumers.
type Store interface {
	feed.Reader
	feed.Consumers
}

// Secrets holds the signing secret.
type Secrets interface {
	PushSecret(ctx context.Context) (secret.Text, error)
}

// Sender sends one delivery.
type Sender interface {
	Push(ctx context.Context, d ucserver.Delivery) ucserver.Outcome
}

// Function is the code of function.json beside this file.
type Function struct {
	// Tenant returns the tenant in use, empty when there is none.
	Tenant func(ctx context.Context) (string, error)
	// Look reads what is known about a tenant now.
	Look    func(ctx context.Context, tenant string) (View, error)
	Open    func(tenant string) Store
	Secrets Secrets
	Sender  Sender
	// Wake puts a wake-up for the tenant on the queue.
	Wake  func(ctx context.Context, tenant string) error
	Now   func() time.Time
	Log   *slog.Logger
	Meter *telemetry.Meter
}

// Run delivers what the feed holds after UCServer's position. UCServer being
// away is no error: the next attempt is stored. An error means that storage or
// the vault could not be used; the message then comes again.
func (f Function) Run(ctx context.Context, wakeup []byte) error {
	var message feed.WakeUp
	if err := json.Unmarshal(wakeup, &message); err != nil {
		host.Log(ctx, f.Log).Warn("wake-up ignored", "error", "not a wake-up")
		return nil
	}
	tenant, err := f.Tenant(ctx)
	if err != nil {
		return err
	}
	if tenant == "" || tenant != message.Tenant {
		return nil // of a tenant that was in use before
	}
	woken := telemetry.Push{Woken: true}
	if !message.At.IsZero() {
		woken.Waited = max(0, f.Now().Sub(message.At))
	}
	f.Meter.Add(ctx, woken)
	more, err := f.deliver(ctx, tenant, Slice, false)
	if err != nil {
		return err
	}
	if more {
		if err := f.Wake(ctx, tenant); err != nil {
			return fmt.Errorf("wake the next pusher: %w", err)
		}
	}
	return nil
}

// Sweep does what no wake-up announced: a wake-up that was lost, an attempt that
// is due, a consumer that has heard nothing for a while. For upkeep, once a
// minute. It begins nothing more when ctx is about to end; a request under way
// is let finish, since receivers may take longer than one duty lasts.
func (f Function) Sweep(ctx context.Context) error {
	tenant, err := f.Tenant(ctx)
	if err != nil || tenant == "" {
		return err
	}
	slice := Slice
	if end, ok := ctx.Deadline(); ok {
		// A margin to put the lease back, so that the next pusher need not wait.
		slice = time.Until(end) - 2*time.Second
		var cancel context.CancelFunc
		ctx, cancel = host.Outlive(ctx, requestTime)
		defer cancel()
	}
	more, err := f.deliver(ctx, tenant, slice, true)
	if err != nil {
		return err
	}
	if more {
		return f.Wake(ctx, tenant)
	}
	return nil
}

// deliver works for at most slice and reports whether there is more to do now.
func (f Function) deliver(ctx context.Context, tenant string, slice time.Duration, idle bool) (more bool, err error) {
	end := f.Now().Add(slice)
	for first := true; ; first = false {
		p, err := f.look(ctx, tenant)
		if err != nil || p == nil {
			return false, err
		}
		p.end, p.idle = end, idle && first
		if !p.due() {
			return false, nil
		}
		if wait := p.consumer.NextAttempt.Sub(f.Now()); wait > 0 {
			if first || wait > end.Sub(f.Now()) {
				return false, nil // of whoever made the attempt, or upkeep's
			}
			if err := sleep(ctx, wait); err != nil {
				return false, err
			}
			continue // another process may have been faster
		}
		if !f.Now().Before(end) {
			return true, nil
		}
		err = p.work(ctx)
		if errors.Is(err, feed.ErrLostRace) {
			return false, nil // somebody else pushes, and looks at the head in the end
		}
		if err != nil {
			return false, err
		}
		// The head once more, now that the lease is put back: a wake-up that came
		// meanwhile found the lease and ended.
	}
}

// look reads the consumer, then the head: in this order, so that the head is not
// older than what another process planned. nil: there is nothing to push to.
func (f Function) look(ctx context.Context, tenant string) (*pusher, error) {
	p := &pusher{Function: f, tenant: tenant, store: f.Open(tenant)}
	var err error
	if p.consumer, err = p.store.Consumer(ctx, ConsumerID); err != nil {
		return nil, err
	}
	if p.view, err = f.Look(ctx, tenant); err != nil {
		return nil, err
	}
	if p.view.URL == "" || p.view.Head.Epoch == "" {
		return nil, nil
	}
	p.retarget()
	return p, nil
}

// State reads how the push of a tenant stands: two storage operations, one more
// while UCServer lags behind.
func (f Function) State(ctx context.Context, tenant string) (*health.Push, error) {
	view, err := f.Look(ctx, tenant)
	if err != nil {
		return nil, err
	}
	store := f.Open(tenant)
	c, err := store.Consumer(ctx, ConsumerID)
	if err != nil {
		return nil, err
	}
	s := &health.Push{
		LastSuccess: c.LastSuccess, NextAttempt: c.NextAttempt, Stopped: c.Stopped,
		Problem: c.Problem, Code: c.ProblemCode, ProblemSince: c.ProblemSince, Behind: view.Head.Last.Append,
	}
	if c.Position.Epoch != "" {
		s.Position = c.Position.ID.String()
	}
	if c.Position.Epoch == view.Head.Epoch {
		s.Behind -= min(s.Behind, c.Position.Append)
		if s.Behind > 0 {
			for entry, err := range store.Entries(ctx, view.Head, c.Position.Append, c.Position.Append+1) {
				if err == nil { // else it is not kept any more, or the next answer knows
					s.BehindSince = entry.At
				}
			}
		}
	}
	return s, nil
}

// Resume lets pushes go on after a 410, and tries at once what waits: an
// administrator switched the push on again.
func (f Function) Resume(ctx context.Context, tenant string) error {
	store := f.Open(tenant)
	c, err := store.Consumer(ctx, ConsumerID)
	if err != nil {
		return err
	}
	if c.Version == "" || !c.Stopped && c.NextAttempt.IsZero() {
		return nil
	}
	c.Stopped, c.NextAttempt = false, time.Time{}
	if _, err := store.SaveConsumer(ctx, ConsumerID, c); err != nil {
		return fmt.Errorf("switch the push on: %w", err)
	}
	return f.Wake(ctx, tenant)
}

// requestTime is more than one request takes, its lease put back included.
const requestTime = 30 * time.Second

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

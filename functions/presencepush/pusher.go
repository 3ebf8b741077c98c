package presencepush

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"procallteams/internal/feed"
	"procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/secret"
	"procallteams/internal/telemetry"
	"procallteams/internal/ucserver"
)

const (
	// leaseTime is how long a pusher may work without renewing; a crash delays the
	// next one by as much.
	leaseTime = 5 * time.Second
	renewTime = time.Second
	// quiet is after how much silence upkeep sends an empty push. It runs once a
	// minute and a consumer hears something every 60 s, so it is no longer than
	// what two runs may be apart beyond that.
	quiet = time.Second
	// settled is how old a change must be before upkeep takes its wake-up for lost.
	settled = 3 * time.Second

	firstBackoff = time.Second
	lastBackoff  = 5 * time.Minute
)

// pusher is one turn: from taking the lease to putting it back.
type pusher struct {
	Function
	tenant   string
	store    Store
	view     View
	consumer feed.Consumer
	end      time.Time
	idle     bool // called by upkeep, without a wake-up
	key      secret.Text
	changes  int // in the body made last
	state    *state
	// planned is the content of the shipment planned, so that it is read once.
	planned        *feed.Shipment
	plannedChanges []json.RawMessage
}

// retarget forgets everything about another address.
func (p *pusher) retarget() {
	sum := sha256.Sum256([]byte(p.view.URL))
	if target := hex.EncodeToString(sum[:16]); p.consumer.Target != target {
		// The lease stays: a request to the old address may be under way.
		p.consumer = feed.Consumer{Target: target, Version: p.consumer.Version, Holder: p.consumer.Holder, Until: p.consumer.Until}
	}
}

// due reports whether there is anything to send and nobody sends.
func (p *pusher) due() bool {
	c, now := p.consumer, p.Now()
	switch {
	case c.Stopped || c.Until.After(now):
		return false
	case c.InFlight != nil:
		return true
	case c.Position == p.view.Head.Position():
		return p.idle && now.Sub(c.LastSuccess) >= quiet
	}
	return !p.idle || now.Sub(p.view.Head.At) >= settled || !c.NextAttempt.IsZero()
}

// work takes the lease, sends until the consumer has caught up, the slice ends
// or an attempt fails, and puts the lease back. ErrLostRace: another process has
// the lease, and nothing of ours may be stored any more.
func (p *pusher) work(ctx context.Context) error {
	var err error
	if p.key, err = p.Secrets.PushSecret(ctx); err != nil {
		return fmt.Errorf("read push secret: %w", err)
	}
	c := &p.consumer
	c.Holder = rand.Text()
	c.NextAttempt = time.Time{}
	for p.Now().Before(p.end) {
		if c.InFlight == nil {
			if err := p.plan(ctx); err != nil {
				return err
			}
			if c.InFlight == nil {
				break // caught up
			}
		}
		body, err := p.body(ctx)
		if gone, ok := errors.AsType[*feed.GoneError](err); ok {
			// What was planned is not kept any more: begin with the state.
			host.Log(ctx, p.Log).Info("push begins anew", "reason", gone.Reason)
			c.InFlight, c.Position = nil, feed.Position{}
			if err := p.refresh(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		// Durable before it is sent: a crash after this line sends it again.
		if err := p.save(ctx, leaseTime); err != nil {
			return err
		}
		began := p.Now()
		outcome, err := p.send(ctx, body)
		if err != nil {
			return err
		}
		p.measure(ctx, outcome, len(body), p.Now().Sub(began))
		// A crash before the position is stored delivers twice, never not at all.
		if again := p.settle(ctx, outcome); !again {
			break
		}
		p.idle = false
	}
	c.Holder = ""
	return p.save(ctx, 0)
}

// refresh reads the head anew.
func (p *pusher) refresh(ctx context.Context) error {
	view, err := p.Look(ctx, p.tenant)
	if err != nil {
		return err
	}
	if view.URL != p.view.URL {
		return feed.ErrLostRace // the next turn begins with the new address
	}
	p.view = view
	return nil
}

// save stores the row with a lease of the given length.
func (p *pusher) save(ctx context.Context, lease time.Duration) error {
	next := p.consumer
	next.Until = time.Time{}
	if lease > 0 {
		next.Until = p.Now().Add(lease)
	}
	saved, err := p.store.SaveConsumer(ctx, ConsumerID, next)
	if err != nil {
		return err
	}
	p.consumer = saved
	return nil
}

// send posts the shipment, renewing the lease meanwhile. Who can't renew cancels
// the request, and gets ErrLostRace.
func (p *pusher) send(ctx context.Context, body []byte) (ucserver.Outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan ucserver.Outcome, 1)
	delivery := ucserver.Delivery{URL: p.view.URL, ID: p.id(), Body: body, Secret: p.key, Authority: p.view.Authority}
	go func() { answered <- p.Sender.Push(ctx, delivery) }()
	ticker := time.NewTicker(renewTime)
	defer ticker.Stop()
	for {
		select {
		case outcome := <-answered:
			return outcome, nil
		case <-ticker.C:
			// A write that fails for another reason is made up for at the next tick,
			// while the lease lasts. One that hangs must not outlast the lease either.
			renewing, stop := context.WithTimeout(ctx, p.consumer.Until.Sub(p.Now()))
			err := p.save(renewing, leaseTime)
			stop()
			if errors.Is(err, feed.ErrLostRace) || err != nil && !p.Now().Before(p.consumer.Until) {
				cancel()
				<-answered
				return ucserver.Outcome{}, feed.ErrLostRace
			}
		}
	}
}

// measure has an attempt counted, with the shipment still in flight.
func (p *pusher) measure(ctx context.Context, o ucserver.Outcome, size int, took time.Duration) {
	done := telemetry.Push{Attempt: true, Took: took}
	if sent := p.consumer.InFlight; o.Result == ucserver.Delivered {
		done.Delivered, done.Bytes, done.SnapshotPart = true, size, sent.Snapshot != ""
		if sent.Snapshot == "" && sent.From != sent.To {
			done.Changes, done.Age = p.changes, max(0, p.Now().Sub(p.view.Head.At))
		}
	}
	p.Meter.Add(ctx, done)
}

// settle takes the outcome in and reports whether to go on at once.
func (p *pusher) settle(ctx context.Context, o ucserver.Outcome) bool {
	c, now := &p.consumer, p.Now()
	sent := c.InFlight
	if o.Result == ucserver.Delivered {
		c.Failures, c.Problem, c.ProblemCode, c.ProblemSince, c.LastSuccess = 0, "", "", time.Time{}, now
		if sent.Part < sent.Parts {
			c.InFlight = p.nextPart(sent)
			return true
		}
		c.InFlight, c.Position = nil, feed.Position{Epoch: sent.Epoch, ID: sent.To}
		return true
	}
	host.Log(ctx, p.Log).Warn("push not delivered", "code", o.Code, "reason", o.Reason, "failures", c.Failures+1)
	if c.ProblemSince.IsZero() {
		c.ProblemSince = now
	}
	c.Problem, c.ProblemCode = health.Clip(o.Reason, maxProblem), o.Code
	c.Failures++
	switch {
	case o.Result == ucserver.Stopped:
		c.Stopped = true
		return false
	case o.Result == ucserver.Conflict && sent.Snapshot == "":
		c.InFlight, c.Position = nil, feed.Position{}
		return true
	case o.Result == ucserver.Conflict:
		c.InFlight = nil // this snapshot is void for the receiver; another one, later
	}
	wait := min(firstBackoff<<min(c.Failures-1, 10), lastBackoff)
	c.NextAttempt = now.Add(max(o.RetryAfter, jitter(wait)))
	return false
}

// maxProblem is how much the row keeps of a reason, in bytes.
const maxProblem = 2000

// jitter is between d and 1.5 d, so that consumers of many bridges part.
func jitter(d time.Duration) time.Duration {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	return d + d/2*time.Duration(uint16(b[0])<<8|uint16(b[1]))/(1<<16)
}

// id is 128 bits of a hash of what is sent: the same for every retry, another
// one for everything else. An empty push names no range, so its time counts.
func (p *pusher) id() string {
	s := p.consumer.InFlight
	text := fmt.Sprintf("%s\n%s\n%s\n%s\n%s\n%s\n%d\n%d", p.tenant, ConsumerID, s.Epoch, s.From, s.To, s.Snapshot, s.Part, s.Parts)
	if s.Snapshot == "" && s.From == s.To {
		text += "\n" + s.Planned.UTC().Format(time.RFC3339Nano)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

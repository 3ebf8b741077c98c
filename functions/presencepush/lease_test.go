package presencepush_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sim "procallteams/dev/ucserver"
	"procallteams/functions/presencepush"
	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/ucserver"
)

func TestTwoPushersAtOnceDeliverOnce(t *testing.T) {
	w := newWorld(t)
	for n := range 20 {
		w.append(feedtest.Busy(n))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := w.function().Run(t.Context(), w.wakeup()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	w.run()
	w.equal()
	if got := len(w.sent); got > 21 {
		t.Errorf("%d pushes for 20 appends", got)
	}
}

func TestASlowReceiverKeepsItsPusher(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	w.uc.Inject(sim.Fault{Kind: sim.Slow, Milliseconds: 2500, Count: 1})
	done := make(chan error)
	go func() { done <- w.function().Run(t.Context(), w.wakeup()) }()
	// The clock runs past the first lease: only renewals keep it.
	for range 8 {
		time.Sleep(250 * time.Millisecond)
		w.pass(time.Second)
		w.run()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.equal()
	if len(w.sent) != 1 {
		t.Errorf("%d requests; want 1", len(w.sent))
	}
}

func TestWhoLosesTheLeaseStoresNothing(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	w.uc.Inject(sim.Fault{Kind: sim.Slow, Milliseconds: 3000, Count: 1})
	done := make(chan error)
	go func() { done <- w.function().Run(t.Context(), w.wakeup()) }()
	for deadline := time.Now().Add(20 * time.Second); w.uc.Pushes().Attempts == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was pushed")
		}
	}
	c, err := w.store.Consumer(t.Context(), presencepush.ConsumerID)
	if err != nil {
		t.Fatal(err)
	}
	c.Holder, c.Until = "another", w.clock().Add(time.Minute)
	for { // the pusher renews at the same time
		if _, err = w.store.SaveConsumer(t.Context(), presencepush.ConsumerID, c); !errors.Is(err, feed.ErrLostRace) {
			break
		}
		if c, err = w.store.Consumer(t.Context(), presencepush.ConsumerID); err != nil {
			t.Fatal(err)
		}
		c.Holder, c.Until = "another", w.clock().Add(time.Minute)
	}
	if err := <-done; err != nil {
		t.Errorf("losing the lease is no fault: %v", err)
	}
	after, err := w.store.Consumer(t.Context(), presencepush.ConsumerID)
	if err != nil || after.Holder != "another" || after.InFlight == nil || after.Position.Epoch != "" {
		t.Errorf("row = %+v, %v", after, err)
	}
}

func TestUpkeepLetsASlowReceiverFinish(t *testing.T) {
	w := newWorld(t)
	w.append(feedtest.Busy(1))
	w.pass(time.Minute)
	w.uc.Inject(sim.Fault{Kind: sim.Slow, Milliseconds: 3500, Count: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	if err := w.function().Sweep(ctx); err != nil {
		t.Errorf("Sweep() = %v", err)
	}
	w.equal()
	if s := w.state(); len(w.sent) != 1 || s.Problem != "" || s.Behind != 0 {
		t.Errorf("%d requests, state %+v", len(w.sent), s)
	}
}

// hanging is a store that never answers once a request is under way.
type hanging struct {
	presencepush.Store
	under *atomic.Bool
}

func (h hanging) SaveConsumer(ctx context.Context, id string, c feed.Consumer) (feed.Consumer, error) {
	if h.under.Load() {
		<-ctx.Done()
		return feed.Consumer{}, ctx.Err()
	}
	return h.Store.SaveConsumer(ctx, id, c)
}

// waiting is a receiver that answers when it is given up.
type waiting struct{ under *atomic.Bool }

func (w waiting) Push(ctx context.Context, _ ucserver.Delivery) ucserver.Outcome {
	w.under.Store(true)
	<-ctx.Done()
	return ucserver.Outcome{Result: ucserver.Later, Code: "push-cancelled"}
}

func TestWhoCannotRenewGivesTheRequestUpWithTheLease(t *testing.T) {
	w := newWorld(t)
	w.runs = true
	w.append(feedtest.Busy(1))
	f, under := w.function(), &atomic.Bool{}
	f.Open = func(string) presencepush.Store { return hanging{w.store, under} }
	f.Sender = waiting{under}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	began := time.Now()
	if err := f.Run(ctx, w.wakeup()); err != nil || time.Since(began) > 20*time.Second {
		t.Errorf("Run() = %v after %v; want it to end with its lease of 5 s", err, time.Since(began))
	}
}

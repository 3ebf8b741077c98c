package funchost_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"procallteams/dev/azurite"
	"procallteams/dev/funchost"
)

func TestEachGroupHasItsOwnProcessesAndTheyStartOnDemand(t *testing.T) {
	t.Parallel()
	queue, name := newQueue(t)
	app := newApp(t).http("one", "one").http("two", "two").queue("push", name).timer("tick", "0 0 0 1 1 *")
	h := app.start(funchost.Options{Storage: azurite.ForTest(t).ConnectionString(), Layout: funchost.Layout{PerGroup: true, HTTP: 2, Queue: 2, OnDemand: true}})
	var names []string
	for _, p := range h.Processes() {
		names = append(names, p.Group)
		if p.PID != 0 {
			t.Errorf("%s#%d runs without demand", p.Group, p.Instance)
		}
	}
	if want := []string{"http", "http", "function:push", "function:push", "function:tick"}; !slices.Equal(names, want) {
		t.Errorf("groups %v; want %v", names, want)
	}
	for range 4 {
		if got := get(t, h.URL()+"/api/one"); got.Status != 200 {
			t.Fatalf("status %d", got.Status)
		}
	}
	enqueue(t, queue, "x")
	list := app.await(5)
	pids := map[string]map[int]bool{}
	for _, r := range list {
		if pids[r.Target] == nil {
			pids[r.Target] = map[int]bool{}
		}
		pids[r.Target][r.PID] = true
	}
	if len(pids["/api/one"]) != 2 || len(pids["/push"]) != 1 {
		t.Errorf("processes %v; want two for HTTP, taken in turn, and one for the queue", pids)
	}
	for pid := range pids["/push"] {
		if pids["/api/one"][pid] {
			t.Error("HTTP and queue share a process")
		}
	}
	if p := h.Processes()[4]; p.PID != 0 {
		t.Error("the timer's process runs before its time")
	}
}

func TestATimerNeverOverlapsAndALateRunComesOnce(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	at := time.Date(2026, 11, 25, 10, 24, 59, 0, time.UTC)
	now.Store(at.UnixNano())
	app := newApp(t).timer("waiting", "*/10 * * * * *")
	ended := make(chan struct{}, 10)
	h := app.start(funchost.Options{Now: func() time.Time { return time.Unix(0, now.Load()) }, OnInvocation: func(i funchost.Invocation) {
		if i.Done {
			ended <- struct{}{}
		}
	}})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	now.Store(at.Add(2 * time.Second).UnixNano()) // 10:25:01 fires 10:25:00
	app.await(1)
	now.Store(at.Add(36 * time.Second).UnixNano()) // three occurrences during the run, which takes a second
	list := app.await(2)
	if gap := list[1].Time.Sub(list[0].Time); gap < 900*time.Millisecond {
		t.Errorf("the second run began %v after the first, which took a second", gap)
	}
	for range 2 {
		select {
		case <-ended:
		case <-time.After(deadline):
			t.Fatal("a run does not end")
		}
	}
	// The next one is at 10:25:40, not one for each that was missed.
	if got := len(app.received()); got != 2 {
		t.Errorf("%d runs; want 2", got)
	}
	now.Store(at.Add(42 * time.Second).UnixNano())
	app.await(3)
}

func TestAMissedOccurrenceIsMadeUpForWhenTheHostComesBack(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	at := time.Date(2026, 11, 25, 10, 24, 59, 0, time.UTC)
	now.Store(at.UnixNano())
	app := newApp(t).timer("tick", "0 * * * * *").http("any", "any/{*rest}")
	h := app.start(funchost.Options{Supervise: true, Now: func() time.Time { return time.Unix(0, now.Load()) }})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.HoldTimers(true)
	get(t, h.URL()+"/api/any/crash") // three crashes: this life is over
	eventually(t, "stopped host", func() bool { return strings.Contains(h.Output(), "Exceeded http worker") })
	now.Store(at.Add(30 * time.Second).UnixNano())
	isTick := func(r received) bool { return r.Target == "/tick" }
	eventually(t, "late run", func() bool { return slices.ContainsFunc(app.received(), isTick) })
	list := app.received()
	if got := list[slices.IndexFunc(list, isTick)].Body; !strings.Contains(got, `"Next":"2026-11-25T10:25:00+00:00"`) || !strings.Contains(got, `"IsPastDue":true`) {
		t.Errorf("the timer was told %s", got)
	}
}

func TestHeldTimersDoNotFireWhileHTTPGoesOn(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	at := time.Date(2026, 11, 25, 10, 24, 59, 0, time.UTC)
	now.Store(at.UnixNano())
	app := newApp(t).timer("tick", "0 * * * * *").http("any", "any/{*rest}")
	h := app.start(funchost.Options{Now: func() time.Time { return time.Unix(0, now.Load()) }})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.HoldTimers(true)
	now.Store(at.Add(2 * time.Second).UnixNano())
	eventually(t, "held timer", func() bool { return strings.Contains(h.Output(), "'tick' is held") })
	if got := get(t, h.URL()+"/api/any/x"); got.Status != 200 {
		t.Errorf("HTTP answered %d", got.Status)
	}
	h.HoldTimers(false)
	now.Store(at.Add(62 * time.Second).UnixNano())
	if list := targets(app.await(2)); !slices.Equal(list, []string{"GET /api/any/x", "POST /tick"}) {
		t.Errorf("the handler received %v", list)
	}
}

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
	var now atomic.Int64
	at := time.Date(2026, 11, 25, 10, 24, 59, 0, time.UTC)
	now.Store(at.UnixNano())
	app := newApp(t).timer("waiting", "*/10 * * * * *")
	h := app.start(funchost.Options{Now: func() time.Time { return time.Unix(0, now.Load()) }})
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
	// The next one is at 10:25:40, not one for each that was missed.
	eventually(t, "end of the second run", func() bool { return time.Since(list[1].Time) > 1200*time.Millisecond })
	if got := len(app.received()); got != 2 {
		t.Errorf("%d runs; want 2", got)
	}
}

func TestAMissedOccurrenceIsMadeUpForWhenTheHostComesBack(t *testing.T) {
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

func TestHeldTimersDoNotFire(t *testing.T) {
	app := newApp(t).timer("tick", "* * * * * *").http("any", "any/{*rest}")
	h := app.start(funchost.Options{})
	app.await(1)
	h.HoldTimers(true)
	time.Sleep(50 * time.Millisecond) // one that fires right now may pass
	before := len(app.received())
	end := time.Now().Add(2200 * time.Millisecond)
	for time.Now().Before(end) {
		if got := get(t, h.URL()+"/api/any/x"); got.Status != 200 {
			t.Fatalf("HTTP answered %d", got.Status)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, r := range app.received()[before:] {
		if r.Target == "/tick" {
			t.Fatal("a held timer fired")
		}
	}
	h.HoldTimers(false)
	now := len(app.received())
	eventually(t, "timer again", func() bool {
		return slices.ContainsFunc(app.received()[now:], func(r received) bool { return r.Target == "/tick" })
	})
}

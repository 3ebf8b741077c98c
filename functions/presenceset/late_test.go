package presenceset_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sim "procallteams/dev/graph"
	"procallteams/internal/presence"
	"procallteams/internal/session"
)

// late lets Graph take the next write of a kind and do it only when do is called.
func (w *world) late(action string) (taken <-chan struct{}, do func()) {
	w.teams.Inject(sim.Fault{Kind: sim.Late, Path: action, Milliseconds: 1, Count: 1})
	arrived, released := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	w.teams.OnRequest(func(path string) {
		if strings.HasSuffix(path, action) && held.CompareAndSwap(false, true) {
			close(arrived)
			<-released
		}
	})
	do = sync.OnceFunc(func() { close(released) })
	w.t.Cleanup(do)
	return arrived, do
}

// writesAndDies runs a process that ends when Graph has taken its write, before the answer.
func (w *world) writesAndDies(taken <-chan struct{}) {
	ctx, cancel := context.WithCancel(w.t.Context())
	dying := w.process()
	done := make(chan struct{})
	go func() { _ = dying.Run(ctx, w.wakeup()); close(done) }()
	<-taken
	cancel()
	<-done
}

func TestASetThatGraphDoesAfterItsSenderDiedIsTakenBack(t *testing.T) {
	w := newWorld(t)
	ada := w.hire()
	taken, do := w.late("setPresence")
	w.talks(ada)
	w.writesAndDies(taken)
	w.hangsUp(ada)
	w.pass(6 * time.Second)
	next := w.process()
	w.run(next)
	w.shows(ada, free)
	w.calls(0, 1) // the set has no answer yet
	do()
	w.eventually("the old set is done", func() bool { return w.shown(ada) == busy })
	state := presence.State{Availability: presence.Busy, Activity: presence.InACall}
	if s := w.session(ada); !s.Echo(state, w.clock()) || s.Over(w.clock().Add(time.Hour)) {
		t.Error("the old set is taken for a call in Teams")
	}
	if len(w.wakes) == 0 || w.wakes[len(w.wakes)-1] < 20*time.Second {
		t.Errorf("wake-ups: %v", w.wakes)
	}
	w.pass(session.LateTime + session.SendTime)
	w.run(next)
	w.shows(ada, free)
	w.pass(session.KeepTime + time.Minute)
	w.turn(next)
	w.turn(next)
	w.calls(1, 2)
	if s := w.session(ada); !s.Call.At.IsZero() {
		t.Errorf("session = %+v", s)
	}
}

func TestAClearThatGraphDoesLateIsSetRight(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.talks(ada)
	w.run(f)
	taken, do := w.late("clearPresence")
	w.hangsUp(ada)
	w.writesAndDies(taken)
	w.talks(ada)
	w.pass(6 * time.Second)
	w.run(f)
	do()
	w.eventually("the old clear is done", func() bool { return w.shown(ada) == free })
	w.pass(session.LateTime + session.SendTime)
	w.run(f)
	w.shows(ada, busy)
	w.turn(f)
	w.calls(3, 1)
}

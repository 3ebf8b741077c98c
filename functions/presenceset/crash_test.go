package presenceset_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	sim "procallteams/dev/graph"
	"procallteams/functions/presenceset"
	"procallteams/internal/calls"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/session"
	"procallteams/internal/storage"
)

var errDead = errors.New("the process was killed")

// mortal is what a process does to storage and Graph. It is killed at one of these
// steps: after that nothing it does has an effect, nor does it learn anything.
type mortal struct {
	storage.Written
	storage.Calls
	presenceset.Graph
	kill context.CancelFunc

	mu   sync.Mutex
	left int // steps until it is killed
	dead bool
}

// step does one thing unless the process is killed before or after it.
func (m *mortal) step(do func() error) error {
	m.mu.Lock()
	before := m.left == 0
	m.left--
	if m.dead = m.dead || before; m.dead {
		m.mu.Unlock()
		m.kill()
		return errDead
	}
	after := m.left == 0
	m.left--
	m.mu.Unlock()
	err := do()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead = m.dead || after; m.dead {
		m.kill()
		return errDead
	}
	return err
}

func (m *mortal) Due(ctx context.Context, tenant string) (list []calls.Due, err error) {
	err = m.step(func() error { list, err = m.Calls.Due(ctx, tenant); return err })
	return list, err
}

func (m *mortal) Store(ctx context.Context, tenant string, steps int64, c session.Commit) (next int64, err error) {
	err = m.step(func() error { next, err = m.Written.Store(ctx, tenant, steps, c); return err })
	return next, err
}

func (m *mortal) SaveWriter(ctx context.Context, tenant string, row session.Writer) (saved session.Writer, err error) {
	err = m.step(func() error { saved, err = m.Written.SaveWriter(ctx, tenant, row); return err })
	return saved, err
}

func (m *mortal) SetPresence(ctx context.Context, token secret.Text, user presence.UserID, id string, pair presence.Settable, lasts presence.Lifetime) error {
	return m.step(func() error { return m.Graph.SetPresence(ctx, token, user, id, pair, lasts) })
}

func (m *mortal) ClearPresence(ctx context.Context, token secret.Text, user presence.UserID, id string) error {
	return m.step(func() error { return m.Graph.ClearPresence(ctx, token, user, id) })
}

// killed runs a process that is killed after so many steps, and reports whether it
// was.
func (w *world) killed(steps int) bool {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	m := &mortal{Written: storage.Written{Storage: w.storage}, Calls: storage.Calls{Storage: w.storage}, Graph: w.graph, left: steps, kill: cancel}
	f := w.process()
	f.Written, f.Work, f.Graph = m, m, m
	err := f.Run(ctx, w.wakeup())
	if !m.dead && err != nil {
		w.t.Fatal(err)
	}
	return m.dead
}

func TestAWriterThatIsKilledAtAnyStepLeavesNothingWrong(t *testing.T) {
	for _, talking := range []bool{true, false} { // what it is about to write
		for _, changed := range []bool{true, false} { // whether that is still wanted afterwards
			t.Run(fmt.Sprintf("talking %t, changed %t", talking, changed), func(t *testing.T) {
				steps := 0
				for w := newWorld(t); w.afterDeath(steps, talking, changed); w = newWorld(t) {
					steps++
				}
				if steps < 12 && !t.Failed() { // twice: due, lease, intent, call, answer, lease
					t.Errorf("only %d steps", steps)
				}
			})
		}
	}
}

func TestAWakeUpThatMeetsADeadWritersLeaseComesAgainWhenItHasEnded(t *testing.T) {
	w := newWorld(t)
	ada := w.hire()
	w.talks(ada)
	if !w.killed(4) {
		t.Fatal("nobody was killed")
	}
	if w.writer().Holder == "" {
		t.Fatal("the dead writer has no lease")
	}
	w.hangsUp(ada)
	next := w.process()
	w.wakes = nil
	w.run(next)
	w.run(next)
	if len(w.wakes) != 1 || w.wakes[0] <= 0 || w.wakes[0] > 7*time.Second {
		t.Fatalf("wake-ups asked for = %v; want one when the lease has ended", w.wakes)
	}
	w.pass(w.wakes[0])
	w.run(next)
	w.shows(ada, free)
}

// afterDeath kills a writer after so many steps, lets others go on, and reports
// whether the next step is to be tried.
func (w *world) afterDeath(steps int, talking, changed bool) bool {
	w.t.Helper()
	ada := w.hire()
	says := map[bool]func(presence.UserID){true: w.talks, false: w.hangsUp}
	if !talking {
		w.talks(ada)
		w.run(w.process())
	}
	says[talking](ada)
	killed := w.killed(steps)
	wanted := talking != changed
	if changed {
		says[wanted](ada)
	}
	want := map[bool]string{true: busy, false: free}
	w.pass(6 * time.Second)
	w.run(w.process())
	w.shows(ada, want[wanted])
	w.pass(time.Minute)
	w.turn(w.process())
	w.turn(w.process())
	w.shows(ada, want[wanted])
	says[!wanted](ada)
	w.run(w.process())
	w.shows(ada, want[!wanted])
	if sets, clears := w.sent("setPresence"), w.sent("clearPresence"); sets+clears > 6 {
		w.t.Errorf("%d sets and %d clears", sets, clears)
	}
	if w.t.Failed() {
		w.t.Logf("killed at step %d", steps)
	}
	return killed && !w.t.Failed()
}

func TestWhoLosesTheLeaseSendsAndStoresNothing(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.teams.Inject(sim.Fault{Kind: sim.Latency, Path: string(ada), Milliseconds: 4000, Count: 1})
	w.talks(ada)
	done := make(chan error)
	go func() { done <- f.Run(t.Context(), w.wakeup()) }()
	w.eventually("the call is under way", func() bool { return w.session(ada).Call.Open })
	before := w.session(ada)
	for {
		row := w.writer()
		row.Holder, row.Until = "another", w.clock().Add(time.Minute)
		if _, err := (storage.Written{Storage: w.storage}).SaveWriter(t.Context(), w.tenant, row); err == nil {
			break
		}
	}
	if err := <-done; err != nil {
		t.Errorf("losing the lease is no fault: %v", err)
	}
	if after := w.session(ada); !after.Call.Open || after.Call.At != before.Call.At {
		t.Errorf("session = %+v", after)
	}
	if row := w.writer(); row.Holder != "another" {
		t.Errorf("writer = %+v", row)
	}
}

func TestAStorageFaultIsReturnedAndWhatIsKnownForgotten(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.talks(ada)
	w.run(f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.hangsUp(ada)
	if err := f.Run(ctx, w.wakeup()); err == nil {
		t.Error("a fault was swallowed: the wake-up would be lost")
	}
	w.run(f)
	w.shows(ada, free)
}

func TestTwoWritersOnTheSameSessionsNeverBothStore(t *testing.T) {
	w := newWorld(t)
	ada, first, second := w.hire(), w.process(), w.process()
	for range 6 {
		w.talks(ada)
		w.hangsUp(ada)
		w.talks(ada)
		var wg sync.WaitGroup
		for _, f := range []*presenceset.Function{first, second} {
			wg.Go(func() { w.run(f) })
		}
		wg.Wait()
		w.shows(ada, busy)
		w.hangsUp(ada)
		for _, f := range []*presenceset.Function{second, first} {
			wg.Go(func() { w.run(f) })
		}
		wg.Wait()
		w.shows(ada, free)
	}
	w.calls(6, 6)
}

// stalling is storage whose steps are slow once.
type stalling struct {
	storage.Written
	once           sync.Once
	stalled, stall chan struct{}
}

func (s *stalling) Store(ctx context.Context, tenant string, steps int64, c session.Commit) (int64, error) {
	s.once.Do(func() { close(s.stalled); <-s.stall })
	return s.Written.Store(context.WithoutCancel(ctx), tenant, steps, c)
}

func TestAStepOfAWriterThatLostTheLeaseDoesNotStopTheNextOne(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.hire(), w.hire()
	w.talks(ada)
	ctx, cancel := context.WithCancel(t.Context())
	old := w.process()
	s := &stalling{Written: storage.Written{Storage: w.storage}, stalled: make(chan struct{}), stall: make(chan struct{})}
	old.Written = s
	gone := make(chan struct{})
	go func() { _ = old.Run(ctx, w.wakeup()); close(gone) }()
	<-s.stalled
	cancel()
	w.pass(6 * time.Second)
	// The next one has read the sessions when the old one's step lands.
	next := w.process()
	next.Written = &landing{Written: storage.Written{Storage: w.storage}, land: func() { close(s.stall); <-gone }}
	w.talks(bob)
	w.run(next)
	w.shows(ada, busy)
	w.shows(bob, busy)
	if w.due() != 0 {
		t.Error("something is due")
	}
}

// landing is storage in which something happens before its first step.
type landing struct {
	storage.Written
	once sync.Once
	land func()
}

func (l *landing) Store(ctx context.Context, tenant string, steps int64, c session.Commit) (int64, error) {
	l.once.Do(l.land)
	return l.Written.Store(ctx, tenant, steps, c)
}

// sluggish is storage in which a step takes so long that the lease is about to end.
type sluggish struct {
	storage.Written
	w    *world
	once sync.Once
}

func (s *sluggish) Store(ctx context.Context, tenant string, steps int64, c session.Commit) (int64, error) {
	next, err := s.Written.Store(ctx, tenant, steps, c)
	s.once.Do(func() { s.w.pass(4700 * time.Millisecond) })
	return next, err
}

// watchful is Graph that is only called while the lease lasts.
type watchful struct {
	presenceset.Graph
	w *world
}

func (g watchful) SetPresence(ctx context.Context, token secret.Text, user presence.UserID, id string, pair presence.Settable, lasts presence.Lifetime) error {
	if left := g.w.writer().Until.Sub(g.w.clock()); left < 500*time.Millisecond {
		g.w.t.Errorf("called %s before the lease ends", left)
	}
	return g.Graph.SetPresence(ctx, token, user, id, pair, lasts)
}

func TestNothingIsSentShortlyBeforeTheLeaseEnds(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	f.Written, f.Graph = &sluggish{Written: storage.Written{Storage: w.storage}, w: w}, watchful{w.graph, w}
	w.talks(ada)
	w.run(f)
	w.pass(time.Minute) // on a busy machine the lease was lost, and its intent has to settle
	w.run(f)
	w.calls(1, 0)
	w.shows(ada, busy)
}

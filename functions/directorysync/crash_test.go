package directorysync_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"procallteams/internal/host"
)

// Killed at every step of storage and Graph, a process loses nothing: the next one
// ends with what Entra holds.
func TestAProcessMayBeKilledAtEveryStep(t *testing.T) {
	for step := 1; ; step++ {
		w := newWorld(t)
		users := w.entra.AddMembers(10)
		if step%2 == 0 { // there is something to change already
			w.minute()
			w.entra.Disable(users[0].ID)
			w.entra.AddMembers(5)
			w.restart()
		}
		ctx, kill := context.WithCancel(t.Context())
		var left atomic.Int64
		left.Store(int64(step+1) / 2)
		did := func() {
			if left.Add(-1) == 0 {
				kill()
			}
		}
		w.wire.OnResponse(func(string, *http.Request, int) { did() })
		w.entra.OnAnswer(func(string) { did() })
		w.pass(time.Minute)
		err := w.sync.Run(ctx, host.Tick{})
		w.wire.OnResponse(nil)
		w.entra.OnAnswer(func(string) {})
		survived := left.Load() > 0
		kill()
		w.restart()
		w.minute()
		w.minute()
		w.wantAsInEntra()
		if removed, err := w.storage.SweepDirectories(t.Context(), w.tenant, w.now().Add(1000*time.Hour)); err != nil || removed > 2 {
			t.Errorf("step %d: %d blobs left behind, %v", step, removed, err)
		}
		if t.Failed() {
			t.Fatalf("killed at step %d: %v", step, err)
		}
		if survived && step%2 == 0 {
			if step < 12 {
				t.Errorf("a run has %d steps only", step/2)
			}
			return
		}
	}
}

func TestTwoProcessesAtOnceEndWithOneTruth(t *testing.T) {
	w := newWorld(t)
	w.entra.AddMembers(30)
	first := w.sync
	w.restart()
	second := w.sync
	for round := range 6 {
		w.pass(time.Minute)
		var both errgroup.Group
		both.Go(func() error { return first.Run(t.Context(), host.Tick{}) })
		both.Go(func() error { return second.Run(t.Context(), host.Tick{}) })
		if err := both.Wait(); err != nil {
			t.Fatal(err)
		}
		w.wantAsInEntra()
		w.entra.AddMembers(round)
	}
	w.minute()
	w.wantAsInEntra()
}

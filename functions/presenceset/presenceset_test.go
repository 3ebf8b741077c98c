package presenceset_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	sim "procallteams/dev/graph"
	"procallteams/internal/calls"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

const (
	free = "Available/Available"
	busy = "Busy/InACall"
)

func TestACallShowsInTeamsAndEnds(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.run(f) // nothing is due
	w.calls(0, 0)
	w.talks(ada)
	w.run(f)
	w.shows(ada, busy)
	if s := w.session(ada); !s.Call.Held || s.Call.Expires.Sub(w.clock()) < 9*time.Minute || s.Last.Status != 200 {
		t.Errorf("session = %+v", s)
	}
	if row := w.writer(); row.Held != 1 || row.Holder != "" || !row.Until.IsZero() || row.LastWrite.IsZero() || row.Error != "" {
		t.Errorf("writer = %+v", row)
	}
	if w.teams.Sessions(app)[string(ada)].Activity != "InACall" {
		t.Error("the session's id is not the client id")
	}
	w.hangsUp(ada)
	w.run(f)
	w.shows(ada, free)
	w.calls(1, 1)
	if w.due() != 0 {
		t.Error("something is due")
	}
	// The row is kept for a while, and then forgotten.
	w.pass(session.KeepTime + time.Minute)
	w.turn(f)
	if s := w.session(ada); !s.Call.At.IsZero() {
		t.Errorf("session = %+v", s)
	}
	w.turn(f)
	w.calls(1, 1)
}

func TestABurstCollapsesToTheLastState(t *testing.T) {
	w := newWorld(t)
	ada, bob, f := w.hire(), w.hire(), w.process()
	for range 5 {
		w.talks(ada)
		w.hangsUp(ada)
		w.hangsUp(bob)
		w.talks(bob)
	}
	w.run(f)
	w.shows(ada, free)
	w.shows(bob, busy)
	w.calls(1, 0)
}

func TestWhatComesWhileACallIsUnderWayWaitsForItsAnswer(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.teams.Inject(sim.Fault{Kind: sim.Latency, Path: "setPresence", Milliseconds: 1500, Count: 1})
	w.talks(ada)
	done := make(chan struct{})
	go func() { w.run(f); close(done) }()
	w.eventually("the intent is stored", func() bool { return w.session(ada).Call.Open })
	w.hangsUp(ada)
	w.run(f) // the turn in progress sees to it
	<-done
	w.shows(ada, free)
	w.calls(1, 1)
}

func TestASlowCallHoldsUpNobodyElse(t *testing.T) {
	w := newWorld(t)
	slow, f := w.hire(), w.process()
	w.teams.Inject(sim.Fault{Kind: sim.Latency, Path: string(slow), Milliseconds: 6000, Count: 1})
	w.talks(slow)
	done := make(chan struct{})
	go func() { w.run(f); close(done) }()
	w.eventually("the slow call is under way", func() bool { return w.session(slow).Call.Open })
	for range 2 {
		other := w.hire()
		w.talks(other)
		w.eventually("another's call shows", func() bool { return w.shown(other) == busy })
		w.hangsUp(other)
		w.eventually("another's call ends", func() bool { return w.shown(other) == free })
	}
	w.shows(slow, free)
	<-done
	w.shows(slow, busy)
}

func TestManyAtOnceAreWrittenWithinTheBudget(t *testing.T) {
	w := newWorld(t)
	w.change(func(i *settings.Integration) { i.GraphBudget = 600; i.TeamsToProCall = settings.Everyone }) // 11 a second
	f := w.process()
	var people []presence.UserID
	for range 60 {
		id := w.hire()
		people = append(people, id)
		w.talks(id)
	}
	began := time.Now()
	w.run(f)
	took := time.Since(began)
	for _, id := range people {
		w.shows(id, busy)
	}
	w.calls(60, 0)
	if took < 3900*time.Millisecond { // 60, less the burst of 11, at 11 a second
		t.Errorf("60 calls in %s: more than the budget", took)
	}
}

func TestASecondWriterEndsAtOnceAndTakesOverAfterTheLease(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.hire(), w.hire()
	first, second := w.process(), w.process()
	taken, do := w.late("setPresence")
	w.talks(ada)
	done := make(chan struct{})
	go func() { w.run(first); close(done) }()
	<-taken
	w.talks(bob)
	w.run(second)
	select {
	case <-done:
		t.Error("the first writer has ended, so the second may have waited for it")
	default:
	}
	if w.writer().Holder == "" {
		t.Error("nobody holds the lease")
	}
	do()
	<-done
	w.shows(ada, busy)
	w.shows(bob, busy) // the first one has seen to it
	w.calls(2, 0)
	w.hangsUp(ada)
	w.run(second)
	w.hangsUp(bob)
	w.run(first)
	w.calls(2, 2)
}

func TestPauseEndsAllSessionsAndTheEndOfThePauseBringsThemBack(t *testing.T) {
	for _, how := range []string{"paused", "off"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			ada, bob, f := w.hire(), w.hire(), w.process()
			w.talks(ada)
			w.talks(bob)
			w.run(f)
			w.change(func(i *settings.Integration) {
				if i.Paused = how == "paused"; !i.Paused {
					i.ProCallToTeams = settings.Nobody
				}
			})
			w.turn(f)
			w.shows(ada, free)
			w.shows(bob, free)
			w.hangsUp(bob)
			w.run(f)
			w.change(func(i *settings.Integration) { i.Paused, i.ProCallToTeams = false, settings.Everyone })
			w.turn(f)
			w.shows(ada, busy)
			w.shows(bob, free)
			w.calls(3, 2)
		})
	}
}

func TestWhileNothingIsWrittenAWakeUpCostsOneOperation(t *testing.T) {
	w := newWorld(t)
	w.change(func(i *settings.Integration) { i.ProCallToTeams = settings.Nobody })
	f := w.process()
	w.turn(f)
	w.wire.Reset()
	for range 3 {
		w.turn(f)
	}
	if n := w.wire.Operations(); n != 3 {
		t.Errorf("%d operations in 3 turns: %v", n, w.wire.Counts())
	}
	if w.writer().Version != "" {
		t.Error("a row was written")
	}
}

func TestAVoidLeaseEndsItsSessionsOnce(t *testing.T) {
	w := newWorld(t)
	ada, bob, f := w.hire(), w.hire(), w.process()
	w.talks(ada)
	w.talks(bob)
	w.run(f)
	w.reporter("r", 1)
	w.turn(f)
	w.turn(f)
	w.shows(ada, free)
	w.shows(bob, free)
	w.calls(2, 2)
}

func TestANewEpochDoesNotFlicker(t *testing.T) {
	w := newWorld(t)
	f := w.process()
	var people []presence.UserID
	for range 5 {
		id := w.hire()
		people = append(people, id)
		w.talks(id)
	}
	w.run(f)
	for _, id := range people {
		report := calls.Report{Reporter: "r", User: "ada", Epoch: 2, Seq: 1, State: calls.Busy, Reasons: calls.Call}
		w.reportAs(id, report)
	}
	w.upsert("now-reporter-r", map[string]any{"data": `{"id":"r","epoch":2,"generation":0}`})
	w.turn(f)
	w.calls(5, 0)
}

func TestSessionsAreRenewedAtTwoThirdsAndEndWithTheBridge(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.talks(ada)
	w.run(f)
	for range 12 { // minutes
		w.pass(time.Minute)
		w.turn(f)
		w.shows(ada, busy)
	}
	w.calls(2, 0)
	if len(w.wakes) != 0 {
		t.Errorf("wake-ups for renewals: %v", w.wakes)
	}
	w.pass(11 * time.Minute) // the bridge is away
	w.shows(ada, free)
	w.turn(f)
	w.shows(ada, busy)
}

func TestWhatTheBridgeMustNotWriteIsHeldBack(t *testing.T) {
	w := newWorld(t)
	w.change(func(i *settings.Integration) { i.TeamsToProCall, i.OnlySignedIn = settings.Everyone, true })
	ada, bob, f := w.hire(), w.hire(), w.process()
	w.publish(ada, presence.OutcomeOf(presence.State{Availability: presence.Busy, Activity: presence.InACall}))
	w.publish(bob, presence.OutcomeOf(presence.State{Availability: presence.Offline, Activity: "Offline"}))
	w.talks(ada)
	w.talks(bob)
	w.run(f)
	w.calls(0, 0)
	if row := w.writer(); row.Waiting != 2 || w.due() != 0 {
		t.Errorf("writer = %+v, %d due", row, w.due())
	}
	if w.session(ada).Call.Wait != session.TeamsFirst || w.session(bob).Call.Wait != session.SignedOut {
		t.Errorf("waits: %q and %q", w.session(ada).Call.Wait, w.session(bob).Call.Wait)
	}
	available := presence.OutcomeOf(presence.State{Availability: presence.Available, Activity: "Available"})
	w.publish(ada, available)
	w.publish(bob, available)
	w.pass(time.Minute)
	w.turn(f)
	w.calls(1, 0)
	w.shows(bob, busy)
	if len(w.wakes) != 1 || w.wakes[0] < 8*time.Second || w.wakes[0] > session.Grace {
		t.Errorf("wake-ups %v; want one when the grace is over", w.wakes)
	}
	w.pass(session.Grace)
	w.run(f)
	w.shows(ada, busy)
}

// reportAs stores what is due just as it is given.
func (w *world) reportAs(id presence.UserID, report calls.Report) {
	w.t.Helper()
	w.upsertDue(id, []calls.Report{report})
}

func TestWakeUpsOfOtherTenantsOldOnesAndNonsenseDoNothing(t *testing.T) {
	w := newWorld(t)
	f := w.process()
	w.talks(w.hire())
	for _, message := range []string{"", "{", `"x"`, `{"tenant":""}`, `{"tenant":"fa8bf3dc-eca7-46b7-bad1-db199b62afc3"}`} {
		if err := f.Run(t.Context(), []byte(message)); err != nil {
			t.Errorf("Run(%q) = %v", message, err)
		}
	}
	w.calls(0, 0)
	w.run(f)
	w.wire.Reset()
	old := fmt.Sprintf(`{"tenant":%q,"at":%q}`, w.tenant, w.clock().Add(-time.Minute).UTC().Format(time.RFC3339Nano))
	if err := f.Run(t.Context(), []byte(old)); err != nil || w.wire.Operations() != 0 {
		t.Errorf("a wake-up that was served: %v, %d operations", err, w.wire.Operations())
	}
}

// TestAWakeUpThatAnInstanceTookAndLost: the listener's lease keeps it hidden for ten
// minutes, so upkeep does the work, and the wake-up finds nothing to do.
func TestAWakeUpThatAnInstanceTookAndLost(t *testing.T) {
	w := newWorld(t)
	ada, upkeep, other := w.hire(), w.process(), w.process()
	w.talks(ada)
	lost := fmt.Appendf(nil, `{"tenant":%q,"at":%q}`, w.tenant, w.clock().UTC().Format(time.RFC3339Nano))
	w.pass(time.Minute)
	w.turn(upkeep)
	w.shows(ada, busy)
	w.calls(1, 0)
	for range 9 {
		w.pass(time.Minute)
		w.turn(upkeep)
	}
	written := w.teams.Writes()
	if err := other.Run(t.Context(), lost); err != nil {
		t.Errorf("Run() = %v", err)
	}
	w.shows(ada, busy)
	if diff := cmp.Diff(written, w.teams.Writes()); diff != "" {
		t.Errorf("the wake-up that came after ten minutes wrote to Teams (-before +after):\n%s", diff)
	}
}

func TestOneReportCostsSevenOperations(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.talks(ada)
	w.run(f)
	w.hangsUp(ada)
	w.wire.Reset()
	w.run(f)
	// View, due, lease, intent, answer, lease back, due.
	if n := w.wire.Operations(); n != 7 {
		t.Errorf("%d operations: %v", n, w.wire.Counts())
	}
	w.wire.Reset()
	w.run(f)
	if n := w.wire.Operations(); n != 2 {
		t.Errorf("%d operations when nothing is due: %v", n, w.wire.Counts())
	}
}

package presenceset_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	sim "procallteams/dev/graph"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
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
	w.teams.Inject(sim.Fault{Kind: sim.Latency, Path: string(ada), Milliseconds: 2500, Count: 1})
	w.talks(ada)
	done := make(chan struct{})
	go func() { w.run(first); close(done) }()
	w.eventually("the call is under way", func() bool { return w.session(ada).Call.Open })
	w.talks(bob)
	began := time.Now()
	w.run(second)
	if time.Since(began) > 2*time.Second || w.writer().Holder == "" {
		t.Error("the second writer did not end at once")
	}
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

func Test429IsHonouredByAllProcesses(t *testing.T) {
	w := newWorld(t)
	ada, bob, first, second := w.hire(), w.hire(), w.process(), w.process()
	w.teams.Inject(sim.Fault{Kind: sim.Throttle, Path: "setPresence", RetryAfter: 20, Count: 1})
	w.talks(ada)
	w.run(first)
	if row := w.writer(); row.ErrorCode != "throttled" || row.ErrorSince.IsZero() || row.Until.After(w.clock()) {
		t.Errorf("writer = %+v", row)
	}
	if len(w.wakes) != 1 || w.wakes[0] < 18*time.Second || w.wakes[0] > 21*time.Second {
		t.Errorf("wake-ups after %v; want one after 20 s", w.wakes)
	}
	w.talks(bob)
	w.run(second)
	w.run(first)
	w.turn(second)
	w.calls(1, 0)
	w.pass(21 * time.Second)
	w.run(second)
	w.shows(ada, busy)
	w.shows(bob, busy)
	w.calls(3, 0)
	if row := w.writer(); row.Error != "" || row.ErrorCode != "" || !row.ErrorSince.IsZero() {
		t.Errorf("writer = %+v", row)
	}
}

func TestAShortPauseIsWaitedForInside(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.teams.Inject(sim.Fault{Kind: sim.Throttle, Path: "setPresence", RetryAfter: 2, Count: 1})
	w.talks(ada)
	w.run(f)
	w.shows(ada, busy)
	w.calls(2, 0)
}

func TestAGraphThatIsDownIsTriedAgain(t *testing.T) {
	for _, fault := range []sim.Fault{
		{Kind: sim.Status, Path: "Presence", Status: 503},
		{Kind: sim.Drop, Path: "Presence"},
		{Kind: sim.DropAfter, Path: "Presence"},
	} {
		t.Run(string(fault.Kind), func(t *testing.T) {
			w := newWorld(t)
			ada, bob, f := w.hire(), w.hire(), w.process()
			w.talks(bob)
			w.run(f)
			w.teams.Inject(fault)
			w.talks(ada)
			w.hangsUp(bob)
			w.run(f)
			if row := w.writer(); row.ErrorCode != "graph-unreachable" || row.Error == "" {
				t.Errorf("writer = %+v", row)
			}
			for range 5 {
				w.pass(20 * time.Second)
				w.turn(f)
			}
			if n := w.sent("setPresence") + w.sent("clearPresence"); n > 20 {
				t.Errorf("%d calls in 100 s", n)
			}
			w.teams.Clear("")
			for range 3 {
				w.pass(time.Minute)
				w.turn(f)
			}
			w.shows(ada, busy)
			w.shows(bob, free)
			if row := w.writer(); row.Error != "" || row.Due != 0 {
				t.Errorf("writer = %+v", row)
			}
		})
	}
}

func TestWhomGraphRefusesIsMarkedAndTriedAgainNextDay(t *testing.T) {
	for _, status := range []int{400, 403, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := newWorld(t)
			ada, bob, f := w.hire(), w.hire(), w.process()
			w.teams.Inject(sim.Fault{Kind: sim.Status, Path: string(ada), Status: status, Code: "InvalidArgument"})
			w.talks(bob)
			w.run(f)
			w.talks(ada)
			w.run(f)
			w.shows(bob, busy)
			s := w.session(ada)
			if s.Refusal == nil || s.Refusal.Status != status || s.Refusal.Code != "InvalidArgument" || s.Call.Held {
				t.Fatalf("session = %+v", s)
			}
			if row := w.writer(); row.Refused != 1 || row.Error != "" {
				t.Errorf("writer = %+v", row)
			}
			before, tries := w.sent("setPresence"), w.sentTo(ada)
			w.talks(ada)
			w.run(f)
			w.pass(session.RefusedFirst - time.Minute)
			w.turn(f)
			if n := w.sentTo(ada); n != tries || n > 2 {
				t.Errorf("%d calls for who is refused", n)
			}
			w.hangsUp(ada) // which does not make the next refusal the first one
			w.run(f)
			w.pass(20 * time.Minute)
			w.turn(f)
			w.talks(ada)
			w.run(f)
			if n := w.sentTo(ada); n == tries {
				t.Error("a first refusal is not doubted")
			}
			tries = w.sentTo(ada)
			w.pass(23 * time.Hour)
			w.turn(f)
			if n := w.sentTo(ada); n != tries {
				t.Errorf("%d calls for who is refused", n)
			}
			w.teams.Clear("")
			w.pass(70 * time.Minute)
			w.turn(f)
			w.shows(ada, busy)
			if s := w.session(ada); s.Refusal != nil || w.sent("setPresence") == before {
				t.Errorf("session = %+v", s)
			}
		})
	}
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	w := newWorld(t)
	var people []presence.UserID
	for range 4 {
		id := w.hire()
		people = append(people, id)
		w.talks(id)
	}
	w.tokens.value, w.tokens.renew = "bare", func(k *tokens) { k.value = "token-2" }
	w.run(w.process())
	for _, id := range people {
		w.shows(id, busy)
		if w.session(id).Refusal != nil {
			t.Error("a person was marked for the token's sake")
		}
	}
	if len(w.tokens.refused) != 1 {
		t.Errorf("told of %v", w.tokens.refused)
	}
}

func TestWithoutConsentNothingIsTriedAndTheReasonIsThere(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.talks(ada)
	w.run(f)
	w.tokens.renew = func(k *tokens) { k.err = &consent.RequiredError{Kind: consent.Admin, Cause: "it was withdrawn"} }
	w.teams.Inject(sim.Fault{Kind: sim.Status, Path: "Presence", Status: 403})
	w.hangsUp(ada)
	w.run(f)
	row := w.writer()
	if row.ErrorCode != "authorization-required" || !strings.Contains(row.Error, "withdrawn") || row.Held != 1 {
		t.Errorf("writer = %+v", row)
	}
	if s := w.session(ada); s.Refusal != nil || !s.Call.Held {
		t.Errorf("session = %+v", s)
	}
	for range 3 {
		w.pass(time.Minute)
		w.turn(f)
	}
	if w.sent("clearPresence") != 1 || w.writer().ErrorSince != row.ErrorSince {
		t.Errorf("%d tries without consent, since %s", w.sent("clearPresence"), w.writer().ErrorSince)
	}
	w.teams.Clear("")
	w.tokens.err = nil
	w.turn(f)
	w.shows(ada, free)
}

func TestATokenThatIsNotThereForTheMomentIsTold(t *testing.T) {
	w := newWorld(t)
	w.tokens.err = errors.New("Entra does not answer")
	w.talks(w.hire())
	w.run(w.process())
	if row := w.writer(); row.ErrorCode != "token-unavailable" || row.Due != 1 || row.DueSince.IsZero() || len(w.wakes) != 0 {
		t.Errorf("writer = %+v, woken %v", row, w.wakes)
	}
}

func TestClearingWhatIsNotThereIsSuccess(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.talks(ada)
	w.run(f)
	w.pass(9 * time.Minute)
	w.hangsUp(ada)
	w.pass(2 * time.Minute) // the session ended by itself, and Graph answers 404
	w.run(f)
	if s := w.session(ada); s.Call.Held || s.Last.Answer != session.Done {
		t.Errorf("session = %+v", s)
	}
	w.calls(1, 1)
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

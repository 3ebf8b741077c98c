package presenceset_test

import (
	"testing"
	"time"

	sim "procallteams/dev/graph"
	"procallteams/internal/calls"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

const quiet = "DoNotDisturb/DoNotDisturb"

func newQuietWorld(t *testing.T) *world {
	w := newWorld(t)
	w.change(func(i *settings.Integration) { i.AlsoWrite.DoNotDisturb = true })
	return w
}

func (w *world) wantsQuiet(id presence.UserID, until time.Time) {
	w.reports(id, calls.Report{State: calls.DoNotDisturb, Manual: &calls.Manual{State: calls.DoNotDisturb, Until: until}})
}

func TestADoNotDisturbIsCarriedToTeamsAndBack(t *testing.T) {
	w := newQuietWorld(t)
	ada, f := w.hire(), w.process()
	w.wantsQuiet(ada, time.Time{})
	w.run(f)
	w.shows(ada, quiet)
	if s := w.session(ada); !s.Quiet.Held || s.Call.Held {
		t.Errorf("session = %+v", s)
	}
	w.hangsUp(ada)
	w.run(f)
	w.shows(ada, free)
	if n := w.sent("clearUserPreferredPresence"); n != 1 {
		t.Errorf("cleared %d times", n)
	}
}

func TestADoNotDisturbEndsWhenItWasChosenFor(t *testing.T) {
	w := newQuietWorld(t)
	ada, f := w.hire(), w.process()
	w.wantsQuiet(ada, w.clock().Add(30*time.Minute))
	w.run(f)
	w.shows(ada, quiet)
	for range 29 {
		w.pass(time.Minute)
		w.turn(f)
	}
	w.shows(ada, quiet)
	w.pass(2 * time.Minute)
	w.shows(ada, free) // nobody had to do anything
	w.turn(f)
	w.turn(f)
	if s, c := w.sent("setUserPreferredPresence"), w.sent("clearUserPreferredPresence"); s != 1 || c != 0 {
		t.Errorf("%d sets, %d clears", s, c)
	}
}

func TestADoNotDisturbThatThePersonChoseInTeamsIsTheirs(t *testing.T) {
	w := newQuietWorld(t)
	ada, f := w.hire(), w.process()
	w.prefers(ada, "DoNotDisturb", "DoNotDisturb")
	w.wantsQuiet(ada, time.Time{})
	w.run(f)
	for range 8 { // minutes
		w.pass(time.Minute)
		w.turn(f)
	}
	w.hangsUp(ada)
	w.run(f)
	w.shows(ada, quiet)
	if s, c := w.sent("setUserPreferredPresence"), w.sent("clearUserPreferredPresence"); s != 1 || c != 0 { // the one is the person's own
		t.Errorf("%d sets, %d clears", s, c)
	}
	if n := w.sent("getPresencesByUserId"); n > 6 {
		t.Errorf("looked %d times in 8 minutes", n)
	}
}

func TestWhatThePersonChoseSinceIsNeitherClearedNorOverwritten(t *testing.T) {
	w := newQuietWorld(t)
	ada, f := w.hire(), w.process()
	w.wantsQuiet(ada, time.Time{})
	w.run(f)
	w.prefers(ada, "BeRightBack", "BeRightBack")
	// At the next renewal it is seen, and from then on left alone.
	for range 8 {
		w.pass(time.Hour)
		w.turn(f)
	}
	w.prefers(ada, "BeRightBack", "BeRightBack")
	if s := w.session(ada); !s.Quiet.Yielded || s.Quiet.Held {
		t.Errorf("session = %+v", s)
	}
	w.hangsUp(ada)
	w.run(f)
	w.shows(ada, "BeRightBack/BeRightBack")
	// A new choice in ProCall counts again.
	w.wantsQuiet(ada, time.Time{})
	w.run(f)
	w.shows(ada, quiet)
	w.prefers(ada, "Away", "Away")
	w.hangsUp(ada)
	w.run(f)
	w.shows(ada, "Away/Away")
}

func TestACallAndADoNotDisturbDoNotGetInEachOthersWay(t *testing.T) {
	w := newQuietWorld(t)
	ada, f := w.hire(), w.process()
	w.reports(ada, calls.Report{State: calls.DoNotDisturb, Reasons: calls.Call, Manual: &calls.Manual{State: calls.DoNotDisturb}})
	w.run(f)
	w.shows(ada, quiet)
	w.wantsQuiet(ada, time.Time{})
	w.run(f)
	w.shows(ada, quiet)
	w.calls(1, 1)
	w.talks(ada)
	w.run(f)
	w.shows(ada, busy)
	w.hangsUp(ada)
	w.run(f)
	w.shows(ada, free)
}

func TestARefusedDoNotDisturbSaysNothingAboutCalls(t *testing.T) {
	w := newQuietWorld(t)
	ada, f := w.hire(), w.process()
	w.teams.Inject(sim.Fault{Kind: sim.Status, Path: "setUserPreferredPresence", Status: 400, Code: "InvalidArgument"})
	w.wantsQuiet(ada, time.Time{})
	w.run(f)
	if s := w.session(ada); s.QuietRefusal == nil || s.Refusal != nil {
		t.Errorf("session = %+v", s)
	}
	w.talks(ada)
	w.run(f)
	w.shows(ada, busy)
	w.pass(time.Minute)
	w.turn(f)
	if n := w.sent("setUserPreferredPresence"); n != 1 {
		t.Errorf("%d tries", n)
	}
}

func TestADoNotDisturbOfWhichNobodyKnowsWhoseItIsEndsByItself(t *testing.T) {
	w := newQuietWorld(t)
	ada, f := w.hire(), w.process()
	w.wantsQuiet(ada, time.Time{})
	w.run(f)
	w.client(ada, "Offline", "Offline")
	w.hangsUp(ada)
	w.run(f)
	if n := w.sent("clearUserPreferredPresence"); n != 0 || !w.session(ada).Quiet.Held {
		t.Errorf("%d clears of somebody who is signed out", n)
	}
	w.client(ada, "Available", "Available")
	w.pass(2 * time.Minute)
	w.turn(f)
	w.shows(ada, free)
	if s := w.session(ada); s.Quiet.Held || s.Last.Answer != session.Done {
		t.Errorf("session = %+v", s)
	}
}

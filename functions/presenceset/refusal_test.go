package presenceset_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	sim "procallteams/dev/graph"
	"procallteams/internal/consent"
	"procallteams/internal/presence"
	"procallteams/internal/session"
)

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

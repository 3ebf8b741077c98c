package calls_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/directory"
)

// beat lets time pass as upkeep and a reporter that lives see it: a sweep every
// minute.
func (w *world) beat(l *calls.Ledger, minutes int) {
	w.t.Helper()
	for range minutes {
		w.later(time.Minute)
		w.sweep(l)
	}
}

// need is why the next report is refused.
func (w *world) need(l *calls.Ledger, epoch int64) *calls.NeedError {
	w.t.Helper()
	_, err := l.Report(w.t.Context(), w.tenant, "pbx", epoch, nil)
	refused, ok := errors.AsType[*calls.NeedError](err)
	if !ok {
		w.t.Fatalf("a report is not refused: %v", err)
	}
	return refused
}

func TestASilentReportersCallsEndOnceAndItIsTold(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 1), call("bob", 2), free("cleo", 3))
	w.sweep(l)
	w.due()
	w.beat(l, 5)
	w.wantOnThePhone("ada", "bob")
	w.beat(l, 1)
	w.wantOnThePhone()
	w.wantDue("id-ada", "id-bob")
	if generation := w.reporter().Generation; generation != 1 {
		t.Errorf("generation %d; want 1", generation)
	}
	w.beat(l, 30)
	w.wantDue()
	if generation := w.reporter().Generation; generation != 1 {
		t.Errorf("generation %d after half an hour; the end comes once", generation)
	}
	if need := w.need(l, 1); need.Need != calls.NeedExpired || need.Ended != 2 || !need.Since.Equal(start.Add(6*time.Minute)) {
		t.Errorf("told %+v", need)
	}
	receipt := w.complete(l, 1, 20, call("ada", 1))
	w.want(receipt, calls.Accepted) // the same seq, but what was said before is void
	if !receipt.Expired || receipt.ExpiredWith != 2 || receipt.Ended != 0 {
		t.Errorf("receipt %+v; want to be told of the end", receipt)
	}
	if receipt := w.complete(l, 1, 20, call("ada", 1)); receipt.Expired {
		t.Error("told twice")
	}
	w.wantOnThePhone("ada")
	w.wantDue("id-ada")
}

func TestAReporterThatIsHeardKeepsItsLease(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 1))
	for range 20 {
		w.beat(l, 1)
		if receipt := w.report(l, 1); !receipt.Until.Equal(w.reporter().Until) || receipt.Until.Sub(w.reporter().Seen) != calls.LeaseTime {
			t.Fatalf("lease until %v", receipt.Until)
		}
	}
	w.wantOnThePhone("ada")
}

func TestOneHeardThisInstantIsNotEnded(t *testing.T) {
	w := newWorld(t)
	w.complete(w.ledger(), 1, 10, call("ada", 1))
	w.sweep(w.ledger())
	w.beat(w.ledger(), 4)
	w.later(90 * time.Second)
	sweeper := w.process(w.st, func(write int, after bool) error {
		if write == 2 && !after { // the end of the lease, after the sweep's own mark
			w.report(w.ledger(), 1)
		}
		return nil
	})
	w.sweep(sweeper)
	w.wantOnThePhone("ada")
	w.report(w.ledger(), 1)
}

func TestABridgeThatWasAwayExtendsLeasesOnceInsteadOfEndingThem(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 1))
	w.sweep(l)
	w.later(time.Hour)
	w.sweep(l)
	w.wantOnThePhone("ada")
	w.beat(l, 4)
	w.wantOnThePhone("ada")
	w.report(l, 1) // it lives
	w.later(time.Hour)
	w.sweep(l)
	w.beat(l, 4)
	w.wantOnThePhone("ada")
	w.beat(l, 2)
	w.wantOnThePhone()
}

func TestABridgeThatIsAlwaysLateStillEndsADeadReportersCalls(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 1))
	for range 4 {
		w.later(3 * time.Minute)
		w.sweep(l)
	}
	w.wantOnThePhone()
}

func TestASweepMayEndAtAnyWrite(t *testing.T) {
	for write := 1; ; write++ {
		cut := false
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.people(staff(60)...)
			l := w.ledger()
			var list []calls.Entry
			for i := range 60 {
				list = append(list, call(fmt.Sprintf("x%04d", i), int64(i)))
			}
			w.complete(l, 1, 100, list...)
			w.sweep(l)
			w.due()
			w.beat(l, 5)
			w.later(time.Minute)
			err := w.process(w.st, cutAt(write, after)).Sweep(t.Context(), w.tenant)
			cut = cut || err != nil
			w.later(time.Minute)
			w.sweep(l)
			w.wantOnThePhone()
			if n := len(w.due()); n != 60 {
				t.Errorf("cut at write %d: %d people are due; want 60", write, n)
			}
			if r := w.reporter(); r.Generation != 1 || r.Ended != 60 {
				t.Errorf("cut at write %d: generation %d, ended %d; want 1, 60", write, r.Generation, r.Ended)
			}
			if n := len(w.rows()); n != 0 {
				t.Errorf("cut at write %d: %d rows are left", write, n)
			}
		}
		if !cut {
			return
		}
	}
}

func TestAReporterThatOwesAListAndDiesStillExpires(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 1), call("bob", 2))
	w.people(directory.Person{ID: "id-ada", Name: "ada.new", Standing: directory.TakesPart, Reads: true, Writes: true}, directory.Person{ID: "id-bob", Name: "bob", Standing: directory.TakesPart, Reads: true, Writes: true})
	w.sweep(l)
	w.wantOnThePhone("bob")
	if need := w.need(l, 1); need.Need != calls.NeedMissed {
		t.Errorf("need %q; want %q", need.Need, calls.NeedMissed)
	}
	w.beat(l, 6)
	w.wantOnThePhone()
	if need := w.need(l, 1); need.Need != calls.NeedExpired {
		t.Errorf("need %q; want %q", need.Need, calls.NeedExpired)
	}
}

func TestANameThatIsAnotherPersonsNowMovesTheCall(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 1))
	w.people(directory.Person{ID: "id-eve", Name: "ada", Standing: directory.TakesPart, Reads: true, Writes: true}, directory.Person{ID: "id-ada", Name: "ada.l", Standing: directory.TakesPart, Reads: true, Writes: true})
	w.due()
	w.sweep(l)
	w.wantOnThePhone()
	w.wantDue("id-ada")
	w.want(w.complete(l, 1, 11, call("ada", 1)), calls.Accepted)
	w.wantDue("id-eve")
	w.sweep(l)
	w.report(l, 1, call("ada.l", 12))
	w.wantOnThePhone("ada", "ada.l")
}

func TestWhatIsOverIsForgottenAndStillKnownForOld(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 0)
	w.sweep(l)
	w.report(l, 1, call("ada", 5))
	w.report(l, 1, free("ada", 7), call("bob", 6))
	for range 12 {
		w.beat(l, 1)
		w.report(l, 1)
	}
	rows := w.rows()
	if _, kept := rows["id-ada"]; kept || len(rows) != 1 {
		t.Errorf("%d rows are left; want bob's, who still is on the phone", len(rows))
	}
	w.want(w.report(l, 1, call("ada", 6)), calls.Outdated)
	w.want(w.report(l, 1, call("bob", 7)), calls.Accepted) // bob has a row that says better
	w.want(w.report(l, 1, call("ada", 8)), calls.Accepted)
	if _, err := l.Complete(t.Context(), w.tenant, "pbx", 1, 6, nil); err == nil {
		t.Error("a list from before the forgotten report was taken in")
	}
}

func TestABusyReporterIsAmendedAsWell(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 0, call("bob", 0))
	w.report(l, 1, free("ada", 7))
	w.sweep(l)
	w.later(11 * time.Minute)
	w.report(l, 1)
	busy := w.process(w.st, func(write int, after bool) error {
		if write == 3 && !after { // the floor, after the extension and the mark
			w.report(w.ledger(), 1)
		}
		return nil
	})
	w.sweep(busy)
	if floor := w.reporter().Floor; floor != 7 {
		t.Errorf("floor %d; want 7", floor)
	}
	if n := len(w.rows()); n != 1 {
		t.Errorf("%d rows are left; want 1", n)
	}
}

// revoke takes a reporter's credential away.
func (w *world) revoke(reporter string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revoked = map[string]time.Time{reporter: w.now}
}

func (w *world) reporters() calls.Reporters {
	w.t.Helper()
	now, err := w.st.Now(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	return now.Reporters
}

func TestAReporterThatCantComeBackIsForgotten(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 7, 10, call("ada", 1))
	if _, err := l.Complete(t.Context(), w.tenant, "other", 3, 0, []calls.Entry{call("bob", 1)}); err != nil {
		t.Fatal(err)
	}
	w.revoke("pbx")
	w.beat(l, 60)
	if len(w.reporters()) != 2 {
		t.Error("a reporter was forgotten within an hour")
	}
	if w.asked != 0 {
		t.Errorf("%d looks at credentials before anybody was silent for an hour", w.asked)
	}
	// The one that may report again stays, however long it is silent: an old epoch is
	// known for such.
	w.beat(l, 10)
	w.later(24 * 30 * time.Hour)
	w.beat(l, 2)
	left := w.reporters()
	if _, there := left["other"]; len(left) != 1 || !there {
		t.Errorf("reporters %+v; want the one that may still report", left)
	}
	if _, err := l.Complete(t.Context(), w.tenant, "other", 2, 0, nil); err == nil {
		t.Error("an old epoch was taken in")
	}
	w.wantOnThePhone()
	if rows := w.rows(); len(rows) != 0 {
		t.Errorf("rows %+v", rows)
	}
}

func TestAReporterIsForgottenAfterWhatItSaid(t *testing.T) {
	for write := 1; ; write++ {
		w := newWorld(t)
		w.complete(w.ledger(), 7, 10, call("ada", 1), call("bob", 2))
		w.due()
		w.revoke("pbx")
		// Every sweep ends at one write, and the process with it.
		for range 70 {
			w.later(time.Minute)
			_ = w.process(w.st, cutAt(write, true)).Sweep(t.Context(), w.tenant)
			if _, there := w.reporters()["pbx"]; !there && len(w.rows()) > 0 {
				t.Fatalf("cut at write %d: the reporter went before its reports", write)
			}
		}
		w.beat(w.ledger(), 70)
		if len(w.reporters()) != 0 || len(w.rows()) != 0 {
			t.Fatalf("cut at write %d: left are %v and %v", write, w.reporters(), w.rows())
		}
		w.wantDue("id-ada", "id-bob") // the writer was told of the end
		if write == 4 {
			return
		}
	}
}

func TestAReporterThatReportsThisInstantIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 7, 10)
	w.beat(l, 70)
	w.revoke("pbx")
	w.later(2 * time.Hour)
	meanwhile := w.process(w.st, func(write int, after bool) error {
		if !after && write == 2 { // about to remove the row
			w.complete(l, 8, 10, call("ada", 1))
		}
		return nil
	})
	w.sweep(meanwhile)
	if r := w.reporter(); r.Epoch != 8 {
		t.Errorf("reporter %+v; want what it said this instant", r)
	}
}

func TestSwitchingCallsOffTakesEverythingBackAndOnNeedsAList(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 1), call("bob", 2))
	w.due()
	w.switched(false)
	w.sweep(l)
	w.wantDue("id-ada", "id-bob")
	if n := len(w.rows()); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	bad := call("ada", 12)
	bad.Fault = errors.New("not understood")
	w.want(w.report(l, 1, call("ada", 11), bad), calls.NotEnabled, calls.Invalid)
	w.switched(true)
	if need := w.need(l, 1); need.Need != calls.NeedMissed {
		t.Errorf("need %q; want %q", need.Need, calls.NeedMissed)
	}
	w.want(w.complete(l, 1, 12, call("ada", 11)), calls.Accepted)
	w.wantOnThePhone("ada")
}

func TestOffAndOnBetweenTwoReportsIsNoticed(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 1))
	w.switched(false)
	w.sweep(l)
	w.switched(true)
	if need := w.need(l, 1); need.Need != calls.NeedMissed {
		t.Errorf("need %q; want %q", need.Need, calls.NeedMissed)
	}
}

func TestWhatEndedWhileCallsWereOffDoesNotComeBack(t *testing.T) {
	for name, refused := range map[string]func(*world, *calls.Ledger){
		"report": func(w *world, l *calls.Ledger) { w.want(w.report(l, 1, free("ada", 11)), calls.NotEnabled) },
		"list":   func(w *world, l *calls.Ledger) { w.want(w.complete(l, 1, 11)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l := w.ledger()
			w.complete(l, 1, 10, call("ada", 1))
			w.switched(false)
			refused(w, l)
			w.switched(true) // before anybody has swept
			w.wantOnThePhone()
			w.want(w.complete(l, 1, 12, call("ada", 12)), calls.Accepted)
			w.wantOnThePhone("ada")
			w.wantDue("id-ada")
		})
	}
}

func TestAListWhileCallsAreOffIsNotKept(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.switched(false)
	w.want(w.complete(l, 3, 10, call("ada", 1)), calls.NotEnabled)
	w.want(w.report(l, 3, call("bob", 11)), calls.NotEnabled)
	w.switched(true)
	w.wantOnThePhone()
	w.need(l, 3)
	w.want(w.complete(l, 3, 10, call("ada", 1)), calls.Accepted)
}

func TestTheCallOfWhoIsExcludedEndsWithTheNextSweepAndDoesNotComeBack(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 1), call("bob", 2))
	people := staff(0)
	people[0].Standing, people[0].Writes = directory.TakesPart, false // read still
	w.people(people...)
	w.sweep(l)
	w.wantOnThePhone("bob")
	w.want(w.complete(l, 1, 20, call("ada", 3), call("bob", 2)), calls.NotEnabled, calls.Unchanged)
	w.want(w.report(l, 1, call("ada", 21)), calls.NotEnabled)
	w.sweep(l)
	w.wantOnThePhone("bob")
}

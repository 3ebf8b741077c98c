package calls_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"procallteams/dev/azurite"
	"procallteams/internal/calls"
	"procallteams/internal/directory"
)

func TestReportsAreTakenInTheOrderOfSeq(t *testing.T) {
	w, l := newWorld(t), (*calls.Ledger)(nil)
	l = w.ledger()
	w.want(w.complete(l, 1, 10))
	w.want(w.report(l, 1, call("ada", 11)), calls.Accepted)
	w.wantDue("id-ada")
	w.want(w.report(l, 1, call("ada", 11)), calls.Unchanged)
	w.want(w.report(l, 1, free("ada", 11)), calls.Conflict)
	w.want(w.report(l, 1, free("ada", 10), call("ADA", 12)), calls.Outdated, calls.Accepted) // another spelling of the name
	w.wantDue()                                                                              // nothing that the writer could do
	w.want(w.report(l, 1, free("ada", 14)), calls.Accepted)
	w.want(w.report(l, 1, call("ada", 13)), calls.Outdated)
	w.wantDue("id-ada")
	w.wantOnThePhone()
}

func TestTheNewestOfABatchStays(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 0)
	w.want(w.report(l, 1, free("ada", 3), call("ada", 2), call("bob", 1), call("bob", 1), free("bob", 1)),
		calls.Accepted, calls.Accepted, calls.Accepted, calls.Unchanged, calls.Conflict)
	w.wantOnThePhone("bob")
	w.wantDue("id-ada", "id-bob") // a short call: the writer may find that nothing is to be done
}

func TestItemErrorsSpoilNoOtherItem(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 0)
	bad := call("cleo", 2)
	bad.Fault = errors.New("not understood")
	w.want(w.report(l, 1, call("ada", 1), bad, call("nobody", 3), call("dan", 4), call("twin", 5), call("cleo", -1), call("bob", 6)),
		calls.Accepted, calls.Invalid, calls.UnknownUser, calls.DisabledUser, calls.AmbiguousUser, calls.Invalid, calls.Accepted)
	w.wantOnThePhone("ada", "bob")
}

func TestTimesInTheFutureBecomeNow(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 0)
	far, near := call("ada", 1), call("bob", 2)
	far.Item.Since, near.Item.Since = start.Add(time.Hour), start.Add(time.Minute)
	receipt := w.report(l, 1, far, near)
	w.want(receipt, calls.Accepted, calls.Accepted)
	if receipt.Outcomes[0].Detail == "" || receipt.Outcomes[1].Detail != "" {
		t.Errorf("remarks %q and %q; want one for the hour only", receipt.Outcomes[0].Detail, receipt.Outcomes[1].Detail)
	}
	for id, person := range w.rows() {
		if since := person.Reports[0].Since; !since.Equal(start) {
			t.Errorf("%s: since %v; want %v", id, since, start)
		}
	}
}

func TestAStateThatGoesOnKeepsItsBeginningAndIsNoWork(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 0, call("ada", -1))
	w.wantDue("id-ada")
	w.later(3 * time.Minute)
	w.want(w.report(l, 1, call("ada", 5)), calls.Accepted)
	w.want(w.complete(l, 2, 0, call("ada", -1)), calls.Accepted)
	w.wantDue()
	if since := w.rows()["id-ada"].Reports[0].Since; !since.Equal(start) {
		t.Errorf("since %v; want %v", since, start)
	}
}

func TestNothingIsTakenInBeforeTheFirstCompleteList(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	_, err := l.Report(t.Context(), w.tenant, "pbx", 1, []calls.Entry{call("ada", 1)})
	if refused, ok := errors.AsType[*calls.EpochError](err); !ok || !refused.Never {
		t.Errorf("a report in an epoch that was never opened: %v", err)
	}
	if rows := w.rows(); len(rows) != 0 {
		t.Errorf("%d rows were stored", len(rows))
	}
}

func TestACompleteListEndsWhatItDoesNotNameUpToAsOf(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10, call("ada", 8), call("bob", 9))
	w.report(l, 1, call("cleo", 25)) // overtakes the list
	w.due()
	receipt := w.complete(l, 1, 20, call("ada", 8))
	w.want(receipt, calls.Unchanged)
	if receipt.Ended != 1 {
		t.Errorf("ended %d; want 1", receipt.Ended)
	}
	w.wantOnThePhone("ada", "cleo")
	w.wantDue("id-bob")
	w.want(w.report(l, 1, call("bob", 19)), calls.Outdated) // it came late, and the list knows better
	w.want(w.report(l, 1, call("bob", 21)), calls.Accepted)
}

func TestAReportThatIsOlderThanTheListMakesNoCallOfAPersonWithoutOne(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 100)
	w.want(w.report(l, 1, call("ada", 90)), calls.Outdated)
	w.wantOnThePhone()
}

func TestAListThatIsOlderThanWhatIsKnownIsRefused(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 5, 200)
	_, err := l.Complete(t.Context(), w.tenant, "pbx", 5, 100, []calls.Entry{call("ada", 90)})
	if refused, ok := errors.AsType[*calls.ListError](err); !ok || refused.InForce != 200 {
		t.Errorf("an older list of the epoch: %v", err)
	}
	_, err = l.Complete(t.Context(), w.tenant, "pbx", 4, 300, []calls.Entry{call("ada", 290)})
	if refused, ok := errors.AsType[*calls.EpochError](err); !ok || !refused.Complete || refused.InForce != 5 {
		t.Errorf("a list of an older epoch: %v", err)
	}
	w.wantOnThePhone()
}

func TestSeqMayBeginAnewInANewEpochOnly(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 500, call("ada", 400))
	w.report(l, 1, call("bob", 501))
	// UCServer restarted, and its connector forgot to open an epoch.
	receipt := w.report(l, 1, free("ada", 1), call("cleo", 2), free("bob", 3))
	w.want(receipt, calls.Outdated, calls.Outdated, calls.Outdated)
	for _, o := range receipt.Outcomes {
		if o.Detail == "" {
			t.Error("nothing tells the connector what is wrong")
		}
	}
	w.want(w.complete(l, 2, 3, call("cleo", 2)), calls.Accepted)
	w.want(w.report(l, 2, call("ada", 4)), calls.Accepted)
	w.wantOnThePhone("ada", "cleo")
}

func TestANewEpochSupersedesReportsOfTheOldOne(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 10)
	w.complete(l, 2, 0)
	for _, epoch := range []int64{1, 3} {
		_, err := l.Report(t.Context(), w.tenant, "pbx", epoch, []calls.Entry{call("ada", 11)})
		if refused, ok := errors.AsType[*calls.EpochError](err); !ok || refused.InForce != 2 || refused.Never {
			t.Errorf("a report in epoch %d: %v", epoch, err)
		}
	}
	w.wantOnThePhone()
}

func TestARestartOfUCServerMakesNoCallFlicker(t *testing.T) {
	w := newWorld(t)
	w.people(staff(150)...)
	l := w.ledger()
	var old, renewed []calls.Entry
	var goOn []string
	for i := range 150 {
		name := fmt.Sprintf("x%04d", i)
		old = append(old, call(name, int64(i)))
		if i%3 != 0 {
			renewed = append(renewed, call(name, int64(i)))
			goOn = append(goOn, name)
		}
	}
	w.complete(l, 1, 1000, old...)
	if n := len(w.due()); n != 150 {
		t.Fatalf("%d people are due; want 150", n)
	}
	for write, cuts := 1, 0; ; write++ {
		for _, after := range []bool{false, true} {
			_, err := w.process(w.st, cutAt(write, after)).Complete(t.Context(), w.tenant, "pbx", 2, 1000, renewed)
			still := map[string]bool{}
			for _, name := range w.onThePhone() {
				still[name] = true
			}
			for _, name := range goOn {
				if !still[name] {
					t.Fatalf("cut at write %d: %s is off the phone for a moment", write, name)
				}
			}
			if err != nil {
				cuts++
			} else {
				w.wantOnThePhone(goOn...)
				if n := len(w.due()); n != 50 {
					t.Errorf("%d people are due; want the 50 that ended", n)
				}
				if cuts < 4 {
					t.Errorf("only %d cuts: the test saw no crash between two steps", cuts)
				}
				return
			}
		}
	}
}

func TestACrashBetweenStoreAndWakeUpIsMadeGoodByTheRepetition(t *testing.T) {
	w := newWorld(t)
	w.complete(w.ledger(), 1, 0)
	before := w.wakes.Load()
	if _, err := w.process(w.st, cutAt(1, true)).Report(t.Context(), w.tenant, "pbx", 1, []calls.Entry{call("ada", 1)}); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if w.wakes.Load() != before {
		t.Fatal("the process lived on")
	}
	w.want(w.report(w.ledger(), 1, call("ada", 1)), calls.Unchanged)
	if w.wakes.Load() != before+1 {
		t.Error("nobody woke the writer")
	}
	w.later(2 * time.Minute)
	w.report(w.ledger(), 1, call("ada", 1))
	if w.wakes.Load() != before+1 {
		t.Error("an old report woke the writer")
	}
}

func TestTwoReportersSpeakForThemselves(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 0, call("ada", 0))
	if _, err := l.Complete(t.Context(), w.tenant, "other", 77, 0, []calls.Entry{call("ada", 0)}); err != nil {
		t.Fatal(err)
	}
	w.report(l, 1, free("ada", 1))
	w.wantOnThePhone("ada")
	if _, err := l.Complete(t.Context(), w.tenant, "other", 77, 1, nil); err != nil {
		t.Fatal(err)
	}
	w.wantOnThePhone()
}

func TestNobodysPeopleIsNotEverybodyUnknown(t *testing.T) {
	w := newWorld(t)
	w.ref = directory.Ref{}
	if _, err := w.ledger().Complete(t.Context(), w.tenant, "pbx", 1, 0, []calls.Entry{call("ada", 0)}); !errors.Is(err, calls.ErrNoDirectory) {
		t.Errorf("a list before the people are known: %v", err)
	}
}

func TestAReportCostsFourStorageOperations(t *testing.T) {
	w := newWorld(t)
	wire, err := azurite.NewWire(azurite.ForTest(t).Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	l := w.process(open(t, wire.ConnectionString()), nil)
	w.complete(l, 1, 0)
	w.report(l, 1, call("bob", 1))
	wire.Reset()
	w.report(l, 1, call("ada", 2))
	for kind, want := range map[string]int{"table.query": 1, "table.get": 1, "table.transaction": 1, "queue.enqueue": 1} {
		if got := wire.Counts()[kind]; got != want {
			t.Errorf("%d x %s; want %d", got, kind, want)
		}
	}
	if n := wire.Operations(); n != 4 {
		t.Errorf("a report of one person costs %d operations; want 4 (%v)", n, wire.Counts())
	}
	wire.Reset()
	w.report(l, 1)
	if n := wire.Operations(); n != 2 {
		t.Errorf("a renewal costs %d operations; want 2 (%v)", n, wire.Counts())
	}
	wire.Reset()
	var group sync.WaitGroup
	for i := range int64(100) {
		group.Go(func() {
			if _, err := l.Report(t.Context(), w.tenant, "pbx", 1, []calls.Entry{call("cleo", 10+i)}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := wire.Operations(); n > 200 {
		t.Errorf("100 reports at once cost %d operations; want them stored together", n)
	}
	t.Logf("100 reports at once: %v", wire.Counts())
}

func TestADirectoryThatIsReplacedThisInstantIsLookedForAgain(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	people, asked := l.People, 0
	l.People = func(ctx context.Context, ref directory.Ref) (*directory.Index, error) {
		if asked++; asked == 1 {
			return nil, calls.ErrChanged
		}
		return people(ctx, ref)
	}
	w.complete(l, 1, 0)
	if asked != 2 {
		t.Errorf("the people were asked for %d times; want once more than usual", asked)
	}
}

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

func TestTwoIdenticalListsAtOnceAreOne(t *testing.T) {
	w := newWorld(t)
	w.people(staff(120)...)
	w.complete(w.ledger(), 1, 0, call("ada", 0))
	var list []calls.Entry
	for i := range 120 {
		list = append(list, call(fmt.Sprintf("x%04d", i), int64(i)))
	}
	var group sync.WaitGroup
	for range 2 {
		l := w.ledger() // two processes
		group.Go(func() {
			if _, err := l.Complete(t.Context(), w.tenant, "pbx", 2, 200, list); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := len(w.onThePhone()); n != 120 {
		t.Errorf("%d people are on the phone; want 120", n)
	}
	w.want(w.complete(w.ledger(), 2, 200, list[0]), calls.Unchanged)
}

// Whoever comes between the steps of another process leaves no call behind that
// nobody ends.
func TestBatchesOfTwoProcessesMayMeetBetweenAnyTwoSteps(t *testing.T) {
	var olds, news []calls.Entry
	for i := range 120 {
		olds = append(olds, call(fmt.Sprintf("x%04d", i), int64(i+1)))
		news = append(news, free(fmt.Sprintf("x%04d", i), int64(i+200)))
	}
	for name, tt := range map[string]struct {
		outer, inner func(l *calls.Ledger, w *world) error
		want         int // people on the phone
	}{
		"a list as of a later seq between the steps of old reports": {
			func(l *calls.Ledger, w *world) error {
				_, err := l.Report(w.t.Context(), w.tenant, "pbx", 1, olds)
				return err
			},
			func(l *calls.Ledger, w *world) error {
				_, err := l.Complete(w.t.Context(), w.tenant, "pbx", 1, 150, olds[:1])
				return err
			}, 1,
		},
		"a new epoch between the steps of old reports": {
			func(l *calls.Ledger, w *world) error {
				_, err := l.Report(w.t.Context(), w.tenant, "pbx", 1, olds)
				if _, ok := errors.AsType[*calls.EpochError](err); ok {
					return nil // it is told
				}
				return err
			},
			func(l *calls.Ledger, w *world) error {
				_, err := l.Complete(w.t.Context(), w.tenant, "pbx", 2, 0, olds[:1])
				return err
			}, 1,
		},
		"newer reports between the steps of a list": {
			func(l *calls.Ledger, w *world) error {
				_, err := l.Complete(w.t.Context(), w.tenant, "pbx", 1, 150, olds)
				return err
			},
			func(l *calls.Ledger, w *world) error {
				_, err := l.Report(w.t.Context(), w.tenant, "pbx", 1, news)
				return err
			}, 0,
		},
		"a newer list between the steps of an older one": {
			func(l *calls.Ledger, w *world) error {
				_, err := l.Complete(w.t.Context(), w.tenant, "pbx", 1, 150, olds)
				if _, ok := errors.AsType[*calls.ListError](err); ok {
					return nil
				}
				return err
			},
			func(l *calls.Ledger, w *world) error {
				_, err := l.Complete(w.t.Context(), w.tenant, "pbx", 1, 160, nil)
				return err
			}, 0,
		},
		"the end of the lease between the steps of a list": {
			func(l *calls.Ledger, w *world) error {
				_, err := l.Complete(w.t.Context(), w.tenant, "pbx", 1, 150, olds)
				return err
			},
			func(l *calls.Ledger, w *world) error {
				w.later(calls.LeaseTime + time.Second)
				sweeper := w.ledger()
				err := sweeper.Sweep(w.t.Context(), w.tenant) // extends, as the bridge was away
				w.later(time.Minute + calls.LeaseTime)
				return errors.Join(err, sweeper.Store.SaveSwept(w.t.Context(), w.tenant, start.Add(2*calls.LeaseTime)), sweeper.Sweep(w.t.Context(), w.tenant))
			}, 120,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for write := 1; write <= 2; write++ {
				w := newWorld(t)
				w.people(staff(120)...)
				w.complete(w.ledger(), 1, 0)
				var once sync.Once
				outer := w.process(w.st, func(n int, after bool) error {
					if n == write && after {
						once.Do(func() {
							if err := tt.inner(w.ledger(), w); err != nil {
								t.Errorf("between: %v", err)
							}
						})
					}
					return nil
				})
				if err := tt.outer(outer, w); err != nil {
					t.Errorf("after write %d: %v", write, err)
				}
				if n := len(w.onThePhone()); n != tt.want {
					t.Errorf("met after write %d: %d people are on the phone; want %d", write, n, tt.want)
				}
			}
		})
	}
}

func TestManyReportsAtOnceAreAllTakenIn(t *testing.T) {
	w := newWorld(t)
	w.people(staff(40)...)
	ledgers := []*calls.Ledger{w.ledger(), w.ledger()}
	w.complete(ledgers[0], 1, 0)
	var group sync.WaitGroup
	for i := range 40 {
		for seq := range int64(3) {
			group.Go(func() {
				entry := call(fmt.Sprintf("x%04d", i), int64(i)*3+seq+1)
				if seq == 2 && i%2 == 0 {
					entry.Item.State, entry.Item.Reasons = calls.Available, 0
				}
				receipt, err := ledgers[i%2].Report(t.Context(), w.tenant, "pbx", 1, []calls.Entry{entry})
				if err != nil {
					t.Error(err)
					return
				}
				if r := receipt.Outcomes[0]; len(receipt.Outcomes) != 1 || r.User != entry.Item.User || r.Seq != entry.Item.Seq || r.Result != calls.Accepted && r.Result != calls.Outdated {
					t.Errorf("outcomes %+v of %+v", receipt.Outcomes, entry.Item)
				}
			})
		}
	}
	group.Wait()
	if n := len(w.onThePhone()); n != 20 {
		t.Errorf("%d people are on the phone; want 20", n)
	}
}

func TestTheSameItemTwiceAtOnceIsAcceptedOnce(t *testing.T) {
	w := newWorld(t)
	w.complete(w.ledger(), 1, 0)
	var mu sync.Mutex
	count := map[calls.Result]int{}
	var group sync.WaitGroup
	for range 4 {
		l := w.ledger()
		group.Go(func() {
			receipt, err := l.Report(t.Context(), w.tenant, "pbx", 1, []calls.Entry{call("ada", 1)})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			count[receipt.Outcomes[0].Result]++
		})
	}
	group.Wait()
	if count[calls.Accepted] != 1 || count[calls.Unchanged] != 3 {
		t.Errorf("results %v; want one accepted, three unchanged", count)
	}
}

func TestAClientThatLeavesSpoilsNobodyElsesReports(t *testing.T) {
	w := newWorld(t)
	l := w.ledger()
	w.complete(l, 1, 0)
	var group sync.WaitGroup
	gone, leave := context.WithCancel(t.Context())
	defer leave()
	for i := range int64(20) {
		group.Go(func() {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = gone
			}
			_, err := l.Report(ctx, w.tenant, "pbx", 1, []calls.Entry{call("ada", i+1)})
			if err != nil && !(i%2 == 0 && errors.Is(err, context.Canceled)) {
				t.Errorf("report %d: %v", i, err)
			}
		})
		if i == 10 {
			leave()
		}
	}
	group.Wait()
	w.wantOnThePhone("ada")
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

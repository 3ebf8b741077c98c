package calls_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"procallteams/internal/calls"
)

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

package feed_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"procallteams/internal/feed"
)

func TestAWatchReadsOncePerIntervalForEverybodyAndNeverForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		w := feed.Watch[int]{Every: time.Second, Read: func(context.Context, string) (int, error) { reads++; return reads, nil }}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				for range 5 {
					if _, err := w.Get(t.Context(), "t", time.Now()); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		if reads != 5 {
			t.Errorf("%d reads for 100 waiters in 5 rounds; want 5", reads)
		}
		time.Sleep(time.Hour)
		if reads != 5 {
			t.Errorf("%d reads, although nobody asked", reads)
		}
		if v, err := w.Get(t.Context(), "t", time.Now().Add(-2*time.Hour)); v != 5 || err != nil || reads != 5 {
			t.Errorf("an old value is good enough: %d, %v", v, err)
		}
	})
}

func TestAWatchSharesFaultsAndLetsWaitersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		w := feed.Watch[int]{Every: time.Second, Read: func(ctx context.Context, tenant string) (int, error) {
			if tenant == "hangs" {
				<-ctx.Done() // its own deadline: the caller's end does not stop it
				return 0, ctx.Err()
			}
			return 0, broken
		}}
		if _, err := w.Get(t.Context(), "t", time.Now()); !errors.Is(err, broken) {
			t.Errorf("Get() = %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := w.Get(ctx, "hangs", time.Now()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Get() = %v after %v", err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

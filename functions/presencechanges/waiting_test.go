package presencechanges_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/storage"
)

func TestAWaitEndsWithTheFirstChange(t *testing.T) {
	for name, before := range map[string][]feed.Change{
		"after the newest change":       {feedtest.Busy(1)},
		"before anything was published": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.process(10 * time.Millisecond)
			w.append(before...)
			cursor := p.snapshot(nil).Cursor
			answers := make(chan answer)
			go func() {
				a, err := p.try(t.Context(), request{path: changesPath, query: "wait=25&cursor=" + cursor})
				if err != nil {
					t.Error(err)
				}
				answers <- a
			}()
			read := p.reads.Load()
			eventually(t, "the consumer waits", func() bool { return p.reads.Load() > read+3 })
			began := time.Now()
			w.append(feedtest.Free(1))
			if a := <-answers; a.status != 200 || len(a.Changes) != 1 || a.Cursor == cursor || time.Since(began) > 10*time.Second {
				t.Errorf("after %v: %d %s", time.Since(began), a.status, a.text)
			}
		})
	}
}

func TestAWaitWithoutNewsLastsAsLongAsAsked(t *testing.T) {
	w := newWorld(t)
	p := w.process(50 * time.Millisecond)
	w.append(feedtest.Busy(1))
	cursor := p.snapshot(nil).Cursor
	for _, wait := range []string{"0", "1", "2"} {
		began := time.Now()
		a := p.changes(url.Values{"cursor": {cursor}, "wait": {wait}})
		took := time.Since(began)
		seconds, err := time.ParseDuration(wait + "s")
		if err != nil {
			t.Fatal(err)
		}
		if a.status != 200 || len(a.Changes) != 0 || a.Cursor != cursor || took < seconds || took > seconds+10*time.Second {
			t.Errorf("wait=%s took %v: %d %s", wait, took, a.status, a.text)
		}
	}
}

func TestWhoIsBehindDoesNotWait(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	empty := p.snapshot(nil).Cursor
	behind := w.append(feedtest.Busy(1)).Position().Cursor()
	w.append(feedtest.Free(1))
	for _, cursor := range []string{empty, behind} {
		began := time.Now()
		if a := p.changes(url.Values{"cursor": {cursor}, "wait": {"25"}}); len(a.Changes) == 0 || time.Since(began) > 10*time.Second {
			t.Errorf("after %v: %s", time.Since(began), a.text)
		}
	}
}

func TestAFeedThatIsMadeAnewEndsAWaitWith410(t *testing.T) {
	w := newWorld(t)
	p := w.process(10 * time.Millisecond)
	w.append(feedtest.Busy(1), feedtest.Busy(2))
	f := &follower{process: p}
	f.follow()
	statuses := make(chan int)
	go func() {
		a, err := p.try(t.Context(), request{path: changesPath, query: "wait=25&cursor=" + f.cursor})
		if err != nil {
			t.Error(err)
		}
		statuses <- a.status
	}()
	read := p.reads.Load()
	eventually(t, "the consumer waits", func() bool { return p.reads.Load() > read+3 })
	w.anew(feedtest.Free(2))
	if status := <-statuses; status != 410 {
		t.Errorf("the waiting consumer is answered with %d; want 410", status)
	}
	f.follow()
	f.same(w)
	if f.gone != 1 {
		t.Errorf("the consumer was told 410 %d times; want once", f.gone)
	}
}

// anew makes the feed anew, in one step for whoever watches.
func (w *world) anew(changes ...feed.Change) {
	w.t.Helper()
	elsewhere := newWorld(w.t)
	head := elsewhere.append(changes...)
	row, err := w.st.Get(w.t.Context(), elsewhere.tenant, storage.RowFeed)
	if err == nil {
		row.Partition = w.tenant
		for entry, err := range w.st.Range(w.t.Context(), elsewhere.tenant, storage.RowEntry+head.Epoch, storage.RowEntry+head.Epoch+".") {
			if err != nil {
				w.t.Fatal(err)
			}
			entry.Partition = w.tenant
			if _, err := w.st.Insert(w.t.Context(), entry); err != nil {
				w.t.Fatal(err)
			}
		}
		err = w.st.Upsert(w.t.Context(), row)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.book = elsewhere.book
}

func TestWhoGoesAwayIsNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	p := w.process(20 * time.Millisecond)
	w.append(feedtest.Busy(1))
	cursor := p.snapshot(nil).Cursor
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := p.try(ctx, request{path: changesPath, query: "wait=25&cursor=" + cursor}); err == nil {
				t.Error("an answer came without news")
			}
		})
	}
	eventually(t, "ten consumers wait", func() bool { return p.open.Load() == 10 })
	leave()
	wg.Wait()
	eventually(t, "nothing waits for them", func() bool { return p.open.Load() == 0 })
	p.changes(url.Values{"cursor": {cursor}}) // the last read that was under way is over
	read := p.reads.Load()
	<-time.After(200 * time.Millisecond)
	if more := p.reads.Load() - read; more > 1 {
		t.Errorf("%d reads while nobody asks", more)
	}
}

func TestOneReadPerSecondServesEverybody(t *testing.T) {
	const waiters, wait = 60, 3
	w := newWorld(t)
	p := w.process(time.Second)
	w.append(feedtest.Busy(1))
	cursor := p.snapshot(nil).Cursor
	p.wire.Reset()
	read, began := p.reads.Load(), time.Now()
	var wg sync.WaitGroup
	for range waiters {
		wg.Go(func() {
			for _, query := range []string{"wait=0&cursor=", "wait=3&cursor=", "cursor="} {
				a, err := p.try(t.Context(), request{path: changesPath, query: query + cursor})
				if err != nil || a.status != 200 || a.Cursor != cursor {
					t.Errorf("answer = %d %s, %v", a.status, a.text, err)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	if took < wait*time.Second {
		t.Errorf("%d consumers waited for %v; want %d s", waiters, took, wait)
	}
	if reads, most := p.reads.Load()-read, int64(took/time.Second)+1; reads > most {
		t.Errorf("%d consumers cost %d reads in %v; want at most %d", waiters, reads, took, most)
	}
	// The gate looks at the credentials every four seconds, and nothing else is
	// asked for.
	if operations, most := p.wire.Operations(), 2*int(took/time.Second)+3; operations > most {
		t.Errorf("%d consumers cost %v in %v; want at most %d operations", waiters, p.wire.Counts(), took, most)
	}
}

func TestANewerHeadOfAnotherProcessIsHonoured(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Second)
	w.append(feedtest.Busy(1))
	p.changes(cursorOf(w.book.At())) // knows this head for the next second
	head := w.append(feedtest.Free(1))
	if a := p.changes(cursorOf(head.Position())); a.status != 200 || len(a.Changes) != 0 || a.Cursor != head.Position().Cursor() {
		t.Errorf("a cursor that another process gave out = %d %s", a.status, a.text)
	}
}

package presencechanges_test

import (
	"net/url"
	"testing"
	"time"

	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/settings"
)

// trim deletes what is older than the retention at the world's time.
func (w *world) trim() (entries int) {
	w.t.Helper()
	entries, _, err := w.st.Feed(w.tenant).Trim(w.t.Context(), w.at, settings.DefaultRetention)
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

func TestAConsumerPastRetentionIsToldSoStartsAgainAndEndsEqual(t *testing.T) {
	w := newWorld(t)
	for n := range 9 {
		w.append(feedtest.Busy(n))
	}
	away, stays := &follower{process: w.process(time.Millisecond), limit: "4"}, &follower{process: w.process(time.Millisecond), limit: "4"}
	away.follow()
	inside := away.cursor // and one in the middle of an append, below
	// Two and a half days go by, an append an hour, with a snapshot a day.
	for hour := range 60 {
		w.at = feedtest.Start.Add(time.Duration(hour) * time.Hour)
		switch hour % 6 {
		case 0:
			w.append(feedtest.Gone(hour%9, feed.Deleted))
		default:
			w.append(feedtest.Busy(hour%9), feedtest.Free((hour+4)%9))
		}
		if hour%24 == 23 {
			w.keep()
		}
		stays.follow()
	}
	if w.trim() == 0 {
		t.Fatal("nothing was old enough")
	}
	if a := away.changes(url.Values{"cursor": {inside}, "wait": {"25"}}); a.status != 410 || a.Type != "/problems/cursor-gone" {
		t.Errorf("the cursor of two days ago = %d %s", a.status, a.text)
	}
	away.follow()
	away.same(w)
	stays.follow()
	stays.same(w)
	if away.gone != 1 || away.pages < 2 || stays.gone != 0 {
		t.Errorf("410 was said %d and %d times, the new list had %d pages", away.gone, stays.gone, away.pages)
	}
}

func TestWhatWasTrimmedIsToldApartToTheChange(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	begin := p.snapshot(nil).Cursor
	w.append(feedtest.Busy(1), feedtest.Busy(2))
	w.append(feedtest.Busy(3), feedtest.Busy(4))
	w.keep()
	w.at = w.at.Add(time.Hour)
	w.append(feedtest.Free(1), feedtest.Free(2))
	w.append(feedtest.Free(3), feedtest.Free(4))
	w.at = w.at.Add(settings.DefaultRetention)
	if n := w.trim(); n != 2 {
		t.Fatalf("%d entries deleted; want 2", n)
	}
	at := func(append uint64, index uint32) string {
		return feed.Position{Epoch: w.book.At().Epoch, ID: feed.ID{Append: append, Index: index}}.Cursor()
	}
	for _, tt := range []struct {
		name, cursor  string
		status, count int
	}{
		{"the beginning, which is not kept", begin, 410, 0},
		{"the beginning of this epoch", at(0, 0), 410, 0},
		{"an append that is not kept", at(1, 2), 410, 0},
		{"inside the last append that is not kept", at(2, 1), 410, 0},
		{"its end: nothing is missing", at(2, 2), 200, 4},
		{"beyond its end", at(2, 3), 410, 0},
		{"inside an append that is kept", at(3, 1), 200, 3},
		{"its end", at(3, 2), 200, 2},
		{"beyond its end, which is kept", at(3, 3), 410, 0},
		{"inside the newest append", at(4, 1), 200, 1},
		{"the newest change", at(4, 2), 200, 0},
		{"beyond the newest change", at(4, 3), 410, 0},
	} {
		if a := p.changes(url.Values{"cursor": {tt.cursor}}); a.status != tt.status || len(a.Changes) != tt.count {
			t.Errorf("%s = %d %s; want %d with %d changes", tt.name, a.status, a.text, tt.status, tt.count)
		}
	}
}

func TestAListIsServedWhenRetentionPassedTheHeadThatAProcessKnew(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Second)
	head := w.append(feedtest.Busy(1), feedtest.Busy(2))
	p.changes(cursorOf(head.Position())) // knows this head for the next second, and no state
	w.append(feedtest.Free(1))
	w.keep()
	w.at = w.at.Add(settings.DefaultRetention + time.Hour)
	w.append(feedtest.Free(2))
	if w.trim() == 0 {
		t.Fatal("nothing was old enough")
	}
	f := &follower{process: p}
	f.follow()
	f.same(w)
	if f.gone != 0 {
		t.Error("the list led to a cursor that is gone")
	}
}

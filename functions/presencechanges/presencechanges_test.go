package presencechanges_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	sim "procallteams/dev/ucserver"
	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
)

func TestBeforeAnythingIsPublishedAnswersAreEmptyAndTheCursorLeadsOn(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	first := p.snapshot(nil)
	if first.status != 200 || first.Cursor == "" || first.Epoch != "" || len(first.Items) != 0 || first.NextPageToken != "" {
		t.Fatalf("snapshot = %s", first.text)
	}
	next := url.Values{"cursor": {first.Cursor}}
	if a := p.changes(next); a.status != 200 || a.Cursor != first.Cursor || len(a.Changes) != 0 {
		t.Errorf("changes = %s", a.text)
	}
	w.append(feedtest.Busy(1))
	if a := p.changes(next); a.status != 200 || len(a.Changes) != 1 || a.Epoch == "" {
		t.Errorf("changes after the first append = %s", a.text)
	}
}

func TestWhenEverybodyWasSwitchedOffTheStateIsEmptyAndTheFeedGoesOn(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	w.append(feedtest.Busy(1), feedtest.Free(2))
	before := p.snapshot(nil)
	w.append(feedtest.Gone(1, feed.Disabled), feedtest.Gone(2, feed.Disabled))
	if a := p.snapshot(nil); a.status != 200 || len(a.Items) != 0 || a.Epoch != before.Epoch {
		t.Errorf("snapshot = %s", a.text)
	}
	a := p.changes(url.Values{"cursor": {before.Cursor}})
	if len(a.Changes) != 2 || a.Changes[0].Type != "removed" {
		t.Errorf("changes = %s", a.text)
	}
}

// move lets the feed go on: people join, leave, change and are renamed.
func (w *world) move(random *rand.Rand) {
	n := random.IntN(30)
	name := fmt.Sprintf("renamed%d@domain.local", n)
	switch random.IntN(8) {
	case 0:
		if c, ok := w.book.Get(feedtest.User(n)); ok {
			gone := feedtest.Gone(n, feed.Unmatched)
			gone.User = c.User
			w.append(gone)
		}
	case 1:
		if c, ok := w.book.Get(feedtest.User(n)); ok && c.User != name {
			gone, back := feedtest.Gone(n, feed.Renamed), feedtest.Busy(n)
			gone.User, back.User = c.User, name
			w.append(gone, back)
		}
	default:
		var changes []feed.Change
		for _, n := range random.Perm(30)[:1+random.IntN(5)] {
			c := []feed.Change{feedtest.Busy(n), feedtest.Free(n)}[random.IntN(2)]
			if old, ok := w.book.Get(c.Entra); ok {
				c.User = old.User
			}
			changes = append(changes, c)
		}
		w.append(changes...)
	}
	if random.IntN(10) == 0 && w.book.At().Epoch != "" {
		w.keep()
	}
}

func TestPagesAndThenChangesGiveTheStateHoweverItMovesMeanwhile(t *testing.T) {
	for _, limit := range []string{"1", "3", "7", "1000", ""} {
		t.Run("limit "+limit, func(t *testing.T) {
			w := newWorld(t)
			random := rand.New(rand.NewPCG(20261125, uint64(len(limit))))
			for range 20 {
				w.move(random)
			}
			moves := 40
			f := &follower{process: w.process(time.Millisecond), limit: limit}
			f.pause = func() {
				if moves > 0 {
					moves--
					w.move(random)
				}
			}
			f.follow()
			f.same(w)
			f.pause = nil
			for range 20 {
				w.move(random)
			}
			f.follow()
			f.same(w)
			if f.gone > 0 {
				t.Errorf("the consumer was told 410 %d times", f.gone)
			}
		})
	}
}

func TestNoAnswerIsLongerThanItsLimit(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	begin := p.snapshot(nil).Cursor
	const users = 1203
	var changes []feed.Change
	for n := range users {
		changes = append(changes, feedtest.Free(n))
	}
	w.append(changes...)
	for _, tt := range []struct {
		limit string
		each  int
	}{{"", 500}, {"1000", 1000}, {"401", 401}, {"1203", 0}} {
		query := func(name, value string) url.Values {
			q := url.Values{}
			if tt.limit != "" {
				q.Set("limit", tt.limit)
			}
			if value != "" {
				q.Set(name, value)
			}
			return q
		}
		if tt.each == 0 {
			if a := p.snapshot(query("", "")); a.status != 400 {
				t.Errorf("limit %s = %d; want 400", tt.limit, a.status)
			}
			continue
		}
		var want, pages, lists []int
		for left := users; left > 0; left -= tt.each {
			want = append(want, min(left, tt.each))
		}
		for token := ""; ; {
			a := p.snapshot(query("pageToken", token))
			pages = append(pages, len(a.Items))
			if token = a.NextPageToken; token == "" {
				break
			}
		}
		for cursor := begin; ; {
			a := p.changes(query("cursor", cursor))
			if len(a.Changes) == 0 {
				break
			}
			lists, cursor = append(lists, len(a.Changes)), a.Cursor
		}
		if !slices.Equal(pages, want) || !slices.Equal(lists, want) {
			t.Errorf("limit %q: pages of %v, changes of %v; want %v", tt.limit, pages, lists, want)
		}
	}
}

func TestLongAnswersAreCompressedForWhoTakesThat(t *testing.T) {
	w := newWorld(t)
	p := w.process(time.Millisecond)
	begin := p.snapshot(nil).Cursor
	var changes []feed.Change
	for n := range 100 {
		changes = append(changes, feedtest.Busy(n))
	}
	w.append(changes...)
	for _, r := range []request{{path: snapshotPath}, {path: changesPath, query: "cursor=" + begin}} {
		lengths := map[string]int{}
		for accept, want := range map[string]string{"gzip": "gzip", "identity": "", "gzip;q=0": "", "br, gzip;q=0.5": "gzip"} {
			r.header = http.Header{"Accept-Encoding": {accept}}
			a := p.do(r)
			if got := a.header.Get("Content-Encoding"); got != want || a.status != 200 || a.header.Get("Vary") != "Accept-Encoding" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Accept-Encoding %s: %d with %v", accept, a.status, a.header)
			}
			lengths[want] = len(a.text)
		}
		if lengths["gzip"]*5 > lengths[""] {
			t.Errorf("%s: %d bytes compressed of %d", r.path, lengths["gzip"], lengths[""])
		}
	}
}

func TestTheAddressIsFoundAsTheHostFindsIt(t *testing.T) {
	p := newWorld(t).process(time.Millisecond)
	for _, path := range []string{"/api/V1/Presence", "/api/v1/presence/"} {
		if a := p.do(request{path: path}); a.status != 200 {
			t.Errorf("GET %s = %d", path, a.status)
		}
	}
}

func TestAConsumerWrittenFromTheContractEndsEqual(t *testing.T) {
	w := newWorld(t)
	p := w.process(10 * time.Millisecond)
	poller := &sim.Poller{BaseURL: p.url, Token: w.token, MinBackoff: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() { stopped <- poller.Run(ctx) }()
	for n := range 40 {
		w.append(feedtest.Busy(n%7), feedtest.Free(7+n%3))
	}
	eventually(t, "the poller holds "+strconv.Itoa(w.book.Len())+" users as they are", func() bool {
		people := poller.Inbox().View().People
		for _, person := range people {
			c, ok := w.book.Get(feedtest.User(number(person.EntraID)))
			if !ok || c.ID.String() != person.ID.String() {
				return false
			}
		}
		return len(people) == w.book.Len()
	})
	cancel()
	<-stopped
	if status := poller.Status(); status.Faults > 0 || status.Gone > 0 {
		t.Errorf("the poller met faults: %+v", status)
	}
	for _, breach := range poller.Inbox().Violations() {
		t.Errorf("breach of the contract: %s", breach)
	}
}

// number is the n of feedtest.User(n).
func number(id string) int {
	n, _ := strconv.Atoi(id[len(id)-12:])
	return n
}

package presencechanges_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	sim "procallteams/dev/ucserver"
	"procallteams/functions/presencechanges"
	"procallteams/functions/presencesnapshot"
	"procallteams/internal/access"
	"procallteams/internal/contract"
	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/poll"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// world serves both poll functions for any tenant on Azurite. The tenant of a
// call is what its bearer token says: the gate is tested with access.
type world struct {
	t      *testing.T
	st     *storage.Storage
	tenant string
	books  map[string]*feed.Book
	reads  atomic.Int64
	url    string
	// unchecked answers are as they are on the wire: compressed, or cut because
	// the client is gone.
	unchecked atomic.Bool
}

func newWorld(t *testing.T, every time.Duration) *world {
	t.Helper()
	st, err := storage.Open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, st: st, tenant: uuid.NewString(), books: map[string]*feed.Book{}}
	asOf := feedtest.Start
	feeds := poll.Feeds{
		Watch: &feed.Watch[poll.View]{Every: every, Read: func(ctx context.Context, tenant string) (poll.View, error) {
			w.reads.Add(1)
			now, err := st.Now(ctx, tenant)
			return poll.View{Head: now.Head, Freshness: poll.Freshness{AsOf: &asOf, Health: poll.Health{Status: "ok", Codes: []string{}}}}, err
		}},
		Open:  func(tenant string) feed.Reader { return st.Feed(tenant) },
		Books: &feed.Shelf{},
	}
	log := slog.New(slog.DiscardHandler)
	mux := http.NewServeMux()
	serve := func(path string, next func(http.ResponseWriter, *http.Request, access.Consumer)) {
		handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			tenant := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			next(rw, r, access.Consumer{ID: "test", Tenant: tenant})
		})
		checked := contract.Handler(t, handler)
		mux.HandleFunc(path, func(rw http.ResponseWriter, r *http.Request) {
			if w.unchecked.Load() {
				handler.ServeHTTP(rw, r)
				return
			}
			r.Header.Del("Accept-Encoding") // the contract is checked on plain answers
			checked.ServeHTTP(rw, r)
		})
	}
	serve("/api/v1/presence", presencesnapshot.Function{Feeds: feeds, Log: log}.ServeConsumer)
	serve("/api/v1/presence/changes", presencechanges.Function{Feeds: feeds, Log: log}.ServeConsumer)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *world) append(tenant string, changes ...feed.Change) feed.Head {
	w.t.Helper()
	store := w.st.Feed(tenant)
	head, err := store.Head(w.t.Context())
	if w.books[tenant] == nil {
		w.books[tenant] = feed.NewBook()
	}
	if err == nil {
		head, err = feed.Append(w.t.Context(), store, w.books[tenant], head, changes, feedtest.Start)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return head
}

// answer is what either function or a problem says.
type answer struct {
	status                int
	Epoch, Cursor         string
	NextPageToken         string
	Items, Changes        []struct{ ID, User string }
	Type, NextStep, Title string
}

func (w *world) get(method, path string, query url.Values) answer {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path+"?"+query.Encode(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.tenant)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) changes(query url.Values) answer {
	w.t.Helper()
	return w.get("GET", "/api/v1/presence/changes", query)
}

func (w *world) snapshot(query url.Values) answer {
	w.t.Helper()
	return w.get("GET", "/api/v1/presence", query)
}

func TestBeforeAnythingIsPublishedAnswersAreEmptyAndTheCursorLeadsOn(t *testing.T) {
	w := newWorld(t, time.Millisecond)
	first := w.snapshot(nil)
	if first.status != 200 || first.Cursor == "" || len(first.Items) != 0 {
		t.Fatalf("snapshot = %+v", first)
	}
	if a := w.changes(url.Values{"cursor": {first.Cursor}}); a.status != 200 || a.Cursor != first.Cursor {
		t.Errorf("changes = %+v", a)
	}
	w.append(w.tenant, feedtest.Busy(1))
	if a := w.changes(url.Values{"cursor": {first.Cursor}}); a.status != 200 || len(a.Changes) != 1 || a.Epoch == "" {
		t.Errorf("changes after the first append = %+v", a)
	}
}

func TestPagesAndChangesTogetherGiveTheState(t *testing.T) {
	w := newWorld(t, time.Millisecond)
	for n := range 25 {
		w.append(w.tenant, feedtest.Busy(n))
	}
	held := map[string]string{}
	first := w.snapshot(url.Values{"limit": {"10"}})
	page := first
	for pages := 1; ; pages++ {
		for _, item := range page.Items {
			held[item.User] = item.ID
		}
		if page.NextPageToken == "" {
			if pages != 3 {
				t.Errorf("%d pages; want 3", pages)
			}
			break
		}
		// The state moves on between two pages.
		w.append(w.tenant, feedtest.Gone(pages, feed.Disabled), feedtest.Free(20+pages))
		page = w.snapshot(url.Values{"limit": {"10"}, "pageToken": {page.NextPageToken}})
	}
	cursor := first.Cursor
	for {
		a := w.changes(url.Values{"cursor": {cursor}, "limit": {"1"}})
		if len(a.Changes) == 0 {
			if a.Cursor != cursor {
				t.Error("no changes, and another cursor")
			}
			break
		}
		id, err := feed.ParseID(a.Changes[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if have, err := feed.ParseID(held[a.Changes[0].User]); err != nil || id.Compare(have) > 0 {
			held[a.Changes[0].User] = a.Changes[0].ID
		}
		cursor = a.Cursor
	}
	for c := range w.books[w.tenant].All() {
		if held[c.User] != c.ID.String() {
			t.Errorf("%s is held as %s; want %s", c.User, held[c.User], c.ID)
		}
	}
}

func TestHostileQueriesGetAProblemAndNeverAnotherTenant(t *testing.T) {
	w := newWorld(t, time.Millisecond)
	other := uuid.NewString()
	theirs := w.append(other, feedtest.Busy(7))
	w.append(w.tenant, feedtest.Busy(1))
	mine := w.snapshot(nil)
	const path, list = "/api/v1/presence/changes", "/api/v1/presence"
	for _, tt := range []struct {
		name, method, path string
		query              url.Values
		status             int
		problem            string
	}{
		{"no cursor", "GET", path, nil, 400, "/problems/cursor-malformed"},
		{"a malformed cursor", "GET", path, url.Values{"cursor": {"x y"}}, 400, "/problems/cursor-malformed"},
		{"a cursor of 100 KB", "GET", path, url.Values{"cursor": {strings.Repeat("A", 100_000)}}, 400, "/problems/cursor-malformed"},
		{"a cursor of another tenant", "GET", path, url.Values{"cursor": {theirs.Position().Cursor()}}, 410, "/problems/cursor-gone"},
		{"a cursor beyond the head", "GET", path, url.Values{"cursor": {feed.Position{Epoch: mine.Epoch, ID: feed.ID{Append: 99, Index: 1}}.Cursor()}}, 410, "/problems/cursor-gone"},
		{"a cursor of an unknown epoch", "GET", path, url.Values{"cursor": {feed.Position{Epoch: "NOSUCH", ID: feed.ID{Append: 1, Index: 1}}.Cursor()}}, 410, "/problems/cursor-gone"},
		{"an over-long wait", "GET", path, url.Values{"cursor": {mine.Cursor}, "wait": {"26"}}, 400, "/problems/bad-request"},
		{"a wait that is no number", "GET", path, url.Values{"cursor": {mine.Cursor}, "wait": {"1s"}}, 400, "/problems/bad-request"},
		{"a limit of 0", "GET", path, url.Values{"cursor": {mine.Cursor}, "limit": {"0"}}, 400, "/problems/bad-request"},
		{"a limit of 1001", "GET", list, url.Values{"limit": {"1001"}}, 400, "/problems/bad-request"},
		{"an unknown parameter", "GET", list, url.Values{"tenant": {other}}, 400, "/problems/bad-request"},
		{"a parameter twice", "GET", list, url.Values{"limit": {"1", "2"}}, 400, "/problems/bad-request"},
		{"a made-up page token", "GET", list, url.Values{"pageToken": {"!"}}, 400, "/problems/bad-request"},
		{"POST", "POST", path, url.Values{"cursor": {mine.Cursor}}, 405, "/problems/method-not-allowed"},
		{"DELETE", "DELETE", list, nil, 405, "/problems/method-not-allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			a := w.get(tt.method, tt.path, tt.query)
			if a.status != tt.status || a.Type != tt.problem || a.NextStep == "" || a.Title == "" {
				t.Errorf("answer = %+v; want %d %s", a, tt.status, tt.problem)
			}
			if len(a.Changes)+len(a.Items) > 0 {
				t.Error("the refusal carries presences")
			}
		})
	}
}

func TestALongPollAnswersWithTheFirstChange(t *testing.T) {
	w := newWorld(t, 20*time.Millisecond)
	w.append(w.tenant, feedtest.Busy(1))
	cursor := w.snapshot(nil).Cursor
	answered := make(chan answer)
	go func() { answered <- w.changes(url.Values{"cursor": {cursor}, "wait": {"25"}}) }()
	before := w.reads.Load()
	for deadline := time.Now().Add(10 * time.Second); w.reads.Load() < before+3 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // until it waits
	}
	began := time.Now()
	w.append(w.tenant, feedtest.Free(1))
	a := <-answered
	if len(a.Changes) != 1 || time.Since(began) > 10*time.Second {
		t.Errorf("answer = %+v after %v", a, time.Since(began))
	}
}

func TestManyWaitersShareOneReadPerInterval(t *testing.T) {
	w := newWorld(t, 300*time.Millisecond)
	w.append(w.tenant, feedtest.Busy(1))
	cursor := w.snapshot(nil).Cursor
	before, began := w.reads.Load(), time.Now()
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if a := w.changes(url.Values{"cursor": {cursor}, "wait": {"1"}}); a.status != 200 || a.Cursor != cursor {
				t.Errorf("answer = %+v", a)
			}
		})
	}
	wg.Wait()
	if reads, most := w.reads.Load()-before, int64(time.Since(began)/(300*time.Millisecond))+2; reads > most {
		t.Errorf("30 waiters cost %d reads; want at most %d", reads, most)
	}
}

func TestLongAnswersAreCompressedForWhoTakesThat(t *testing.T) {
	w := newWorld(t, time.Millisecond)
	w.unchecked.Store(true)
	var changes []feed.Change
	for n := range 100 {
		changes = append(changes, feedtest.Busy(n))
	}
	w.append(w.tenant, changes...)
	for accept, want := range map[string]string{"gzip": "gzip", "identity": ""} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/api/v1/presence", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+w.tenant)
		request.Header.Set("Accept-Encoding", accept)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := response.Header.Get("Content-Encoding"); got != want || response.StatusCode != 200 {
			t.Errorf("Accept-Encoding %s: %d %q", accept, response.StatusCode, got)
		}
	}
}

func TestPastRetentionAPollerIsToldAndStartsAgain(t *testing.T) {
	w := newWorld(t, time.Millisecond)
	w.append(w.tenant, feedtest.Busy(1), feedtest.Busy(2))
	cursor := w.snapshot(nil).Cursor
	w.append(w.tenant, feedtest.Gone(2, feed.Deleted))
	head := w.append(w.tenant, feedtest.Free(1))
	store := w.st.Feed(w.tenant)
	if _, err := feed.WriteSnapshot(t.Context(), store, head, w.books[w.tenant]); err != nil {
		t.Fatal(err)
	}
	w.append(w.tenant, feedtest.Busy(3))
	if n, _, err := store.Trim(t.Context(), feedtest.Start.Add(49*time.Hour), 48*time.Hour); err != nil || n != 3 {
		t.Fatalf("%d entries deleted, %v", n, err)
	}
	if a := w.changes(url.Values{"cursor": {cursor}}); a.status != 410 {
		t.Errorf("answer = %+v; want 410", a)
	}
	if a := w.changes(url.Values{"cursor": {head.Position().Cursor()}}); a.status != 200 || len(a.Changes) != 1 {
		t.Errorf("a poller that had read everything: %+v", a)
	}
	if a := w.snapshot(nil); a.status != 200 || len(a.Items) != 2 {
		t.Errorf("snapshot = %+v", a)
	}
}

func TestAConsumerWrittenFromTheContractEndsEqual(t *testing.T) {
	w := newWorld(t, 10*time.Millisecond)
	poller := &sim.Poller{BaseURL: w.url, Token: w.tenant, Client: http.DefaultClient, MinBackoff: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() { stopped <- poller.Run(ctx) }()
	for n := range 40 {
		w.unchecked.Store(n >= 30)
		w.append(w.tenant, feedtest.Busy(n%7), feedtest.Free(7+n%3))
	}
	want := w.books[w.tenant].At()
	equal := func() bool {
		held := 0
		for _, p := range poller.Inbox().View().People {
			c, ok := w.books[w.tenant].Get(feedtest.User(number(p.EntraID)))
			if !ok || c.ID.String() != p.ID.String() {
				return false
			}
			held++
		}
		return held == w.books[w.tenant].Len()
	}
	for deadline := time.Now().Add(20 * time.Second); !equal(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the poller does not reach %v: %+v", want, poller.Inbox().View())
		}
	}
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
	n := 0
	for _, digit := range id[len(id)-12:] {
		n = n*10 + int(digit-'0')
	}
	return n
}

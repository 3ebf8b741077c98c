package presencesnapshot_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"procallteams/functions/presencesnapshot"
	"procallteams/internal/access"
	"procallteams/internal/contract"
	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/poll"
)

// page is one answer.
type page struct {
	status                int
	Cursor, NextPageToken string
	Items                 []struct{ ID, User string }
}

// process is one instance of the function with caches of its own.
func process(t *testing.T, store feed.Store) func(query url.Values) page {
	f := presencesnapshot.Function{Log: slog.New(slog.DiscardHandler), Feeds: poll.Feeds{
		Watch: &feed.Watch[poll.View]{Every: time.Second, Read: func(ctx context.Context, _ string) (poll.View, error) {
			head, err := store.Head(ctx)
			return poll.View{Head: head, Freshness: poll.Freshness{Health: poll.Health{Status: "ok", Codes: []string{}}}}, err
		}},
		Open: func(string) feed.Reader { return store }, Books: &feed.Shelf{},
	}}
	return func(query url.Values) page {
		t.Helper()
		request := httptest.NewRequest("GET", "/api/v1/presence?"+query.Encode(), nil)
		request.Header.Set("Authorization", "Bearer x")
		recorded := httptest.NewRecorder()
		contract.Handler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.ServeConsumer(w, r, access.Consumer{ID: "c", Tenant: "t"})
		})).ServeHTTP(recorded, request)
		p := page{status: recorded.Code}
		if err := json.NewDecoder(recorded.Body).Decode(&p); err != nil {
			t.Fatal(err)
		}
		return p
	}
}

func TestALaterPageIsNeverOlderThanTheFirstOnesCursor(t *testing.T) {
	store, book := &feedtest.Memory{}, feed.NewBook()
	put := func(changes ...feed.Change) {
		t.Helper()
		head, err := store.Head(t.Context())
		if err == nil {
			_, err = feed.Append(t.Context(), store, book, head, changes, feedtest.Start)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(feedtest.Busy(1), feedtest.Busy(2))
	one, two := process(t, store), process(t, store)
	two(nil) // knows this head for the next second
	put(feedtest.Free(2))

	first := one(url.Values{"limit": {"1"}})
	second := two(url.Values{"limit": {"1"}, "pageToken": {first.NextPageToken}})
	if len(second.Items) != 1 || second.Items[0].ID != "2.1" {
		t.Errorf("second page = %+v; the cursor %s stands behind change 2.1, which nobody would ever tell", second.Items, first.Cursor)
	}
}

func TestAPageTokenOfAnotherEpochOrOfNobodyBeginsAnew(t *testing.T) {
	store, book := &feedtest.Memory{}, feed.NewBook()
	head, err := feed.Append(t.Context(), store, book, feed.Head{}, []feed.Change{feedtest.Busy(1), feedtest.Busy(2)}, feedtest.Start)
	if err != nil {
		t.Fatal(err)
	}
	get := process(t, store)
	token := func(at feed.Position) string { return base64.RawURLEncoding.EncodeToString([]byte(at.Cursor() + ".x")) }
	for name, tt := range map[string]struct {
		token  string
		status int
	}{
		"another epoch":   {token(feed.Position{Epoch: "NOSUCH", ID: feed.ID{Append: 1, Index: 1}}), 410},
		"beyond the head": {token(feed.Position{Epoch: head.Epoch, ID: feed.ID{Append: 9, Index: 1}}), 410},
		"made up":         {"bWFkZSB1cA", 400},
	} {
		if p := get(url.Values{"pageToken": {tt.token}}); p.status != tt.status {
			t.Errorf("a token %s = %d; want %d", name, p.status, tt.status)
		}
	}
}

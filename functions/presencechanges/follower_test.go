package presencechanges_test

import (
	"net/http"
	"net/url"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/feed"
)

// follower is a consumer that does what the contract's five rules say and knows
// nothing else.
type follower struct {
	*process
	limit  string // of every request, empty for the default
	cursor string // empty: list first
	held   map[string]item
	gone   int // times that it was told 410
	pages  int // of the last list
	// pause is called between two requests.
	pause func()
}

// follow reads until nothing is new.
func (f *follower) follow() {
	f.t.Helper()
	for {
		if f.cursor == "" {
			f.list()
		}
		query := url.Values{"cursor": {f.cursor}}
		if f.limit != "" {
			query.Set("limit", f.limit)
		}
		a := f.changes(query)
		if a.status == http.StatusGone {
			f.gone, f.cursor = f.gone+1, ""
			continue
		}
		if a.status != http.StatusOK {
			f.t.Fatalf("changes = %d %s", a.status, a.text)
		}
		if len(a.Changes) == 0 {
			if a.Cursor != f.cursor {
				f.t.Errorf("nothing is new, and the cursor moved from %s to %s", f.cursor, a.Cursor)
			}
			return
		}
		for _, change := range a.Changes {
			f.take(change)
		}
		f.cursor = a.Cursor
		f.between()
	}
}

func (f *follower) list() {
	f.t.Helper()
	f.held, f.pages = map[string]item{}, 0
	for token := ""; ; f.between() {
		query := url.Values{}
		if f.limit != "" {
			query.Set("limit", f.limit)
		}
		if token != "" {
			query.Set("pageToken", token)
		}
		page := f.snapshot(query)
		if page.status != http.StatusOK {
			f.t.Fatalf("snapshot = %d %s", page.status, page.text)
		}
		if f.pages++; f.pages == 1 {
			f.cursor = page.Cursor
		}
		for _, change := range page.Items {
			f.take(change)
		}
		if token = page.NextPageToken; token == "" {
			return
		}
	}
}

func (f *follower) between() {
	if f.pause != nil {
		f.pause()
	}
}

func (f *follower) take(change item) {
	f.t.Helper()
	id, err := feed.ParseID(change.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	if old, ok := f.held[change.User]; ok {
		if have, err := feed.ParseID(old.ID); err != nil || id.Compare(have) <= 0 {
			return
		}
	}
	f.held[change.User] = change
}

// same compares what the follower holds with the truth.
func (f *follower) same(w *world) {
	f.t.Helper()
	held := map[string]string{}
	for user, change := range f.held {
		if change.Type != "removed" {
			held[user] = change.text
		}
	}
	if diff := cmp.Diff(w.state(), held); diff != "" {
		f.t.Errorf("the consumer holds something else (-truth +held):\n%s", diff)
	}
}

package storage

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"procallteams/dev/azurite"
	"procallteams/dev/pki"
	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/settings"
)

func TestFeedConforms(t *testing.T) {
	feedtest.Run(t, func(t *testing.T) (func() feed.Store, error) {
		s := fresh(t)
		return func() feed.Store { return s.Feed("11111111-0000-4000-8000-000000000001") }, nil
	})
}

func TestFeedConformsWithATokenCredential(t *testing.T) {
	authority, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	server, err := azurite.Start(t.Context(), azurite.Options{TLS: authority, OAuth: true, InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: authority.ClientTLS()}}
	feedtest.Run(t, func(*testing.T) (func() feed.Store, error) {
		name := "t" + strings.ToLower(rand.Text())
		s, err := open(settings.Storage{BlobEndpoint: server.BlobURL(), QueueEndpoint: server.QueueURL(), TableEndpoint: server.TableURL()},
			azurite.Credential{}, client, name, name)
		return func() feed.Store { return s.Feed("11111111-0000-4000-8000-000000000001") }, err
	})
}

func TestTenantsDoNotSeeEachOthersFeeds(t *testing.T) {
	s := fresh(t)
	ours, theirs := s.Feed("11111111-0000-4000-8000-000000000001"), s.Feed("22222222-0000-4000-8000-000000000002")
	head, err := feed.Append(t.Context(), ours, feed.NewBook(), feed.Head{}, []feed.Change{feedtest.Busy(1)}, feedtest.Start)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := theirs.Head(t.Context()); err != nil || other != (feed.Head{}) {
		t.Errorf("head of the other tenant = %+v, %v", other, err)
	}
	for entry, err := range theirs.Entries(t.Context(), head, 0, 1) {
		if err == nil {
			t.Errorf("the other tenant reads %v", entry)
		}
	}
}

// aged is a feed with one append an hour, a snapshot after the given append.
func aged(t *testing.T, s *Storage, appends, snapshotAfter int) *Feed {
	t.Helper()
	store, book, head := s.Feed("11111111-0000-4000-8000-000000000001"), feed.NewBook(), feed.Head{}
	var err error
	for n := range appends {
		if head, err = feed.Append(t.Context(), store, book, head, []feed.Change{feedtest.Busy(n)}, feedtest.Start.Add(time.Duration(n)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n+1 == snapshotAfter {
			if head, err = feed.WriteSnapshot(t.Context(), store, head, book); err != nil {
				t.Fatal(err)
			}
		}
	}
	return store
}

func TestRetentionKeepsWhatIsStillNeeded(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		appends, snapshotAfter int
		now                    time.Duration
		kept                   uint64 // first append that is left
	}{
		{"old entries under the snapshot go", 6, 5, 51 * time.Hour, 4},
		{"entries after the snapshot stay, however old", 6, 2, 1000 * time.Hour, 3},
		{"without a snapshot everything stays", 3, 0, 1000 * time.Hour, 1},
		{"the head entry stays", 3, 3, 1000 * time.Hour, 3},
		{"nothing is old", 3, 3, 48 * time.Hour, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := aged(t, fresh(t), tt.appends, tt.snapshotAfter)
			for range 2 { // once more changes nothing
				if _, _, err := store.Trim(t.Context(), feedtest.Start.Add(tt.now), 48*time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			head, err := store.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for after := range uint64(tt.appends) {
				var failed error
				for _, err := range store.Entries(t.Context(), head, after, head.Last.Append) {
					failed = err
				}
				if readable := failed == nil; readable != (after+1 >= tt.kept) {
					t.Errorf("entries after %d: %v; want those from %d on", after, failed, tt.kept)
				}
			}
			book, err := feed.Load(t.Context(), store, head)
			if err != nil || book.Len() != tt.appends {
				t.Errorf("the state has %d users, %v; want %d", book.Len(), err, tt.appends)
			}
		})
	}
}

func TestRetentionDeletesSnapshotsThatNothingPointsAt(t *testing.T) {
	s := fresh(t)
	store := aged(t, s, 2, 1)
	first, err := store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	book, err := feed.Load(t.Context(), store, first)
	if err != nil {
		t.Fatal(err)
	}
	second, err := feed.WriteSnapshot(t.Context(), store, first, book)
	if err != nil {
		t.Fatal(err)
	}
	// Blobs carry the emulator's own time.
	if _, deleted, err := store.Trim(t.Context(), time.Now(), 48*time.Hour); err != nil || deleted != 0 {
		t.Errorf("%d fresh snapshots deleted, %v", deleted, err)
	}
	if _, deleted, err := store.Trim(t.Context(), time.Now().Add(49*time.Hour), 48*time.Hour); err != nil || deleted != 1 {
		t.Errorf("%d old snapshots deleted, %v; want 1", deleted, err)
	}
	if _, err := store.Snapshot(t.Context(), first); err == nil {
		t.Error("the old snapshot is still there")
	}
	if _, err := store.Snapshot(t.Context(), second); err != nil {
		t.Errorf("the snapshot in force: %v", err)
	}
}

func TestRetentionDeletesFeedsOfOlderEpochs(t *testing.T) {
	s := fresh(t)
	store := aged(t, s, 3, 0)
	old, err := store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), store.tenant, RowFeed, ""); err != nil { // as an operator may
		t.Fatal(err)
	}
	aged(t, s, 2, 0)
	if entries, _, err := store.Trim(t.Context(), feedtest.Start.Add(1000*time.Hour), 48*time.Hour); err != nil || entries != 3 {
		t.Errorf("%d entries deleted, %v; want 3", entries, err)
	}
	for _, err := range store.Entries(t.Context(), old, 0, 3) {
		if err == nil {
			t.Error("an entry of the old epoch is still there")
		}
	}
}

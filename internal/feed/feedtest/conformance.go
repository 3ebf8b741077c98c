package feedtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/feed"
	"procallteams/internal/presence"
)

// Start is the time of the first append in these tests.
var Start = time.Date(2026, 11, 24, 3, 50, 49, 123e6, time.UTC)

// User returns the nth test user's Entra id.
func User(n int) presence.UserID {
	return presence.UserID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
}

// Busy returns a change that shows user n in a call.
func Busy(n int) feed.Change {
	return feed.Change{
		Kind: feed.Presence, Entra: User(n), User: fmt.Sprintf("user%d@domain.local", n), UCID: fmt.Sprintf("uc-%d", n),
		Outcome: presence.Outcome{Availability: presence.Busy, Activity: "InACall", Source: presence.FromTeams,
			ProCall: presence.Contribution{State: presence.ProCallBusy, Reasons: presence.CallReason}},
		Sequence: fmt.Sprintf("A%08d", n), ObservedAt: Start,
	}
}

// Free returns a change after which Teams contributes nothing for user n.
func Free(n int) feed.Change {
	c := Busy(n)
	c.Outcome = presence.Outcome{Availability: presence.Available, Activity: "Available", Source: presence.FromTeams}
	return c
}

// Gone returns the removal of user n.
func Gone(n int, reason feed.RemovedReason) feed.Change {
	return feed.Change{Kind: feed.Removed, Entra: User(n), User: fmt.Sprintf("user%d@domain.local", n), UCID: fmt.Sprintf("uc-%d", n), Reason: reason}
}

// Run tests a store; open returns a second view of the same, fresh feed each
// time it is called with the same t, as another process would have it.
func Run(t *testing.T, open func(t *testing.T) (func() feed.Store, error)) {
	each := func(name string, test func(t *testing.T, view func() feed.Store)) {
		t.Run(name, func(t *testing.T) {
			view, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			test(t, view)
		})
	}
	each("a feed begins with the first append", testBegins)
	each("what was appended is read back by another process", testReadBack)
	each("the loser of a race appends nothing", testRace)
	each("many writers at once make a feed without gaps", testManyWriters)
	each("a long list becomes several appends", testLongList)
	each("a snapshot and the entries after it give the same state", testSnapshot)
	each("a gap is told apart from the end", testGap)
	each("a snapshot of an old head changes nothing", testLateSnapshot)
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func appended(t *testing.T, store feed.Store, changes ...feed.Change) feed.Head {
	t.Helper()
	head := must[feed.Head](t)(store.Head(t.Context()))
	book := must[*feed.Book](t)(feed.Load(t.Context(), store, head))
	return must[feed.Head](t)(feed.Append(t.Context(), store, book, head, changes, Start))
}

func all(t *testing.T, store feed.Store) []feed.Change {
	t.Helper()
	head := must[feed.Head](t)(store.Head(t.Context()))
	var changes []feed.Change
	var from feed.Position
	for {
		page, next, err := feed.Read(t.Context(), store, head, from, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return changes
		}
		changes, from = append(changes, page...), next
	}
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func state(t *testing.T, store feed.Store) []feed.Change {
	t.Helper()
	book := must[*feed.Book](t)(feed.Load(t.Context(), store, must[feed.Head](t)(store.Head(t.Context()))))
	changes, _ := book.Page("", 1<<20)
	return changes
}

func testBegins(t *testing.T, view func() feed.Store) {
	store := view()
	head := must[feed.Head](t)(store.Head(t.Context()))
	same(t, "head of no feed", feed.Head{}, head)
	same(t, "changes of no feed", []feed.Change(nil), all(t, store))
	head = appended(t, store, Busy(1))
	if head.Epoch == "" || head.Last != (feed.ID{Append: 1, Index: 1}) || !head.At.Equal(Start) || head.LogAppends != 1 || head.LogBytes == 0 {
		t.Errorf("head after the first append = %+v", head)
	}
	stored := must[feed.Head](t)(view().Head(t.Context()))
	if stored.Version == "" {
		t.Error("a head that was read has no version")
	}
	stored.Version = ""
	same(t, "stored head", head, stored)
}

func testReadBack(t *testing.T, view func() feed.Store) {
	first := []feed.Change{Busy(1), Busy(2), Free(3)}
	second := []feed.Change{Gone(2, feed.Renamed), Busy(2)}
	appended(t, view(), first...)
	appended(t, view(), second...)
	want := append(append([]feed.Change{}, first...), second...)
	for i := range want {
		want[i].ID = feed.ID{Append: 1, Index: uint32(i + 1)}
		if i >= 3 {
			want[i].ID = feed.ID{Append: 2, Index: uint32(i - 2)}
		}
	}
	same(t, "changes", want, all(t, view()))
	same(t, "state", []feed.Change{want[0], want[4], want[2]}, state(t, view()))
}

func testRace(t *testing.T, view func() feed.Store) {
	appended(t, view(), Busy(1))
	old := must[feed.Head](t)(view().Head(t.Context()))
	appended(t, view(), Free(1))
	for _, version := range []string{old.Version, ""} {
		head := old
		head.Version = version
		packed, _, err := feed.Pack(head, []feed.Change{Busy(9)}, Start)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := view().Append(t.Context(), head, packed); !errors.Is(err, feed.ErrLostRace) {
			t.Errorf("append behind an old head = %v; want ErrLostRace", err)
		}
	}
	if got := all(t, view()); len(got) != 2 {
		t.Errorf("the feed holds %d changes; want 2", len(got))
	}
}

func testManyWriters(t *testing.T, view func() feed.Store) {
	const writers, each = 4, 5
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			store := view()
			for done := 0; done < each; {
				err := appendOnce(t.Context(), store, Busy(w*each+done))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, feed.ErrLostRace):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	seen := map[presence.UserID]int{}
	for i, change := range all(t, view()) {
		seen[change.Entra]++
		if want := (feed.ID{Append: uint64(i + 1), Index: 1}); change.ID != want {
			t.Errorf("change %d has id %v", i, change.ID)
		}
	}
	if len(seen) != writers*each {
		t.Errorf("%d of %d appends are there", len(seen), writers*each)
	}
}

func appendOnce(ctx context.Context, store feed.Store, change feed.Change) error {
	head, err := store.Head(ctx)
	if err != nil {
		return err
	}
	book, err := feed.Load(ctx, store, head)
	if err != nil {
		return err
	}
	_, err = feed.Append(ctx, store, book, head, []feed.Change{change}, Start)
	return err
}

// testLongList appends what can't be compressed, so that one transaction is full.
func testLongList(t *testing.T, view func() feed.Store) {
	random := rand.New(rand.NewChaCha8([32]byte{1}))
	var changes []feed.Change
	noise := make([]byte, 6000)
	for n := range 1000 { // 6 MB: at least three transactions
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		c := Busy(n)
		c.UCID = string(noise)
		changes = append(changes, c)
	}
	changes[999] = Gone(999, feed.Deleted)
	head := appended(t, view(), changes...)
	if head.LogAppends < 3 {
		t.Fatalf("%d appends; the list must not fit into two", head.LogAppends)
	}
	if changes[0].Kind != feed.Removed {
		t.Error("removals do not stand in front")
	}
	count, last := 0, feed.ID{}
	var from feed.Position
	for {
		page, next, err := feed.Read(t.Context(), view(), head, from, 600)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, c := range page {
			if c.ID.Compare(last) <= 0 || c.UCID != changes[count].UCID {
				t.Fatalf("change %v after %v differs from what was appended", c.ID, last)
			}
			last, count = c.ID, count+1
		}
		from = next
	}
	if count != 1000 {
		t.Errorf("read %d changes; want 1000", count)
	}
}

func testSnapshot(t *testing.T, view func() feed.Store) {
	appended(t, view(), Busy(1), Busy(2), Busy(3))
	head := appended(t, view(), Gone(2, feed.Disabled))
	if !feed.SnapshotDue(head) {
		t.Error("a feed without a snapshot needs one")
	}
	book := must[*feed.Book](t)(feed.Load(t.Context(), view(), head))
	before := state(t, view())
	next := must[feed.Head](t)(feed.WriteSnapshot(t.Context(), view(), head, book))
	if next.Snapshot.Append != 2 || next.LogBytes != 0 || next.LogAppends != 0 || feed.SnapshotDue(next) {
		t.Errorf("head after the snapshot = %+v", next)
	}
	same(t, "state from the snapshot", before, state(t, view()))
	appended(t, view(), Free(1))
	after := state(t, view())
	same(t, "users", 2, len(after))
	same(t, "id of the newest change", feed.ID{Append: 3, Index: 1}, after[0].ID)
}

func testGap(t *testing.T, view func() feed.Store) {
	head := appended(t, view(), Busy(1))
	for _, upTo := range []uint64{2, 5} {
		var got error
		for _, err := range view().Entries(t.Context(), head, 0, upTo) {
			got = err
		}
		if _, ok := errors.AsType[*feed.GoneError](got); !ok {
			t.Errorf("entries up to %d = %v; want a GoneError", upTo, got)
		}
	}
	other := head
	other.Epoch = "ANOTHER"
	for _, err := range view().Entries(t.Context(), other, 0, 1) {
		if _, ok := errors.AsType[*feed.GoneError](err); !ok {
			t.Errorf("entries of another epoch = %v; want a GoneError", err)
		}
	}
	other.Snapshot.Blob = "missing"
	if _, err := view().Snapshot(t.Context(), other); err == nil {
		t.Error("a snapshot that is not there was read")
	}
}

func testLateSnapshot(t *testing.T, view func() feed.Store) {
	head := appended(t, view(), Busy(1))
	book := must[*feed.Book](t)(feed.Load(t.Context(), view(), head))
	appended(t, view(), Free(1))
	if _, err := feed.WriteSnapshot(t.Context(), view(), head, book); !errors.Is(err, feed.ErrLostRace) {
		t.Errorf("snapshot of an old head = %v; want ErrLostRace", err)
	}
	stored := must[feed.Head](t)(view().Head(t.Context()))
	if stored.Snapshot.Blob != "" {
		t.Error("the head points at a snapshot of an older head")
	}
}

package feed_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/presence"
)

func TestMemoryConforms(t *testing.T) {
	feedtest.Run(t, func(*testing.T) (func() feed.Store, error) {
		store := &feedtest.Memory{}
		return func() feed.Store { return store }, nil
	})
}

func TestCursorsAreReadBackAndNothingElseIs(t *testing.T) {
	for _, p := range []feed.Position{
		{}, {"EPOCH", feed.ID{}}, {"EPOCH", feed.ID{812, 3}}, {strings.Repeat("Z", 64), feed.ID{math.MaxUint64, math.MaxUint32}},
	} {
		got, err := feed.ParseCursor(p.Cursor())
		if err != nil || got != p {
			t.Errorf("ParseCursor(%q) = %v, %v; want %v", p.Cursor(), got, err, p)
		}
	}
	good := feed.Position{"EPOCH", feed.ID{812, 3}}.Cursor()
	for name, text := range map[string]string{
		"empty": "", "text": "812.3", "padded": good + "=", "cut": good[:2], "of another alphabet": "+/+/", "with a line end": good + "\n",
		"too long": strings.Repeat("A", 5000), "of another version": "Ag" + good[2:], "with a slash": feed.Position{"a/../b", feed.ID{1, 1}}.Cursor(),
		"with a tenant's row": feed.Position{"X' or PartitionKey ne '", feed.ID{1, 1}}.Cursor(), "no epoch but a place": feed.Position{"", feed.ID{1, 1}}.Cursor(),
		"an index beyond 32 bits": "AQH_____fw", "a long form of a number": "AYAAAEE",
	} {
		if p, err := feed.ParseCursor(text); !errors.Is(err, feed.ErrMalformedCursor) {
			t.Errorf("a cursor %s: ParseCursor(%q) = %v, %v; want ErrMalformedCursor", name, text, p, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add(feed.Position{"EPOCH", feed.ID{812, 3}}.Cursor())
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := feed.ParseCursor(text); err == nil && p.Cursor() != text {
			t.Errorf("%q and %q are the same position", text, p.Cursor())
		}
	})
}

func TestIDsAreOrderedAsIntegers(t *testing.T) {
	if (feed.ID{9, 10}).Compare(feed.ID{10, 9}) >= 0 || (feed.ID{9, 10}).Compare(feed.ID{9, 9}) <= 0 {
		t.Error("ids are compared as text")
	}
	for _, text := range []string{"", "1", "1.", ".1", "01.1", "1.+1", "1.1.1", "1.4294967296", "-1.0"} {
		if id, err := feed.ParseID(text); err == nil {
			t.Errorf("ParseID(%q) = %v", text, id)
		}
	}
}

// filled is a feed of three appends: 1.1 1.2, 2.1, 3.1 3.2 3.3.
func filled(t *testing.T) (*feedtest.Memory, feed.Head) {
	t.Helper()
	store, book, head := &feedtest.Memory{}, feed.NewBook(), feed.Head{}
	var err error
	for _, changes := range [][]feed.Change{{feedtest.Busy(1), feedtest.Busy(2)}, {feedtest.Free(1)}, {feedtest.Busy(1), feedtest.Busy(3), feedtest.Free(2)}} {
		if head, err = feed.Append(t.Context(), store, book, head, changes, feedtest.Start); err != nil {
			t.Fatal(err)
		}
	}
	return store, head
}

func TestReadContinuesFromAnyPosition(t *testing.T) {
	for _, tt := range []struct {
		name       string
		from, upTo feed.ID
		forgotten  uint64
		want       string
		reason     string
	}{
		{"from the beginning", feed.ID{0, 0}, feed.ID{3, 3}, 0, "1.1 1.2 2.1 3.1", ""},
		{"from inside an append", feed.ID{1, 1}, feed.ID{3, 3}, 0, "1.2 2.1 3.1 3.2", ""},
		{"from the end of an append", feed.ID{1, 2}, feed.ID{3, 3}, 0, "2.1 3.1 3.2 3.3", ""},
		{"from inside the head entry", feed.ID{3, 1}, feed.ID{3, 3}, 0, "3.2 3.3", ""},
		{"up to the middle of an append", feed.ID{1, 2}, feed.ID{3, 2}, 0, "2.1 3.1 3.2", ""},
		{"from the end", feed.ID{3, 3}, feed.ID{3, 3}, 0, "", ""},
		{"the append itself is forgotten, and was read to its end", feed.ID{2, 1}, feed.ID{3, 3}, 2, "3.1 3.2 3.3", ""},
		{"the append itself is forgotten, and was not read to its end", feed.ID{1, 1}, feed.ID{3, 3}, 1, "", feed.GoneAncient},
		{"the next append is forgotten", feed.ID{1, 2}, feed.ID{3, 3}, 2, "", feed.GoneAncient},
		{"beyond the end", feed.ID{4, 0}, feed.ID{3, 3}, 0, "", feed.GoneAhead},
		{"an index that the append does not have", feed.ID{1, 3}, feed.ID{3, 3}, 0, "", feed.GoneAhead},
		{"an index that the head does not have", feed.ID{3, 4}, feed.ID{3, 3}, 0, "", feed.GoneAhead},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, head := filled(t)
			store.Forget(tt.forgotten)
			changes, to, err := feed.ReadUpTo(t.Context(), store, head, feed.Position{head.Epoch, tt.from}, tt.upTo, 4)
			var ids []string
			for _, c := range changes {
				ids = append(ids, c.ID.String())
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("changes = %s; want %s", got, tt.want)
			}
			if gone, ok := errors.AsType[*feed.GoneError](err); ok != (tt.reason != "") || ok && gone.Reason != tt.reason {
				t.Errorf("error = %v; want %q", err, tt.reason)
			}
			if err == nil && len(changes) > 0 && to.ID != changes[len(changes)-1].ID {
				t.Errorf("position = %v", to)
			}
		})
	}
	store, head := filled(t)
	if _, _, err := feed.Read(t.Context(), store, head, feed.Position{"OTHER", feed.ID{1, 1}}, 4); err == nil {
		t.Error("a position of another epoch was continued")
	}
}

func TestTheJSONOfAChangeIsTheContract(t *testing.T) {
	busy := feedtest.Busy(1)
	busy.ID = feed.ID{812, 3}
	gone := feedtest.Gone(1, feed.Disabled)
	gone.ID, gone.UCID = feed.ID{812, 4}, ""
	for _, tt := range []struct {
		change feed.Change
		want   string
	}{
		{busy, `{"id":"812.3","type":"presence","user":"user1@domain.local","ucId":"uc-1","entraId":"00000000-0000-4000-8000-000000000001","availability":"Busy","activity":"InACall","outOfOffice":false,"source":"teams","observedAt":"2026-11-24T03:50:49.123Z","procall":{"state":"busy","reasons":["call"],"raw":67108866,"icon":"red","label":"inCall"}}`},
		{gone, `{"id":"812.4","type":"removed","user":"user1@domain.local","entraId":"00000000-0000-4000-8000-000000000001","reason":"disabled"}`},
	} {
		got, err := tt.change.MarshalJSON()
		if err != nil || string(got) != tt.want {
			t.Errorf("MarshalJSON() = %s, %v; want %s", got, err, tt.want)
		}
	}
}

func TestASnapshotIsDueWhenTheLogOutgrewItOrADayPassed(t *testing.T) {
	at := feedtest.Start
	stored := feed.SnapshotRef{Append: 1, Blob: "b", Bytes: 100 << 10, At: at}
	for _, tt := range []struct {
		name string
		head feed.Head
		want bool
	}{
		{"no feed", feed.Head{}, false},
		{"no snapshot yet", feed.Head{At: at, LogAppends: 1, LogBytes: 10}, true},
		{"a short log", feed.Head{At: at, Snapshot: stored, LogAppends: 1, LogBytes: 100 << 10}, false},
		{"a log beyond the snapshot", feed.Head{At: at, Snapshot: stored, LogAppends: 1, LogBytes: 100<<10 + 1}, true},
		{"a log beyond a tiny snapshot", feed.Head{At: at, Snapshot: feed.SnapshotRef{Blob: "b", Bytes: 10, At: at}, LogAppends: 1, LogBytes: 64 << 10}, false},
		{"a day later", feed.Head{At: at.Add(24 * time.Hour), Snapshot: stored, LogAppends: 1, LogBytes: 1}, true},
		{"a day later, nothing happened", feed.Head{At: at.Add(24 * time.Hour), Snapshot: stored}, false},
	} {
		if got := feed.SnapshotDue(tt.head); got != tt.want {
			t.Errorf("%s: SnapshotDue = %t", tt.name, got)
		}
	}
}

func TestDamagedPartsAreErrorsNotChanges(t *testing.T) {
	packed, _, err := feed.Pack(feed.Head{}, []feed.Change{feedtest.Busy(1), feedtest.Busy(2)}, feedtest.Start)
	if err != nil {
		t.Fatal(err)
	}
	part := packed.Parts[0]
	for n := range part {
		if entry, err := feed.Unpack(feed.Entry{Append: 1}, [][]byte{part[:n]}); err == nil && n > 0 {
			t.Errorf("cut at %d: %v", n, entry.Changes)
		}
	}
	if _, _, err := feed.Pack(feed.Head{}, []feed.Change{{Kind: feed.Presence, User: strings.Repeat("x", 20<<10)}}, feedtest.Start); err == nil {
		t.Error("a change of 20 KiB was packed")
	}
}

func TestTheBookFollowsTheFeedWhileItIsRead(t *testing.T) {
	store, head := filled(t)
	var warm feed.Warm
	book, err := warm.Book(t.Context(), store, head)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			for c := range book.All() {
				if c.User == "" {
					t.Error("empty change")
				}
			}
		}
	}()
	for n := range 50 {
		if head, err = feed.Append(t.Context(), store, book, head, []feed.Change{feedtest.Busy(10 + n), feedtest.Gone(9+n, feed.Unmatched)}, feedtest.Start); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	again, err := warm.Book(t.Context(), store, head)
	if err != nil || again != book || book.Len() != 4 || book.At() != head.Position() {
		t.Errorf("book holds %d users at %v, %v; want 4 at %v", book.Len(), book.At(), err, head.Position())
	}
	if _, ok := book.Get(feedtest.User(58)); ok {
		t.Error("a removed user is still there")
	}
	other, err := feed.Load(t.Context(), store, head)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := book.Page("", 100)
	b, _ := other.Page("", 100)
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("the kept book differs from one that is loaded anew:\n%s", diff)
	}
}

func BenchmarkBookOf100000(b *testing.B) {
	var changes []feed.Change
	for n := range 100_000 {
		c := feedtest.Busy(n)
		c.User = fmt.Sprintf("vorname.nachname%05d@domain.local", n)
		c.Entra = presence.UserID(fmt.Sprintf("%08x-0000-4000-8000-%012d", n*7919, n))
		changes = append(changes, c)
	}
	store := &feedtest.Memory{}
	head, err := feed.Append(b.Context(), store, feed.NewBook(), feed.Head{}, changes, feedtest.Start)
	if err != nil {
		b.Fatal(err)
	}
	book, err := feed.Load(b.Context(), store, head)
	if err != nil {
		b.Fatal(err)
	}
	if head, err = feed.WriteSnapshot(b.Context(), store, head, book); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(head.Snapshot.Bytes), "snapshot-bytes")
	for b.Loop() {
		if book, err = feed.Load(b.Context(), store, head); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(heapOf(func() { book = nil }), "book-bytes")
}

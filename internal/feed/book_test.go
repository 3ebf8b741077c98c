package feed_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/presence"
)

// TestTheBookHoldsTheNewestChangeOfEverybody compares it with a plain map, while
// people join, leave, change, and get another name within one append.
func TestTheBookHoldsTheNewestChangeOfEverybody(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	store, book, head := &feedtest.Memory{}, feed.NewBook(), feed.Head{}
	want := map[presence.UserID]feed.Change{}
	for round := range 100 {
		var changes []feed.Change
		for range 1 + random.IntN(8) {
			n := random.IntN(30)
			switch kind := random.IntN(4); {
			case kind == 0:
				changes = append(changes, feedtest.Gone(n, feed.Disabled))
			case kind == 1:
				renamed := feedtest.Busy(n)
				renamed.User, renamed.UCID, renamed.Sequence = fmt.Sprintf("Ürsel %d", round), "uc", ""
				changes = append(changes, feedtest.Gone(n, feed.Renamed), renamed)
			case kind == 2:
				changes = append(changes, feedtest.Free(n))
			default:
				changes = append(changes, feedtest.Busy(n))
			}
		}
		var err error
		if head, err = feed.Append(t.Context(), store, book, head, changes, feedtest.Start); err != nil {
			t.Fatal(err)
		}
		for _, c := range changes { // in the order of the append
			if c.Kind == feed.Removed {
				delete(want, c.Entra)
			} else {
				want[c.Entra] = c
			}
		}
		if round%25 == 10 {
			if head, err = feed.WriteSnapshot(t.Context(), store, head, book); err != nil {
				t.Fatal(err)
			}
		}
		loaded, err := feed.Load(t.Context(), store, head)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]*feed.Book{"kept": book, "loaded": loaded} {
			if diff := cmp.Diff(inOrder(want), slices.Collect(b.All())); diff != "" || b.Len() != len(want) {
				t.Fatalf("round %d, the %s book of %d people (-want +got):\n%s", round, name, b.Len(), diff)
			}
			for n := range 30 {
				got, ok := b.Get(feedtest.User(n))
				if held, known := want[feedtest.User(n)]; ok != known || got != held {
					t.Fatalf("round %d, the %s book says of user %d: %+v, %t; want %+v", round, name, n, got, ok, held)
				}
			}
		}
	}
}

func inOrder(held map[presence.UserID]feed.Change) []feed.Change {
	var changes []feed.Change
	for _, id := range slices.Sorted(maps.Keys(held)) {
		changes = append(changes, held[id])
	}
	return changes
}

func TestAPageBeginsBehindAnId(t *testing.T) {
	store, head := filled(t) // users 1 to 3
	book, err := feed.Load(t.Context(), store, head)
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[presence.UserID]int{
		"": 3, feedtest.User(0): 3, feedtest.User(1): 2, feedtest.User(3): 0, "no id": 3,
	} {
		if page, _ := book.Page(after, 10); len(page) != want {
			t.Errorf("behind %q are %d; want %d", after, len(page), want)
		}
	}
}

// What is no object id can't be a person's, wherever it comes from.
func TestAChangeOfNobodyLeavesTheBookAsItIs(t *testing.T) {
	book, nobody := feed.NewBook(), feedtest.Busy(2)
	nobody.Entra = "ada"
	entry := feed.Entry{Epoch: "E", Append: 1, Changes: []feed.Change{feedtest.Busy(1), nobody}}
	if err := book.Apply(entry); err == nil || book.Len() != 0 || book.At() != (feed.Position{}) {
		t.Errorf("Apply() = %v, and the book has %d people", err, book.Len())
	}
	if _, ok := book.Get("ada"); ok {
		t.Error("somebody without an object id takes part")
	}
}

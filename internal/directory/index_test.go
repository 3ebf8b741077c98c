package directory_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"procallteams/internal/directory"
	"procallteams/internal/presence"
)

// TestANameIsOnePersonsInWhateverOrder looks names up among people in every order.
func TestANameIsOnePersonsInWhateverOrder(t *testing.T) {
	who := func(id, name string, standing directory.Standing, writes bool) directory.Person {
		return directory.Person{ID: presence.UserID(id), UPN: id + "@contoso.com", Name: name, Standing: standing, Writes: writes}
	}
	people := []directory.Person{
		who("ada", "Ada", directory.TakesPart, true),
		who("lower", "ada", directory.TakesPart, true), who("shout", "ADA", directory.NotEnabled, false),
		who("bob", "Bob", directory.TakesPart, true), who("bob, who left", "Bob", directory.Disabled, false), who("bob, who left too", "bob", directory.Disabled, false),
		who("cleo", "Cleo", directory.Ambiguous, false),
		who("dan", "Dan", directory.Guest, false), who("eve", "Eve", directory.NotEnabled, false),
		who("twin 1", "Twin", directory.TakesPart, true), who("twin 2", "Twin", directory.TakesPart, true), who("twin 3", "Twin", directory.Guest, false),
		who("left 1", "Left", directory.Disabled, false), who("left 2", "Left", directory.Disabled, false),
		who("nameless", "", directory.Unmatched, false), who("uwe", "Ürsel", directory.TakesPart, true),
	}
	for range 50 {
		rand.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
		index := directory.NewIndex(&directory.Directory{People: people})
		for _, row := range []struct {
			name, want string
			finding    directory.Finding
		}{
			{"Ada", "ada", directory.Found}, {"ada", "lower", directory.Found}, {"ADA", "shout", directory.NotWritten}, {"aDa", "", directory.Several},
			{"Bob", "bob", directory.Found}, {"BOB", "bob", directory.Found}, {"bob", "bob, who left too", directory.Excluded},
			{"Cleo", "cleo", directory.Several}, {"cleo", "cleo", directory.Several}, {"Dan", "dan", directory.Excluded}, {"eve", "eve", directory.NotWritten},
			{"Twin", "", directory.Several}, {"twin", "", directory.Several}, {"Left", "", directory.Several},
			{"", "", directory.Missing}, {"A", "", directory.Missing}, {"zoe", "", directory.Missing}, {"ürsel", "uwe", directory.Found},
		} {
			person, finding := index.Find(row.name)
			if string(person.ID) != row.want || finding != row.finding {
				t.Errorf("Find(%q) = %q, %d; want %q, %d", row.name, person.ID, finding, row.want, row.finding)
			}
		}
	}
}

func TestADirectoryIsReadOncePerProcess(t *testing.T) {
	reads, down := 0, errors.New("down")
	cache := directory.Cache{Read: func(_ context.Context, ref directory.Ref) (*directory.Directory, error) {
		if reads++; ref.Blob == "down" {
			return nil, down
		}
		return &directory.Directory{People: []directory.Person{{ID: "a", Name: ref.Blob}}}, nil
	}}
	get := func(blob string) *directory.Directory {
		t.Helper()
		d, err := cache.Directory(t.Context(), directory.Ref{Blob: blob})
		index, err2 := cache.Index(t.Context(), directory.Ref{Blob: blob})
		if err != nil || err2 != nil || index.Directory != d || d.People[0].Name != blob {
			t.Fatalf("%s: %v, %v, %v", blob, d, err, err2)
		}
		if again, _ := cache.Index(t.Context(), directory.Ref{Blob: blob}); again != index {
			t.Errorf("%s was indexed twice", blob)
		}
		return d
	}
	if get("one"); reads != 1 {
		t.Errorf("%d reads", reads)
	}
	if _, err := cache.Index(t.Context(), directory.Ref{Blob: "down"}); !errors.Is(err, down) {
		t.Errorf("error = %v", err)
	}
	if get("one"); reads != 2 {
		t.Errorf("%d reads; a failed one must not make the cache forget", reads)
	}
	made := &directory.Directory{People: []directory.Person{{ID: "b", Name: "made"}}}
	cache.Keep(directory.Ref{Blob: "made"}, made)
	if get("made") != made || reads != 2 {
		t.Errorf("what was made here was read, %d reads", reads)
	}
}

func BenchmarkIndexOf100000(b *testing.B) {
	d := &directory.Directory{People: make([]directory.Person, 100_000)}
	for i := range d.People {
		d.People[i] = directory.Person{Name: fmt.Sprintf("First.Last%06d@domain.local", i*7919%100_000), Standing: directory.TakesPart}
	}
	b.Run("make", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			directory.NewIndex(d)
		}
	})
	b.Run("find", func(b *testing.B) {
		index := directory.NewIndex(d)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, finding := index.Find(d.People[i*31%len(d.People)].Name); finding == directory.Missing {
				b.Fatal("missing")
			}
		}
	})
}

package storage

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/presence"
	"procallteams/internal/session"
)

// held is a session that tells n.
func held(id presence.UserID, n int) session.Session {
	return session.Session{User: id, Last: session.Last{Status: n}}
}

// due stores something due and returns it as it is read.
func due(t *testing.T, s *Storage, id presence.UserID) calls.Due {
	t.Helper()
	row := Row{Partition: tenantA, Key: RowDue + string(id), Values: map[string]any{"at": time.Now(), "reports": "[]", "told": true}}
	if err := s.Upsert(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	d, ok, err := Calls{s}.DueOf(t.Context(), tenantA, id)
	if err != nil || !ok {
		t.Fatalf("DueOf() = %t, %v", ok, err)
	}
	return d
}

// has demands which sessions there are, as the next process reads them.
func has(t *testing.T, s *Storage, steps int64, want map[presence.UserID]int) {
	t.Helper()
	sessions, count, err := Written{s}.Sessions(t.Context(), tenantA)
	if err != nil {
		t.Fatal(err)
	}
	got := map[presence.UserID]int{}
	for id, s := range sessions {
		got[id] = s.Last.Status
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || count != steps {
		t.Errorf("sessions %v after %d steps; want %v after %d", got, count, want, steps)
	}
}

func TestAStepIsStoredWhollyAndCounted(t *testing.T) {
	s := fresh(t)
	w := Written{s}
	has(t, s, 0, nil)
	steps, err := w.Store(t.Context(), tenantA, 0, session.Commit{Save: []session.Session{held("a", 1), held("b", 1)}})
	if err == nil {
		steps, err = w.Store(t.Context(), tenantA, steps, session.Commit{
			Save: []session.Session{held("a", 2), held("c", 2)}, Forget: []presence.UserID{"b"}, Done: []calls.Due{due(t, s, "a")},
		})
	}
	if err != nil || steps != 2 {
		t.Fatalf("Store() = %d, %v", steps, err)
	}
	has(t, s, 2, map[presence.UserID]int{"a": 2, "c": 2})
	if list, err := (Calls{s}).Due(t.Context(), tenantA); err != nil || len(list) != 0 {
		t.Errorf("due: %v, %v", list, err)
	}
	if one, ok, err := w.Session(t.Context(), tenantA, "c"); err != nil || !ok || one.Last.Status != 2 || one.User != "c" {
		t.Errorf("Session() = %+v, %t, %v", one, ok, err)
	}
	if _, ok, err := w.Session(t.Context(), tenantA, "b"); err != nil || ok {
		t.Errorf("Session() of nobody = %t, %v", ok, err)
	}
}

func TestWhoKnowsAnOldCountStoresNothing(t *testing.T) {
	s := fresh(t)
	w := Written{s}
	save := func(n int) session.Commit { return session.Commit{Save: []session.Session{held("a", n)}} }
	for old := range int64(4) {
		for try := range old {
			if _, err := w.Store(t.Context(), tenantA, try, save(99)); !errors.Is(err, ErrChanged) {
				t.Errorf("Store() on count %d of %d = %v; want ErrChanged", try, old, err)
			}
		}
		if _, err := w.Store(t.Context(), tenantA, old, save(int(old))); err != nil {
			t.Fatal(err)
		}
	}
	has(t, s, 4, map[presence.UserID]int{"a": 3})
}

func TestWhatBecameDueAgainStaysDue(t *testing.T) {
	s := fresh(t)
	done := []calls.Due{due(t, s, "a"), due(t, s, "b"), due(t, s, "c")}
	again := due(t, s, "b")
	steps, err := Written{s}.Store(t.Context(), tenantA, 0, session.Commit{Save: []session.Session{held("a", 1), held("b", 1), held("c", 1)}, Done: done})
	if err != nil || steps != 1 {
		t.Fatalf("Store() = %d, %v", steps, err)
	}
	has(t, s, 1, map[presence.UserID]int{"a": 1, "b": 1, "c": 1})
	if list, err := (Calls{s}).Due(t.Context(), tenantA); err != nil || len(list) != 1 || list[0].Version != again.Version {
		t.Errorf("due: %+v, %v", list, err)
	}
	// A step of nothing else is none.
	if steps, err = (Written{s}).Store(t.Context(), tenantA, steps, session.Commit{Done: done}); err != nil || steps != 1 {
		t.Errorf("Store() of what is done = %d, %v", steps, err)
	}
}

func TestAStepWhoseAnswerWasLostIsRecognized(t *testing.T) {
	s, lose := deaf(t)
	w := Written{s}
	steps, err := w.Store(t.Context(), tenantA, 0, session.Commit{Save: []session.Session{held("a", 1)}})
	if err != nil {
		t.Fatal(err)
	}
	lose.method.Store(http.MethodPost)
	steps, err = w.Store(t.Context(), tenantA, steps, session.Commit{Save: []session.Session{held("a", 2)}, Forget: nil})
	if err != nil || steps != 2 || lose.method.Load() != "" {
		t.Fatalf("Store() = %d, %v", steps, err)
	}
	if steps, err = w.Store(t.Context(), tenantA, steps, session.Commit{Forget: []presence.UserID{"a"}}); err != nil || steps != 3 {
		t.Fatalf("Store() = %d, %v", steps, err)
	}
	has(t, s, 3, nil)
}

func TestAStepHasOneTo98Rows(t *testing.T) {
	s := fresh(t)
	var step session.Commit
	if _, err := (Written{s}).Store(t.Context(), tenantA, 0, step); err == nil {
		t.Error("an empty step was stored")
	}
	for n := range MaxStep {
		step.Save = append(step.Save, held(presence.UserID(fmt.Sprintf("user-%03d", n)), n))
	}
	steps, err := Written{s}.Store(t.Context(), tenantA, 0, step)
	if err == nil {
		steps, err = Written{s}.Store(t.Context(), tenantA, steps, step)
	}
	if err != nil || steps != 2 {
		t.Errorf("Store() of %d rows = %d, %v", MaxStep, steps, err)
	}
	step.Save = append(step.Save, held("one-more", 1))
	if _, err := (Written{s}).Store(t.Context(), tenantA, steps, step); err == nil {
		t.Error("a step of 99 rows was stored")
	}
}

func TestTheWritersLeaseHasOneHolder(t *testing.T) {
	s, lose := deaf(t)
	w := Written{s}
	none, err := w.Writer(t.Context(), tenantA)
	if err != nil || none != (session.Writer{}) {
		t.Fatalf("Writer() = %+v, %v", none, err)
	}
	none.Holder = "one"
	first, err := w.SaveWriter(t.Context(), tenantA, none)
	if err != nil {
		t.Fatal(err)
	}
	none.Holder = "another"
	if _, err := w.SaveWriter(t.Context(), tenantA, none); !errors.Is(err, ErrChanged) {
		t.Errorf("SaveWriter() where a row is = %v", err)
	}
	lose.method.Store(http.MethodPut)
	first.Held = 3
	second, err := w.SaveWriter(t.Context(), tenantA, first)
	if err != nil || lose.method.Load() != "" {
		t.Fatalf("SaveWriter() whose answer was lost = %v", err)
	}
	first.Holder = "another"
	if _, err := w.SaveWriter(t.Context(), tenantA, first); !errors.Is(err, ErrChanged) {
		t.Errorf("SaveWriter() of an old version = %v", err)
	}
	if read, err := w.Writer(t.Context(), tenantA); err != nil || read != second {
		t.Errorf("Writer() = %+v, %v; want %+v", read, err, second)
	}
}

func TestOnlySessionsThatWereWrittenSinceAreReadAgain(t *testing.T) {
	w := Written{fresh(t)}
	store := func(steps int64, save ...session.Session) int64 {
		t.Helper()
		next, err := w.Store(t.Context(), tenantA, steps, session.Commit{Save: save})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	first := store(0, held("a", 1), held("b", 1))
	second := store(first, held("b", 1), held("c", 1))
	for _, row := range []struct {
		since int64
		want  []presence.UserID
	}{{0, []presence.UserID{"a", "b", "c"}}, {first, []presence.UserID{"b", "c"}}, {second, nil}} {
		got, steps, err := w.SessionsSince(t.Context(), tenantA, row.since)
		if err != nil {
			t.Fatal(err)
		}
		if ids := slices.Sorted(maps.Keys(got)); !slices.Equal(ids, row.want) || steps != second {
			t.Errorf("SessionsSince(%d) = %v, %d; want %v, %d", row.since, ids, steps, row.want, second)
		}
	}
}

package directory_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/userlist"
)

func TestAListThatShrinksMuchHasToBeConfirmed(t *testing.T) {
	w := held(t)
	w.done(w.put("", users(1, 2, 3, 4, 5)))
	w.done(w.put("", users(1, 2, 3, 4)))
	before := w.stored()
	a := w.refused(w.put("", users(1, 2)), 409, "list-shrinks")
	if a.problem.Confirm == nil || *a.problem.Confirm != 2 || !strings.Contains(a.problem.Detail, "2 of 4 users would go") {
		t.Errorf("= %s", a.text)
	}
	w.refused(w.put("?confirm=3", users(1, 2)), 409, "list-shrinks")
	w.refused(w.put("", listOf()), 409, "list-shrinks")
	if diff := cmp.Diff(before, w.stored()); diff != "" {
		t.Errorf("a list that was refused did something:\n%s", diff)
	}
	w.done(w.put("?confirm=2", users(1, 2)))
	w.done(w.put("?confirm=0", listOf()))
	if got := w.state().Users; got.Blob == "" || got.Count != 0 {
		t.Errorf("an empty list is a list: %+v", got)
	}
}

func TestChangesThatTakeMuchAwayHaveToBeConfirmed(t *testing.T) {
	w := held(t)
	w.done(w.put("", users(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)))
	remove := func(ids ...int) string {
		var lines []string
		for _, id := range ids {
			lines = append(lines, fmt.Sprintf(`{"op":"remove","id":"u%d"}`, id))
		}
		return listOf(lines...)
	}
	before := w.stored()
	a := w.refused(w.patch("", remove(1, 2, 3)), 409, "list-shrinks")
	if a.problem.Confirm == nil || *a.problem.Confirm != 7 || !strings.Contains(a.problem.Detail, "3 of 10 users would go") {
		t.Errorf("= %s", a.text)
	}
	w.refused(w.patch("?confirm=6", remove(1, 2, 3)), 409, "list-shrinks")
	if diff := cmp.Diff(before, w.stored()); diff != "" {
		t.Errorf("changes that were refused did something:\n%s", diff)
	}
	if a := w.done(w.patch("?dryRun=true", remove(1, 2, 3))); *a.last.Removed != 3 {
		t.Errorf("tried: %s", a.text)
	}
	w.done(w.patch("", remove(9, 10))) // a fifth are a day's leavers
	w.done(w.put("?confirm=2", users(1, 2)))
	w.done(w.patch("", remove(2))) // one of two is meant
	w.done(w.put("", users(1, 2, 3, 4, 5, 6, 7, 8)))
	w.done(w.patch("?confirm=5", remove(1, 2, 3)))
	// Who leaves and comes under another id is one who leaves.
	moved := listOf(`{"op":"remove","id":"u4"}`, `{"op":"remove","id":"u5"}`, `{"op":"put","user":{"id":"v4","name":"user4@contoso.com"}}`, `{"op":"put","user":{"id":"v5","name":"user5@contoso.com"}}`)
	w.refused(w.patch("", moved), 409, "list-shrinks")
	w.done(w.patch("?confirm=5", moved))
}

func TestAFirstListThatHasNobodyWhoTakesPartHasToBeConfirmed(t *testing.T) {
	for name, list := range map[string]string{"empty": listOf(), "of other people": users(1, 2)} {
		t.Run(name, func(t *testing.T) {
			w := held(t)
			w.know(accounts...)
			w.sync()
			n := strings.Count(list, "\n") - 1
			a := w.refused(w.put("", list), 409, "list-shrinks")
			if a.problem.Confirm == nil || *a.problem.Confirm != n || !strings.Contains(a.problem.Detail, "All of the 5 people who take part would leave") {
				t.Errorf("= %s", a.text)
			}
			if w.state().Users.Blob != "" {
				t.Error("it was stored")
			}
			if a := w.done(w.put("?dryRun=true", list)); a.last.Turns.Lost != 5 {
				t.Errorf("tried: %s", a.text)
			}
			w.done(w.put(fmt.Sprintf("?confirm=%d", n), list))
		})
	}
}

func TestTheListIsTakenAway(t *testing.T) {
	w := held(t)
	w.know(accounts...)
	w.refused(w.ask(http.MethodDelete, "?confirm=0", nil), 404, "no-user-list")
	etag := w.done(w.put("", listOf(user("1", "ada@contoso.com"), user("2", "cleo")))).etag
	w.sync()
	before := w.state().Users
	for _, query := range []string{"", "?confirm=0", "?confirm=1"} {
		a := w.refused(w.ask(http.MethodDelete, query, nil), 409, "list-shrinks")
		if a.problem.Confirm == nil || *a.problem.Confirm != 2 {
			t.Errorf("%q = %s", query, a.text)
		}
	}
	w.refused(w.ask(http.MethodDelete, "?confirm=2", nil, with("If-Match", `"another"`)), 412, "changed-meanwhile")
	if tried := w.done(w.ask(http.MethodDelete, "?dryRun=true", nil)); *tried.last.Stored || *tried.last.Removed != 2 {
		t.Errorf("tried: %s", tried.text)
	}
	if got := w.state().Users; got != before {
		t.Errorf("the list in force is %+v, not %+v", got, before)
	}
	a := w.done(w.ask(http.MethodDelete, "?confirm=2", nil, with("If-Match", etag)))
	// Everybody's UPN is the name again: four who were nobody gain a match.
	if diff := cmp.Diff(&userlist.Turns{Gained: 4}, a.last.Turns); diff != "" || !*a.last.Stored || a.last.Count != 0 || a.etag != "" {
		t.Errorf("= %s, ETag %q (-want +got):\n%s", a.text, a.etag, diff)
	}
	for _, line := range a.lines {
		if line.Effect != userlist.Removed || line.Result != userlist.Gone {
			t.Errorf("line %+v", line)
		}
	}
	if _, err := w.st.GetBlob(t.Context(), before.Blob); err == nil {
		t.Error("the users are still stored")
	}
	w.refused(w.ask(http.MethodGet, "", nil), 404, "no-user-list")
	w.refused(w.patch("", listOf(`{"op":"remove","id":"1"}`)), 404, "no-user-list")
	w.refused(w.ask(http.MethodDelete, "?confirm=2", nil), 404, "no-user-list")
	w.sync()
	w.refused(w.put("", users(1)), 409, "list-shrinks") // it is a first list again
	w.done(w.put("", listOf(user("1", "ada@contoso.com"))))
	w.refused(w.ask(http.MethodDelete, "?confirm=1", nil, with("Authorization", "Bearer "+w.other)), 403, "scope-missing")
	w.done(w.put("?confirm=0", listOf()))
	w.refused(w.ask(http.MethodDelete, "", nil), 409, "list-shrinks") // nobody takes part; then all would
	w.done(w.ask(http.MethodDelete, "?confirm=0", nil))
}

func TestOfAListAndItsRemovalAtOnceOneWins(t *testing.T) {
	w := newWorld(t)
	w.done(w.put("", users(1, 2)))
	body := users(1, 2, 3)
	started, open := make(chan struct{}), make(chan struct{})
	slow := make(chan answer)
	go func() {
		slow <- w.ask(http.MethodPut, "", &gated{Reader: strings.NewReader(body), started: started, open: open}, func(r *http.Request) { r.ContentLength = int64(len(body)) })
	}()
	<-started
	second := &world{t: t, token: w.token, handler: another(w)}
	second.done(second.ask(http.MethodDelete, "?confirm=2", nil))
	close(open)
	w.refused(<-slow, 409, "changed-meanwhile")
	if got := w.state().Users; got.Blob != "" || got.Count != 0 {
		t.Errorf("in force: %+v", got)
	}
}

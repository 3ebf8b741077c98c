package directory_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/access"
	"procallteams/internal/matching"
	"procallteams/internal/userlist"
)

func TestTheAnswerSaysForEachUserWhoTakesPartOrWhyNot(t *testing.T) {
	w := held(t)
	w.know(accounts...)
	a := w.done(w.put("", listOf(
		user("1", "ada@contoso.com"), user("2", "cleo@domain.local"), `{"id":"3","name":"twins","mail":"twins@contoso.com"}`, user("4", "nobody"))))
	want := map[string]userlist.Result{"1": "takesPart", "2": "nearMiss", "3": "ambiguous", "4": "unmatched"}
	if diff := cmp.Diff(want, a.of()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if ada := a.lines[0]; ada.Account.UPN != "ada@contoso.com" || ada.Match.Rule != "upn" || ada.TeamsToProCall.Rule != "everyone" || ada.ProCallToTeams.Rule != "nobody" {
		t.Errorf("ada: %+v", ada)
	}
	if a.last.Count != 4 || !*a.last.Judged || !*a.last.Stored || *a.last.Added != 4 || a.last.Results["takesPart"] != 1 {
		t.Errorf("the last line: %+v", a.last)
	}
	// Before a list was sent, everybody's UPN was taken for the name.
	if diff := cmp.Diff(&userlist.Turns{Lost: 4}, a.last.Turns); diff != "" {
		t.Errorf("what it does to accounts (-want +got):\n%s", diff)
	}
}

func TestAListIsInForceWithTheNextSync(t *testing.T) {
	w := held(t)
	w.know(accounts...)
	w.done(w.put("", listOf(user("1", "ada@contoso.com"))))
	before := w.done(w.ask(http.MethodGet, "", nil))
	w.sync()
	after := w.done(w.ask(http.MethodGet, "", nil))
	if before.text != after.text || after.lines[0].Result != userlist.TakesPart {
		t.Errorf("the list says\n%sbefore the sync and\n%safter it", before.text, after.text)
	}
	a := w.done(w.put("?confirm=1", listOf(user("2", "bob@contoso.com"))))
	if diff := cmp.Diff(&userlist.Turns{Gained: 1, Lost: 1}, a.last.Turns); diff != "" {
		t.Errorf("what it does to accounts (-want +got):\n%s", diff)
	}
	if gone := a.lines[0]; gone.ID != "1" || gone.Effect != "removed" || gone.Turns != "lost" {
		t.Errorf("who left: %+v", gone)
	}
}

func TestTheFirstListComesAfterSyncsWithoutOne(t *testing.T) {
	w := held(t)
	w.know(accounts...)
	w.sync()
	for _, query := range []string{"?dryRun=true", ""} {
		a := w.done(w.put(query, listOf(user("1", "ada@contoso.com"))))
		if len(a.lines) != 1 || a.lines[0].Result != userlist.TakesPart {
			t.Errorf("%q = %s", query, a.text)
		}
	}
}

func TestUsersAreTakenInBeforeEntraIsKnown(t *testing.T) {
	w := held(t)
	a := w.done(w.put("", users(1)))
	if a.lines[0].Result != userlist.NotJudged || *a.last.Judged || !*a.last.Stored {
		t.Errorf("= %s", a.text)
	}
	if got := w.done(w.ask(http.MethodGet, "", nil)); got.lines[0].Result != userlist.NotJudged {
		t.Errorf("= %s", got.text)
	}
}

func TestTheListIsReadInPages(t *testing.T) {
	w := held(t)
	w.refused(w.ask(http.MethodGet, "", nil), 404, "no-user-list")
	w.done(w.put("", listOf(`{"id":"a","name":"müller","upn":"u","samAccountName":"D\\s","objectGUID":"g","objectSID":"s","mail":"m","sip":"sip:x","groups":["Sales"]}`,
		user("b", "b"), user("c/&+ü", "c"), user("d", "d"))))
	var ids []string
	after := ""
	for {
		page := w.done(w.ask(http.MethodGet, "?limit=2&after="+urlEscape(after), nil))
		for _, line := range page.lines {
			ids = append(ids, line.ID)
		}
		if after = page.last.Next; after == "" {
			break
		}
	}
	if !slices.Equal(ids, []string{"a", "b", "c/&+ü", "d"}) {
		t.Errorf("the pages list %q", ids)
	}
	first := w.done(w.ask(http.MethodGet, "?limit=1", nil)).lines[0]
	want := &userlist.User{ID: "a", Name: "müller", UPN: "u", SAM: `D\s`, ObjectGUID: "g", ObjectSID: "s", Mail: "m", SIP: "sip:x", Groups: []string{"Sales"}}
	if diff := cmp.Diff(want, first.User); diff != "" {
		t.Errorf("the user (-want +got):\n%s", diff)
	}
	if head := w.ask(http.MethodHead, "", nil, with("Accept-Encoding", "")); head.status != 200 || head.etag == "" || head.text != "" {
		t.Errorf("HEAD = %d, ETag %s, %q", head.status, head.etag, head.text)
	}
}

func TestNamesOfEveryFormComeBackAsTheyWereSent(t *testing.T) {
	w := held(t)
	names := []string{`CONTOSO\max`, "a/b", "max#1@domain.local", "a?b", "o'neill", "a%20b", "a=20b", "a+b", "a b", "a\u00a0b", "müller", "mu\u0308ller", "Ma\U0001F600x", strings.Repeat("ü", 255)}
	var lines []string
	for i, name := range names {
		line, err := json.Marshal(map[string]string{"id": fmt.Sprintf("%02d", i), "name": name, "samAccountName": name})
		w.must(err)
		lines = append(lines, string(line))
	}
	w.done(w.put("", listOf(lines...)))
	got := w.done(w.ask(http.MethodGet, "", nil))
	if len(got.lines) != len(names) {
		t.Fatalf("%d users; want %d", len(got.lines), len(names))
	}
	for i, line := range got.lines {
		if line.User.Name != names[i] || line.User.SAM != names[i] {
			t.Errorf("%q came back as %q", names[i], line.User.Name)
		}
	}
	for _, name := range []string{"a\tb", "a\u0085b", "a\u0000b", strings.Repeat("ü", 256)} {
		line, err := json.Marshal(map[string]string{"id": "1", "name": name})
		w.must(err)
		w.refused(w.put("", listOf(string(line))), 422, "list-faulty")
	}
}

func urlEscape(text string) string {
	return strings.NewReplacer("/", "%2F", "&", "%26", "+", "%2B").Replace(text)
}

func TestTheSameListAgainChangesNothing(t *testing.T) {
	w := held(t)
	w.know(accounts...)
	first := w.done(w.put("?confirm=2", users(1, 2)))
	ref := w.state().Users
	again := w.done(w.put("", users(2, 1)))
	if again.etag != first.etag || *again.last.Stored || again.lines[0].Effect != "unchanged" || w.state().Users != ref {
		t.Errorf("= %s, ETag %s then %s", again.text, first.etag, again.etag)
	}
}

func TestADryRunStoresNothing(t *testing.T) {
	w := held(t)
	w.know(accounts...)
	w.done(w.put("", listOf(user("1", "ada@contoso.com"), user("2", "bob"))))
	w.sync()
	ref := w.state().Users
	a := w.done(w.put("?dryRun=true", listOf(user("2", "bob@contoso.com"))))
	if *a.last.Stored || a.lines[0].Turns != "lost" || a.lines[1].Turns != "gained" || a.etag == "" {
		t.Errorf("= %s", a.text)
	}
	b := w.done(w.patch("?dryRun=true", listOf(`{"op":"put","user":{"id":"2","name":"bob@contoso.com"}}`)))
	if *b.last.Stored || b.lines[0].Turns != "gained" || b.last.Turns.Gained != 1 {
		t.Errorf("= %s", b.text)
	}
	if got := w.state().Users; got != ref {
		t.Errorf("the list in force is %+v, not %+v", got, ref)
	}
	w.refused(w.put("?dryRun=1", users(1)), 400, "bad-request")
}

func TestSingleChanges(t *testing.T) {
	w := held(t)
	w.know(accounts...)
	w.refused(w.patch("", listOf(`{"op":"remove","id":"1"}`)), 404, "no-user-list")
	w.done(w.put("", listOf(user("1", "ada@contoso.com"), user("2", "old"))))
	changes := listOf(`{"op":"put","user":{"id":"2","name":"bob@contoso.com"}}`, `{"op":"put","user":{"id":"3","name":"new"}}`, `{"op":"remove","id":"1"}`, `{"op":"remove","id":"9"}`)
	a := w.done(w.patch("", changes))
	var got []string
	for _, line := range a.lines {
		got = append(got, fmt.Sprint(line.ID, " ", line.Effect, " ", line.Result))
	}
	if want := []string{"2 changed takesPart", "3 added unmatched", "1 removed removed", "9 unchanged removed"}; !slices.Equal(got, want) {
		t.Errorf("= %q; want %q", got, want)
	}
	if a.last.Count != 2 || *a.last.Added != 1 || *a.last.Changed != 1 || *a.last.Removed != 1 {
		t.Errorf("the last line: %+v", a.last)
	}
	want := []matching.User{{ID: "2", Name: "bob@contoso.com"}, {ID: "3", Name: "new"}}
	if diff := cmp.Diff(want, w.stored()); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	again := w.done(w.patch("", changes))
	if *again.last.Stored || again.etag != a.etag {
		t.Errorf("once more: %s", again.text)
	}
	w.refused(w.patch("", listOf(`{"op":"put","user":{"id":"4","name":"new"}}`)), 422, "list-faulty")
}

func TestConditionsGuardTheList(t *testing.T) {
	w := held(t)
	w.refused(w.put("", users(1), with("If-Match", "*")), 412, "changed-meanwhile")
	first := w.done(w.put("", users(1), with("If-None-Match", "*")))
	w.refused(w.put("", users(1, 2), with("If-None-Match", "*")), 412, "changed-meanwhile")
	second := w.done(w.put("", users(1, 2), with("If-Match", first.etag)))
	w.refused(w.put("", users(1, 2, 3), with("If-Match", first.etag)), 412, "changed-meanwhile")
	w.refused(w.patch("", listOf(`{"op":"remove","id":"u1"}`), with("If-Match", first.etag)), 412, "changed-meanwhile")
	w.done(w.patch("", listOf(`{"op":"remove","id":"u1"}`), with("If-Match", `"x", W/`+second.etag)))
	if got := w.stored(); len(got) != 1 || got[0].ID != "u2" {
		t.Errorf("stored: %v", got)
	}
}

func TestAListIsTakenInWhileEntraIsReadAnew(t *testing.T) {
	w := newWorld(t)
	w.know(accounts...)
	w.done(w.put("?confirm=1", users(1)))
	body := listOf(user("u1", "user1@contoso.com"), user("u2", "late@contoso.com"))
	started, open := make(chan struct{}), make(chan struct{})
	slow := make(chan answer)
	go func() {
		slow <- w.ask(http.MethodPut, "", &gated{Reader: strings.NewReader(body), started: started, open: open}, func(r *http.Request) { r.ContentLength = int64(len(body)) })
	}()
	<-started
	w.know(matching.Account{ID: "ffffffff-0000-4000-8000-000000000006", UPN: "late@contoso.com"})
	close(open)
	if a := w.done(<-slow); a.lines[1].Result != userlist.TakesPart || !*a.last.Stored {
		t.Errorf("= %s", a.text)
	}
}

func TestRequestsThatAreNotAsTheContractSays(t *testing.T) {
	w := held(t)
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	dropped := func(r *http.Request) { r.ContentLength, r.Body = 0, http.NoBody }
	huge := func(r *http.Request) { r.ContentLength = 100_000_001 }
	for _, test := range []struct {
		name   string
		got    answer
		status int
		kind   string
	}{
		{"another method", w.ask(http.MethodPost, "", strings.NewReader(users(1))), 405, "method-not-allowed"},
		{"in chunks", w.put("", users(1), chunked), 411, "length-required"},
		{"in chunks that the host dropped", w.put("", "", dropped), 411, "length-required"},
		{"nothing", w.put("", "", with("Content-Length", "0")), 422, "list-faulty"},
		{"too long", w.put("", users(1), huge), 413, "batch-too-large"},
		{"compressed", w.put("", users(1), with("Content-Encoding", "gzip")), 415, "unsupported-media-type"},
		{"as a form", w.put("", users(1), with("Content-Type", "multipart/form-data; boundary=x")), 415, "unsupported-media-type"},
		{"a parameter that does not exist", w.put("?force=1", users(1)), 400, "bad-request"},
		{"a confirmation of nothing", w.put("?confirm=", users(1)), 400, "bad-request"},
		{"a confirmation that is no number", w.patch("?confirm=all", listOf()), 400, "bad-request"},
		{"nothing to take away", w.ask(http.MethodDelete, "?confirm=0", nil), 404, "no-user-list"},
		{"a page of what is taken away", w.ask(http.MethodDelete, "?limit=1", nil), 400, "bad-request"},
		{"a page too large", w.ask(http.MethodGet, "?limit=200001", nil), 400, "bad-request"},
		{"a place that is no id", w.ask(http.MethodGet, "?after="+strings.Repeat("x", 200), nil), 400, "bad-request"},
		{"the wrong scope", w.put("", users(1), with("Authorization", "Bearer "+w.other)), 403, "scope-missing"},
		{"nobody", w.put("", users(1), func(r *http.Request) { r.Header.Del("Authorization") }), 401, "sign-in-required"},
	} {
		t.Run(test.name, func(t *testing.T) { w.refused(test.got, test.status, test.kind) })
	}
	if w.state().Users.Blob != "" {
		t.Error("something was stored")
	}
}

func TestFaultsAreListedWithTheirLines(t *testing.T) {
	w := held(t)
	w.done(w.put("", users(1)))
	a := w.refused(w.put("", listOf(user("1", "ada"), `{"id":"2"}`, `{"id":"3","name":}`, user("1", "eve"))), 422, "list-faulty")
	var got []string
	for _, f := range a.problem.Faults {
		got = append(got, fmt.Sprintf("%d:%d", f.Line, f.Column))
	}
	if want := []string{"2:0", "3:18", "4:0"}; !slices.Equal(got, want) || a.problem.FaultCount != 3 {
		t.Errorf("faults %q of %d; want %q\n%s", got, a.problem.FaultCount, want, a.text)
	}
	if got := w.stored(); len(got) != 1 || got[0].ID != "u1" {
		t.Errorf("in force: %v", got)
	}
}

func TestAnAdministratorMaySendTheList(t *testing.T) {
	w := held(t)
	session := w.administrator()
	asAdministrator := func(r *http.Request) {
		r.Header.Del("Authorization")
		r.AddCookie(session)
		r.Header.Set("Origin", "https://bridge.example")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	w.done(w.put("", users(1), asAdministrator))
	var trail []access.Change
	for change, err := range w.st.Changes(t.Context(), w.tenant) {
		w.must(err)
		if change.What == "users of UCServer sent" {
			trail = append(trail, change)
		}
	}
	if len(trail) != 1 || trail[0].Who != access.BySetupCode {
		t.Errorf("the audit trail says %v", trail)
	}
	w.done(w.ask(http.MethodDelete, "?confirm=1", nil, asAdministrator))
	for change, err := range w.st.Changes(t.Context(), w.tenant) {
		w.must(err)
		if change.What == "users of UCServer removed" {
			trail = append(trail, change)
		}
	}
	if len(trail) != 2 {
		t.Errorf("the audit trail says %v", trail)
	}
	foreign := func(r *http.Request) {
		asAdministrator(r)
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	w.refused(w.put("", users(1, 2), foreign), 403, "cross-origin")
}

func TestLogsNameNobody(t *testing.T) {
	w := held(t)
	const name = "ada.lovelace"
	w.know(matching.Account{ID: "aaaaaaaa-0000-4000-8000-000000000001", UPN: name + "@contoso.com"})
	w.done(w.put("", listOf(user("1", name+"@contoso.com"))))
	w.refused(w.put("", listOf(`{"id":"1","name":"`+name, user(name, name))), 422, "list-faulty")
	w.refused(w.put("?"+name+"=1", users(1)), 400, "bad-request")
	if logs := w.logs.String(); strings.Contains(logs, name) || !strings.Contains(logs, "users of UCServer taken in") {
		t.Errorf("logs:\n%s", logs)
	}
}

func TestAListWhoseBlobIsGoneCanBeSentAgain(t *testing.T) {
	w := held(t)
	w.know(accounts...)
	w.done(w.put("?confirm=3", users(1, 2, 3)))
	w.must(w.st.DeleteBlob(t.Context(), w.state().Users.Blob))
	w.refused(w.patch("", listOf(`{"op":"remove","id":"u1"}`)), http.StatusNotFound, "no-user-list")
	w.refused(w.ask(http.MethodGet, "", nil), http.StatusNotFound, "no-user-list")
	w.refused(w.put("", users(1)), http.StatusConflict, "list-shrinks")
	if a := w.done(w.put("", users(1, 2, 3))); a.last.Stored == nil || !*a.last.Stored || len(w.stored()) != 3 {
		t.Errorf("last line = %+v; want the list stored", a.last)
	}
}

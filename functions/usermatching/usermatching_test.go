package usermatching_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/functions/usermatching"
	"procallteams/internal/matching"
)

// Files that people really saved, each uploaded with an older good one in force.
func TestFilesFromTheField(t *testing.T) {
	const good, titles = "mmu@contoso.com,max@domain.local", "Azure AD username,UCServer username\n"
	for _, row := range []struct {
		name, file string
		names      int    // 0: refused
		line       int    // of the warning or fault
		text       string // of it
	}{
		{"UTF-8 with a byte order mark", "\xef\xbb\xbf" + good + "\r\n", 1, 0, "byte order mark"},
		{"a byte order mark before a quotation mark", "\xef\xbb\xbf\"mmu@contoso.com\",\"max@domain.local\"", 1, 0, "byte order mark"},
		{"semicolons", "mmu@contoso.com;max@domain.local", 1, 1, "the separator is a semicolon"},
		{"semicolons, announced", "sep=;\r\nmmu@contoso.com;max@domain.local\r\n", 1, 1, "names the separator"},
		{"two separators", "mmu@contoso.com;max@domain.local,x", 0, 1, "two separators in one file"},
		{"Windows-1252", strings.Repeat("\r\n", 699) + "m\xfcller@contoso.com,mueller@domain.local\r\n" + strings.Repeat("\r\n", 200), 1, 700, "byte FC as ü"},
		{"a no-break space at the end of a name", "mmu@contoso.com\xc2\xa0,max@domain.local", 1, 1, "U+00A0 at the end"},
		{"a leading blank", " mmu@contoso.com,max@domain.local", 1, 1, "U+0020 at the beginning"},
		{"a zero width space inside", "mmu@contoso.com,max\xe2\x80\x8b@domain.local", 1, 1, "U+200B inside"},
		{"a soft hyphen inside", "mmu@contoso.com,m\xc2\xadax@domain.local", 1, 1, "U+00AD inside"},
		{"a byte order mark in the middle of the file", "a@contoso.com,a\r\n\xef\xbb\xbf" + good, 2, 2, "U+FEFF at the beginning"},
		{"upper and lower case", "BOB@CONTOSO.COM,robert\nbob@contoso.com,bob\n", 2, 2, "differs only in case"},

		{"an empty file", "", 0, 0, "the file is empty"},
		{"titles only", titles, -1, 0, "the file names nobody"},
		{"three columns", "a,b,c\n", 0, 1, "two columns, Entra user name and UCServer user name, but 3"},
		{"quotation marks", "\"o'brien, pat@contoso.com\",\"O\"\"Brien\"\n", 1, -1, ""},
		{"an open quotation mark", good + "\n\"a,b\n", 0, 2, "a quotation mark is not closed"},
		{"the same left name", good + "\n" + good + "\n", 0, 2, "already matched on line 1"},
		{"the same right name", "a,x\nb,x\n", 2, 2, "is also on line 1"},
		{"a NUL byte", "a,b\x00\n", 0, 1, "U+0000"},
		{"a cell that a spreadsheet takes for a formula", "a,=cmd|'/c calc'!A1\n", 1, 1, "begins with ="},
		{"a million lines", strings.Repeat("a,b\n", 1_000_000), 0, 0, "has 1000000 lines; at most 500000"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			if a := w.put(before); a.status != http.StatusOK || !a.Stored {
				t.Fatalf("the file before: %d %s", a.status, a.body)
			}
			a := w.put(row.file)
			if row.names == 0 {
				if a.status != http.StatusUnprocessableEntity || a.problem.Type != "/problems/list-faulty" || len(a.problem.Faults) != a.problem.FaultCount {
					t.Fatalf("answer %d %s", a.status, a.body)
				}
				if f := a.problem.Faults[0]; f.Line != row.line || !strings.Contains(f.Text, row.text) || f.Repair == "" {
					t.Errorf("fault %+v; want line %d: %s", f, row.line, row.text)
				}
				w.inForce(before)
				return
			}
			if a.status != http.StatusOK || !a.Stored || a.Names != max(row.names, 0) {
				t.Fatalf("answer %d %s; want %d names", a.status, a.body, row.names)
			}
			if row.text != "" && (len(a.Warnings) == 0 || a.Warnings[0].Line != row.line || !strings.Contains(a.Warnings[0].Text, row.text)) {
				t.Errorf("warnings %+v; want line %d: %s", a.Warnings, row.line, row.text)
			}
			w.inForce(row.file)
		})
	}
}

func TestAllFaultsAreCountedAndTheFirstThousandListed(t *testing.T) {
	w := newWorld(t)
	a := w.put("a,b\n" + strings.Repeat("x\n", 1500))
	if a.status != http.StatusUnprocessableEntity || a.problem.FaultCount != 1500 || len(a.problem.Faults) != 1000 || a.problem.Faults[999].Line != 1001 {
		t.Errorf("answer %d with %d of %d faults", a.status, len(a.problem.Faults), a.problem.FaultCount)
	}
	if a := w.send(http.MethodGet, "", ""); a.status != http.StatusNotFound || a.problem.Type != "/problems/no-matching-file" {
		t.Errorf("GET without a file = %d %s", a.status, a.body)
	}
}

var (
	accounts = []matching.Account{
		{ID: "a1", UPN: "ada@contoso.com"}, {ID: "a2", UPN: "bob@contoso.com"}, {ID: "a3", UPN: "cleo@contoso.com"}, {ID: "a4", UPN: "dora@contoso.com", Disabled: true},
	}
	users = []matching.User{{ID: "u1", Name: "ada@domain.local"}, {ID: "u2", Name: "bob@domain.local"}, {ID: "u3", Name: "cleo"}}
)

func TestATrialSaysWhatWouldChangeAndStoresNothing(t *testing.T) {
	w := newWorld(t)
	w.people(accounts, users)
	first := w.put(before)
	const next = "ada@contoso.com,bob@domain.local\nBOB@contoso.com,ada@domain.local\ncleo@contoso.com,Cleo\ndora@contoso.com,x\nnobody@contoso.com,y\n"
	a := w.send(http.MethodPut, "?dryRun=true", next)
	if a.status != http.StatusOK || a.Stored || a.header.Get("ETag") != first.header.Get("ETag") {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	w.inForce(before)
	want := &usermatching.Changes{Moved: 1,
		Accounts: []usermatching.Turn{{ID: "a1", Name: "ada@contoso.com", Effect: "moved", Before: "ada@domain.local", After: "bob@domain.local", Outcome: "matched"}},
		Users: []usermatching.Turn{
			{ID: "u1", Name: "ada@domain.local", Effect: "lost", Before: "ada@contoso.com", Outcome: "nearMiss", Reason: "differsInCase", Advice: matching.DiffersInCase.Advice()},
			{ID: "u2", Name: "bob@domain.local", Effect: "gained", After: "ada@contoso.com", Outcome: "matched"},
		}}
	if diff := cmp.Diff(want, a.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	var lines []string
	for _, warning := range a.Warnings {
		lines = append(lines, fmt.Sprintf("%d: %s [%s]", warning.Line, warning.Text, warning.Near))
	}
	if diff := cmp.Diff([]string{
		"2: the Entra user name differs only in case from the one that exists [bob@contoso.com]",
		"3: the UCServer user name differs only in case from the one that exists [cleo]",
		"4: nobody in UCServer has the UCServer user name []",
		"5: nobody in Entra has the Entra user name []",
	}, lines); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}

	if a := w.put(next); !a.Stored || a.Changes.Moved != 1 {
		t.Errorf("the upload itself: %s", a.body)
	}
	if a := w.put(next); a.status != http.StatusOK || a.Stored || len(a.Changes.Accounts)+len(a.Changes.Users) > 0 {
		t.Errorf("the same once more: %s", a.body)
	}
}

func TestWithoutUCServersUsersTheChangesAreThoseOfNames(t *testing.T) {
	w := newWorld(t)
	w.people(accounts, nil)
	a := w.put(before)
	if a.status != http.StatusOK || a.Changes.Moved != 1 || a.Changes.Accounts[0].Before != "ada@contoso.com" || a.Changes.Accounts[0].After != "ada@domain.local" || len(a.Changes.Users) > 0 {
		t.Errorf("answer %d %s", a.status, a.body)
	}
}

func TestConditionsKeepAnotherAdministratorsFile(t *testing.T) {
	w := newWorld(t)
	first := w.put(before, "If-None-Match", "*")
	tag := first.header.Get("ETag")
	if first.status != http.StatusOK || tag == "" {
		t.Fatalf("first file: %d %s", first.status, first.body)
	}
	if a := w.put("x,y\n", "If-None-Match", "*"); a.status != http.StatusPreconditionFailed {
		t.Errorf("a first file again: %d %s", a.status, a.body)
	}
	if a := w.send(http.MethodGet, "", "", "If-None-Match", tag); a.status != http.StatusNotModified || a.body != "" {
		t.Errorf("GET of what is known: %d %q", a.status, a.body)
	}
	if a := w.put("x,y\n", "If-Match", tag); a.status != http.StatusOK || a.header.Get("ETag") == tag {
		t.Errorf("with the right ETag: %d %s", a.status, a.body)
	}
	if a := w.put("z,y\n", "If-Match", "W/"+tag); a.status != http.StatusPreconditionFailed || a.problem.Type != "/problems/changed-meanwhile" {
		t.Errorf("with an old ETag: %d %s", a.status, a.body)
	}
	w.inForce("x,y\n")
}

// Two uploads at once, from two processes: one is in force, as a whole, and whoever
// is not told of success has changed nothing.
func TestOfTwoUploadsAtOnceOneIsInForce(t *testing.T) {
	w := newWorld(t)
	other := inTenant(t, w.tenant)
	files := []string{"a@contoso.com,one\n", "a@contoso.com,two\n"}
	answers := make([]answer, 2)
	var both sync.WaitGroup
	for i, at := range []*world{w, other} {
		both.Go(func() { answers[i] = at.put(files[i]) })
	}
	both.Wait()
	got := w.send(http.MethodGet, "", "").body
	for i, a := range answers {
		switch {
		case a.status == http.StatusOK && a.Stored:
		case a.status == http.StatusConflict && a.problem.Type == "/problems/changed-meanwhile" && got != files[i]:
		default:
			t.Errorf("answer %d %s; in force is %q", a.status, a.body, got)
		}
	}
	if got != files[0] && got != files[1] {
		t.Errorf("in force is %q", got)
	}
}

func TestAnUploadThatIsCutOffLeavesTheFileBefore(t *testing.T) {
	w := newWorld(t)
	w.put(before)
	server := httptest.NewServer(w.gated)
	defer server.Close()
	for name, request := range map[string]string{
		"half a body":      "Content-Length: 100\r\n\r\na,b\n",
		"a body in chunks": "Transfer-Encoding: chunked\r\n\r\n4\r\na,b\n\r\n0\r\n\r\n",
		"no body at all":   "\r\n",
	} {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		w.must(err)
		_, err = fmt.Fprintf(connection, "PUT /api/usermatching HTTP/1.1\r\nHost: bridge.example\r\nCookie: %s\r\nContent-Type: text/csv\r\n%s", w.cookie, request)
		w.must(err)
		want := http.StatusLengthRequired
		if name == "half a body" {
			want = http.StatusBadRequest
			w.must(connection.(*net.TCPConn).CloseWrite())
		}
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		w.must(err)
		if response.StatusCode != want {
			t.Errorf("%s: %s; want %d", name, response.Status, want)
		}
		_ = response.Body.Close()
		_ = connection.Close()
	}
	w.inForce(before)
}

func TestWhatIsNotTaken(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name    string
		query   string
		headers []string
		status  int
	}{
		{"another kind", "", []string{"Content-Type", "application/json"}, http.StatusUnsupportedMediaType},
		{"a compressed body", "", []string{"Content-Encoding", "gzip"}, http.StatusUnsupportedMediaType},
		{"an unknown parameter", "?dryrun=true", nil, http.StatusBadRequest},
		{"a trial that is neither", "?dryRun=1", nil, http.StatusBadRequest},
		{"no session", "", []string{"Cookie", ""}, http.StatusUnauthorized},
		{"another site's page", "", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
	} {
		if a := w.send(http.MethodPut, row.query, before, row.headers...); a.status != row.status {
			t.Errorf("%s: %d %s; want %d", row.name, a.status, a.body, row.status)
		}
	}
	if a := w.put(before, "Content-Type", "application/vnd.ms-excel"); a.status != http.StatusOK {
		t.Errorf("as a Windows with Excel calls it: %d %s", a.status, a.body)
	}
	if a := w.send(http.MethodDelete, "", ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", a.status)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/api/usermatching", strings.NewReader(before))
	r.Header.Set("Cookie", w.cookie)
	r.Header.Set("Content-Type", "text/csv")
	r.ContentLength = 65 << 20
	recorder := httptest.NewRecorder()
	w.gated.ServeHTTP(recorder, r)
	if recorder.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("65 MiB: %d %s", recorder.Code, recorder.Body)
	}
	w.inForce(before)
}

func TestAnUploadIsAuditedAndNobodysNameIsLogged(t *testing.T) {
	w := newWorld(t)
	w.people(accounts, users)
	w.send(http.MethodPut, "?dryRun=true", before)
	w.put(before)
	w.put("ada@contoso.com,a\nada@contoso.com,b\n")
	var entries []string
	for change, err := range w.st.Changes(t.Context(), w.tenant) {
		w.must(err)
		entries = append(entries, change.Who+": "+change.What)
	}
	if diff := cmp.Diff([]string{"administrator-1: usermatching.csv uploaded"}, entries); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	if logs := w.logs.String(); strings.Contains(logs, "contoso") || strings.Contains(logs, "domain.local") || !strings.Contains(logs, "taken in") {
		t.Errorf("logs:\n%s", logs)
	}
}

func TestTheFileIsADownloadThatNobodyCaches(t *testing.T) {
	w := newWorld(t)
	file := "\xff\xfem\x00,\x00n\x00"
	if a := w.put(file); a.status != http.StatusOK {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	a := w.send(http.MethodGet, "", "")
	if a.body != file || a.header.Get("Content-Type") != "text/csv" || a.header.Get("Cache-Control") != "no-store" ||
		a.header.Get("Content-Disposition") != `attachment; filename="usermatching.csv"` || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("answer %q with %v", a.body, a.header)
	}
	if a := w.send(http.MethodHead, "", ""); a.status != http.StatusOK || a.body != "" {
		t.Errorf("HEAD: %d %q", a.status, a.body)
	}
}

func TestWithoutATenantThereIsNoFile(t *testing.T) {
	w := inTenant(t, "")
	if a := w.put(before); a.status != http.StatusConflict || a.problem.Type != "/problems/no-tenant" {
		t.Errorf("answer %d %s", a.status, a.body)
	}
}

func TestAFileWhoseBlobIsGoneCanBeUploadedAgain(t *testing.T) {
	w := newWorld(t)
	w.put(before)
	now, err := w.st.Now(t.Context(), w.tenant)
	w.must(err)
	w.must(w.st.DeleteBlob(t.Context(), now.List.Blob))
	if a := w.send(http.MethodGet, "", ""); a.status != http.StatusNotFound {
		t.Errorf("GET = %d %s; want none", a.status, a.body)
	}
	if a := w.put(before); a.status != http.StatusOK || !a.Stored {
		t.Errorf("answer = %d %s; want it stored", a.status, a.body)
	}
	w.inForce(before)
}

package telephony_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"procallteams/dev/azurite"
	"procallteams/functions/telephony"
	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/contract"
	"procallteams/internal/directory"
	"procallteams/internal/host"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// world is the function behind the real gate and the host's mux, on Azurite.
type world struct {
	t      *testing.T
	tenant string
	st     *storage.Storage
	ledger *calls.Ledger
	issuer access.Credentials
	token  string
	url    string
	log    bytes.Buffer

	now    time.Time
	ref    directory.Ref
	off    bool
	broken error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	st, err := storage.Open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, st: st, tenant: uuid.NewString(), now: time.Now().UTC(), ref: directory.Ref{Blob: "people"}}
	inUse := func(context.Context) (string, error) { return w.tenant, nil }
	w.issuer = access.Credentials{Store: st, Tenant: inUse, Audit: st, Now: time.Now}
	w.token = w.credential(access.Report)
	index := directory.NewIndex(&directory.Directory{People: []directory.Person{
		{ID: "id-ada", Name: "ada@domain.local", Standing: directory.TakesPart, Reads: true, Writes: true},
		{ID: "id-bob", Name: "bob@domain.local", Standing: directory.TakesPart, Reads: true, Writes: true},
		{ID: "id-dan", Name: "dan@domain.local", Standing: directory.Disabled},
		{ID: "id-twin1", Name: "twin", Standing: directory.Ambiguous},
		{ID: "id-twin2", Name: "twin", Standing: directory.Ambiguous},
	}})
	w.ledger = &calls.Ledger{
		Store: storage.Calls{Storage: st},
		Look: func(ctx context.Context, tenant string) (calls.View, error) {
			now, err := st.Now(ctx, tenant)
			return calls.View{Reporters: now.Reporters, Directory: w.ref, On: !w.off, Swept: now.Swept}, errors.Join(err, w.broken)
		},
		People: func(context.Context, directory.Ref) (*directory.Index, error) { return index, nil },
		Wake:   func(ctx context.Context, tenant string) error { return st.WakeWriter(ctx, tenant, 0) },
		Now:    func() time.Time { return w.now },
	}
	public, err := url.Parse("https://bridge.example")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	gate := &access.Gate{Public: public, Credentials: st, Sessions: st, Tenant: inUse, Now: time.Now, Log: log}
	h := host.New(log)
	h.HTTP("telephony", "req", "v1/telephony", gate.Machine(access.Report, telephony.Function{Ledger: w.ledger, Log: log}.ServeReporter))
	server := httptest.NewServer(contract.Handler(t, h))
	t.Cleanup(server.Close)
	w.url = server.URL + "/api/v1/telephony"
	return w
}

func (w *world) credential(scopes ...access.Scope) string {
	w.t.Helper()
	_, text, err := w.issuer.Create(w.t.Context(), "administrator", "connector", scopes)
	if err != nil {
		w.t.Fatal(err)
	}
	return text.Reveal()
}

// answer is what the function or a problem says.
type answer struct {
	status int
	header http.Header
	text   string

	telephony.Answer
	Type, Title, Detail, Code, NextStep, Who string
}

func (w *world) do(method, body string, header http.Header) answer {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.token)
	request.Header.Set("Content-Type", "application/json")
	maps.Copy(request.Header, header)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, text: string(text)}
	if err := json.Unmarshal(text, &a); err != nil {
		w.t.Fatalf("%s %s: %v", method, text, err)
	}
	return a
}

func (w *world) post(body string) answer { w.t.Helper(); return w.do("POST", body, nil) }
func (w *world) put(body string) answer  { w.t.Helper(); return w.do("PUT", body, nil) }

// wantRefusal also holds every refusal to say what to do, and by whom.
func (a answer) wantRefusal(t *testing.T, status int, kind string) {
	t.Helper()
	if a.status != status || a.Type != "/problems/"+kind {
		t.Errorf("answer %d %s; want %d %s\n%s", a.status, a.Type, status, kind, a.text)
	}
	if a.NextStep == "" || a.Who == "" || a.Detail == "" {
		t.Errorf("the refusal does not say what to do: %s", a.text)
	}
}

func TestALifeOfAReporter(t *testing.T) {
	w := newWorld(t)
	w.post(`{"epoch":7,"items":[]}`).wantRefusal(t, 409, "epoch-unknown")

	opened := w.put(`{"epoch":7,"asOfSeq":3,"items":[{"user":"ada@domain.local","state":"busy","reasons":["call"]}]}`)
	if opened.status != 200 || opened.Epoch() != 7 || opened.Accepted != 1 || *opened.Ended != 0 || opened.Expired != nil || *opened.Results[0].Seq != 3 {
		t.Fatalf("the first list: %d %s", opened.status, opened.text)
	}
	if until := opened.Lease.Until; !until.Equal(w.now.Add(calls.LeaseTime)) || opened.Lease.Seconds != 300 {
		t.Errorf("lease %+v", opened.Lease)
	}

	told := w.post(`{"epoch":7,"items":[
		{"user":"ada@domain.local","raw":1,"seq":4},
		{"user":"bob@domain.local","state":"busy","raw":67108866,"since":"2026-11-24T03:50:49Z","seq":5},
		{"user":"bob@domain.local","state":"busy","raw":67108866,"since":"2026-11-24T03:50:49Z","seq":5},
		{"user":"bob@domain.local","state":"available","seq":2},
		{"user":"bob@domain.local","state":"available","seq":5},
		{"user":"dan@domain.local","state":"busy","seq":6},
		{"user":"twin","state":"busy","seq":7},
		{"user":"nobody","state":"busy","seq":8},
		{"user":"bob@domain.local","state":"busy","raw":1,"seq":9},
		"ada@domain.local",
		{"user":"ada@domain.local","state":"busy"}]}`)
	var got []string
	for _, r := range told.Results {
		seq := "-"
		if r.Seq != nil {
			seq = fmt.Sprint(*r.Seq)
		}
		got = append(got, fmt.Sprintf("%s %s %s", r.User, seq, r.Result))
	}
	if diff := cmp.Diff([]string{
		"ada@domain.local 4 accepted", "bob@domain.local 5 accepted", "bob@domain.local 5 unchanged", "bob@domain.local 2 outdated",
		"bob@domain.local 5 conflict", "dan@domain.local 6 disabledUser", "twin 7 ambiguousUser", "nobody 8 unknownUser",
		"bob@domain.local 9 invalid", " - invalid", "ada@domain.local - invalid",
	}, got); diff != "" || told.Accepted != 3 || told.Rejected != 8 || told.status != 200 {
		t.Errorf("%d, accepted %d, rejected %d, results (-want +got):\n%s", told.status, told.Accepted, told.Rejected, diff)
	}

	again := w.put(`{"epoch":8,"asOfSeq":0,"items":[]}`)
	if *again.Ended != 1 {
		t.Errorf("ended %d; want bob", *again.Ended)
	}
	w.post(`{"epoch":7,"items":[]}`).wantRefusal(t, 409, "epoch-unknown")
	old := w.put(`{"epoch":7,"asOfSeq":9,"items":[]}`)
	old.wantRefusal(t, 409, "epoch-superseded")
	if old.Epoch() != 8 {
		t.Errorf("the refusal names epoch %d; want 8", old.Epoch())
	}
	w.put(`{"epoch":8,"asOfSeq":40,"items":[]}`)
	w.put(`{"epoch":8,"asOfSeq":39,"items":[]}`).wantRefusal(t, 409, "list-superseded")
}

// Epoch of an answer or a problem: both have the member.
func (a answer) Epoch() int64 { return a.Answer.Epoch }

func TestASilentReporterIsToldThatItsLeaseEnded(t *testing.T) {
	w := newWorld(t)
	w.put(`{"epoch":7,"asOfSeq":3,"items":[{"user":"ada@domain.local","state":"busy","reasons":["call"]}]}`)
	for range 2 {
		if err := w.ledger.Sweep(t.Context(), w.tenant); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(calls.LeaseTime + time.Minute)
		if err := w.st.Upsert(t.Context(), storage.Row{Partition: w.tenant, Key: storage.RowSwept, Values: map[string]any{"at": w.now}}); err != nil {
			t.Fatal(err)
		}
	}
	told := w.post(`{"epoch":7,"items":[{"user":"ada@domain.local","state":"busy","reasons":["call"],"seq":4}]}`)
	told.wantRefusal(t, 409, "complete-list-needed")
	if told.Code != "lease-expired" || !strings.Contains(told.Detail, "5m0s") || !strings.Contains(told.text, `"since"`) {
		t.Errorf("told %s", told.text)
	}
	back := w.put(`{"epoch":7,"asOfSeq":4,"items":[{"user":"ada@domain.local","state":"busy","reasons":["call"]}]}`)
	if back.Expired == nil || back.Expired.Ended != 1 || back.Accepted != 1 {
		t.Errorf("the list after it: %s", back.text)
	}
}

func TestCallsThatAreNotWrittenAreNotStored(t *testing.T) {
	w := newWorld(t)
	w.off = true
	a := w.put(`{"epoch":1,"asOfSeq":0,"items":[{"user":"ada@domain.local","state":"busy","reasons":["call"]}]}`)
	if a.status != 200 || a.Results[0].Result != calls.NotEnabled || a.Rejected != 1 {
		t.Errorf("answer %s", a.text)
	}
	w.off = false
	a = w.post(`{"epoch":1,"items":[]}`)
	a.wantRefusal(t, 409, "complete-list-needed")
	if a.Code != "list-missed" {
		t.Errorf("code %q; want list-missed", a.Code)
	}
}

func TestABatchIsBounded(t *testing.T) {
	w := newWorld(t)
	w.put(`{"epoch":1,"asOfSeq":0,"items":[]}`)
	items := func(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	const short = `{"user":"nobody","state":"busy","seq":1}`
	if a := w.post(`{"epoch":1,"items":[` + items(1000, short) + `]}`); a.status != 200 || len(a.Results) != 1000 {
		t.Errorf("1,000 items: %d, %d results", a.status, len(a.Results))
	}
	over := `{"user":"ada@domain.local","state":"busy","reasons":["call"],"seq":2},` + items(1000, short)
	w.post(`{"epoch":1,"items":[`+over+`]}`).wantRefusal(t, 413, "batch-too-large")
	w.post(`{"epoch":1,"items":[{"user":"ada@domain.local","state":"busy","reasons":["call"],"seq":2},`+items(1000, short[:39]+strings.Repeat(" ", 1100)+"}")+`]}`).wantRefusal(t, 413, "batch-too-large")
	w.put(`{"epoch":1,"asOfSeq":0,"items":[`+items(20_001, "0")+`]}`).wantRefusal(t, 413, "batch-too-large")
	w.put(strings.Repeat(" ", 16<<20+1)).wantRefusal(t, 413, "batch-too-large")
	for person, err := range (storage.Calls{Storage: w.st}).Everybody(t.Context(), w.tenant) {
		t.Errorf("something was kept: %s %v", person.ID, err)
	}
	if a := w.put(`{"epoch":1,"asOfSeq":0,"items":[` + items(20_000, `{"user":"nobody","state":"busy"}`) + `]}`); a.status != 200 || len(a.Results) != 20_000 {
		t.Errorf("a list of 20,000: %d, %d results", a.status, len(a.Results))
	}
}

func TestABodyThatIsNotUnderstoodSaysWhy(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct{ name, method, body, want string }{
		{"nothing", "POST", ``, "empty"},
		{"no JSON", "POST", `epoch=1`, "not JSON"},
		{"half of it", "POST", `{"epoch":1,"items":[`, "not JSON"},
		{"two values", "POST", `{"epoch":1,"items":[]}{}`, "not JSON"},
		{"a list", "POST", `[]`, "must be an object"},
		{"null", "POST", `null`, "epoch: is missing"},
		{"no epoch", "POST", `{"items":[]}`, "epoch: is missing"},
		{"a negative epoch", "POST", `{"epoch":-1,"items":[]}`, "epoch: must be 0 to"},
		{"an epoch that JSON readers round", "POST", `{"epoch":9007199254740992,"items":[]}`, "epoch: must be 0 to"},
		{"an epoch as text", "POST", `{"epoch":"1","items":[]}`, "epoch: must be a whole number"},
		{"a broken epoch", "POST", `{"epoch":1.5,"items":[]}`, "epoch: must be a whole number"},
		{"no items", "POST", `{"epoch":1}`, "items: is missing"},
		{"items that are null", "POST", `{"epoch":1,"items":null}`, "items: is missing"},
		{"items that are no list", "POST", `{"epoch":1,"items":{}}`, "items: must be a list"},
		{"a member that does not exist", "POST", `{"epoch":1,"items":[],"secret-of-ada":1}`, "a member that does not exist"},
		{"asOfSeq in a report", "POST", `{"epoch":1,"asOfSeq":1,"items":[]}`, "asOfSeq: belongs to a complete list"},
		{"no asOfSeq", "PUT", `{"epoch":1,"items":[]}`, "asOfSeq: is missing"},
		{"a negative asOfSeq", "PUT", `{"epoch":1,"asOfSeq":-1,"items":[]}`, "asOfSeq: must be 0 to"},
		{"everything at once", "PUT", `{}`, "epoch: is missing\nasOfSeq: is missing\nitems: is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.do(tt.method, tt.body, nil)
			a.wantRefusal(t, 400, "bad-request")
			if !strings.Contains(a.Detail, tt.want) || strings.Contains(a.Detail, "ada") {
				t.Errorf("detail %q; want %q", a.Detail, tt.want)
			}
		})
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset"} {
		w.do("POST", `{"epoch":1,"items":[]}`, http.Header{"Content-Type": {kind}}).wantRefusal(t, 400, "bad-request")
	}
	w.put(`{"epoch":1,"asOfSeq":0,"items":[]}`)
	if a := w.do("POST", `{"epoch":1,"items":[]}`, http.Header{"Content-Type": {"Application/JSON; charset=utf-8"}}); a.status != 200 {
		t.Errorf("with a charset: %d %s", a.status, a.text)
	}
}

func TestOnlyReportersMayReport(t *testing.T) {
	w := newWorld(t)
	w.do("POST", `{}`, http.Header{"Authorization": {"Basic x"}}).wantRefusal(t, 401, "credential-missing")
	reporter := w.token
	w.token = w.credential(access.Read)
	w.post(`{}`).wantRefusal(t, 403, "scope-missing")
	w.token = reporter
	for _, method := range []string{"GET", "DELETE", "PATCH"} {
		if a := w.do(method, `{}`, nil); a.status != 405 || a.header.Get("Allow") != "POST, PUT" {
			t.Errorf("%s = %d, Allow %q", method, a.status, a.header.Get("Allow"))
		}
	}
}

func TestWhatIsNotTheReportersFaultIsToldAsSuch(t *testing.T) {
	w := newWorld(t)
	w.put(`{"epoch":1,"asOfSeq":0,"items":[]}`)
	const body = `{"epoch":1,"items":[{"user":"ada@domain.local","state":"busy","reasons":["call"],"seq":1}]}`
	w.ref = directory.Ref{}
	w.post(body).wantRefusal(t, 503, "people-unknown")
	w.ref = directory.Ref{Blob: "people"}
	w.broken = errors.New("storage does not answer")
	w.post(body).wantRefusal(t, 503, "storage-unreachable")
	w.broken = calls.ErrChanged
	busy := w.post(body)
	busy.wantRefusal(t, 503, "busy")
	if busy.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.broken = nil
	if a := w.post(body); a.status != 200 || a.Results[0].Result != calls.Accepted {
		t.Errorf("the same request again: %d %s", a.status, a.text)
	}
	if text := w.log.String(); strings.Contains(text, "ada") {
		t.Errorf("a name is in the log:\n%s", text)
	}
}

func TestTheAnswerHoldsWhatTheContractSays(t *testing.T) {
	w := newWorld(t)
	a := w.post(`{"epoch":1,"items":[]}`)
	if a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("header of a refusal: %v", a.header)
	}
	w.put(`{"epoch":1,"asOfSeq":0,"items":[]}`)
	a = w.post(`{"epoch":1,"items":[]}`)
	if strings.Contains(a.text, `"ended"`) || strings.Contains(a.text, `"expired"`) || !strings.Contains(a.text, `"results":[]`) {
		t.Errorf("a renewal is answered with %s", a.text)
	}
}

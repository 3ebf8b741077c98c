package ucserver_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/dev/ucserver"
)

// script is a bridge that answers one request after the other as written; the
// last answer repeats.
type script struct {
	mu      sync.Mutex
	answers []func(w http.ResponseWriter, r *http.Request)
	asked   []string // path and query
	tokens  []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/v1/telephony" { // no part of the script
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path+"?"+r.URL.RawQuery)
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	next := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	s.mu.Unlock()
	next(w, r)
}

func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func ok(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Accept-Encoding") != "gzip" {
			_, _ = io.WriteString(w, body)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, body)
		_ = z.Close()
	}
}

func refuse(status int, retryAfter string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"type":"https://example.com/problems/x","title":"problem %d","status":%d}`, status, status)
	}
}

func list(epoch, cursor, next string, items ...string) func(http.ResponseWriter, *http.Request) {
	return ok(fmt.Sprintf(`{"epoch":%q,"cursor":%q,"nextPageToken":%q,"asOf":"2026-11-24T08:00:00Z","stale":false,"staleReason":"","health":{"status":"ok"},"items":[%s]}`,
		epoch, cursor, next, strings.Join(items, ",")))
}

func changes(epoch, cursor string, items ...string) func(http.ResponseWriter, *http.Request) {
	return ok(fmt.Sprintf(`{"epoch":%q,"cursor":%q,"asOf":"2026-11-24T08:00:01Z","stale":false,"staleReason":"","health":{"status":"ok"},"changes":[%s]}`,
		epoch, cursor, strings.Join(items, ",")))
}

// poll runs a poller against the answers until done says so.
func poll(t *testing.T, done func(*ucserver.Poller) bool, answers ...func(http.ResponseWriter, *http.Request)) (*ucserver.Poller, *script) {
	t.Helper()
	bridge := &script{answers: answers}
	server := httptest.NewServer(bridge)
	defer server.Close()
	p := &ucserver.Poller{BaseURL: server.URL + "/", Token: "ptb_acme_0123456789", Wait: -1, Interval: time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = p.Run(ctx) }()
	for !done(p) && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	failed := ctx.Err()
	cancel()
	<-stopped
	if failed != nil {
		t.Errorf("the poller did not get there: holds %q, status %+v", people(p.Inbox()), p.Status())
	}
	return p, bridge
}

func until(want string) func(*ucserver.Poller) bool {
	return func(p *ucserver.Poller) bool { return people(p.Inbox()) == want }
}

func TestThePollerListsAllPagesAndWatchesFromTheFirstCursor(t *testing.T) {
	p, bridge := poll(t, until("ada=Available cleo=InACall"),
		list("e", "c1", "p2", presence("1.1", "ada", "InACall")),
		list("e", "c2", "", presence("4.1", "bob", "InACall")), // newer than the first page
		changes("e", "c3", presence("3.1", "bob", "Available"), presence("4.1", "bob", "InACall")),
		changes("e", "c4", presence("5.1", "ada", "Available"), removed("5.2", "bob"), presence("5.3", "cleo", "InACall")),
		changes("e", "c4"))
	asked := bridge.requests()
	for i, want := range []url.Values{
		{"limit": {"1000"}}, {"limit": {"1000"}, "pageToken": {"p2"}}, {"cursor": {"c1"}, "limit": {"1000"}, "wait": {"0"}}, {"cursor": {"c3"}, "limit": {"1000"}, "wait": {"0"}},
	} {
		path := "/api/v1/presence"
		if i > 1 {
			path += "/changes"
		}
		if asked[i] != path+"?"+want.Encode() {
			t.Errorf("request %d is %s; want %s?%s", i, asked[i], path, want.Encode())
		}
	}
	if bridge.tokens[0] != "Bearer ptb_acme_0123456789" {
		t.Errorf("Authorization is %q", bridge.tokens[0])
	}
	v, status := p.Inbox().View(), p.Status()
	if v.Counters.Reordered != 0 || v.Counters.Duplicates != 0 || v.Counters.Snapshots != 1 || status.Gzip != status.Answers || status.Answers < 4 {
		t.Errorf("counters %+v, status %+v", v.Counters, status)
	}
	if got := p.Inbox().Violations(); len(got) > 0 {
		t.Errorf("breaches: %q", got)
	}
	if string(v.Health) != `{"status":"ok"}` {
		t.Errorf("health is %s", v.Health)
	}
}

func TestGoneMeansANewSnapshot(t *testing.T) {
	p, _ := poll(t, until("bob=InACall"),
		list("e", "c1", "", presence("1.1", "ada", "InACall")),
		refuse(410, ""),
		list("f", "c1", "p2", presence("1.1", "ada", "InACall")),
		refuse(410, ""), // while paging
		list("f", "c9", "", presence("1.1", "bob", "InACall")),
		changes("f", "c9"))
	if got := p.Status(); got.Gone != 2 || got.Faults != 0 {
		t.Errorf("status is %+v", got)
	}
	if got := p.Inbox().Violations(); len(got) > 0 {
		t.Errorf("breaches: %q", got)
	}
}

func TestThePollerOutlivesEveryRefusal(t *testing.T) {
	p, _ := poll(t, until("ada=Available"),
		refuse(401, ""), refuse(403, ""), refuse(503, ""),
		list("e", "c1", "", presence("1.1", "ada", "InACall")),
		refuse(429, ""), refuse(500, ""),
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		changes("e", "c2", presence("2.1", "ada", "Available")),
		changes("e", "c2"))
	// net/http may repeat the request of the cut connection by itself.
	if got := p.Status(); got.Faults < 6 || got.LastFault != "" {
		t.Errorf("status is %+v", got)
	}
	if got := p.Inbox().Violations(); len(got) > 0 {
		t.Errorf("breaches: %q", got)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	begin := time.Now()
	poll(t, until("ada=InACall"), refuse(429, "1"), list("e", "c1", "", presence("1.1", "ada", "InACall")), changes("e", "c1"))
	if waited := time.Since(begin); waited < time.Second {
		t.Errorf("came back after %s", waited)
	}
}

func TestBreachesOfThePollContractAreNoted(t *testing.T) {
	first := list("e", "c1", "", presence("1.1", "ada", "InACall"))
	for name, answers := range map[string][]func(http.ResponseWriter, *http.Request){
		"no cursor in a list":      {list("e", "", ""), first, changes("e", "c1")},
		"another epoch":            {first, changes("f", "c2"), first, changes("e", "c1")},
		"no cursor":                {first, changes("e", ""), first, changes("e", "c1")},
		"ids that fall":            {first, changes("e", "c2", presence("3.1", "bob", "InACall"), presence("2.1", "ada", "InACall")), changes("e", "c2")},
		"changes with a still one": {first, changes("e", "c1", presence("3.1", "bob", "InACall")), changes("e", "c1")},
		"a refusal without words":  {first, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, changes("e", "c1")},
		"no JSON":                  {first, ok("<html>"), changes("e", "c1")},
		"a removal in a list":      {list("e", "c1", "", removed("1.1", "ada")), changes("e", "c1")},
	} {
		t.Run(name, func(t *testing.T) {
			poll(t, func(p *ucserver.Poller) bool { return len(p.Inbox().Violations()) > 0 }, answers...)
		})
	}
}

func TestAPersonConnectsOnThePage(t *testing.T) {
	bridge := httptest.NewServer(&script{answers: []func(http.ResponseWriter, *http.Request){
		list("e", "c1", "", presence("1.1", "<ada>", "InACall"), presence("1.2", "bob", "Available")), changes("e", "c1"),
	}})
	defer bridge.Close()
	s, err := ucserver.New(ucserver.Config{BridgeURL: bridge.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server := httptest.NewServer(s)
	defer server.Close()
	get := func(path string) string {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		got, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = got.Body.Close() }()
		raw, _ := io.ReadAll(got.Body)
		if got.StatusCode != 200 {
			t.Fatalf("%s answered %d %s", path, got.StatusCode, raw)
		}
		return string(raw)
	}
	submit := func(path string, form url.Values, want int) {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(form.Encode()))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		if got.StatusCode != want {
			t.Fatalf("%s answered %d; want %d", path, got.StatusCode, want)
		}
	}
	if page := get("/"); !strings.Contains(page, `id="unheard"`) || strings.Contains(page, "<script") {
		t.Errorf("an unconnected page is %s", page)
	}
	submit("/_control/secret", url.Values{"secret": {"nonsense"}}, 400)
	submit("/_control/secret", url.Values{"secret": {" " + secret + " "}}, 200)
	submit("/_control/connect", url.Values{"bridge": {bridge.URL}, "token": {""}}, 400)
	submit("/_control/connect", url.Values{"bridge": {bridge.URL}, "token": {"ptb_acme_0123456789"}}, 200)

	deadline := time.Now().Add(10 * time.Second)
	for len(s.Poller().Inbox().View().People) == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	page := get("/?via=poll")
	for _, want := range []string{"&lt;ada&gt;", "busy (call)", `class="dot red"`, "nothing from Teams", "Busy / InACall", `name="viewport"`, `http-equiv="refresh"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
	if found := get("/?via=poll&q=BOB&refresh=off"); strings.Contains(found, "ada") || strings.Contains(found, "http-equiv") {
		t.Errorf("looking for bob shows %s", found)
	}
	for _, path := range []string{"/", "/connect", "/_control/state"} {
		if body := get(path); strings.Contains(body, secret) || strings.Contains(body, "0123456789") {
			t.Errorf("%s shows a secret", path)
		}
	}
	var state ucserver.State
	if err := json.Unmarshal([]byte(get("/_control/state")), &state); err != nil || state.Poll == nil || state.Polls.Answers == 0 {
		t.Errorf("state is %+v, %v", state, err)
	}
	if !strings.Contains(get("/style.css"), "color-scheme: light dark") {
		t.Error("no dark mode")
	}
}

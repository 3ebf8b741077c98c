package ucserver_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/dev/ucserver"
)

// ledger is the bridge's side of the telephony contract, as small as it can be:
// one reporter, kept in memory.
type ledger struct {
	mu     sync.Mutex
	t      *testing.T
	epoch  int64
	opened bool
	need   bool // the lease has ended: a complete list first
	held   map[string]report
	posts  []string // bodies of POSTs with items
	lists  int
	beats  int
	// disturb may answer a request instead; it is asked before and after the work.
	disturb func(r *http.Request, done bool) func(http.ResponseWriter)
}

type report struct {
	User     string    `json:"user"`
	State    string    `json:"state"`
	Reasons  []string  `json:"reasons"`
	External bool      `json:"external"`
	Since    time.Time `json:"since"`
	Seq      int64     `json:"seq"`
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.URL.Path != "/api/v1/telephony" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer ptb_x_y" {
		l.t.Errorf("asked %s %s with %v", r.Method, r.URL.Path, r.Header)
	}
	body, _ := io.ReadAll(r.Body)
	if l.disturb != nil {
		if answer := l.disturb(r, false); answer != nil {
			answer(w)
			return
		}
	}
	answer := l.take(r.Method, body)
	if l.disturb != nil {
		if other := l.disturb(r, true); other != nil {
			answer = other
		}
	}
	answer(w)
}

func (l *ledger) take(method string, body []byte) func(http.ResponseWriter) {
	var in struct {
		Epoch   int64    `json:"epoch"`
		AsOfSeq *int64   `json:"asOfSeq"`
		Items   []report `json:"items"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Items == nil || (in.AsOfSeq != nil) != (method == "PUT") {
		l.t.Errorf("%s with %s: %v", method, body, err)
	}
	switch {
	case method == "PUT" && l.opened && in.Epoch < l.epoch:
		return problem(409, "epoch-superseded", l.epoch)
	case method == "PUT":
		l.lists++
		if in.Epoch > l.epoch {
			l.held = map[string]report{}
		}
		for user, r := range l.held {
			if r.Seq <= *in.AsOfSeq {
				delete(l.held, user)
			}
		}
		l.epoch, l.opened, l.need = in.Epoch, true, false
	case !l.opened || in.Epoch != l.epoch:
		return problem(409, "epoch-unknown", l.epoch)
	case l.need:
		return problem(409, "complete-list-needed", l.epoch)
	case len(in.Items) == 0:
		l.beats++
	default:
		l.posts = append(l.posts, string(body))
	}
	results := []map[string]any{}
	for _, r := range in.Items {
		result := "accepted"
		if before, ok := l.held[r.User]; ok && before.Seq >= r.Seq {
			result = "outdated"
			if before.Seq == r.Seq {
				result = "unchanged"
			}
		} else {
			l.held[r.User] = r
		}
		results = append(results, map[string]any{"user": r.User, "seq": r.Seq, "result": result})
	}
	epoch := l.epoch
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"epoch": epoch, "lease": map[string]any{"until": time.Now().Add(5 * time.Minute), "seconds": 300},
			"results": results, "accepted": len(results), "rejected": 0, "ended": 0,
		})
	}
}

func problem(status int, kind string, epoch int64) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"type":"/problems/%s","title":"x","status":%d,"epoch":%d}`, kind, status, epoch)
	}
}

func cut(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// reporting starts a ledger and a reporter that is connected to it.
func reporting(t *testing.T, r *ucserver.Reporter) *ledger {
	t.Helper()
	l := &ledger{t: t, held: map[string]report{}}
	server := httptest.NewServer(l)
	r.BaseURL, r.Token, r.MinBackoff, r.MaxBackoff = server.URL, "ptb_x_y", time.Millisecond, 5*time.Millisecond
	r.Collect = cmp.Or(r.Collect, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		server.Close()
		if breaches := r.Violations(); len(breaches) > 0 {
			t.Errorf("breaches: %q", breaches)
		}
	})
	return l
}

func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for range 1000 {
		if reached() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s: not within 5 s", what)
}

// agree waits until everything was said, and compares with what the bridge holds.
func (l *ledger) agree(t *testing.T, r *ucserver.Reporter) {
	t.Helper()
	eventually(t, "the reporter is idle", r.Idle)
	l.mu.Lock()
	defer l.mu.Unlock()
	on := r.OnPhone()
	for user, since := range on {
		if got := l.held[user]; got.State != "busy" || got.External || !got.Since.Equal(since) {
			t.Errorf("%s is on the phone since %v, and the bridge holds %+v", user, since, got)
		}
	}
	for user, got := range l.held {
		if _, is := on[user]; !is && len(got.Reasons) > 0 && !got.External {
			t.Errorf("%s is free, and the bridge holds %+v", user, got)
		}
	}
}

func TestAReporterBeginsWithTheCompleteListAndGoesOnWithChanges(t *testing.T) {
	r := &ucserver.Reporter{}
	r.StartCall("ada")
	l := reporting(t, r)
	eventually(t, "the list is there", func() bool { return r.Status().Lists == 1 })
	r.StartCall("bob")
	r.EndCall("ada")
	l.agree(t, r)
	r.EndCall("bob")
	r.EndCall("bob") // there is none
	l.agree(t, r)
	if l.lists != 1 || len(l.posts) == 0 {
		t.Errorf("%d lists and %d batches", l.lists, len(l.posts))
	}
	log := r.Log()
	if len(log) != 4 || log[3].OnPhone || log[3].Sent.Before(log[3].At) {
		t.Errorf("the log is %+v", log)
	}
}

func TestALostAnswerIsAskedForWithTheSameBytes(t *testing.T) {
	r := &ucserver.Reporter{}
	l := reporting(t, r)
	eventually(t, "the list is there", r.Idle)
	lost := 3
	l.mu.Lock()
	l.disturb = func(q *http.Request, done bool) func(http.ResponseWriter) {
		if done && q.Method == "POST" && lost > 0 {
			lost--
			return cut
		}
		return nil
	}
	l.mu.Unlock()
	r.StartCall("ada")
	eventually(t, "the first is lost", func() bool { return r.Status().Faults > 0 })
	r.EndCall("ada")
	l.agree(t, r)
	if len(l.posts) != 5 || l.posts[0] != l.posts[1] || l.posts[0] != l.posts[3] || l.posts[0] == l.posts[4] {
		t.Errorf("the batches were %q", l.posts)
	}
	if got := r.Status().Results; got["outdated"] > 0 || got["unchanged"] != 1 {
		t.Errorf("the results are %v", got)
	}
}

func TestARestartOpensAHigherEpochAndCallsGoOn(t *testing.T) {
	r := &ucserver.Reporter{}
	l := reporting(t, r)
	r.StartCall("ada")
	r.StartCall("bob")
	l.agree(t, r)
	before := r.Status().Epoch
	r.EndCall("bob")
	r.Restart()
	l.agree(t, r)
	if r.Status().Epoch <= before || l.epoch != r.Status().Epoch || l.lists != 2 {
		t.Errorf("epoch %d after %d, the bridge has %d after %d lists", r.Status().Epoch, before, l.epoch, l.lists)
	}
	r.StartCall("bob")
	l.agree(t, r)
}

func TestACompleteListIsSentWhenTheBridgeAsks(t *testing.T) {
	for name, ask := range map[string]func(*ledger){
		"the lease has ended":    func(l *ledger) { l.need, l.held = true, map[string]report{} },
		"the epoch is forgotten": func(l *ledger) { l.opened, l.epoch, l.held = false, 0, map[string]report{} },
		"a newer one is there":   func(l *ledger) { l.epoch += 1 << 40; l.held = map[string]report{} },
	} {
		t.Run(name, func(t *testing.T) {
			r := &ucserver.Reporter{}
			l := reporting(t, r)
			r.StartCall("ada")
			l.agree(t, r)
			l.mu.Lock()
			ask(l)
			l.mu.Unlock()
			r.StartCall("bob")
			l.agree(t, r)
			if l.lists != 2 {
				t.Errorf("there were %d lists", l.lists)
			}
		})
	}
}

func TestSilenceSaysNothingAndSpeakingTellsWhatHappened(t *testing.T) {
	r := &ucserver.Reporter{Heartbeat: 30 * time.Millisecond}
	l := reporting(t, r)
	eventually(t, "heartbeats come", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.beats >= 2 })
	r.Silence()
	asked := r.Status().Requests
	r.StartCall("ada")
	time.Sleep(100 * time.Millisecond)
	if now := r.Status().Requests; now > asked+1 { // one may have been on its way
		t.Errorf("%d requests during the silence", now-asked)
	}
	r.Speak()
	l.agree(t, r)
}

func TestWhatTeamsContributesIsShownAndMarked(t *testing.T) {
	busy := "busy"
	teams := func(user string, state *string, reasons ...string) ucserver.Change {
		return ucserver.Change{Type: "presence", User: user, ProCall: &ucserver.ProCall{State: state, Reasons: reasons}}
	}
	for _, unmarked := range []bool{false, true} {
		t.Run(fmt.Sprintf("unmarked %v", unmarked), func(t *testing.T) {
			r := &ucserver.Reporter{Unmarked: func(string) bool { return unmarked }}
			l := reporting(t, r)
			shows := func(want report) {
				t.Helper()
				eventually(t, "the reporter is idle", r.Idle)
				l.mu.Lock()
				defer l.mu.Unlock()
				if got := l.held["ada"]; got.State != want.State || len(got.Reasons) != len(want.Reasons) || got.External != want.External {
					t.Errorf("the bridge holds %+v; want %+v", got, want)
				}
			}
			r.Teams(teams("ada", &busy, "call"))
			shows(report{State: "busy", Reasons: []string{"call"}, External: !unmarked})
			r.StartCall("ada")
			shows(report{State: "busy", Reasons: []string{"call"}})
			r.EndCall("ada")
			shows(report{State: "busy", Reasons: []string{"call"}, External: !unmarked})
			r.Restart()
			shows(report{State: "busy", Reasons: []string{"call"}, External: !unmarked})
			r.Teams(teams("ada", nil))
			shows(report{State: "available"})
			if len(r.OnPhone()) != 0 {
				t.Error("a state of Teams counts as a call")
			}
		})
	}
}

func TestAResultThatBreaksTheContractIsNoted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Epoch int64            `json:"epoch"`
			Items []map[string]any `json:"items"`
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		results := []map[string]any{}
		for _, i := range in.Items {
			results = append(results, map[string]any{"user": i["user"], "seq": i["seq"], "result": "outdated"})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"epoch": in.Epoch, "lease": map[string]any{"until": time.Now().Add(time.Minute)}, "results": results})
	}))
	defer server.Close()
	r := &ucserver.Reporter{BaseURL: server.URL, Token: "t"}
	r.StartCall("ada")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = r.Run(ctx) }()
	eventually(t, "the breach is noted", func() bool { return len(r.Violations()) == 1 })
}

func TestAPersonStartsAndEndsCallsOnThePage(t *testing.T) {
	l := &ledger{t: t, held: map[string]report{}}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/telephony", l)
	mux.HandleFunc("/api/v1/presence", list("e", "c1", "", presence("1.1", "ada", "Available")))
	mux.HandleFunc("/api/v1/presence/changes", changes("e", "c1"))
	bridge := httptest.NewServer(mux)
	defer bridge.Close()
	s, err := ucserver.New(ucserver.Config{BridgeURL: bridge.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	page := httptest.NewServer(s)
	defer page.Close()
	post := func(path string, form url.Values) string {
		answer, err := http.PostForm(page.URL+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, _ := io.ReadAll(answer.Body)
		return fmt.Sprint(answer.StatusCode, " ", string(body))
	}
	if got := post("/_control/call", url.Values{"user": {"ada"}, "on": {"true"}}); !strings.HasPrefix(got, "400") {
		t.Errorf("before it is connected: %s", got)
	}
	if err := s.Connect("", "ptb_x_y"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ada is listed", func() bool {
		s := s.State(false)
		return s.Poll != nil && len(s.Poll.People) == 1
	})
	got := post("/_control/call", url.Values{"user": {"ada"}, "on": {"true"}, "via": {"poll"}, "refresh": {"off"}})
	if !strings.Contains(got, "End the call of ada") || !strings.Contains(got, `<dd id="onphone">1</dd>`) || strings.Contains(got, `http-equiv="refresh"`) {
		t.Errorf("after the button: %s", got)
	}
	l.agree(t, s.Reporter())
	if got := post("/_control/call", url.Values{"user": {"ada"}, "on": {"false"}, "via": {"poll"}}); !strings.Contains(got, "Start a call of ada") {
		t.Errorf("after the second button: %s", got)
	}
	l.agree(t, s.Reporter())
	if got := post("/_control/telephony", url.Values{"do": {"dance"}}); !strings.HasPrefix(got, "400") {
		t.Errorf("an unknown word: %s", got)
	}
	post("/_control/telephony", url.Values{"do": {"restart"}})
	eventually(t, "a second list is sent", func() bool { return s.Reporter().Status().Lists == 2 })
}

package ucserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"procallteams/dev/ucserver"
)

func TestChangesAreAppliedInOrderOfTheirIds(t *testing.T) {
	s := start(t)
	s.push(t, 200, s.changes("e", "0.0", "1.2", presence("1.1", "ada", "InACall"), presence("1.2", "bob", "Available")))
	s.push(t, 200, s.changes("e", "1.2", "10.1", presence("2.1", "bob", "InACall"), presence("10.1", "ada", "Available")))
	s.holds(t, "ada=Available bob=InACall")
	s.push(t, 200, s.changes("e", "10.1", "10.2", removed("10.2", "bob")))
	s.holds(t, "ada=Available")
	if v := s.Inbox().View(); v.Epoch != "e" || v.Position.String() != "10.2" || v.Counters.Applied != 5 || v.Counters.Duplicates+v.Counters.Reordered != 0 {
		t.Errorf("view is %+v", v)
	}
	s.faultless(t)
}

func TestALateDeliveryIsAnsweredAndIgnored(t *testing.T) {
	s := start(t)
	first := s.changes("e", "0.0", "2.1", presence("1.1", "ada", "InACall"), presence("2.1", "bob", "InACall"))
	s.push(t, 200, s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall")))
	s.push(t, 200, first) // overlaps: the old part counts as seen, the new one is taken
	s.push(t, 200, s.changes("e", "2.1", "3.1", presence("3.1", "ada", "Available")))
	s.push(t, 200, s.changes("e", "0.0", "2.1", presence("1.1", "ada", "InACall"), presence("2.1", "bob", "InACall")))
	s.holds(t, "ada=Available bob=InACall")
	if got := s.Inbox().View().Counters; got.Duplicates != 3 || got.Reordered != 0 {
		t.Errorf("counters are %+v", got)
	}
	if got := s.Pushes().Ignored; got != 1 {
		t.Errorf("%d deliveries are ignored", got)
	}
}

func TestALateDeliveryDoesNotBringBackAForgottenUser(t *testing.T) {
	s := start(t)
	s.push(t, 200, s.part("e", "s1", 1, 1, "9.1", presence("9.1", "bob", "InACall")))
	s.push(t, 200, s.changes("e", "3.1", "4.1", presence("4.1", "ada", "InACall")))
	s.holds(t, "bob=InACall")
}

func TestAnUnseenLowerChangeIsCountedAsReordered(t *testing.T) {
	s := start(t)
	s.push(t, 200, s.changes("e", "0.0", "3.1", presence("3.1", "ada", "InACall")))
	s.push(t, 200, s.changes("e", "0.0", "2.1", presence("2.1", "ada", "Available")))
	if got := s.Inbox().View().Counters; got.Reordered != 1 || got.Duplicates != 0 {
		t.Errorf("counters are %+v", got)
	}
	log := s.Inbox().Log()
	if len(log) != 2 || !log[1].Reordered || log[1].Applied {
		t.Errorf("log is %+v", log)
	}
}

func TestAGapOrAnotherEpochNeedsASnapshot(t *testing.T) {
	s := start(t)
	s.push(t, 409, s.changes("e", "7.1", "8.1", presence("8.1", "ada", "InACall")))
	s.push(t, 200, s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall")))
	s.push(t, 409, s.changes("e", "2.1", "3.1", presence("3.1", "ada", "Available")))
	s.push(t, 409, s.changes("f", "0.0", "1.1", presence("1.1", "ada", "Available")))
	s.holds(t, "ada=InACall")
	s.push(t, 200, s.part("f", "s1", 1, 1, "1.1", presence("1.1", "bob", "Available")))
	s.holds(t, "bob=Available")
	s.push(t, 200, s.changes("f", "1.1", "2.1", presence("2.1", "bob", "InACall")))
	s.holds(t, "bob=InACall")
	s.faultless(t)
}

func TestASnapshotReplacesAfterItsLastPart(t *testing.T) {
	s := start(t)
	s.push(t, 200, s.changes("e", "0.0", "1.2", presence("1.1", "ada", "InACall"), presence("1.2", "bob", "Available")))
	s.push(t, 200, s.part("e", "s1", 1, 3, "5.1", presence("5.1", "ada", "Available")))
	s.holds(t, "ada=InACall bob=Available")
	s.push(t, 409, s.part("e", "s1", 3, 3, "5.1"))
	s.push(t, 409, s.part("e", "s0", 2, 3, "5.1"))
	s.push(t, 200, s.part("e", "s2", 1, 2, "6.1", presence("5.1", "ada", "Available"))) // voids s1
	s.push(t, 409, s.part("e", "s1", 2, 3, "5.1"))
	s.push(t, 200, s.part("e", "s2", 2, 2, "6.1", presence("6.1", "cleo", "InACall")))
	s.holds(t, "ada=Available cleo=InACall")
	if got := s.Inbox().View().Position.String(); got != "6.1" {
		t.Errorf("position is %s", got)
	}
	s.push(t, 200, s.part("e", "s2", 2, 2, "6.1", presence("6.1", "cleo", "InACall"))) // its 2xx was lost
	s.push(t, 200, s.changes("e", "6.1", "7.1", removed("7.1", "cleo")))
	s.holds(t, "ada=Available")
}

func TestOnlyAFreshSignatureOverTheseBytesIsAccepted(t *testing.T) {
	s := start(t)
	body := s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall"))
	for name, c := range map[string]struct {
		id   string
		at   time.Time
		key  string
		want int
	}{
		"another secret":     {"m1", s.now(), other, 401},
		"six minutes old":    {"m2", s.now().Add(-6 * time.Minute), secret, 400},
		"six minutes early":  {"m3", s.now().Add(6 * time.Minute), secret, 400},
		"id with full stops": {"acme.1.2", s.now(), secret, 400},
		"id too long":        {strings.Repeat("x", 65), s.now(), secret, 400},
	} {
		s.secret = c.key
		if got := s.deliver(t, c.id, c.at, body); got.status != c.want || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s; want %d", name, got.status, got.body, c.want)
		}
	}
	s.holds(t, "")
	s.secret = other
	if err := s.SetSecrets(secret, other); err != nil {
		t.Fatal(err)
	}
	s.push(t, 200, body)
	s.holds(t, "ada=InACall")
}

func TestSecretsHaveTheStandardForm(t *testing.T) {
	s := start(t)
	for _, bad := range []string{"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_%%%", "whsec_" + strings.Repeat("QUJD", 30)} {
		if err := s.SetSecrets(bad); err == nil || bad != "" && strings.Contains(err.Error(), strings.TrimPrefix(bad, "whsec_")) {
			t.Errorf("secret %q gives %v", bad, err)
		}
	}
}

func TestClockSkewIsSeenInTheDateHeader(t *testing.T) {
	s := start(t)
	s.SetSkew(6 * time.Minute)
	got := s.deliver(t, "m1", s.now(), s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall")))
	date, err := http.ParseTime(got.header.Get("Date"))
	if got.status != 400 || err != nil || date.Sub(s.now()) != 6*time.Minute {
		t.Errorf("a skewed receiver answers %d, Date %s", got.status, date)
	}
}

func TestMalformedPushesAreRefusedAndNoted(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON":               `{`,
		"unknown type":          `{"type":"x","tenant":"t","consumer":"c","epoch":"e","to":"1.1","asOf":"2026-11-24T08:00:00Z","changes":[]}`,
		"no asOf":               `{"type":"presence.changes","tenant":"t","consumer":"c","epoch":"e","from":"0.0","to":"1.1","changes":[]}`,
		"no changes":            `{"type":"presence.changes","tenant":"t","consumer":"c","epoch":"e","from":"0.0","to":"1.1","asOf":"2026-11-24T08:00:00Z"}`,
		"an id outside":         (&sender{clock: newClock()}).changes("e", "0.0", "1.1", presence("2.1", "ada", "InACall")),
		"ids that fall":         (&sender{clock: newClock()}).changes("e", "0.0", "1.2", presence("1.2", "ada", "InACall"), presence("1.1", "bob", "InACall")),
		"an id of another form": (&sender{clock: newClock()}).changes("e", "0.0", "1.2", presence("1.02", "ada", "InACall")),
		"no user":               (&sender{clock: newClock()}).changes("e", "0.0", "1.1", presence("1.1", "", "InACall")),
		"no procall":            (&sender{clock: newClock()}).changes("e", "0.0", "1.1", `{"id":"1.1","type":"presence","user":"ada","availability":"Busy","activity":"Busy","source":"teams","observedAt":"2026-11-24T08:00:00Z"}`),
		"an odd reason":         (&sender{clock: newClock()}).changes("e", "0.0", "1.1", `{"id":"1.1","type":"removed","user":"ada","reason":"whim"}`),
		"backwards":             (&sender{clock: newClock()}).changes("e", "2.1", "1.1"),
		"part 0":                (&sender{clock: newClock()}).part("e", "s", 0, 1, "1.1"),
		"removal in a snapshot": (&sender{clock: newClock()}).part("e", "s", 1, 1, "1.1", removed("1.1", "ada")),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.push(t, 400, body)
			if len(s.Inbox().Violations()) != 1 {
				t.Errorf("breaches: %q", s.Inbox().Violations())
			}
			s.holds(t, "")
		})
	}
}

func TestLargePushesAreRefused(t *testing.T) {
	s := start(t)
	var list []string
	for i := range 501 {
		list = append(list, removed(fmt.Sprintf("1.%d", i+1), fmt.Sprintf("u%d", i)))
	}
	s.push(t, 400, s.changes("e", "0.0", "1.501", list...))
	s.push(t, 200, s.changes("e", "0.0", "1.500", list[:500]...))
	s.push(t, 413, s.changes("e", "1.500", "2.1", presence("2.1", strings.Repeat("x", 256<<10), "InACall")))
}

func TestAnotherTenantsPushIsRefused(t *testing.T) {
	s := start(t)
	s.push(t, 200, s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall")))
	s.push(t, 403, strings.Replace(s.changes("e", "1.1", "2.1", presence("2.1", "eve", "InACall")), tenant, "11111111-1111-4111-8111-111111111111", 1))
	s.holds(t, "ada=InACall")
}

func TestARetryKeepsIdAndChanges(t *testing.T) {
	s := start(t)
	body := s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall"))
	for range 2 {
		s.deliver(t, "m1", s.now(), body)
		s.forward(6 * time.Minute)
	}
	s.faultless(t)
	for want, c := range []struct{ id, body string }{
		{"m2", body},
		{"m1", s.changes("e", "0.0", "1.1", presence("1.1", "ada", "Available"))},
		{"m1", s.changes("e", "1.1", "2.1", presence("2.1", "ada", "Available"))},
	} {
		s.deliver(t, c.id, s.now(), c.body)
		if got := s.Inbox().Violations(); len(got) != want+1 {
			t.Errorf("after case %d the breaches are %q", want, got)
		}
	}
	// Two heartbeats of one place share their range, not their asOf.
	before := len(s.Inbox().Violations())
	s.deliver(t, "m9", s.now(), s.changes("e", "2.1", "2.1"))
	s.forward(time.Minute)
	s.deliver(t, "m9", s.now(), s.changes("e", "2.1", "2.1"))
	if len(s.Inbox().Violations()) != before {
		t.Errorf("heartbeats are breaches: %q", s.Inbox().Violations())
	}
}

func TestSilenceWithdrawsAndAHeartbeatRestores(t *testing.T) {
	s := start(t)
	busy := func() bool { p := s.Inbox().View().People[0]; return p.ProCall.State != nil }
	s.push(t, 200, s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall")))
	s.forward(10*time.Minute - time.Second)
	if !busy() {
		t.Error("withdrawn too early")
	}
	s.push(t, 200, s.changes("e", "1.1", "1.1"))
	s.forward(10 * time.Minute)
	if v := s.Inbox().View(); busy() || !v.Withdrawn {
		t.Error("still busy after ten minutes of silence")
	}
	// What is not valid is not heard.
	s.secret = other
	s.push(t, 401, s.changes("e", "1.1", "1.1"))
	s.secret = secret
	if busy() {
		t.Error("a forged push counts as heard")
	}
	s.push(t, 200, s.changes("e", "1.1", "1.1"))
	if v := s.Inbox().View(); !busy() || v.Withdrawn || !v.AsOf.Equal(s.now()) || v.Counters.Heartbeats != 2 {
		t.Errorf("after a heartbeat: %+v", v)
	}
}

func TestFaultsOfTheReceiver(t *testing.T) {
	s := start(t)
	body := s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall"))
	for _, c := range []struct {
		fault ucserver.Fault
		check func(answer) bool
	}{
		{ucserver.Fault{Kind: ucserver.Status, Status: 503, RetryAfter: 120}, func(a answer) bool { return a.status == 503 && a.header.Get("Retry-After") == "120" }},
		{ucserver.Fault{Kind: ucserver.Status, Status: 429}, func(a answer) bool { return a.status == 429 && a.header.Get("Retry-After") == "" }},
		{ucserver.Fault{Kind: ucserver.Status, Status: 410}, func(a answer) bool { return a.status == 410 }},
		{ucserver.Fault{Kind: ucserver.Redirect, Location: "https://uc.contoso.com/new"}, func(a answer) bool {
			return a.status == 307 && a.header.Get("Location") == "https://uc.contoso.com/new"
		}},
		{ucserver.Fault{Kind: ucserver.Drop}, func(a answer) bool { return a.err != nil }},
	} {
		c.fault.Count = 1
		raw, _ := json.Marshal(c.fault)
		control(t, s.url+"/_control/fault", string(raw))
		if got := s.deliver(t, "m1", s.now(), body); !c.check(got) {
			t.Errorf("%+v is answered %d %v %v", c.fault, got.status, got.header, got.err)
		}
		s.holds(t, "")
	}
	s.Inject(ucserver.Fault{Kind: ucserver.DropAfter, Count: 1})
	if got := s.deliver(t, "m1", s.now(), body); got.err == nil {
		t.Errorf("the answer came: %d", got.status)
	}
	s.holds(t, "ada=InACall")
	s.Inject(ucserver.Fault{Kind: ucserver.Slow, Milliseconds: 1})
	s.deliver(t, "m1", s.now(), body)
	if got := s.Inbox().View().Counters; got.Duplicates != 1 || got.Reordered != 0 {
		t.Errorf("counters are %+v", got)
	}
	p := s.Pushes()
	if p.Attempts != 7 || p.Answers[0] != 2 || p.Answers[503] != 1 || p.Answers[200] != 1 || p.OtherBytes != 0 {
		t.Errorf("pushes are %+v", p)
	}
}

func control(t *testing.T, url, body string) {
	t.Helper()
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(request)
	if err != nil || got.StatusCode != 200 {
		t.Fatalf("%s: %v %v", url, got, err)
	}
	_ = got.Body.Close()
}

func TestOnAnsweredComesAfterTheWholeAnswer(t *testing.T) {
	s := start(t)
	released, called := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	s.OnAnswered(func() {
		if calls.Add(1) == 1 {
			close(called)
		}
		<-released // the answer must be readable while the hook still runs
	})
	defer close(released)
	s.push(t, 409, s.changes("e", "1.1", "2.1"))
	if calls.Load() != 0 {
		t.Error("called for an answer that is not 2xx")
	}
	s.push(t, 200, s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall")))
	select {
	case <-called: // the reader of the answer may be faster
	case <-time.After(30 * time.Second):
	}
	if calls.Load() != 1 {
		t.Errorf("called %d times", calls.Load())
	}
}

func TestTheStateIsThereForTests(t *testing.T) {
	s := start(t)
	s.push(t, 200, s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall")))
	get := func(path string) []byte {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
		got, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = got.Body.Close() }()
		raw, _ := io.ReadAll(got.Body)
		return raw
	}
	var state ucserver.State
	if err := json.Unmarshal(get("/_control/state?log=1"), &state); err != nil {
		t.Fatal(err)
	}
	if state.Poll != nil || len(state.Push.People) != 1 || state.Push.Position.String() != "1.1" || len(state.Push.Log) != 1 || !state.Push.Log[0].ArrivedAt.Equal(s.now()) {
		t.Errorf("state is %+v", state)
	}
	if bytes.Contains(get("/_control/state"), []byte(`"log"`)) {
		t.Error("the log is there without being asked for")
	}
}

func TestThePageTellsThatTheBridgeCannotRead(t *testing.T) {
	s := start(t)
	page := func() string {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		return w.Body.String()
	}
	s.push(t, 200, s.changes("e", "0.0", "1.1", presence("1.1", "ada", "InACall")))
	if text := page(); strings.Contains(text, "banner") {
		t.Errorf("a banner without a reason:\n%s", text)
	}
	stale := strings.Replace(s.changes("e", "1.1", "1.1"), `"stale":false,"staleReason":""`, `"stale":true,"staleReason":"authorization required"`, 1)
	s.push(t, 200, stale)
	if text := page(); !strings.Contains(text, `id="stale"`) || !strings.Contains(text, "authorization required") {
		t.Errorf("no banner:\n%s", text)
	}
	s.forward(10 * time.Minute)
	if text := page(); !strings.Contains(text, `id="withdrawn"`) || strings.Contains(text, "busy (call)") {
		t.Errorf("not withdrawn:\n%s", text)
	}
}

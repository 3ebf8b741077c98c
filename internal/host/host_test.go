package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/internal/host"
	"procallteams/internal/telemetry"
)

// record is a Host with the functions of the transcripts, which notes what each
// of them was called with.
type record struct {
	*host.Host
	logs strings.Builder

	mu    sync.Mutex
	calls []string
}

func newRecord() *record {
	r := &record{}
	r.Host = host.New(slog.New(slog.NewJSONHandler(&r.logs, nil)))
	note := func(format string, args ...any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls = append(r.calls, fmt.Sprintf(format, args...))
	}
	page := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			body, _ := io.ReadAll(q.Body)
			note("%s %s grant=%s page=%s %s", name, q.Method, q.PathValue("grant"), q.PathValue("page"), body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("{}"))
		})
	}
	r.HTTP("status", "req", "status", page("status"))
	r.HTTP("usermatching", "req", "usermatching", page("usermatching"))
	r.HTTP("consentcallback", "req", "consent/{grant}/callback", page("consentcallback"))
	r.HTTP("console", "req", "console/{*page}", page("console"))
	r.Queue("presencepush", "wakeup", "presence-push", func(_ context.Context, m []byte) error { note("presencepush %s", m); return nil })
	r.Queue("failing", "wakeup", "failing", func(context.Context, []byte) error { return errors.New("on purpose") })
	r.Timer("presencesync", "timer", func(_ context.Context, t host.Tick) error { note("presencesync %v", t.PastDue); return nil })
	r.Timer("upkeep", "timer", func(_ context.Context, t host.Tick) error { note("upkeep %v", t.PastDue); return nil })
	return r
}

// transcript is one recorded case of the real host 4.1037.
type transcript struct {
	Case     string `json:"case"`
	Received []struct {
		Method, Path, Body string
		Headers            [][2]string
	} `json:"handler_received"`
}

func transcripts(t *testing.T, mode string) []transcript {
	t.Helper()
	text, err := os.ReadFile("testdata/" + mode + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Probe struct{ Method, Path string } `json:"readiness_probe"`
		Cases []transcript
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if file.Probe.Path != "/" || len(file.Cases) < 10 {
		t.Fatalf("testdata/%s.json holds %d cases", mode, len(file.Cases))
	}
	return file.Cases
}

func TestEveryRecordedRequestOfTheRealHostIsAnswered(t *testing.T) {
	for _, mode := range []string{"default", "forwarding", "proxying"} {
		for _, c := range transcripts(t, mode) {
			t.Run(mode+"/"+c.Case, func(t *testing.T) {
				r := newRecord()
				for _, q := range c.Received {
					request := httptest.NewRequest(q.Method, "http://127.0.0.1"+q.Path, strings.NewReader(q.Body))
					for _, header := range q.Headers {
						request.Header.Add(header[0], header[1])
					}
					answer := httptest.NewRecorder()
					r.ServeHTTP(answer, request)
					body := answer.Body.Bytes()
					if !json.Valid(body) || len(body) == 0 {
						t.Errorf("%s %s: the answer is not JSON: %q", q.Method, q.Path, body)
					}
					// An HTTP function called in default mode is refused; so is the
					// message that fails on purpose. All else succeeds.
					refused := q.Path == "/failing" || mode == "default" && strings.Contains(q.Body, `"Url"`)
					if ok := answer.Code < 300; ok == refused {
						t.Errorf("%s %s: status %d; refused should be %t", q.Method, q.Path, answer.Code, refused)
					}
				}
			})
		}
	}
}

func TestQueueMessagesArriveAsTheyWereSent(t *testing.T) {
	for _, tt := range []struct{ name, data, want string }{
		{"the real host encodes twice", `"\"{\\\"tenant\\\":\\\"t\\\"}\""`, `{"tenant":"t"}`},
		{"the documentation encodes once", `"{\"tenant\":\"t\"}"`, `{"tenant":"t"}`},
		{"plain text, twice", `"\"hello plain\""`, `hello plain`},
		{"plain text, once", `"hello plain"`, `hello plain`},
		{"an empty message", `"\"\""`, ``},
		{"a message that is a quoted text once", `"\"x"`, `"x`},
		{"an object", `{"tenant":"t"}`, `{"tenant":"t"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecord()
			// Metadata is what a hostile payload can make of it.
			body := `{"Data":{"wakeup":` + tt.data + `},"Metadata":{"sys":"mine","Id":7,"DequeueCount":{},"wakeup":"evil"}}`
			answer := httptest.NewRecorder()
			r.ServeHTTP(answer, httptest.NewRequest("POST", "/presencepush", strings.NewReader(body)))
			if answer.Code != 200 || answer.Body.String() != "{}" || answer.Header().Get("Content-Type") != "application/json" {
				t.Errorf("answer = %d %q %q; want 200 {} application/json", answer.Code, answer.Body, answer.Header())
			}
			if want := "presencepush " + tt.want; len(r.calls) != 1 || r.calls[0] != want {
				t.Errorf("calls = %q; want %q", r.calls, want)
			}
		})
	}
}

func TestAFaultIsNeverAnsweredWithSuccess(t *testing.T) {
	for _, tt := range []struct{ name, path, body string }{
		{"a function's error", "/failing", `{"Data":{"wakeup":"x"}}`},
		{"a body that is no JSON", "/presencepush", `<html>`},
		{"a body that is cut", "/presencepush", `{"Data":{"wake`},
		{"no value for the binding", "/presencepush", `{"Data":{"other":"x"}}`},
		{"a body beyond the limit", "/presencepush", `{"Data":{"wakeup":"` + strings.Repeat("x", 2<<20) + `"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecord()
			answer := httptest.NewRecorder()
			r.ServeHTTP(answer, httptest.NewRequest("POST", tt.path, strings.NewReader(tt.body)))
			if answer.Code != 500 || !json.Valid(answer.Body.Bytes()) {
				t.Errorf("answer = %d %q; want 500 with JSON", answer.Code, answer.Body)
			}
			if !strings.Contains(r.logs.String(), "invocation failed") {
				t.Errorf("nothing was logged: %s", &r.logs)
			}
		})
	}
}

func TestAPanicIsAFailedInvocationWithALoggedStack(t *testing.T) {
	var logs strings.Builder
	h := host.New(slog.New(slog.NewJSONHandler(&logs, nil)))
	h.HTTP("status", "req", "status", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	h.Queue("presencepush", "wakeup", "presence-push", func(context.Context, []byte) error { panic(errors.New("bang")) })
	for _, request := range []*http.Request{
		httptest.NewRequest("GET", "/api/status", nil),
		httptest.NewRequest("POST", "/presencepush", strings.NewReader(`{"Data":{"wakeup":"x"}}`)),
	} {
		request.Header.Set("X-Azure-Functions-InvocationId", "evil, 7e8097ba-0000-4000-8000-000000000001")
		request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, request)
		if answer.Code != 500 || !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%s: answer = %d %q; want 500 with JSON", request.URL, answer.Code, answer.Body)
		}
	}
	for _, want := range []string{"boom", "bang", "host_test.go", `"function":"presencepush"`, `"invocation":"7e8097ba-0000-4000-8000-000000000001"`, `"trace":"0af7651916cd43dd8448eb211c80319c"`} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, logs.String())
		}
	}
}

func TestRoutesIgnoreCaseAndTrailingSlashes(t *testing.T) {
	for _, tt := range []struct{ path, want string }{
		{"/api/status", "status GET grant= page= "},
		{"/API/Status/", "status GET grant= page= "},
		{"/api/console", "console GET grant= page= "},
		{"/api/console/", "console GET grant= page= "},
		{"/api/Console/signin/x", "console GET grant= page=signin/x "},
		{"/api//console//signin", "console GET grant= page=signin "},
		{"/api/console/users/a%252Fb%20c", "console GET grant= page=users/a%2fb c "},
		{"/api/consent/User/callback", "consentcallback GET grant=user page= "},
	} {
		r := newRecord()
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, httptest.NewRequest("GET", tt.path, nil))
		if len(r.calls) != 1 || r.calls[0] != tt.want || answer.Code != 200 {
			t.Errorf("GET %s: %d, calls %q; want %q", tt.path, answer.Code, r.calls, tt.want)
		}
	}
}

func TestTheReadinessProbeAndUnknownPathsAreCheap(t *testing.T) {
	r := newRecord()
	for path, want := range map[string]int{"/": 200, "/api/nothing": 404, "/robots.txt": 404, "/api/consent/user/callback/more": 404} {
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != want || answer.Body.Len() == 0 {
			t.Errorf("GET %s = %d %q; want %d with a body", path, answer.Code, answer.Body, want)
		}
	}
	if len(r.calls) != 0 {
		t.Errorf("functions ran: %q", r.calls)
	}
}

func TestEachInvocationHasADeadline(t *testing.T) {
	h := host.New(slog.New(slog.DiscardHandler))
	var left []time.Duration
	note := func(ctx context.Context) {
		end, _ := ctx.Deadline()
		left = append(left, time.Until(end))
	}
	h.HTTP("status", "req", "status", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { note(r.Context()) }))
	h.Timer("upkeep", "timer", func(ctx context.Context, _ host.Tick) error { note(ctx); return nil })
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/status", nil))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/upkeep", strings.NewReader(`{"Data":{"timer":{}}}`)))
	if len(left) != 2 || left[0] <= 0 || left[0] > host.HTTPDeadline || left[1] <= 0 || left[1] > host.WorkDeadline {
		t.Errorf("time left = %v; want at most %v and %v", left, host.HTTPDeadline, host.WorkDeadline)
	}
}

func TestServeEndsWithAnErrorWithoutAPort(t *testing.T) {
	err := host.New(slog.New(slog.DiscardHandler)).Serve(t.Context(), func(string) string { return "" })
	if err == nil || !strings.Contains(err.Error(), "FUNCTIONS_CUSTOMHANDLER_PORT") {
		t.Errorf("Serve() = %v; want the name of the missing variable", err)
	}
}

func TestEveryInvocationIsASpanThatSaysWhetherItFailed(t *testing.T) {
	var logs strings.Builder
	log := slog.New(slog.NewJSONHandler(&logs, nil))
	h := host.New(log)
	h.Trace(telemetry.NewTracer(log, nil))
	h.HTTP("status", "req", "status", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.WriteHeader(status)
	}))
	h.Queue("presencepush", "wakeup", "presence-push", func(context.Context, []byte) error { return errors.New("storage does not answer") })
	call := func(method, path, body string) string {
		logs.Reset()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body)))
		return logs.String()
	}
	if got := call("GET", "/api/status?status=200", ""); !strings.Contains(got, `"why":"sample"`) {
		t.Errorf("the first call is no sample: %s", got)
	}
	if got := call("GET", "/api/status?status=404", ""); got != "" {
		t.Errorf("404 is no fault of the bridge: %s", got)
	}
	for _, got := range []string{call("GET", "/api/status?status=503", ""), call("POST", "/presencepush", `{"Data":{"wakeup":"x"}}`)} {
		if !strings.Contains(got, `"why":"failed"`) || !strings.Contains(got, `"error":"function"`) {
			t.Errorf("a failed call is not written: %s", got)
		}
	}
}

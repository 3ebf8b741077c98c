package funchost_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procallteams/dev/azurite"
	"procallteams/dev/funchost"
)

// transcript is what the real host sent; see testdata.
type transcript struct {
	Process struct{ Env map[string]string }
	Probe   recorded `json:"readiness_probe"`
	Cases   []struct {
		Case     string
		Sent     string
		Received []recorded `json:"handler_received"`
		Client   *struct {
			StatusLine string `json:"status_line"`
			Headers    [][2]string
		} `json:"client_received"`
	}
}

type recorded struct {
	Method, Path string
	Headers      [][2]string
	Body         string
}

func readTranscript(t *testing.T, mode string) transcript {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", mode+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var found transcript
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// masks hide what differs from run to run: ids, ports, receipts and times.
var masks = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`"PopReceipt":"\\"[^"\\]+\\""`), `"PopReceipt":"<receipt>"`},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "<guid>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:<port>"},
	{regexp.MustCompile(`"(UtcNow|ExpirationTime|InsertionTime|NextVisibleTime|Next)":"20[^"]+"`), `"$1":"<time>"`},
}

func masked(text string) string {
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.mask)
	}
	return text
}

// lines is a request without the order of its headers and their case: Go sends
// them in its own order and hands them out in its own case.
func (r recorded) lines() []string {
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, masked(http.CanonicalHeaderKey(h[0])+": "+h[1]))
	}
	slices.Sort(headers)
	return append([]string{masked(r.Method + " " + r.Path)}, append(headers, masked(r.Body))...)
}

func (r received) lines() []string {
	var headers []string
	for name, values := range r.Header {
		for _, value := range values {
			headers = append(headers, masked(http.CanonicalHeaderKey(name)+": "+value))
		}
	}
	slices.Sort(headers)
	return append([]string{masked(r.Method + " " + r.Target)}, append(headers, masked(r.Body))...)
}

func compare(t *testing.T, want []recorded, got []received) {
	t.Helper()
	var wanted, received [][]string
	for _, r := range want {
		wanted = append(wanted, r.lines())
	}
	for _, r := range got {
		received = append(received, r.lines())
	}
	if diff := cmp.Diff(wanted, received); diff != "" {
		t.Errorf("requests at the handler (-real host +dev host):\n%s", diff)
	}
}

// requests are what the client of the recording sent.
var requests = map[string]struct {
	method, path, body string
	chunked            bool
	header             map[string]string
}{
	"GET with query, repeated key and headers": {"GET", "/api/status?x=1&x=2&p=a+b&q=%C3%BC", "", false, map[string]string{
		"Accept": "application/json", "Authorization": "Bearer ptb_1_x", "Cookie": "a=1; b=2",
		"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "teams.contoso.com", "X-Forwarded-Proto": "https",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}},
	"PUT text/csv with Content-Length": {"PUT", "/api/usermatching", "mmu@domain.de,max.mustermann@domain.local\nlfr@domain.de,lena.frisch@domain.local\n", false, map[string]string{"Content-Type": "text/csv"}},
	"PUT text/csv chunked":             {"PUT", "/api/usermatching", "mmu@domain.de,max.mustermann@domain.local\n", true, map[string]string{"Content-Type": "text/csv"}},
	"form_post callback":               {"POST", "/api/consent/user/callback", "code=0.AX&state=s1&session_state=x", false, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
	"GET catch-all with encoded slash": {"GET", "/api/console/users/a%2Fb%20c", "", false, nil},
	"HEAD":                             {"HEAD", "/api/status", "", false, nil},
	"DELETE":                           {"DELETE", "/api/status", "", false, nil},
	"client status 418":                {"GET", "/api/console/teapot", "", false, nil},
}

func transcriptApp(t *testing.T, queue, failing string) *testApp {
	t.Helper()
	return newApp(t).
		http("status", "status").http("usermatching", "usermatching").http("consentcallback", "consent/{grant}/callback").http("console", "console/{*page}").
		queue("presencepush", queue).queue("failing", failing).
		timer("presencesync", "%PRESENCE_SYNC_SCHEDULE%").timer("upkeep", "0 * * * * *")
}

func TestHTTPRequestsReachTheHandlerAsFromTheRealHost(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"forwarding", "proxying"} {
		t.Run(mode, func(t *testing.T) {
			recording := readTranscript(t, mode)
			tried := 0
			for _, c := range recording.Cases {
				request, ok := requests[c.Case]
				if !ok {
					continue
				}
				tried++
				t.Run(c.Case, func(t *testing.T) {
					app := transcriptApp(t, "unused-queue", "unused-queue")
					app.custom()["enableProxyingHttpRequest"] = mode == "proxying"
					h := app.start(funchost.Options{
						Storage: azurite.ForTest(t).ConnectionString(),
						Env:     map[string]string{"PRESENCE_SYNC_SCHEDULE": "0 0 0 1 1 *"},
					})
					var body io.Reader
					if request.body != "" {
						body = strings.NewReader(request.body)
					}
					if request.chunked {
						body = io.MultiReader(body) // no length
					}
					got := send(t, request.method, h.URL()+request.path, body, request.header)
					if got.Err != nil {
						t.Fatal(got.Err)
					}
					compare(t, c.Received, httpOnly(app.received()))
					if c.Client == nil {
						return
					}
					if strings.Fields(c.Client.StatusLine)[1] != strconv.Itoa(got.Status) {
						t.Errorf("the client got %d; want %s", got.Status, c.Client.StatusLine)
					}
					for _, h := range c.Client.Headers {
						// The recording handler's server spoke of its keep-alive.
						if slices.Contains([]string{"Date", "Connection", "Keep-Alive"}, h[0]) {
							continue
						}
						if !slices.Contains(got.Header.Values(h[0]), h[1]) {
							t.Errorf("the client got %s %q; want %q", h[0], got.Header.Values(h[0]), h[1])
						}
					}
				})
			}
			if tried != len(requests) {
				t.Errorf("%d of %d cases are in the transcript", tried, len(requests))
			}
		})
	}
}

func httpOnly(list []received) []received {
	return slices.DeleteFunc(list, func(r received) bool { return r.Target == "/presencesync" || r.Target == "/upkeep" })
}

func TestQueueMessagesReachTheHandlerAsFromTheRealHost(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"default", "forwarding", "proxying"} {
		t.Run(mode, func(t *testing.T) {
			for _, c := range readTranscript(t, mode).Cases {
				if !strings.HasPrefix(c.Case, "queue: ") {
					continue
				}
				t.Run(c.Case, func(t *testing.T) {
					queue, name := newQueue(t)
					used, unused := name, "unused-queue"
					if c.Received[0].Path == "/failing" {
						used, unused = unused, name
					}
					app := transcriptApp(t, used, unused)
					app.start(funchost.Options{
						Storage: azurite.ForTest(t).ConnectionString(),
						Env:     map[string]string{"PRESENCE_SYNC_SCHEDULE": "0 0 0 1 1 *"},
					})
					text := strings.TrimPrefix(strings.TrimPrefix(c.Sent, "message "), "message: ")
					text, _, _ = strings.Cut(text, " on the queue of")
					text, _, _ = strings.Cut(text, "; the handler")
					enqueue(t, queue, text)
					app.await(len(c.Received))
					eventually(t, "empty queue", func() bool { return messages(t, queue) == 0 })
					compare(t, c.Received, httpOnly(app.received()))
				})
			}
		})
	}
}

func TestTimersReachTheHandlerAsFromTheRealHost(t *testing.T) {
	t.Parallel()
	recording := readTranscript(t, "proxying")
	timers := recording.Cases[len(recording.Cases)-1]
	var now atomic.Int64
	at := time.Date(2026, 11, 25, 10, 24, 46, 0, time.UTC)
	now.Store(at.UnixNano())
	app := transcriptApp(t, "unused-queue", "unused-queue")
	h := app.start(funchost.Options{
		Storage: azurite.ForTest(t).ConnectionString(),
		Env:     map[string]string{"PRESENCE_SYNC_SCHEDULE": "*/5 * * * * *"},
		Now:     func() time.Time { return time.Unix(0, now.Load()) },
	})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n, second := range []int{4, 9} {
		now.Store(at.Add(time.Duration(second)*time.Second + 430200*time.Nanosecond).UnixNano())
		app.await(n + 1)
	}
	now.Store(at.Add(14*time.Second + 4568600*time.Nanosecond).UnixNano())
	got := app.await(4) // presencesync and upkeep, in any order
	upkeep := slices.IndexFunc(got, func(r received) bool { return r.Target == "/upkeep" })
	if upkeep < 2 {
		t.Fatalf("upkeep was request %d; want one of the last two", upkeep)
	}
	compare(t, timers.Received, append(got[:2:2], got[upkeep]))
	if !strings.Contains(got[upkeep].Body, `"Next":"2026-11-25T10:25:00+00:00"`) {
		t.Errorf("upkeep was told %s; want the current occurrence as Next", got[upkeep].Body)
	}

	// The second run knows of the first.
	now.Store(at.Add(74*time.Second + 1927500*time.Nanosecond).UnixNano())
	eventually(t, "second upkeep", func() bool {
		return slices.ContainsFunc(app.received(), func(r received) bool {
			return r.Target == "/upkeep" && strings.Contains(r.Body, `"ScheduleStatus":{"Last":"2026-11-25T10:25:00.0045686+00:00","Next":"2026-11-25T10:26:00+00:00","LastUpdated":"2026-11-25T10:25:00.0045686+00:00"},"IsPastDue":false`)
		})
	})
}

func TestTheReadinessProbeIsTheRealHosts(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("status", "status")
	h := app.start(funchost.Options{})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(app.file)
	if err != nil {
		t.Fatal(err)
	}
	var probe received
	if err := json.Unmarshal(text, &probe); err != nil {
		t.Fatalf("want exactly one request: %v in %s", err, text)
	}
	compare(t, []recorded{readTranscript(t, "proxying").Probe}, []received{probe})
}

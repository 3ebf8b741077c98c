package funchost_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"procallteams/dev/azurite"
	"procallteams/dev/funchost"
)

// deadline bounds every wait in these tests.
const deadline = 30 * time.Second

// testApp is a script root whose handler is the recorder.
type testApp struct {
	t    *testing.T
	root string
	file string // what the recorder writes
	host map[string]any
}

func newApp(t *testing.T) *testApp {
	t.Helper()
	root := t.TempDir()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &testApp{t: t, root: root, file: filepath.Join(root, "received"), host: map[string]any{
		"version": "2.0",
		"customHandler": map[string]any{
			"description":                 map[string]any{"defaultExecutablePath": executable},
			"enableForwardingHttpRequest": true,
			"enableProxyingHttpRequest":   true,
		},
		"extensions": map[string]any{"queues": map[string]any{"maxPollingInterval": "00:00:00.1", "visibilityTimeout": "00:00:00", "maxDequeueCount": 3}},
	}}
}

// custom is the customHandler section.
func (a *testApp) custom() map[string]any { return a.host["customHandler"].(map[string]any) }

func (a *testApp) function(name string, bindings ...map[string]any) *testApp {
	a.t.Helper()
	a.write(filepath.Join(name, "function.json"), map[string]any{"bindings": bindings})
	return a
}

func (a *testApp) write(path string, content any) {
	a.t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		a.t.Fatal(err)
	}
	path = filepath.Join(a.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		a.t.Fatal(err)
	}
}

func (a *testApp) http(name, route string, methods ...string) *testApp {
	trigger := map[string]any{"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous", "route": route}
	if len(methods) > 0 {
		trigger["methods"] = methods
	}
	return a.function(name, trigger, map[string]any{"type": "http", "direction": "out", "name": "res"})
}

func (a *testApp) queue(name, queue string) *testApp {
	return a.function(name, map[string]any{"type": "queueTrigger", "direction": "in", "name": "wakeup", "queueName": queue, "connection": "AzureWebJobsStorage"})
}

func (a *testApp) timer(name, schedule string) *testApp {
	return a.function(name, map[string]any{"type": "timerTrigger", "direction": "in", "name": "timer", "schedule": schedule})
}

func (a *testApp) start(o funchost.Options) *funchost.Host {
	a.t.Helper()
	a.write("host.json", a.host)
	o.ScriptRoot = a.root
	if o.Env == nil {
		o.Env = map[string]string{}
	}
	o.Env["RECORDER"] = a.file
	h, err := funchost.Start(a.t.Context(), o)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(h.Stop)
	a.t.Cleanup(func() {
		if a.t.Failed() {
			a.t.Log("\n" + h.Output())
		}
	})
	return h
}

// received lists what the handlers saw, without readiness probes.
func (a *testApp) received() []received {
	a.t.Helper()
	text, err := os.ReadFile(a.file)
	if err != nil && !os.IsNotExist(err) {
		a.t.Fatal(err)
	}
	var list []received
	for line := range bytes.Lines(text) {
		var r received
		if json.Unmarshal(line, &r) != nil {
			break // being written
		}
		if r.Target != "/" {
			list = append(list, r)
		}
	}
	return list
}

// await returns the first n requests when they are there.
func (a *testApp) await(n int) []received {
	a.t.Helper()
	eventually(a.t, "requests at the handler", func() bool { return len(a.received()) >= n })
	return a.received()[:n]
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still no %s after %v", what, deadline)
		}
	}
}

type answer struct {
	Status int
	Header http.Header
	Body   string
	Err    error // of reading the body
}

// send calls the host. The client adds no headers of its own.
func send(t *testing.T, method, url string, body io.Reader, header map[string]string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("User-Agent", "curl/7.88.1")
	request.Header.Set("Accept", "*/*")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: false}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{Err: err}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text), err}
}

func get(t *testing.T, url string) answer { t.Helper(); return send(t, "GET", url, nil, nil) }

// newQueue makes an empty queue with a fresh name.
func newQueue(t *testing.T) (*azqueue.QueueClient, string) {
	t.Helper()
	name := "q" + strings.ToLower(rand.Text()[:12])
	queue := openQueue(t, name)
	if _, err := queue.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return queue, name
}

func openQueue(t *testing.T, name string) *azqueue.QueueClient {
	t.Helper()
	queue, err := azqueue.NewQueueClientFromConnectionString(azurite.ForTest(t).ConnectionString(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return queue
}

func enqueue(t *testing.T, queue *azqueue.QueueClient, text string) {
	t.Helper()
	enqueueRaw(t, queue, base64.StdEncoding.EncodeToString([]byte(text)))
}

func enqueueRaw(t *testing.T, queue *azqueue.QueueClient, text string) {
	t.Helper()
	if _, err := queue.EnqueueMessage(t.Context(), text, nil); err != nil {
		t.Fatal(err)
	}
}

// messages counts what is in a queue, hidden ones included; 0 when there is none.
func messages(t *testing.T, queue *azqueue.QueueClient) int {
	t.Helper()
	properties, err := queue.GetProperties(t.Context(), nil)
	if err != nil {
		return 0
	}
	return int(*properties.ApproximateMessagesCount)
}

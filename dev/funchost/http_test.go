package funchost_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/dev/funchost"
)

func targets(list []received) []string {
	var all []string
	for _, r := range list {
		all = append(all, r.Method+" "+r.Target)
	}
	return all
}

func TestProxyingHoldsTheHeadBackUntilTheFirstByteAndThenStreams(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	h := app.start(funchost.Options{})
	if err := h.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	head := make(chan *http.Response, 1)
	go func() {
		response, err := http.Get(h.URL() + "/api/any/stream")
		if err != nil {
			t.Error(err)
		}
		head <- response
	}()
	app.await(1)
	if got := get(t, h.URL()+"/api/any/overtakes"); got.Status != 200 {
		t.Fatalf("status %d", got.Status)
	}
	select {
	case <-head:
		t.Fatal("the head arrived before the first byte of the body")
	default:
	}
	get(t, h.URL()+"/api/any/release")
	response := <-head
	if response == nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	first := make([]byte, 3)
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "one" {
		t.Fatalf("first part %q, %v", first, err)
	}
	get(t, h.URL()+"/api/any/release")
	rest, err := io.ReadAll(response.Body)
	if err != nil || string(rest) != "two" {
		t.Errorf("second part %q, %v", rest, err)
	}
}

func TestProxyingStreamsAChunkedUploadAndBuffersOneWithALength(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	h := app.start(funchost.Options{})
	reader, writer := io.Pipe()
	done := make(chan answer, 1)
	go func() { done <- send(t, "PUT", h.URL()+"/api/any/early", reader, nil) }()
	if _, err := writer.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	app.await(1) // the handler has the call while the upload goes on
	_ = writer.Close()
	if got := <-done; got.Status != 200 {
		t.Fatalf("the upload ended with %d, %v", got.Status, got.Err)
	}

	// With a length: nothing reaches the handler before the last byte.
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "PUT /api/any/early HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	before := len(app.received())
	// A second call overtakes the first, which shows that the host had time.
	if got := get(t, h.URL()+"/api/any/overtakes"); got.Status != 200 {
		t.Fatalf("status %d", got.Status)
	}
	if list := targets(app.received()[before:]); !slices.Equal(list, []string{"GET /api/any/overtakes"}) {
		t.Errorf("the handler received %v while the upload was incomplete", list)
	}
	if _, err := io.WriteString(conn, "full"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("the answer: %v", err)
	}
}

func TestAClientThatGoesIsSeenUnderProxyingOnly(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		mode funchost.Mode
		wait string
		seen bool
	}{{funchost.Proxying, "1h", true}, {funchost.Forwarding, "200ms", false}} {
		t.Run(string(row.mode), func(t *testing.T) {
			app := newApp(t).http("any", "any/{*rest}")
			ended := make(chan struct{}, 1)
			h := app.start(funchost.Options{Mode: row.mode, OnInvocation: func(i funchost.Invocation) {
				if i.Done {
					ended <- struct{}{}
				}
			}})
			ctx, leave := context.WithCancel(t.Context())
			request, err := http.NewRequestWithContext(ctx, "GET", h.URL()+"/api/any/wait?for="+row.wait, nil)
			if err != nil {
				t.Fatal(err)
			}
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				response, err := http.DefaultTransport.RoundTrip(request)
				if err == nil {
					_ = response.Body.Close()
				}
			}()
			app.await(1)
			leave()
			<-gone
			select {
			case <-ended:
			case <-time.After(deadline):
				t.Fatal("the invocation goes on")
			}
			if row.seen {
				app.await(2) // it writes again when it is cut
			}
			if aborted := slices.ContainsFunc(app.received(), func(r received) bool { return r.Aborted }); aborted != row.seen {
				t.Errorf("the handler saw the client go: %t; want %t", aborted, row.seen)
			}
		})
	}
}

func TestADroppedConnectionIsTriedAgainWhenThereIsNoBody(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		mode   funchost.Mode
		method string
		body   string
		want   int
	}{
		{"proxying sends a GET 40 times", funchost.Proxying, "GET", "", 40},
		{"proxying sends a POST without a body 40 times", funchost.Proxying, "POST", "", 40},
		{"proxying sends a body once", funchost.Proxying, "POST", "a=1", 1},
		{"forwarding sends a GET 4 times", funchost.Forwarding, "GET", "", 4},
		{"forwarding sends a body once", funchost.Forwarding, "POST", "a=1", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t).http("any", "any/{*rest}")
			h := app.start(funchost.Options{Mode: row.mode})
			if got := get(t, h.URL()+"/api/any/warm"); got.Status != 200 { // a connection to reuse
				t.Fatalf("status %d", got.Status)
			}
			var body io.Reader
			if row.body != "" {
				body = strings.NewReader(row.body)
			}
			if got := send(t, row.method, h.URL()+"/api/any/drop", body, nil); got.Status != 500 || got.Body != "" {
				t.Errorf("the client got %d %q; want 500 without a body", got.Status, got.Body)
			}
			list := app.received()[1:]
			if len(list) != row.want {
				t.Errorf("the handler received it %d times; want %d", len(list), row.want)
			}
			for _, r := range list {
				if r.Header["X-Azure-Functions-Invocationid"][0] != list[0].Header["X-Azure-Functions-Invocationid"][0] {
					t.Error("the invocation id changed between sends")
					break
				}
			}
		})
	}
}

func TestAnAnswerThatBreaksOff(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	if got := get(t, app.start(funchost.Options{Mode: funchost.Forwarding}).URL()+"/api/any/partial"); got.Status != 500 {
		t.Errorf("under forwarding the client got %d; want 500", got.Status)
	}
	if got := get(t, app.start(funchost.Options{Mode: funchost.Proxying}).URL()+"/api/any/partial"); got.Status != 200 || got.Err == nil {
		t.Errorf("under proxying the client got %d, %v; want 200 and a broken body", got.Status, got.Err)
	}
}

func TestTheHomePageCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	h := newApp(t).http("any", "any").start(funchost.Options{Env: map[string]string{"AzureWebJobsDisableHomepage": "true"}})
	if got := get(t, h.URL()+"/"); got.Status != 204 || got.Body != "" {
		t.Errorf("the bare address answers %d %q; want 204 and nothing", got.Status, got.Body)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	app := newApp(t).
		http("Alpha", "v1/items/{id:int}", "get").
		http("beta", "v1/items/{name?}").
		http("gamma", "V1/Guid/{id:guid}").
		http("zcatch", "pages/{*page}").
		http("admin1", "administrator")
	h := app.start(funchost.Options{Env: map[string]string{"AzureWebJobs.gamma.Disabled": "true"}})
	for _, row := range []struct {
		name, method, path string
		status             int
		target             string // empty: not called
	}{
		{"the first name whose route matches wins", "GET", "/api/v1/items/7", 200, "/api/v1/items/7"},
		{"a constraint that fails leads to the next one", "GET", "/api/v1/items/x", 200, "/api/v1/items/x"},
		{"a method that is not listed leads to the next one", "POST", "/api/v1/items/7", 200, "/api/v1/items/7"},
		{"an optional parameter may be missing", "GET", "/api/v1/items", 200, "/api/v1/items"},
		{"matching ignores case and the path keeps its own", "GET", "/API/V1/Items/8", 200, "/API/V1/Items/8"},
		{"a trailing slash is kept", "GET", "/api/v1/items/8/", 200, "/api/v1/items/8/"},
		{"a catch-all takes the rest, double slashes too", "GET", "/api/pages/a//b", 200, "/api/pages/a//b"},
		{"dot segments are resolved", "GET", "/api/pages/a/../b", 200, "/api/pages/b"},
		{"any method where none is listed", "PROPFIND", "/api/pages/", 200, "/api/pages/"},
		{"a disabled function is not found", "GET", "/api/v1/guid/0b0c4a5e-0000-4000-8000-000000000001", 404, ""},
		{"a route that begins like admin is reserved", "GET", "/api/administrator", 404, ""},
		{"an unknown route is not found", "GET", "/api/other", 404, ""},
		{"the prefix is needed", "GET", "/v1/items/7", 404, ""},
		{"the host has a home page", "GET", "/", 200, ""},
		{"the host answers pings", "GET", "/admin/host/ping", 200, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := len(app.received())
			got := send(t, row.method, h.URL()+row.path, nil, nil)
			if got.Status != row.status {
				t.Errorf("status %d; want %d", got.Status, row.status)
			}
			if got.Status == 404 && got.Body != "" {
				t.Errorf("body %q; want none", got.Body)
			}
			called := app.received()[before:]
			switch {
			case row.target == "" && len(called) > 0:
				t.Errorf("the handler received %v", targets(called))
			case row.target != "" && (len(called) != 1 || called[0].Target != row.target):
				t.Errorf("the handler received %v; want %s", targets(called), row.target)
			}
		})
	}
	if reason := h.Functions()[0].Err; reason == nil {
		t.Error("the reserved route is not in error")
	}
}

func TestRequestsThatTheRealHostRefuses(t *testing.T) {
	t.Parallel()
	for _, mode := range []funchost.Mode{funchost.Forwarding, funchost.Proxying} {
		t.Run(string(mode), func(t *testing.T) {
			app := newApp(t).http("any", "any/{*rest}")
			h := app.start(funchost.Options{Mode: mode})
			got := send(t, "GET", h.URL()+"/api/any/x", nil, map[string]string{"X-Name": "M\xfcller"})
			if got.Status != 500 {
				t.Errorf("a header that is not ASCII: %d; want 500", got.Status)
			}
			conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL(), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, "PUT /api/any/x HTTP/1.1\r\nHost: x\r\nContent-Length: 104857601\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != 500 || !response.Close {
				t.Errorf("a body above 100 MB: %d, close %t; want 500 and a closed connection", response.StatusCode, response.Close)
			}
			if len(app.received()) != 0 {
				t.Errorf("the handler received %v", targets(app.received()))
			}
		})
	}
}

func TestAClientsInvocationIDIsReplacedOrKeptInFront(t *testing.T) {
	t.Parallel()
	app := newApp(t).http("any", "any/{*rest}")
	evil := map[string]string{"X-Azure-Functions-InvocationId": "evil", "Forwarded": "for=1.2.3.4", "Content-Encoding": "gzip"}
	send(t, "POST", app.start(funchost.Options{Mode: funchost.Forwarding}).URL()+"/api/any/x", strings.NewReader("a"), evil)
	send(t, "POST", app.start(funchost.Options{Mode: funchost.Proxying}).URL()+"/api/any/x", strings.NewReader("a"), evil)
	list := app.await(2)
	if id := list[0].Header["X-Azure-Functions-Invocationid"][0]; !strings.HasPrefix(id, "evil, ") {
		t.Errorf("forwarding sent the invocation id %q; want the client's in front", id)
	}
	if _, kept := list[0].Header["Content-Encoding"]; kept {
		t.Error("forwarding kept Content-Encoding")
	}
	if id := list[1].Header["X-Azure-Functions-Invocationid"][0]; strings.Contains(id, "evil") || list[1].Header["X-Ms-Invocation-Id"][0] != id {
		t.Errorf("proxying sent the invocation ids %q and %q", id, list[1].Header["X-Ms-Invocation-Id"])
	}
	if _, kept := list[1].Header["Forwarded"]; kept {
		t.Error("proxying kept Forwarded")
	}
	if _, kept := list[1].Header["Content-Encoding"]; !kept {
		t.Error("proxying dropped Content-Encoding")
	}
}

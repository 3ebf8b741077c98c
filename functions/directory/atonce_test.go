package directory_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	function "procallteams/functions/directory"
	"procallteams/internal/access"
)

// gated holds a body back until it is opened.
type gated struct {
	io.Reader
	started chan<- struct{}
	open    <-chan struct{}
	once    sync.Once
}

func (g *gated) Read(p []byte) (int, error) {
	g.once.Do(func() { close(g.started); <-g.open })
	return g.Reader.Read(p)
}

func TestOfTwoListsAtOnceOneWins(t *testing.T) {
	for _, test := range []struct {
		name   string
		match  bool
		status int
	}{{"without a condition", false, 409}, {"with a condition", true, 412}} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			etag := w.done(w.put("", users(1))).etag
			var conditions []request
			if test.match {
				conditions = append(conditions, with("If-Match", etag))
			}
			started, open := make(chan struct{}), make(chan struct{})
			slow := make(chan answer)
			body := users(1, 2)
			go func() {
				r := append(slices.Clone(conditions), func(r *http.Request) { r.ContentLength = int64(len(body)) })
				slow <- w.ask(http.MethodPut, "", &gated{Reader: strings.NewReader(body), started: started, open: open}, r...)
			}()
			<-started
			second := &world{t: t, token: w.token, handler: another(w)}
			second.done(second.put("", users(1, 3), conditions...))
			close(open)
			w.refused(<-slow, test.status, "changed-meanwhile")
			if got := w.stored(); len(got) != 2 || got[1].ID != "u3" {
				t.Errorf("in force: %v", got)
			}
		})
	}
}

// another is the same function in another process, with a lock of its own.
func another(w *world) http.Handler {
	f := w.function
	return w.gate.Either(access.Directory, (&function.Function{Storage: f.Storage, Settings: f.Settings, Audit: f.Audit, Now: f.Now, Log: f.Log}).ServeCaller)
}

func TestChangesAreMadeInWhateverListIsInForce(t *testing.T) {
	w := newWorld(t)
	w.done(w.put("", users(1, 2)))
	body := listOf(`{"op":"put","user":{"id":"u9","name":"nine"}}`)
	started, open := make(chan struct{}), make(chan struct{})
	slow := make(chan answer)
	go func() {
		slow <- w.ask(http.MethodPatch, "", &gated{Reader: strings.NewReader(body), started: started, open: open}, func(r *http.Request) { r.ContentLength = int64(len(body)) })
	}()
	<-started
	second := &world{t: t, token: w.token, handler: another(w)}
	second.done(second.put("", users(1, 2, 3)))
	close(open)
	w.done(<-slow)
	if got := w.stored(); len(got) != 4 {
		t.Errorf("in force: %v", got)
	}
}

func TestUploadsAtOnceLeaveOneWholeList(t *testing.T) {
	w := newWorld(t)
	w.done(w.put("", users(1)))
	const uploads = 8
	answers := make([]answer, uploads)
	var all sync.WaitGroup
	for i := range uploads {
		all.Go(func() {
			one := &world{t: t, token: w.token, handler: another(w)}
			answers[i] = one.put("?confirm=3", users(1, 10+i, 20+i)) // one may begin when another is in force already
		})
	}
	all.Wait()
	winner := -1
	tag := w.done(w.ask(http.MethodHead, "", nil)).etag
	for i, a := range answers {
		switch {
		case a.status == 200 && a.etag == tag:
			winner = i
		case a.status != 200:
			w.refused(a, 409, "changed-meanwhile")
		}
	}
	if got := w.stored(); winner < 0 || len(got) != 3 || got[1].ID != fmt.Sprintf("u%d", 10+winner) {
		t.Errorf("in force: %v; the last to win was upload %d", got, winner)
	}
}

func TestAnUploadThatBreaksOffLeavesTheOldList(t *testing.T) {
	w := newWorld(t)
	w.done(w.put("", users(1, 2)))
	before := w.state().Users
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	whole := users(1, 2, 3)
	for _, n := range []int{0, 1, len(whole) / 2, len(whole) - 2} {
		ctx := t.Context()
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, server.URL+"/api/v1/directory", io.MultiReader(strings.NewReader(whole[:n]), cut{}))
		w.must(err)
		r.ContentLength = int64(len(whole))
		r.Header.Set("Authorization", "Bearer "+w.token)
		r.Header.Set("Content-Type", "application/x-ndjson")
		if answer, err := server.Client().Do(r); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == 200 {
				t.Errorf("cut off after %d bytes: %s", n, answer.Status)
			}
		}
	}
	if got := w.state().Users; got != before {
		t.Errorf("the list in force is %+v, not %+v", got, before)
	}
	broken := w.refused(w.put("", "", func(r *http.Request) {
		r.ContentLength, r.Body = int64(len(whole)), io.NopCloser(io.MultiReader(strings.NewReader(whole[:9]), cut{}))
	}), 400, "bad-request")
	if !strings.Contains(broken.problem.Detail, "did not arrive completely") {
		t.Errorf("= %s", broken.text)
	}
}

// cut is a connection that ends.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAProcessThatDiesLeavesTheOldListOrTheNewOne(t *testing.T) {
	w := newWorld(t)
	w.know(accounts...)
	w.done(w.put("?confirm=2", users(1, 2)))
	whole, stored := users(1, 2, 3), false
	for n := 1; !stored && n < 30; n++ {
		// It dies when storage has answered for the nth time, without hearing of it.
		ctx, die := context.WithCancel(t.Context())
		var seen atomic.Int32
		w.wire.OnResponse(func(string, *http.Request, int) {
			if seen.Add(1) == int32(n) {
				die()
			}
		})
		a := w.put("", whole, func(r *http.Request) { *r = *r.WithContext(ctx) })
		w.wire.OnResponse(nil)
		die()
		if a.status != 200 && a.status != 503 {
			t.Fatalf("dead after answer %d: %d %s", n, a.status, a.text)
		}
		count := len(w.stored())
		if stored = count == 3; count != 2 && count != 3 {
			t.Fatalf("dead after answer %d: %d users in force", n, count)
		}
		if got := w.done(w.ask(http.MethodGet, "", nil)); got.last.Count != count {
			t.Fatalf("dead after answer %d: %s", n, got.text)
		}
	}
	if !stored {
		t.Error("it was never stored")
	}
	if again := w.done(w.put("", whole)); *again.last.Stored || again.last.Count != 3 {
		t.Errorf("sent once more: %s", again.text)
	}
}

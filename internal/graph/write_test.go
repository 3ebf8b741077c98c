package graph_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"procallteams/internal/graph"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
)

const (
	person = presence.UserID("fa8bf3dc-eca7-46b7-bad1-db199b62afc3")
	appID  = "7a1f6e1c-2b0a-4d0f-9c11-0c2f5f0e9d01"
)

// writes are all that can be written, in the order of wanted.
func writes(ctx context.Context, c *graph.Client, token secret.Text) []func() error {
	return []func() error{
		func() error {
			return c.SetPresence(ctx, token, person, appID, presence.InACallPair(), presence.LifetimeOf(10*time.Minute))
		},
		func() error { return c.ClearPresence(ctx, token, person, appID) },
		func() error { return c.SetDoNotDisturb(ctx, token, person, 8*time.Hour) },
		func() error { return c.ClearPreferred(ctx, token, person) },
	}
}

var wanted = []struct{ action, body string }{
	{"setPresence", `{"sessionId":"` + appID + `","availability":"Busy","activity":"InACall","expirationDuration":"PT10M"}`},
	{"clearPresence", `{"sessionId":"` + appID + `"}`},
	{"setUserPreferredPresence", `{"availability":"DoNotDisturb","activity":"DoNotDisturb","expirationDuration":"PT480M"}`},
	{"clearUserPreferredPresence", `{}`},
}

// writable starts a Graph that answers everything with f, and a client for it.
func writable(t *testing.T, f http.HandlerFunc) *graph.Client {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c, err := graph.New(graph.Config{Endpoint: server.URL, RetryDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWritesHaveExactlyTheDocumentedForm(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusNoContent} {
		var got []string
		c := writable(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = append(got, fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), body))
			w.WriteHeader(status)
		})
		for i, write := range writes(t.Context(), c, token) {
			if err := write(); err != nil {
				t.Fatal(err)
			}
			want := "POST /v1.0/users/" + string(person) + "/presence/" + wanted[i].action + " application/json Bearer app-token " + wanted[i].body
			if got[i] != want {
				t.Errorf("sent %s\nwant %s", got[i], want)
			}
		}
	}
}

func TestAWriteIsSentOnceWhateverBecomesOfIt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		check  func(error) bool
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, func(err error) bool {
			refusal, ok := errors.AsType[*graph.Error](err)
			return ok && refusal.Status == 500
		}},
		{"503 without a time", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, func(err error) bool {
			refusal, ok := errors.AsType[*graph.Error](err)
			return ok && refusal.Status == 503
		}},
		{"429", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		}, func(err error) bool {
			pause, ok := errors.AsType[*graph.ThrottledError](err)
			return ok && pause.RetryAfter == 7*time.Second
		}},
		{"a cut connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(err error) bool {
			_, refused := errors.AsType[*graph.Error](err)
			return err != nil && !refused
		}},
		{"403 with an empty message", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(403)
			_, _ = io.WriteString(w, `{"error":{"code":"Forbidden","message":""}}`)
		}, func(err error) bool {
			refusal, ok := errors.AsType[*graph.Error](err)
			return ok && refusal.Refused() && refusal.Code == "Forbidden"
		}},
		{"a duration that is refused", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"error":{"code":"InvalidArgument","message":"The provided [ExpirationDuration] is out of range.","innerError":{"request-id":"0"}}}`)
		}, func(err error) bool {
			refusal, ok := errors.AsType[*graph.Error](err)
			return ok && refusal.Status == 400 && refusal.Code == "InvalidArgument" && !strings.Contains(err.Error(), "out of range")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent atomic.Int64
			c := writable(t, func(w http.ResponseWriter, r *http.Request) { sent.Add(1); tt.answer(w, r) })
			for i, write := range writes(t.Context(), c, token) {
				err := write()
				if !tt.check(err) || sent.Load() != int64(i+1) {
					t.Errorf("%s: %v after %d requests", wanted[i].action, err, sent.Load())
				}
				if err != nil && (strings.Contains(err.Error(), "127.0.0.1") && strings.Contains(err.Error(), "/v1.0") || strings.Contains(err.Error(), string(token.Reveal()))) {
					t.Errorf("%s: the error says too much: %v", wanted[i].action, err)
				}
			}
		})
	}
}

func TestNothingToClearIsNoErrorAndNobodyToSetIs(t *testing.T) {
	c := writable(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(404)
		_, _ = io.WriteString(w, `{"error":{"code":"NotFound","message":""}}`)
	})
	for i, write := range writes(t.Context(), c, token) {
		refusal, refused := errors.AsType[*graph.Error](write())
		if sets := strings.HasPrefix(wanted[i].action, "set"); refused != sets || sets && refusal.Status != 404 {
			t.Errorf("%s: %v", wanted[i].action, refusal)
		}
	}
}

func TestAWriteThatHangsEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	c := writable(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := writes(ctx, c, token)[0]()
	if _, refused := errors.AsType[*graph.Error](err); err == nil || refused || time.Since(began) > 5*time.Second {
		t.Errorf("SetPresence() = %v", err)
	}
}

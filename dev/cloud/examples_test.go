package cloud_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"procallteams/dev/cloud"
)

// program is a program of api/examples with its settings.
func program(ctx context.Context, t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	for _, tool := range []string{"curl", "jq", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: apt-get install curl jq openssl", tool)
		}
	}
	root, err := cloud.Root()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(ctx, filepath.Join(root, "api", "examples", name), args...)
	c.Env = append(os.Environ(), env...)
	c.WaitDelay = time.Second
	return c
}

// TestTheProgramsOfTheDocumentationWork runs what docs/ucserver-api.md shows first to
// authors of a connector.
func TestTheProgramsOfTheDocumentationWork(t *testing.T) {
	c := start(t, cloud.Options{Users: 12, Seed: 1, Members: true, Schedule: "* * * * * *"})
	integration, err := c.Integrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"BRIDGE=" + c.URL, "TOKEN=" + integration.Token, "TALK=0"}
	wait(t, "presences are pushed", func() bool { return len(c.UCServer.State(false).Push.People) > 5 })

	t.Run("poll.sh", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		follower := program(ctx, t, env, "poll.sh")
		follower.Cancel = func() error { return follower.Process.Signal(os.Interrupt) }
		var out lines
		follower.Stdout, follower.Stderr = &out, &out
		if err := follower.Start(); err != nil {
			t.Fatal(err)
		}
		person := c.Graph.Users()[0]
		wait(t, "the snapshot names everybody", func() bool { return strings.Count(out.String(), "@") > 5 })
		if err := c.Graph.Set(person.ID, "DoNotDisturb", "Presenting"); err != nil {
			t.Fatal(err)
		}
		wait(t, "the change is printed", func() bool { return strings.Contains(out.String(), "presence doNotDisturb") })
		cancel()
		_ = follower.Wait() // it was interrupted
	})
	t.Run("users.sh", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "users.ndjson")
		list := `{"id":"1","name":"` + c.Graph.Users()[0].UserPrincipalName + `"}` + "\n\n" + `{"id":"2","name":"nobody@domain.local"}` + "\n"
		if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := program(t.Context(), t, env, "users.sh", file).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "2 users") || !strings.Contains(string(out), "nobody@domain.local: unmatched") {
			t.Errorf("users.sh = %v\n%s", err, out)
		}
	})
	t.Run("report.sh", func(t *testing.T) {
		wait(t, "the list is in force", func() bool { return len(c.UCServer.State(false).Push.People) == 1 })
		out, err := program(t.Context(), t, env, "report.sh", c.Graph.Users()[0].UserPrincipalName).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "call begins: accepted") || !strings.Contains(string(out), "call ends: accepted") {
			t.Errorf("report.sh = %v\n%s", err, out)
		}
	})
	t.Run("a list with a fault is refused with its line", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "users.ndjson")
		if err := os.WriteFile(file, []byte("rubbish\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := program(t.Context(), t, env, "users.sh", file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "the line is not JSON") {
			t.Errorf("users.sh = %v\n%s", err, out)
		}
	})
	t.Run("a credential that is not accepted ends each of them, and is named", func(t *testing.T) {
		for name, arg := range map[string]string{"poll.sh": "", "report.sh": "ada", "users.sh": "/dev/null"} {
			out, err := program(t.Context(), t, []string{"BRIDGE=" + c.URL, "TOKEN=ptb_no_such"}, name, arg).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "This credential is not accepted") {
				t.Errorf("%s = %v\n%s", name, err, out)
			}
		}
	})
	t.Run("verify.sh", func(t *testing.T) {
		hook, err := standardwebhooks.NewWebhook(integration.PushSecret)
		if err != nil {
			t.Fatal(err)
		}
		body, now := []byte(`{"type":"presence.changes","changes":[]}`), time.Now()
		signature, err := hook.Sign("msg-1", now, body)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "body.json")
		verify := func(body []byte, at time.Time) (string, error) {
			if err := os.WriteFile(file, body, 0o600); err != nil {
				t.Fatal(err)
			}
			command := program(t.Context(), t, []string{"SECRET=" + integration.PushSecret}, "verify.sh", file, "msg-1", strconv.FormatInt(at.Unix(), 10), "v1,AAAA "+signature)
			out, err := command.CombinedOutput()
			return string(out), err
		}
		if out, err := verify(body, now); err != nil || out != "genuine\n" {
			t.Errorf("verify.sh of a push = %v\n%s", err, out)
		}
		if out, err := verify(append(body, ' '), now); err == nil {
			t.Errorf("verify.sh of a forged push = %s", out)
		}
		if out, err := verify(body, now.Add(-time.Hour)); err == nil || !strings.Contains(out, "old") {
			t.Errorf("verify.sh of a push that comes again = %s", out)
		}
	})
}

// TestTheFollowerOutlastsABridgeThatIsAway: connections that break, and pages of a gateway,
// end nothing; a cursor that is not served any more begins again with a snapshot.
func TestTheFollowerOutlastsABridgeThatIsAway(t *testing.T) {
	answers := []func(http.ResponseWriter){
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter) { http.Error(w, "<h1>Site Disabled</h1>", http.StatusForbidden) },
		func(w http.ResponseWriter) { fmt.Fprint(w, `{"cursor":"a","items":[{"id":"1.1","user":"ada"}]}`) },
		func(w http.ResponseWriter) { http.Error(w, "busy", http.StatusServiceUnavailable) },
		func(w http.ResponseWriter) { fmt.Fprint(w, `{"cursor":"b","changes":[{"id":"2.1","user":"bob"}]}`) },
		func(w http.ResponseWriter) { http.Error(w, "{}", http.StatusGone) },
		func(w http.ResponseWriter) { fmt.Fprint(w, `{"cursor":"c","items":[{"id":"3.1","user":"eve"}]}`) },
		func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"title":"Not accepted","nextStep":"Ask."}`)
		},
	}
	var asked []string
	bridge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+" "+r.URL.Query().Get("cursor"))
		answers[len(asked)-1](w)
	}))
	defer bridge.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := program(ctx, t, []string{"BRIDGE=" + bridge.URL, "TOKEN=ptb_a_b", "PAUSE=0"}, "poll.sh").CombinedOutput()
	if err == nil || !strings.HasSuffix(string(out), "Not accepted: Ask.\n") || strings.Count(string(out), ".1 ") != 3 {
		t.Errorf("poll.sh = %v\n%s", err, out)
	}
	want := []string{"/api/v1/presence ", "/api/v1/presence ", "/api/v1/presence ", "/api/v1/presence/changes a", "/api/v1/presence/changes a",
		"/api/v1/presence/changes b", "/api/v1/presence ", "/api/v1/presence/changes c"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q; want %q", asked, want)
	}
}

// lines are what a program prints while it runs.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

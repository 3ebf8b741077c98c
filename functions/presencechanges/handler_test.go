package presencechanges_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/dev/azurite"
	"procallteams/dev/child"
	"procallteams/internal/consent"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/health"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// handler starts the program that is deployed, as the Functions host does, for the
// world's tenant.
func (w *world) handler() *process {
	w.t.Helper()
	program := filepath.Join(w.t.TempDir(), "handler")
	if output, err := exec.CommandContext(w.t.Context(), "go", "build", "-o", program, "procallteams/handler").CombinedOutput(); err != nil {
		w.t.Fatalf("build the handler: %v\n%s", err, output)
	}
	var failed error
	for range 3 { // somebody else may take the free port first
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		address := listener.Addr().String()
		_ = listener.Close()
		_, port, _ := net.SplitHostPort(address)
		cmd := exec.Command(program)
		cmd.Env = []string{
			"FUNCTIONS_CUSTOMHANDLER_PORT=" + port, "AzureWebJobsStorage=" + azurite.ForTest(w.t).ConnectionString(), "TEAMS_TENANT_ID=" + w.tenant,
			"KEY_VAULT_URI=https://127.0.0.1:1", "BRIDGE_PUBLIC_URL=http://localhost:7071", "PRESENCE_SYNC_SCHEDULE=*/5 * * * * *",
		}
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		started, err := child.Start(cmd)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(started.Kill)
		if failed = ready(w.t.Context(), "http://"+address, started); failed == nil {
			proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
			server := httptest.NewServer(check(w.t, proxy))
			w.t.Cleanup(server.Close)
			return &process{t: w.t, url: server.URL, token: w.token}
		}
	}
	w.t.Fatal(failed)
	return nil
}

func ready(ctx context.Context, address string, program *child.Process) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		request, err := http.NewRequestWithContext(ctx, "GET", address, nil)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			return answer.Body.Close()
		}
		select {
		case <-program.Done():
			return fmt.Errorf("the handler ended with code %d", program.ExitCode())
		case <-time.After(2 * time.Millisecond):
		}
	}
	return errors.New("the handler is not ready within 20 s")
}

// set changes the settings as an administrator does.
func (w *world) set(change func(*settings.Integration)) {
	w.t.Helper()
	s := storage.Settings{Storage: w.st, Overrides: settings.Overrides{Tenant: w.tenant}}
	current, _, err := s.Load(w.t.Context())
	if err == nil {
		change(&current)
		_, err = s.Save(w.t.Context(), current)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) beat(beat health.Heartbeat) {
	w.t.Helper()
	beat.Interval = 5000
	if err := w.st.Beat(w.t.Context(), w.tenant, beat); err != nil {
		w.t.Fatal(err)
	}
}

// fresh says whether a is told as asOf (zero: never), with this reason for being
// stale (empty: it is not; else a part of it) and these codes of health.
func fresh(a answer, asOf time.Time, reason string, codes ...health.Code) bool {
	var got []health.Code
	for _, code := range a.Health.Codes {
		got = append(got, health.Code(code))
	}
	status := "ok"
	if len(codes) > 0 {
		status = "failing"
	}
	return a.status == 200 && (a.AsOf == nil) == asOf.IsZero() && (a.AsOf == nil || a.AsOf.Equal(asOf)) &&
		a.Stale == (reason != "") && (a.StaleReason != "") == a.Stale && strings.Contains(a.StaleReason, reason) &&
		a.Health.Status == status && slices.Equal(got, codes)
}

func TestEveryAnswerSaysHowOldItIsAndWhy(t *testing.T) {
	w := newWorld(t)
	p := w.handler()
	both := func(what string, asOf time.Time, reason string, codes ...health.Code) {
		t.Helper()
		var list, news answer
		for deadline := time.Now().Add(10 * time.Second); ; {
			list = p.snapshot(nil)
			news = p.changes(url.Values{"cursor": {list.Cursor}})
			if fresh(list, asOf, reason, codes...) && fresh(news, asOf, reason, codes...) {
				return
			}
			if time.Now().After(deadline) { // a process keeps what it read for a second
				t.Errorf("%s: want asOf %v, stale because of %q, %v\n%s%s", what, asOf, reason, codes, list.text, news.text)
				return
			}
		}
	}
	never := time.Time{}
	both("nothing is set up", never, "")
	if a := p.snapshot(nil); len(a.Items) != 0 || a.Cursor == "" {
		t.Errorf("before anything is set up the list is %s", a.text)
	}
	w.set(func(s *settings.Integration) { s.ClientID = "11111111-2222-4333-8444-555555555555" })
	both("nobody takes part", never, "")
	w.set(func(s *settings.Integration) { s.TeamsToProCall = settings.Everyone })
	both("switched on without a consent", never, "no presence was read yet", health.RequiredRead)
	grant := consent.Grant{Kind: consent.Admin, State: consent.Granted, Since: time.Now().UTC()}
	if _, err := (storage.Grants{Storage: w.st}).SaveGrant(t.Context(), w.tenant, grant); err != nil {
		t.Fatal(err)
	}
	both("no sync yet", never, "no presence was read yet", health.NoSync)

	now := time.Now().UTC().Truncate(time.Millisecond)
	old := now.Add(-time.Hour)
	w.beat(health.Heartbeat{AsOf: now, Attempt: now})
	w.append(feedtest.Busy(1))
	both("it works", now, "")
	w.beat(health.Heartbeat{AsOf: old, Attempt: old})
	both("no timer for an hour", old, "no sync since "+old.Format(time.RFC3339), health.NoSync)
	w.beat(health.Heartbeat{AsOf: old, Attempt: now, Error: "Graph answered 503", ErrorSince: old.Add(time.Second)})
	both("Graph is away for an hour", old, "Graph answered 503", health.StaleReading)
	if a := p.snapshot(nil); len(a.Items) != 1 {
		t.Errorf("what is stale is served all the same; got %s", a.text)
	}
	w.set(func(s *settings.Integration) { s.Paused = true })
	both("paused", old, "")
	w.set(func(s *settings.Integration) { s.Paused, s.TeamsToProCall = false, settings.Nobody })
	both("switched off", old, "")
}

func TestAnAnswerGrowsStaleWithoutAnybodyWritingThat(t *testing.T) {
	w := newWorld(t)
	w.set(func(s *settings.Integration) {
		s.ClientID, s.TeamsToProCall = "11111111-2222-4333-8444-555555555555", settings.Everyone
	})
	p := w.handler()
	patience := health.Patience(health.Heartbeat{Interval: 5000}, 0)
	asOf := time.Now().UTC().Add(2 * time.Second).Add(-patience)
	w.beat(health.Heartbeat{AsOf: asOf, Attempt: asOf})
	cursor := p.snapshot(nil).Cursor
	if a := p.changes(url.Values{"cursor": {cursor}}); a.Stale && time.Since(asOf) < patience {
		t.Errorf("stale after %v: %s", time.Since(asOf), a.text)
	}
	// Also who waits meanwhile is told.
	a := p.changes(url.Values{"cursor": {cursor}, "wait": {"4"}})
	if !a.Stale || a.StaleReason == "" || a.AsOf == nil || time.Since(*a.AsOf) < patience {
		t.Errorf("after %v: %s", time.Since(asOf), a.text)
	}
}

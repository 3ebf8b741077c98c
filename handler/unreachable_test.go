package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"procallteams/dev/azurite"
	"procallteams/internal/host"
	"procallteams/internal/settings"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// gateway stands before one address and breaks every connection while closed.
func gateway(t *testing.T, target string, open *atomic.Bool) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: to.Scheme, Host: to.Host})
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !open.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.Replace(target, to.Host, server.Listener.Addr().String(), 1)
}

func TestTheHandlerStartsWithoutStorageAndKeyVaultAndRecoversByItself(t *testing.T) {
	emulator := azurite.ForTest(t)
	var open atomic.Bool
	connection := emulator.ConnectionString()
	for _, address := range []string{emulator.BlobURL(), emulator.QueueURL(), emulator.TableURL()} {
		connection = strings.ReplaceAll(connection, address, gateway(t, address, &open))
	}
	b, err := settings.Load([]string{
		"AzureWebJobsStorage=" + connection,
		"KEY_VAULT_URI=https://127.0.0.1:1",
		"BRIDGE_PUBLIC_URL=http://localhost:7071",
		"PRESENCE_SYNC_SCHEDULE=*/5 * * * * *",
	})
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := wire(b, slog.New(slog.NewJSONHandler(io.Discard, nil)), nil)
	if err != nil {
		t.Fatalf("the handler needs the network to start: %v", err)
	}
	h := host.New(slog.New(slog.DiscardHandler))
	bodies.register(h)
	get := func(path, token string) (int, string) {
		request := httptest.NewRequest("GET", "http://localhost:7071"+path, nil)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, request)
		return answer.Code, answer.Body.String()
	}

	const token = "ptb_AAAAAAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAA"
	if code, _ := get("/", ""); code != 200 {
		t.Errorf("the readiness probe is answered with %d", code)
	}
	if code, text := get("/api/health", token); code != 503 && code != 401 || !json.Valid([]byte(text)) {
		t.Errorf("health without storage = %d %s", code, text)
	}
	if code, text := get("/api/console", ""); code != 503 && code != 200 {
		t.Errorf("the console without storage = %d %s", code, text)
	}
	if err := bodies.presenceSync(t.Context(), host.Tick{}); err == nil {
		t.Error("a sync that could not read its state counts as success")
	}

	open.Store(true)
	deadline := time.Now().Add(20 * time.Second)
	for err = bodies.presenceSync(t.Context(), host.Tick{}); err != nil && time.Now().Before(deadline); {
		err = bodies.presenceSync(t.Context(), host.Tick{})
	}
	if err != nil {
		t.Errorf("storage is back and the sync still fails: %v", err)
	}
	if code, text := get("/api/health", token); code != 401 {
		t.Errorf("storage is back and an unknown credential is answered with %d %s", code, text)
	}
}

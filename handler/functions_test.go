package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/build"
	"procallteams/internal/host"
)

// manifest is what the Functions host reads of a function.json.
type manifest struct {
	Bindings []struct {
		Type, Direction, Name, AuthLevel, Route, QueueName, Connection, Schedule string
		Methods                                                                  []string
		UseMonitor                                                               *bool
	}
}

func TestEachFunctionJSONMatchesItsRegistration(t *testing.T) {
	h := host.New(slog.New(slog.DiscardHandler))
	refusing(errors.New("no settings"), slog.New(slog.DiscardHandler)).register(h)
	registered := map[string]host.Function{}
	for _, f := range h.Functions() {
		registered[f.Name] = f
	}

	paths, err := filepath.Glob("../functions/*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		name := filepath.Base(filepath.Dir(path))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m manifest
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		if err := decoder.Decode(&m); err != nil || len(m.Bindings) == 0 {
			t.Errorf("%s: %v", path, err)
			continue
		}
		trigger := m.Bindings[0]
		got := host.Function{Name: name, Trigger: trigger.Type, Binding: trigger.Name, Route: trigger.Route, Queue: trigger.QueueName}
		if diff := cmp.Diff(registered[name], got); diff != "" {
			t.Errorf("%s differs from its registration (-registered +file):\n%s", path, diff)
		}
		switch trigger.Type {
		case "httpTrigger":
			// Forwarding and proxying need exactly one input and one output; the
			// handler authorises, and answers every method.
			if len(m.Bindings) != 2 || m.Bindings[1].Type != "http" || m.Bindings[1].Direction != "out" || trigger.AuthLevel != "anonymous" || len(trigger.Methods) != 0 {
				t.Errorf("%s: an HTTP function has an anonymous httpTrigger for all methods and one http output", path)
			}
		default:
			if len(m.Bindings) != 1 {
				t.Errorf("%s: a %s function has no other binding", path, trigger.Type)
			}
		}
		if trigger.Type == "queueTrigger" && trigger.Connection != "AzureWebJobsStorage" {
			t.Errorf("%s: connection is %q", path, trigger.Connection)
		}
		delete(registered, name)
	}
	for name := range registered {
		t.Errorf("%s is registered and has no functions/%s/function.json", name, name)
	}
}

func TestWithFaultySettingsEverythingRefusesWithAllFaults(t *testing.T) {
	faults := errors.New("app settings: KEY_VAULT_URI is missing; BRIDGE_PUBLIC_URL is missing")
	var logs strings.Builder
	log := slog.New(slog.NewJSONHandler(&logs, nil))
	h := host.New(log)
	refusing(faults, log).register(h)

	call := func(method, path, body string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
		return answer
	}
	if probe := call("GET", "/", ""); probe.Code != 200 {
		t.Errorf("the readiness probe is answered with %d", probe.Code)
	}
	for _, f := range h.Functions() {
		switch f.Trigger {
		case "httpTrigger":
			path := "/api/" + strings.NewReplacer("{grant}", "user", "{*page}", "").Replace(f.Route)
			answer := call("GET", path, "")
			text, _ := io.ReadAll(answer.Body)
			if answer.Code != 503 || !strings.Contains(string(text), faults.Error()) || !json.Valid(text) {
				t.Errorf("GET %s = %d %s; want 503 with all faults", path, answer.Code, text)
			}
		case "timerTrigger":
			if answer := call("POST", "/"+f.Name, `{"Data":{"`+f.Binding+`":{}}}`); answer.Code != 500 {
				t.Errorf("%s = %d; a timer that did nothing is no success", f.Name, answer.Code)
			}
		case "queueTrigger":
			if answer := call("POST", "/"+f.Name, `{"Data":{"`+f.Binding+`":"x"}}`); answer.Code != 200 {
				t.Errorf("%s = %d; a wake-up must not end in the poison queue", f.Name, answer.Code)
			}
		}
	}
	browser := httptest.NewRequest("GET", "/api/console", nil)
	browser.Header.Set("Accept", "text/html,application/xhtml+xml")
	shown := httptest.NewRecorder()
	h.ServeHTTP(shown, browser)
	if text := shown.Body.String(); shown.Code != 503 || !strings.HasPrefix(shown.Header().Get("Content-Type"), "text/html") || !strings.Contains(text, "KEY_VAULT_URI is missing") || !strings.Contains(text, "Environment variables") {
		t.Errorf("a browser is shown %d %s; want a page with all faults", shown.Code, text)
	}
	if answer := call("GET", "/api/health", ""); !strings.Contains(answer.Body.String(), `"settings-fault"`) {
		t.Errorf("health = %s; want the stable code settings-fault", answer.Body)
	}
	if answer := call("GET", "/api/health", ""); answer.Header().Get("Bridge-Build") != build.Fingerprint(buildVersion()) {
		t.Errorf("health names the build %q, also while it refuses; want that of %s", answer.Header().Get("Bridge-Build"), buildVersion())
	}
	for _, path := range []string{"/api/health", "/api/status"} {
		if text := call("GET", path, "").Body.String(); !strings.Contains(text, `"operator"`) || strings.Contains(text, `"administrator"`) {
			t.Errorf("%s = %s; app settings are the operator's", path, text)
		}
	}
	// The alert settings-fault asks for this line, so upkeep repeats it.
	if n := strings.Count(logs.String(), `"msg":"refusing every call"`); n != 1 {
		t.Errorf("upkeep ticked once, and %d lines say that every call is refused: %s", n, &logs)
	}
	if !strings.Contains(logs.String(), "KEY_VAULT_URI is missing") {
		t.Errorf("the log does not name the faults: %s", &logs)
	}
}

package contract_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"procallteams/internal/contract"
	"procallteams/internal/problem"
)

func TestTheDocumentIsValid(t *testing.T) { contract.Document(t) }

// recorder is a test that may fail without failing this one.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Helper()               {}

func TestAnswersOutsideOfTheContractAreFound(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(http.ResponseWriter)
		broken bool
	}{
		{"a documented answer", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"status":"ok","findings":[]}`))
		}, false},
		{"a field is missing", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"status":"ok"}`))
		}, true},
		{"an unknown status code", func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) }, true},
		{"a documented refusal", func(w http.ResponseWriter) {
			problem.Write(w, problem.Details{Type: "/problems/sign-in-required", Title: "x", Status: 401})
		}, false},
		{"an unknown problem", func(w http.ResponseWriter) {
			problem.Write(w, problem.Details{Type: "/problems/invented", Title: "x", Status: 401})
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			probe := &recorder{TB: t}
			handler := contract.Handler(probe, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { test.answer(w) }))
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/health", nil))
			if probe.failed != test.broken {
				t.Errorf("found broken = %t; want %t", probe.failed, test.broken)
			}
		})
	}
}

func TestPushesOutsideOfTheContractAreFound(t *testing.T) {
	const rest = `"tenant":"t","consumer":"push","epoch":"E","from":"1.1","to":"1.2","asOf":null,"stale":false,"staleReason":"",`
	for _, test := range []struct {
		name, body string
		broken     bool
	}{
		{"a heartbeat", `{"type":"presence.changes",` + rest + `"changes":[]}`, false},
		{"changes are missing", `{"type":"presence.changes",` + rest + `"x":1}`, true},
		{"a change without procall", `{"type":"presence.changes",` + rest + `"changes":[{"id":"1.2","type":"presence","user":"u"}]}`, true},
		{"a removal", `{"type":"presence.changes",` + rest + `"changes":[{"id":"1.2","type":"removed","user":"u","reason":"disabled"}]}`, false},
		{"a snapshot without parts", `{"type":"presence.snapshot",` + rest + `"changes":[]}`, true},
		{"an unknown type", `{"type":"presence.other"}`, true},
		{"no JSON", `<html>`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			probe := &recorder{TB: t}
			contract.Push(probe, []byte(test.body))
			if probe.failed != test.broken {
				t.Errorf("found broken = %t; want %t", probe.failed, test.broken)
			}
		})
	}
}

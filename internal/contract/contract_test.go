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

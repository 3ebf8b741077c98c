package metertest

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"procallteams/internal/telemetry"
)

// Trace is a call of a function whose requests a test reads.
type Trace struct {
	t    *testing.T
	span trace.Span

	mu  sync.Mutex
	out bytes.Buffer
}

// Write implements [io.Writer] for the log.
func (tr *Trace) Write(line []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.out.Write(line)
}

// NewTrace begins a call that is written whole, and its context.
func NewTrace(t *testing.T) (context.Context, *Trace) {
	tr := &Trace{t: t}
	ctx, span := telemetry.NewTracer(slog.New(slog.NewJSONHandler(tr, nil)), nil).Start(t.Context(), "test")
	tr.span = span
	return ctx, tr
}

// Requests ends the call and returns the systems and names of the requests made in
// it: "graph GET /users/{}".
func (tr *Trace) Requests() (names []string) {
	tr.t.Helper()
	tr.span.End()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for decoder := json.NewDecoder(&tr.out); decoder.More(); {
		var line struct{ System, Name string }
		if err := decoder.Decode(&line); err != nil {
			tr.t.Fatal(err)
		}
		if line.System != "function" {
			names = append(names, line.System+" "+line.Name)
		}
	}
	return names
}

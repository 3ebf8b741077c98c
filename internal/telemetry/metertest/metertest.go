// Package metertest reads what a meter measured, for tests.
package metertest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"procallteams/internal/telemetry"
)

// Meter is a meter whose lines a test reads.
type Meter struct {
	*telemetry.Meter
	t   *testing.T
	out bytes.Buffer
}

// New returns a meter without measurements.
func New(t *testing.T) *Meter {
	m := &Meter{t: t}
	m.Meter = telemetry.NewMeter(slog.New(slog.NewJSONHandler(&m.out, nil)))
	return m
}

// Want compares fields of the line with a message, made of everything since the last
// call, and returns the line.
func (m *Meter) Want(message string, fields map[string]float64) map[string]any {
	m.t.Helper()
	m.Flush()
	var found map[string]any
	for decoder := json.NewDecoder(&m.out); decoder.More(); {
		var line map[string]any
		if err := decoder.Decode(&line); err != nil {
			m.t.Fatal(err)
		}
		if line["msg"] == message {
			found = line
		}
	}
	if found == nil {
		m.t.Fatalf("no line %q", message)
	}
	for name, want := range fields {
		if got := found[name]; got != want {
			m.t.Errorf("%s.%s = %v; want %v", message, name, got, want)
		}
	}
	return found
}

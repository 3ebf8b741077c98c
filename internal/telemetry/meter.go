package telemetry

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Measurement is one thing that was done: [Sync], [Push], [Write], [Poll], [Report].
type Measurement interface {
	// line is which line it is part of.
	line() line
	// values are the same fields in the same order, whatever was measured.
	values() []value
}

// line is a kind of line: its message, how long its window is, and what parts it
// from others of its kind, such as the system asked.
type line struct {
	message     string
	window      time.Duration
	label, part string
}

// value is one field of a measurement, and how those of a window become one.
type value struct {
	name string
	how  how
	n    int64
}

type how string

// How the values of a window become one. The words are those of docs/log-schema.md.
const (
	summed   how = "sum"
	greatest how = "maximum"
	newest   how = "at the end"
)

func (v *value) take(next value) {
	switch v.how {
	case summed:
		v.n += next.n
	case greatest:
		v.n = max(v.n, next.n)
	case newest:
		v.n = next.n
	}
}

// Meter sums measurements up and writes one line for each kind, function and window
// in which there were any. It is safe for concurrent use; a nil Meter measures
// nothing. A process that is killed takes what it has not written with it.
type Meter struct {
	log *slog.Logger

	mu   sync.Mutex
	open map[key]*window
}

type key struct {
	function string
	line     line
}

// window is what was measured since it began.
type window struct {
	began  time.Time
	values []value
}

// NewMeter returns a meter that writes to log.
func NewMeter(log *slog.Logger) *Meter {
	return &Meter{log: log, open: map[key]*window{}}
}

// Add takes a measurement in, for the function that ctx belongs to.
func (m *Meter) Add(ctx context.Context, done Measurement) {
	if m == nil {
		return
	}
	k := key{CallOf(ctx).Function, done.line()}
	values := done.values()
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.open[k]
	if w == nil {
		w = &window{time.Now(), values}
		m.open[k] = w
		// Not with the next measurement: there may be none for hours.
		time.AfterFunc(k.line.window, func() { m.close(k, w) })
		return
	}
	for i := range w.values {
		w.values[i].take(values[i])
	}
}

// Flush writes what was measured so far: the process is about to end.
func (m *Meter) Flush() {
	m.mu.Lock()
	open := maps.Clone(m.open)
	m.mu.Unlock()
	for k, w := range open {
		m.close(k, w)
	}
}

// close ends a window, unless that was done.
func (m *Meter) close(k key, w *window) {
	m.mu.Lock()
	over := m.open[k] != w
	if !over {
		delete(m.open, k)
	}
	m.mu.Unlock()
	if !over {
		m.write(k, w)
	}
}

func (m *Meter) write(k key, w *window) {
	fields := make([]slog.Attr, 0, len(w.values)+3)
	if k.function != "" {
		fields = append(fields, slog.String("function", k.function))
	}
	fields = append(fields, slog.Int64("seconds", int64(time.Since(w.began).Round(time.Second)/time.Second)))
	if k.line.label != "" {
		fields = append(fields, slog.String(k.line.label, k.line.part))
	}
	for _, v := range w.values {
		fields = append(fields, slog.Int64(v.name, v.n))
	}
	m.log.LogAttrs(context.Background(), slog.LevelInfo, k.line.message, fields...)
}

func sum[N int | int64](name string, n N) value  { return value{name, summed, int64(n)} }
func last(name string, n int) value              { return value{name, newest, int64(n)} }
func longest(name string, d time.Duration) value { return value{name, greatest, d.Milliseconds()} }

func count(name string, happened bool) value {
	if happened {
		return value{name, summed, 1}
	}
	return value{name, summed, 0}
}

package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

const tracerName = "procallteams"

const (
	// sampleEvery is how often one whole call of each function is written.
	sampleEvery = time.Hour
	// slow is from when on a request to another system is written.
	slow = 2 * time.Second
	// atOnce spans may be written at once, then one a second: an outage must not
	// cost more than a day without one.
	atOnce = 60
)

// NewTracer returns a tracer whose spans become lines of log: those that failed, slow
// requests, and now and then a whole call as a sample. Every request is counted by
// meter. Whether a call is a sample is decided here, not by who called: anybody may
// send a traceparent.
func NewTracer(log *slog.Logger, meter *Meter) trace.Tracer {
	lines := &spanLines{log: log, meter: meter, room: rate.NewLimiter(1, atOnce)}
	provider := sdk.NewTracerProvider(
		sdk.WithSpanProcessor(lines), sdk.WithSampler(&sampler{taken: map[string]time.Time{}}),
		sdk.WithIDGenerator(ids{}), sdk.WithResource(resource.Empty()),
	)
	return provider.Tracer(tracerName)
}

// Failed marks a span as failed, because of the function itself.
func Failed(span trace.Span) {
	span.SetAttributes(errorKey.String("function"))
	span.SetStatus(codes.Error, "")
}

// sampler records every span, and marks the spans of one call of each function per
// sampleEvery.
type sampler struct {
	mu    sync.Mutex
	taken map[string]time.Time // by function
}

func (s *sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	result := sdk.SamplingResult{Decision: sdk.RecordOnly, Tracestate: parent.TraceState()}
	if parent.IsValid() && !parent.IsRemote() {
		if parent.IsSampled() {
			result.Decision = sdk.RecordAndSample
		}
		return result
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.taken[p.Name]; !ok || time.Since(last) >= sampleEvery {
		s.taken[p.Name] = time.Now()
		result.Decision = sdk.RecordAndSample
	}
	return result
}

func (s *sampler) Description() string { return "one call of each function every hour" }

// ids names a trace that the host gave no name to after the invocation, so that it is
// found by the id that problems and the host's own lines carry.
type ids struct{}

func (g ids) NewIDs(ctx context.Context) (id trace.TraceID, _ trace.SpanID) {
	text := strings.ReplaceAll(CallOf(ctx).Invocation, "-", "")
	if n, err := hex.Decode(id[:min(len(id), len(text)/2)], []byte(text[:min(2*len(id), len(text)&^1)])); err != nil || n != len(id) || !id.IsValid() {
		_, _ = rand.Read(id[:]) // never fails
	}
	return id, g.NewSpanID(ctx, id)
}

func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	_, _ = rand.Read(id[:])
	return id
}

// spanLines writes spans, and has requests counted.
type spanLines struct {
	log   *slog.Logger
	meter *Meter
	room  *rate.Limiter
}

func (l *spanLines) OnStart(parent context.Context, span sdk.ReadWriteSpan) {
	call := CallOf(parent)
	span.SetAttributes(functionKey.String(call.Function), invocationKey.String(call.Invocation))
}

func (l *spanLines) OnEnd(span sdk.ReadOnlySpan) {
	took := span.EndTime().Sub(span.StartTime())
	s := read(span)
	request := span.SpanKind() == trace.SpanKindClient
	why := ""
	switch {
	case span.Status().Code == codes.Error:
		why = "failed"
	case request && took >= slow:
		why = "slow"
	case span.SpanContext().IsSampled():
		why = "sample"
	}
	written := why != "" && l.room.Allow()
	if written {
		l.write(span, s, took, why)
	}
	if request {
		l.meter.Add(WithCall(context.Background(), Call{Function: s.function}), dependency{
			system: s.system, failed: why == "failed", throttled: s.status == 429, slow: took >= slow,
			unlogged: !written && (why == "failed" || why == "slow"), took: took,
		})
	}
}

// attributes are those of a span.
type attributes struct {
	system, class, function, invocation string
	status                              int64
}

func read(span sdk.ReadOnlySpan) (a attributes) {
	a.system = "function"
	for _, pair := range span.Attributes() {
		switch pair.Key {
		case systemKey:
			a.system = pair.Value.AsString()
		case errorKey:
			a.class = pair.Value.AsString()
		case functionKey:
			a.function = pair.Value.AsString()
		case invocationKey:
			a.invocation = pair.Value.AsString()
		case statusKey:
			a.status = pair.Value.AsInt64()
		}
	}
	return a
}

func (l *spanLines) write(span sdk.ReadOnlySpan, a attributes, took time.Duration, why string) {
	parent := ""
	if span.Parent().HasSpanID() {
		parent = span.Parent().SpanID().String()
	}
	level := slog.LevelInfo
	if why == "failed" {
		level = slog.LevelWarn
	}
	l.log.LogAttrs(context.Background(), level, "span",
		slog.String("function", a.function), slog.String("invocation", a.invocation),
		slog.String("trace", span.SpanContext().TraceID().String()), slog.String("span", span.SpanContext().SpanID().String()), slog.String("parent", parent),
		slog.String("name", span.Name()), slog.String("system", a.system), slog.Int64("millis", took.Milliseconds()),
		slog.Int64("status", a.status), slog.String("error", a.class), slog.String("why", why),
	)
}

func (l *spanLines) Shutdown(context.Context) error   { return nil }
func (l *spanLines) ForceFlush(context.Context) error { return nil }

// Package host is the bridge's only coupling to Azure Functions: it speaks the
// custom-handler contract, so that code under functions/ is plain Go.
//
// The host starts one handler process and calls it on 127.0.0.1 at the port in
// FUNCTIONS_CUSTOMHANDLER_PORT. Timers and queues arrive as POST /<function>
// with an envelope (envelope.go); HTTP functions arrive with their own method
// and path under both enableForwardingHttpRequest and enableProxyingHttpRequest
// (routes.go). What the real host (4.1037) does beyond its documentation is
// honoured here:
//
//   - an answer to a timer or queue always has a JSON body: an empty one hangs
//     until the function times out and takes the process with it;
//   - only 2xx says that the work is done or its failure is recorded;
//   - a panic becomes a failed invocation, never a dead process: the host would
//     send a request without a body again, up to 40 times;
//   - the process ends with a non-zero code, since the host does not restart one
//     that ended with 0, and it ends by itself when its parent is gone;
//   - everything in Metadata can come from a message's payload, so it is ignored.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"procallteams/internal/problem"
	"procallteams/internal/telemetry"
)

// Deadlines of one invocation, all well below functionTimeout (5 minutes in
// host.json): two invocations that time out together stop the whole host.
const (
	HTTPDeadline = 100 * time.Second
	WorkDeadline = 4 * time.Minute // timers and queues; they set tighter ones inside
)

// Host serves registered functions to the Functions host.
type Host struct {
	log       *slog.Logger
	tracer    trace.Tracer
	functions []Function
	mux       *http.ServeMux
}

// Function is one registration, as the test that compares it with function.json
// sees it.
type Function struct {
	Name    string // folder and function name, lower case
	Trigger string // httpTrigger, timerTrigger or queueTrigger
	Binding string // name of the trigger's binding
	Route   string // HTTP only, as in function.json
	Queue   string // queue only
}

// New returns a Host without functions. log receives one line per failed
// invocation and one per finished timer or queue invocation.
func New(log *slog.Logger) *Host {
	h := &Host{log: log, tracer: noop.Tracer{}, mux: http.NewServeMux()}
	// The readiness probe and later pings: cheap, no side effects.
	h.mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ProCall Teams Bridge handler\n"))
	})
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.Details{Type: "/problems/not-found", Title: "There is nothing at this address", Status: http.StatusNotFound})
	})
	return h
}

// Trace makes every invocation a span of tracer. To be called before Serve.
func (h *Host) Trace(tracer trace.Tracer) { h.tracer = tracer }

// Functions lists the registrations in the order in which they were made.
func (h *Host) Functions() []Function { return h.functions }

// ServeHTTP lets tests call the handler without a socket.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.route(w, r) }

// Serve answers the Functions host on the port that environ names until ctx
// ends or the parent process is gone. It always returns an error: the process
// must not end with code 0.
func (h *Host) Serve(ctx context.Context, environ func(string) string) error {
	port := environ("FUNCTIONS_CUSTOMHANDLER_PORT")
	if port == "" {
		return errors.New("FUNCTIONS_CUSTOMHANDLER_PORT is missing: the handler is started by the Functions host (make run, or func start)")
	}
	// The host dials the IPv4 literal; a listener on [::1] is never ready.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:"+port)
	if err != nil {
		return fmt.Errorf("listen for the Functions host: %w", err)
	}
	server := &http.Server{
		Handler: h,
		// The host reuses connections: a short idle time-out would race with a
		// POST. No write time-out: invocations have their own deadlines.
		IdleTimeout:       5 * time.Minute,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 2)
	go func() { done <- server.Serve(listener) }()
	go func() { done <- orphaned(ctx, os.Getppid, time.Second) }()
	err = <-done
	// No drain: the host kills without a signal, so every function is correct at
	// any line anyway.
	return errors.Join(err, server.Close())
}

// orphaned returns when the parent process changes: a killed host leaves the
// handler alive with its port, and nothing else tells it.
func orphaned(ctx context.Context, parent func() int, every time.Duration) error {
	first := parent()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			if parent() != first {
				return errors.New("the Functions host is gone")
			}
		}
	}
}

// Invocation returns the invocation id that the Functions host gave this call,
// empty outside of one.
func Invocation(ctx context.Context) string { return telemetry.CallOf(ctx).Invocation }

// Log returns log with the function, invocation and trace of ctx.
func Log(ctx context.Context, log *slog.Logger) *slog.Logger {
	call := telemetry.CallOf(ctx)
	if call == (telemetry.Call{}) {
		return log
	}
	log = log.With("function", call.Function, "invocation", call.Invocation)
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		log = log.With("trace", span.TraceID().String())
	}
	return log
}

// begin puts the invocation into the request's context, with its deadline and its
// span. end is called when the invocation is over, and with false when it failed.
func (h *Host) begin(r *http.Request, function string, deadline time.Duration) (_ *http.Request, end func(done bool)) {
	id := r.Header.Get("X-Azure-Functions-InvocationId")
	// Forwarding keeps a client's own header in front: "evil, <guid>".
	if i := strings.LastIndexByte(id, ','); i >= 0 {
		id = strings.TrimSpace(id[i+1:])
	}
	ctx := telemetry.WithCall(r.Context(), telemetry.Call{Function: function, Invocation: limit(id, 64)})
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	ctx, span := h.tracer.Start(ctx, function, trace.WithSpanKind(trace.SpanKindServer))
	ctx, cancel := context.WithTimeout(ctx, deadline)
	return r.WithContext(ctx), func(done bool) {
		cancel()
		if !done {
			telemetry.Failed(span)
		}
		span.End()
	}
}

func limit(text string, n int) string {
	if len(text) > n {
		return text[:n]
	}
	return text
}

// recovered turns a panic into an error and logs its stack. The panic's text is
// not logged beyond its type when it is no error: it could hold anything.
func recovered(ctx context.Context, log *slog.Logger, value any) error {
	text := fmt.Sprintf("%T", value)
	if err, ok := value.(error); ok {
		text = err.Error()
	} else if s, ok := value.(string); ok {
		text = s
	}
	Log(ctx, log).Error("invocation panicked", "panic", text, "stack", string(debug.Stack()))
	return errors.New("panic: " + text)
}

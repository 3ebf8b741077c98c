package telemetry_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"procallteams/internal/telemetry"
)

// traced is a tracer and what it writes.
type traced struct {
	printed
	tracer trace.Tracer
}

func newTraced() *traced {
	tr := &traced{}
	tr.tracer = telemetry.NewTracer(tr.log(), telemetry.NewMeter(tr.log()))
	return tr
}

// call makes a call of a function in which requests are made.
func (tr *traced) call(ctx context.Context, function string, requests func(context.Context)) {
	ctx, span := tr.tracer.Start(in(ctx, function), function, trace.WithSpanKind(trace.SpanKindServer))
	requests(ctx)
	span.End()
}

func ask(system string, status int, err error, took time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		_, end := telemetry.Request(ctx, system, "GET /{}")
		time.Sleep(took)
		end(status, err)
	}
}

func TestWhichSpansAreWritten(t *testing.T) {
	away := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, test := range []struct {
		name, system string
		status       int
		err          error
		took         time.Duration
		why, class   any // nil: not written
	}{
		{"a quick answer", "graph", 200, nil, time.Second, nil, nil},
		{"a slow answer", "graph", 200, nil, 3 * time.Second, "slow", ""},
		{"throttled", "graph", 429, nil, 0, "failed", "answer"},
		{"the token is refused", "graph", 401, nil, 0, "failed", "answer"},
		{"a session that has ended", "graph", 404, nil, 0, nil, nil},
		{"a lost race", "table", 412, nil, 0, nil, nil},
		{"Key Vault says where to sign in", "keyvault", 401, nil, 0, nil, nil},
		{"Key Vault refuses", "keyvault", 403, nil, 0, "failed", "answer"},
		{"UCServer lacks changes", "ucserver", 409, nil, 0, "failed", "answer"},
		{"nobody listens", "ucserver", 0, away, 0, "failed", "refused"},
		{"a deadline", "table", 0, context.DeadlineExceeded, 0, "failed", "timeout"},
		{"no such name", "entra", 0, &net.DNSError{Err: "no such host", Name: "login.contoso.com"}, 0, "failed", "dns"},
		{"whoever asked is gone", "table", 0, context.Canceled, 0, nil, nil},
		{"anything else", "table", 0, errors.New("user ada@contoso.com"), 0, "failed", "network"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTraced()
				tr.call(t.Context(), "presencesync", func(context.Context) {}) // the sample
				tr.lines(t)
				tr.call(t.Context(), "presencesync", ask(test.system, test.status, test.err, test.took))
				lines := tr.lines(t)
				if test.why == nil {
					if len(lines) != 0 {
						t.Errorf("written: %v", lines)
					}
					return
				}
				if len(lines) != 1 || lines[0]["why"] != test.why || lines[0]["error"] != test.class || lines[0]["system"] != test.system {
					t.Errorf("lines = %v; want one, %v, %v", lines, test.why, test.class)
				}
			})
		})
	}
}

func TestOneWholeCallOfEachFunctionIsWrittenEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTraced()
		spans := map[any]int{}
		for range 120 { // two hours
			for _, function := range []string{"presencesync", "upkeep"} {
				tr.call(t.Context(), function, func(ctx context.Context) {
					ask("table", 200, nil, 0)(ctx)
					ask("graph", 200, nil, 0)(ctx)
				})
			}
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		for _, line := range tr.lines(t) {
			if line["msg"] == "span" {
				spans[line["function"]]++
				if line["why"] != "sample" {
					t.Errorf("line = %v", line)
				}
			}
		}
		if spans["presencesync"] != 6 || spans["upkeep"] != 6 {
			t.Errorf("spans = %v; want two calls of three spans each", spans)
		}
	})
}

func TestAnOutageIsCountedWithoutFloodingTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTraced()
		const requests = 1000
		tr.call(t.Context(), "presencechanges", func(ctx context.Context) {
			for range requests {
				ask("table", 503, nil, 0)(ctx)
			}
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		written, counted := 0, map[string]any{}
		for _, line := range tr.lines(t) {
			if line["msg"] == "span" {
				written++
			} else if line["system"] == "table" {
				counted = line
			}
		}
		if written > 61 || counted["requests"] != float64(requests) || counted["failed"] != float64(requests) || counted["unlogged"] != float64(requests-written) {
			t.Errorf("%d spans written, counted %v", written, counted)
		}
	})
}

func TestTracesConnect(t *testing.T) {
	const parent = "00-11111111111111111111111111111111-2222222222222222-01"
	for _, test := range []struct{ name, traceparent, trace, parent string }{
		{"with the host's trace", parent, "11111111111111111111111111111111", "2222222222222222"},
		{"with the invocation, where there is none", "", "0af7651916cd43dd8448eb211c80319c", ""},
		{"with the invocation, where it is nonsense", "00-zz-2222222222222222-01", "0af7651916cd43dd8448eb211c80319c", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := newTraced()
			ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": test.traceparent})
			sent := http.Header{}
			tr.call(ctx, "presencepush", func(ctx context.Context) {
				ctx, end := telemetry.Request(ctx, "ucserver", "POST push")
				telemetry.Propagate(ctx, sent)
				end(200, nil)
			})
			lines := tr.lines(t)
			if len(lines) != 2 {
				t.Fatalf("lines = %v", lines)
			}
			push, call := lines[0], lines[1]
			if call["trace"] != test.trace || call["parent"] != test.parent || push["trace"] != test.trace || push["parent"] != call["span"] {
				t.Errorf("lines = %v", lines)
			}
			if got, want := sent.Get("Traceparent"), "00-"+test.trace+"-"+push["span"].(string)+"-01"; got != want {
				t.Errorf("UCServer gets %q; want %q", got, want)
			}
			if push["invocation"] != "0af76519-16cd-43dd-8448-eb211c80319c" || push["function"] != "presencepush" {
				t.Errorf("line = %v", push)
			}
		})
	}
}

func TestWhoCallsDoesNotDecideWhatIsWritten(t *testing.T) {
	tr := newTraced()
	ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": "00-11111111111111111111111111111111-2222222222222222-01"})
	for range 50 {
		tr.call(ctx, "presencechanges", ask("table", 200, nil, 0))
	}
	if lines := tr.lines(t); len(lines) != 2 {
		t.Errorf("%d lines for 50 calls that ask to be sampled", len(lines))
	}
}

func TestOutsideOfACallNothingIsTraced(t *testing.T) {
	ctx, end := telemetry.Request(t.Context(), "graph", "GET /users")
	header := http.Header{}
	telemetry.Propagate(ctx, header)
	end(500, nil)
	if len(header) != 0 {
		t.Errorf("header = %v", header)
	}
}

func TestARouteShowsNoIDs(t *testing.T) {
	words := telemetry.Words("users", "presence", "setPresence")
	for path, want := range map[string]string{
		"/users/fa8bf3dc-eca7-46b7-bad1-db199b62afc3/presence/setPresence": "POST /users/{}/presence/setPresence",
		"/users/ada@contoso.com/": "POST /users/{}",
		"/":                       "POST /{}",
		"/Users":                  "POST /{}",
	} {
		if got := telemetry.Route("POST", path, words); got != want || strings.Contains(got, "ada") {
			t.Errorf("Route(%q) = %q; want %q", path, got, want)
		}
	}
}

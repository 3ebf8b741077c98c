// Package telemetry says in log lines how the bridge fares: measurements, summed up
// over a minute ([Meter]), and traces ([NewTracer]).
//
// The lines are the interface: alert rules and the workbook are written with the
// names of docs/log-schema.md, and a test holds the two together. They go to
// standard output, which the Functions host carries to Application Insights, so
// that nothing of ours leaves by a way of its own (docs/decisions). Nothing here
// names a person: addresses are templates ([Route]), errors are classes.
//
// Package pipeline beside this one measures the requests of the Azure SDK.
package telemetry

import "context"

// Call is the call of a function that a context belongs to.
type Call struct {
	Function   string // folder and function name
	Invocation string // the Functions host's id, a GUID; empty when there is none
}

type callKey struct{}

// WithCall returns a context of the call.
func WithCall(ctx context.Context, call Call) context.Context {
	return context.WithValue(ctx, callKey{}, call)
}

// CallOf returns the call that ctx belongs to, the zero Call outside of one.
func CallOf(ctx context.Context) Call {
	call, _ := ctx.Value(callKey{}).(Call)
	return call
}

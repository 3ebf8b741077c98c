// Package bench measures the budgets of the bridge on the parts that also run in
// production: the real handler, over real sockets, against the local cloud.
//
// Ratios (a sync against a plain client that only fetches and decodes the same
// answers) come from the product's own Go benchmarks, so that both sides run in
// one process on one machine. Everything else is measured from outside: what
// crosses the wire to storage, what the kernel says about the process, what a
// consumer sees.
package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Budget is one measured figure and its limit.
type Budget struct {
	Name     string
	Measured float64
	Limit    float64 // zero: only reported, unless Strict
	Unit     string
	Strict   bool
}

// Over reports whether the budget is exceeded.
func (b Budget) Over() bool { return (b.Limit > 0 || b.Strict) && b.Measured > b.Limit }

// String is the line that make bench ends with:
//
//	budget <name> <measured> <limit> ok|over
func (b Budget) String() string {
	limit, verdict := "-", "ok"
	if b.Limit > 0 || b.Strict {
		limit = number(b.Limit) + b.Unit
	}
	if b.Over() {
		verdict = "over"
	}
	return fmt.Sprintf("budget %s %s%s %s %s", b.Name, number(b.Measured), b.Unit, limit, verdict)
}

func number(f float64) string {
	if f == float64(int64(f)) {
		return fmt.Sprintf("%d", int64(f))
	}
	return fmt.Sprintf("%.2f", f)
}

// Options of a measurement.
type Options struct {
	Dist string
	// Quick measures less: no 100,000 users, shorter runs.
	Quick bool
	// Only names the measurements that are made: those with one of these words in
	// their names; empty makes all.
	Only []string
	Log  io.Writer
	// HostLog receives what the host and the handlers print; may be nil.
	HostLog io.Writer
}

func (o Options) say(format string, args ...any) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, format+"\n", args...)
	}
}

func (o Options) wants(name string) bool {
	return len(o.Only) == 0 || slices.ContainsFunc(o.Only, func(word string) bool { return strings.Contains(name, word) })
}

// Run makes every measurement that is wanted. One that fails is named in the error and does not
// stop the others.
func Run(ctx context.Context, o Options) ([]Budget, []error) {
	var budgets []Budget
	var faults []error
	measured := 0
	for _, m := range []struct {
		name    string
		limit   time.Duration
		measure func(context.Context, Options) ([]Budget, error)
	}{
		{"sync against a plain client", 10 * time.Minute, ratios},
		{"handler", 2 * time.Minute, handler},
		{"storage operations of a sync", 4 * time.Minute, storageOperations},
		{"latency of a push", 5 * time.Minute, latency},
		{"latency of calls", 12 * time.Minute, callLatency},
		{"cold queue, which always-ready instances are for", 4 * time.Minute, cold},
		{"memory", 8 * time.Minute, memory},
	} {
		if !o.wants(m.name) {
			continue
		}
		measured++
		o.say("measuring: %s", m.name)
		measuring, cancel := context.WithTimeout(ctx, m.limit)
		found, err := m.measure(measuring, o)
		cancel()
		budgets = append(budgets, found...)
		if err != nil {
			faults = append(faults, fmt.Errorf("measure %s: %w", m.name, err))
			o.say("  %v", err)
		}
	}
	if measured == 0 {
		faults = append(faults, fmt.Errorf("no measurement has one of the words %q in its name", o.Only))
	}
	return budgets, faults
}

package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"procallteams/dev/cloud"
	"procallteams/dev/smoke"
	"procallteams/dev/ucserver"
)

// callLatency measures a call's way from UCServer's report to Graph, with a Graph
// that answers in 100 ms and allows no more than the bridge was told, while people
// move in Teams. The begins and ends come at a rate close to the writer's share.
func callLatency(ctx context.Context, o Options) ([]Budget, error) {
	var budgets []Budget
	writes, changes, throttled := 0, 0, 0
	for _, load := range []struct {
		rate, budget, users, calls int
	}{
		{25, 1500, 2000, 300},
		{150, 10_000, 2000, 500},
	} {
		run := smoke.Default
		run.Users, run.Rate, run.Calls, run.CallRate, run.Budget = load.users, 25, load.calls, float64(load.rate), load.budget
		run.Kills, run.Disturb, run.Hold, run.Dist, run.HostLog = 0, false, 5*time.Second, o.Dist, o.HostLog
		run.Duration, run.GraphLatency = time.Minute, 100*time.Millisecond
		if o.Quick {
			run.Duration = 20 * time.Second
		}
		report, err := smoke.Run(ctx, run)
		if err != nil {
			return budgets, fmt.Errorf("%d reports a second: %w", load.rate, err)
		}
		o.say("  %d a second: p50 %d ms, p99 %d ms of %d; %d writes for %d changes; slowest %v",
			load.rate, report.CallP50, report.CallP99, report.CallsMeasured, report.Writes, report.CallChanges, report.LateCalls)
		if report.Failed() {
			return budgets, fmt.Errorf("%d reports a second: the run broke a promise: %d wrong, %d echoes, %d lost, %d violations: %v %v %v",
				load.rate, report.CallsWrong, report.Echoes, report.Lost, report.Violations, report.Wrong, report.Losses, report.Breaches)
		}
		budgets = append(budgets, Budget{Name: fmt.Sprintf("call-latency-p99-%d-per-second", load.rate), Measured: float64(report.CallP99), Limit: 2000, Unit: "ms"})
		writes, changes, throttled = writes+report.Writes, changes+report.CallChanges, throttled+report.Throttled
	}
	return append(budgets,
		// The runs are over before the first session needs to be renewed.
		Budget{Name: "writes-per-change", Measured: float64(writes) / float64(max(changes, 1)), Limit: 1},
		Budget{Name: "throttled-requests", Measured: float64(throttled), Limit: 0, Strict: true},
	), nil
}

// holdACall lets one person be on the phone until Teams shows it, as far as the
// bridge needs: nobody reports after that.
func holdACall(ctx context.Context, c *cloud.Cloud, i *cloud.Integration, user string) error {
	r := &ucserver.Reporter{BaseURL: c.URL, Token: i.Token}
	r.StartCall(user)
	reporting, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(reporting) }()
	defer func() { stop(); <-done }()
	for len(c.Graph.Sessions(cloud.ClientID)) == 0 {
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("wait for a call in Teams: %w", err)
		}
	}
	return nil
}

// change edits the bridge's settings.
func change(ctx context.Context, c *cloud.Cloud, i *cloud.Integration, edit func(map[string]any)) error {
	var settings map[string]any
	if err := c.API(ctx, i.Browser, http.MethodGet, "integration", nil, &settings); err != nil {
		return err
	}
	delete(settings, "fixed")
	edit(settings)
	return c.API(ctx, i.Browser, http.MethodPut, "integration", settings, nil)
}

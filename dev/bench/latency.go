package bench

import (
	"context"
	"fmt"
	"time"

	"procallteams/dev/smoke"
)

// latency measures a change's way to UCServer by push with 10,000 users and a
// Graph that answers in 100 ms. Its limit is interval + sync + 2 s, with the sync
// taken as one round of Graph's answers (16 requests in flight).
func latency(ctx context.Context, o Options) ([]Budget, error) {
	run := smoke.Default
	run.Users, run.Rate, run.Duration, run.Kills, run.Dist, run.HostLog = 10_000, 150, 40*time.Second, 0, o.Dist, o.HostLog
	run.Calls, run.Disturb, run.Hold = 0, false, 0
	run.GraphLatency = 100 * time.Millisecond
	if o.Quick {
		run.Users, run.Duration = 2000, 15*time.Second
	}
	report, err := smoke.Run(ctx, run)
	if err != nil {
		return nil, err
	}
	if report.Failed() {
		return nil, fmt.Errorf("the run broke a promise: %d lost, %d reordered, %d violations", report.Lost, report.Reordered, report.Violations)
	}
	return []Budget{{Name: "push-latency-p99-10000-users", Measured: float64(report.P99Push), Limit: 1000 + 100 + 2000, Unit: "ms"}}, nil
}

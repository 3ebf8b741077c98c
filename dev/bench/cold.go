package bench

import (
	"context"
	"fmt"
	"time"

	"procallteams/dev/cloud"
	"procallteams/dev/ucserver"
)

// asleep is how long a queue function needs to wake up in this measurement. In Azure up
// to two minutes were seen: what it adds to a change is what it adds here.
const asleep = 10 * time.Second

// cold measures what always-ready instances are paid for: one change, and the beginning
// of one call, after a time without any.
func cold(ctx context.Context, o Options) ([]Budget, error) {
	var budgets []Budget
	for _, group := range []struct {
		name  string
		delay time.Duration
	}{{"always-ready", 0}, {"cold-10s", asleep}} {
		push, call, err := afterQuiet(ctx, o, group.delay)
		if err != nil {
			return budgets, fmt.Errorf("%s: %w", group.name, err)
		}
		limit := float64((group.delay + 3*time.Second).Milliseconds()) // interval + sync + 2 s
		budgets = append(budgets,
			Budget{Name: "push-after-quiet-" + group.name, Measured: float64(push.Milliseconds()), Limit: limit, Unit: "ms"},
			Budget{Name: "call-after-quiet-" + group.name, Measured: float64(call.Milliseconds()), Limit: limit, Unit: "ms"})
	}
	return budgets, nil
}

func afterQuiet(ctx context.Context, o Options, delay time.Duration) (push, call time.Duration, err error) {
	const quiet = 3 * time.Second
	c, err := cloud.Start(ctx, cloud.Options{
		Dist: o.Dist, Users: 20, Members: true, Schedule: "* * * * * *", PerGroup: true, Cold: delay, Quiet: quiet, Log: o.HostLog,
	})
	if err != nil {
		return 0, 0, err
	}
	defer c.Stop()
	integration, err := c.Integrate(ctx)
	if err != nil {
		return 0, 0, err
	}
	applied := make(chan ucserver.Change, 1000)
	c.UCServer.Inbox().OnApplied(func(change ucserver.Change) {
		select {
		case applied <- change:
		default:
		}
	})
	user := c.Accounts[2].UPN
	// Upkeep delivers too, at the turn of the minute: not what is measured.
	if left := 60 - time.Now().Second(); left < 35 {
		if err := pause(ctx, time.Duration(left+3)*time.Second); err != nil {
			return 0, 0, err
		}
	} else if err := pause(ctx, 2*quiet); err != nil {
		return 0, 0, err
	}
	for len(applied) > 0 {
		<-applied
	}
	began := time.Now()
	if err := c.Graph.Set(user, "DoNotDisturb", "Presenting"); err != nil {
		return 0, 0, err
	}
	for seen := false; !seen; {
		select {
		case change := <-applied:
			seen = change.User == user
		case <-ctx.Done():
			return 0, 0, fmt.Errorf("wait for a push: %w", ctx.Err())
		}
	}
	push = time.Since(began)
	began = time.Now()
	err = holdACall(ctx, c, integration, c.Accounts[1].UPN)
	return push, time.Since(began), err
}

package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"procallteams/dev/cloud"
	"procallteams/dev/funchost"
)

// watched is how many syncs one measurement of storage operations covers.
const watched = 10

// storageOperations counts what syncs send to tables and blobs: while nothing
// changes, and while every sync finds changes. The queue is the host's business,
// but for the wake-ups that syncs enqueue.
func storageOperations(ctx context.Context, o Options) ([]Budget, error) {
	c, err := cloud.Start(ctx, cloud.Options{Dist: o.Dist, Users: 650 - 3, Members: true, Schedule: "* * * * * *", Wire: true, PerGroup: true, Log: o.HostLog})
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	integration, err := c.Integrate(ctx)
	if err != nil {
		return nil, err
	}
	// Without a push target, so that only the sync is counted. The one wake-up that
	// it would send is left out of the limit below.
	if err := change(ctx, c, integration, func(s map[string]any) { s["pushUrl"], s["proCallToTeams"] = "", "nobody" }); err != nil {
		return nil, err
	}
	// Twenty syncs first: first appends, directory, caches.
	if _, err := countSyncs(ctx, c, 20); err != nil {
		return nil, err
	}
	quiet, err := countSyncs(ctx, c, watched)
	if err != nil {
		return nil, err
	}
	changing, err := whileMoving(ctx, c)
	if err != nil {
		return nil, err
	}
	talking, err := withCalls(ctx, c, integration)
	if err != nil {
		return nil, err
	}
	return []Budget{
		{Name: "storage-operations-unchanged-sync", Measured: quiet, Limit: 2},
		{Name: "storage-operations-changing-sync", Measured: changing, Limit: 4},
		{Name: "storage-operations-unchanged-sync-with-calls", Measured: talking, Limit: 3},
	}, nil
}

// whileMoving counts while every sync finds changes.
func whileMoving(ctx context.Context, c *cloud.Cloud) (float64, error) {
	moving, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); c.Graph.Move(moving, 20) }()
	defer func() { cancel(); <-done }()
	if _, err := countSyncs(ctx, c, 2); err != nil {
		return 0, err
	}
	return countSyncs(ctx, c, watched)
}

// withCalls counts while calls are written, one is held in Teams, and nothing
// changes.
func withCalls(ctx context.Context, c *cloud.Cloud, i *cloud.Integration) (float64, error) {
	if err := change(ctx, c, i, func(s map[string]any) { s["proCallToTeams"] = "everyone" }); err != nil {
		return 0, err
	}
	// After all the movement the person may be in a call in Teams, which goes first.
	user := c.Accounts[2].UPN
	if err := c.Graph.Set(user, "Available", "Available"); err != nil {
		return 0, err
	}
	if _, err := countSyncs(ctx, c, 2); err != nil {
		return 0, err
	}
	if err := holdACall(ctx, c, i, user); err != nil {
		return 0, err
	}
	if _, err := countSyncs(ctx, c, 5); err != nil { // the writer's turn ends, the echo is published
		return 0, err
	}
	return countSyncs(ctx, c, watched)
}

// countSyncs lets n syncs pass and returns the storage operations of one. The turn of
// a minute, when upkeep works, and of half a minute, when directorysync does, are
// left out.
func countSyncs(ctx context.Context, c *cloud.Cloud, n int) (float64, error) {
	if left := 30 - time.Now().Second()%30; left < n+5 && n <= watched {
		if err := pause(ctx, time.Duration(left+8)*time.Second); err != nil {
			return 0, err
		}
	}
	syncs := make(chan error, 4*n)
	c.OnInvocation(func(call funchost.Invocation) {
		if call.Done && call.Function == "presencesync" {
			select {
			case syncs <- call.Err:
			default:
			}
		}
	})
	defer c.OnInvocation(nil)
	wait := func() error {
		select {
		case err := <-syncs:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := wait(); err != nil {
		return 0, fmt.Errorf("wait for a sync: %w", err)
	}
	c.Wire.Reset()
	for range n {
		if err := wait(); err != nil {
			return 0, fmt.Errorf("wait for a sync: %w", err)
		}
	}
	total := 0
	for kind, count := range c.Wire.Counts() {
		if !strings.HasPrefix(kind, "table.transaction.") && (!strings.HasPrefix(kind, "queue.") || kind == "queue.enqueue") {
			total += count
		}
	}
	return float64(total) / float64(n), nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

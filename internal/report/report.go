// Package report reads, in a few storage operations, everything that health, the
// status and the console are judged from. Package health judges.
package report

import (
	"context"
	"time"

	"procallteams/internal/health"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// Reader reads the state of the tenant in use.
type Reader struct {
	// Settings returns the settings with app settings applied, and the names of
	// the fields that these fix.
	Settings func(context.Context) (settings.Integration, []string, error)
	// Now returns the tenant's rows.
	Now func(ctx context.Context, tenant string) (storage.Now, error)
	// Push returns where the pushed consumer stands, nil when nothing is pushed.
	// Nil when the bridge has no pusher.
	Push func(ctx context.Context, tenant string) (*health.Push, error)
	// Interval of the schedule.
	Interval time.Duration
}

// State is what was read.
type State struct {
	health.Input
	// Fixed are the fields of the settings that app settings fix.
	Fixed []string
}

// Read reads the state. Before a tenant is set, only the settings are known.
func (r Reader) Read(ctx context.Context) (State, error) {
	current, fixed, err := r.Settings(ctx)
	if err != nil {
		return State{}, err
	}
	if current.Tenant == "" {
		return State{InputOf(storage.Now{}, current, r.Interval), fixed}, nil
	}
	now, err := r.Now(ctx, current.Tenant)
	if err != nil {
		return State{}, err
	}
	state := State{InputOf(now, current, r.Interval), fixed}
	if r.Push != nil && current.PushURL != "" {
		if state.Push, err = r.Push(ctx, current.Tenant); err != nil {
			return State{}, err
		}
	}
	return state, nil
}

// InputOf is what a tenant's rows say to the judgements. current are its settings
// with app settings applied, interval is that of the schedule.
func InputOf(now storage.Now, current settings.Integration, interval time.Duration) health.Input {
	return health.Input{
		Settings: current, Heartbeat: now.Heartbeat, Grants: now.Grants, Throttled: now.ThrottledUntil, Interval: interval,
	}
}

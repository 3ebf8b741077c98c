// Package report reads, in a few storage operations, everything that health, the
// status and the console are judged from. Package health judges.
package report

import (
	"context"
	"maps"
	"slices"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/calls"
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
	// Due returns reports that are not written to Teams yet. Nil when how the writer
	// left it is enough.
	Due func(ctx context.Context, tenant string) ([]calls.Due, error)
	// Consumers lists the machine credentials: reports of a revoked one are no
	// longer waited for. It is asked when a reporter is silent. May be nil.
	Consumers func(context.Context) ([]access.Credential, error)
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
	if r.Due != nil && current.Writes() {
		if state.DueSince, err = r.dueSince(ctx, current.Tenant); err != nil {
			return State{}, err
		}
	}
	if state.Reporters, err = r.reporters(ctx, state.Reporters); err != nil {
		return State{}, err
	}
	return state, nil
}

func (r Reader) dueSince(ctx context.Context, tenant string) (oldest time.Time, err error) {
	due, err := r.Due(ctx, tenant)
	for _, d := range due {
		if d.Told && (oldest.IsZero() || d.At.Before(oldest)) {
			oldest = d.At
		}
	}
	return oldest, err
}

// reporters leaves out those whose credential was revoked: nobody waits for them.
func (r Reader) reporters(ctx context.Context, all calls.Reporters) (calls.Reporters, error) {
	silent := func(one calls.Reporter) bool { return one.Need != "" }
	if r.Consumers == nil || !slices.ContainsFunc(slices.Collect(maps.Values(all)), silent) {
		return all, nil
	}
	credentials, err := r.Consumers(ctx)
	if err != nil {
		return nil, err
	}
	revoked := func(id string, one calls.Reporter) bool {
		return silent(one) && !slices.ContainsFunc(credentials, func(c access.Credential) bool { return c.ID == id && c.Revoked.IsZero() })
	}
	kept := maps.Clone(all)
	maps.DeleteFunc(kept, revoked)
	return kept, nil
}

// InputOf is what a tenant's rows say to the judgements. current are its settings
// with app settings applied, interval is that of the schedule.
func InputOf(now storage.Now, current settings.Integration, interval time.Duration) health.Input {
	in := health.Input{
		Settings: current, Heartbeat: now.Heartbeat, Grants: now.Grants, Throttled: now.ThrottledUntil, Interval: interval,
		Reporters: now.Reporters, Writer: now.Writer, Unread: now.Accounts.Error, UnreadSince: now.Accounts.ErrorSince,
	}
	if now.Writer.Due > 0 {
		in.DueSince = now.Writer.DueSince
	}
	return in
}

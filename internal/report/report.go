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
	// longer waited for, and who may poll should. May be nil.
	Consumers func(context.Context) ([]access.Credential, error)
	// Poisoned counts messages in the poison queues. May be nil.
	Poisoned func(context.Context) (int, error)
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
	if r.Consumers != nil {
		credentials, err := r.Consumers(ctx)
		if err != nil {
			return State{}, err
		}
		state.Reporters, state.Pollers = reporters(state.Reporters, credentials), pollers(credentials)
	}
	if r.Poisoned != nil {
		// A queue that can't be looked at hides nothing else: whoever sends to it says so.
		if n, err := r.Poisoned(ctx); err == nil {
			state.Poisoned = n
		}
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
func reporters(all calls.Reporters, credentials []access.Credential) calls.Reporters {
	kept := maps.Clone(all)
	maps.DeleteFunc(kept, func(id string, one calls.Reporter) bool {
		return one.Need != "" && !slices.ContainsFunc(credentials, func(c access.Credential) bool { return c.ID == id && c.Revoked.IsZero() })
	})
	return kept
}

// pollers are those whose credential lets them poll.
func pollers(credentials []access.Credential) *health.Pollers {
	found := &health.Pollers{}
	for _, c := range credentials {
		if !c.Revoked.IsZero() || !c.Allows(access.Read) {
			continue
		}
		found.Count++
		if c.LastUsed.After(found.LastUsed) {
			found.LastUsed = c.LastUsed
		}
	}
	return found
}

// InputOf is what a tenant's rows say to the judgements. current are its settings
// with app settings applied, interval is that of the schedule.
func InputOf(now storage.Now, current settings.Integration, interval time.Duration) health.Input {
	in := health.Input{
		Settings: current, Heartbeat: now.Heartbeat, Grants: now.Grants, Throttled: now.ThrottledUntil, Interval: interval,
		Reporters: now.Reporters, Writer: now.Writer, Unread: now.Accounts.Error, UnreadSince: now.Accounts.ErrorSince, Absent: now.Accounts.Absent,
	}
	if now.Writer.Due > 0 {
		in.DueSince = now.Writer.DueSince
	}
	return in
}

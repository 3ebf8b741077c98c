// Package upkeep is the timer function that repairs what a crash, a lost
// wake-up or somebody at the Azure portal left behind, once a minute.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"procallteams/internal/host"
)

// Duty is one thing that upkeep does. It is safe to do at any time and again.
type Duty struct {
	Name string // for the log: "deliver what no wake-up announced"
	Do   func(context.Context) error
}

// dutyDeadline bounds one duty, so that a slow one does not starve the next.
const dutyDeadline = 10 * time.Second

// Function is the code of function.json beside this file.
type Function struct {
	Duties []Duty // in the order in which they are done
	Log    *slog.Logger
}

// Run does every duty, whatever becomes of the others. A duty that fails is
// logged and tried again in a minute; the invocation then counts as failed, so
// that the host's own metrics show it.
func (f Function) Run(ctx context.Context, _ host.Tick) error {
	var failures []error
	for _, duty := range f.Duties {
		if err := f.do(ctx, duty); err != nil {
			host.Log(ctx, f.Log).Error("upkeep", "duty", duty.Name, "error", err.Error())
			failures = append(failures, fmt.Errorf("%s: %w", duty.Name, err))
		}
	}
	return errors.Join(failures...)
}

func (f Function) do(ctx context.Context, duty Duty) error {
	ctx, cancel := context.WithTimeout(ctx, dutyDeadline)
	defer cancel()
	return duty.Do(ctx)
}

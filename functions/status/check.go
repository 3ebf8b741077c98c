package status

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/outbound"
)

// Check tries one thing that the bridge stands on.
type Check struct {
	Name string // "Key Vault"
	// Run returns what it saw, in words. Errors say what is wrong and are shown.
	Run func(context.Context) (detail string, err error)
	// NextStep says what to do when Run fails, where the error does not.
	NextStep string
}

// ErrSkipped, wrapped with a reason, says that a check has nothing to try yet.
var ErrSkipped = errors.New("not checked")

// checkDeadline bounds one check; they run side by side.
const checkDeadline = 20 * time.Second

// Report is api/openapi.yaml, CheckReport.
type Report struct {
	At     time.Time `json:"at"`
	OK     bool      `json:"ok"`
	Checks []Result  `json:"checks"`
}

// Result is what one check found.
type Result struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Detail   string `json:"detail,omitempty"`
	NextStep string `json:"nextStep,omitempty"`
	Millis   int64  `json:"millis"`
}

// Run runs all checks and reports every one, in their order.
func Run(ctx context.Context, checks []Check, now func() time.Time) Report {
	report := Report{At: now().UTC(), OK: true, Checks: make([]Result, len(checks))}
	var group errgroup.Group
	for i, check := range checks {
		group.Go(func() error {
			report.Checks[i] = check.run(ctx, now)
			return nil
		})
	}
	_ = group.Wait() // results hold the errors
	for _, result := range report.Checks {
		report.OK = report.OK && result.OK
	}
	return report
}

func (c Check) run(ctx context.Context, now func() time.Time) Result {
	ctx, cancel := context.WithTimeout(ctx, checkDeadline)
	defer cancel()
	began := now()
	detail, err := c.Run(ctx)
	result := Result{Name: c.Name, OK: err == nil, Detail: detail, Millis: max(0, now().Sub(began).Milliseconds())}
	switch {
	case errors.Is(err, ErrSkipped):
		result.OK, result.Detail = true, err.Error()
	case err != nil:
		result.Detail, result.NextStep = err.Error(), c.NextStep
		if way, ok := errors.AsType[*outbound.Error](err); ok {
			result.NextStep = way.NextStep()
		} else if refusal, ok := errors.AsType[*aadsts.Error](err); ok {
			result.NextStep = refusal.Step
		}
	}
	return result
}

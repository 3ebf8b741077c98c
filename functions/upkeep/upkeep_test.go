package upkeep_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"procallteams/functions/upkeep"
	"procallteams/internal/host"
)

func TestADutyThatFailsOrHangsDoesNotStopTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var done []string
		f := upkeep.Function{Log: slog.New(slog.DiscardHandler), Duties: []upkeep.Duty{
			{Name: "fails", Do: func(context.Context) error { done = append(done, "fails"); return broken }},
			{Name: "hangs", Do: func(ctx context.Context) error { <-ctx.Done(); done = append(done, "hangs"); return ctx.Err() }},
			{Name: "works", Do: func(context.Context) error { done = append(done, "works"); return nil }},
		}}
		err := f.Run(t.Context(), host.Tick{})
		if want := []string{"fails", "hangs", "works"}; !slices.Equal(done, want) {
			t.Errorf("done = %q; want %q", done, want)
		}
		if !errors.Is(err, broken) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run() = %v; want both failures", err)
		}
	})
}

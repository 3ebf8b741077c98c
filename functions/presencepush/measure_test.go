package presencepush_test

import (
	"testing"
	"time"

	sim "procallteams/dev/ucserver"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/telemetry/metertest"
)

func TestDeliveriesAreMeasured(t *testing.T) {
	w := newWorld(t)
	meter := metertest.New(t)
	f := w.function()
	f.Meter = meter.Meter
	run := func(sent time.Time) {
		t.Helper()
		wakeup := `{"tenant":"` + w.tenant + `","at":"` + sent.UTC().Format(time.RFC3339Nano) + `"}`
		if err := f.Run(t.Context(), []byte(wakeup)); err != nil {
			t.Fatal(err)
		}
	}
	w.append(feedtest.Busy(1), feedtest.Busy(2))
	run(w.clock())
	meter.Want("push", map[string]float64{"wakeups": 1, "attempts": 1, "delivered": 1, "snapshotParts": 1, "changes": 0, "ageMillisMax": 0})

	w.append(feedtest.Free(1), feedtest.Busy(3))
	w.pass(9 * time.Second)
	run(w.clock().Add(-4 * time.Second))
	meter.Want("push", map[string]float64{
		"wakeups": 1, "attempts": 1, "delivered": 1, "failed": 0, "snapshotParts": 0, "changes": 2, "wakeMillisMax": 4000, "ageMillisMax": 9000,
	})

	w.append(feedtest.Busy(1))
	w.uc.Inject(sim.Fault{Kind: sim.Status, Status: 503, RetryAfter: 120, Count: 1})
	run(w.clock().Add(time.Hour)) // another machine's clock
	meter.Want("push", map[string]float64{"wakeups": 1, "attempts": 1, "delivered": 0, "failed": 1, "changes": 0, "bytes": 0, "wakeMillisMax": 0})
}

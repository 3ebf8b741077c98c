package presencesync_test

import (
	"testing"
	"time"

	simulated "procallteams/dev/graph"
	"procallteams/internal/telemetry/metertest"
)

func TestSyncsAreMeasured(t *testing.T) {
	o := newOffice(t)
	meter := metertest.New(t)
	o.sync.Meter = meter.Meter
	ada := o.hire("ada@contoso.com")
	o.tick()
	o.says(ada, "Busy", "InACall")
	o.after(20 * time.Second)
	o.tick()
	meter.Want("sync", map[string]float64{
		"syncs": 3, "failed": 0, "discarded": 0, "throttled": 0, "changes": 2, "requests": 3, "users": 1, "gapMillisMax": 20_000, "intervalMillis": 5000,
	})
	o.teams.Inject(simulated.Fault{Kind: simulated.Throttle, Path: "getPresencesByUserId", Count: 1, RetryAfter: 30})
	o.tick() // is told to wait
	o.tick() // waits
	meter.Want("sync", map[string]float64{"syncs": 2, "failed": 2, "throttled": 2, "changes": 0, "requests": 1, "failedBatches": 1})
}

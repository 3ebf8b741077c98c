package presenceset_test

import (
	"testing"
	"time"

	sim "procallteams/dev/graph"
	"procallteams/internal/telemetry/metertest"
)

func TestCallsToGraphAreMeasured(t *testing.T) {
	w := newWorld(t)
	meter := metertest.New(t)
	f := w.process()
	f.Meter = meter.Meter
	ada, bob := w.hire(), w.hire()
	w.talks(ada)
	w.talks(bob)
	w.pass(3 * time.Second)
	w.run(f)
	line := meter.Want("write", map[string]float64{"wakeups": 1, "sets": 2, "clears": 0, "refused": 0, "unseen": 0, "throttled": 0})
	if age := line["ageMillisMax"].(float64); age < 3000 || age > 5000 {
		t.Errorf("ageMillisMax = %v; want 3 s and the time that writing took", age)
	}

	w.hangsUp(ada)
	w.run(f)
	meter.Want("write", map[string]float64{"wakeups": 1, "sets": 0, "clears": 1})

	w.teams.Inject(sim.Fault{Kind: sim.Throttle, Path: "clearPresence", Count: 1, RetryAfter: 300})
	w.hangsUp(bob)
	w.run(f)
	meter.Want("write", map[string]float64{"sets": 0, "clears": 0, "throttled": 1})

	w.pass(6 * time.Minute)
	w.turn(f)
	meter.Want("write", map[string]float64{"wakeups": 0, "clears": 1, "throttled": 0, "ageMillisMax": 0}) // a repetition has no age
}

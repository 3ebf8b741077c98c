package main

// kind is one kind of record in the workspace: how many a day, and how large.
type kind struct {
	name  string
	lines float64 // a day
	bytes float64 // of a line, measured; of the host's records, assumed
}

type volume []kind

// Bytes that a record costs beside its message: time, role, operation, category and host
// instance. Assumed, since only the workspace's _BilledSize tells.
const (
	envelope = 700
	request  = 1200 // a record of a call in requests
)

// logs are the records of a day. executions are those of a month.
func (s scenario) logs(executions float64) volume {
	const day, quarter = 1440, 96
	work := working / 30.0 / 60 // minutes of a day in which people work, on average
	v := volume{
		{"state", day, 518}, {"sync", min(day, 86400/s.interval), 331},
		{"push", s.when(s.delivery == push, day), 272}, {"poll", s.when(s.delivery != push, day), 158},
		{"write", s.when(s.calls, work), 245}, {"report", s.when(s.calls, day), 185},
		{"dependency", 25 * quarter, 223}, // 25 pairs of function and system
		{"span, samples", 75 * 24, 336},   // one call of each function an hour
		{"everything else", 200, 200},
		{"the host's records of calls (requests)", executions / 30, request - envelope},
	}
	return v
}

func (v volume) gigabytes() (sum float64) {
	for _, k := range v {
		sum += k.lines * (k.bytes + envelope) * 30 / 1e9
	}
	return sum
}

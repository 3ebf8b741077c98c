package main

import "math"

// A month has 30 days; people work, and presences change, on 22 of them for 9 hours.
const (
	month   = 30 * 86400.0  // seconds
	working = 22 * 9 * 3600 // seconds of it
	minutes = month / 60
)

// What is assumed about people and about others' systems.
const (
	changesPerDay = 25   // changes of one person's presence in a working day
	callsPerDay   = 6    // calls of one person in a working day, each set and cleared once
	graphLatency  = 0.4  // seconds for one batch of 650 presences
	parallel      = 16   // batches under way at once
	batchSize     = 650  // presences in a request
	readShare     = 0.30 // of Graph's budget, in requests per 30 seconds
	minimumBilled = 1.0  // seconds that an execution costs at least (Flex Consumption)
	onDemandGBs   = 100_000
	onDemandRuns  = 250_000
)

// What was measured, in a run of the local cloud with 1,000 people and in the tests that
// count operations: table operations for each.
const (
	opsUnchanged = 3  // a sync in which nothing changed, while calls are written
	opsChanged   = 6  // one with changes
	opsPush      = 9  // a delivery
	opsReport    = 5  // a batch of reports
	opsTurn      = 5  // a turn of the writer
	opsWrite     = 2  // a call written, besides
	opsUpkeep    = 45 // a minute of upkeep
	opsDirectory = 3  // a minute of directorysync
	queueUpkeep  = 3  // queue operations of a minute of upkeep
)

// delivery is how UCServer gets what changed.
type delivery string

const (
	push     delivery = "push"
	longPoll delivery = "long poll of 25 s"
	poll     delivery = "poll every 5 s"
)

// scenario is what somebody runs.
type scenario struct {
	users       int
	interval    float64 // of the schedule, seconds
	budget      float64 // of Graph, requests per 30 seconds
	memory      float64 // GB of an instance
	alwaysReady bool    // http, presencesync, presencepush, presenceset
	calls       bool    // written to Teams
	delivery    delivery
}

// standard is the template's standard set, pushing, both directions on.
func standard(users int, interval float64) scenario {
	s := scenario{users: users, interval: interval, budget: 1500, memory: 0.5, alwaysReady: true, calls: true, delivery: push}
	if users > 10_000 {
		s.memory, s.budget = 2, 10_000
	}
	return s
}

// amounts are what a scenario uses in a month.
type amounts struct {
	interval     float64 // effective, seconds
	graph        float64 // requests, writes included
	executions   float64
	baseline     float64 // GB-s
	working      float64 // GB-s of always-ready instances
	onDemand     float64 // GB-s
	onDemandRuns float64
	table, queue float64 // operations
	blobWrite    float64
	blobOther    float64
	vault        float64
	logGB        float64
}

// happens is the chance that something of a rate (per second) happens in a time.
func happens(rate, seconds float64) float64 { return 1 - math.Exp(-rate*seconds) }

func (s scenario) month() amounts {
	var a amounts
	batches := math.Ceil(float64(s.users) / batchSize)
	a.interval = max(s.interval, batches*30/(s.budget*readShare))
	syncs := month / a.interval
	changed := working / a.interval * happens(s.rate(changesPerDay), a.interval)
	events := 0.0 // begins and ends of calls
	if s.calls {
		events = 2 * s.rate(callsPerDay) * working
	}
	batchesOfReports := min(events, working*happens(2*s.rate(callsPerDay), 1)) + s.when(s.calls, minutes/2) // a sign of life every two minutes
	turns := min(events, batchesOfReports)
	deliveries, polls := s.deliveries(changed), s.polls()
	a.graph = syncs*batches + events + minutes

	took := math.Ceil(batches/parallel)*graphLatency + 0.1
	jobs := []struct {
		ready     bool
		runs, sec float64 // sec is of one run
	}{
		{s.alwaysReady, syncs, took},
		{s.alwaysReady, s.when(s.delivery == push, changed), 0.5},
		{s.alwaysReady, turns, 0.5},
		{s.alwaysReady, batchesOfReports + polls, s.pollTime()},
		{false, minutes, 2},
		{false, minutes, 1},
	}
	for _, j := range jobs {
		a.executions += j.runs
		gbs := min(j.runs*max(j.sec, minimumBilled), month) * s.memory // an instance works at most all the time
		if j.ready {
			a.baseline += month * s.memory
			a.working += gbs
		} else {
			a.onDemand += gbs
			a.onDemandRuns += j.runs
		}
	}
	a.table = (syncs-changed)*opsUnchanged + changed*opsChanged + deliveries*opsPush + batchesOfReports*opsReport + turns*opsTurn + events*opsWrite +
		minutes*(opsUpkeep+opsDirectory) + s.when(polls > 0, month)
	if !s.calls {
		a.table -= syncs
	}
	// Sent, taken and deleted; and the host looks once a second at each queue that
	// never sleeps.
	a.queue = 3*(s.when(s.delivery == push, changed)+turns) + minutes*queueUpkeep + s.when(s.alwaysReady, 2*month)
	// The host's own: the status of two timers a minute, and a lock for each of six
	// groups of instances every 15 seconds.
	a.blobWrite, a.blobOther = 2*minutes, 6*month/15
	a.vault = 6 * month / 3600
	a.logGB = s.logs(a.executions).gigabytes()
	return a
}

// rate is how often something happens per second of working time, that happens to each
// person so often in a working day.
func (s scenario) rate(perDay float64) float64 { return float64(s.users) * perDay / (9 * 3600) }

func (s scenario) when(yes bool, n float64) float64 {
	if yes {
		return n
	}
	return 0
}

// deliveries counts pushes, signs of life included.
func (s scenario) deliveries(changed float64) float64 {
	if s.delivery != push || changed == 0 {
		return 0
	}
	each := s.rate(changesPerDay) * working / changed
	return changed*math.Ceil(each/500) + minutes
}

// polls counts requests of one poller.
func (s scenario) polls() float64 {
	switch s.delivery {
	case longPoll:
		// One that ends with a change is followed by the next.
		return (month-working)/25 + working/max(1, min(25, 1/s.rate(changesPerDay)))
	case poll:
		return month / 5
	}
	return 0
}

// pollTime is how long a request takes: a long poll keeps its instance at work.
func (s scenario) pollTime() float64 {
	if s.delivery == longPoll {
		return month / s.polls()
	}
	return minimumBilled
}

// costs is what the amounts cost, by part.
func (a amounts) costs(p prices) []item {
	return []item{
		{"Functions, always ready, waiting", a.baseline * p.of("baseline")},
		{"Functions, always ready, working", a.working * p.of("alwaysReady")},
		{"Functions, on demand", max(0, a.onDemand-onDemandGBs) * p.of("onDemand")},
		{"Functions, executions", (a.executions - a.onDemandRuns + max(0, a.onDemandRuns-onDemandRuns)) / 1e6 * p.of("executions")},
		{"Storage, tables", a.table / 1e4 * p.of("table")},
		{"Storage, queues", a.queue / 1e4 * p.of("queue")},
		{"Storage, blobs", a.blobWrite/1e4*p.of("blobWrite") + a.blobOther/1e4*p.of("blobOther")},
		{"Key Vault", a.vault / 1e4 * p.of("vault")},
		{"Logs", a.logGB * p.of("logs")},
		{"Alert rules", alerts5*p.of("alert5") + alerts15*p.of("alert15")},
	}
}

// Rules of the template: every 5 minutes, and less often.
const (
	alerts5  = 6
	alerts15 = 6
)

type item struct {
	what  string
	money float64
}

func total(items []item) (sum float64) {
	for _, i := range items {
		sum += i.money
	}
	return sum
}

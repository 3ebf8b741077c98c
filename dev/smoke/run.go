package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"procallteams/dev/cloud"
	"procallteams/dev/graph"
	"procallteams/dev/ucserver"
)

// Options say how big a run is; see [Default].
type Options struct {
	// Users take part; guests and disabled accounts come on top.
	Users    int
	Rate     float64 // changes a second in Teams
	Duration time.Duration
	Seed     uint64
	Kills    int
	Schedule string // PRESENCE_SYNC_SCHEDULE
	Dist     string
	// Calls is about how many people are on the phone at a time, none of them at
	// zero; CallRate is begins and ends of calls a second.
	Calls    int
	CallRate float64
	// Budget is the requests per 30 s that Graph allows and the bridge is told.
	Budget int
	// Disturb lets some writes come late or lose their answer, and UCServer restart.
	Disturb bool
	// Hold is for how long everything must be right in the end: late repetitions
	// must not undo it.
	Hold time.Duration
	// GraphLatency delays every answer of Graph.
	GraphLatency time.Duration
	// Settle bounds the wait for both consumers to be equal to Teams, before and
	// after the movement.
	Settle time.Duration
	// Log receives progress, HostLog what the host and the handlers print.
	Log, HostLog io.Writer
	// Inspect is called at the end, before anything is stopped; may be nil.
	Inspect func(context.Context, *cloud.Cloud, *cloud.Integration) error
}

// Default is the run of make smoke.
var Default = Options{
	Users: 2000, Rate: 150, Duration: time.Minute, Seed: 1, Kills: 9, Schedule: "* * * * * *", Settle: 3 * time.Minute,
	Calls: 100, CallRate: 10, Budget: 1500, Disturb: true, Hold: 45 * time.Second,
}

// Report is the outcome, as one JSON object.
type Report struct {
	Users       int     `json:"users"`
	Changes     int     `json:"changes"`
	Delivered   int     `json:"delivered"`
	Lost        int     `json:"lost"`
	Reordered   int     `json:"reordered"`
	Duplicates  int     `json:"duplicates"`
	Skipped     int     `json:"skipped"`
	P50         int64   `json:"p50_ms"`
	P99         int64   `json:"p99_ms"`
	P99Killed   int64   `json:"p99_after_kill_ms"`
	P99Poll     int64   `json:"p99_poll_ms"`
	P99Push     int64   `json:"p99_push_ms"`
	Kills       int     `json:"kills"`
	Missed      int     `json:"kills_missed"`
	Violations  int     `json:"violations"` // breaches of the HTTP contract that the consumers noticed
	Settled     float64 `json:"settled_s"`  // from the end of the movement until both were equal to Teams
	Seconds     float64 `json:"seconds"`    // of movement
	Seed        uint64  `json:"seed"`
	GraphCalls  int     `json:"graph_calls"`
	StorageOps  int     `json:"storage_operations"`
	HandlerRuns int     `json:"handler_starts"`

	Calls         int   `json:"calls"`        // that began
	CallChanges   int   `json:"call_changes"` // that began or ended
	CallsActive   int   `json:"calls_active"` // in the end
	CallsWrong    int   `json:"calls_wrong"`  // people whom Teams shows otherwise in the end
	Writes        int   `json:"writes"`       // setPresence and clearPresence
	Throttled     int   `json:"throttled"`    // answers 429
	CallsMeasured int   `json:"calls_measured"`
	CallP50       int64 `json:"call_p50_ms"`
	CallP99       int64 `json:"call_p99_ms"`
	CallP99Killed int64 `json:"call_p99_after_kill_ms"`
	Echoes        int   `json:"echoes"` // our own session held as a contribution of Teams, or the reverse

	// Points says how often each point was hit.
	Points map[Point]int `json:"points"`
	// Wrong, Losses and Breaches explain the first few, LateCalls the slowest.
	Wrong     []string `json:"wrong,omitempty"`
	LateCalls []string `json:"late_calls,omitempty"`
	Losses    []string `json:"losses,omitempty"`
	Breaches  []string `json:"breaches,omitempty"`
}

// Failed reports whether the run broke a promise.
func (r Report) Failed() bool {
	return r.Lost > 0 || r.Reordered > 0 || r.Violations > 0 || r.CallsWrong > 0 || r.Echoes > 0
}

// Run makes one run. An error means that it could not be made or judged.
func Run(ctx context.Context, o Options) (report Report, err error) {
	start := time.Now()
	log := func(format string, args ...any) {
		if o.Log != nil {
			fmt.Fprintf(o.Log, "%6.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
		}
	}
	log("starting the local cloud with %d users", o.Users)
	c, err := cloud.Start(ctx, cloud.Options{
		Dist: o.Dist, Users: o.Users * 25 / 23, Seed: o.Seed, Schedule: o.Schedule, PerGroup: true, Wire: true, Log: o.HostLog,
	})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()

	c.Graph.Configure(graph.Settings{PresenceLimit: o.Budget})
	if o.GraphLatency > 0 {
		c.Graph.Inject(graph.Fault{Kind: graph.Latency, Milliseconds: int(o.GraphLatency.Milliseconds())})
	}
	reporter := &ucserver.Reporter{BaseURL: c.URL, MaxBackoff: time.Second, Unmarked: halfMarked}
	c.UCServer.Inbox().OnApplied(reporter.Teams)
	log("signing in, consenting, switching everyone on")
	integration, err := c.Integrate(ctx)
	if err != nil {
		return report, err
	}
	if err := direct(ctx, c, integration, o); err != nil {
		return report, err
	}
	killer := newKiller(c, log)
	poller := &ucserver.Poller{BaseURL: c.URL, Token: integration.Token, MaxBackoff: time.Second}
	reporter.Token = integration.Token
	ctxRun, stop := context.WithCancel(ctx)
	var machines sync.WaitGroup
	machines.Go(func() { _ = poller.Run(ctxRun) })
	defer machines.Wait()
	defer stop()
	inboxes := map[string]*ucserver.Inbox{"poll": poller.Inbox(), "push": c.UCServer.Inbox()}

	if _, err := settle(ctx, c, inboxes, nil, o.Settle, 0, log); err != nil {
		return report, fmt.Errorf("wait for the first equal state: %w", err)
	}
	var people *phones
	if o.Calls > 0 {
		people = newPhones(c, reporter, o.Seed)
		people.start(o.Calls)
		machines.Go(func() { _ = reporter.Run(ctxRun) })
		took, err := settle(ctx, c, inboxes, people, o.Settle, 0, log)
		if err != nil {
			return report, fmt.Errorf("wait for the first calls: %w", err)
		}
		log("%d people are on the phone, and Teams shows it after %.1f s", o.Calls, took.Seconds())
	}
	if o.Disturb {
		c.Graph.Inject(graph.Fault{Kind: graph.Late, Probability: 0.02, Milliseconds: 1500})
		c.Graph.Inject(graph.Fault{Kind: graph.DropAfter, Path: "/setPresence", Probability: 0.005})
		c.Graph.Inject(graph.Fault{Kind: graph.DropAfter, Path: "/clearPresence", Probability: 0.005})
	}
	log("both consumers are equal to Teams; moving at %.0f changes a second for %s", o.Rate, o.Duration)
	c.Wire.Reset()
	asked := len(c.Graph.Requests())

	run, busy := Evidence{Interval: interval(o.Schedule), Begin: time.Now()}, spent(c)
	report.Missed = move(ctx, c, killer, people, o, log)
	run.End = time.Now()
	log("processor time: %s", since(busy, spent(c)))
	log("the movement has ended; waiting until both consumers are equal to Teams")
	settled, late := settle(ctx, c, inboxes, people, o.Settle, o.Hold, log)
	if late != nil {
		log("%v", late)
	}
	log("storage: %v", c.Wire.Counts())
	report.StorageOps, report.GraphCalls = c.Wire.Operations(), len(c.Graph.Requests())-asked
	if o.Inspect != nil {
		if err := o.Inspect(ctx, c, integration); err != nil {
			return report, err
		}
	}
	for _, kill := range killer.happened() {
		run.Kills = append(run.Kills, kill.At)
	}
	if err := collect(&run, c, inboxes); err != nil {
		return report, err
	}
	report.Users, report.Seed = len(run.Final), o.Seed
	report.Seconds, report.Settled = run.End.Sub(run.Begin).Seconds(), settled.Seconds()
	report.fill(Judge(run), killer.happened())
	for _, process := range c.Host.Processes() {
		report.HandlerRuns += 1 + process.Restarts
	}
	for name, inbox := range inboxes {
		for _, breach := range inbox.Violations() {
			report.broken(name + ": " + breach)
		}
	}
	report.judgeCalls(c, people, inboxes, run, asked, log)
	return report, nil
}

// direct chooses the directions of the run, and what Graph allows.
func direct(ctx context.Context, c *cloud.Cloud, i *cloud.Integration, o Options) error {
	var settings map[string]any
	if err := c.API(ctx, i.Browser, http.MethodGet, "integration", nil, &settings); err != nil {
		return err
	}
	delete(settings, "fixed")
	settings["graphBudget"], settings["proCallToTeams"] = o.Budget, "everyone"
	if o.Calls == 0 {
		settings["proCallToTeams"] = "nobody"
	}
	return c.API(ctx, i.Browser, http.MethodPut, "integration", settings, nil)
}

func (r *Report) broken(breach string) {
	r.Violations++
	if len(r.Breaches) < 20 {
		r.Breaches = append(r.Breaches, breach)
	}
}

func (r *Report) wrong(list []string) int {
	r.Wrong = append(r.Wrong, list[:min(len(list), 20)]...)
	return len(list)
}

// judgeCalls compares the phone with Teams, and says how quickly it came there.
// asked is how many requests Graph had seen when the run began.
func (r *Report) judgeCalls(c *cloud.Cloud, p *phones, inboxes map[string]*ucserver.Inbox, run Evidence, asked int, log func(string, ...any)) {
	requests := c.Graph.Requests()
	r.Throttled = throttledOf(requests)
	for _, breach := range overstated(requests) {
		r.broken(breach)
	}
	if p == nil {
		return
	}
	for _, breach := range p.reporter.Violations() {
		r.broken(breach)
	}
	r.CallsActive, r.CallsWrong, r.Echoes = len(p.reporter.OnPhone()), r.wrong(wrongCalls(c, p)), r.wrong(echoes(c, inboxes))
	r.Writes = len(writesOf(requests[asked:]))
	e := CallEvidence{Writes: writesOf(requests), Shown: run.Truth, Begin: run.Begin, End: run.End, Kills: run.Kills}
	for _, event := range p.reporter.Log() {
		e.Events = append(e.Events, CallEvent{p.ids[event.User], event.OnPhone, event.At, event.Sent})
	}
	v := JudgeCalls(e)
	r.Calls, r.CallChanges, r.CallsMeasured, r.LateCalls = v.Begun, v.Changes, v.Measured, append(v.Late, v.LateAfterKill...)
	for _, line := range e.timeline(v.Slowest) {
		log("  slowest: %s", line)
	}
	r.CallP50, r.CallP99, r.CallP99Killed = v.P50.Milliseconds(), v.P99.Milliseconds(), v.P99AfterKill.Milliseconds()
}

func (r *Report) fill(v Verdict, kills []Kill) {
	r.Changes, r.Delivered, r.Lost, r.Reordered = v.Changes, v.Delivered, v.Lost, v.Reordered
	r.Duplicates, r.Skipped, r.Losses = v.Duplicates, v.Skipped, v.Losses
	r.P50, r.P99, r.P99Killed = v.P50.Milliseconds(), v.P99.Milliseconds(), v.P99AfterKill.Milliseconds()
	r.P99Poll, r.P99Push = v.P99By["poll"].Milliseconds(), v.P99By["push"].Milliseconds()
	r.Kills, r.Points = len(kills), map[Point]int{}
	for _, kill := range kills {
		r.Points[kill.Point]++
	}
}

// collect reads ground truth and what the consumers saw.
func collect(run *Evidence, c *cloud.Cloud, inboxes map[string]*ucserver.Inbox) error {
	run.Final = truth(c)
	for _, t := range c.Graph.History() {
		if _, takesPart := run.Final[t.UserID]; takesPart {
			run.Truth = append(run.Truth, Transition{t.UserID, t.At, stateOf(t)})
		}
	}
	epoch := ""
	for name, inbox := range inboxes {
		seen := Consumer{Name: name, Final: holds(inbox)}
		covered, inSnapshot := ID{}, false
		for _, d := range inbox.Log() {
			if epoch == "" {
				epoch = d.Epoch
			} else if d.Epoch != epoch {
				return fmt.Errorf("judge the run: the feed began anew (epochs %s and %s)", epoch, d.Epoch)
			}
			id := ID{d.ID.Append, d.ID.Index}
			snapshot := d.Via == "snapshot"
			if snapshot && id.Compare(covered) > 0 {
				covered = id
			}
			if inSnapshot && !snapshot {
				seen.Snapshots = append(seen.Snapshots, covered)
			}
			inSnapshot = snapshot
			seen.Deliveries = append(seen.Deliveries, Delivery{
				User: d.EntraID, ID: id, State: State{d.Availability, d.Activity, d.OutOfOffice}, Removed: d.Type == "removed",
				ObservedAt: d.ObservedAt, Arrived: d.ArrivedAt, Snapshot: snapshot,
			})
		}
		if inSnapshot {
			seen.Snapshots = append(seen.Snapshots, covered)
		}
		run.Consumers = append(run.Consumers, seen)
	}
	return nil
}

// move lets people move and talk and processes die, and returns how many kills
// found nobody at their point.
func move(ctx context.Context, c *cloud.Cloud, k *killer, people *phones, o Options, log func(string, ...any)) int {
	moving, cancel := context.WithTimeout(ctx, o.Duration)
	defer cancel()
	var walk sync.WaitGroup
	walk.Go(func() { c.Graph.Move(moving, o.Rate) })
	defer walk.Wait()
	where := points
	if people != nil && o.CallRate > 0 {
		walk.Go(func() { people.ring(moving, o) })
		where = append(slices.Clone(points), callPoints...)
	}
	begin, missed := time.Now(), 0
	for _, kill := range plan(o.Seed, o.Kills, o.Duration, where) {
		select {
		case <-time.After(time.Until(begin.Add(kill.offset))):
		case <-moving.Done():
		}
		if err := k.arm(moving, kill.point, 10*time.Second); err != nil {
			log("%v", err)
			missed++
		}
	}
	return missed
}

// truth returns what everybody who takes part shows now: enabled members.
func truth(c *cloud.Cloud) map[string]State {
	current := c.Graph.Current()
	final := map[string]State{}
	for _, u := range c.Graph.Users() {
		if u.Disabled || u.UserType == "Guest" {
			continue
		}
		final[u.ID] = stateOf(current[u.ID])
	}
	return final
}

func stateOf(t graph.Transition) State {
	return State{t.Availability, t.Activity, t.OutOfOffice}
}

// holds returns what a consumer holds, by Entra object id.
func holds(b *ucserver.Inbox) map[string]State {
	final := map[string]State{}
	for _, p := range b.View().People {
		final[p.EntraID] = State{p.Availability, p.Activity, p.OutOfOffice}
	}
	return final
}

// positions returns the change that a consumer holds for each user.
func positions(b *ucserver.Inbox) map[string]ucserver.Position {
	held := map[string]ucserver.Position{}
	for _, p := range b.View().People {
		held[p.EntraID] = p.ID
	}
	return held
}

// settle waits until every consumer is equal to Teams, and Teams to the phones,
// and stays so for a while. It returns how long it took until that was so at first.
func settle(ctx context.Context, c *cloud.Cloud, inboxes map[string]*ucserver.Inbox, people *phones, patience, hold time.Duration, log func(string, ...any)) (time.Duration, error) {
	start, told := time.Now(), time.Now()
	var first, equal time.Time // when all was equal at first, and since when it is
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		behind := differences(c, inboxes, people)
		now := time.Now()
		switch {
		case len(behind) > 0:
			equal = time.Time{}
		case equal.IsZero():
			equal = now
			if first.IsZero() {
				first = now
			}
		}
		if equal.IsZero() && now.Sub(told) > 15*time.Second {
			told = now
			log("  still waiting: %s", strings.Join(behind, "; "))
		}
		if !equal.IsZero() && now.Sub(equal) >= hold {
			return first.Sub(start), nil
		}
		if equal.IsZero() && now.Sub(start) > patience {
			return now.Sub(start), fmt.Errorf("not equal after %s: %v", patience, behind)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return time.Since(start), ctx.Err()
		}
	}
}

// differences says who is behind: a consumer behind Teams, Teams behind the phones.
func differences(c *cloud.Cloud, inboxes map[string]*ucserver.Inbox, people *phones) []string {
	want := truth(c)
	var behind []string
	for name, inbox := range inboxes {
		if got := holds(inbox); !maps.Equal(got, want) {
			wrong := 0
			for user, state := range want {
				if got[user] != state {
					wrong++
				}
			}
			behind = append(behind, fmt.Sprintf("%s holds %d people, %d of %d are not as in Teams", name, len(got), wrong, len(want)))
		}
	}
	// A change that leaves the state as it is must reach both as well.
	if !maps.Equal(positions(inboxes["poll"]), positions(inboxes["push"])) {
		behind = append(behind, "poll and push hold different changes")
	}
	if wrong := wrongCalls(c, people); len(wrong) > 0 {
		behind = append(behind, fmt.Sprintf("Teams shows %d people otherwise than the phone, as: %s", len(wrong), wrong[0]))
	}
	return behind
}

// interval is the time between two syncs of a schedule with seconds; zero when it
// can't be read, which the host then says.
func interval(schedule string) time.Duration {
	s, err := cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(schedule)
	if err != nil {
		return 0
	}
	next := s.Next(time.Now())
	return s.Next(next).Sub(next)
}

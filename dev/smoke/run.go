package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

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
	Users: 2000, Rate: 150, Duration: time.Minute, Seed: 1, Kills: 7, Schedule: "* * * * * *", Settle: 3 * time.Minute,
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

	// Points says how often each point was hit.
	Points map[Point]int `json:"points"`
	// Losses and Breaches explain the first few.
	Losses   []string `json:"losses,omitempty"`
	Breaches []string `json:"breaches,omitempty"`
}

// Failed reports whether the run broke a promise.
func (r Report) Failed() bool { return r.Lost > 0 || r.Reordered > 0 || r.Violations > 0 }

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

	if o.GraphLatency > 0 {
		c.Graph.Inject(graph.Fault{Kind: graph.Latency, Milliseconds: int(o.GraphLatency.Milliseconds())})
	}
	log("signing in, consenting, switching everyone on")
	integration, err := c.Integrate(ctx)
	if err != nil {
		return report, err
	}
	killer := newKiller(c, log)
	poller := &ucserver.Poller{BaseURL: c.URL, Token: integration.Token, MaxBackoff: time.Second}
	ctxPoll, stopPolling := context.WithCancel(ctx)
	var polling sync.WaitGroup
	polling.Go(func() { _ = poller.Run(ctxPoll) })
	defer polling.Wait()
	defer stopPolling()
	inboxes := map[string]*ucserver.Inbox{"poll": poller.Inbox(), "push": c.UCServer.Inbox()}

	if _, err := settle(ctx, c, inboxes, o.Settle); err != nil {
		return report, fmt.Errorf("wait for the first equal state: %w", err)
	}
	log("both consumers are equal to Teams; moving at %.0f changes a second for %s", o.Rate, o.Duration)
	c.Wire.Reset()
	asked := len(c.Graph.Requests())

	run := Evidence{Begin: time.Now()}
	report.Missed = move(ctx, c, killer, o, log)
	run.End = time.Now()
	log("the movement has ended; waiting until both consumers are equal to Teams")
	settled, late := settle(ctx, c, inboxes, o.Settle)
	if late != nil {
		log("%v", late)
	}
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
			report.Violations++
			if len(report.Breaches) < 20 {
				report.Breaches = append(report.Breaches, name+": "+breach)
			}
		}
	}
	return report, nil
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

// move lets people move and processes die, and returns how many kills found
// nobody at their point.
func move(ctx context.Context, c *cloud.Cloud, k *killer, o Options, log func(string, ...any)) int {
	moving, cancel := context.WithTimeout(ctx, o.Duration)
	defer cancel()
	var walk sync.WaitGroup
	walk.Go(func() { c.Graph.Move(moving, o.Rate) })
	defer walk.Wait()
	begin, missed := time.Now(), 0
	for _, kill := range plan(o.Seed, o.Kills, o.Duration) {
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

// settle waits until every consumer is equal to Teams and returns how long it
// took.
func settle(ctx context.Context, c *cloud.Cloud, inboxes map[string]*ucserver.Inbox, patience time.Duration) (time.Duration, error) {
	start := time.Now()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
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
		if len(behind) == 0 {
			return time.Since(start), nil
		}
		if time.Since(start) > patience {
			return time.Since(start), fmt.Errorf("not equal to Teams after %s: %v", patience, behind)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return time.Since(start), ctx.Err()
		}
	}
}

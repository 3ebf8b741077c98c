package smoke

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"procallteams/dev/azurite"
	"procallteams/dev/cloud"
	"procallteams/dev/funchost"
)

// Point is a place in the bridge's work at which a process is killed.
type Point string

// Points: at least one in every group of functions.
const (
	AfterGraph    Point = "after Graph's answer"
	AfterAppend   Point = "after the append, before the bridge knows"
	AfterUCServer Point = "after UCServer's 2xx, before the cursor moves"
	DuringPoll    Point = "while a poll is open"
	DuringUpkeep  Point = "during upkeep"

	AfterReport Point = "after a report was stored, before the bridge answers"
	AfterStep   Point = "after the intent or the result of a write was stored, before the bridge knows"
	DuringWrite Point = "after a write reached Graph, before its work"
	AfterWrite  Point = "after Graph's answer to a write, before its result is stored"
)

// points is the order of the first round, shuffled by the seed.
var points = []Point{AfterGraph, AfterAppend, AfterUCServer, DuringPoll, DuringUpkeep}

// callPoints are those that only a run with calls passes.
var callPoints = []Point{AfterReport, AfterStep, DuringWrite, AfterWrite}

// groups are whose process dies at a point.
var groups = map[Point]string{
	AfterGraph: "function:presencesync", AfterAppend: "function:presencesync", AfterUCServer: "function:presencepush",
	DuringPoll: "http", DuringUpkeep: "function:upkeep",
	AfterReport: "http", AfterStep: "function:presenceset", DuringWrite: "function:presenceset", AfterWrite: "function:presenceset",
}

// planned is one kill: it is armed at an offset and happens at the next passage
// of its point.
type planned struct {
	offset time.Duration
	point  Point
}

// plan spreads n kills over the run, so that the seed alone decides them.
func plan(seed uint64, n int, duration time.Duration, points []Point) []planned {
	rng := rand.New(rand.NewPCG(seed, 2))
	var list []planned
	var round []Point
	for i := range n {
		if len(round) == 0 {
			round = append(round, points...)
			rng.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		}
		// The last tenth stays quiet, so that what a kill left undone happens under
		// movement too.
		slot := duration * 9 / 10 / time.Duration(n)
		offset := time.Duration(i)*slot + time.Duration(rng.Int64N(int64(slot/2)+1))
		list = append(list, planned{offset, round[0]})
		round = round[1:]
	}
	return list
}

// Kill is one that happened.
type Kill struct {
	At    time.Time
	Point Point
}

// killer ends handler processes at armed points.
type killer struct {
	cloud *cloud.Cloud
	log   func(string, ...any)

	mu    sync.Mutex
	armed Point
	hit   chan struct{}
	kills []Kill
}

func newKiller(c *cloud.Cloud, log func(string, ...any)) *killer {
	k := &killer{cloud: c, log: log}
	c.Graph.OnAnswer(func(path string) {
		switch {
		case strings.HasSuffix(path, "/getPresencesByUserId"):
			k.passing(AfterGraph, anyInstance)
		case isWrite(path):
			k.passing(AfterWrite, anyInstance)
		}
	})
	c.Graph.OnRequest(func(path string) {
		if isWrite(path) {
			k.passing(DuringWrite, anyInstance)
		}
	})
	c.Wire.OnResponse(func(kind string, r *http.Request, status int) {
		if kind != "table.transaction" || status != http.StatusAccepted {
			return
		}
		rows := azurite.Rows(r)
		for prefix, point := range map[string]Point{"now-feed": AfterAppend, "call-": AfterReport, "session-": AfterStep} {
			if slices.ContainsFunc(rows, func(row string) bool { return strings.HasPrefix(row, prefix) }) {
				k.passing(point, anyInstance)
			}
		}
	})
	c.UCServer.OnAnswered(func() { k.passing(AfterUCServer, anyInstance) })
	c.OnInvocation(func(call funchost.Invocation) {
		if call.Done {
			return
		}
		// A few milliseconds later it is in the middle of its work.
		switch call.Function {
		case "presencechanges":
			time.AfterFunc(3*time.Millisecond, func() { k.passing(DuringPoll, call.Instance) })
		case "upkeep":
			time.AfterFunc(15*time.Millisecond, func() { k.passing(DuringUpkeep, anyInstance) })
		}
	})
	return k
}

func isWrite(path string) bool {
	return strings.HasSuffix(path, "/setPresence") || strings.HasSuffix(path, "/clearPresence")
}

// anyInstance stands for every instance of a group, where it is unknown which one
// does the work.
const anyInstance = -1

// passing kills the point's process if the point is armed.
func (k *killer) passing(p Point, instance int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.armed != p {
		return
	}
	killed := 0
	for _, process := range k.cloud.Host.Processes() {
		if process.Group != groups[p] || process.PID == 0 || instance != anyInstance && process.Instance != instance {
			continue
		}
		if err := k.cloud.Host.Kill(process.Group, process.Instance); err == nil {
			killed++
		}
	}
	if killed == 0 {
		return // it is just starting again; the next passage counts
	}
	k.armed = ""
	k.kills = append(k.kills, Kill{time.Now(), p})
	close(k.hit)
	k.log("killed %s %s", groups[p], p)
}

// arm waits until the point was passed, at most for patience.
func (k *killer) arm(ctx context.Context, p Point, patience time.Duration) error {
	k.mu.Lock()
	k.armed, k.hit = p, make(chan struct{})
	hit := k.hit
	k.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	if p == DuringUpkeep {
		if err := k.invokeUpkeep(ctx); err != nil {
			return err
		}
	}
	select {
	case <-hit:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.armed == p {
		k.armed = ""
		return fmt.Errorf("kill %s: nobody passed there within %s", p, patience)
	}
	return nil
}

// invokeUpkeep starts upkeep out of turn, as an operator does at the portal.
func (k *killer) invokeUpkeep(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.cloud.Host.URL()+"/admin/functions/upkeep", strings.NewReader("{}"))
	if err != nil {
		return fmt.Errorf("start upkeep: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("start upkeep: %w", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		return fmt.Errorf("start upkeep: the host answered %d", answer.StatusCode)
	}
	return nil
}

// happened returns the kills so far.
func (k *killer) happened() []Kill {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Kill(nil), k.kills...)
}

package smoke

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"procallteams/dev/cloud"
	"procallteams/dev/graph"
	"procallteams/dev/ucserver"
)

// phones lets people start and end calls in ProCall.
type phones struct {
	reporter *ucserver.Reporter
	users    []string          // UCServer names of everybody who takes part, in order
	ids      map[string]string // Entra object ids by name
	rng      *rand.Rand
	on       []string // who is on the phone
	place    map[string]int
}

func newPhones(c *cloud.Cloud, r *ucserver.Reporter, seed uint64) *phones {
	p := &phones{reporter: r, ids: map[string]string{}, place: map[string]int{}, rng: rand.New(rand.NewPCG(seed, 3))}
	for _, person := range c.UCServer.Inbox().View().People {
		p.users = append(p.users, person.User)
		p.ids[person.User] = person.EntraID
	}
	return p
}

// start lets n more people begin a call.
func (p *phones) start(n int) {
	for range min(n, len(p.users)-len(p.on)) {
		user := p.users[p.rng.IntN(len(p.users))]
		for _, busy := p.place[user]; busy; _, busy = p.place[user] {
			user = p.users[p.rng.IntN(len(p.users))]
		}
		p.place[user] = len(p.on)
		p.on = append(p.on, user)
		p.reporter.StartCall(user)
	}
}

func (p *phones) end() {
	if len(p.on) == 0 {
		return
	}
	i := p.rng.IntN(len(p.on))
	user, last := p.on[i], p.on[len(p.on)-1]
	p.on[i], p.place[last] = last, i
	p.on = p.on[:len(p.on)-1]
	delete(p.place, user)
	p.reporter.EndCall(user)
}

// ring changes calls at a rate, about so many at a time, until ctx ends. Half-way
// UCServer restarts.
func (p *phones) ring(ctx context.Context, o Options) {
	begin := time.Now()
	restart := o.Duration / 2
	for i := 0; ; i++ {
		next := begin.Add(time.Duration((float64(i) + p.rng.Float64()) / o.CallRate * float64(time.Second)))
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
			return
		}
		if o.Disturb && restart > 0 && time.Since(begin) > restart {
			restart = 0
			p.reporter.Restart()
		}
		if active := len(p.on); active < o.Calls*9/10 || active <= o.Calls*11/10 && p.rng.IntN(2) == 0 {
			p.start(1)
		} else {
			p.end()
		}
	}
}

// halfMarked leaves external out for every second person: the bridge must tell by
// itself what Teams caused.
func halfMarked(user string) bool {
	sum := 0
	for _, b := range []byte(user) {
		sum += int(b)
	}
	return sum%2 == 0
}

// inTeamsCall reports whether a Teams client by itself shows a call: then a
// person's own call may wait, or be shown, since both look the same.
func inTeamsCall(s graph.Session) bool {
	return s.Activity == "InACall" || s.Activity == "InAConferenceCall"
}

// wrongCalls says for whom Teams does not show what the phone says: our session
// is there if, and only if, the person is on the phone. While Teams itself shows a
// call, a session may be missing.
func wrongCalls(c *cloud.Cloud, p *phones) []string {
	if p == nil {
		return nil
	}
	onPhone := map[string]time.Time{}
	for user, since := range p.reporter.OnPhone() {
		onPhone[p.ids[user]] = since
	}
	held, clients := c.Graph.Sessions(cloud.ClientID), c.Graph.TeamsClients()
	var wrong []string
	for id, since := range onPhone {
		s, is := held[id]
		switch {
		case !is && !inTeamsCall(clients[id]):
			wrong = append(wrong, fmt.Sprintf("user %s is on the phone since %s, and Teams does not show it", id, clock(since)))
		case is && (s.Availability != "Busy" || s.Activity != "InACall"):
			wrong = append(wrong, fmt.Sprintf("user %s is on the phone, and the session says %s/%s", id, s.Availability, s.Activity))
		}
	}
	for id, s := range held {
		if _, is := onPhone[id]; !is {
			wrong = append(wrong, fmt.Sprintf("user %s is not on the phone, and is stuck in Teams until %s (written at %s)", id, clock(s.Expires), clock(s.Written)))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// echoTime is how long after a clear the bridge may take a call for its own.
const echoTime = 75 * time.Second

// echoes says for whom a consumer holds our own session as a contribution of
// Teams, or a call of Teams as ours.
func echoes(c *cloud.Cloud, inboxes map[string]*ucserver.Inbox) []string {
	held, current, clients := c.Graph.Sessions(cloud.ClientID), c.Graph.Current(), c.Graph.TeamsClients()
	written := map[string]time.Time{}
	for _, w := range writesOf(c.Graph.Requests()) {
		written[w.user] = w.at
	}
	var wrong []string
	for name, inbox := range inboxes {
		for _, person := range inbox.View().People {
			id, contributes := person.EntraID, person.ProCall != nil && person.ProCall.State != nil
			_, ours := held[id]
			shown := current[id]
			ownPair := shown.Availability == "Busy" && (shown.Activity == "InACall" || shown.Activity == "Busy")
			switch {
			case ours && ownPair && contributes:
				wrong = append(wrong, fmt.Sprintf("%s: our own session for user %s contributes %s (source %s)", name, id, *person.ProCall.State, person.Source))
			case !ours && inTeamsCall(clients[id]) && !contributes && time.Since(written[id]) > echoTime && time.Since(clients[id].Written) > echoTime:
				wrong = append(wrong, fmt.Sprintf("%s: a call of user %s in Teams contributes nothing (source %s)", name, id, person.Source))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// written is one write that reached Graph.
type written struct {
	user   string
	set    bool // else a clear
	at     time.Time
	status int
}

// writesOf returns the writes in order of their arrival.
func writesOf(requests []graph.Request) []written {
	var list []written
	for _, r := range requests {
		set := strings.HasSuffix(r.Path, "/setPresence")
		if !set && !strings.HasSuffix(r.Path, "/clearPresence") {
			continue
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/v1.0/users/"), "/")
		list = append(list, written{strings.ToLower(id), set, r.At, r.Status})
	}
	slices.SortStableFunc(list, func(a, b written) int { return a.at.Compare(b.at) })
	return list
}

// overstated says which bodies hold what we never send: the word Available, or
// another session than our own.
func overstated(requests []graph.Request) []string {
	var wrong []string
	for _, r := range requests {
		if r.Body == "" {
			continue
		}
		var in struct{ SessionID, Availability, Activity string }
		switch err := json.Unmarshal([]byte(r.Body), &in); {
		case err != nil:
			wrong = append(wrong, "a write that is no JSON reached Graph")
		case strings.Contains(r.Body, "Available"):
			wrong = append(wrong, "a write said Available: "+r.Path)
		case in.SessionID != cloud.ClientID:
			wrong = append(wrong, "a write of another session, or of what a person chose: "+r.Path)
		}
	}
	return wrong
}

// throttledOf counts the answers 429.
func throttledOf(requests []graph.Request) int {
	n := 0
	for _, r := range requests {
		if r.Status == http.StatusTooManyRequests {
			n++
		}
	}
	return n
}

// CallEvidence is what call latencies are computed from.
type CallEvidence struct {
	Events []CallEvent  // in order of time
	Writes []written    // in order of time
	Shown  []Transition // of everybody, in order of time
	Begin  time.Time
	End    time.Time
	Kills  []time.Time
}

// CallEvent is one begin or end of a call.
type CallEvent struct {
	User    string // Entra object id
	OnPhone bool
	At      time.Time
	Sent    time.Time // when its report was begun; zero: it never was
}

// CallVerdict is how quickly calls came to Teams.
type CallVerdict struct {
	Changes  int // begins and ends while it was measured
	Begun    int // of those, begins
	Measured int
	P50, P99 time.Duration
	// P99AfterKill is of what happened, or was on its way, within 5 s after a kill.
	P99AfterKill time.Duration
	// Slowest is the person whose change took longest, after a kill or not.
	Slowest string
	// Late and LateAfterKill describe the slowest few.
	Late, LateAfterKill []string
}

// waitTime is for how long after a call of Teams an own one may be held back.
const waitTime = 15 * time.Second

// JudgeCalls computes the latencies of calls: from the beginning of the first
// request that reports a change to the arrival of its write at Graph. What needs
// no write is left out: what is over before it was told, and what waits for a call
// of Teams. A change that was not written within two seconds although it lasted
// longer counts with the time it lasted.
func JudgeCalls(e CallEvidence) CallVerdict {
	events, writes, shown := map[string][]CallEvent{}, map[string][]written{}, map[string][]Transition{}
	for _, event := range e.Events {
		events[event.User] = append(events[event.User], event)
	}
	for _, w := range e.Writes {
		writes[w.user] = append(writes[w.user], w)
	}
	for _, t := range e.Shown {
		shown[t.User] = append(shown[t.User], t)
	}
	var v CallVerdict
	var steady, disturbed []sample
	var slowest sample
	run := Evidence{Kills: e.Kills}
	for user, list := range events {
		for i, event := range list {
			if event.At.Before(e.Begin) || !event.At.Before(e.End) {
				continue
			}
			v.Changes++
			if event.OnPhone {
				v.Begun++
			}
			until := e.End.Add(time.Hour)
			if i+1 < len(list) {
				until = list[i+1].At
			}
			took, ok := latencyOf(event, until, writes[user], shown[user])
			if !ok {
				continue
			}
			v.Measured++
			if run.killedIn(event.Sent.Add(-afterKill), event.Sent.Add(took)) {
				disturbed = append(disturbed, sample{took, event})
				continue
			}
			steady = append(steady, sample{took, event})
		}
	}
	v.P50, v.P99, v.Late = sum(steady)
	_, v.P99AfterKill, v.LateAfterKill = sum(disturbed)
	for _, s := range slices.Concat(steady, disturbed) {
		if s.took > slowest.took {
			slowest, v.Slowest = s, s.event.User
		}
	}
	return v
}

// timeline tells a person's changes and writes in order, for whoever looks for the
// cause of a late one.
func (e CallEvidence) timeline(user string) []string {
	var lines []string
	for _, event := range e.Events {
		if event.User == user {
			lines = append(lines, fmt.Sprintf("%s on the phone %t, sent %s", clock(event.At), event.OnPhone, clock(event.Sent)))
		}
	}
	for _, w := range e.Writes {
		if w.user == user {
			lines = append(lines, fmt.Sprintf("%s Graph: set %t, answered %d", clock(w.at), w.set, w.status))
		}
	}
	for _, t := range e.Shown {
		if t.User == user {
			lines = append(lines, fmt.Sprintf("%s Teams shows %s", clock(t.At), t.text()))
		}
	}
	slices.Sort(lines)
	return lines
}

// sample is the latency of one event.
type sample struct {
	took  time.Duration
	event CallEvent
}

func sum(list []sample) (p50, p99 time.Duration, slowest []string) {
	slices.SortFunc(list, func(a, b sample) int { return cmp.Compare(b.took, a.took) })
	times := make([]time.Duration, len(list))
	for i, s := range list {
		times[i] = s.took
		if i < 5 {
			slowest = append(slowest, fmt.Sprintf("user %s, on the phone %t, reported at %s: %d ms", s.event.User, s.event.OnPhone, clock(s.event.Sent), s.took.Milliseconds()))
		}
	}
	return percentile(times, 0.50), percentile(times, 0.99), slowest
}

// latencyOf finds the write that an event asked for. until is when the next event
// of the person came.
func latencyOf(event CallEvent, until time.Time, writes []written, shown []Transition) (time.Duration, bool) {
	if event.Sent.IsZero() {
		return 0, false
	}
	held := false // a session was written before, and not cleared since
	for _, w := range writes {
		switch {
		case w.at.Before(event.Sent):
			held = w.set
			continue
		case !w.at.Before(until):
		case w.set == event.OnPhone && held != event.OnPhone:
			if event.OnPhone && waited(event, w.at, writes, shown) {
				return 0, false
			}
			return w.at.Sub(event.Sent), true
		default:
			continue
		}
		break
	}
	lasted := until.Sub(event.Sent)
	if held == event.OnPhone || lasted < 2*time.Second || event.OnPhone && waited(event, until, writes, shown) {
		return 0, false
	}
	return lasted, true
}

// waited reports whether Teams showed a call of its own at any time between a
// while before the event and until. shown are all transitions of the person.
func waited(event CallEvent, until time.Time, writes []written, shown []Transition) bool {
	from := event.At.Add(-waitTime)
	for i, t := range shown {
		end := until
		if i+1 < len(shown) {
			end = shown[i+1].At
		}
		isCall := t.Activity == "InACall" || t.Activity == "InAConferenceCall"
		if isCall && !end.Before(from) && t.At.Before(until) && !ours(t.At, end, writes) {
			return true
		}
	}
	return false
}

// writeTime is how long a write may take from its arrival to its effect.
const writeTime = 3 * time.Second

// ours reports whether a call that was shown from begin to end was our session
// alone: a write of ours began it, and it did not outlast our clear.
func ours(begin, end time.Time, writes []written) bool {
	set := slices.IndexFunc(writes, func(w written) bool { return w.set && !begin.Before(w.at) && begin.Sub(w.at) < writeTime })
	if set < 0 {
		return false
	}
	for _, w := range writes[set:] {
		if !w.set && w.at.Add(writeTime).Before(end) {
			return false
		}
	}
	return true
}

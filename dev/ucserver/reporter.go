package ucserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Reporter is the telephony side: it tells the bridge who is on the phone
// (PUT and POST /api/v1/telephony) and keeps the ground truth of it. It shows a
// person as UCServer does: busy by an own call, else as Teams contributes
// ([Reporter.Teams]). Set the fields, then call Run; its other methods may be
// called at any time.
type Reporter struct {
	BaseURL string // without /api
	Token   string // ptb_<id>_<secret>
	// Client is http.DefaultClient when nil.
	Client *http.Client
	Now    func() time.Time // time.Now when nil
	// Unmarked says for whom external is left out on what Teams caused; nil: for
	// nobody.
	Unmarked func(user string) bool
	// Collect is how long changes are gathered for one batch: 20 ms when zero.
	Collect time.Duration
	// Heartbeat is the longest pause between two messages: 60 s when zero.
	Heartbeat time.Duration
	// MinBackoff (500 ms when zero) doubles with every fault in a row up to
	// MaxBackoff (30 s). A Retry-After wins over both.
	MinBackoff, MaxBackoff time.Duration
	LogLimit               int

	once   sync.Once
	woken  chan struct{}
	mu     sync.Mutex
	lines  map[string]*line // by UCServer name
	dirty  map[string]bool
	epoch  int64
	seq    int64
	whole  bool // the complete list comes next
	silent bool
	again  *batch // sent, and not answered yet
	log    []CallEvent
	newest map[string]int // place in log of a person's newest event
	status ReportStatus
	breach []string
}

// line is what UCServer knows about one person.
type line struct {
	since time.Time // of the own call; zero without
	teams string    // what Teams contributes: busy, doNotDisturb or nothing
	call  bool      // Teams contributes it because of a call
	begun time.Time // of teams
	seq   int64     // of the last change
}

// CallEvent is one begin or end of an own call.
type CallEvent struct {
	User    string    `json:"user"`
	OnPhone bool      `json:"onPhone"`
	At      time.Time `json:"at"`
	// Sent is when the first request that holds it was begun; zero: none was.
	Sent time.Time `json:"sent,omitzero"`
	// Teams says that Teams contributed to the person's state then.
	Teams bool `json:"teams,omitempty"`
	seq   int64
}

// ReportStatus sums up what a reporter met.
type ReportStatus struct {
	Epoch    int64     `json:"epoch"`
	Requests int       `json:"requests"`
	Answers  int       `json:"answers"` // 200
	Lists    int       `json:"lists"`   // complete lists that were accepted
	Until    time.Time `json:"leaseUntil,omitzero"`
	// Results counts the items by result, Refusals the problems by their last word.
	Results  map[string]int `json:"results"`
	Refusals map[string]int `json:"refusals"`
	// Ended and Expired add up what complete lists ended, and what leases did.
	Ended   int `json:"ended"`
	Expired int `json:"expired"`
	Faults  int `json:"faults"` // everything that had to be tried again
	// LastFault describes the newest fault; it is empty again after a 200.
	LastFault string `json:"lastFault,omitempty"`
	OnPhone   int    `json:"onPhone"`
}

// item is one report on the wire.
type item struct {
	User     string    `json:"user"`
	State    string    `json:"state"`
	Reasons  []string  `json:"reasons"`
	External bool      `json:"external,omitempty"`
	Since    time.Time `json:"since"`
	Seq      int64     `json:"seq"`
}

type batch struct {
	method string
	body   []byte
	items  []item
	upTo   int64 // asOfSeq of a complete list
}

// maxItems is the most items of one POST.
const maxItems = 1000

func (r *Reporter) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Reporter) prepare() {
	r.once.Do(func() {
		r.woken = make(chan struct{}, 1)
		r.lines, r.dirty, r.newest = map[string]*line{}, map[string]bool{}, map[string]int{}
		r.status.Results, r.status.Refusals = map[string]int{}, map[string]int{}
		r.epoch, r.whole = r.now().UnixMilli(), true
	})
}

func (r *Reporter) lock() func() {
	r.prepare()
	r.mu.Lock()
	return r.mu.Unlock
}

func (r *Reporter) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

func (r *Reporter) line(user string) *line {
	l := r.lines[user]
	if l == nil {
		l = &line{}
		r.lines[user] = l
	}
	return l
}

// changed numbers a change of a person. It needs the lock.
func (r *Reporter) changed(user string, l *line) {
	r.seq++
	l.seq = r.seq
	r.dirty[user] = true
	r.wake()
}

// StartCall puts a person on the phone.
func (r *Reporter) StartCall(user string) { r.call(user, true) }

// EndCall ends the person's call.
func (r *Reporter) EndCall(user string) { r.call(user, false) }

func (r *Reporter) call(user string, on bool) {
	defer r.lock()()
	l := r.line(user)
	if on != l.since.IsZero() {
		return
	}
	now := r.now()
	l.since = time.Time{}
	if on {
		l.since = now
	}
	r.changed(user, l)
	r.remember(CallEvent{User: user, OnPhone: on, At: now, Teams: l.teams != "", seq: l.seq})
}

// remember logs an event; the oldest tenth is dropped beyond the limit.
func (r *Reporter) remember(e CallEvent) {
	if limit := cmp.Or(r.LogLimit, 1_000_000); len(r.log) >= limit {
		drop := limit/10 + 1
		r.log = append(r.log[:0], r.log[drop:]...)
		for user, i := range r.newest {
			if r.newest[user] = i - drop; i < drop {
				delete(r.newest, user)
			}
		}
	}
	r.newest[e.User] = len(r.log)
	r.log = append(r.log, e)
}

// Teams takes in what the feed says: what Teams contributes to a person's state.
func (r *Reporter) Teams(c Change) {
	state, call := "", false
	if c.Type == typePresence && c.ProCall != nil && c.ProCall.State != nil {
		if s := *c.ProCall.State; s == "busy" || s == "doNotDisturb" {
			state, call = s, slices.Contains(c.ProCall.Reasons, "call")
		}
	}
	defer r.lock()()
	l := r.line(c.User)
	if l.teams == state && l.call == call {
		return
	}
	l.teams, l.call, l.begun = state, call, r.now()
	if l.since.IsZero() { // an own call hides it
		r.changed(c.User, l)
	}
}

// OnPhone returns who has an own call now, and since when.
func (r *Reporter) OnPhone() map[string]time.Time {
	defer r.lock()()
	on := map[string]time.Time{}
	for user, l := range r.lines {
		if !l.since.IsZero() {
			on[user] = l.since
		}
	}
	return on
}

// Log returns every begin and end of a call so far, in order.
func (r *Reporter) Log() []CallEvent {
	defer r.lock()()
	return slices.Clone(r.log)
}

// Idle reports whether everything was said and answered.
func (r *Reporter) Idle() bool {
	defer r.lock()()
	return len(r.dirty) == 0 && !r.whole && r.again == nil
}

// Violations returns the first thousand breaches of the contract.
func (r *Reporter) Violations() []string {
	defer r.lock()()
	return slices.Clone(r.breach)
}

// Status returns the counters.
func (r *Reporter) Status() ReportStatus {
	defer r.lock()()
	s := r.status
	s.Epoch = r.epoch
	s.Results, s.Refusals = maps.Clone(s.Results), maps.Clone(s.Refusals)
	for _, l := range r.lines {
		if !l.since.IsZero() {
			s.OnPhone++
		}
	}
	return s
}

// Restart is a restart of UCServer: calls go on, but numbers begin anew in a new
// epoch, which a complete list opens.
func (r *Reporter) Restart() {
	defer r.lock()()
	r.renew(r.epoch)
	r.silent = false
	r.wake()
}

// renew begins an epoch above the given one. It needs the lock.
func (r *Reporter) renew(above int64) {
	r.epoch = max(above+1, r.now().UnixMilli())
	r.whole, r.again, r.seq = true, nil, 0
	for _, user := range slices.Sorted(maps.Keys(r.lines)) {
		r.seq++
		r.lines[user].seq = r.seq
		if at, ok := r.newest[user]; ok {
			r.log[at].seq = r.seq
		}
	}
}

// Silence stops all messages, as a connector that hangs; Restart and Speak end it.
func (r *Reporter) Silence() { r.hush(true) }

// Speak ends a silence; what happened meanwhile is told.
func (r *Reporter) Speak() { r.hush(false) }

func (r *Reporter) hush(silent bool) {
	defer r.lock()()
	r.silent = silent
	r.wake()
}

// Run reports until ctx ends and returns its error. It meets every fault by
// waiting and trying again.
func (r *Reporter) Run(ctx context.Context) error {
	r.prepare()
	last, faults := time.Time{}, 0
	for ctx.Err() == nil {
		b := r.next(time.Since(last) >= cmp.Or(r.Heartbeat, 60*time.Second))
		if b == nil {
			r.await(ctx, last)
			continue
		}
		err := r.send(ctx, b)
		if ctx.Err() != nil {
			break
		}
		if last = time.Now(); err == nil {
			faults = 0
			continue
		}
		sleep(ctx, r.afterFault(err, faults))
		faults++
	}
	return ctx.Err()
}

// await waits for a change, and then a little longer for others, or until the
// next heartbeat.
func (r *Reporter) await(ctx context.Context, last time.Time) {
	timer := time.NewTimer(max(time.Until(last.Add(cmp.Or(r.Heartbeat, 60*time.Second))), time.Second))
	defer timer.Stop()
	select {
	case <-r.woken:
		sleep(ctx, cmp.Or(r.Collect, 20*time.Millisecond))
	case <-timer.C:
	case <-ctx.Done():
	}
}

// next returns what is to be sent now, nil for nothing: what was not answered
// yet, byte for byte; the complete list; what changed; a heartbeat.
func (r *Reporter) next(heartbeat bool) *batch {
	defer r.lock()()
	switch {
	case r.silent:
		return nil
	case r.whole:
		// An unanswered list is told anew: more is known by now.
		r.again = r.complete()
	case r.again != nil:
	case len(r.dirty) > 0 || heartbeat:
		r.again = r.some()
	}
	return r.again
}

// complete is the list of everybody who is not simply free.
func (r *Reporter) complete() *batch {
	items := []item{}
	for user, l := range r.lines {
		if !l.since.IsZero() || l.teams != "" {
			items = append(items, r.item(user, l))
		}
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.Seq, b.Seq) })
	body := map[string]any{"epoch": r.epoch, "asOfSeq": r.seq, "items": items}
	return &batch{method: http.MethodPut, body: encode(body), items: items, upTo: r.seq}
}

func (r *Reporter) some() *batch {
	items := []item{}
	for user := range r.dirty {
		items = append(items, r.item(user, r.lines[user]))
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.Seq, b.Seq) })
	items = items[:min(len(items), maxItems)]
	return &batch{method: http.MethodPost, body: encode(map[string]any{"epoch": r.epoch, "items": items}), items: items}
}

func encode(v any) []byte {
	b, _ := json.Marshal(v) // of strings and numbers
	return b
}

// item is what UCServer shows of a person now.
func (r *Reporter) item(user string, l *line) item {
	i := item{User: user, State: "available", Reasons: []string{}, Since: r.now().UTC(), Seq: l.seq}
	switch {
	case !l.since.IsZero():
		i.State, i.Reasons, i.Since = "busy", []string{"call"}, l.since.UTC()
	case l.teams != "":
		i.State, i.External, i.Since = l.teams, r.Unmarked == nil || !r.Unmarked(user), l.begun.UTC()
		if l.call {
			i.Reasons = []string{"call"}
		}
	}
	return i
}

// receipt is the answer to a batch.
type receipt struct {
	Epoch int64 `json:"epoch"`
	Lease struct {
		Until time.Time `json:"until"`
	} `json:"lease"`
	Results []struct {
		User   string `json:"user"`
		Seq    int64  `json:"seq"`
		Result string `json:"result"`
		Detail string `json:"detail"`
	} `json:"results"`
	Ended   int `json:"ended"`
	Expired *struct {
		At    time.Time `json:"at"`
		Ended int       `json:"ended"`
	} `json:"expired"`
}

// reportProblem is the problem document of a refusal.
type reportProblem struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	Epoch int64  `json:"epoch"`
}

func (r *Reporter) send(ctx context.Context, b *batch) error {
	r.begin(b)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, b.method, strings.TrimSuffix(r.BaseURL, "/")+"/api/v1/telephony", bytes.NewReader(b.body))
	if err != nil {
		return fmt.Errorf("report calls: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+r.Token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, application/problem+json")
	answer, err := cmp.Or(r.Client, http.DefaultClient).Do(request)
	if err != nil {
		return fmt.Errorf("report calls: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("report calls: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return r.refused(b, answer, body)
	}
	var got receipt
	if err := json.Unmarshal(body, &got); err != nil {
		r.fault("a 200 is not the JSON of the contract: %v", err)
		return fmt.Errorf("report calls: %w", err)
	}
	r.taken(b, got)
	return nil
}

// begin counts the request and notes for whom it is the first.
func (r *Reporter) begin(b *batch) {
	defer r.lock()()
	r.status.Requests++
	now := r.now()
	for _, i := range b.items {
		if at, ok := r.newest[i.User]; ok && r.log[at].Sent.IsZero() && r.log[at].seq <= i.Seq {
			r.log[at].Sent = now
		}
	}
}

// fault notes that the bridge broke the contract.
func (r *Reporter) fault(format string, args ...any) {
	defer r.lock()()
	r.breaks(format, args...)
}

func (r *Reporter) breaks(format string, args ...any) {
	if len(r.breach) < 1000 {
		r.breach = append(r.breach, "telephony: "+fmt.Sprintf(format, args...))
	}
}

// taken notes what became of a batch that was accepted.
func (r *Reporter) taken(b *batch, got receipt) {
	defer r.lock()()
	r.status.Answers++
	r.status.LastFault, r.status.Until = "", got.Lease.Until
	if b != r.again {
		return // a restart came between
	}
	r.again = nil
	r.check(b, got)
	for _, i := range b.items {
		if r.lines[i.User].seq == i.Seq {
			delete(r.dirty, i.User)
		}
	}
	if b.method != http.MethodPut {
		return
	}
	r.whole = false
	r.status.Lists++
	r.status.Ended += got.Ended
	for user := range r.dirty {
		if r.lines[user].seq <= b.upTo {
			delete(r.dirty, user)
		}
	}
}

// fine are the results that a reporter like this may get; the others mean that
// one side does not keep the contract.
var fine = []string{"accepted", "unchanged", "unknownUser", "ambiguousUser", "disabledUser", "notEnabled"}

func (r *Reporter) check(b *batch, got receipt) {
	if got.Epoch != r.epoch {
		r.breaks("the answer names epoch %d, not %d", got.Epoch, r.epoch)
	}
	if !got.Lease.Until.After(r.now()) {
		r.breaks("the lease ends at once")
	}
	if len(got.Results) != len(b.items) {
		r.breaks("%d results came for %d items", len(got.Results), len(b.items))
		return
	}
	for i, result := range got.Results {
		r.status.Results[result.Result]++
		if result.User != b.items[i].User || result.Seq != b.items[i].Seq {
			r.breaks("a result stands in another place than its item")
		}
		if !slices.Contains(fine, result.Result) {
			r.breaks("an item got %q: %s", result.Result, result.Detail)
		}
	}
	if got.Expired != nil {
		r.status.Expired += got.Expired.Ended
	}
}

// refused takes in an answer other than 200: a complete list may be asked for.
func (r *Reporter) refused(b *batch, answer *http.Response, body []byte) error {
	e := answerError{status: answer.StatusCode, title: http.StatusText(answer.StatusCode)}
	var detail reportProblem
	_ = json.Unmarshal(body, &detail)
	e.title = cmp.Or(detail.Title, e.title)
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.retryAfter = time.Duration(min(seconds, 300)) * time.Second
	}
	kind := detail.Type[strings.LastIndexByte(detail.Type, '/')+1:]
	defer r.lock()()
	r.status.Refusals[cmp.Or(kind, strconv.Itoa(answer.StatusCode))]++
	own := answer.StatusCode >= 400 && answer.StatusCode < 500 && answer.StatusCode != http.StatusNotFound
	if isProblem := strings.HasPrefix(answer.Header.Get("Content-Type"), "application/problem+json"); own && (!isProblem || kind == "") {
		r.breaks("a %d is no problem document", answer.StatusCode)
	}
	if b != r.again {
		return nil
	}
	switch kind {
	case "complete-list-needed", "epoch-unknown":
		if b.method == http.MethodPut {
			r.breaks("a complete list was answered %s", kind)
			return e
		}
		r.whole = true
		return nil
	case "epoch-superseded":
		r.renew(max(r.epoch, detail.Epoch))
		return nil
	}
	// A credential that is revoked, or lacks the scope, is nobody's breach.
	if own && !slices.Contains([]int{401, 403, 429}, answer.StatusCode) {
		r.breaks("a batch was answered %d: %s", answer.StatusCode, e.title)
	}
	return e
}

// afterFault counts a fault and returns how long to wait because of it.
func (r *Reporter) afterFault(err error, before int) time.Duration {
	defer r.lock()()
	r.status.Faults++
	r.status.LastFault = err.Error()
	if answered, ok := errors.AsType[answerError](err); ok && answered.retryAfter > 0 {
		return answered.retryAfter
	}
	least, most := cmp.Or(r.MinBackoff, 500*time.Millisecond), cmp.Or(r.MaxBackoff, 30*time.Second)
	wait := min(least<<min(before, 16), most)
	return wait/2 + rand.N(wait/2+1) // jitter, as the poller
}

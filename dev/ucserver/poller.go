package ucserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Poller is a consumer that polls: it lists GET /api/v1/presence, keeps the
// first page's cursor, then watches GET /api/v1/presence/changes, and lists anew
// when it is told 410. Set the fields, then call Run; its other methods may be
// called at any time.
type Poller struct {
	BaseURL string // without /api
	Token   string // ptb_<id>_<secret>
	// Client is http.DefaultClient when nil. A time-out of its own must exceed Wait.
	Client *http.Client
	Now    func() time.Time // time.Now when nil
	// StaleAfter is 10 minutes when zero.
	StaleAfter time.Duration
	// Wait is asked of the server while there is nothing new, in whole seconds: 25
	// when zero, none when negative.
	Wait time.Duration
	// Interval is the pause after an empty answer without Wait: 1 s when zero.
	Interval time.Duration
	// PageLimit and ChangeLimit are 1,000 when zero.
	PageLimit, ChangeLimit int
	// MinBackoff (500 ms when zero) doubles with every fault in a row up to
	// MaxBackoff (30 s). A Retry-After wins over both.
	MinBackoff, MaxBackoff time.Duration
	LogLimit               int

	once   sync.Once
	inbox  *Inbox
	mu     sync.Mutex
	status PollStatus
}

// PollStatus sums up what a poller met.
type PollStatus struct {
	Requests int `json:"requests"`
	Answers  int `json:"answers"` // 200
	Gone     int `json:"gone"`    // 410
	Gzip     int `json:"gzip"`    // 200 in compressed form
	Faults   int `json:"faults"`  // everything else
	// LastFault describes the newest fault; it is empty again after a 200.
	LastFault string `json:"lastFault,omitempty"`
}

// Inbox is what the poller holds.
func (p *Poller) Inbox() *Inbox {
	p.once.Do(func() { p.inbox = newInbox(p.Now, p.StaleAfter, p.LogLimit) })
	return p.inbox
}

// Status returns the counters.
func (p *Poller) Status() PollStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *Poller) count(f func(*PollStatus)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.status)
}

// snapshotPage and changesPage are the answers of the two routes.
type snapshotPage struct {
	Epoch         string `json:"epoch"`
	Cursor        string `json:"cursor"`
	NextPageToken string `json:"nextPageToken"`
	Freshness
	Items []Change `json:"items"`
}

type changesPage struct {
	Epoch  string `json:"epoch"`
	Cursor string `json:"cursor"`
	Freshness
	Changes []Change `json:"changes"`
}

// answerError is an answer other than 200.
type answerError struct {
	status     int
	retryAfter time.Duration
	title      string
}

func (e answerError) Error() string { return fmt.Sprintf("answered %d: %s", e.status, e.title) }

// errRestart asks for a new list.
var errRestart = errors.New("start again from a snapshot")

// Run polls until ctx ends and returns its error. It meets every fault by
// waiting and trying again.
func (p *Poller) Run(ctx context.Context) error {
	cursor, epoch, faults := "", "", 0
	for ctx.Err() == nil {
		var err error
		pause := time.Duration(0)
		if cursor == "" {
			cursor, epoch, err = p.list(ctx)
		} else {
			cursor, epoch, pause, err = p.watch(ctx, cursor, epoch)
		}
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			faults = 0
			p.count(func(s *PollStatus) { s.LastFault = "" })
		} else {
			pause = p.afterFault(err, faults)
			faults++
			if answered, ok := errors.AsType[answerError](err); ok && answered.status == http.StatusGone || errors.Is(err, errRestart) {
				cursor = ""
			}
		}
		sleep(ctx, pause)
	}
	return ctx.Err()
}

// afterFault counts a fault and returns how long to wait because of it.
func (p *Poller) afterFault(err error, before int) time.Duration {
	answered, isAnswer := errors.AsType[answerError](err)
	if isAnswer && answered.status == http.StatusGone {
		p.count(func(s *PollStatus) { s.Gone++ })
		// The first one in a row is an ordinary invitation to list anew.
		if before == 0 {
			return 0
		}
	} else {
		p.count(func(s *PollStatus) { s.Faults++; s.LastFault = err.Error() })
	}
	if answered.retryAfter > 0 {
		return answered.retryAfter
	}
	least, most := cmp.Or(p.MinBackoff, 500*time.Millisecond), cmp.Or(p.MaxBackoff, 30*time.Second)
	wait := min(least<<min(before, 16), most)
	return wait/2 + rand.N(wait/2+1) // jitter: consumers must not return as a herd
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// list reads the whole current state and returns the first page's cursor:
// changes made while later pages were read are then seen again, never missed.
func (p *Poller) list(ctx context.Context) (cursor, epoch string, err error) {
	var items []Change
	var first snapshotPage
	for token, pages := "", 0; ; pages++ {
		q := url.Values{"limit": {strconv.Itoa(cmp.Or(p.PageLimit, 1000))}}
		if token != "" {
			q.Set("pageToken", token)
		}
		var page snapshotPage
		if err := p.get(ctx, "/api/v1/presence", q, 30*time.Second, &page); err != nil {
			if answered, ok := errors.AsType[answerError](err); ok && answered.status == http.StatusGone {
				return "", "", answered
			}
			return "", "", fmt.Errorf("list presences: %w", err)
		}
		// No epoch: nothing was ever published, so there can't be an item.
		if page.Cursor == "" || page.Epoch == "" && len(page.Items) > 0 {
			p.Inbox().breach("a snapshot page lacks epoch or cursor")
			return "", "", fmt.Errorf("list presences: no epoch or cursor: %w", errRestart)
		}
		if err := checkItems(page.Items); err != nil {
			p.Inbox().breach("snapshot page: %v", err)
		}
		if pages == 0 {
			first = page
		}
		if page.Epoch != first.Epoch {
			return "", "", fmt.Errorf("list presences: the epoch changed between pages: %w", errRestart)
		}
		items = append(items, page.Items...)
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	p.Inbox().replace(first.Epoch, Position{}, items)
	p.Inbox().listen(first.Freshness, max(1, len(items)))
	return first.Cursor, first.Epoch, nil
}

// watch reads the changes after a cursor and returns the next cursor. The cursor
// of no epoch, from before anything was published, leads into the first one.
func (p *Poller) watch(ctx context.Context, cursor, epoch string) (next, nextEpoch string, pause time.Duration, err error) {
	wait := cmp.Or(p.Wait, 25*time.Second)
	limit := cmp.Or(p.ChangeLimit, 1000)
	q := url.Values{"cursor": {cursor}, "limit": {strconv.Itoa(limit)}, "wait": {strconv.Itoa(int(max(wait, 0) / time.Second))}}
	begin := time.Now()
	var page changesPage
	if err := p.get(ctx, "/api/v1/presence/changes", q, max(wait, 0)+20*time.Second, &page); err != nil {
		return cursor, epoch, 0, fmt.Errorf("read changes: %w", err)
	}
	switch {
	case page.Epoch != epoch && epoch != "":
		p.Inbox().breach("changes of epoch %q came for a cursor of epoch %q", page.Epoch, epoch)
		return "", "", 0, fmt.Errorf("read changes: epoch: %w", errRestart)
	case page.Cursor == "":
		p.Inbox().breach("changes lack a cursor")
		return "", "", 0, fmt.Errorf("read changes: no cursor: %w", errRestart)
	case len(page.Changes) > limit:
		p.Inbox().breach("%d changes came for limit %d", len(page.Changes), limit)
	case len(page.Changes) > 0 && page.Cursor == cursor:
		p.Inbox().breach("changes came and the cursor stayed")
	}
	if n := len(page.Changes); n > 0 {
		if err := checkRange(page.Changes, Position{}, page.Changes[n-1].ID); err != nil {
			p.Inbox().breach("changes: %v", err)
		}
	}
	p.Inbox().take(page.Epoch, Position{}, page.Changes)
	p.Inbox().listen(page.Freshness, len(page.Changes))
	if len(page.Changes) == 0 {
		// A server that does not hold the request must not be asked in a loop.
		pause = cmp.Or(p.Interval, time.Second) - time.Since(begin)
	}
	return page.Cursor, page.Epoch, pause, nil
}

// get reads one answer. An answer other than 200 is an answerError.
func (p *Poller) get(ctx context.Context, path string, q url.Values, timeout time.Duration, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.BaseURL, "/")+path+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+p.Token)
	request.Header.Set("Accept", "application/json, application/problem+json")
	p.count(func(s *PollStatus) { s.Requests++ })
	client := cmp.Or(p.Client, http.DefaultClient)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return p.refused(answer, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		p.Inbox().breach("a 200 of %s is not the JSON of the contract: %v", path, err)
		return err
	}
	p.count(func(s *PollStatus) {
		s.Answers++
		if answer.Uncompressed { // net/http asked for gzip and unpacked it
			s.Gzip++
		}
	})
	return nil
}

func (p *Poller) refused(answer *http.Response, body []byte) error {
	e := answerError{status: answer.StatusCode, title: http.StatusText(answer.StatusCode)}
	var detail struct{ Type, Title string }
	if json.Unmarshal(body, &detail) == nil && detail.Title != "" {
		e.title = detail.Title
	}
	// Whatever stands in between may answer 404 and 5xx in its own words; these
	// refusals come from the bridge.
	own := slices.Contains([]int{400, 401, 403, 410, 429}, answer.StatusCode)
	if isProblem := strings.HasPrefix(answer.Header.Get("Content-Type"), "application/problem+json"); own && (!isProblem || detail.Type == "") {
		p.Inbox().breach("a %d is no problem document", answer.StatusCode)
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.retryAfter = time.Duration(min(seconds, 300)) * time.Second
	}
	return e
}

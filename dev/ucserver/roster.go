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
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Member is a user of UCServer as its connector sends it.
type Member struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	UPN        string   `json:"upn,omitempty"`
	SAM        string   `json:"samAccountName,omitempty"`
	ObjectGUID string   `json:"objectGUID,omitempty"`
	ObjectSID  string   `json:"objectSID,omitempty"`
	Mail       string   `json:"mail,omitempty"`
	SIP        string   `json:"sip,omitempty"`
	Groups     []string `json:"groups,omitempty"`
}

// Standing is what the bridge says of a member.
type Standing struct {
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
	Advice string `json:"advice,omitempty"`
	Match  *struct {
		Rule string `json:"rule"`
	} `json:"match,omitempty"`
	Account *struct {
		UPN string `json:"upn"`
	} `json:"account,omitempty"`
}

// Roster keeps UCServer's users, and tells them to the bridge (PUT and PATCH
// /api/v1/directory): the whole list when it begins, then what changes. Without a
// user it says nothing, and the bridge takes UPNs for names. Set the fields, then
// call Run; its other methods may be called at any time.
type Roster struct {
	BaseURL string // without /api
	Token   string // ptb_<id>_<secret>, with the scope directory
	// Client is http.DefaultClient when nil.
	Client *http.Client
	// Again is after how long the whole list is sent once more: an hour when zero,
	// but a minute while the bridge knows nobody on its other side.
	Again time.Duration
	// MinBackoff (500 ms when zero) doubles with every fault in a row up to
	// MaxBackoff (30 s).
	MinBackoff, MaxBackoff time.Duration

	once     sync.Once
	woken    chan struct{}
	mu       sync.Mutex
	members  map[string]Member
	dirty    map[string]bool
	whole    bool // the complete list comes next
	held     bool // a person has to confirm that the list shrinks
	confirm  *int
	standing map[string]Standing
	status   RosterStatus
	breach   []string
}

// RosterStatus sums up what a roster met.
type RosterStatus struct {
	Members  int            `json:"members"`
	Requests int            `json:"requests"`
	Lists    int            `json:"lists"`   // complete lists that were taken in
	Changes  int            `json:"changes"` // batches of changes that were
	Judged   bool           `json:"judged"`
	Results  map[string]int `json:"results"` // of the members
	Refusals map[string]int `json:"refusals"`
	// Confirm is set while the bridge waits for a person to confirm so many users.
	Confirm *int `json:"confirm,omitempty"`
	// LastFault describes the newest fault; it is empty again after a 200.
	LastFault string `json:"lastFault,omitempty"`
}

func (r *Roster) lock() func() {
	r.once.Do(func() {
		r.woken = make(chan struct{}, 1)
		r.members, r.dirty, r.standing = map[string]Member{}, map[string]bool{}, map[string]Standing{}
		r.status.Refusals = map[string]int{}
		r.whole = true
	})
	r.mu.Lock()
	return r.mu.Unlock
}

func (r *Roster) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// Put adds members, or puts them in the place of those with the same ids.
func (r *Roster) Put(members ...Member) {
	defer r.lock()()
	for _, m := range members {
		r.members[m.ID], r.dirty[m.ID] = m, true
	}
	r.wake()
}

// Remove takes a member off the list.
func (r *Roster) Remove(id string) {
	defer r.lock()()
	delete(r.members, id)
	r.dirty[id] = true
	r.wake()
}

// Resend sends the whole list; a person who looked at it confirms it with that.
func (r *Roster) Resend() {
	defer r.lock()()
	r.whole, r.held, r.confirm = true, false, r.status.Confirm
	r.wake()
}

// Members are the users in the order of their ids.
func (r *Roster) Members() []Member {
	defer r.lock()()
	return r.sorted()
}

func (r *Roster) sorted() []Member {
	return slices.SortedFunc(maps.Values(r.members), func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
}

// Standings are what the bridge said last, by id.
func (r *Roster) Standings() map[string]Standing {
	defer r.lock()()
	return maps.Clone(r.standing)
}

// Idle reports whether everything was said and answered.
func (r *Roster) Idle() bool {
	defer r.lock()()
	return len(r.dirty) == 0 && (!r.whole || len(r.members) == 0)
}

// Violations returns the first thousand breaches of the contract.
func (r *Roster) Violations() []string {
	defer r.lock()()
	return slices.Clone(r.breach)
}

// Status returns the counters.
func (r *Roster) Status() RosterStatus {
	defer r.lock()()
	s := r.status
	s.Members, s.Results, s.Refusals = len(r.members), map[string]int{}, maps.Clone(s.Refusals)
	for id := range r.members {
		if standing, ok := r.standing[id]; ok {
			s.Results[standing.Result]++
		}
	}
	return s
}

// Run sends until ctx ends.
func (r *Roster) Run(ctx context.Context) error {
	r.lock()()
	faults := 0
	for ctx.Err() == nil {
		method, body, sent := r.next()
		if method == "" {
			r.await(ctx)
			continue
		}
		err := r.send(ctx, method, body, sent)
		if ctx.Err() != nil {
			break
		}
		if faults++; err == nil {
			faults = 0
			continue
		}
		least, most := cmp.Or(r.MinBackoff, 500*time.Millisecond), cmp.Or(r.MaxBackoff, 30*time.Second)
		sleep(ctx, min(least<<min(faults-1, 16), most))
	}
	return ctx.Err()
}

// await waits for a change, or until the whole list is due once more.
func (r *Roster) await(ctx context.Context) {
	unlock := r.lock()
	again := cmp.Or(r.Again, time.Hour)
	if !r.status.Judged && r.status.Lists > 0 {
		again = min(again, time.Minute)
	}
	unlock()
	timer := time.NewTimer(again)
	defer timer.Stop()
	select {
	case <-r.woken:
	case <-timer.C:
		defer r.lock()()
		r.whole = true
	case <-ctx.Done():
	}
}

// next returns what is to be sent now, an empty method for nothing, and what that
// says of each id.
func (r *Roster) next() (method string, body []byte, sent map[string]Member) {
	defer r.lock()()
	var lines bytes.Buffer
	encoder, n := json.NewEncoder(&lines), 0
	line := func(v any) { _ = encoder.Encode(v); n++ } // of texts
	sent = maps.Clone(r.members)
	switch {
	case r.held || r.whole && len(r.members) == 0 && r.status.Lists == 0:
		return "", nil, nil
	case r.whole:
		method = http.MethodPut
		for _, m := range r.sorted() {
			line(m)
		}
	case len(r.dirty) > 0:
		method = http.MethodPatch
		// Who is gone goes first: the name may be another's by now.
		for _, id := range slices.Sorted(maps.Keys(r.dirty)) {
			if _, ok := r.members[id]; !ok {
				line(map[string]string{"op": "remove", "id": id})
			}
		}
		for _, id := range slices.Sorted(maps.Keys(r.dirty)) {
			if m, ok := r.members[id]; ok {
				line(map[string]any{"op": "put", "user": m})
			}
		}
	default:
		return "", nil, nil
	}
	fmt.Fprintf(&lines, "{\"count\":%d}\n", n)
	return method, lines.Bytes(), sent
}

func (r *Roster) send(ctx context.Context, method string, body []byte, sent map[string]Member) error {
	target := strings.TrimSuffix(r.BaseURL, "/") + "/api/v1/directory"
	unlock := r.lock()
	r.status.Requests++
	if r.confirm != nil && method == http.MethodPut {
		target += "?confirm=" + strconv.Itoa(*r.confirm)
	}
	unlock()
	ctx, cancel := context.WithTimeout(ctx, 100*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("send users: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+r.Token)
	request.Header.Set("Content-Type", "application/x-ndjson")
	answer, err := cmp.Or(r.Client, http.DefaultClient).Do(request)
	if err != nil {
		return r.failed(fmt.Errorf("send users: %w", err))
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		return r.refused(answer, text)
	}
	return r.taken(method, answer.Body, sent)
}

func (r *Roster) failed(err error) error {
	defer r.lock()()
	r.status.LastFault = err.Error()
	return err
}

// taken reads the lines of a 200: one for each user, and the last one.
func (r *Roster) taken(method string, body io.Reader, sent map[string]Member) error {
	said, decoder := map[string]Standing{}, json.NewDecoder(body)
	var last struct {
		Count  *int
		Judged bool
	}
	for last.Count == nil {
		var line struct {
			Standing
			ID     string
			Count  *int
			Judged bool
		}
		if err := decoder.Decode(&line); err != nil {
			return r.failed(fmt.Errorf("read what the bridge says of the users: %w", err))
		}
		if last.Count, last.Judged = line.Count, line.Judged; last.Count == nil {
			said[line.ID] = line.Standing
		}
	}
	defer r.lock()()
	if method == http.MethodPut {
		r.whole, r.confirm, r.standing = false, nil, map[string]Standing{}
		r.status.Lists++
	} else {
		r.status.Changes++
	}
	r.status.LastFault, r.status.Confirm, r.status.Judged = "", nil, last.Judged
	for id := range r.dirty {
		now, is := r.members[id]
		before, was := sent[id]
		if is == was && slices.Equal(now.Groups, before.Groups) && encodes(now, before) {
			delete(r.dirty, id)
		}
		if _, ok := said[id]; method == http.MethodPatch && was && !ok && len(r.breach) < 1000 {
			r.breach = append(r.breach, "directory: nothing was said of a user that was sent")
		}
	}
	if method == http.MethodPut && *last.Count != len(sent) && len(r.breach) < 1000 {
		r.breach = append(r.breach, fmt.Sprintf("directory: %d users are on a list of %d", *last.Count, len(sent)))
	}
	maps.Copy(r.standing, said)
	return nil
}

// encodes reports whether two are the same on the wire.
func encodes(a, b Member) bool { return bytes.Equal(encode(a), encode(b)) }

// refused takes in an answer other than 200.
func (r *Roster) refused(answer *http.Response, body []byte) error {
	var detail struct {
		Type, Title, Detail, NextStep string
		Confirm                       *int
	}
	_ = json.Unmarshal(body, &detail)
	kind := detail.Type[strings.LastIndexByte(detail.Type, '/')+1:]
	defer r.lock()()
	r.status.Refusals[cmp.Or(kind, strconv.Itoa(answer.StatusCode))]++
	r.status.LastFault = strings.TrimSpace(fmt.Sprintf("%d %s. %s %s", answer.StatusCode, cmp.Or(detail.Title, http.StatusText(answer.StatusCode)), detail.Detail, detail.NextStep))
	switch kind {
	case "no-user-list", "changed-meanwhile":
		r.whole = true
		return nil
	case "list-shrinks":
		r.held, r.status.Confirm = true, detail.Confirm
		return nil
	case "list-faulty", "bad-request", "length-required", "unsupported-media-type":
		if len(r.breach) < 1000 {
			r.breach = append(r.breach, "directory: "+r.status.LastFault)
		}
	}
	return errors.New("send users: " + r.status.LastFault)
}

package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FaultKind names a way to misbehave.
type FaultKind string

// Faults on whole requests, in the order in which they are applied, then faults
// on the items of getPresencesByUserId.
const (
	Latency   FaultKind = "latency"   // waits Milliseconds, then goes on; nothing when the client left meanwhile
	Drop      FaultKind = "drop"      // cuts the connection before any work
	Throttle  FaultKind = "throttle"  // 429 with RetryAfter seconds
	Status    FaultKind = "status"    // answers Status with Code and Message
	HTML      FaultKind = "html"      // 200 (or Status) with a page
	Body      FaultKind = "body"      // 200 with the JSON in Body, such as {"value":null}
	Truncate  FaultKind = "truncate"  // cuts the connection in the middle of the body
	DropAfter FaultKind = "dropafter" // does the work, then cuts the connection
	Late      FaultKind = "late"      // of writes: taken at once, done after Milliseconds, also for a client that left

	Missing        FaultKind = "missing"        // leaves Users out (all when empty)
	NoAvailability FaultKind = "noavailability" // answers their directory record instead
	Unknown        FaultKind = "unknown"        // Value as availability and activity, as it is
	Duplicate      FaultKind = "duplicate"      // answers them twice
	Items          FaultKind = "items"          // answers the next of Items instead, in turn
	Foreign        FaultKind = "foreign"        // adds a user that nobody asked for
)

// Fault is one misbehaviour. It stays until Count requests had it, or until it
// is cleared.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// Path restricts it to requests whose path holds this text.
	Path string `json:"path,omitempty"`
	// Count is the number of requests; zero is no limit.
	Count int `json:"count,omitempty"`
	// Probability that a request in its scope is hit; zero is always.
	Probability float64 `json:"probability,omitempty"`

	Milliseconds int `json:"milliseconds,omitempty"`
	// RetryAfter in seconds; zero sends no header, except 10 with Throttle.
	// Negative sends none.
	RetryAfter int             `json:"retryAfter,omitempty"`
	Status     int             `json:"status,omitempty"`
	Code       string          `json:"code,omitempty"`
	Message    string          `json:"message,omitempty"`
	Body       json.RawMessage `json:"body,omitempty"`
	// Users are object ids in lower case.
	Users []string          `json:"users,omitempty"`
	Value string            `json:"value,omitempty"`
	Items []json.RawMessage `json:"items,omitempty"`
}

type activeFault struct {
	Fault
	ID string `json:"id"`
	// Hits counts the requests that had it.
	Hits int            `json:"hits"`
	turn map[string]int // by user, for Items
}

type faults struct {
	mu   sync.Mutex
	rng  *rand.Rand
	made int
	list []*activeFault
}

func (f *faults) seed(seed uint64) { f.rng = rand.New(rand.NewPCG(seed, 1<<63)) }

// Inject starts a fault and returns its name for Clear.
func (s *Simulator) Inject(fault Fault) string {
	f := &s.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	active := &activeFault{Fault: fault, ID: fmt.Sprintf("f%d", f.made), turn: map[string]int{}}
	f.list = append(f.list, active)
	return active.ID
}

// Clear ends the fault with this name, or all when it is empty.
func (s *Simulator) Clear(id string) {
	f := &s.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = slices.DeleteFunc(f.list, func(a *activeFault) bool { return id == "" || a.ID == id })
}

func (f *faults) active() []activeFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []activeFault{}
	for _, a := range f.list {
		list = append(list, *a)
	}
	return list
}

// hit returns the faults that this request has, and uses them up.
func (f *faults) hit(path string) []*activeFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hit []*activeFault
	for _, a := range f.list {
		if a.Kind == Late && !isWrite(path) {
			continue
		}
		if !strings.Contains(path, a.Path) || a.Probability > 0 && f.rng.Float64() >= a.Probability {
			continue
		}
		a.Hits++
		hit = append(hit, a)
	}
	f.list = slices.DeleteFunc(f.list, func(a *activeFault) bool { return a.Count > 0 && a.Hits >= a.Count })
	return hit
}

// before applies the faults on the request and notes those on its items. It
// reports false when the answer is given.
func (f *faults) before(w *recorder, r *http.Request) bool {
	hit := f.hit(r.URL.Path)
	for _, a := range hit {
		if a.Kind == Latency {
			holdBody(r)
			select {
			case <-time.After(time.Duration(a.Milliseconds) * time.Millisecond):
			case <-r.Context().Done():
				return false
			}
		}
	}
	for _, a := range hit {
		if a.Kind == Drop {
			panic(http.ErrAbortHandler)
		}
	}
	for _, a := range hit {
		switch a.Kind {
		case Throttle:
			w.retryAfter(a.RetryAfter, 10)
			refuse(w, r, http.StatusTooManyRequests, "TooManyRequests", "Please retry again later.")
			return false
		case Status:
			w.retryAfter(a.RetryAfter, 0)
			code := a.Code
			if code == "" {
				code = map[int]string{401: "InvalidAuthenticationToken", 403: "Forbidden", 503: "serviceNotAvailable"}[a.Status]
			}
			refuse(w, r, a.Status, code, a.Message)
			return false
		case HTML:
			answer(w, max(a.Status, http.StatusOK), "text/html; charset=utf-8", []byte("<!doctype html><title>Sign in to the network</title><p>Please accept the terms of this network."))
			return false
		case Body:
			answer(w, http.StatusOK, "application/json; charset=utf-8", a.Body)
			return false
		case Truncate:
			w.truncate = true
		case DropAfter:
			w.drop = true
		case Late:
			w.late = time.Duration(a.Milliseconds) * time.Millisecond
		case Missing, NoAvailability, Unknown, Duplicate, Items, Foreign:
			w.items = append(w.items, a)
		}
	}
	return true
}

// holdBody reads the body now and puts it back. The server sees a client leave
// only after its body was read.
func holdBody(r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (w *recorder) retryAfter(seconds, usual int) {
	if seconds == 0 {
		seconds = usual
	}
	if seconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
}

// disturb returns what stands in place of a user's item: one item, several with
// commas, or nil for none.
func (f *faults) disturb(hit []*activeFault, id, item []byte) []byte {
	user := string(bytes.ToLower(id))
	for _, a := range hit {
		if len(a.Users) > 0 && !slices.Contains(a.Users, user) {
			continue
		}
		switch a.Kind {
		case Missing:
			return nil
		case NoAvailability:
			item = []byte(`{"id":"` + user + `","businessPhones":[],"displayName":"A","userPrincipalName":"a@contoso.com"}`)
		case Unknown:
			value := a.Value
			if value == "" {
				value = "somethingNew"
			}
			item = []byte(`{"id":"` + user + `","availability":` + quote(value) + `,"activity":` + quote(value) + `,"outOfOfficeSettings":null}`)
		case Duplicate:
			item = append(append(bytes.Clone(item), ','), item...)
		case Items:
			f.mu.Lock()
			turn := a.turn[user]
			a.turn[user]++
			f.mu.Unlock()
			if len(a.Items) > 0 {
				item = a.Items[turn%len(a.Items)]
			}
		}
	}
	return item
}

// extras are items that nobody asked for.
func (f *faults) extras(hit []*activeFault) [][]byte {
	var list [][]byte
	for _, a := range hit {
		if a.Kind == Foreign {
			id := "deadbeef-0000-4000-8000-000000000001"
			if len(a.Users) > 0 {
				id = a.Users[0]
			}
			list = append(list, []byte(`{"id":"`+id+`","availability":"Busy","activity":"InACall","outOfOfficeSettings":{"message":null,"isOutOfOffice":false}}`))
		}
	}
	return list
}

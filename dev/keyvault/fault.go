package keyvault

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

var operations = []string{"set", "get", "update", "delete", "list", "recover", "purge"}

// Kinds of faults.
const (
	FaultUnreachable = "unreachable" // the connection breaks without an answer
	FaultThrottle    = "throttle"    // 429 with Retry-After
	FaultBroken      = "broken"      // 500
	FaultLatency     = "latency"     // the true answer, later
)

// Fault is misbehaviour of one operation.
type Fault struct {
	// Operation is set, get, update, delete, list, recover or purge; empty means all.
	Operation string `json:"operation"`
	Kind      string `json:"kind"`
	// Count is how many requests it hits; 0 means all until ClearFaults.
	Count int `json:"count"`
	// Probability that it hits a request, by a generator with Seed; 0 means always.
	Probability float64       `json:"probability"`
	Seed        uint64        `json:"seed"`
	RetryAfter  time.Duration `json:"retryAfter"` // nanoseconds in JSON; of throttle; no header when zero
	Latency     time.Duration `json:"latency"`    // nanoseconds in JSON; of latency

	chance *rand.Rand
	hits   int
}

// Inject adds a fault. The first one that matches a request decides.
func (s *Simulator) Inject(f Fault) error {
	if f.Operation != "" && !slices.Contains(operations, f.Operation) {
		return fmt.Errorf("inject fault: no operation %q; there are %v", f.Operation, operations)
	}
	kinds := []string{FaultUnreachable, FaultThrottle, FaultBroken, FaultLatency}
	if !slices.Contains(kinds, f.Kind) {
		return fmt.Errorf("inject fault: no kind %q; there are %v", f.Kind, kinds)
	}
	f.chance = rand.New(rand.NewPCG(f.Seed, f.Seed))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	return nil
}

// ClearFaults ends all misbehaviour but [Simulator.Forbid].
func (s *Simulator) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Forbid answers 403 to the operations from now on, as a missing role does; none
// means all of them. [Simulator.Allow] takes it back.
func (s *Simulator) Forbid(names ...string) { s.forbid(true, names) }

// Allow ends what Forbid began.
func (s *Simulator) Allow(names ...string) { s.forbid(false, names) }

func (s *Simulator) forbid(on bool, names []string) {
	if len(names) == 0 {
		names = operations
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.forbidden[name] = on
	}
}

// SetRecoveryDelay is how many writes of a name are still refused with 409
// ObjectIsBeingRecovered after its recovery.
func (s *Simulator) SetRecoveryDelay(writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = writes
}

// Requests counts the requests of one operation, challenges and faults included.
func (s *Simulator) Requests(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[operation]
}

func (s *Simulator) fault(operation string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[operation]++
	for _, f := range s.faults {
		if f.Operation != "" && f.Operation != operation || f.Count > 0 && f.hits >= f.Count {
			continue
		}
		if f.Probability > 0 && f.chance.Float64() >= f.Probability {
			continue
		}
		f.hits++
		return f
	}
	return nil
}

// misbehave reports whether a fault has answered.
func (s *Simulator) misbehave(w http.ResponseWriter, r *http.Request, operation string) bool {
	f := s.fault(operation)
	if f == nil {
		return false
	}
	switch f.Kind {
	case FaultUnreachable:
		panic(http.ErrAbortHandler)
	case FaultThrottle:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
		}
		writeFailure(w, fail(http.StatusTooManyRequests, "Throttled", "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached"))
		return true
	case FaultBroken:
		writeFailure(w, fail(http.StatusInternalServerError, "InternalServerError", "The service encountered an internal error."))
		return true
	}
	select {
	case <-time.After(f.Latency):
		return false
	case <-r.Context().Done():
		return true
	}
}

// Command is the body of POST /_control/{action}; fault takes a [Fault].
type Command struct {
	Names  []string `json:"names"` // operations of forbid and allow
	Name   string   `json:"name"`  // the secret of set and delete
	Value  string   `json:"value"`
	Writes int      `json:"writes"` // of recovery-delay
}

// serveControl answers 204, 404 for an unknown action, 400 with a sentence.
func (s *Simulator) serveControl(w http.ResponseWriter, r *http.Request) {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	var err error
	if r.PathValue("action") == "fault" {
		var f Fault
		if err = decoder.Decode(&f); err == nil {
			err = s.Inject(f)
		}
	} else {
		var c Command
		do := map[string]func(){
			"clear-faults":   s.ClearFaults,
			"forbid":         func() { s.Forbid(c.Names...) },
			"allow":          func() { s.Allow(c.Names...) },
			"set":            func() { s.Set(c.Name, c.Value) },
			"delete":         func() { s.Delete(c.Name) },
			"recovery-delay": func() { s.SetRecoveryDelay(c.Writes) },
		}[r.PathValue("action")]
		if do == nil {
			http.Error(w, "no such action; there are allow, clear-faults, delete, fault, forbid, recovery-delay, set", http.StatusNotFound)
			return
		}
		if err = decoder.Decode(&c); err == nil {
			do()
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

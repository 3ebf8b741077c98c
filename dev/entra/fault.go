package entra

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Endpoints that faults and counters name.
const (
	EndpointDiscovery    = "discovery"
	EndpointKeys         = "keys"
	EndpointAuthorize    = "authorize"
	EndpointAdminConsent = "adminconsent"
	EndpointPages        = "pages"
	EndpointToken        = "token"
	EndpointIdentity     = "identity"
)

var endpoints = []string{EndpointDiscovery, EndpointKeys, EndpointAuthorize, EndpointAdminConsent, EndpointPages, EndpointToken, EndpointIdentity}

// Kinds of faults.
const (
	FaultThrottle = "throttle" // 429 with Retry-After and a body that is not JSON
	FaultOutage   = "outage"   // 503, JSON, AADSTS90033; at the identity endpoint 500
	FaultGateway  = "gateway"  // 504, HTML
	FaultLatency  = "latency"  // the true answer, later
	FaultDrop     = "drop"     // the connection breaks without an answer
	FaultRefuse   = "refuse"   // the token endpoint refuses a good request with Number
)

// whims are the refusals that good requests have been seen to get.
var whims = map[int]func() *refusal{
	70000: func() *refusal { return refuse(70000, "Provided grant is invalid or malformed.").as("invalid_grant") },
	// INFER: status and word.
	50196: func() *refusal {
		return refuse(50196, "The server terminated an operation because it encountered a client request loop. Please contact your app vendor.").as("invalid_grant")
	},
	50076: func() *refusal { return demand{50076}.refused() },
}

// Fault is misbehaviour of one endpoint.
type Fault struct {
	Endpoint string `json:"endpoint"` // empty: every endpoint
	Kind     string `json:"kind"`
	// Count is how many requests it hits; 0 means all until ClearFaults.
	Count int `json:"count"`
	// Probability that it hits a request, by a generator with Seed; 0 means always.
	Probability float64       `json:"probability"`
	Seed        uint64        `json:"seed"`
	RetryAfter  time.Duration `json:"retryAfter"` // nanoseconds in JSON; of throttle; 60 s when zero
	Latency     time.Duration `json:"latency"`    // nanoseconds in JSON; of latency
	// Number is AADSTS of refuse: 70000, 50196 or 50076. Grant restricts it to one
	// grant_type.
	Number int    `json:"number"`
	Grant  string `json:"grant"`

	name   string // of the obstacle that made it, for the menu
	chance *rand.Rand
	hits   int
}

// Inject adds a fault. The first one that matches a request decides.
func (s *Simulator) Inject(f Fault) error {
	if f.Endpoint != "" && !slices.Contains(endpoints, f.Endpoint) {
		return fmt.Errorf("inject fault: no endpoint %q; there are %v", f.Endpoint, endpoints)
	}
	kinds := []string{FaultThrottle, FaultOutage, FaultGateway, FaultLatency, FaultDrop, FaultRefuse}
	if !slices.Contains(kinds, f.Kind) {
		return fmt.Errorf("inject fault: no kind %q; there are %v", f.Kind, kinds)
	}
	if f.Kind == FaultRefuse && (f.Endpoint != EndpointToken || whims[f.Number] == nil) {
		return fmt.Errorf("inject fault: %s is for endpoint %s and one of %v", FaultRefuse, EndpointToken, slices.Sorted(maps.Keys(whims)))
	}
	if f.RetryAfter == 0 {
		f.RetryAfter = time.Minute
	}
	f.chance = rand.New(rand.NewPCG(f.Seed, f.Seed))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	return nil
}

// ClearFaults ends all misbehaviour.
func (s *Simulator) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// faulted reports whether an obstacle's fault still hits something.
func (s *Simulator) faulted(name string) bool {
	return slices.ContainsFunc(s.faults, func(f *Fault) bool { return f.name == name && (f.Count == 0 || f.hits < f.Count) })
}

// clearFault ends the fault of an obstacle.
func (s *Simulator) clearFault(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f *Fault) bool { return f.name == name })
}

// fault counts a request and picks what happens to it, nil for the truth.
func (s *Simulator) fault(endpoint string, r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[endpoint]++
	for _, f := range s.faults {
		if f.Endpoint != "" && f.Endpoint != endpoint || f.Count > 0 && f.hits >= f.Count || f.Grant != "" && r.PostForm.Get("grant_type") != f.Grant {
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

// count counts a token request.
func (s *Simulator) count(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants[r.PostForm.Get("grant_type")]++
}

func (s *Simulator) faulty(endpoint string, truth http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := r.ParseForm(); err != nil && endpoint == EndpointToken {
			s.writeRefusal(w, r, refuse(9002313, "Invalid request. Request is malformed or invalid."))
			return
		}
		f := s.fault(endpoint, r)
		if f == nil {
			truth(w, r)
			return
		}
		switch f.Kind {
		case FaultLatency:
			select {
			case <-time.After(f.Latency):
				truth(w, r)
			case <-r.Context().Done():
			}
		case FaultThrottle:
			w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, "Too Many Requests")
		case FaultOutage:
			if endpoint == EndpointIdentity {
				writeJSON(w, http.StatusInternalServerError, map[string]any{
					"statusCode": 500, "message": "An unexpected error occured while fetching the AAD Token.", "correlationId": guid(),
				})
				return
			}
			s.writeRefusal(w, r, broken(fmt.Errorf("outage")))
		case FaultGateway:
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusGatewayTimeout)
			fmt.Fprint(w, "<html><head><title>504 Gateway Time-out</title></head><body><h1>504 Gateway Time-out</h1></body></html>")
		case FaultDrop:
			panic(http.ErrAbortHandler)
		case FaultRefuse:
			s.count(r)
			s.writeRefusal(w, r, whims[f.Number]())
		}
	})
}

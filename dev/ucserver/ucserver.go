// Package ucserver simulates UCServer with the connector beside it: a consumer
// of presence changes, written from the bridge's HTTP contract alone.
//
// It takes changes in two independent ways: [Server] receives signed pushes
// (Standard Webhooks 1.0.0, checked by the published library), [Poller] lists
// and watches. Each feeds an [Inbox], which keeps what a consumer keeps, logs
// every delivery, counts duplicates and reorderings, and notes every breach of
// the contract. A live page shows it all. It knows nothing about the bridge's
// inside and shares no code with it. [Reporter] tells the bridge who is on the
// phone, [Roster] who UCServer's users are.
package ucserver

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// staleAfter is the contract's STALE_AFTER: a consumer that hears nothing valid
// for so long withdraws what Teams caused.
const staleAfter = 10 * time.Minute

// Config is what a server is made of. The zero value works: it refuses pushes
// until it has a secret.
type Config struct {
	// Secrets are the signing secrets, whsec_ and base64 of 24 to 64 bytes. During
	// a rotation there are two.
	Secrets []string
	Now     func() time.Time // time.Now when nil
	// StaleAfter is 10 minutes when zero.
	StaleAfter time.Duration
	// BridgeURL and Client are what [Server.Connect] polls with; a person may
	// enter another address on the page.
	BridgeURL string
	Client    *http.Client
	// LogLimit bounds each log; the oldest tenth is dropped beyond it. Zero means
	// 1,000,000.
	LogLimit int
}

// Server is the receiving side and the page: an http.Handler with POST /push,
// GET / and /_control. Its methods are safe for concurrent use.
type Server struct {
	cfg   Config
	now   func() time.Time
	mux   *http.ServeMux
	inbox *Inbox

	mu         sync.Mutex
	verifiers  []*standardwebhooks.Webhook
	skew       time.Duration
	onAnswered func()
	faults     []*activeFault
	made       int
	pushes     Pushes
	seen       retries
	bridgeURL  string
	poller     *Poller
	reporter   *Reporter
	users      *Roster // Run again by each Connect
	stop       func()

	receiving sync.Mutex // one delivery at a time
	tenant    string     // of the first valid delivery
	consumer  string
	snapshot  unfinished
}

// New returns a server. The only error is a malformed secret.
func New(cfg Config) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, now: cfg.Now, bridgeURL: cfg.BridgeURL, inbox: newInbox(cfg.Now, cfg.StaleAfter, cfg.LogLimit), users: &Roster{Client: cfg.Client}}
	s.pushes.Answers = map[int]int{}
	if len(cfg.Secrets) > 0 {
		if err := s.SetSecrets(cfg.Secrets...); err != nil {
			return nil, err
		}
	}
	s.mux = s.routes()
	return s, nil
}

// ServeHTTP answers pushes, the page and the control API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Inbox is what arrived by push.
func (s *Server) Inbox() *Inbox { return s.inbox }

// SetSecrets replaces the signing secrets.
func (s *Server) SetSecrets(secrets ...string) error {
	var verifiers []*standardwebhooks.Webhook
	for _, secret := range secrets {
		encoded, ok := strings.CutPrefix(secret, "whsec_")
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return errors.New("read signing secret: not whsec_ with base64 of 24 to 64 bytes")
		}
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return errors.New("read signing secret: refused by the Standard Webhooks library")
		}
		verifiers = append(verifiers, verifier)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verifiers = verifiers
	return nil
}

// SetSkew moves the receiver's clock against the true time, in its Date header
// and in what it accepts.
func (s *Server) SetSkew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// OnAnswered sets a function that is called after a 2xx to a push was written
// completely: after UCServer's answer, before the sender moves its cursor.
func (s *Server) OnAnswered(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onAnswered = f
}

// Users are those of UCServer. While there are any, Connect sends them to the bridge.
func (s *Server) Users() *Roster { return s.users }

// Connect starts polling the bridge and reporting calls and users to it with a
// credential, in place of earlier ones. An empty address keeps the one in use.
func (s *Server) Connect(bridgeURL, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bridgeURL == "" {
		bridgeURL = s.bridgeURL
	}
	if bridgeURL == "" || token == "" {
		return errors.New("start polling: the bridge's address and a credential are needed")
	}
	s.end()
	s.bridgeURL = bridgeURL
	p := &Poller{BaseURL: bridgeURL, Token: token, Client: s.cfg.Client, Now: s.cfg.Now, StaleAfter: s.cfg.StaleAfter, LogLimit: s.cfg.LogLimit}
	r := &Reporter{BaseURL: bridgeURL, Token: token, Client: s.cfg.Client, Now: s.cfg.Now, LogLimit: s.cfg.LogLimit}
	p.Inbox().OnApplied(r.Teams)
	ctx, cancel := context.WithCancel(context.Background())
	s.users.BaseURL, s.users.Token = bridgeURL, token // nobody runs it now
	s.users.Resend()
	var all sync.WaitGroup
	all.Go(func() { _ = p.Run(ctx) })
	all.Go(func() { _ = r.Run(ctx) })
	all.Go(func() { _ = s.users.Run(ctx) })
	s.poller, s.reporter, s.stop = p, r, func() { cancel(); all.Wait() }
	return nil
}

// Show puts a poller that runs elsewhere on the page and into the state.
func (s *Server) Show(p *Poller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	s.poller = p
}

// Poller is the one on the page, nil when there is none.
func (s *Server) Poller() *Poller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poller
}

// Reporter is the one that Connect started, nil when there is none.
func (s *Server) Reporter() *Reporter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reporter
}

// Close stops what Connect started.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

func (s *Server) end() {
	if s.stop != nil {
		s.stop()
	}
	s.poller, s.reporter, s.stop = nil, nil, nil
}

// FaultKind names a way in which the receiver misbehaves.
type FaultKind string

// Faults of the receiver.
const (
	Status    FaultKind = "status"    // answers Status, with RetryAfter seconds when positive
	Redirect  FaultKind = "redirect"  // answers 307 to Location
	Slow      FaultKind = "slow"      // waits Milliseconds, then goes on
	Drop      FaultKind = "drop"      // cuts the connection before any work
	DropAfter FaultKind = "dropafter" // takes the delivery, then cuts the connection instead of 2xx
)

// Fault is one misbehaviour of the receiver, for Count pushes or until cleared.
type Fault struct {
	Kind         FaultKind `json:"kind"`
	Count        int       `json:"count,omitempty"`
	Status       int       `json:"status,omitempty"`
	RetryAfter   int       `json:"retryAfter,omitempty"`
	Location     string    `json:"location,omitempty"`
	Milliseconds int       `json:"milliseconds,omitempty"`
}

type activeFault struct {
	Fault
	id   string
	hits int
}

// Inject starts a fault and returns its name.
func (s *Server) Inject(f Fault) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	a := &activeFault{Fault: f, id: fmt.Sprintf("f%d", s.made)}
	s.faults = append(s.faults, a)
	return a.id
}

// Clear ends the fault with this name, or all when it is empty.
func (s *Server) Clear(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.faults[:0]
	for _, a := range s.faults {
		if id != "" && a.id != id {
			kept = append(kept, a)
		}
	}
	s.faults = kept
}

// hit returns the faults of this push and uses them up.
func (s *Server) hit() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit []Fault
	kept := s.faults[:0]
	for _, a := range s.faults {
		a.hits++
		hit = append(hit, a.Fault)
		if a.Count == 0 || a.hits < a.Count {
			kept = append(kept, a)
		}
	}
	s.faults = kept
	return hit
}

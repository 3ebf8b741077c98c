// Package graph simulates the part of Microsoft Graph v1.0 that a presence
// bridge uses: users, presences and the setPresence family, over HTTP under
// /v1.0.
//
// It keeps the ground truth of who showed what and when ([Simulator.History]),
// moves presences by itself ([Simulator.Move]), and misbehaves on demand
// ([Simulator.Inject], POST /_control/fault). It refuses what Graph refuses. Its
// wire formats come from Microsoft's public reference; where that is silent the
// comment says INFER, and mostly there is a switch in [Settings]. It knows
// nothing about the product and shares no code with it.
//
// Not simulated: $batch, delta of groups, subscriptions, compressed answers.
package graph

import (
	"container/heap"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Caller is what an access token says about who calls.
type Caller struct {
	TenantID string
	AppID    string
	ObjectID string   // the signed-in user; empty for an app-only token
	Scopes   []string // delegated permissions, claim scp
	Roles    []string // application permissions, claim roles
	Expires  time.Time
}

func (c Caller) appOnly() bool { return c.ObjectID == "" }

// may reports whether the caller holds one of the permissions, which are
// delegated or application ones by the kind of token.
func (c Caller) may(delegated, application []string) bool {
	held, wanted := c.Scopes, delegated
	if c.appOnly() {
		held, wanted = c.Roles, application
	}
	return slices.ContainsFunc(wanted, func(p string) bool { return slices.Contains(held, p) })
}

// Config is what a simulator is made of.
type Config struct {
	// Now is the clock of sessions, limits and history; time.Now when nil.
	Now func() time.Time
	// Seed decides users, movement and which requests a probability hits.
	Seed uint64
	// TenantID is the tenant that the users belong to. A caller of another tenant
	// finds an empty directory. Empty: they belong to every caller's tenant.
	TenantID string
	// VerifyToken checks a bearer token and reads it. An error is answered 401; one
	// with a method ClaimsChallenge() string, JSON, is a claims challenge. Nil
	// refuses every token.
	VerifyToken func(token string) (Caller, error)
	Settings    Settings
	// HistoryLimit bounds History and Requests each; the oldest tenth is dropped
	// beyond it. Zero means 1,000,000.
	HistoryLimit int
}

// UnknownPolicy says what getPresencesByUserId does with ids that it does not
// know: the documentation does not.
type UnknownPolicy string

// Policies for unknown ids; the empty policy is UnknownAsPresence.
const (
	UnknownAsPresence UnknownPolicy = "PresenceUnknown"
	UnknownOmitted    UnknownPolicy = "omit"
	UnknownRefused    UnknownPolicy = "400"
)

// Profile is the spelling of availability and activity.
type Profile string

// Profiles; the empty profile is Classic.
const (
	Classic Profile = "classic"
	// September2025 is the set documented since then: lower camel case, the exact
	// word as availability and the base word as activity. INFER: which live
	// answers use it is unknown.
	September2025 Profile = "2025-09"
)

// Settings are the switches of a simulator; the zero value is the default.
type Settings struct {
	UnknownIDs   UnknownPolicy `json:"unknownIds,omitempty"`
	Profile      Profile       `json:"profile,omitempty"`
	OmitSequence bool          `json:"omitSequence,omitempty"`
	// PresenceLimit is requests per 30 s, app and tenant: 0 is 10,000 (the limit
	// since September 2025; the method pages still say 1,500), negative is none.
	PresenceLimit int `json:"presenceLimit,omitempty"`
	// IdentityLimit is resource units per 10 s, app and tenant: 0 follows the
	// size of the directory (3,500, 5,000 or 8,000), negative is none.
	IdentityLimit int `json:"identityLimit,omitempty"`
	// ForeignWriteStatus answers a delegated write on another user: 0 is 401
	// (seen in the field), else 403.
	ForeignWriteStatus int `json:"foreignWriteStatus,omitempty"`
	// UnlicensedStatus answers presence requests of a person without a Teams
	// licence: 0 is 403, else 404.
	UnlicensedStatus int `json:"unlicensedStatus,omitempty"`
	// DeltaPage is the entries of a page of changes; 0 is 200.
	DeltaPage int `json:"deltaPage,omitempty"`
	// DeltaReplays is how many of the changes before a round it tells again.
	DeltaReplays int `json:"deltaReplays,omitempty"`
}

// Simulator is a simulated Graph: an http.Handler for /v1.0, /_control and the
// page at /. Its methods are safe for concurrent use.
type Simulator struct {
	now      func() time.Time
	seed     uint64
	tenantID string
	verify   func(string) (Caller, error)
	limit    int
	mux      *http.ServeMux
	api      *http.ServeMux

	onRequest atomic.Pointer[func(path string)]
	onAnswer  atomic.Pointer[func(path string)]
	answers   atomic.Uint64 // decides the order within an answer

	// due is the time in the heap's root, in nanoseconds since 1970, so that a
	// reader needs no write lock while nothing expires.
	due atomic.Int64

	mu       sync.RWMutex
	settings Settings
	users    []*user // in order of creation; removed ones stay as nil
	byID     map[string]*user
	byUPN    map[string]*user // lower case
	live     int
	made     int // users generated so far
	sequence uint64
	writes   uint64
	history  []Transition
	expiries expiries
	track    tracking
	groups   map[string]*group
	devices  map[string]string // display names
	objects  int               // groups and devices made so far

	faults   faults
	limiter  limiter
	requests requestLog
	counts   writeCounts
	walk     walk
}

// New returns a simulator without users.
func New(cfg Config) *Simulator {
	s := &Simulator{
		now: cfg.Now, seed: cfg.Seed, tenantID: cfg.TenantID, verify: cfg.VerifyToken, limit: cfg.HistoryLimit,
		settings: cfg.Settings, byID: map[string]*user{}, byUPN: map[string]*user{},
		groups: map[string]*group{}, devices: map[string]string{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.limit == 0 {
		s.limit = 1_000_000
	}
	s.faults.seed(cfg.Seed)
	s.due.Store(never)
	s.api = s.graphRoutes()
	s.mux = s.controlRoutes()
	s.mux.HandleFunc("/v1.0/", s.serveGraph)
	return s
}

// ServeHTTP answers Graph requests, the control API and the page.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close stops the movement that the control API started.
func (s *Simulator) Close() { s.walk.stop() }

// OnRequest sets a function that is called before the work of a Graph request
// that was let in, with its path; nil removes it. A late write is wholly there by then.
func (s *Simulator) OnRequest(f func(path string)) {
	if f == nil {
		s.onRequest.Store(nil)
		return
	}
	s.onRequest.Store(&f)
}

// OnAnswer sets a function that is called after a Graph answer was written
// completely, with the request's path; nil removes it. It runs before the
// connection is free again.
func (s *Simulator) OnAnswer(f func(path string)) {
	if f == nil {
		s.onAnswer.Store(nil)
		return
	}
	s.onAnswer.Store(&f)
}

// Settings returns the switches in force.
func (s *Simulator) Settings() Settings {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.settings
}

// Configure replaces the switches.
func (s *Simulator) Configure(settings Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = settings
	for _, u := range s.users {
		if u != nil {
			u.render(settings)
		}
	}
}

func (s *Simulator) graphRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	route := func(pattern string, h func(http.ResponseWriter, *http.Request, Caller)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { h(w, r, callerOf(r)) })
	}
	route("POST /v1.0/communications/getPresencesByUserId", s.presencesByUserID)
	route("GET /v1.0/communications/presences/{id}", s.presenceOfUser)
	route("GET /v1.0/users/{id}/presence", s.presenceOfUser)
	route("GET /v1.0/me/presence", s.presenceOfMe)
	for _, owner := range []string{"/v1.0/users/{id}", "/v1.0/me"} {
		route("POST "+owner+"/presence/setPresence", s.setPresence)
		route("POST "+owner+"/presence/clearPresence", s.clearPresence)
		route("POST "+owner+"/presence/setUserPreferredPresence", s.setPreferred)
		route("POST "+owner+"/presence/clearUserPreferredPresence", s.clearPreferred)
	}
	route("GET /v1.0/users", s.listUsers)
	route("GET /v1.0/users/delta", s.usersDelta)
	route("GET /v1.0/users/{id}", s.getUser)
	route("GET /v1.0/groups", s.listGroups)
	route("GET /v1.0/groups/{id}", s.getGroup)
	route("GET /v1.0/groups/{id}/transitiveMembers", s.transitiveMembers)
	route("GET /v1.0/groups/{id}/transitiveMembers/{cast}", s.transitiveMembers)
	route("GET /v1.0/me", s.getMe)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		segment := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		refuse(w, r, http.StatusBadRequest, "BadRequest", "Resource not found for the segment '"+segment+"'.")
	})
	return mux
}

// claimsChallenge is an error of VerifyToken for a token that was ended before its
// time and may be replaced by one with the claims.
type claimsChallenge interface {
	error
	ClaimsChallenge() string
}

type callerKey struct{}

func callerOf(r *http.Request) Caller {
	c, _ := r.Context().Value(callerKey{}).(Caller)
	return c
}

// serveGraph wraps every Graph request: log, faults, token, limits, answer.
func (s *Simulator) serveGraph(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w, request: Request{At: s.now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}}
	defer func() { s.requests.add(rec.request, s.limit); s.counts.add(rec.request) }()
	rec.identify(r)

	if !s.faults.before(rec, r) {
		return
	}
	caller, ok := s.authenticate(rec, r)
	if !ok {
		return
	}
	rec.request.AppID = caller.AppID
	if !s.admit(rec, r, caller) {
		return
	}
	if rec.late > 0 {
		holdBody(r)
	}
	if f := s.onRequest.Load(); f != nil {
		(*f)(r.URL.Path)
	}
	time.Sleep(rec.late) // whether the client waits or not
	s.settle(s.now())
	s.api.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	if f := s.onAnswer.Load(); f != nil {
		// Flushed first: the hook may end the caller's process, which must have
		// the whole answer by then.
		_ = http.NewResponseController(w).Flush()
		(*f)(r.URL.Path)
	}
}

func (s *Simulator) authenticate(w http.ResponseWriter, r *http.Request) (Caller, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		refuse(w, r, http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token is empty.")
		return Caller{}, false
	}
	if s.verify == nil {
		refuse(w, r, http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token validation failure.")
		return Caller{}, false
	}
	caller, err := s.verify(token)
	if challenge, ok := errors.AsType[claimsChallenge](err); ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="`+
			base64.StdEncoding.EncodeToString([]byte(challenge.ClaimsChallenge()))+`"`)
		refuse(w, r, http.StatusUnauthorized, "InvalidAuthenticationToken", "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp")
		return Caller{}, false
	}
	if err != nil {
		refuse(w, r, http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token validation failure.")
		return Caller{}, false
	}
	if !caller.Expires.IsZero() && !s.now().Before(caller.Expires) {
		refuse(w, r, http.StatusUnauthorized, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
		return Caller{}, false
	}
	return caller, true
}

// knows reports whether the caller's tenant is the simulated one.
func (s *Simulator) knows(c Caller) bool {
	return s.tenantID == "" || strings.EqualFold(s.tenantID, c.TenantID)
}

// lookup finds a user by object id in any case. It needs the read lock.
func (s *Simulator) lookup(c Caller, id string) *user {
	if !s.knows(c) {
		return nil
	}
	if u := s.byID[id]; u != nil {
		return u
	}
	return s.byID[strings.ToLower(id)]
}

// settle makes every session expiry, preference expiry and fade up to now
// visible, each at its own time.
func (s *Simulator) settle(now time.Time) {
	if s.due.Load() > now.UnixNano() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleLocked(now)
}

func (s *Simulator) settleLocked(now time.Time) {
	for len(s.expiries) > 0 && !s.expiries[0].at.After(now) {
		e := heap.Pop(&s.expiries).(expiry)
		if e.user.due.Equal(e.at) && !e.user.gone {
			e.user.due = time.Time{}
			s.refresh(e.user, e.at)
		}
	}
	s.noteDue()
}

func (s *Simulator) noteDue() {
	if len(s.expiries) == 0 {
		s.due.Store(never)
		return
	}
	s.due.Store(s.expiries[0].at.UnixNano())
}

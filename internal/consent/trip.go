package consent

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
)

// tripTime is how long a person may take at Microsoft.
const tripTime = 10 * time.Minute

// maxTrips is how many trips one browser keeps; an older one is dropped, so that
// cookies never outgrow a request's headers.
const maxTrips = 8

// cookiePrefix begins the name of each trip's own cookie: two tabs, or a page
// fetched ahead, do not overwrite each other.
const cookiePrefix = "__Host-ptb-trip-"

// trip is one journey of a browser to Microsoft, as its cookie keeps it. Nobody
// else can set a __Host- cookie, and whoever holds the browser began the trip.
type trip struct {
	ID            string    `json:"i"` // SHA-256 of the state, in hex
	Kind          string    `json:"k"` // user, admin or signin
	Tenant        string    `json:"t"`
	ClientID      string    `json:"c"`
	Administrator string    `json:"a"`           // hash of who began it
	Account       string    `json:"o,omitempty"` // object id of whose sign-in is renewed
	Another       bool      `json:"p,omitempty"` // begun to connect another person: that account is used as well
	Next          string    `json:"x,omitempty"` // of a sign-in: where the browser wanted to go
	Silent        bool      `json:"s,omitempty"` // of a sign-in: nobody is asked anything
	Verifier      string    `json:"v,omitempty"`
	Nonce         string    `json:"n,omitempty"`
	Began         time.Time `json:"b"`
}

// newState returns at least 256 random bits.
func newState() string { return rand.Text() + rand.Text() }

// tripID is what is stored and shown of a state.
func tripID(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:])
}

// pseudonym stands for an administrator in cookies and rows.
func pseudonym(administrator string) string {
	sum := sha256.Sum256([]byte("administrator of the bridge: " + administrator))
	return hex.EncodeToString(sum[:16])
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func cookieName(id string) string { return cookiePrefix + id[:32] }

func tripCookie(id, value string, age time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: cookieName(id), Value: value, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, MaxAge: int(age.Seconds()),
	}
	if age <= 0 {
		c.MaxAge = -1
	}
	return c
}

// keep sets the trip's cookie and drops the oldest trips beyond [maxTrips].
func (t trip) keep(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(t)
	if err != nil { // strings and a time
		panic(err)
	}
	var others []trip
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, cookiePrefix) {
			continue
		}
		other, ok := readTrip(c)
		if !ok {
			http.SetCookie(w, &http.Cookie{Name: c.Name, Path: "/", Secure: true, HttpOnly: true, MaxAge: -1})
			continue
		}
		others = append(others, other)
	}
	slices.SortFunc(others, func(a, b trip) int { return b.Began.Compare(a.Began) })
	for i, other := range others {
		if i >= maxTrips-1 {
			http.SetCookie(w, tripCookie(other.ID, "", 0))
		}
	}
	http.SetCookie(w, tripCookie(t.ID, base64.RawURLEncoding.EncodeToString(body), tripTime))
}

func readTrip(c *http.Cookie) (trip, bool) {
	var t trip
	body, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || json.Unmarshal(body, &t) != nil || !isTripID(t.ID) || c.Name != cookieName(t.ID) {
		return trip{}, false
	}
	return t, true
}

func isTripID(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && len(text) == 2*sha256.Size
}

// begun returns the trip that this browser began with state, if it still may end
// as kind.
func (s *Service) begun(r *http.Request, state, kind string) (trip, bool) {
	id := tripID(state)
	c, err := r.Cookie(cookieName(id))
	if err != nil {
		return trip{}, false
	}
	t, ok := readTrip(c)
	age := s.now().Sub(t.Began)
	return t, ok && same(t.ID, id) && t.Kind == kind && age >= -time.Minute && age < tripTime
}

func (t trip) leg(purpose Purpose, redirect, state string) Leg {
	return Leg{Purpose: purpose, Redirect: redirect, State: state, Nonce: t.Nonce, Verifier: secret.New(t.Verifier)}
}

// Outcome is how a trip ended. Its texts are stored.
type Outcome string

// Outcomes. The empty one: begun, and not ended (yet).
const (
	Connected Outcome = "connected" // the grant works
	Pending   Outcome = "pending"   // admin: Microsoft said yes, tokens do not show it yet
	Asked     Outcome = "asked"     // user: another account signed in; the administrator is asked
	Refused   Outcome = "refused"   // declined, or Entra refused
	Unstored  Outcome = "unstored"  // signed in, but nothing could be kept
)

// Flow is what became of a trip that came back: one row, inserted before the
// authorization code is used.
type Flow struct {
	ID            string       `json:"id"`
	Kind          Kind         `json:"kind"`
	Administrator string       `json:"administrator"` // pseudonym
	Began         time.Time    `json:"began"`
	Ended         time.Time    `json:"ended,omitzero"`
	Outcome       Outcome      `json:"outcome,omitempty"`
	Account       Account      `json:"account,omitzero"`
	Wanted        string       `json:"wanted,omitempty"` // the account that was to be renewed, where it is another one
	Permissions   []string     `json:"permissions,omitempty"`
	Code          string       `json:"code,omitempty"`
	Class         aadsts.Class `json:"class,omitempty"`
	Reason        string       `json:"reason,omitempty"`
	NextStep      string       `json:"nextStep,omitempty"`
	TraceID       string       `json:"traceId,omitempty"`
	// Claims is what Entra wants the next attempt to carry, JSON; mostly empty.
	Claims string `json:"claims,omitempty"`
}

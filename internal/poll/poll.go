// Package poll is what the two functions that UCServer polls have in common: the
// shared view of the tenant, the freshness that every answer carries, parameters
// and refusals. The contract is api/openapi.yaml, v1/presence.
package poll

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"procallteams/internal/feed"
	"procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/problem"
	"procallteams/internal/telemetry"
)

// View is what one storage operation says about a tenant.
type View struct {
	Head      feed.Head
	Freshness Freshness
}

// Freshness says how old the bridge's knowledge is. It is computed when the
// answer is made, from the stored heartbeat.
type Freshness struct {
	// AsOf is when presences were last read successfully, UTC; nil: never.
	AsOf *time.Time `json:"asOf"`
	// Stale says that reading has been down for too long, StaleReason why.
	Stale       bool   `json:"stale"`
	StaleReason string `json:"staleReason"`
	Health      Health `json:"health"`
}

// Health is the short form of what function health says.
type Health struct {
	Status string   `json:"status"` // ok or failing
	Codes  []string `json:"codes"`  // why it fails, never nil
}

// FreshnessOf judges at a moment, from what is stored.
func FreshnessOf(moment time.Time, in health.Input) Freshness {
	fresh := Freshness{Health: Health{Status: "ok", Codes: []string{}}}
	if !in.Heartbeat.AsOf.IsZero() {
		fresh.AsOf = &in.Heartbeat.AsOf
	}
	fresh.Stale, fresh.StaleReason = health.Stale(moment, in.Heartbeat, in.Settings)
	found := health.Assess(moment, in)
	if health.Failing(found) {
		fresh.Health.Status = "failing"
	}
	for _, finding := range found {
		if finding.Fault {
			fresh.Health.Codes = append(fresh.Health.Codes, string(finding.Code))
		}
	}
	return fresh
}

// Feeds gives access to the feeds of all tenants.
type Feeds struct {
	// Watch reads a tenant's view, at most once per second and process.
	Watch *feed.Watch[View]
	// Open returns a tenant's feed.
	Open func(tenant string) feed.Reader
	// Books keeps the state of each tenant warm.
	Books *feed.Shelf
}

// Recent returns a view that is at most one interval old: no storage operation
// of its own when others ask as well.
func (f Feeds) Recent(ctx context.Context, tenant string) (View, error) {
	return f.Watch.Get(ctx, tenant, time.Now().Add(-f.Watch.Every))
}

// Anew returns a view that was read after this call.
func (f Feeds) Anew(ctx context.Context, tenant string) (View, error) {
	return f.Watch.Get(ctx, tenant, time.Now())
}

// Parameters reads a query. What is not asked for is refused by [Parameters.Refuse],
// with every fault named at once.
type Parameters struct {
	values url.Values
	faults []error
}

// ParametersOf reads the query of r.
func ParametersOf(r *http.Request) *Parameters {
	p := &Parameters{}
	var err error
	if p.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		p.faults = append(p.faults, errors.New("the query is not well-formed"))
	}
	return p
}

// text returns a parameter, and whether it is there at all.
func (p *Parameters) text(name string) (string, bool) {
	values := p.values[name]
	delete(p.values, name)
	if len(values) > 1 {
		p.faults = append(p.faults, errors.New(name+" is given more than once"))
	}
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

// Text returns a parameter, empty when it is absent.
func (p *Parameters) Text(name string) string {
	text, _ := p.text(name)
	return text
}

// Number returns a whole number from low to high, or absent's value.
func (p *Parameters) Number(name string, low, high, absent int) int {
	text, ok := p.text(name)
	if !ok {
		return absent
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high || strconv.Itoa(n) != text {
		p.faults = append(p.faults, errors.New(name+" is not a whole number from "+strconv.Itoa(low)+" to "+strconv.Itoa(high)))
	}
	return n
}

// Token returns what a token of at most limit bytes holds, empty when absent.
func (p *Parameters) Token(name string, limit int) string {
	text, ok := p.text(name)
	if !ok {
		return ""
	}
	token, err := base64.RawURLEncoding.DecodeString(text)
	// The decoder skips line ends and, unless strict, loose bits.
	if err != nil || len(token) > limit || len(token) == 0 || base64.RawURLEncoding.EncodeToString(token) != text {
		p.faults = append(p.faults, errors.New(name+" was never given out"))
	}
	return string(token)
}

// Refuse answers with a problem when a parameter is at fault or unknown, and
// reports whether it did.
func (p *Parameters) Refuse(w http.ResponseWriter, r *http.Request) bool {
	for range p.values {
		// Their names come from the caller and are not repeated.
		p.faults = append(p.faults, errors.New("there is a parameter that this address does not know"))
		break
	}
	if len(p.faults) == 0 {
		return false
	}
	problem.Write(w, problem.Details{
		Type: "/problems/bad-request", Title: "A parameter is not as the contract says", Status: http.StatusBadRequest,
		Detail: errors.Join(p.faults...).Error(), NextStep: "Compare the request with api/openapi.yaml.", Who: "connector", Invocation: host.Invocation(r.Context()),
	})
	return true
}

// Limits of both functions, part of the contract.
const (
	DefaultLimit = 500
	MaxLimit     = 1000
)

// Refuse answers with the problem that err is.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	d := problem.Details{Who: "connector", Invocation: host.Invocation(r.Context())}
	gone, isGone := errors.AsType[*feed.GoneError](err)
	switch {
	case errors.Is(err, feed.ErrMalformedCursor):
		d.Type, d.Title, d.Status = "/problems/cursor-malformed", "This cursor was never given out", http.StatusBadRequest
		d.Detail, d.NextStep = err.Error(), "Begin with GET v1/presence and continue from the cursor of its first page."
	case isGone:
		d.Type, d.Title, d.Status = "/problems/cursor-gone", "This cursor can't be continued", http.StatusGone
		d.Detail, d.NextStep = gone.Reason, "Read GET v1/presence anew, forget users that are not listed, and continue from the cursor of its first page."
	default:
		d.Type, d.Title, d.Status = "/problems/storage-unreachable", "The bridge can't read its storage now", http.StatusServiceUnavailable
		d.Detail, d.NextStep, d.Who = err.Error(), "Try again in some seconds. If it stays, look at the storage account.", "operator"
		w.Header().Set("Retry-After", "5")
	}
	problem.Write(w, d)
}

// Measure is what a request counts as: so many changes in its answer, or an error.
func Measure(changes int, err error) telemetry.Poll {
	_, gone := errors.AsType[*feed.GoneError](err)
	return telemetry.Poll{Changes: changes, Gone: gone, Failed: err != nil && !gone && !errors.Is(err, feed.ErrMalformedCursor)}
}

// Write answers with v as JSON.
func Write(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(append(body, '\n'))
	return err
}

// Gzip compresses the answer of next where the client takes that, and refuses
// every method but GET.
func Gzip(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	if r.Method != http.MethodGet {
		problem.MethodNotAllowed(w, http.MethodGet)
		return
	}
	gzhttp.GzipHandler(next).ServeHTTP(w, r)
}

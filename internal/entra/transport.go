package entra

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"procallteams/internal/outbound"
	"procallteams/internal/telemetry"
	"procallteams/internal/telemetry/pipeline"
)

// When a request is sent again. always is for what may be asked twice; unused is
// for an authorization code, which may be sent again only when the answer says
// that nobody looked at it.
var (
	always policy.RetryOptions
	unused = policy.RetryOptions{ShouldRetry: func(r *http.Response, err error) bool {
		return err == nil && (r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusServiceUnavailable)
	}}
)

// retries is the policy for everything that Entra is asked: a Retry-After up to
// MaxRetryDelay is waited for, a longer one is told by [Error].Wait; the caller's
// deadline ends it.
func retries(when policy.RetryOptions) policy.RetryOptions {
	when.MaxRetries = 3
	when.TryTimeout = 10 * time.Second
	when.RetryDelay = 300 * time.Millisecond
	when.MaxRetryDelay = 5 * time.Second
	return when
}

var words = telemetry.Words("oauth2", "v2.0", "token", ".well-known", "openid-configuration", "discovery", "keys", "common", "organizations", "instance")

// measured has every try counted and traced, without the tenant's name.
func measured(system string) []policy.Policy {
	return []policy.Policy{pipeline.Policy(system, func(r *http.Request) string {
		return telemetry.Route(r.Method, r.URL.Path, words)
	})}
}

// client returns an HTTP client for the libraries that know no retries.
// Redirects are not followed: none is expected, and a POST with a secret must
// not go elsewhere.
func (c *Client) client(when policy.RetryOptions) *http.Client {
	pipeline := runtime.NewPipeline("procallteams", "1", runtime.PipelineOptions{}, &policy.ClientOptions{
		Transport: c.base(), Retry: retries(when), PerRetryPolicies: measured("entra"), Telemetry: policy.TelemetryOptions{Disabled: true},
	})
	return &http.Client{Transport: roundTripper{pipeline}, CheckRedirect: noRedirect}
}

func (c *Client) base() *http.Client {
	base := http.Client{}
	if c.HTTP != nil {
		base = *c.HTTP
	}
	base.CheckRedirect, base.Transport = noRedirect, observed{base.Transport}
	return &base
}

// obstacleKey leads to where [observed] leaves what stood in the way of a request:
// azidentity keeps only the text of an error.
type obstacleKey struct{}

func watched(ctx context.Context) context.Context {
	return context.WithValue(ctx, obstacleKey{}, &atomic.Pointer[outbound.Error]{})
}

// observed is a transport that remembers obstacles where a context asks for it.
type observed struct{ inner http.RoundTripper }

func (o observed) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := cmp.Or(o.inner, http.DefaultTransport).RoundTrip(r)
	if place, ok := r.Context().Value(obstacleKey{}).(*atomic.Pointer[outbound.Error]); ok {
		way, _ := errors.AsType[*outbound.Error](err)
		place.Store(way) // nil after an answer
	}
	return response, err
}

// obstacle is what stood in the way, nil when that is not known.
func obstacle(ctx context.Context, err error) *outbound.Error {
	if way, ok := errors.AsType[*outbound.Error](err); ok {
		return way
	}
	if place, ok := ctx.Value(obstacleKey{}).(*atomic.Pointer[outbound.Error]); ok {
		return place.Load()
	}
	return nil
}

// maxWait bounds a pause that Entra, or something in between, asks for.
const maxWait = 10 * time.Minute

// wait reads how long an answer asks to be left alone, in seconds or as a date (RFC
// 9110, 10.2.3); zero when it does not.
func (c *Client) wait(answer *http.Response) time.Duration {
	text := answer.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxWait)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(c.now()), 0), maxWait)
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// roundTripper lends the Azure SDK's pipeline to other libraries.
type roundTripper struct{ pipeline runtime.Pipeline }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	request, err := runtime.NewRequestFromRequest(r.Clone(r.Context()))
	if err != nil {
		return nil, err
	}
	return t.pipeline.Do(request)
}

package entra

import (
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

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

// retries is the policy for everything that Entra is asked: Retry-After is
// honoured up to MaxRetryDelay; the caller's deadline ends it.
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
	base.CheckRedirect = noRedirect
	return &base
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

// Package graph speaks Microsoft Graph v1.0: presences, users, and groups.
//
// It is the only package that speaks Graph. Requests run through the Azure SDK's
// pipeline (retries, deadlines, request ids); answers are decoded by hand with a
// streaming JSON decoder, because the generated SDK's models cost several times
// the work (docs/decisions/0003-graph-without-generated-models.md). Graph does
// not always answer as documented: what is odd is counted ([Oddities]), never
// guessed at. Refusals are typed: [ThrottledError], [Error], [ResyncError],
// [NoGroupError].
package graph

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"procallteams/internal/secret"
	"procallteams/internal/telemetry"
	"procallteams/internal/telemetry/pipeline"
)

const (
	tryTimeout = 10 * time.Second
	// maxAnswer bounds one answer; 650 presences have about 150 KB.
	maxAnswer = 32 << 20
)

// Client reads from one Graph. It is safe for concurrent use.
type Client struct {
	endpoint string // without a final slash: https://graph.microsoft.com
	origin   string // scheme and host of endpoint
	pipeline runtime.Pipeline
	now      func() time.Time
}

// Config is what a client is made of.
type Config struct {
	// Endpoint is the cloud's Graph root, such as https://graph.microsoft.com.
	Endpoint string
	// Transport sends the requests; nil means the SDK's default.
	Transport policy.Transporter
	// Now reads the clock for a Retry-After that is a date; time.Now when nil.
	Now func() time.Time
	// RetryDelay is the first pause after a 5xx or a broken connection; half a
	// second when zero.
	RetryDelay time.Duration
}

// New returns a client. Nothing is contacted.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || u.Scheme == "" {
		return nil, errors.New("open Graph: GRAPH_ENDPOINT is not an address such as https://graph.microsoft.com")
	}
	c := &Client{endpoint: strings.TrimSuffix(cfg.Endpoint, "/"), origin: u.Scheme + "://" + u.Host, now: cfg.Now}
	if c.now == nil {
		c.now = time.Now
	}
	delay := cfg.RetryDelay
	if delay == 0 {
		delay = 500 * time.Millisecond
	}
	c.pipeline = runtime.NewPipeline("procallteams", "v1", runtime.PipelineOptions{}, &policy.ClientOptions{
		Transport: cfg.Transport,
		Retry: policy.RetryOptions{
			MaxRetries: 2, TryTimeout: tryTimeout, RetryDelay: delay, MaxRetryDelay: 4 * time.Second,
			// Not 429: requests made while throttled count, so the sync decides.
			StatusCodes: []int{http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout},
		},
		PerRetryPolicies: []policy.Policy{pipeline.Policy("graph", route)},
		Telemetry:        policy.TelemetryOptions{ApplicationID: "procall-teams-bridge"},
	})
	return c, nil
}

var words = telemetry.Words(
	"users", "groups", "presence", "delta", "transitiveMembers", "communications", "getPresencesByUserId",
	"setPresence", "clearPresence", "setUserPreferredPresence", "clearUserPreferredPresence",
)

// route names a request in logs: POST /users/{}/presence/setPresence.
func route(r *http.Request) string {
	return telemetry.Route(r.Method, strings.TrimPrefix(r.URL.Path, "/v1.0"), words)
}

// do sends a request and returns the body of a 200 answer, which the caller
// closes; every other answer becomes an error. body may be nil.
func (c *Client) do(ctx context.Context, method, address string, token secret.Text, body io.ReadSeekCloser) (io.ReadCloser, error) {
	request, err := c.request(ctx, method, address, token, body)
	if err != nil {
		return nil, fmt.Errorf("ask Graph: %w", err)
	}
	response, err := c.pipeline.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask Graph: %w", withoutAddress(err))
	}
	if response.StatusCode != http.StatusOK {
		defer func() { _ = response.Body.Close() }()
		return nil, c.refusal(response)
	}
	if !isJSON(response) {
		_ = response.Body.Close()
		return nil, fmt.Errorf("read Graph's answer: %w", errPage)
	}
	return response.Body, nil
}

func isJSON(response *http.Response) bool {
	media, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// errPage reports that an answer with status 200 is not Graph's.
var errPage = &FormError{What: "its content type is not JSON; a proxy or a sign-in page may have answered in its place"}

// request builds a request; body may be nil.
func (c *Client) request(ctx context.Context, method, address string, token secret.Text, body io.ReadSeekCloser) (*policy.Request, error) {
	request, err := runtime.NewRequest(ctx, method, address)
	if err != nil {
		return nil, err
	}
	runtime.SkipBodyDownload(request)
	header := request.Raw().Header
	header.Set("Authorization", "Bearer "+token.Reveal())
	header.Set("Accept", "application/json")
	header.Set("client-request-id", requestID())
	if body != nil {
		if err := request.SetBody(body, "application/json"); err != nil {
			return nil, err
		}
	}
	return request, nil
}

func requestID() string {
	id, err := uuid.NewRandomFromReader(rand.Reader)
	if err != nil {
		return ""
	}
	return id.String()
}

// withoutAddress drops the request's address from net/http's errors: a next page
// has an opaque token in it.
func withoutAddress(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// FormError reports an answer with status 200 that is not what the documentation
// promises as a whole, so nothing in it may be used.
type FormError struct{ What string }

func (e *FormError) Error() string { return "the answer is not usable: " + e.What }

// form turns a decoder's error into one without the answer's text.
func form(err error) error {
	if _, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return &FormError{What: "it is not JSON"}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &FormError{What: "it ends too early"}
	}
	return withoutAddress(err)
}

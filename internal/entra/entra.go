// Package entra speaks to Microsoft Entra ID for one app registration: sign-in
// and consent addresses, the three token grants, and the checks of an id token
// (OpenID Connect Core 3.1.3.7 and what Entra adds to it).
//
// It is the only importer of azidentity, oauth2 and go-oidc. Every refusal is an
// *[Error], classified by package aadsts. What passes by itself (429, 5xx, a
// lost connection) was tried again before it is reported; a code is sent again
// only when the answer says that it was not used. Nothing is stored here but
// public metadata, for an hour. Package consent decides what a refusal means for
// a grant.
package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/settings"
)

// Error is a refusal by Entra.
type Error = aadsts.Error

// Client talks to one cloud. The zero values of HTTP and Now are the system's
// certificates (and SSL_CERT_FILE) and the system's clock. It is safe for
// concurrent use; nothing is contacted before the first call.
type Client struct {
	Cloud settings.Cloud
	HTTP  *http.Client
	Now   func() time.Time

	mu      sync.Mutex
	tenants map[string]Tenant
}

// Tenant is what Entra publishes about a tenant.
type Tenant struct {
	// ID is the tenant's GUID in lower case, taken from the issuer.
	ID string
	// Issuer is exactly what id tokens carry: {authority}/{ID}/v2.0.
	Issuer string
	// AuthorizationEndpoint is for the browser; the others are for us.
	AuthorizationEndpoint, TokenEndpoint, KeysEndpoint string

	read time.Time
}

// TenantError reports that a tenant cannot be used, and why.
type TenantError struct {
	// Problem is "malformed", "unknown" or "cloud".
	Problem string
	Code    string // Entra's code, where it gave one
	// Cause and Step are in the administrator's words.
	Cause, Step string
}

func (e *TenantError) Error() string {
	if e.Code != "" {
		return e.Cause + " (" + e.Code + ")"
	}
	return e.Cause
}

// callDeadline bounds one exchange with Entra, retries included.
const callDeadline = 20 * time.Second

// metadataFor is how long published metadata is kept.
const metadataFor = time.Hour

var domain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// ResolveTenant returns the GUID of a tenant given by GUID or domain, after Entra
// confirmed that it exists in this cloud. It returns *[TenantError] when not.
func (c *Client) ResolveTenant(ctx context.Context, tenantOrDomain string) (string, error) {
	tenant, err := c.Discover(ctx, tenantOrDomain)
	return tenant.ID, err
}

// Discover reads what Entra publishes about a tenant given by GUID or domain:
// GET {authority}/{tenant}/v2.0/.well-known/openid-configuration. It returns
// *[TenantError] for a tenant that does not exist, or lives in another cloud.
func (c *Client) Discover(ctx context.Context, tenantOrDomain string) (Tenant, error) {
	name := strings.ToLower(strings.TrimSpace(tenantOrDomain))
	if id, err := uuid.Parse(name); err == nil && len(name) == 36 {
		name = id.String()
	} else if !domain.MatchString(name) || len(name) > 253 {
		return Tenant{}, &TenantError{
			Problem: "malformed", Cause: "this is neither a tenant id nor a domain",
			Step: "Enter the tenant id (a GUID, on the tenant's overview page in Entra) or a domain such as contoso.com.",
		}
	}
	c.mu.Lock()
	tenant, ok := c.tenants[name]
	c.mu.Unlock()
	if ok && c.now().Sub(tenant.read) < metadataFor {
		return tenant, nil
	}
	return c.learn(ctx, name)
}

// DiscoverNow is [Client.Discover] of a tenant's id that asks Entra, whatever is
// known: for whoever asks whether it answers.
func (c *Client) DiscoverNow(ctx context.Context, tenant string) (Tenant, error) {
	return c.learn(ctx, strings.ToLower(tenant))
}

// learn asks Entra about a tenant and keeps the answer.
func (c *Client) learn(ctx context.Context, name string) (Tenant, error) {
	tenant, err := c.discover(ctx, name)
	if err != nil {
		return Tenant{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tenants == nil || len(c.tenants) > 100 {
		c.tenants = map[string]Tenant{}
	}
	c.tenants[name] = tenant
	return tenant, nil
}

// known is [Client.Discover] for the tenant of a grant: what Entra says against it is
// a refusal like any other, so that it is named wherever those are.
func (c *Client) known(ctx context.Context, tenant string) (Tenant, error) {
	found, err := c.Discover(ctx, tenant)
	if refused, ok := errors.AsType[*TenantError](err); ok {
		return Tenant{}, &Error{Code: refused.Code, Class: aadsts.Tenant, Cause: refused.Cause, Step: refused.Step}
	}
	return found, err
}

// published is the part of the configuration that is used, with Entra's own
// fields about clouds.
type published struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Keys          string `json:"jwks_uri"`
	CloudInstance string `json:"cloud_instance_name"`
	Region        string `json:"tenant_region_scope"`
	SubRegion     string `json:"tenant_region_sub_scope"`
}

func (c *Client) discover(ctx context.Context, name string) (Tenant, error) {
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	address := c.Cloud.Authority + "/" + name + "/v2.0/.well-known/openid-configuration"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Tenant{}, fmt.Errorf("read tenant's configuration: %w", err)
	}
	response, err := c.client(always).Do(request)
	if err != nil {
		return Tenant{}, network(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return Tenant{}, network(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		refusal := aadsts.FromAnswer(response.StatusCode, body)
		refusal.Wait = c.wait(response)
		return Tenant{}, c.tenantError(refusal)
	}
	var p published
	if err := json.Unmarshal(body, &p); err != nil || p.Issuer == "" {
		return Tenant{}, aadsts.Unreachable(response.StatusCode) // somebody else answered
	}
	if err := c.sameCloud(p); err != nil {
		return Tenant{}, err
	}
	id, ok := strings.CutPrefix(p.Issuer, c.Cloud.Authority+"/")
	id, ok2 := strings.CutSuffix(id, "/v2.0")
	guid, err := uuid.Parse(id)
	if !ok || !ok2 || err != nil || guid.String() != id {
		return Tenant{}, &TenantError{Problem: "cloud", Cause: "Entra names another issuer for this tenant than this cloud's", Step: "Set AZURE_CLOUD to the tenant's cloud."}
	}
	if _, err := uuid.Parse(name); err == nil && name != id {
		return Tenant{}, &TenantError{Problem: "unknown", Cause: "Entra answered for another tenant than the one asked for", Step: "Check the tenant id."}
	}
	for _, endpoint := range []string{p.Authorization, p.Token, p.Keys} {
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" {
			return Tenant{}, aadsts.Unreachable(response.StatusCode)
		}
	}
	return Tenant{
		ID: id, Issuer: p.Issuer, AuthorizationEndpoint: p.Authorization, TokenEndpoint: p.Token, KeysEndpoint: p.Keys,
		read: c.now(),
	}, nil
}

// instances are the values of cloud_instance_name. Both US government clouds
// sign in at the same one; the sub region tells them apart.
var instances = map[string]string{"public": "microsoftonline.com", "usgov": "microsoftonline.us", "usgovdod": "microsoftonline.us"}

func (c *Client) sameCloud(p published) error {
	right := ""
	switch {
	case p.CloudInstance == "microsoftonline.us" && strings.EqualFold(p.SubRegion, "DOD"):
		right = "usgovdod"
	case p.CloudInstance == "microsoftonline.us":
		right = "usgov"
	case p.CloudInstance == "microsoftonline.com" && strings.EqualFold(p.Region, "USGov"):
		right = "usgov"
	case p.CloudInstance == "" || p.CloudInstance == instances[c.Cloud.Name]:
		return nil
	}
	if right == c.Cloud.Name || right == "usgov" && c.Cloud.Name == "usgovdod" && p.SubRegion == "" {
		return nil
	}
	step := "Use a bridge that runs in the tenant's cloud."
	switch {
	case right != "":
		step = "Set AZURE_CLOUD to " + right + "."
	case p.CloudInstance == "microsoftonline.com":
		step = "Set AZURE_CLOUD to public."
	case strings.HasSuffix(p.CloudInstance, ".cn"):
		step = "There is none: Microsoft Graph offers no presence in the cloud operated by 21Vianet."
	}
	return &TenantError{Problem: "cloud", Cause: "the tenant lives in another Microsoft cloud than this bridge is set to (" + c.Cloud.Name + ")", Step: step}
}

// tenantError names the refusals that discovery gives about the tenant itself.
func (c *Client) tenantError(e *Error) error {
	switch {
	case e.Has(90002, 900023, 50059, 50128):
		return &TenantError{Problem: "unknown", Code: e.Code, Cause: "Entra knows no such tenant in this cloud", Step: "Check the tenant id or the domain, and AZURE_CLOUD."}
	case e.Has(90038, 900439, 900382, 900432):
		return &TenantError{Problem: "cloud", Code: e.Code, Cause: "the tenant lives in another Microsoft cloud than this bridge is set to (" + c.Cloud.Name + ")", Step: "Set AZURE_CLOUD to the tenant's cloud: public, usgov (GCC High) or usgovdod."}
	}
	return e
}

// network turns what an HTTP client says into an *[Error]. Addresses here never
// hold secrets, but only the innermost word helps.
func network(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return fmt.Errorf("ask Entra: %w", ctx.Err())
	}
	e := aadsts.Unreachable(0)
	if way := obstacle(ctx, err); way != nil {
		e.Cause, e.Step = e.Cause+": "+way.Error(), way.NextStep()
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Detail = "no answer in time"
		return e
	}
	for {
		inner, ok := errors.AsType[*url.Error](err)
		if !ok {
			return e
		}
		err = inner.Err
		e.Detail = err.Error()
	}
}

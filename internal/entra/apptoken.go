package entra

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
)

// AppToken returns an app-only token for Graph that Entra issued just now: roles
// are frozen when a token is issued and credentials keep tokens for an hour, so
// each call makes a credential object of its own. Entra issues such tokens
// before consent too, then without roles.
func (c *Client) AppToken(ctx context.Context, app consent.App) (consent.AppToken, error) {
	ctx, cancel := context.WithTimeout(watched(ctx), callDeadline)
	defer cancel()
	credential, err := c.credential(ctx, app)
	if err != nil {
		return consent.AppToken{}, err
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{c.Cloud.Graph + "/.default"}})
	if err != nil {
		return consent.AppToken{}, c.authentication(ctx, err)
	}
	roles, readable := rolesOf(token.Token)
	return consent.AppToken{Value: secret.New(token.Token), Expires: token.ExpiresOn, Roles: roles, Readable: readable}, nil
}

// credential proves app to the Azure SDK, for one token. Errors are those of the
// assertion.
func (c *Client) credential(ctx context.Context, app consent.App) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: c.Cloud.Authority},
		Transport: c.base(), Retry: retries(always), PerRetryPolicies: measured("entra"), Telemetry: policy.TelemetryOptions{Disabled: true},
	}
	// Instance discovery is off: the authority comes from settings, and nobody else
	// is asked about it.
	if app.Credential.Assert == nil {
		return azidentity.NewClientSecretCredential(app.Tenant, app.ClientID, app.Credential.Secret.Reveal(),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	}
	assertion, err := app.Credential.Assert(ctx, c.Cloud.Authority+"/"+app.Tenant+"/oauth2/v2.0/token")
	if err != nil {
		return nil, err
	}
	return azidentity.NewClientAssertionCredential(app.Tenant, app.ClientID, func(context.Context) (string, error) { return assertion.Reveal(), nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
}

// rolesOf reads the roles of an access token as a diagnostic. Graph's tokens are
// officially opaque: a caller to whom they are not readable asks Graph instead.
func rolesOf(token string) (roles []string, readable bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil, false
	}
	var claims struct {
		Audience any      `json:"aud"`
		Roles    []string `json:"roles"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Audience == nil {
		return nil, false
	}
	return claims.Roles, true
}

// authentication turns azidentity's error, whose text holds the whole answer,
// into an *[Error].
func (c *Client) authentication(ctx context.Context, err error) error {
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && failed.RawResponse != nil {
		body, readErr := runtime.Payload(failed.RawResponse)
		if readErr == nil {
			return c.answered(failed.RawResponse, body)
		}
		return aadsts.Unreachable(failed.RawResponse.StatusCode)
	}
	return network(ctx, err)
}

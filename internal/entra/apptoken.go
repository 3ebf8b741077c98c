package entra

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

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
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	credential, err := azidentity.NewClientSecretCredential(app.Tenant, app.ClientID, app.Credential.Secret.Reveal(), &azidentity.ClientSecretCredentialOptions{
		ClientOptions: azcore.ClientOptions{
			Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: c.Cloud.Authority},
			Transport: c.base(), Retry: retries(always), Telemetry: policy.TelemetryOptions{Disabled: true},
		},
		// The authority comes from settings; nobody else is asked about it.
		DisableInstanceDiscovery: true,
	})
	if err != nil {
		return consent.AppToken{}, fmt.Errorf("use client secret: %w", err)
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{c.Cloud.Graph + "/.default"}})
	if err != nil {
		return consent.AppToken{}, authentication(ctx, err)
	}
	roles, readable := rolesOf(token.Token)
	return consent.AppToken{Value: secret.New(token.Token), Expires: token.ExpiresOn, Roles: roles, Readable: readable}, nil
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
func authentication(ctx context.Context, err error) error {
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && failed.RawResponse != nil {
		body, readErr := runtime.Payload(failed.RawResponse)
		if readErr == nil {
			return aadsts.FromAnswer(failed.RawResponse.StatusCode, body)
		}
		return aadsts.Unreachable(failed.RawResponse.StatusCode)
	}
	return network(ctx, err)
}

// Identity is the bridge's own managed identity, which opens storage and Key
// Vault. The endpoint that issues its tokens has been seen to fail one time in
// ten, and to be absent for the first seconds of a process, so it is asked
// patiently, and how often it failed is counted.
type Identity struct {
	credential *azidentity.ManagedIdentityCredential
	failures   atomic.Int64
}

// ManagedIdentity returns the user-assigned identity with clientID, or the
// system-assigned one when it is empty. Nothing is contacted yet.
func ManagedIdentity(clientID string, transport *http.Client) (*Identity, error) {
	identity := &Identity{}
	options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: azcore.ClientOptions{
		Retry: policy.RetryOptions{MaxRetries: 9, TryTimeout: retries(always).TryTimeout, RetryDelay: retries(always).RetryDelay, MaxRetryDelay: retries(always).MaxRetryDelay},
		// Per try, below the retry policy.
		PerRetryPolicies: []policy.Policy{counter{&identity.failures}},
	}}
	if transport != nil {
		options.Transport = transport
	}
	if clientID != "" {
		options.ID = azidentity.ClientID(clientID)
	}
	credential, err := azidentity.NewManagedIdentityCredential(options)
	if err != nil {
		return nil, fmt.Errorf("use managed identity: %w", err)
	}
	identity.credential = credential
	return identity, nil
}

// GetToken implements the Azure SDK's TokenCredential. Errors are *[Error]s.
func (i *Identity) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := i.credential.GetToken(ctx, options)
	if err == nil {
		return token, nil
	}
	refused, ok := errors.AsType[*Error](authentication(ctx, err))
	if !ok {
		return azcore.AccessToken{}, fmt.Errorf("get a token of the managed identity: %w", context.Cause(ctx))
	}
	return azcore.AccessToken{}, &IdentityError{Status: refused.Status, Detail: refused.Detail}
}

// Unsteady returns how many answers of the identity endpoint since the process
// started were failures.
func (i *Identity) Unsteady() int64 { return i.failures.Load() }

// IdentityError reports that the bridge's managed identity got no token.
type IdentityError struct {
	Status int // of the identity endpoint; 0 when it did not answer
	Detail string
}

func (e *IdentityError) Error() string {
	switch {
	case e.Status == http.StatusBadRequest || e.Status == http.StatusNotFound || e.Status == http.StatusForbidden:
		return fmt.Sprintf("the managed identity is not assigned to the function app (identity endpoint answered %d): assign it, and compare MANAGED_IDENTITY_CLIENT_ID with its client id", e.Status)
	case e.Status != 0:
		return fmt.Sprintf("the identity endpoint of the platform is unsteady (answered %d)", e.Status)
	case e.Detail != "":
		return "the identity endpoint of the platform does not answer: " + e.Detail
	}
	return "the identity endpoint of the platform does not answer"
}

// Identity marks the error for package keyvault, which cannot import this one's
// SDKs.
func (e *IdentityError) Identity() bool { return true }

// NonRetriable tells the Azure SDK that the endpoint was asked patiently already.
func (e *IdentityError) NonRetriable() {}

type counter struct{ failures *atomic.Int64 }

func (c counter) Do(request *policy.Request) (*http.Response, error) {
	response, err := request.Next()
	if err != nil || response.StatusCode >= 400 {
		c.failures.Add(1)
	}
	return response, err
}

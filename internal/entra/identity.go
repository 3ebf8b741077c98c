package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"procallteams/internal/secret"
)

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
		PerRetryPolicies: append(measured("identity"), counter{&identity.failures}),
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
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && failed.RawResponse != nil {
		return azcore.AccessToken{}, &IdentityError{Status: failed.RawResponse.StatusCode}
	}
	refused, ok := errors.AsType[*Error](network(ctx, err))
	if !ok {
		return azcore.AccessToken{}, fmt.Errorf("get a token of the managed identity: %w", context.Cause(ctx))
	}
	return azcore.AccessToken{}, &IdentityError{Detail: refused.Detail}
}

// Assertion returns the identity's token for audience, which stands in for the
// secret of an app registration that trusts the identity (Entra: an application
// that trusts a managed identity). Errors are *[IdentityError].
func (i *Identity) Assertion(ctx context.Context, audience string) (secret.Text, error) {
	token, err := i.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}})
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(token.Token), nil
}

// Unsteady returns how many answers of the identity endpoint since the process
// started were failures.
func (i *Identity) Unsteady() int64 { return i.failures.Load() }

// IdentityError reports that the bridge's managed identity got no token.
type IdentityError struct {
	Status int // of the identity endpoint; 0 when it did not answer
	Detail string
}

// Unassigned reports whether the function app does not have the identity.
func (e *IdentityError) Unassigned() bool {
	return e.Status == http.StatusBadRequest || e.Status == http.StatusNotFound || e.Status == http.StatusForbidden
}

func (e *IdentityError) Error() string {
	switch {
	case e.Unassigned():
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

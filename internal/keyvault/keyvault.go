// Package keyvault keeps secrets in Azure Key Vault: refresh tokens, the client
// secret, the push secret and the set-up code.
//
// It is the only importer of azsecrets. The vault is contacted at the first
// call, so a process starts while it is unreachable. Every call has a deadline
// of its own and is tried again while Key Vault or the identity endpoint is
// unsteady. Errors are *[Error]s that say who must do what; values, request and
// answer never appear in them. A name that a deleted secret holds is recovered,
// not given up.
package keyvault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"procallteams/internal/secret"
	"procallteams/internal/telemetry"
	"procallteams/internal/telemetry/pipeline"
)

// callDeadline bounds one call, retries and a recovery included. It outlasts an
// identity endpoint that is absent for the first 20 seconds of a process.
const callDeadline = 40 * time.Second

// recoveryPause is the time between two tries to write a name that Key Vault is
// still recovering.
const recoveryPause = 500 * time.Millisecond

// names are what Key Vault allows: 1 to 127 letters, digits and hyphens.
var names = regexp.MustCompile(`^[0-9a-zA-Z-]{1,127}$`)

// Vault is one Key Vault. It is safe for concurrent use.
type Vault struct{ client *azsecrets.Client }

// Open returns the vault at address, which is https. transport may be nil.
func Open(address *url.URL, credential azcore.TokenCredential, transport *http.Client) (*Vault, error) {
	options := azcore.ClientOptions{
		PerRetryPolicies: []policy.Policy{pipeline.Policy("keyvault", route)},
		Retry:            policy.RetryOptions{MaxRetries: 4, TryTimeout: 10 * time.Second, RetryDelay: 300 * time.Millisecond, MaxRetryDelay: 5 * time.Second},
	}
	if transport != nil {
		options.Transport = transport
	}
	client, err := azsecrets.NewClient(address.String(), credential, &azsecrets.ClientOptions{ClientOptions: options})
	if err != nil {
		return nil, fmt.Errorf("open Key Vault: %w", err)
	}
	return &Vault{client}, nil
}

var words = telemetry.Words("secrets", "deletedsecrets", "recover", "versions")

// route names a request in logs. Names of secrets hold ids of accounts.
func route(r *http.Request) string { return telemetry.Route(r.Method, r.URL.Path, words) }

// Get returns the newest version of a secret and that version's name.
// Without one the error is secret.ErrNotFound.
func (v *Vault) Get(ctx context.Context, name string) (secret.Text, string, error) {
	stored, err := v.Read(ctx, name, "")
	return stored.Value, stored.ID, err
}

// GetVersion returns one version of a secret.
func (v *Vault) GetVersion(ctx context.Context, name, version string) (secret.Text, error) {
	stored, err := v.Read(ctx, name, version)
	return stored.Value, err
}

// Read returns a version of a secret, the newest one when version is empty, with
// what is kept beside it. Without one the error is secret.ErrNotFound.
func (v *Vault) Read(ctx context.Context, name, version string) (secret.Stored, error) {
	if err := check(name); err != nil {
		return secret.Stored{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	response, err := v.client.GetSecret(ctx, name, version, nil)
	if err != nil {
		return secret.Stored{}, refusal(ctx, "read", name, err)
	}
	if response.Value == nil || response.ID == nil {
		return secret.Stored{}, &Error{Verb: "read", Name: name, Cause: "Key Vault's answer was incomplete"}
	}
	return secret.Stored{Version: versionOf(response.ID.Version(), response.Attributes, response.Tags), Value: secret.New(*response.Value)}, nil
}

// Versions lists the versions of a secret, the newest first, also disabled ones.
// Key Vault knows their age to the second and promises no order within one. A
// secret that is not there has none.
func (v *Vault) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	var versions []secret.Version
	pages := v.client.NewListSecretPropertiesVersionsPager(name, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			if err = refusal(ctx, "list", name, err); errors.Is(err, secret.ErrNotFound) {
				return nil, nil
			}
			return nil, err
		}
		for _, item := range page.Value {
			if item != nil && item.ID != nil {
				versions = append(versions, versionOf(item.ID.Version(), item.Attributes, item.Tags))
			}
		}
	}
	slices.SortStableFunc(versions, func(a, b secret.Version) int { return b.Created.Compare(a.Created) })
	return versions, nil
}

func versionOf(id string, attributes *azsecrets.SecretAttributes, tags map[string]*string) secret.Version {
	version := secret.Version{ID: id, Enabled: true}
	for key, tag := range tags {
		if tag != nil {
			if version.Tags == nil {
				version.Tags = map[string]string{}
			}
			version.Tags[key] = *tag
		}
	}
	if attributes == nil {
		return version
	}
	if attributes.Enabled != nil {
		version.Enabled = *attributes.Enabled
	}
	if attributes.Created != nil {
		version.Created = attributes.Created.UTC()
	}
	if attributes.Expires != nil {
		version.Expires = attributes.Expires.UTC()
	}
	return version
}

// Put writes a new version and returns its name. A deleted secret of that name is
// recovered first.
func (v *Vault) Put(ctx context.Context, name string, value secret.Text, label secret.Label) (string, error) {
	if err := check(name); err != nil {
		return "", err
	}
	if len(value.Reveal()) > 25000 {
		return "", &Error{Verb: "store", Name: name, Cause: "the value is longer than the 25,000 bytes that Key Vault takes"}
	}
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	text := value.Reveal()
	parameters := azsecrets.SetSecretParameters{Value: &text, Tags: make(map[string]*string, len(label.Tags))}
	for key, tag := range label.Tags {
		parameters.Tags[key] = &tag
	}
	if !label.Expires.IsZero() {
		parameters.SecretAttributes = &azsecrets.SecretAttributes{Expires: &label.Expires}
	}
	for recovered := false; ; {
		response, err := v.client.SetSecret(ctx, name, parameters, nil)
		if err == nil {
			if response.ID == nil || response.ID.Version() == "" {
				return "", &Error{Verb: "store", Name: name, Cause: "Key Vault's answer was incomplete"}
			}
			return response.ID.Version(), nil
		}
		switch inner(err) {
		case "ObjectIsDeletedButRecoverable":
			if recovered {
				break // the recovery takes its time
			}
			if _, err := v.client.RecoverDeletedSecret(ctx, name, nil); err != nil {
				return "", unrecoverable(ctx, name, err)
			}
			recovered = true
		case "ObjectIsBeingRecovered", "ObjectIsBeingDeleted":
		default:
			return "", refusal(ctx, "store", name, err)
		}
		select {
		case <-ctx.Done():
			return "", unrecoverable(ctx, name, err)
		case <-time.After(recoveryPause):
		}
	}
}

// Disable makes one version unreadable; versions cannot be deleted one by one.
// A version that is not there is fine.
func (v *Vault) Disable(ctx context.Context, name, version string) error {
	if err := check(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	off := false
	_, err := v.client.UpdateSecretProperties(ctx, name, version, azsecrets.UpdateSecretPropertiesParameters{
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: &off},
	}, nil)
	if err != nil {
		if err := refusal(ctx, "disable", name, err); !errors.Is(err, secret.ErrNotFound) {
			return err
		}
	}
	return nil
}

func check(name string) error {
	if !names.MatchString(name) {
		return &Error{Verb: "use", Name: "?", Cause: "the name holds characters that Key Vault does not allow"}
	}
	return nil
}

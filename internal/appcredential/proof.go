package appcredential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// SecretName is where Key Vault keeps a tenant's client secret.
func SecretName(tenant string) string { return "client-secret-" + tenant }

// clientTag names the app registration that a client secret in Key Vault belongs
// to, so that a secret of another one is never tried.
const clientTag = "client"

// proof is one credential, and what an administrator is told about it.
type proof struct {
	consent.Credential
	name    string    // of the secret or certificate in Key Vault; empty: not from there
	version string    // of that secret
	Created time.Time // of that version

	thumbprint string // of a certificate
	trust      *Trust // of a managed identity, as its latest assertion says
	own        bool   // the app registration belongs to the tenant itself
	// note and step say what is wrong although p is in use.
	note, step string
}

// insteadOf notes why p is in use and not the newest version.
func (p *proof) insteadOf(fault *aadsts.Error) {
	p.note = "the newest version in Key Vault can't be used: " + fault.Cause
	if fault.Code != "" {
		p.note += " (" + fault.Code + ")"
	}
	p.note, p.step = p.note+"; the one before it is in use", fault.Step
}

// used lets use try p.
func (p proof) used(app consent.App, use func(consent.App) error) error {
	app.Credential = p.Credential
	return use(app)
}

// vaultTime is how long Key Vault may take to answer while what Entra took last is at
// hand: a sync waits four seconds for its token.
const vaultTime = 2 * time.Second

// inForce returns what proves app now. While Key Vault does not answer that is what
// Entra took last.
func (i *Issuer) inForce(ctx context.Context, app consent.App, current settings.Integration) (proof, error) {
	kind := i.Kind(current)
	switch {
	case !i.Fixed.Empty():
		return proof{Credential: consent.Credential{Kind: kind, Secret: i.Fixed, Ends: i.FixedEnds}}, nil
	case kind == settings.Federated:
		return i.federated(app, own(current))
	}
	name := SecretName(app.Tenant)
	if kind == settings.CertificateInKeyVault {
		name = current.Certificate
	}
	before, known := i.lastWorked(app)
	known = known && before.Kind == kind && before.name == name
	reading, cancel := ctx, func() {}
	if known {
		reading, cancel = context.WithTimeout(ctx, vaultTime)
	}
	p, err := i.stored(reading, app, kind, name, "")
	cancel()
	if err == nil {
		return p, nil
	}
	fault, unfit := errors.AsType[*aadsts.Error](err)
	missing := errors.Is(err, secret.ErrNotFound)
	if !unfit && !missing {
		if known {
			before.note, before.step = "Key Vault does not give out the app's credential ("+err.Error()+"); the one that was read before is in use", "Cure that before the bridge restarts."
			return before, nil
		}
		return proof{}, err
	}
	if other, ok := i.instead(ctx, app, p); ok {
		if unfit {
			other.insteadOf(fault)
		}
		return other, nil
	}
	if missing {
		return proof{}, unset(kind, name)
	}
	return proof{}, err
}

// unset says of what is not in Key Vault who puts it there.
func unset(kind settings.CredentialKind, name string) error {
	if kind == settings.CertificateInKeyVault {
		return &consent.UnsetError{What: "the certificate " + name, Step: "make or import it in the bridge's Key Vault, or enter another name on the bridge's page"}
	}
	return &consent.UnsetError{What: "the client secret", Step: "create one in the app registration and store its value on the bridge's page"}
}

// federated returns the managed identity as a credential.
func (i *Issuer) federated(app consent.App, own bool) (proof, error) {
	if i.Identity == nil {
		return proof{}, &consent.UnsetError{
			What: "a user-assigned managed identity",
			Step: "assign one to the function app and set MANAGED_IDENTITY_CLIENT_ID to its client id, or choose another credential on the bridge's page",
		}
	}
	trust := i.trustIn(app.Tenant)
	return proof{trust: &trust, own: own, Credential: consent.Credential{Kind: settings.Federated, Assert: func(ctx context.Context, _ string) (secret.Text, error) {
		assertion, err := i.Identity.Assertion(ctx, i.Cloud.Exchange)
		if without, ok := errors.AsType[interface {
			error
			Unassigned() bool
		}](err); ok && without.Unassigned() {
			return secret.Text{}, unusable(without.Error(), "Assign the user-assigned managed identity to the function app (Identity, User assigned), and compare MANAGED_IDENTITY_CLIENT_ID with its client id.")
		}
		trust.read(assertion)
		return assertion, err
	}}}, nil
}

// stored returns a version in Key Vault, the newest one when version is empty. A
// client secret of another app registration is none. p says what was looked at
// also when that is unfit.
func (i *Issuer) stored(ctx context.Context, app consent.App, kind settings.CredentialKind, name, version string) (p proof, err error) {
	p = proof{name: name, Credential: consent.Credential{Kind: kind}}
	found, err := i.Vault.Read(ctx, name, version)
	if err != nil {
		return p, fmt.Errorf("read the app's credential: %w", err)
	}
	p.version, p.Created = found.ID, found.Created
	if client := found.Tags[clientTag]; client != "" && client != app.ClientID {
		return p, fmt.Errorf("read the app's credential: it belongs to another app registration: %w", secret.ErrNotFound)
	}
	if kind != settings.CertificateInKeyVault {
		p.Secret, p.Ends = found.Value, found.Expires
		return p, nil
	}
	certificate, err := i.Open(found.Value)
	if err != nil {
		return p, unusable("the certificate "+name+" in Key Vault "+err.Error(), "Let whoever administers the vault put a certificate with an exportable RSA key there, or enter another name on the bridge's page.")
	}
	p.Ends, p.thumbprint = certificate.Ends, certificate.Thumbprint
	p.Assert = func(_ context.Context, audience string) (secret.Text, error) {
		return certificate.Sign(app.ClientID, audience, i.Now())
	}
	return p, nil
}

// instead returns the version to try when p is not fit: one that was stored since,
// else the one that worked before, else the newest other one.
func (i *Issuer) instead(ctx context.Context, app consent.App, p proof) (proof, bool) {
	if p.name == "" {
		return proof{}, false
	}
	versions, err := i.Vault.Versions(ctx, p.name)
	if err != nil {
		return proof{}, false
	}
	versions = slices.DeleteFunc(versions, func(v secret.Version) bool {
		client := v.Tags[clientTag]
		return v.ID == p.version || !v.Enabled || client != "" && client != app.ClientID || !v.Expires.IsZero() && !v.Expires.After(i.Now())
	})
	if len(versions) == 0 {
		return proof{}, false
	}
	before, _ := i.lastWorked(app)
	choice := slices.IndexFunc(versions, func(v secret.Version) bool { return v.Created.After(p.Created) || v.ID == before.version })
	other, err := i.stored(ctx, app, p.Kind, p.name, versions[max(choice, 0)].ID)
	return other, err == nil
}

// unusable is a credential that can't work until somebody changes it.
func unusable(cause, step string) *aadsts.Error {
	return &aadsts.Error{Class: aadsts.Credential, Cause: cause, Step: step}
}

// Package appcredential knows what proves the app registration to Microsoft Entra:
// the bridge's managed identity, a certificate or a client secret.
//
//	federated    the managed identity's token, for nothing but this exchange
//	certificate  an assertion signed with the newest version in Key Vault
//	secret       the newest version in Key Vault, or the app setting
//
// Every token is asked for with what is in force at that moment, so that a new
// secret or certificate needs no restart. When Entra does not take it, another
// version is tried once: the newer one that was stored meanwhile, else the one that
// worked before. So a rotation, a mistake in it and Entra's own delay cost nothing
// while one of two credentials is valid.
//
// What Entra refuses is told in the administrator's words, with the values to
// compare. No SDK here: entra and keyvault implement the ports.
package appcredential

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// Vault keeps client secrets and certificates. Every Put makes a version. What is
// not there, or disabled, is secret.ErrNotFound.
type Vault interface {
	// Read returns a version, the newest one when version is empty.
	Read(ctx context.Context, name, version string) (secret.Stored, error)
	// Versions lists them, the newest first, also disabled ones.
	Versions(ctx context.Context, name string) ([]secret.Version, error)
	Put(ctx context.Context, name string, value secret.Text, label secret.Label) (version string, err error)
}

// Identity is the bridge's user-assigned managed identity. Its error tells by a
// method Unassigned() bool whether the platform knows no such identity.
type Identity interface {
	// Assertion returns the identity's token for audience.
	Assertion(ctx context.Context, audience string) (secret.Text, error)
}

// Certificate is a certificate with its private key.
type Certificate struct {
	// Thumbprint is SHA-1 in upper case hexadecimal digits, as the portal shows it.
	Thumbprint string
	// Ends is its last moment, UTC.
	Ends time.Time
	// Sign returns an assertion for a token endpoint.
	Sign func(clientID, audience string, now time.Time) (secret.Text, error)
}

// Config are the Issuer's dependencies.
type Config struct {
	// Entra issues tokens to an app that brings its credential.
	Entra    consent.Issuer
	Settings consent.Settings
	Vault    Vault
	// Identity is nil when the bridge has no user-assigned managed identity.
	Identity Identity
	// Open reads the secret that Key Vault keeps for a certificate. Its errors
	// complete a sentence that begins with the certificate's name.
	Open func(secret.Text) (Certificate, error)
	// Cloud is the tenant's.
	Cloud settings.Cloud
	// Fixed is the app setting TEAMS_CLIENT_SECRET, which wins over everything else;
	// FixedEnds is when it ends, zero when that is unknown.
	Fixed     secret.Text
	FixedEnds time.Time
	Now       func() time.Time // nil: the system's clock
}

// Issuer issues tokens to an app registration that brings no credential: it finds
// it. It is consent's Issuer, and safe for concurrent use.
type Issuer struct {
	Config

	mu sync.Mutex
	// worked is what Entra took last, by registration: for the time that Key Vault
	// does not answer, and to go back to when a newer version is wrong.
	worked map[string]proof
	// unknown is since when Entra has not known a federated credential.
	unknown map[string]time.Time
}

var _ consent.Issuer = (*Issuer)(nil)

// New returns an Issuer. Nothing is contacted yet.
func New(config Config) *Issuer {
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Issuer{Config: config, worked: map[string]proof{}, unknown: map[string]time.Time{}}
}

// Redeem implements consent's Issuer. Entra looks at the credential before the code,
// so a refused credential leaves the code as it was.
func (i *Issuer) Redeem(ctx context.Context, app consent.App, leg consent.Leg, code secret.Text) (who consent.SignedIn, err error) {
	_, err = i.with(ctx, app, func(app consent.App) error {
		who, err = i.Entra.Redeem(ctx, app, leg, code)
		return err
	})
	return who, err
}

// Refresh implements consent's Issuer.
func (i *Issuer) Refresh(ctx context.Context, app consent.App, refresh secret.Text) (tokens consent.Tokens, err error) {
	_, err = i.with(ctx, app, func(app consent.App) error {
		tokens, err = i.Entra.Refresh(ctx, app, refresh)
		return err
	})
	return tokens, err
}

// AppToken implements consent's Issuer, and says what is to be known about the
// credential.
func (i *Issuer) AppToken(ctx context.Context, app consent.App) (token consent.AppToken, err error) {
	proven, err := i.with(ctx, app, func(app consent.App) error {
		token, err = i.Entra.AppToken(ctx, app)
		return err
	})
	token.Credential = proven
	return token, err
}

// Kind returns the kind of credential that is in force.
func (i *Issuer) Kind(s settings.Integration) settings.CredentialKind {
	switch {
	case !i.Fixed.Empty():
		return settings.SecretInKeyVault
	case s.Credential != "":
		return s.Credential
	case i.Identity != nil:
		return settings.Federated
	}
	return settings.SecretInKeyVault
}

// with lets use try the credential in force, and one more when Entra does not take
// it. It reports what was used. Errors are those of use, *consent.UnsetError for a
// credential that nobody set, *aadsts.Error for one that can't work, and others when
// the reason may pass by itself. What is to be done is said for the kind of the app
// registration.
func (i *Issuer) with(ctx context.Context, app consent.App, use func(consent.App) error) (consent.CredentialUse, error) {
	current, _, err := i.Settings.Load(ctx)
	if err != nil {
		return consent.CredentialUse{}, err
	}
	used, err := i.tried(ctx, app, current, use)
	if refusal, ok := errors.AsType[*aadsts.Error](err); ok {
		return used, refusal.For(current.Registration)
	}
	if own(current) {
		return used, err
	}
	used.Shared = true
	if used.Step != "" {
		used.Step = aadsts.Theirs + used.Step
	}
	if unset, ok := errors.AsType[*consent.UnsetError](err); ok {
		return used, &consent.UnsetError{What: unset.What, Step: strings.ToLower(aadsts.Theirs[:1]) + aadsts.Theirs[1:] + unset.Step}
	}
	return used, err
}

func (i *Issuer) tried(ctx context.Context, app consent.App, current settings.Integration, use func(consent.App) error) (consent.CredentialUse, error) {
	first, err := i.inForce(ctx, app, current)
	if err != nil {
		return consent.CredentialUse{}, err
	}
	err = first.used(app, use)
	refusal, refused := notTaken(err)
	if !refused {
		return i.done(app, first, err)
	}
	refusal = i.explain(app, first, refusal)
	second, ok := i.instead(ctx, app, first)
	if !ok {
		return consent.CredentialUse{}, refusal
	}
	err = second.used(app, use)
	if _, refused := notTaken(err); refused {
		return consent.CredentialUse{}, refusal
	}
	if second.Created.Before(first.Created) {
		second.insteadOf(refusal)
	}
	return i.done(app, second, err)
}

// done remembers what Entra accepted and says what is to be known about it.
func (i *Issuer) done(app consent.App, p proof, err error) (consent.CredentialUse, error) {
	if err != nil {
		return consent.CredentialUse{}, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.unknown, key(app))
	i.worked[key(app)] = p
	return consent.CredentialUse{Kind: p.Kind, Ends: p.Ends, Note: p.note, Step: p.step}, nil
}

// notTaken reports whether Entra refused the app's credential, whatever was asked
// for with it.
func notTaken(err error) (*aadsts.Error, bool) {
	refusal, ok := errors.AsType[*aadsts.Error](err)
	return refusal, ok && refusal.Class == aadsts.Credential && refusal.Status != 0
}

func (i *Issuer) lastWorked(app consent.App) (proof, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p, ok := i.worked[key(app)]
	return p, ok
}

func key(app consent.App) string { return app.Tenant + "/" + app.ClientID }

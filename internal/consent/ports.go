package consent

import (
	"context"
	"errors"
	"time"

	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// App is the app registration in one tenant. Its Credential is found by whoever
// issues tokens; this package leaves it empty.
type App struct {
	Tenant, ClientID string // GUIDs in lower case
	Credential       Credential
}

// Credential proves the app registration to Entra's token endpoint, by a secret or
// by an assertion: exactly one of the two is set.
type Credential struct {
	Kind   settings.CredentialKind
	Secret secret.Text
	// Assert returns a client assertion (RFC 7523) that is good for one request to the
	// token endpoint audience: signed with a certificate, or the managed identity's own
	// token.
	Assert func(ctx context.Context, audience string) (secret.Text, error)
	// Ends is when it ends, zero when that is unknown or never.
	Ends time.Time
}

// Purpose is what a person signs in for.
type Purpose string

const (
	// ReadPresence asks for the delegated permissions and a refresh token.
	ReadPresence Purpose = "read"
	// SignIn proves who an administrator is, and nothing else.
	SignIn Purpose = "signin"
)

// Leg is one trip of a browser to Entra and back.
type Leg struct {
	Purpose  Purpose
	Redirect string // one of our own addresses, exactly as registered
	State    string // 256 random bits; not needed to redeem
	Nonce    string
	Verifier secret.Text // PKCE (RFC 7636)
	// Hint is the user name to sign in with; empty lets the person choose.
	Hint string
	// Silent wants an answer without a page of Microsoft's: no, where one is needed.
	Silent bool
	// Claims answers a claims challenge of an earlier attempt, JSON; mostly empty.
	Claims string
}

// Tokens are what Entra issued for an account.
type Tokens struct {
	Access  secret.Text
	Expires time.Time
	Refresh secret.Text // empty when none was issued
	Scopes  []string    // granted delegated permissions, without resource
}

// SignedIn is an account whose id token was verified.
type SignedIn struct {
	Account Account
	Roles   []string // app roles of the person, such as Bridge.Admin
	Tokens
	// Next is where the browser wanted to go, as it said, and Silent that nobody was
	// asked anything; of an administrator's sign-in only.
	Next   string
	Silent bool
}

// AppToken is an app-only token. Roles are its permissions when Readable.
type AppToken struct {
	Value    secret.Text
	Expires  time.Time
	Roles    []string
	Readable bool
	// Credential is what the app was proven with.
	Credential CredentialUse
}

// CredentialUse is what an administrator is told about a credential that works.
type CredentialUse struct {
	Kind settings.CredentialKind
	Ends time.Time // zero: unknown, or never
	// Shared says that whoever hosts the bridge keeps it.
	Shared bool
	// Note and Step say what is wrong although it works, such as a newer version that
	// Entra refuses. Empty when nothing is.
	Note, Step string
}

// Addresses knows where a browser goes. Errors are Entra's refusals
// (*aadsts.Error) or say what is wrong with the tenant.
type Addresses interface {
	AuthorizeURL(ctx context.Context, app App, leg Leg) (string, error)
	AdminConsentURL(ctx context.Context, app App, redirect, state string) (string, error)
}

// Issuer gives tokens. Its refusals are *aadsts.Error, and *[UnsetError] when nobody
// set what proves the app. Transient ones were tried again already; an authorization
// code is sent once, unless Entra refused the app before it looked at the code.
type Issuer interface {
	Redeem(ctx context.Context, app App, leg Leg, code secret.Text) (SignedIn, error)
	Refresh(ctx context.Context, app App, refresh secret.Text) (Tokens, error)
	// AppToken returns a token that was issued by this call.
	AppToken(ctx context.Context, app App) (AppToken, error)
}

// Vault keeps secrets. Every Put makes a version; versions are never deleted.
// When Put returns without error, the version lasts. What is not there is
// secret.ErrNotFound.
type Vault interface {
	GetVersion(ctx context.Context, name, version string) (secret.Text, error)
	Put(ctx context.Context, name string, value secret.Text, label secret.Label) (version string, err error)
	// Versions lists them, the newest first, also disabled ones.
	Versions(ctx context.Context, name string) ([]secret.Version, error)
	Disable(ctx context.Context, name, version string) error
}

// ErrChanged reports that a row is not the version that was read, or that an
// insert found it already there.
var ErrChanged = errors.New("row changed meanwhile")

// Grants keeps one row per grant. Save demands Grant.ETag (empty: the row must
// not exist), else [ErrChanged]; it returns the grant with its new ETag.
type Grants interface {
	Grants(ctx context.Context, tenant string) ([]Grant, error)
	SaveGrant(ctx context.Context, tenant string, grant Grant) (Grant, error)
	RemoveGrant(ctx context.Context, tenant string, grant Grant) error
}

// Flows keeps one row per browser trip that came back. BeginFlow returns
// [ErrChanged] when the trip came back before: insertion is what makes the
// authorization code be redeemed once.
type Flows interface {
	BeginFlow(ctx context.Context, tenant string, flow Flow) error
	FinishFlow(ctx context.Context, tenant string, flow Flow) error
	// Flow reports false when there is none.
	Flow(ctx context.Context, tenant, id string) (Flow, bool, error)
	// SweepFlows removes trips that began before, a bounded number per call.
	SweepFlows(ctx context.Context, tenant string, before time.Time) error
}

// Settings are what an administrator set, with app settings applied.
type Settings interface {
	Load(ctx context.Context) (settings.Integration, []string, error)
}

package entra

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
)

// delegated are the permissions of the user grant, always written with the
// cloud's Graph in front: short names mean global Graph.
func (c *Client) delegated() []string {
	return []string{c.Cloud.Graph + "/Presence.Read.All", c.Cloud.Graph + "/User.ReadBasic.All"}
}

func (c *Client) scopes(purpose consent.Purpose) []string {
	if purpose == consent.SignIn {
		return []string{oidc.ScopeOpenID, "profile"}
	}
	return append(c.delegated(), oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess)
}

func (c *Client) config(tenant Tenant, app consent.App) *oauth2.Config {
	return &oauth2.Config{
		ClientID: app.ClientID,
		Endpoint: oauth2.Endpoint{AuthURL: tenant.AuthorizationEndpoint, TokenURL: tenant.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams},
	}
}

// assertionType says that an assertion stands in for a secret (RFC 7523, 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// proof are the parameters that prove app at the tenant's token endpoint, whatever
// the grant. Errors are those of the assertion.
func proof(ctx context.Context, tenant Tenant, app consent.App) (url.Values, error) {
	if app.Credential.Assert == nil {
		return url.Values{"client_secret": {app.Credential.Secret.Reveal()}}, nil
	}
	assertion, err := app.Credential.Assert(ctx, tenant.TokenEndpoint)
	if err != nil {
		return nil, err
	}
	return url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion.Reveal()}}, nil
}

// AuthorizeURL returns the address at which a person signs in. It needs no
// client secret. The answer comes as form_post, so that the code appears in no
// address bar and no request log.
func (c *Client) AuthorizeURL(ctx context.Context, app consent.App, leg consent.Leg) (string, error) {
	tenant, err := c.known(ctx, app.Tenant)
	if err != nil {
		return "", err
	}
	config := c.config(tenant, app)
	config.RedirectURL, config.Scopes = leg.Redirect, c.scopes(leg.Purpose)
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(leg.Verifier.Reveal()), oidc.Nonce(leg.Nonce),
		oauth2.SetAuthURLParam("response_mode", "form_post"),
	}
	if leg.Hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", leg.Hint))
	}
	if leg.Silent {
		options = append(options, oauth2.SetAuthURLParam("prompt", "none"))
	} else if leg.Hint == "" { // Entra takes one of the two
		options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
	}
	if leg.Claims != "" {
		options = append(options, oauth2.SetAuthURLParam("claims", leg.Claims))
	}
	return config.AuthCodeURL(leg.State, options...), nil
}

// AdminConsentURL returns the address at which an administrator grants all
// permissions of the app registration for the whole tenant.
func (c *Client) AdminConsentURL(ctx context.Context, app consent.App, redirect, state string) (string, error) {
	tenant, err := c.known(ctx, app.Tenant)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(tenant.AuthorizationEndpoint)
	if err != nil {
		return "", fmt.Errorf("read authorization endpoint: %w", err)
	}
	path, ok := strings.CutSuffix(u.Path, "/oauth2/v2.0/authorize")
	if !ok {
		return "", errors.New("the authorization endpoint does not have Entra's form")
	}
	u.Path = path + "/v2.0/adminconsent"
	u.RawQuery = url.Values{
		"client_id": {app.ClientID}, "redirect_uri": {redirect}, "state": {state}, "scope": {c.Cloud.Graph + "/.default"},
	}.Encode()
	return u.String(), nil
}

// claims are what an id token must carry beside what OpenID Connect demands
// (Microsoft identity platform: ID token claims reference).
type claims struct {
	Tenant  string   `json:"tid"`
	Object  string   `json:"oid"`
	Version string   `json:"ver"`
	Before  int64    `json:"nbf"` // Unix seconds; valid from then on
	UPN     string   `json:"preferred_username"`
	Name    string   `json:"name"`
	Roles   []string `json:"roles"`
}

// Redeem trades an authorization code for tokens and verifies the id token:
// signature, issuer, audience, times (go-oidc), then nonce, tenant, version and
// object id. It sends the code once.
func (c *Client) Redeem(ctx context.Context, app consent.App, leg consent.Leg, code secret.Text) (consent.SignedIn, error) {
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	tenant, err := c.known(ctx, app.Tenant)
	if err != nil {
		return consent.SignedIn{}, err
	}
	proof, err := proof(ctx, tenant, app)
	if err != nil {
		return consent.SignedIn{}, err
	}
	config := c.config(tenant, app)
	config.RedirectURL = leg.Redirect
	options := []oauth2.AuthCodeOption{
		oauth2.VerifierOption(leg.Verifier.Reveal()), oauth2.SetAuthURLParam("scope", strings.Join(c.scopes(leg.Purpose), " ")),
	}
	for name := range proof {
		options = append(options, oauth2.SetAuthURLParam(name, proof.Get(name)))
	}
	began := c.now()
	token, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, c.client(unused)), code.Reveal(), options...)
	if err != nil {
		return consent.SignedIn{}, c.refusal(ctx, err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return consent.SignedIn{}, invalid("Entra sent no id token")
	}
	keys := &keySet{KeySet: oidc.NewRemoteKeySet(oidc.ClientContext(ctx, c.client(always)), tenant.KeysEndpoint)}
	// Times are judged below: the library does not tell which clock is wrong.
	id, err := oidc.NewVerifier(tenant.Issuer, keys, &oidc.Config{ClientID: app.ClientID, SupportedSigningAlgs: []string{oidc.RS256}, SkipExpiryCheck: true}).Verify(ctx, raw)
	if keys.unread {
		unread := aadsts.Unreachable(0)
		unread.Detail = "its signing keys could not be read"
		return consent.SignedIn{}, unread
	}
	if err != nil {
		// The library's texts quote claims, which may be personal.
		return consent.SignedIn{}, invalid("the id token is not valid: signature, issuer or audience")
	}
	var who claims
	if err := id.Claims(&who); err != nil {
		return consent.SignedIn{}, invalid("the id token's claims cannot be read")
	}
	if err := inTime(id, who, c.now()); err != nil {
		return consent.SignedIn{}, err
	}
	switch {
	case leg.Nonce == "" || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(leg.Nonce)) != 1:
		return consent.SignedIn{}, invalid("the id token belongs to another sign-in (nonce)")
	case !strings.EqualFold(who.Tenant, tenant.ID): // GUIDs are read in either case (RFC 9562, 4)
		return consent.SignedIn{}, invalid("the account belongs to another tenant")
	case who.Version != "2.0":
		return consent.SignedIn{}, invalid("the id token is not of version 2.0")
	case who.Object == "":
		return consent.SignedIn{}, invalid("the id token names no object id")
	}
	return consent.SignedIn{
		Account: consent.Account{ObjectID: strings.ToLower(who.Object), UPN: who.UPN, Name: who.Name},
		Roles:   who.Roles,
		Tokens:  c.tokens(token, began),
	}, nil
}

// leeway is how much our clock may be behind when an id token is judged.
const leeway = 5 * time.Minute

// inTime judges the times of an id token that Entra issued for this very request: where
// they do not fit, a clock is wrong.
func inTime(id *oidc.IDToken, who claims, now time.Time) error {
	if now.Before(id.Expiry) && !now.Add(leeway).Before(time.Unix(who.Before, 0)) {
		return nil
	}
	// Entra dates its tokens five minutes back.
	off, direction := now.Sub(id.IssuedAt.Add(5*time.Minute)).Round(time.Minute), "ahead of"
	if off < 0 {
		off, direction = -off, "behind"
	}
	return &Error{Class: aadsts.Tenant, Cause: fmt.Sprintf("the bridge's clock is about %s %s Microsoft's", off, direction), Step: clockStep}
}

// keySet tells keys that could not be read, which passes, from a signature that is
// wrong.
type keySet struct {
	oidc.KeySet
	unread bool
}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	// go-oidc says so in words only.
	k.unread = err != nil && strings.HasPrefix(err.Error(), "fetching keys ")
	return payload, err
}

// Refresh trades a refresh token for an access token for Graph. The refresh
// token that was used stays valid. Tokens.Refresh is empty when Entra sent none.
func (c *Client) Refresh(ctx context.Context, app consent.App, refresh secret.Text) (consent.Tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	tenant, err := c.known(ctx, app.Tenant)
	if err != nil {
		return consent.Tokens{}, err
	}
	parameters, err := proof(ctx, tenant, app)
	if err != nil {
		return consent.Tokens{}, err
	}
	parameters.Set("grant_type", "refresh_token")
	parameters.Set("refresh_token", refresh.Reveal())
	// oauth2's own refresh sends no scope and no assertion; this configuration lets
	// the grant type be set, so that the scope is named and a lost permission is
	// refused.
	config := clientcredentials.Config{
		ClientID: app.ClientID, TokenURL: tenant.TokenEndpoint,
		AuthStyle: oauth2.AuthStyleInParams, Scopes: c.scopes(consent.ReadPresence), EndpointParams: parameters,
	}
	began := c.now()
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, c.client(always)))
	if err != nil {
		return consent.Tokens{}, c.refusal(ctx, err)
	}
	return c.tokens(token, began), nil
}

// tokens reads the answer. Times count from when the request began, on our own
// clock. Permissions lose the resource in front, in whichever form they came.
func (c *Client) tokens(token *oauth2.Token, began time.Time) consent.Tokens {
	out := consent.Tokens{Access: secret.New(token.AccessToken), Expires: began}
	if seconds, ok := token.Extra("expires_in").(float64); ok {
		out.Expires = began.Add(time.Duration(seconds) * time.Second)
	}
	if token.RefreshToken != "" {
		out.Refresh = secret.New(token.RefreshToken)
	}
	granted, _ := token.Extra("scope").(string)
	for name := range strings.FieldsSeq(granted) {
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			name = name[i+1:]
		}
		switch name {
		case "openid", "profile", "email", "offline_access":
		default:
			out.Scopes = append(out.Scopes, name)
		}
	}
	return out
}

// refusal turns oauth2's error into an *[Error].
func (c *Client) refusal(ctx context.Context, err error) error {
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok && answer.Response != nil {
		return c.answered(answer.Response, answer.Body)
	}
	return network(ctx, err)
}

// answered judges an answer of the token endpoint. For an assertion that is not of
// this moment it compares our clock with Entra's.
func (c *Client) answered(response *http.Response, body []byte) *Error {
	e := aadsts.FromAnswer(response.StatusCode, body)
	e.Wait = c.wait(response)
	if !e.Has(outOfTime...) {
		return e
	}
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return e
	}
	off, direction := c.now().Sub(theirs).Round(time.Second), "ahead of"
	if off < 0 {
		off, direction = -off, "behind"
	}
	if off < time.Minute {
		e.Cause, e.Step = "Entra found the app's assertion out of its time range, although the bridge's clock agrees with Microsoft's", "Restart the function app: the platform then issues another one."
		return e
	}
	e.Cause = fmt.Sprintf("the bridge's clock is %s %s Microsoft's", off, direction)
	e.Step = clockStep
	return e
}

const clockStep = "Let the machine that runs the bridge take its time from a time server; in Azure, restart the function app."

// outOfTime are the numbers for assertions that are too old or too new.
var outOfTime = []int{700024, 500133}

// invalid refuses an answer that Entra would never give to us.
func invalid(cause string) *Error {
	return &Error{Class: aadsts.Defect, Cause: cause, Step: "Start again. If it stays, compare tenant id and client id with the app registration."}
}

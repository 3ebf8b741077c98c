package entra_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"procallteams/dev/entra"
)

func clientOptions(authority string, client *http.Client) azcore.ClientOptions {
	return azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: authority}, Transport: client}
}

func TestAzidentityGetsAnAppOnlyTokenOverTLS(t *testing.T) {
	c := start(t)
	if err := c.GrantApplication(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	credential, err := azidentity.NewClientSecretCredential(tenantID, clientID, secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions: clientOptions(c.backchannel.URL, c.backchannel.Client()), DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graph + "/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.VerifyFor(graph, token.Token)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"Presence.ReadWrite.All", "User.Read.All"}; !slices.Equal(got.Roles, want) || got.ObjectID != "" || got.TenantID != tenantID {
		t.Errorf("token says %+v; want app-only with roles %v", got, want)
	}
}

// rewriting sends what is for Microsoft's hosts to a simulator without TLS: SDKs look
// at an address's text alone.
type rewriting struct{ to *url.URL }

func (r rewriting) Do(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL.Scheme, request.URL.Host, request.Host = r.to.Scheme, r.to.Host, r.to.Host
	return http.DefaultClient.Do(request)
}

func TestAzidentityGetsATokenThroughARewritingTransport(t *testing.T) {
	c := start(t)
	plain, err := url.Parse(c.browser.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.SetURLs(c.browser.URL, "https://login.microsoftonline.com")
	// With instance discovery, which arrives at the simulator too.
	credential, err := azidentity.NewClientSecretCredential(tenantID, clientID, secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: rewriting{plain}},
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graph + "/.default"}, EnableCAE: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.VerifyFor(graph, token.Token); err != nil || time.Until(token.ExpiresOn) < 27*time.Hour {
		t.Errorf("token until %s, %v; want 28 hours for a client that handles challenges", token.ExpiresOn, err)
	}
}

func TestOauth2AndGoOIDCCompleteTheUserConsentOverTLS(t *testing.T) {
	c := start(t)
	ctx := oidc.ClientContext(t.Context(), c.backchannel.Client())
	provider, err := oidc.NewProvider(ctx, c.backchannel.URL+"/"+tenantID+"/v2.0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	cfg := oauth2.Config{
		ClientID: clientID, ClientSecret: secret, Endpoint: endpoint, RedirectURL: redirect,
		Scopes: []string{"openid", "profile", "offline_access", graph + "/Presence.Read.All"},
	}
	pkce := oauth2.GenerateVerifier()
	back := c.visit(entra.Person{ObjectID: bobID}, cfg.AuthCodeURL("state", oidc.Nonce("nonce"), oauth2.S256ChallengeOption(pkce), oauth2.SetAuthURLParam("response_mode", "form_post")))
	token, err := cfg.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(pkce))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	var person struct {
		OID, TID, Ver string
	}
	if err := id.Claims(&person); err != nil {
		t.Fatal(err)
	}
	if id.Nonce != "nonce" || person.OID != bobID || person.TID != tenantID || person.Ver != "2.0" {
		t.Errorf("id token says %+v, nonce %q", person, id.Nonce)
	}
	refreshed, err := cfg.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	if refreshed.RefreshToken == token.RefreshToken {
		t.Error("the refresh gave the same refresh token")
	}
	if err := c.RollKeys(); err != nil {
		t.Fatal(err)
	}
	rolled, err := cfg.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	raw, _ = rolled.Extra("id_token").(string)
	if _, err := provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(ctx, raw); err != nil {
		t.Errorf("id token after a key rollover: %v", err)
	}
}

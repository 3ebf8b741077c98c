package entra_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"procallteams/dev/entra"
)

// The tests of this file let Microsoft's own client library, which shares no code
// with the product's token client, complete its flows over TLS.

// msal makes a client of MSAL for an app of the simulated tenant.
func (c *world) msal(app string, credential confidential.Credential, err error) confidential.Client {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	client, err := confidential.New(c.backchannel.URL+"/"+tenantID, app, credential,
		confidential.WithHTTPClient(c.backchannel.Client()), confidential.WithInstanceDiscovery(false))
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// signInWith walks MSAL's sign-in: its address lacks state, nonce and PKCE, which
// the caller adds.
func (c *world) signInWith(client confidential.Client) confidential.AuthResult {
	c.t.Helper()
	scopes := []string{graph + "/Presence.Read.All"}
	address, err := client.AuthCodeURL(c.t.Context(), clientID, redirect, scopes)
	if err != nil {
		c.t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		c.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(verifier))
	q := u.Query()
	q.Set("state", "msal")
	q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
	q.Set("code_challenge_method", "S256")
	q.Set("scope", q.Get("scope")+" openid profile offline_access")
	u.RawQuery = q.Encode()
	back := c.visit(bob, u.String())
	result, err := client.AcquireTokenByAuthCode(c.t.Context(), back.Get("code"), redirect, scopes, confidential.WithChallenge(verifier))
	if err != nil {
		c.t.Fatal(err)
	}
	return result
}

// msalClients are one client per kind of credential, all of the same app.
func (c *world) msalClients() map[string]confidential.Client {
	c.t.Helper()
	certificate := selfSigned(c.t)
	for _, err := range []error{
		c.SetCertificates(tenantID, clientID, certificate),
		c.AddIdentity(entra.Identity{TenantID: tenantID, ClientID: identity, ObjectID: principal}),
		c.SetFederated(tenantID, clientID, entra.Federated{Issuer: c.backchannel.URL + "/" + tenantID + "/v2.0", Subject: principal, Audience: entra.ExchangeAudience}),
	} {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	bySecret, errSecret := confidential.NewCredFromSecret(secret)
	byCertificate, errCertificate := confidential.NewCredFromCert([]*x509.Certificate{certificate}, testKeys()[1])
	byAssertion := confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) {
		return c.identityToken(identity, entra.ExchangeAudience), nil
	})
	return map[string]confidential.Client{
		"by secret":                         c.msal(clientID, bySecret, errSecret),
		"by certificate":                    c.msal(clientID, byCertificate, errCertificate),
		"by a managed identity's assertion": c.msal(clientID, byAssertion, nil),
	}
}

func TestMSALSignsInAndRefreshesSilently(t *testing.T) {
	c := start(t)
	for name, client := range c.msalClients() {
		t.Run(name, func(t *testing.T) {
			c.SetTokenLifetime(time.Minute) // which MSAL takes for over
			first := c.signInWith(client)
			if first.IDToken.Oid != bobID || first.Account.HomeAccountID != bobID+"."+tenantID || !slices.Contains(first.GrantedScopes, graph+"/Presence.Read.All") {
				t.Errorf("signed in %s as %s with %v", first.IDToken.Oid, first.Account.HomeAccountID, first.GrantedScopes)
			}
			if claims, err := c.VerifyFor(graph, first.AccessToken); err != nil || claims.ObjectID != bobID {
				t.Errorf("access token: %+v, %v", claims, err)
			}
			before := c.TokenRequests()["refresh_token"]
			silent, err := client.AcquireTokenSilent(t.Context(), []string{graph + "/Presence.Read.All"}, confidential.WithSilentAccount(first.Account))
			if err != nil {
				t.Fatal(err)
			}
			if silent.AccessToken == first.AccessToken || c.TokenRequests()["refresh_token"] != before+1 {
				t.Error("the silent refresh asked for no new token")
			}
			if err := c.RevokeSessions(bobID); err != nil {
				t.Fatal(err)
			}
			if _, err := client.AcquireTokenSilent(t.Context(), []string{graph + "/Presence.Read.All"}, confidential.WithSilentAccount(first.Account)); err == nil {
				t.Error("a revoked sign-in was refreshed")
			}
		})
	}
}

func TestMSALGetsAppOnlyTokens(t *testing.T) {
	c := start(t)
	if err := c.GrantApplication(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	for name, client := range c.msalClients() {
		t.Run(name, func(t *testing.T) {
			result, err := client.AcquireTokenByCredential(t.Context(), []string{graph + "/.default"})
			if err != nil {
				t.Fatal(err)
			}
			claims, err := c.VerifyFor(graph, result.AccessToken)
			if err != nil || claims.ObjectID != "" || !slices.Equal(claims.Roles, []string{"Presence.ReadWrite.All", "User.Read.All"}) {
				t.Errorf("token %+v, %v", claims, err)
			}
		})
	}
	wrong, err := confidential.NewCredFromSecret("wrong")
	if _, err := c.msal(clientID, wrong, err).AcquireTokenByCredential(t.Context(), []string{graph + "/.default"}); err == nil {
		t.Error("a wrong secret got a token")
	}
}

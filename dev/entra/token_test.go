package entra_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/dev/entra"
)

func TestACodeWorksOnceAndForTenMinutes(t *testing.T) {
	c := start(t)
	code := c.visit(ada, c.authorizeURL()).Get("code")
	if got := c.redeem(code); got.status != http.StatusOK {
		t.Fatalf("first redemption: %s", got.raw)
	}
	wantRefusal(t, c.redeem(code), 400, "invalid_grant", 54005)
	late := c.visit(ada, c.authorizeURL()).Get("code")
	c.advance(10 * time.Minute)
	wantRefusal(t, c.redeem(late), 400, "invalid_grant", 70008)
}

func TestACodeBelongsToItsClientRedirectURIAndVerifier(t *testing.T) {
	c := start(t)
	code := c.visit(ada, c.authorizeURL()).Get("code")
	wantRefusal(t, c.redeem(code, "client_id", otherClient, "client_secret", "another~secret"), 400, "invalid_grant", 70000)
	wantRefusal(t, c.redeem(code, "redirect_uri", adminBack), 400, "invalid_grant", 500112)
	wantRefusal(t, c.redeem(code, "code_verifier", verifier+"x"), 400, "invalid_grant", 501481)
	wantRefusal(t, c.redeem(code, "code_verifier", ""), 400, "invalid_grant", 501481)
	wantRefusal(t, c.redeem("made-up"), 400, "invalid_grant", 9002313)
	if got := c.redeem(code); got.status != http.StatusOK {
		t.Errorf("the right redemption: %s", got.raw)
	}
}

func TestAChallengeWithoutMethodIsPlain(t *testing.T) {
	c := start(t)
	code := c.visit(ada, c.authorizeURL("code_challenge", verifier, "code_challenge_method", "")).Get("code")
	if got := c.redeem(code); got.status != http.StatusOK {
		t.Errorf("redemption with the challenge itself: %s", got.raw)
	}
}

func TestScopesDecideWhichTokensCome(t *testing.T) {
	c := start(t)
	all := c.signIn()
	if all.RefreshToken == "" || all.IDToken == "" {
		t.Error("all scopes: a token is missing")
	}
	if got := c.signIn("scope", "openid "+graph+"/Presence.Read.All"); got.RefreshToken != "" || got.IDToken == "" {
		t.Error("without offline_access a refresh token came, or no id token")
	}
	if got := c.signIn("scope", "offline_access "+graph+"/Presence.Read.All"); got.RefreshToken == "" || got.IDToken != "" {
		t.Error("without openid an id token came, or no refresh token")
	}
	if got := claims(t, c.signIn("scope", "openid").IDToken); got["oid"] != nil || got["preferred_username"] != nil {
		t.Errorf("without profile the id token names the user: %v", got)
	}
}

func TestTheAnswersScopeIsWhatWasGrantedMaybeMoreNeverOfflineAccess(t *testing.T) {
	c := start(t)
	if err := c.GrantDelegated(tenantID, clientID, adaID, "User.ReadBasic.All"); err != nil {
		t.Fatal(err)
	}
	want := graph + "/Presence.Read.All " + graph + "/User.ReadBasic.All openid profile"
	if got := c.signIn().Scope; got != want {
		t.Errorf("scope %q; want %q", got, want)
	}
}

func TestTheIDTokenCarriesWhatEntraPutsIn(t *testing.T) {
	c := start(t)
	got := claims(t, c.signIn().IDToken)
	now := float64(c.clock().Unix())
	for name, want := range map[string]any{
		"iss": c.backchannel.URL + "/" + tenantID + "/v2.0", "aud": clientID, "tid": tenantID, "oid": adaID, "nonce": "n0nce",
		"ver": "2.0", "name": "Ada", "preferred_username": "ada@contoso.com", "iat": now - 300, "nbf": now - 300, "exp": now + 3600,
	} {
		if got[name] != want {
			t.Errorf("%s = %v; want %v", name, got[name], want)
		}
	}
	if roles, _ := got["roles"].([]any); len(roles) != 1 || roles[0] != "Bridge.Admin" {
		t.Errorf("roles = %v; want the user's app roles", got["roles"])
	}
}

func TestTheKeySetHoldsTwoKeysWithEntrasMembers(t *testing.T) {
	c := start(t)
	_, body := get(t.Context(), t, c.backchannel.Client(), c.backchannel.URL+"/"+tenantID+"/discovery/v2.0/keys")
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(body), &set); err != nil || len(set.Keys) < 2 {
		t.Fatalf("%d keys, %v; want at least 2", len(set.Keys), err)
	}
	for _, name := range []string{"kty", "use", "kid", "x5t", "n", "e", "x5c", "issuer"} {
		if set.Keys[0][name] == nil {
			t.Errorf("member %s is missing", name)
		}
	}
}

func TestDiscoveryAlwaysNamesTheGUID(t *testing.T) {
	c := start(t)
	read := func(tenant string) (doc map[string]any) {
		_, body := get(t.Context(), t, c.backchannel.Client(), c.backchannel.URL+"/"+tenant+"/v2.0/.well-known/openid-configuration")
		if err := json.Unmarshal([]byte(body), &doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	for _, tenant := range []string{tenantID, "contoso.com", "CONTOSO.com"} {
		doc := read(tenant)
		for name, want := range map[string]string{
			"issuer":                 c.backchannel.URL + "/" + tenantID + "/v2.0",
			"authorization_endpoint": c.browser.URL + "/" + tenantID + "/oauth2/v2.0/authorize",
			"token_endpoint":         c.backchannel.URL + "/" + tenantID + "/oauth2/v2.0/token",
			"jwks_uri":               c.backchannel.URL + "/" + tenantID + "/discovery/v2.0/keys",
		} {
			if doc[name] != want {
				t.Errorf("%s: %s = %v; want %s", tenant, name, doc[name], want)
			}
		}
	}
	if got, want := read("common")["issuer"], c.backchannel.URL+"/{tenantid}/v2.0"; got != want {
		t.Errorf("common: issuer %v; want %s", got, want)
	}
	if got := read("nowhere.example")["error_codes"]; got == nil {
		t.Error("an unknown tenant has no error")
	}
	_, body := get(t.Context(), t, c.backchannel.Client(), c.backchannel.URL+"/common/discovery/instance?api-version=1.1&authorization_endpoint="+url.QueryEscape("https://login.example/"+tenantID+"/oauth2/v2.0/authorize"))
	if !strings.Contains(body, `"aliases":["login.example"]`) || !strings.Contains(body, "tenant_discovery_endpoint") {
		t.Errorf("instance discovery %s", body)
	}
}

func TestAppOnlyTokensComeBeforeConsentButWithoutRoles(t *testing.T) {
	c := start(t)
	before := c.appOnly()
	if before.status != http.StatusOK || before.Scope != "" || before.RefreshToken != "" {
		t.Fatalf("before consent: %s", before.raw)
	}
	if got := claims(t, before.AccessToken); got["roles"] != nil || got["idtyp"] != "app" || got["iss"] != "https://sts.windows.net/"+tenantID+"/" {
		t.Errorf("claims before consent %v", got)
	}
	c.SetConsentDelay(5 * time.Minute)
	c.visit(ada, c.adminURL())
	if got, _ := c.VerifyFor(graph, c.appOnly().AccessToken); len(got.Roles) != 0 {
		t.Errorf("roles %v within the delay", got.Roles)
	}
	c.advance(5 * time.Minute)
	after := c.appOnly()
	if got, _ := c.VerifyFor(graph, after.AccessToken); !slices.Equal(got.Roles, []string{"Presence.ReadWrite.All", "User.Read.All"}) {
		t.Errorf("roles %v after the delay", got.Roles)
	}
	if got, _ := c.VerifyFor(graph, before.AccessToken); len(got.Roles) != 0 {
		t.Errorf("the old token changed: roles %v", got.Roles)
	}
	if err := c.RevokeApplication(tenantID, clientID, "Presence.ReadWrite.All"); err != nil {
		t.Fatal(err)
	}
	if got, _ := c.VerifyFor(graph, after.AccessToken); len(got.Roles) != 2 {
		t.Errorf("the token before the revocation changed: roles %v", got.Roles)
	}
	if got, _ := c.VerifyFor(graph, c.appOnly().AccessToken); !slices.Equal(got.Roles, []string{"User.Read.All"}) {
		t.Errorf("roles %v after the revocation", got.Roles)
	}
}

func TestClientCredentialsTakeExactlyOneDefaultScope(t *testing.T) {
	c := start(t)
	if got := c.appOnly("scope", graph+"/.default openid offline_access profile"); got.status != http.StatusOK {
		t.Errorf("with sign-in scopes as MSAL sends them: %s", got.raw)
	}
	wantRefusal(t, c.appOnly("scope", graph+"/Presence.ReadWrite.All"), 400, "invalid_scope", 1002012)
	wantRefusal(t, c.appOnly("scope", graph+"/.default https://vault.azure.net/.default"), 400, "invalid_scope", 28000)
	wantRefusal(t, c.appOnly("scope", "https://graph.example/.default"), 400, "invalid_resource", 500011)
	wantRefusal(t, c.appOnly("scope", ""), 400, "invalid_request", 900144)
}

func TestAnErrorHasExactlyEntrasMembers(t *testing.T) {
	c := start(t)
	got := c.refresh("made-up")
	var members map[string]any
	if err := json.Unmarshal([]byte(got.raw), &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri"} {
		if members[name] == nil {
			t.Errorf("member %s is missing", name)
		}
		delete(members, name)
	}
	if len(members) != 0 {
		t.Errorf("members too many: %v", members)
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$`).MatchString(got.Timestamp) {
		t.Errorf("timestamp %q", got.Timestamp)
	}
}

func TestClientCredentialsThatAreWrongGet401(t *testing.T) {
	c := start(t)
	wantRefusal(t, c.appOnly("client_secret", "wrong"), 401, "invalid_client", 7000215)
	wantRefusal(t, c.appOnly("client_secret", ""), 401, "invalid_client", 7000218)
	wantRefusal(t, c.appOnly("client_id", "7a1d0000-0000-4000-8000-0000000000ff"), 400, "unauthorized_client", 700016)
	wantRefusal(t, c.tokenAt("3f2b1c7e-0000-4000-8000-0000000000ff", "grant_type", "client_credentials"), 400, "invalid_request", 90002)
	c.SetUnknownTenantError("invalid_tenant")
	wantRefusal(t, c.tokenAt("3f2b1c7e-0000-4000-8000-0000000000ff", "grant_type", "client_credentials"), 400, "invalid_tenant", 90002)
	_ = c.SetSecret(tenantID, clientID, secret, c.clock().Add(time.Hour))
	if got := c.appOnly(); got.status != http.StatusOK {
		t.Errorf("before the secret expires: %s", got.raw)
	}
	c.advance(time.Hour)
	wantRefusal(t, c.appOnly(), 401, "invalid_client", 7000222)
	_ = c.SetAppEnabled(tenantID, clientID, false)
	wantRefusal(t, c.appOnly(), 400, "unauthorized_client", 7000112)
}

func TestTheTokenEndpointRefusesGETOriginsAndUnknownGrants(t *testing.T) {
	c := start(t)
	target := c.backchannel.URL + "/" + tenantID + "/oauth2/v2.0/token"
	wantRefusal(t, c.send(http.MethodGet, target, nil, nil), 400, "invalid_request", 900561)
	form := url.Values{"client_id": {clientID}, "client_secret": {secret}, "grant_type": {"client_credentials"}, "scope": {graph + "/.default"}}
	wantRefusal(t, c.send(http.MethodPost, target, form, http.Header{"Origin": {"https://spa.example"}}), 400, "invalid_request", 9002326)
	wantRefusal(t, c.token("grant_type", "password"), 400, "unsupported_grant_type", 70003)
	wantRefusal(t, c.token(), 400, "invalid_request", 900144)
	basic := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(clientID+":"+url.QueryEscape(secret)))}}
	form.Del("client_id")
	form.Del("client_secret")
	if got := c.send(http.MethodPost, target, form, basic); got.status != http.StatusOK {
		t.Errorf("HTTP Basic: %s", got.raw)
	}
	if got := c.TokenRequests(); got["client_credentials"] != 2 || got["password"] != 1 {
		t.Errorf("counted %v", got)
	}
}

func TestClientInfoComesOnlyWhenAsked(t *testing.T) {
	c := start(t)
	if got := c.signIn(); got.ClientInfo != "" {
		t.Error("client_info came unasked")
	}
	got := c.redeem(c.visit(ada, c.authorizeURL()).Get("code"), "client_info", "1")
	decoded, err := base64.RawURLEncoding.DecodeString(got.ClientInfo)
	if err != nil || string(decoded) != `{"uid":"`+adaID+`","utid":"`+tenantID+`"}` {
		t.Errorf("client_info %s, %v", decoded, err)
	}
}

func TestLifetimesAreRandomShortenedOrLongForCAE(t *testing.T) {
	c := start(t)
	for range 20 {
		if got := c.appOnly().ExpiresIn; got < 3600 || got > 5400 {
			t.Errorf("expires_in %d; want 3600 to 5400", got)
		}
	}
	if got := c.appOnly("claims", `{"access_token":{"xms_cc":{"values":["cp1"]}}}`).ExpiresIn; got != 28*3600 {
		t.Errorf("expires_in %d with cp1; want 28 hours", got)
	}
	c.SetTokenLifetime(time.Minute)
	got := c.appOnly()
	c.advance(time.Minute)
	if _, err := c.VerifyAccessToken(got.AccessToken); err == nil || got.ExpiresIn != 60 {
		t.Errorf("a token of %d s still counts after a minute", got.ExpiresIn)
	}
}

func TestFaultsOfTheTokenEndpoint(t *testing.T) {
	c := start(t)
	for _, row := range []struct {
		kind, contentType string
		status            int
	}{
		{entra.FaultThrottle, "text/plain", 429}, {entra.FaultOutage, "application/json", 503}, {entra.FaultGateway, "text/html", 504},
	} {
		if err := c.Inject(entra.Fault{Endpoint: entra.EndpointToken, Kind: row.kind, Count: 1, RetryAfter: 7 * time.Second}); err != nil {
			t.Fatal(err)
		}
		got := c.appOnly()
		if got.status != row.status || !strings.HasPrefix(got.header.Get("Content-Type"), row.contentType) {
			t.Errorf("%s: %d %s", row.kind, got.status, got.header.Get("Content-Type"))
		}
		if row.kind == entra.FaultThrottle && got.header.Get("Retry-After") != "7" {
			t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
		}
		if row.kind == entra.FaultOutage {
			wantRefusal(t, got, 503, "temporarily_unavailable", 90033)
		}
	}
	if got := c.appOnly(); got.status != http.StatusOK {
		t.Errorf("after the faults: %s", got.raw)
	}
}

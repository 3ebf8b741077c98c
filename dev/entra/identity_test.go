package entra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/dev/entra"
)

func selfSigned(t *testing.T) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, testKeys()[1].Public(), testKeys()[1])
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func selfSignedKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// identityRequest asks the identity endpoint as an SDK does.
func (c *world) identityRequest(header, clientID, resource string) (int, map[string]any) {
	c.t.Helper()
	query := url.Values{"api-version": {"2019-08-01"}, "resource": {resource}, "client_id": {clientID}}
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.browser.URL+"/msi/token?"+query.Encode(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("X-IDENTITY-HEADER", header)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, body
}

func (c *world) identityToken(clientID, resource string) string {
	c.t.Helper()
	status, body := c.identityRequest(c.IdentityHeader(), clientID, resource)
	token, _ := body["access_token"].(string)
	if status != http.StatusOK || token == "" {
		c.t.Fatalf("identity endpoint: %d %v", status, body)
	}
	return token
}

func TestTheIdentityEndpointRefusesStrangersAndUnknownIdentities(t *testing.T) {
	c := start(t)
	if err := c.AddIdentity(entra.Identity{TenantID: tenantID, ClientID: "mine", ObjectID: "principal", System: true}); err != nil {
		t.Fatal(err)
	}
	const vault = "https://vault.azure.net"
	for name, row := range map[string]struct {
		header, client, resource string
		want                     int
	}{
		"right":            {c.IdentityHeader(), "mine", vault, 200},
		"system":           {c.IdentityHeader(), "", vault, 200},
		"wrong header":     {"guess", "mine", vault, 401},
		"unknown identity": {c.IdentityHeader(), "other", vault, 400},
		"unknown resource": {c.IdentityHeader(), "mine", "https://nowhere.example", 400},
	} {
		if got, body := c.identityRequest(row.header, row.client, row.resource); got != row.want {
			t.Errorf("%s: %d %v; want %d", name, got, body, row.want)
		}
	}
	claims, err := c.VerifyFor(vault, c.identityToken("mine", vault))
	if err != nil || claims.AppID != "mine" {
		t.Errorf("token %+v, %v", claims, err)
	}
	if err := c.Inject(entra.Fault{Endpoint: entra.EndpointIdentity, Kind: entra.FaultOutage, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if got, body := c.identityRequest(c.IdentityHeader(), "mine", vault); got != 500 || body["message"] != "An unexpected error occured while fetching the AAD Token." {
		t.Errorf("unsteady: %d %v", got, body)
	}
}

func TestIssuedSecretsHoldsEverythingThatMustNotLeak(t *testing.T) {
	c := start(t)
	back := c.visit(ada, c.authorizeURL())
	got := c.redeem(back.Get("code"))
	secrets := c.IssuedSecrets()
	for name, value := range map[string]string{
		"client secret": secret, "code": back.Get("code"), "access token": got.AccessToken, "refresh token": got.RefreshToken,
		"id token": got.IDToken, "app token": c.appOnly().AccessToken, "identity header": c.IdentityHeader(),
	} {
		if name == "app token" {
			secrets = c.IssuedSecrets()
		}
		if value == "" || !slices.Contains(secrets, value) {
			t.Errorf("%s is not listed", name)
		}
	}
}

func (c *world) post(path, contentType, body string) int {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.browser.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func TestTheControlAPIAndTheMenuWorkTheSameSwitches(t *testing.T) {
	c := start(t)
	if got := c.post("/_control/grant-application", "application/json", `{"tenant":"`+tenantID+`","client":"`+clientID+`","names":["User.Read.All"]}`); got != http.StatusNoContent {
		t.Errorf("control: %d", got)
	}
	if got := c.Roles(tenantID, clientID); !slices.Equal(got, []string{"User.Read.All"}) {
		t.Errorf("roles %v after the control API", got)
	}
	form := url.Values{"action": {"grant-application"}, "tenant": {tenantID}, "client": {clientID}}
	if got := c.post("/_menu", "application/x-www-form-urlencoded", form.Encode()); got != http.StatusOK {
		t.Errorf("menu: %d", got)
	}
	if got := c.Roles(tenantID, clientID); len(got) != 2 {
		t.Errorf("roles %v after the menu", got)
	}
	if got := c.post("/_control/dance", "application/json", `{}`); got != http.StatusNotFound {
		t.Errorf("unknown action: %d", got)
	}
	if got := c.post("/_control/disable", "application/json", `{"user":"nobody"}`); got != http.StatusBadRequest {
		t.Errorf("unknown user: %d", got)
	}
	if got := c.post("/_control/user", "application/json", `{"tenantId":"`+tenantID+`","objectId":"new","upn":"new@contoso.com","name":"New"}`); got != http.StatusNoContent {
		t.Errorf("add user: %d", got)
	}
	_, menu := get(t.Context(), t, http.DefaultClient, c.browser.URL+"/")
	for _, want := range []string{`href="/?user=new"`, "Sessions revoked", "Things happen to", "Presence.ReadWrite.All", "eve@fabrikam.com"} {
		if !strings.Contains(menu, want) {
			t.Errorf("the menu lacks %q", want)
		}
	}
	_, state := get(t.Context(), t, http.DefaultClient, c.browser.URL+"/_control/state")
	if strings.Contains(state, secret) || strings.Contains(menu, secret) {
		t.Error("the client secret is shown")
	}
}

func TestPagesAndBackChannelAnswerOnBothListeners(t *testing.T) {
	c := start(t)
	path := "/" + tenantID + "/v2.0/.well-known/openid-configuration"
	for _, server := range []*httptest.Server{c.browser, c.backchannel} {
		if response, _ := get(t.Context(), t, server.Client(), server.URL+path); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", server.URL, response.StatusCode)
		}
	}
}

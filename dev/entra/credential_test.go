package entra_test

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"procallteams/dev/entra"
)

// signed makes a JWT with the test's second key, and a header beside typ and alg.
func signed(t *testing.T, algorithm jose.SignatureAlgorithm, key *rsa.PrivateKey, header, value string, payload map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if header != "" {
		options = options.WithHeader(jose.HeaderKey(header), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(encoded)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// certified is the client id of the app with a certificate in these tests.
const certified = "7a1d0000-0000-4000-8000-00000000000c"

// assertion is a client assertion of the certified app as the documentation
// describes it, with changes; nil drops a claim.
func (c *world) assertion(changes map[string]any) map[string]any {
	now := c.clock().Unix()
	payload := map[string]any{
		"aud": c.backchannel.URL + "/" + tenantID + "/oauth2/v2.0/token", "iss": certified, "sub": certified, "jti": "1", "nbf": now, "exp": now + 600,
	}
	maps.Copy(payload, changes)
	maps.DeleteFunc(payload, func(_ string, value any) bool { return value == nil })
	return payload
}

func (c *world) present(app, assertion string) answer {
	c.t.Helper()
	return c.appOnly("client_id", app, "client_secret", "", "client_assertion", assertion,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
}

func TestCertificateAssertionsReplaceTheSecret(t *testing.T) {
	c := start(t)
	certificate := selfSigned(t)
	if err := c.AddApp(entra.App{TenantID: tenantID, ClientID: certified, Name: "Certified", Certificates: []*x509.Certificate{certificate}}); err != nil {
		t.Fatal(err)
	}
	long, short := sha256.Sum256(certificate.Raw), sha1.Sum(certificate.Raw)
	thumbprint := base64.RawURLEncoding.EncodeToString(long[:])
	key, other := testKeys()[1], testKeys()[0]
	sign := func(changes map[string]any) string {
		return signed(t, jose.PS256, key, "x5t#S256", thumbprint, c.assertion(changes))
	}
	for name, text := range map[string]string{
		"PS256, base64 as MSAL for Go":  signed(t, jose.PS256, key, "x5t#S256", base64.StdEncoding.EncodeToString(long[:]), c.assertion(nil)),
		"PS256, base64url":              sign(nil),
		"RS256":                         signed(t, jose.RS256, key, "x5t#S256", thumbprint, c.assertion(nil)),
		"SHA-1 thumbprint":              signed(t, jose.RS256, key, "x5t", base64.RawURLEncoding.EncodeToString(short[:]), c.assertion(nil)),
		"for the issuer":                sign(map[string]any{"aud": c.backchannel.URL + "/" + tenantID + "/v2.0"}),
		"for the endpoint by domain":    sign(map[string]any{"aud": c.backchannel.URL + "/contoso.com/oauth2/v2.0/token"}),
		"for several":                   sign(map[string]any{"aud": []string{"https://elsewhere.example", c.backchannel.URL + "/" + tenantID + "/oauth2/v2.0/token"}}),
		"without nbf":                   sign(map[string]any{"nbf": nil}),
		"by a clock four minutes ahead": sign(map[string]any{"nbf": c.clock().Unix() + 240}),
	} {
		if got := c.present(certified, text); got.status != http.StatusOK {
			t.Errorf("%s: %s", name, got.raw)
		}
	}
	right := sign(nil)
	for name, row := range map[string]struct {
		text string
		want int
	}{
		"broken signature":         {right[:len(right)-8] + "AAAAAAAA", 700027},
		"another key":              {signed(t, jose.PS256, other, "x5t#S256", thumbprint, c.assertion(nil)), 700027},
		"unknown thumbprint":       {signed(t, jose.PS256, key, "x5t#S256", "AAAA", c.assertion(nil)), 700027},
		"no thumbprint":            {signed(t, jose.PS256, key, "", "", c.assertion(nil)), 700027},
		"over":                     {sign(map[string]any{"exp": c.clock().Unix()}), 700024},
		"without an end":           {sign(map[string]any{"exp": nil}), 700024},
		"by a clock far ahead":     {sign(map[string]any{"nbf": c.clock().Unix() + 600, "exp": c.clock().Unix() + 900}), 700024},
		"for another audience":     {sign(map[string]any{"aud": "https://elsewhere.example"}), 700023},
		"for nobody":               {sign(map[string]any{"aud": nil}), 700023},
		"another subject":          {sign(map[string]any{"sub": clientID}), 700021},
		"another app's":            {sign(map[string]any{"iss": clientID}), 700211},
		"signed in another way":    {signed(t, jose.PS384, key, "x5t#S256", thumbprint, c.assertion(nil)), 50027},
		"not a token":              {"assertion", 50027},
		"claims that are no claim": {signed(t, jose.PS256, key, "x5t#S256", thumbprint, map[string]any{"iss": 7}), 50027},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, c.present(certified, row.text), 401, "invalid_client", row.want) })
	}
	t.Run("expired certificate", func(t *testing.T) {
		c.advance(2 * time.Hour)
		got := c.present(certified, sign(nil))
		wantRefusal(t, got, 401, "invalid_client", 700027)
	})
	t.Run("removed", func(t *testing.T) {
		if err := c.SetCertificates(tenantID, certified); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, c.present(certified, sign(nil)), 401, "invalid_client", 700027)
	})
	wantRefusal(t, c.appOnly("client_assertion", right), 400, "invalid_request", 900144)
}

func TestAnAssertionServesEveryGrant(t *testing.T) {
	c := start(t)
	certificate := selfSigned(t)
	if err := c.SetCertificates(tenantID, clientID, certificate); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(certificate.Raw)
	text := signed(t, jose.PS256, testKeys()[1], "x5t#S256", base64.RawURLEncoding.EncodeToString(sum[:]), c.assertion(map[string]any{"iss": clientID, "sub": clientID}))
	instead := []string{"client_secret", "", "client_assertion", text, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
	got := c.redeem(c.visit(ada, c.authorizeURL()).Get("code"), instead...)
	if got.status != http.StatusOK {
		t.Fatalf("code: %s", got.raw)
	}
	if got := c.refresh(got.RefreshToken, instead...); got.status != http.StatusOK {
		t.Errorf("refresh: %s", got.raw)
	}
	if got := c.refresh(got.RefreshToken); got.status != http.StatusOK {
		t.Errorf("refresh by secret of a sign-in by certificate: %s", got.raw)
	}
}

const (
	identity  = "1d000000-0000-4000-8000-000000000001"
	principal = "1d000000-0000-4000-8000-0000000000ff"
	federated = "7a1d0000-0000-4000-8000-00000000000d"
)

// federate registers an app without any secret and returns the credential that
// fits the identity.
func (c *world) federate() entra.Federated {
	c.t.Helper()
	for _, err := range []error{
		c.AddIdentity(entra.Identity{TenantID: tenantID, ClientID: identity, ObjectID: principal}),
		c.AddApp(entra.App{TenantID: tenantID, ClientID: federated, Name: "Federated"}),
	} {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return entra.Federated{Issuer: c.backchannel.URL + "/" + tenantID + "/v2.0", Subject: principal, Audience: entra.ExchangeAudience}
}

func TestAManagedIdentityStandsInForASecretWhenEveryLetterMatches(t *testing.T) {
	c := start(t)
	exact := c.federate()
	// Identities' ids are hexadecimal, so that case matters in their letters.
	for name, row := range map[string]struct {
		change func(*entra.Federated)
		want   int
	}{
		"issuer":           {func(f *entra.Federated) { f.Issuer += "/" }, 700211},
		"subject":          {func(f *entra.Federated) { f.Subject = identity }, 700213},
		"audience":         {func(f *entra.Federated) { f.Audience = "api://something" }, 700212},
		"case of issuer":   {func(f *entra.Federated) { f.Issuer = "HTTPS" + f.Issuer[5:] }, 7002137},
		"case of subject":  {func(f *entra.Federated) { f.Subject = "1D000000-0000-4000-8000-0000000000FF" }, 7002138},
		"case of audience": {func(f *entra.Federated) { f.Audience = "api://azureadtokenexchange" }, 7002137},
	} {
		t.Run(name, func(t *testing.T) {
			f := exact
			row.change(&f)
			if err := c.SetFederated(tenantID, federated, f); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, c.present(federated, c.identityToken(identity, entra.ExchangeAudience)), 401, "invalid_client", row.want)
		})
	}
	wrong := exact
	wrong.Subject = identity
	if err := c.SetFederated(tenantID, federated, wrong, exact); err != nil {
		t.Fatal(err)
	}
	if got := c.present(federated, c.identityToken(identity, entra.ExchangeAudience)); got.status != http.StatusOK {
		t.Errorf("the second of two fits: %s", got.raw)
	}
	if err := c.SetFederated(tenantID, federated); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.present(federated, c.identityToken(identity, entra.ExchangeAudience)), 401, "invalid_client", 700211)
}

func TestAFederatedAssertionMustBeEntrasOfThisTenantAndNoUsers(t *testing.T) {
	c := start(t)
	exact := c.federate()
	if err := c.SetFederated(tenantID, federated, exact); err != nil {
		t.Fatal(err)
	}
	claims := func(changes map[string]any) map[string]any {
		all := map[string]any{"iss": exact.Issuer, "sub": exact.Subject, "aud": exact.Audience}
		maps.Copy(all, changes)
		return c.assertion(all)
	}
	foreign := exact
	foreign.Issuer = c.backchannel.URL + "/" + foreignID + "/v2.0"
	if err := c.SetFederated(tenantID, federated, exact, foreign); err != nil {
		t.Fatal(err)
	}
	stranger := selfSignedKey(t)
	for name, row := range map[string]struct {
		key     *rsa.PrivateKey
		changes map[string]any
		want    int
	}{
		"signed by a stranger":   {stranger, nil, 50013},
		"of another tenant":      {testKeys()[0], map[string]any{"iss": foreign.Issuer}, 700222},
		"a user's":               {testKeys()[0], map[string]any{"idtyp": "user"}, 700229},
		"over":                   {testKeys()[0], map[string]any{"exp": c.clock().Unix() - 1}, 700024},
		"for another audience":   {testKeys()[0], map[string]any{"aud": graph}, 700212},
		"without any audience":   {testKeys()[0], map[string]any{"aud": nil}, 700212},
		"of somebody without id": {testKeys()[0], map[string]any{"sub": nil}, 700213},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, c.present(federated, signed(t, jose.RS256, row.key, "", "", claims(row.changes))), 401, "invalid_client", row.want)
		})
	}
	if got := c.present(federated, signed(t, jose.RS256, testKeys()[0], "", "", claims(nil))); got.status != http.StatusOK {
		t.Errorf("the right one: %s", got.raw)
	}
}

// Platforms keep an identity's token for a day.
func TestAnAssertionOutlivesTheKeyThatSignedIt(t *testing.T) {
	c := start(t)
	if err := c.SetFederated(tenantID, federated, c.federate()); err != nil {
		t.Fatal(err)
	}
	token := c.identityToken(identity, entra.ExchangeAudience)
	for range 3 {
		if err := c.RollKeys(); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.present(federated, token); got.status != http.StatusOK {
		t.Errorf("after three new keys: %s", got.raw)
	}
}

func TestANewFederatedCredentialIsKnownAfterAWhile(t *testing.T) {
	c := start(t)
	exact := c.federate()
	c.SetFederatedDelay(5 * time.Minute)
	if err := c.SetFederated(tenantID, federated, exact); err != nil {
		t.Fatal(err)
	}
	token := c.identityToken(identity, entra.ExchangeAudience)
	wantRefusal(t, c.present(federated, token), 401, "invalid_client", 700211)
	c.advance(4 * time.Minute)
	if err := c.SetFederated(tenantID, federated, exact, entra.Federated{Issuer: "https://another.example"}); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Minute)
	if got := c.present(federated, token); got.status != http.StatusOK {
		t.Errorf("after five minutes, another one added meanwhile: %s", got.raw)
	}
}

func TestTheExchangeAudiencesOfTheOtherCloudsAreKnown(t *testing.T) {
	c := start(t)
	c.federate()
	for _, audience := range []string{entra.ExchangeAudience, "api://AzureADTokenExchangeUSGov", "api://AzureADTokenExchangeChina"} {
		if got := claims(t, c.identityToken(identity, audience)); got["aud"] != audience || got["iss"] != c.backchannel.URL+"/"+tenantID+"/v2.0" || got["sub"] != principal {
			t.Errorf("%s: %v", audience, got)
		}
	}
}

func TestTwoSecretsWorkSideBySideDuringARotation(t *testing.T) {
	c := start(t)
	works := func(value string) bool { return c.appOnly("client_secret", value).status == http.StatusOK }
	if err := c.AddSecret(tenantID, clientID, "the~new~secret", c.clock().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if !works(secret) || !works("the~new~secret") {
		t.Error("one of two secrets does not work")
	}
	if err := c.RemoveSecret(tenantID, clientID, secret); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.appOnly("client_secret", secret), 401, "invalid_client", 7000215)
	if err := c.ExpireSecrets(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.appOnly("client_secret", "the~new~secret"), 401, "invalid_client", 7000222)
	if err := c.RenewSecrets(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	if !works("the~new~secret") {
		t.Error("a renewed secret does not work")
	}
}

func TestCredentialsAreSetByTheControlAPI(t *testing.T) {
	c := start(t)
	exact := c.federate()
	body, err := json.Marshal(map[string]any{"tenant": tenantID, "client": federated, "federated": []entra.Federated{exact}, "certificates": []string{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: selfSigned(t).Raw}))}})
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"federated", "certificates"} {
		if got := c.post("/_control/"+action, "application/json", string(body)); got != http.StatusNoContent {
			t.Errorf("%s: %d", action, got)
		}
	}
	if got := c.present(federated, c.identityToken(identity, entra.ExchangeAudience)); got.status != http.StatusOK {
		t.Errorf("federated: %s", got.raw)
	}
	if got := c.post("/_control/certificates", "application/json", `{"tenant":"`+tenantID+`","client":"`+federated+`","certificates":["nonsense"]}`); got != http.StatusBadRequest {
		t.Errorf("nonsense as a certificate: %d", got)
	}
	if got := c.post("/_control/add-secret", "application/json", `{"tenant":"`+tenantID+`","client":"`+federated+`","secret":"a~second~secret"}`); got != http.StatusNoContent {
		t.Errorf("add-secret: %d", got)
	}
	if got := c.appOnly("client_id", federated, "client_secret", "a~second~secret"); got.status != http.StatusOK {
		t.Errorf("added secret: %s", got.raw)
	}
}

package entra_test

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"procallteams/internal/consent"
	"procallteams/internal/entra"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// forger is an Entra that signs whatever it is told to.
type forger struct {
	t      *testing.T
	url    string
	key    *rsa.PrivateKey
	claims map[string]any
}

func (f *forger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base := f.url + "/" + tenant
	var answer any
	switch r.URL.Path {
	case "/" + tenant + "/v2.0/.well-known/openid-configuration":
		answer = map[string]any{"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token", "jwks_uri": base + "/discovery/v2.0/keys"}
	case "/" + tenant + "/discovery/v2.0/keys":
		answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: f.key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}}
	default:
		answer = map[string]any{"token_type": "Bearer", "expires_in": 3600, "access_token": "opaque", "id_token": f.sign()}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *forger) sign() string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: f.key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		f.t.Error(err)
		return ""
	}
	token, err := jwt.Signed(signer).Claims(f.claims).Serialize()
	if err != nil {
		f.t.Error(err)
	}
	return token
}

// Signature, issuer and audience are right in every row but the last ones, so that the
// tenant alone decides.
func TestAnIDTokenIsOfTheTenantItself(t *testing.T) {
	f := &forger{t: t, key: keys()[0]}
	server := httptest.NewTLSServer(f)
	defer server.Close()
	f.url = server.URL
	c := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: server.URL, Graph: graph}, HTTP: server.Client()}
	const another = "99999999-0000-4000-8000-000000000000"
	issuer := func(of string) string { return server.URL + "/" + of + "/v2.0" }
	for _, row := range []struct {
		name   string
		tid    any
		issuer string
		cause  string // empty: it is accepted
	}{
		{"its own", tenant, issuer(tenant), ""},
		{"its own in capitals: a GUID is one", strings.ToUpper(tenant), issuer(tenant), ""},
		{"another tenant's", another, issuer(tenant), "another tenant"},
		{"none", nil, issuer(tenant), "another tenant"},
		{"an empty one", "", issuer(tenant), "another tenant"},
		{"no text", 7, issuer(tenant), "cannot be read"},
		{"its own, of another tenant's issuer", tenant, issuer(another), "issuer"},
		{"its own, of the issuer for any tenant", tenant, issuer("common"), "issuer"},
		{"its own, of the issuer that common names", tenant, issuer("{tenantid}"), "issuer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := leg(consent.SignIn)
			now := time.Now()
			f.claims = map[string]any{
				"iss": row.issuer, "aud": client, "oid": person, "sub": "s", "ver": "2.0", "nonce": l.Nonce, "roles": []string{"Bridge.Admin"},
				"iat": now.Add(-5 * time.Minute).Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
			}
			if row.tid != nil {
				f.claims["tid"] = row.tid
			}
			who, err := c.Redeem(t.Context(), app, l, secret.New("code"))
			if row.cause == "" {
				if err != nil || who.Account.ObjectID != person {
					t.Errorf("Redeem = %s, %v; want it accepted", who.Account.ObjectID, err)
				}
				return
			}
			refused, ok := errors.AsType[*entra.Error](err)
			if !ok || refused.Class != aadsts.Defect || !strings.Contains(refused.Cause, row.cause) {
				t.Errorf("Redeem = %v; want it refused because of %q", err, row.cause)
			}
			if who.Account.ObjectID != "" || len(who.Roles) != 0 {
				t.Errorf("a refused token signs in %+v", who)
			}
		})
	}
}

func TestAnIDTokenHasAllThatItMustHave(t *testing.T) {
	f := &forger{t: t, key: keys()[0]}
	server := httptest.NewTLSServer(f)
	defer server.Close()
	f.url = server.URL
	c := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: server.URL, Graph: graph}, HTTP: server.Client()}
	for name, row := range map[string]struct {
		edit  func(map[string]any)
		cause string // empty: it is accepted
	}{
		"everything":            {func(map[string]any) {}, ""},
		"an older version":      {func(m map[string]any) { m["ver"] = "1.0" }, "version 2.0"},
		"no version":            {func(m map[string]any) { delete(m, "ver") }, "version 2.0"},
		"no object id":          {func(m map[string]any) { delete(m, "oid") }, "no object id"},
		"an empty object id":    {func(m map[string]any) { m["oid"] = "" }, "no object id"},
		"another nonce":         {func(m map[string]any) { m["nonce"] = "another" }, "another sign-in"},
		"no nonce":              {func(m map[string]any) { delete(m, "nonce") }, "another sign-in"},
		"another audience":      {func(m map[string]any) { m["aud"] = person }, "audience"},
		"an end that is past":   {func(m map[string]any) { m["exp"] = time.Now().Add(-time.Minute).Unix() }, "clock"},
		"no end":                {func(m map[string]any) { delete(m, "exp") }, "clock"},
		"a beginning to come":   {func(m map[string]any) { m["nbf"] = time.Now().Add(10 * time.Minute).Unix() }, "clock"},
		"an issuer with a tail": {func(m map[string]any) { m["iss"] = server.URL + "/" + tenant + "/v2.0/" }, "issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			l := leg(consent.SignIn)
			ago := time.Now().Add(-5 * time.Minute).Unix()
			f.claims = map[string]any{
				"iss": server.URL + "/" + tenant + "/v2.0", "aud": client, "oid": person, "tid": tenant, "sub": "s", "ver": "2.0", "nonce": l.Nonce,
				"iat": ago, "nbf": ago, "exp": time.Now().Add(time.Hour).Unix(),
			}
			row.edit(f.claims)
			who, err := c.Redeem(t.Context(), app, l, secret.New("code"))
			refused, _ := errors.AsType[*entra.Error](err)
			if row.cause == "" && err != nil || row.cause != "" && (refused == nil || !strings.Contains(refused.Cause, row.cause) || who.Account.ObjectID != "") {
				t.Errorf("Redeem = %q, %v; want %q", who.Account.ObjectID, err, row.cause)
			}
		})
	}
}

// The document for any tenant names an issuer with braces in it.
func TestWhatEntraPublishesForAnyTenantIsOfNone(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"https://` + r.Host + `/{tenantid}/v2.0","authorization_endpoint":"https://x/a","token_endpoint":"https://x/t","jwks_uri":"https://x/k"}`))
	}))
	defer server.Close()
	c := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: server.URL, Graph: graph}, HTTP: server.Client()}
	for _, name := range []string{tenant, "contoso.com"} {
		if found, err := c.Discover(t.Context(), name); err == nil {
			t.Errorf("Discover(%s) = %+v; want no issuer for any tenant", name, found)
		}
	}
}

package entra

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// presented reads client id and secret from the body, or else from HTTP Basic.
func presented(r *http.Request) (clientID, secret string) {
	clientID, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	id, password, found := r.BasicAuth()
	if !found || clientID != "" && secret != "" {
		return clientID, secret
	}
	id, errID := url.QueryUnescape(id)
	password, errPassword := url.QueryUnescape(password)
	if errID != nil || errPassword != nil {
		return "", ""
	}
	return id, password
}

// authenticate checks a secret or an assertion.
func (s *Simulator) authenticate(a *app, secret string, form url.Values) *refusal {
	assertion := form.Get("client_assertion")
	switch {
	case assertion != "" && form.Get("client_assertion_type") != assertionType:
		return refuse(900144, "The request body must contain the following parameter: 'client_assertion_type'.")
	case assertion != "":
		return s.authenticateAssertion(a, assertion)
	case secret == "":
		return refuse(7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.").as("invalid_client")
	case a.Secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(a.Secret)) != 1:
		return refuse(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", a.ClientID).as("invalid_client")
	case !a.SecretExpires.IsZero() && !s.now().Before(a.SecretExpires):
		return refuse(7000222, "The provided client secret keys for app '%s' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.", a.ClientID).as("invalid_client")
	}
	return nil
}

// assertionClaims are those of a certificate's or a federated assertion.
type assertionClaims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	Expires   int64  `json:"exp"`
	NotBefore int64  `json:"nbf"`
}

func (s *Simulator) authenticateAssertion(a *app, text string) *refusal {
	token, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.PS256, jose.RS256})
	if err != nil {
		return refuse(50027, "JWT token is invalid or malformed.").as("invalid_client")
	}
	var claims assertionClaims
	if err := json.Unmarshal(token.UnsafePayloadWithoutVerification(), &claims); err != nil {
		return refuse(50027, "JWT token is invalid or malformed.").as("invalid_client")
	}
	now, leeway := s.now(), int64(300)
	if now.Unix() >= claims.Expires || now.Unix()+leeway < claims.NotBefore {
		return refuse(700024, "Client assertion is not within its valid time range. Current time: %s, assertion valid from %s, expiry time of assertion %s.",
			now.UTC().Format(time.RFC3339), time.Unix(claims.NotBefore, 0).UTC().Format(time.RFC3339), time.Unix(claims.Expires, 0).UTC().Format(time.RFC3339)).as("invalid_client")
	}
	if claims.Issuer != a.ClientID {
		return s.authenticateFederated(a, token, claims)
	}
	certificate := a.certificate(token)
	if certificate == nil {
		return refuse(700027, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]").as("invalid_client")
	}
	if _, err := token.Verify(certificate.PublicKey); err != nil {
		return refuse(700027, "Client assertion failed signature validation. [Reason - The provided signature value did not match the expected signature value.]").as("invalid_client")
	}
	switch {
	case claims.Subject != a.ClientID:
		return refuse(700021, "Client assertion application identifier doesn't match 'client_id' parameter.").as("invalid_client")
	case !slices.Contains([]string{s.backchannel + "/" + a.tenant.ID + "/oauth2/v2.0/token", s.issuer(a.tenant)}, claims.Audience) &&
		!strings.EqualFold(claims.Audience, s.backchannel+"/"+a.tenant.Domain+"/oauth2/v2.0/token"):
		return refuse(700023, "Client assertion audience claim does not match Realm issuer.").as("invalid_client")
	}
	return nil
}

// certificate finds the one that the header names by SHA-256 thumbprint, in
// base64url as the documentation says or in base64 as MSAL for Go writes it.
func (a *app) certificate(token *jose.JSONWebSignature) *x509.Certificate {
	if len(token.Signatures) != 1 {
		return nil
	}
	named, _ := token.Signatures[0].Header.ExtraHeaders["x5t#S256"].(string)
	for _, certificate := range a.Certificates {
		sum := sha256.Sum256(certificate.Raw)
		if named == base64.RawURLEncoding.EncodeToString(sum[:]) || named == base64.StdEncoding.EncodeToString(sum[:]) {
			return certificate
		}
	}
	return nil
}

// authenticateFederated accepts tokens of this simulator's managed identities
// that match a federated identity credential letter by letter.
func (s *Simulator) authenticateFederated(a *app, token *jose.JSONWebSignature, claims assertionClaims) *refusal {
	number, text := 700211, "No matching federated identity record found for presented assertion issuer '"+claims.Issuer+"'."
	for _, f := range a.Federated {
		switch {
		case f.Issuer != claims.Issuer:
			continue
		case f.Subject != claims.Subject:
			number, text = 700213, "No matching federated identity record found for presented assertion subject '"+claims.Subject+"'."
			continue
		case f.Audience != claims.Audience:
			number, text = 700212, "No matching federated identity record found for presented assertion audience '"+claims.Audience+"'."
			continue
		}
		for _, key := range s.keys {
			if _, err := token.Verify(key.private.Public()); err == nil {
				return nil
			}
		}
		number, text = 5000611, "Symmetric Key Derivation Function version '' is invalid or the assertion's signature cannot be verified."
	}
	r := refuse(number, "%s", text).as("invalid_client")
	return r
}

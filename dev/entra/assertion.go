package entra

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertion is a client assertion taken apart, its signature not yet checked.
type assertion struct {
	token *jose.JSONWebSignature
	jwt.Claims
	Kind string `json:"idtyp"` // "user" or "app" in Entra's own tokens
}

func readAssertion(text string) (assertion, error) {
	token, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.PS256, jose.RS256})
	if err != nil {
		return assertion{}, fmt.Errorf("read assertion: %w", err)
	}
	a := assertion{token: token}
	if err := json.Unmarshal(token.UnsafePayloadWithoutVerification(), &a); err != nil {
		return assertion{}, fmt.Errorf("read assertion's claims: %w", err)
	}
	return a, nil
}

// skew is how far an assertion's beginning may lie ahead. INFER: Entra's figure
// is not published.
const skew = 5 * time.Minute

// authenticateAssertion checks a certificate's assertion, which the app issues for
// itself, or else another issuer's against the federated identity credentials.
func (s *Simulator) authenticateAssertion(a *app, text string) *refusal {
	given, err := readAssertion(text)
	if err != nil {
		return refuse(50027, "JWT token is invalid or malformed.").as("invalid_client")
	}
	now := s.now()
	if begins, ends := given.NotBefore.Time(), given.Expiry.Time(); given.Expiry == nil || !now.Before(ends) || given.NotBefore != nil && now.Add(skew).Before(begins) {
		return refuse(700024, "Client assertion is not within its valid time range. Current time: %s, assertion valid from %s, expiry time of assertion %s. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
			precise(now), precise(begins), precise(ends)).as("invalid_client")
	}
	if !strings.EqualFold(given.Issuer, a.ClientID) {
		return s.authenticateFederated(a, given)
	}
	if refused := a.authenticateCertificate(given, now); refused != nil {
		return refused
	}
	switch {
	case !strings.EqualFold(given.Subject, a.ClientID):
		return refuse(700021, "Client assertion application identifier doesn't match 'client_id' parameter.").as("invalid_client")
	case !s.isTokenEndpoint(a.tenant, given.Audience):
		return refuse(700023, "Client assertion audience claim does not match Realm issuer. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .").as("invalid_client")
	}
	return nil
}

func precise(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// isTokenEndpoint reports whether an assertion is for this tenant: its token
// endpoint by id or domain, or its issuer.
func (s *Simulator) isTokenEndpoint(t *tenant, audience jwt.Audience) bool {
	return slices.ContainsFunc(audience, func(text string) bool {
		return text == s.issuer(t) ||
			strings.EqualFold(text, s.backchannel+"/"+t.ID+"/oauth2/v2.0/token") ||
			strings.EqualFold(text, s.backchannel+"/"+t.Domain+"/oauth2/v2.0/token")
	})
}

// authenticateCertificate verifies the signature with the certificate that the
// header names.
func (a *app) authenticateCertificate(given assertion, now time.Time) *refusal {
	certificate := a.certificate(given.token)
	if certificate == nil {
		return refuse(700027, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]").as("invalid_client")
	}
	details := fmt.Sprintf("Thumbprint of key used by client: '%X', Found key 'Start=%s, End=%s'", sha1.Sum(certificate.Raw), certificate.NotBefore.UTC().Format("01/02/2006 15:04:05"), certificate.NotAfter.UTC().Format("01/02/2006 15:04:05"))
	if !now.Before(certificate.NotAfter) {
		return refuse(700027, "The certificate with identifier used to sign the client assertion is expired on application. [Reason - The key used is expired., %s]", details).as("invalid_client")
	}
	if _, err := given.token.Verify(certificate.PublicKey); err != nil {
		return refuse(700027, "Client assertion failed signature validation. [Reason - The provided signature value did not match the expected signature value., %s]", details).as("invalid_client")
	}
	return nil
}

// certificate finds the one that the header names by thumbprint: SHA-256, or
// SHA-1 as older libraries do, in base64url as the documentation says or in base64
// as MSAL for Go writes it.
func (a *app) certificate(token *jose.JSONWebSignature) *x509.Certificate {
	if len(token.Signatures) != 1 {
		return nil
	}
	header := token.Signatures[0].Header.ExtraHeaders
	named := func(name string, sum []byte) bool {
		text, _ := header[jose.HeaderKey(name)].(string)
		return text == base64.RawURLEncoding.EncodeToString(sum) || text == base64.StdEncoding.EncodeToString(sum)
	}
	for _, certificate := range a.Certificates {
		long, short := sha256.Sum256(certificate.Raw), sha1.Sum(certificate.Raw)
		if named("x5t#S256", long[:]) || named("x5t", short[:]) {
			return certificate
		}
	}
	return nil
}

// authenticateFederated accepts tokens of this simulator's managed identities
// that match a federated identity credential letter by letter (Microsoft identity
// platform: breaking changes, August 2024). Of several credentials the one that
// comes nearest decides what is said.
func (s *Simulator) authenticateFederated(a *app, given assertion) *refusal {
	nearest := mismatch{number: 700211, text: fmt.Sprintf("No matching federated identity record found for presented assertion issuer '%s'.", given.Issuer)}
	for _, f := range a.Federated {
		if s.now().Before(a.federatedSince[f]) {
			continue
		}
		if a.mismatched {
			f.Subject += "0"
		}
		found := f.compare(given)
		if found.number == 0 {
			return s.authenticateIdentity(a, given)
		}
		if found.rank > nearest.rank {
			nearest = found
		}
	}
	return refuse(nearest.number, "%s Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation", nearest.text).as("invalid_client")
}

// mismatch is why a federated identity credential does not fit; rank grows with
// what does fit, and number is zero when everything does.
type mismatch struct {
	number, rank int
	text         string
}

// compare holds an assertion against one credential: issuer, subject, audience.
// Entra's number for a difference of case in the subject was captured (7002138);
// INFER: 7002137 is the one for issuer and audience.
func (f Federated) compare(given assertion) mismatch {
	audience := ""
	if len(given.Audience) > 0 {
		audience = given.Audience[0]
	}
	for rank, part := range []struct {
		name, held, presented string
		number, caseNumber    int
	}{
		{"issuer", f.Issuer, given.Issuer, 700211, 7002137},
		{"subject", f.Subject, given.Subject, 700213, 7002138},
		{"audience", f.Audience, audience, 700212, 7002137},
	} {
		switch {
		case part.held == part.presented:
			continue
		case strings.EqualFold(part.held, part.presented):
			return mismatch{part.caseNumber, 2*rank + 1, fmt.Sprintf("No matching federated identity record found for presented assertion %s '%s'. The %s matches with case-insensitive comparison, but not with case-sensitive comparison.", part.name, part.presented, part.name)}
		}
		return mismatch{part.number, 2 * rank, fmt.Sprintf("No matching federated identity record found for presented assertion %s '%s'.", part.name, part.presented)}
	}
	return mismatch{}
}

// authenticateIdentity checks what a federated assertion must be beside matching:
// signed by Entra, of an identity of the registration's tenant, and no user's token.
func (s *Simulator) authenticateIdentity(a *app, given assertion) *refusal {
	signed := slices.ContainsFunc(s.keys, func(key signingKey) bool {
		_, err := given.token.Verify(key.private.Public())
		return err == nil
	})
	switch {
	case !signed:
		return refuse(50013, "Assertion failed signature validation. [Reason - The key was not found.]").as("invalid_client")
	case given.Issuer != s.issuer(a.home):
		return refuse(700222, "AAD-issued tokens may not be used for federated identity flows.").as("invalid_client")
	case given.Kind == "user":
		return refuse(700229, "Forbidden token type. Only app-only tokens may be used as Federated Identity Credentials for AAD issuer.").as("invalid_client")
	}
	return nil
}

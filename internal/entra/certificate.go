package entra

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	"software.sslmate.com/src/go-pkcs12"

	"procallteams/internal/appcredential"
	"procallteams/internal/secret"
)

// assertionLifetime is how long an assertion counts (Microsoft identity platform:
// certificate credentials: five to ten minutes).
const assertionLifetime = 10 * time.Minute

// OpenCertificate reads what Key Vault keeps as the secret of a certificate: PEM, or
// PKCS #12 in base64 without a password. Its errors complete a sentence that begins
// with the certificate's name, and hold nothing of the key.
func OpenCertificate(stored secret.Text) (appcredential.Certificate, error) {
	chain, private, err := parse(strings.TrimSpace(stored.Reveal()))
	if err != nil {
		return appcredential.Certificate{}, err
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		return appcredential.Certificate{}, errors.New("has no RSA key, and Entra takes no other")
	}
	leaf := leafOf(chain, key)
	if leaf == nil {
		return appcredential.Certificate{}, errors.New("does not belong to the private key beside it")
	}
	print256, print1 := sha256.Sum256(leaf.Raw), sha1.Sum(leaf.Raw)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(print256[:])))
	if err != nil {
		return appcredential.Certificate{}, fmt.Errorf("can't sign: %w", err)
	}
	return appcredential.Certificate{
		Thumbprint: fmt.Sprintf("%X", print1), Ends: leaf.NotAfter.UTC(),
		Sign: func(clientID, audience string, now time.Time) (secret.Text, error) {
			return sign(signer, clientID, audience, now)
		},
	}, nil
}

// parse returns certificates and private key. azidentity reads PEM; its reader of
// PKCS #12 is frozen and knows no SHA-256 (azure-sdk-for-go#22906).
func parse(text string) ([]*x509.Certificate, any, error) {
	const noKey = "holds no private key: make it anew with an exportable key, or import it with its key"
	if strings.Contains(text, "-----BEGIN") {
		if !strings.Contains(text, "PRIVATE KEY-----") {
			return nil, nil, errors.New(noKey)
		}
		if block, _ := pem.Decode([]byte(text)); block == nil {
			return nil, nil, errors.New("can't be read as PEM")
		}
		chain, key, err := azidentity.ParseCertificates([]byte(text), nil)
		if err != nil {
			return nil, nil, errors.New("can't be read: not one certificate with one RSA key in PEM")
		}
		return chain, key, nil
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) == 0 {
		return nil, nil, errors.New("is neither PEM nor PKCS #12 in base64: is it the secret of a certificate?")
	}
	key, leaf, chain, err := pkcs12.DecodeChain(data, "")
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, nil, errors.New("is protected by a password: import it into Key Vault as a certificate, which removes it")
	case err != nil:
		return nil, nil, errors.New("can't be read as PKCS #12, or " + noKey)
	}
	return append(chain, leaf), key, nil
}

func leafOf(chain []*x509.Certificate, key *rsa.PrivateKey) *x509.Certificate {
	for _, certificate := range chain {
		if key.PublicKey.Equal(certificate.PublicKey) {
			return certificate
		}
	}
	return nil
}

// sign makes an assertion for a token endpoint (Microsoft identity platform:
// certificate credentials).
func sign(signer jose.Signer, clientID, audience string, now time.Time) (secret.Text, error) {
	text, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: clientID, Subject: clientID, Audience: jwt.Audience{audience}, ID: uuid.NewString(),
		NotBefore: jwt.NewNumericDate(now), IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLifetime)),
	}).Serialize()
	if err != nil {
		return secret.Text{}, fmt.Errorf("sign assertion: %w", err)
	}
	return secret.New(text), nil
}

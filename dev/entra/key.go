package entra

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// signingKey is one key of the key set; Entra's kid is the thumbprint of its
// certificate.
type signingKey struct {
	id          string
	private     *rsa.PrivateKey
	certificate *x509.Certificate
}

func newSigningKeys(given []*rsa.PrivateKey, now time.Time) ([]signingKey, error) {
	for len(given) < 2 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("make signing key: %w", err)
		}
		given = append(given, key)
	}
	keys := make([]signingKey, 0, len(given))
	for _, private := range given {
		key, err := newSigningKey(private, now)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func newSigningKey(private *rsa.PrivateKey, now time.Time) (signingKey, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "accounts.accesscontrol.windows.net"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(5, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return signingKey{}, fmt.Errorf("make certificate of signing key: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return signingKey{}, fmt.Errorf("read certificate of signing key: %w", err)
	}
	thumbprint := sha1.Sum(der) // the published thumbprint, no protection
	return signingKey{id: base64.RawURLEncoding.EncodeToString(thumbprint[:]), private: private, certificate: certificate}, nil
}

// publishedKeys is how many keys the key set shows.
const publishedKeys = 2

// RollKeys signs from now on with a key that nobody has seen. The key set shows it
// and the one before; what older keys signed goes on to its end.
func (s *Simulator) RollKeys() error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make signing key: %w", err)
	}
	key, err := newSigningKey(private, s.now())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append([]signingKey{key}, s.keys...)
	return nil
}

// sign makes a JWT and remembers it as a secret.
func (s *Simulator) sign(claims map[string]any) (string, error) {
	key := s.keys[0]
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", key.id).WithHeader("x5t", key.id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key.private}, options)
	if err != nil {
		return "", fmt.Errorf("make signer: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("write token: %w", err)
	}
	s.secrets = append(s.secrets, token)
	return token, nil
}

// serveKeys answers the key set. issuer is Entra's own member beside the standard
// ones.
func (s *Simulator) serveKeys(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	issuer := s.backchannel + "/{tenantid}/v2.0"
	if t := s.tenant(r.PathValue("tenant")); t != nil {
		issuer = s.issuer(t)
	}
	set := make([]map[string]any, 0, publishedKeys)
	for _, key := range s.keys[:publishedKeys] {
		set = append(set, map[string]any{
			"kty": "RSA", "use": "sig", "kid": key.id, "x5t": key.id,
			"n":      base64.RawURLEncoding.EncodeToString(key.private.N.Bytes()),
			"e":      base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.private.E)).Bytes()),
			"x5c":    []string{base64.StdEncoding.EncodeToString(key.certificate.Raw)},
			"issuer": issuer,
		})
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": set})
}

func (s *Simulator) issuer(t *tenant) string { return s.backchannel + "/" + t.ID + "/v2.0" }

package console_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"procallteams/internal/settings"
)

// authorityOf is the certificate of an authority, as DER.
func authorityOf(t *testing.T, name string, key *ecdsa.PrivateKey, parent *x509.Certificate, signer *ecdsa.PrivateKey) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: parent == nil,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Date(2031, 2, 3, 0, 0, 0, 0, time.UTC),
	}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTheAuthorityOfUCServersCertificateIsUploadedAndRemoved(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	if answer := w.post("push", url.Values{"pushUrl": {"https://ucserver.example/push"}}); answer.Code != 200 {
		t.Fatalf("the push address = %d", answer.Code)
	}
	caKey := newKey(t)
	der := authorityOf(t, "Contoso <Issuing> CA", caKey, nil, nil)
	if answer := w.upload("push/authority", string(der), nil); answer.Code != 303 || answer.Header().Get("Location") != "/api/console?done=authority" {
		t.Fatalf("upload = %d %s", answer.Code, answer.Body)
	}
	has(t, w.get("/api/console"), "Contoso &lt;Issuing&gt; CA, valid until 2031-02-03", "Trust it no longer")
	stored := w.stored().PushAuthority
	if !strings.HasPrefix(stored, "-----BEGIN CERTIFICATE-----") || len(w.resumed) == 0 {
		t.Errorf("stored is %q, resumed %q", stored, w.resumed)
	}

	// What is none is refused with a reason, and changes nothing.
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	leaf, leafKey := "", newKey(t)
	for !strings.HasSuffix(leaf, "\n") { // the last byte is a random one, and no blank
		leaf = string(authorityOf(t, "ucserver", leafKey, ca, caKey))
	}
	for name, tt := range map[string]struct{ file, says string }{
		"a leaf":        {leaf, "take the one of its issuer, &#34;Contoso &lt;Issuing&gt; CA&#34;"},
		"a private key": {stored + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"},
		"a text":        {"hello", "holds no certificate"},
		"nothing":       {"", "holds no certificate"},
		"too much":      {strings.Repeat(stored, 20), "longer than a few certificates"},
	} {
		answer := w.upload("push/authority", tt.file, nil)
		if answer.Code < 400 || !strings.Contains(answer.Body.String(), tt.says) || w.stored().PushAuthority != stored {
			t.Errorf("%s: %d, says %t", name, answer.Code, strings.Contains(answer.Body.String(), tt.says))
		}
	}
	if answer := w.post("push/authority/remove", nil); answer.Code != 400 {
		t.Errorf("a request that lost its body = %d", answer.Code)
	}
	if answer := w.post("push/authority/remove", url.Values{"once": {"1"}}); answer.Code != 303 || w.stored().PushAuthority != "" {
		t.Errorf("remove = %d, stored %q", answer.Code, w.stored().PushAuthority)
	}
}

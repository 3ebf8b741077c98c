package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"procallteams/internal/trust"
)

// self signs a certificate of a name with itself.
func self(t *testing.T, name string, change func(*x509.Certificate)) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func asPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func authority(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }

// uncritical are basic constraints of an authority that are not marked as critical,
// as some firewalls make them.
func uncritical(c *x509.Certificate) {
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}}
}

func TestCertificatesAreReadInTheFormsThatPeopleHave(t *testing.T) {
	ca, odd := self(t, "Contoso CA", authority), self(t, "Contoso Inspection CA", uncritical)
	leaf := self(t, "ucserver", func(c *x509.Certificate) { c.DNSNames = []string{"ucserver"} })
	stranger := self(t, "stranger", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageDigitalSignature
	})
	pair := "subject=CN = Contoso CA\r\n" + asPEM("CERTIFICATE", ca) + "\nissuer=x\n" + asPEM("CERTIFICATE", odd)
	for _, tt := range []struct {
		name, text  string
		authorities int
		anchors     int
		says        string
	}{
		{"two as PEM, with texts between", pair, 2, 2, ""},
		{"one as DER", string(ca), 1, 1, ""},
		{"basic constraints that are not critical", asPEM("CERTIFICATE", odd), 1, 1, ""},
		{"a server's own, self-signed", asPEM("CERTIFICATE", leaf), 0, 1, "may not sign others"},
		{"an authority whose key may not sign", asPEM("CERTIFICATE", stranger), 0, 1, "may not sign others"},
		{"a private key beside it", pair + asPEM("EC PRIVATE KEY", []byte("hunter2")), 0, 0, "private key"},
		{"one that is cut off", pair[:len(pair)-60], 0, 0, "holds no certificate"},
		{"one that is damaged", asPEM("CERTIFICATE", ca[:len(ca)-9]), 0, 0, "certificate 1 can't be read"},
		{"nothing", "", 0, 0, "holds no certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := trust.Authorities([]byte(tt.text))
			if err == nil && len(all) != tt.authorities || (err == nil) != (tt.says == "") {
				t.Errorf("Authorities() = %d, %v; want %d", len(all), err, tt.authorities)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("Authorities() = %v; want %q", err, tt.says)
			}
			if all, err := trust.Anchors([]byte(tt.text)); err == nil && len(all) != tt.anchors || (err == nil) != (tt.anchors > 0) {
				t.Errorf("Anchors() = %d, %v; want %d", len(all), err, tt.anchors)
			} else if err == nil {
				again, err := trust.Anchors([]byte(trust.PEM(all)))
				if err != nil || len(again) != len(all) || strings.Contains(trust.PEM(all), "subject=") {
					t.Errorf("written and read again: %d, %v", len(again), err)
				}
			}
		})
	}
}

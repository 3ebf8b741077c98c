// Package trust reads the certificates that an administrator adds to what the
// bridge trusts: the authority of a firewall that inspects TLS, or the one that
// signed UCServer's private certificate.
//
// Certificates are public; errors say in an administrator's words why a file is
// none of them. Nothing here can switch verification off.
package trust

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxBytes bounds one file: four certificates of the usual size.
const MaxBytes = 8 << 10

// errForm says that a file holds no certificate at all.
var errForm = errors.New("holds no certificate: export the authority's certificate as Base-64 encoded X.509 (PEM)")

// Parse reads one or more certificates, as PEM or as one DER file. Texts between
// the PEM blocks are passed over; a private key is refused.
func Parse(content []byte) ([]*x509.Certificate, error) {
	if certificate, err := x509.ParseCertificate(content); err == nil {
		return []*x509.Certificate{certificate}, nil
	}
	var all []*x509.Certificate
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil, errors.New("holds a private key, which nobody may have but its owner: export the certificate alone")
		case block.Type != "CERTIFICATE":
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d can't be read: export it anew", len(all)+1)
		}
		all = append(all, certificate)
	}
	// A block that is cut off is passed over by the decoder, and would be missed later.
	if len(all) == 0 || bytes.Count(content, []byte("-----BEGIN CERTIFICATE-----")) != len(all) {
		return nil, errForm
	}
	return all, nil
}

// Authorities reads certificates of authorities only: those that may sign others.
func Authorities(content []byte) ([]*x509.Certificate, error) {
	all, err := Parse(content)
	for i, certificate := range all {
		if !signs(certificate) {
			return nil, fmt.Errorf("certificate %d, of %s, may not sign others: export the certificate of the authority at the end of its chain", i+1, Name(certificate))
		}
	}
	return all, err
}

// Anchors reads authorities, or a server's own certificate that is self-signed.
func Anchors(content []byte) ([]*x509.Certificate, error) {
	all, err := Parse(content)
	for i, certificate := range all {
		if !signs(certificate) && !selfSigned(certificate) {
			return nil, fmt.Errorf("certificate %d, of %s, is neither that of an authority nor self-signed: take the one of its issuer, %s", i+1, Name(certificate), Issuer(certificate))
		}
	}
	return all, err
}

// signs reports whether crypto/x509 lets a certificate sign others. Whether its basic
// constraints are marked as critical does not matter to it, as it does to others.
func signs(c *x509.Certificate) bool {
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return false
	}
	return c.Version < 3 || c.BasicConstraintsValid && c.IsCA
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// Label is what people call a certificate: its common name, else all of its subject.
func Label(c *x509.Certificate) string { return label(c.Subject) }

// Name is the label, quoted for a sentence, since others have written it.
func Name(c *x509.Certificate) string { return strconv.Quote(Label(c)) }

// Issuer is what people call the authority that signed a certificate, quoted.
func Issuer(c *x509.Certificate) string { return strconv.Quote(label(c.Issuer)) }

func label(name pkix.Name) string {
	return fmt.Sprintf("%.100s", cmp.Or(name.CommonName, name.String()))
}

// PEM writes certificates in one form, without what stood around them.
func PEM(all []*x509.Certificate) string {
	var text strings.Builder
	for _, certificate := range all {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}) // a strings.Builder takes everything
	}
	return text.String()
}

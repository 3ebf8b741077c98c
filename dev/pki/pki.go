// Package pki makes a throw-away certificate authority for the local cloud:
// the Azure SDKs refuse plain http, so the simulators speak TLS.
//
// The authority's key exists in memory only and is gone with the process. A
// program trusts it through SSL_CERT_FILE ([Authority.CertFile]) or a pool
// ([Authority.Pool]).
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Lifetime of everything that an authority signs, and its own.
const lifetime = 30 * 24 * time.Hour

// Authority signs server certificates.
type Authority struct {
	cert *x509.Certificate
	der  []byte
	key  crypto.Signer
}

// New makes an authority.
func New() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of authority: %w", err)
	}
	template := certificate("Local cloud authority (throw-away)")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate of authority: %w", err)
	}
	return &Authority{cert: cert, der: der, key: key}, nil
}

func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
	}
}

func serial() *big.Int {
	bits := make([]byte, 16)
	_, _ = rand.Read(bits) // never fails
	return new(big.Int).SetBytes(bits)
}

// ServerTLS returns a server's configuration with a fresh certificate for hosts
// (names or addresses); for 127.0.0.1, ::1 and localhost when none is given. An
// error in making it, which only a broken machine shows, fails the handshakes.
func (a *Authority) ServerTLS(hosts ...string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	cert, err := a.serverCertificate(hosts)
	if err != nil {
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, err }
		return config
	}
	config.Certificates = []tls.Certificate{*cert}
	return config
}

// ServerPEM returns a certificate as of [Authority.ServerTLS] and its key, each
// as one PEM block, for servers that are not written in Go.
func (a *Authority) ServerPEM(hosts ...string) (cert, key []byte, err error) {
	pair, err := a.serverCertificate(hosts)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("encode server key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}

func (a *Authority) serverCertificate(hosts []string) (*tls.Certificate, error) {
	if len(hosts) == 0 {
		hosts = []string{"127.0.0.1", "::1", "localhost"}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make server key: %w", err)
	}
	template := certificate(hosts[0])
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign server certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der})
}

// CertFile writes the authority's certificate, and nothing else, to a file in
// dir and returns its path: the value for SSL_CERT_FILE.
func (a *Authority) CertFile(dir string) (string, error) {
	path := filepath.Join(dir, "authority.pem")
	if err := os.WriteFile(path, a.PEM(), 0o644); err != nil {
		return "", fmt.Errorf("write certificate of authority: %w", err)
	}
	return path, nil
}

// Pool holds the authority's certificate alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// ClientTLS returns a client's configuration that trusts this authority alone.
func (a *Authority) ClientTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.Pool()}
}

package outbound_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/internal/outbound"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// authority signs certificates, with basic constraints that are not marked as critical.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	return authority{}.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageCertSign,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}},
	})
}

func (a authority) issue(t *testing.T, template *x509.Certificate) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func (a authority) certificate(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	leaf := a.issue(t, &x509.Certificate{DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return tls.Certificate{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}
}

// server is https at names, echoing what is posted.
func (a authority) server(t *testing.T, names ...string) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.certificate(t, names...)}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// proxy is one that tunnels names to servers, and does as told.
type proxy struct {
	*httptest.Server

	mu       sync.Mutex
	targets  map[string]string // host:port to the address of a listener
	password string            // user:password, empty for none
	offer    string            // of a 407
	status   int               // other than 0: every CONNECT is answered so
	seen     []string
	asked    int // with credentials
}

func newProxy(t *testing.T, targets map[string]string) *proxy {
	p := &proxy{targets: targets, offer: `Basic realm="proxy"`}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) set(change func(*proxy)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// log is whom the proxy was asked for.
func (p *proxy) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

func (p *proxy) judge(r *http.Request) (target string, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Host)
	given := r.Header.Get("Proxy-Authorization")
	if given != "" {
		p.asked++
	}
	if p.password != "" && given != "Basic "+base64.StdEncoding.EncodeToString([]byte(p.password)) {
		return "", http.StatusProxyAuthRequired
	}
	target = p.targets[r.Host]
	if p.status != 0 {
		return "", p.status
	}
	if target == "" {
		return "", http.StatusServiceUnavailable
	}
	return target, http.StatusOK
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target, status := p.judge(r)
	if status != http.StatusOK {
		w.Header().Set("Proxy-Authenticate", p.offer)
		w.WriteHeader(status)
		return
	}
	there, err := net.Dial("tcp", target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(there, buffered); _ = there.Close() }()
	_, _ = io.Copy(here, there)
}

// through are settings that name the proxy.
func (p *proxy) through(t *testing.T, user string, bypass ...string) settings.Proxy {
	t.Helper()
	if user != "" {
		user += "@"
	}
	s, err := settings.ParseProxy(user + p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.Source, s.Bypass = "OUTBOUND_PROXY", bypass
	return s
}

func network(t *testing.T, c outbound.Config) *outbound.Network {
	t.Helper()
	n, err := outbound.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// post sends a text and returns what came back.
func post(t *testing.T, client *http.Client, address, text string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// wants checks that an error is of a kind, says these things, and leaks nothing.
func wants(t *testing.T, err error, kind outbound.Kind, says ...string) {
	t.Helper()
	e, ok := errors.AsType[*outbound.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("error = %v; want kind %s", err, kind)
	}
	for _, text := range says {
		if !strings.Contains(e.Error(), text) {
			t.Errorf("%q does not say %q", e, text)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error leaks: %v", err)
	}
}

// vault holds the proxy's password.
type vault struct {
	mu    sync.Mutex
	value string
	err   error
	reads int
}

func (v *vault) set(value string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.value, v.err = value, err
}

func (v *vault) read(context.Context) (secret.Text, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	return secret.New(v.value), v.err
}

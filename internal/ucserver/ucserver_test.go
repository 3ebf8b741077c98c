package ucserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"procallteams/internal/outbound"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/telemetry"
	"procallteams/internal/ucserver"
)

var key = "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

func delivery(url string) ucserver.Delivery {
	return ucserver.Delivery{URL: url, ID: "abc", Body: []byte(`{"type":"presence.changes"}`), Secret: secret.New(key)}
}

func TestThePublishedLibraryVerifiesWhatIsSent(t *testing.T) {
	verifier, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := verifier.Verify(body, r.Header); err != nil {
			t.Error(err)
		}
		if r.Header.Get("Content-Type") != "application/json" || string(body) != `{"type":"presence.changes"}` {
			t.Errorf("headers %v, body %s", r.Header, body)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	if o := (ucserver.Client{}).Push(t.Context(), delivery(server.URL)); o.Result != ucserver.Delivered || o.Reason != "" {
		t.Errorf("outcome = %+v", o)
	}
}

func TestADeliveryCarriesTheTraceOfItsCallIfThereIsOne(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header.Get("Traceparent")) }))
	defer server.Close()
	ucserver.Client{}.Push(t.Context(), delivery(server.URL))
	ctx, span := telemetry.NewTracer(slog.New(slog.DiscardHandler), nil).Start(t.Context(), "presencepush")
	defer span.End()
	ucserver.Client{}.Push(ctx, delivery(server.URL))
	if len(got) != 2 || got[0] != "" || !strings.HasPrefix(got[1], "00-"+span.SpanContext().TraceID().String()+"-") {
		t.Errorf("traceparent = %q; want none, then that of the call", got)
	}
}

func TestAnswersBecomeOutcomesThatSomeoneCanActOn(t *testing.T) {
	now := time.Date(2026, 11, 24, 3, 50, 49, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tt := range []struct {
		name   string
		status int
		header map[string]string
		result ucserver.Result
		code   string
		after  time.Duration
		says   string
	}{
		{"204", 204, nil, ucserver.Delivered, "", 0, ""},
		{"409", 409, nil, ucserver.Conflict, "push-409", 0, "anew"},
		{"410", 410, nil, ucserver.Stopped, "push-410", 0, "switch the push on again"},
		{"429 without Retry-After", 429, nil, ucserver.Later, "push-429", 0, "tried again"},
		{"503 with seconds", 503, map[string]string{"Retry-After": "120"}, ucserver.Later, "push-503", 2 * time.Minute, "503"},
		{"503 with a date", 503, map[string]string{"Retry-After": at(time.Minute)}, ucserver.Later, "push-503", time.Minute, "503"},
		{"503 with nonsense", 503, map[string]string{"Retry-After": "soon"}, ucserver.Later, "push-503", 0, "503"},
		{"503 with a year", 503, map[string]string{"Retry-After": "31536000"}, ucserver.Later, "push-503", 6 * time.Hour, "503"},
		{"503 with a negative number", 503, map[string]string{"Retry-After": "-5"}, ucserver.Later, "push-503", 0, "503"},
		{"a redirect is not followed", 307, map[string]string{"Location": "https://user:pw@new.contoso.com/push?token=s3cret"}, ucserver.Later, "push-redirect", 0, "https://new.contoso.com/push;"},
		{"a refused signature", 401, map[string]string{"Date": at(0)}, ucserver.Later, "push-401", 0, "push secret"},
		{"a clock that is ahead", 400, map[string]string{"Date": at(6 * time.Minute)}, ucserver.Later, "push-400", 0, "their clock differs by about 6m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/push" {
					t.Errorf("a request to %s", r.URL.Path)
				}
				for name, value := range tt.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, "the body s3cret")
			}))
			defer server.Close()
			o := ucserver.Client{Now: func() time.Time { return now }}.Push(t.Context(), delivery(server.URL+"/push?key=s3cret"))
			if o.Result != tt.result || o.Code != tt.code || o.RetryAfter != tt.after || !strings.Contains(o.Reason, tt.says) {
				t.Errorf("outcome = %+v", o)
			}
			if strings.Contains(o.Reason, "s3cret") || strings.Contains(o.Reason, "pw") {
				t.Errorf("the reason leaks: %s", o.Reason)
			}
			if tt.code != "push-400" && strings.Contains(o.Reason, "clock") {
				t.Errorf("the reason blames the clock: %s", o.Reason)
			}
		})
	}
}

func TestARetryIsSignedAnew(t *testing.T) {
	var stamps, signatures []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stamps = append(stamps, r.Header.Get("webhook-timestamp"))
		signatures = append(signatures, r.Header.Get("webhook-signature"))
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	now := time.Now()
	client := ucserver.Client{Now: func() time.Time { return now }}
	client.Push(t.Context(), delivery(server.URL))
	now = now.Add(6 * time.Minute)
	client.Push(t.Context(), delivery(server.URL))
	if stamps[1] != fmt.Sprint(now.Unix()) || stamps[0] == stamps[1] || signatures[0] == signatures[1] {
		t.Errorf("timestamps %q, signatures %q", stamps, signatures)
	}
}

// issue makes a certificate signed by parent, or by itself.
func issue(t *testing.T, template x509.Certificate, parent *tls.Certificate) *tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.NotBefore = template.NotAfter.Add(-2 * time.Hour)
	issuer, signer := &template, any(private)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, issuer, &private.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}

func TestCertificateFaultsAreFourDifferentSentences(t *testing.T) {
	authority := issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "Contoso Issuing CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	roots := x509.NewCertPool()
	roots.AddCert(authority.Leaf)
	local := []net.IP{net.IPv4(127, 0, 0, 1)}
	good := issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "uc"}, IPAddresses: local}, authority)
	expired := time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		name string
		leaf *tls.Certificate
		pool *x509.CertPool
		code string
		says string
	}{
		{"trusted", good, roots, "", ""},
		{"issuer not trusted", good, x509.NewCertPool(), "tls-issuer", "Contoso Issuing CA"},
		{"self-signed", issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "uc"}, IPAddresses: local}, nil), roots, "tls-self-signed", "self-signed"},
		{"expired", issue(t, x509.Certificate{IPAddresses: local, NotAfter: expired}, authority), roots, "tls-expired", expired.UTC().Format(time.RFC3339)},
		{"another name", issue(t, x509.Certificate{DNSNames: []string{"uc.contoso.com"}}, authority), roots, "tls-name", "uc.contoso.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{*tt.leaf}}
			server.StartTLS()
			defer server.Close()
			client := ucserver.Client{Transport: func(string) http.RoundTripper {
				return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: tt.pool}}
			}}
			o := client.Push(t.Context(), delivery(server.URL))
			if o.Code != tt.code || !strings.Contains(o.Reason, tt.says) {
				t.Errorf("outcome = %+v", o)
			}
		})
	}
}

func TestAPrivateCertificateWorksOnceItsAuthorityIsGiven(t *testing.T) {
	authority := issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "Contoso Issuing CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	local := []net.IP{net.IPv4(127, 0, 0, 1)}
	network, err := outbound.New(outbound.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client := ucserver.Client{Transport: network.Trusting}
	for _, tt := range []struct {
		name          string
		leaf, trusted *tls.Certificate
		code          string
	}{
		{"signed by a private authority", issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "uc"}, IPAddresses: local}, authority), authority, "tls-issuer"},
		{"self-signed", issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "uc"}, IPAddresses: local}, nil), nil, "tls-self-signed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{*tt.leaf}}
			server.StartTLS()
			defer server.Close()
			d := delivery(server.URL)
			if o := client.Push(t.Context(), d); o.Code != tt.code || !strings.Contains(o.Reason, "on the console, step 4") {
				t.Errorf("before: %+v", o)
			}
			trusted := tt.trusted
			if trusted == nil {
				trusted = tt.leaf
			}
			d.Authority = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted.Certificate[0]}))
			if o := client.Push(t.Context(), d); o.Result != ucserver.Delivered {
				t.Errorf("after: %+v", o)
			}
		})
	}
}

func TestWhatStandsInTheWayOfAPushIsNamed(t *testing.T) {
	proxy, err := settings.ParseProxy("192.168.1.253:1234")
	if err != nil {
		t.Fatal(err)
	}
	proxy.Source = "msteams.cfg"
	for _, tt := range []struct {
		name  string
		proxy settings.Proxy
		code  string
		says  string
	}{
		{"a proxy that does not answer", proxy, "proxy-private", "the push does not get out: the proxy 192.168.1.253:1234 (msteams.cfg) does not answer"},
		{"an address that the cloud can't reach", settings.Proxy{}, "push-private", "or let the connector poll"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			network, err := outbound.New(outbound.Config{Proxy: tt.proxy, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: network, Addr: &net.TCPAddr{IP: net.IPv4(192, 168, 1, 253)}, Err: os.ErrDeadlineExceeded}
			}})
			if err != nil {
				t.Fatal(err)
			}
			o := ucserver.Client{Transport: network.Trusting}.Push(t.Context(), delivery("https://uc.contoso.local/push?key=s3cret"))
			if o.Result != ucserver.Later || o.Code != tt.code || !strings.Contains(o.Reason, tt.says) || strings.Contains(o.Reason, "s3cret") {
				t.Errorf("outcome = %+v", o)
			}
		})
	}
}

func TestAConnectorThatCannotBeReachedIsNamedSo(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for _, tt := range []struct {
		ctx       context.Context
		url, code string
	}{
		{t.Context(), "https://" + address + "/?key=s3cret", "push-unreachable"},
		{t.Context(), strings.Replace(plain.URL, "http:", "https:", 1), "push-no-tls"},
		{cancelled, plain.URL, "push-cancelled"},
		{expired, plain.URL, "push-timeout"},
		{t.Context(), "://", "push-settings"},
	} {
		if o := (ucserver.Client{}).Push(tt.ctx, delivery(tt.url)); o.Result != ucserver.Later || o.Code != tt.code || o.Reason == "" || strings.Contains(o.Reason, "s3cret") {
			t.Errorf("%s: outcome = %+v; want %s", tt.url, o, tt.code)
		}
	}
	for _, bad := range []string{"", "whsec_!"} {
		d := delivery(plain.URL)
		d.Secret = secret.New(bad)
		if o := (ucserver.Client{}).Push(t.Context(), d); o.Code != "push-settings" {
			t.Errorf("secret %q: outcome = %+v", bad, o)
		}
	}
}

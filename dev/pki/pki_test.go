package pki_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"procallteams/dev/pki"
)

// TestMain lets the test binary play a program that trusts by SSL_CERT_FILE.
func TestMain(m *testing.M) {
	if url := os.Getenv("PKI_TEST_GET"); url != "" {
		response, err := http.Get(url)
		if err != nil {
			_, _ = os.Stdout.WriteString(err.Error())
			os.Exit(0)
		}
		_, _ = io.Copy(os.Stdout, response.Body)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func server(t *testing.T, config *tls.Config) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "trusted")
	}))
	s.TLS = config
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func authority(t *testing.T) *pki.Authority {
	t.Helper()
	a, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAClientThatTrustsTheAuthorityReachesItsServersOnly(t *testing.T) {
	ours, theirs := authority(t), authority(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: ours.ClientTLS()}}
	defer client.CloseIdleConnections()

	s := server(t, ours.ServerTLS())
	for _, url := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1)} {
		response, err := client.Get(url)
		if err != nil {
			t.Errorf("GET %s: %v; want an answer", url, err)
			continue
		}
		_ = response.Body.Close()
	}
	if _, err := client.Get(server(t, theirs.ServerTLS()).URL); err == nil {
		t.Error("a server of another authority was trusted")
	}
	if _, err := client.Get(server(t, ours.ServerTLS("other.example")).URL); err == nil {
		t.Error("a certificate for another host was trusted")
	}
}

func TestAProgramTrustsTheAuthorityBySSLCertFile(t *testing.T) {
	ours := authority(t)
	file, err := ours.CertFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), "PKI_TEST_GET="+server(t, ours.ServerTLS()).URL, "SSL_CERT_FILE="+file)
	out, err := program.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != "trusted" {
		t.Errorf("the program said %q; want trusted", out)
	}
}

func TestServerPEMServesOtherPrograms(t *testing.T) {
	ours := authority(t)
	cert, key, err := ours.ServerPEM()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatalf("read the pair: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: ours.ClientTLS()}}
	defer client.CloseIdleConnections()
	response, err := client.Get(server(t, &tls.Config{Certificates: []tls.Certificate{pair}}).URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

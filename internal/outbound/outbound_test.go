package outbound_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"procallteams/internal/outbound"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

func TestWhatGoesThroughTheProxyAndWhatDoesNot(t *testing.T) {
	p := newProxy(t, nil).through(t, "", "direct.example", ".suffix.example", "10.0.0.0/8", settings.Local, "port.example:8443")
	n := network(t, outbound.Config{Proxy: p})
	for address, want := range map[string]bool{
		"https://graph.microsoft.com/v1.0":        true,
		"https://192.168.1.5/push":                true,
		"http://storage.example/":                 true,
		"https://127.0.0.1:10000/devstoreaccount": false,
		"http://127.8.9.1/":                       false,
		"http://localhost:42356/msi/token":        false,
		"http://[::1]:7071/":                      false,
		"http://169.254.129.4:8081/msi/token":     false,
		"https://[fe80::1]/":                      false,
		"https://direct.example/":                 false,
		"https://below.direct.example/":           false,
		"https://suffix.example/":                 true,
		"https://a.suffix.example/":               false,
		"https://10.1.2.3/":                       false,
		"https://ucserver/push":                   false,
		"https://port.example/":                   true,
		"https://port.example:8443/":              false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.Proxied(u); got != want {
			t.Errorf("Proxied(%s) = %t", address, got)
		}
	}
	everything := network(t, outbound.Config{Proxy: newProxy(t, nil).through(t, "", "*")})
	if everything.Proxied(&url.URL{Scheme: "https", Host: "graph.microsoft.com"}) {
		t.Error("* excepts not everything")
	}
}

func TestRequestsGoThroughTheProxyAndDirectOnesNever(t *testing.T) {
	ca := newAuthority(t, "Contoso CA")
	graph := ca.server(t, "graph.contoso.test")
	p := newProxy(t, map[string]string{"graph.contoso.test:443": graph.Listener.Addr().String()})
	n := network(t, outbound.Config{Proxy: p.through(t, ""), Authorities: []*x509.Certificate{ca.cert}})
	if text, err := post(t, n.Client(), "https://graph.contoso.test/x", "hello"); text != "hello" {
		t.Errorf("through the proxy: %q, %v", text, err)
	}
	if err := n.Reach(t.Context(), "https://graph.contoso.test/some/path?and=more"); err != nil {
		t.Errorf("Reach() = %v", err)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer plain.Close()
	for _, client := range []*http.Client{n.Client(), n.Direct()} {
		if text, err := post(t, client, plain.URL, "loopback"); text != "loopback" {
			t.Errorf("loopback: %q, %v", text, err)
		}
	}
	if _, err := post(t, n.Direct(), "https://graph.contoso.test/", ""); err == nil {
		t.Error("a direct request reached what only the proxy knows")
	}
	if seen := p.log(); !slices.Equal(seen, []string{"graph.contoso.test:443"}) {
		t.Errorf("the proxy saw %q", seen) // one tunnel, since connections are shared
	}
}

func TestTheEnvironmentsProxyIsNotRead(t *testing.T) {
	p := newProxy(t, nil)
	t.Setenv("HTTPS_PROXY", p.URL)
	t.Setenv("HTTP_PROXY", p.URL)
	n := network(t, outbound.Config{})
	for _, client := range []*http.Client{n.Client(), n.Direct()} {
		_, _ = post(t, client, "https://nowhere.invalid/", "")
	}
	if seen := p.log(); len(seen) > 0 {
		t.Errorf("the proxy of the environment saw %q", seen)
	}
}

func TestAPasswordIsReadOnceAndAgainWhenTheProxyRefusesIt(t *testing.T) {
	ca := newAuthority(t, "Contoso CA")
	graph := ca.server(t, "graph.contoso.test", "login.contoso.test")
	at := graph.Listener.Addr().String()
	p := newProxy(t, map[string]string{"graph.contoso.test:443": at, "login.contoso.test:443": at})
	p.set(func(p *proxy) { p.password = `CONTOSO\svc:s3cret@1` })
	now, v := time.Now(), &vault{value: "s3cret@1\n"}
	s := p.through(t, "")
	s.User = `CONTOSO\svc`
	n := network(t, outbound.Config{Proxy: s, Authorities: []*x509.Certificate{ca.cert}, Password: v.read, Now: func() time.Time { return now }})
	if text, err := post(t, n.Client(), "https://graph.contoso.test/", "hello"); text != "hello" || v.reads != 1 {
		t.Fatalf("%q, %v, %d reads of Key Vault", text, err, v.reads)
	}

	// Rotated on both sides: the first refusal makes the bridge look, and nobody notices.
	p.set(func(p *proxy) { p.password = `CONTOSO\svc:s3cret@2` })
	v.set("s3cret@2", nil)
	n.Client().CloseIdleConnections()
	if text, err := post(t, n.Client(), "https://login.contoso.test/", "again"); text != "again" || v.reads != 2 {
		t.Fatalf("after a rotation: %q, %v, %d reads of Key Vault", text, err, v.reads)
	}

	// Rotated at the proxy alone: one wrong try, then none for a minute.
	p.set(func(p *proxy) { p.password, p.asked = `CONTOSO\svc:s3cret@3`, 0 })
	n.Client().CloseIdleConnections()
	for range 5 {
		_, err := post(t, n.Client(), "https://graph.contoso.test/", "hello")
		wants(t, err, outbound.ProxyPassword, "(407)", "secret proxy-password", `CONTOSO\\svc`, "OUTBOUND_PROXY")
	}
	if p.asked != 1 || v.reads != 3 {
		t.Errorf("%d tries with a wrong password, %d reads of Key Vault; want 1 and 3", p.asked, v.reads)
	}
	v.set("s3cret@3", nil)
	now = now.Add(time.Minute)
	if text, err := post(t, n.Client(), "https://graph.contoso.test/", "hello"); text != "hello" {
		t.Errorf("with the right password: %q, %v", text, err)
	}
}

func TestAPasswordThatCantBeReadIsSaidSo(t *testing.T) {
	now, v, p := time.Now(), &vault{err: secret.ErrNotFound}, newProxy(t, nil)
	n := network(t, outbound.Config{Proxy: p.through(t, "svc"), Password: v.read, Now: func() time.Time { return now }})
	for range 3 {
		_, err := post(t, n.Client(), "https://graph.contoso.test/", "hello")
		wants(t, err, outbound.ProxyPassword, "there is none", "store it in Key Vault as the secret proxy-password")
	}
	if v.reads != 1 || len(p.log()) > 0 {
		t.Errorf("%d reads of Key Vault, the proxy saw %q", v.reads, p.log())
	}
	v.set("", errors.New("Key Vault does not answer"))
	now = now.Add(5 * time.Second)
	_, err := post(t, n.Client(), "https://graph.contoso.test/", "hello")
	wants(t, err, outbound.ProxyPassword, "can't be read: Key Vault does not answer", "reaches Key Vault without the proxy")
}

func TestManyRequestsShareOneLookAtKeyVault(t *testing.T) {
	ca := newAuthority(t, "Contoso CA")
	graph := ca.server(t, "graph.contoso.test")
	p := newProxy(t, map[string]string{"graph.contoso.test:443": graph.Listener.Addr().String()})
	p.set(func(p *proxy) { p.password = "svc:new" })
	var reads atomic.Int32
	n := network(t, outbound.Config{Proxy: p.through(t, "svc"), Authorities: []*x509.Certificate{ca.cert}, Password: func(context.Context) (secret.Text, error) {
		if reads.Add(1) == 1 {
			return secret.New("old"), nil
		}
		return secret.New("new"), nil
	}})
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if text, err := post(t, n.Client(), "https://graph.contoso.test/", "hello"); text != "hello" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	group.Wait()
	if reads.Load() != 2 {
		t.Errorf("%d reads of Key Vault; want 2", reads.Load())
	}
}

func TestWhatTheProxySaysIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*proxy)
		user   string
		kind   outbound.Kind
		says   []string
	}{
		{"it refuses the host", func(p *proxy) { p.status = 403 }, "", outbound.ProxyRefuses, []string{"refuses to connect to graph.contoso.test (403)", "method CONNECT"}},
		{"it can't reach the host", func(p *proxy) { p.status = 502 }, "", outbound.ProxyLost, []string{"could not reach graph.contoso.test (502)"}},
		{"it does not know the host", func(p *proxy) {}, "", outbound.ProxyLost, []string{"(503)"}},
		{"it does not know the method", func(p *proxy) { p.status = 405 }, "", outbound.ProxyRefuses, []string{"(405)"}},
		{"it wants a user", func(p *proxy) { p.password = "a:b" }, "", outbound.ProxyPassword, []string{"wants a user and a password (407)", "name the user, as in user@127.0.0.1"}},
		{"the password in the setting is wrong", func(p *proxy) { p.password = "svc:b" }, "svc:s3cret", outbound.ProxyPassword, []string{`does not accept the user "svc"`, "correct the app setting OUTBOUND_PROXY"}},
		{"it speaks NTLM only", func(p *proxy) { p.password, p.offer = "svc:b", "NTLM" }, "svc:s3cret", outbound.ProxyPassword, []string{`only "NTLM"`, "accept Basic"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxy(t, nil)
			p.set(tt.change)
			n := network(t, outbound.Config{Proxy: p.through(t, tt.user)})
			_, err := post(t, n.Client(), "https://graph.contoso.test/path?code=s3cret", "")
			failed, ok := errors.AsType[*url.Error](err)
			if !ok {
				t.Fatalf("error = %v", err)
			}
			wants(t, failed.Err, tt.kind, append(tt.says, p.Listener.Addr().String()+" (OUTBOUND_PROXY)")...)
			if err := n.Reach(t.Context(), "https://graph.contoso.test/"); err == nil {
				t.Error("Reach() = nil")
			}
		})
	}
}

func TestAProxyThatIsNotThereIsNamed(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := gone.Addr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	// It takes connections and hangs up.
	rude, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer rude.Close()
	go func() {
		for {
			conn, err := rude.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 10))
			_ = conn.Close()
		}
	}()
	dial := func(fault error, ip string) func(context.Context, string, string) (net.Conn, error) {
		return func(_ context.Context, network, _ string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080}, Err: fault}
		}
	}
	for _, tt := range []struct {
		name, proxy string
		dial        func(context.Context, string, string) (net.Conn, error)
		kind        outbound.Kind
		says        string
	}{
		{"it refuses the connection", address, nil, outbound.ProxyUnreachable, "refuses the connection"},
		{"it hangs up", rude.Addr().String(), nil, outbound.ProxyUnreachable, "does not open the way to graph.contoso.test"},
		{"its name is unknown", "proxy.invalid:8080", func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Name: "proxy.invalid", IsNotFound: true}
		}, outbound.ProxyName, "can't be resolved"},
		{"its private address does not answer", "192.168.1.253:1234", dial(os.ErrDeadlineExceeded, "192.168.1.253"), outbound.ProxyPrivate, "virtual network"},
		{"its name means a private address", "proxy.contoso.com:8080", dial(syscall.EHOSTUNREACH, "10.1.2.3"), outbound.ProxyPrivate, "virtual network"},
		{"its public address does not answer", "proxy.contoso.com:8080", dial(os.ErrDeadlineExceeded, "192.0.2.1"), outbound.ProxyUnreachable, "does not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := settings.ParseProxy("svc:s3cret@" + tt.proxy)
			if err != nil {
				t.Fatal(err)
			}
			s.Source = "msteams.cfg"
			_, err = post(t, network(t, outbound.Config{Proxy: s, Dial: tt.dial}).Client(), "https://graph.contoso.test/", "")
			wants(t, err, tt.kind, tt.says, "the proxy "+tt.proxy+" (msteams.cfg)")
		})
	}
}

func TestWithoutAProxyItIsNamedWhoDoesNotAnswer(t *testing.T) {
	dial := func(err error) *http.Client {
		return network(t, outbound.Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, err }}).Client()
	}
	at := func(ip string, err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 443}, Err: err}
	}
	_, err := post(t, dial(at("10.1.2.3", os.ErrDeadlineExceeded)), "https://ucserver.contoso.local/push", "")
	wants(t, err, outbound.Private, "ucserver.contoso.local does not answer, and its address is private", "virtual network")
	_, err = post(t, dial(at("192.0.2.1", os.ErrDeadlineExceeded)), "https://graph.microsoft.com/", "")
	wants(t, err, outbound.Silent, "graph.microsoft.com does not answer", "set OUTBOUND_PROXY")
	_, err = post(t, dial(&net.DNSError{Name: "graph.microsoft.com"}), "https://graph.microsoft.com/", "")
	wants(t, err, outbound.Name, "the name graph.microsoft.com can't be resolved")
}

func TestAnInspectingProxyNeedsItsAuthority(t *testing.T) {
	inspection := newAuthority(t, "Contoso Inspection CA")
	ca := newAuthority(t, "Microsoft CA")
	// The proxy leads graph to somebody who re-signs, and login to the right one.
	graph, login := inspection.server(t, "graph.contoso.test"), ca.server(t, "login.contoso.test")
	p := newProxy(t, map[string]string{
		"graph.contoso.test:443": graph.Listener.Addr().String(), "login.contoso.test:443": login.Listener.Addr().String(),
	})
	n := network(t, outbound.Config{Proxy: p.through(t, ""), Authorities: []*x509.Certificate{ca.cert}})
	if text, err := post(t, n.Client(), "https://login.contoso.test/", "hello"); text != "hello" {
		t.Errorf("login is not inspected: %q, %v", text, err)
	}
	_, err := post(t, n.Client(), "https://graph.contoso.test/", "hello")
	wants(t, err, outbound.Inspected, "the connection to graph.contoso.test is re-signed by \"Contoso Inspection CA\"", "OUTBOUND_CA", "exempt this host")
	n = network(t, outbound.Config{Proxy: p.through(t, ""), Authorities: []*x509.Certificate{ca.cert, inspection.cert}})
	for _, host := range []string{"login", "graph"} {
		if text, err := post(t, n.Client(), "https://"+host+".contoso.test/", "hello"); text != "hello" {
			t.Errorf("%s with the authority: %q, %v", host, text, err)
		}
	}
}

func TestAProxyOverTLSWorksOnceItsAuthorityIsTrusted(t *testing.T) {
	ca := newAuthority(t, "Contoso CA")
	graph := ca.server(t, "graph.contoso.test")
	inner := newProxy(t, map[string]string{"graph.contoso.test:443": graph.Listener.Addr().String()})
	outer := ca.server(t, "proxy.contoso.test")
	outer.Config.Handler = inner
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "proxy.contoso.test:8443" {
			address = outer.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	s, err := settings.ParseProxy("https://proxy.contoso.test:8443")
	if err != nil {
		t.Fatal(err)
	}
	s.Source = "OUTBOUND_PROXY"
	_, err = post(t, network(t, outbound.Config{Proxy: s, Dial: dial}).Client(), "https://graph.contoso.test/", "")
	wants(t, err, outbound.ProxyUnreachable, "itself is signed by \"Contoso CA\"", "OUTBOUND_CA")
	n := network(t, outbound.Config{Proxy: s, Dial: dial, Authorities: []*x509.Certificate{ca.cert}})
	if text, err := post(t, n.Client(), "https://graph.contoso.test/", "hello"); text != "hello" {
		t.Errorf("over TLS: %q, %v", text, err)
	}
}

func TestAnAuthorityOfOneConnectionIsTrustedByNoOther(t *testing.T) {
	ca, other := newAuthority(t, "Contoso CA"), newAuthority(t, "Other CA")
	server := ca.server(t, "localhost")
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}))
	different := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.cert.Raw}))
	address := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for name, n := range map[string]*outbound.Network{
		"the system's alone": network(t, outbound.Config{}), "with others": network(t, outbound.Config{Authorities: []*x509.Certificate{other.cert}}),
	} {
		t.Run(name, func(t *testing.T) { trustedByNoOther(t, n, address, text, different) })
	}
}

func trustedByNoOther(t *testing.T, n *outbound.Network, address, text, different string) {
	push := func(authority string) error {
		_, err := post(t, &http.Client{Transport: n.Trusting(authority)}, address, "hello")
		return err
	}
	if err := push(""); err == nil {
		t.Error("without the authority it is trusted")
	}
	if err := push(text); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	if err := push(different); err == nil {
		t.Error("after it was replaced, the old authority is trusted")
	}
	for _, client := range []*http.Client{n.Client(), n.Direct()} {
		if _, err := post(t, client, address, "hello"); err == nil {
			t.Error("another client trusts UCServer's authority")
		}
	}
}

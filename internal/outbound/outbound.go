// Package outbound is the bridge's way out: one pool of connections for all
// clients, through the proxy that the settings name, and errors that say what
// stood in the way.
//
// Loopback, link-local addresses and the exceptions of the settings are reached
// directly. The managed identity's endpoint and, while the proxy's password lies in
// Key Vault, Key Vault too, are given to [Network.Direct] by whoever wires the clients.
// Nothing here reads the environment. There is no fall-back: what the proxy does not
// let through fails, as an *[Error], which never holds the password.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/trust"
)

const (
	// dialTimeout is below the 10 s that the clients give one try, so that the error
	// says who did not answer.
	dialTimeout = 8 * time.Second
	// answerTimeout is how long a proxy may take to open the way, or to say why not.
	answerTimeout = 8 * time.Second
)

// Config says which way out there is.
type Config struct {
	Proxy settings.Proxy
	// Authorities are trusted besides the system's.
	Authorities []*x509.Certificate
	// Password reads the proxy's password, when it lies in Key Vault. It must not go
	// through the proxy itself.
	Password func(context.Context) (secret.Text, error)
	Now      func() time.Time // nil means time.Now
	// Dial connects; nil means the system's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Network makes connections. It is safe for concurrent use; nothing is contacted
// before the first request.
type Network struct {
	proxy    settings.Proxy
	excepted func(*url.URL) bool
	password *password
	roots    *x509.CertPool // nil: the system's
	connect  func(ctx context.Context, network, address string) (net.Conn, error)
	base     *http.Transport

	mu       sync.Mutex
	trusted  string // authority of trusting
	trusting *http.Transport
}

// New returns the way out. An error says that the system's certificates can't be read.
func New(c Config) (*Network, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	n := &Network{proxy: c.Proxy, excepted: exceptions(c.Proxy), password: newPassword(c), connect: c.Dial}
	if len(c.Authorities) > 0 {
		roots, err := withAuthorities(nil, c.Authorities)
		if err != nil {
			return nil, err
		}
		n.roots = roots
	}
	n.base = n.transport(n.roots)
	return n, nil
}

// withAuthorities returns roots, or the system's, and more.
func withAuthorities(roots *x509.CertPool, more []*x509.Certificate) (*x509.CertPool, error) {
	if roots != nil {
		roots = roots.Clone()
	} else {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the system's certificates: %w", err)
		}
	}
	for _, authority := range more {
		roots.AddCert(authority)
	}
	return roots, nil
}

// transport has the Azure SDK's own numbers, but for the time of a dial and for the
// idle connections, of which there may be as many as requests in flight.
func (n *Network) transport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  proxyOf,
		DialContext:            n.dial,
		OnProxyConnectResponse: connected,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    answerTimeout,
		ExpectContinueTimeout:  time.Second,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// Client goes through the proxy, if there is one.
func (n *Network) Client() *http.Client { return &http.Client{Transport: way{n, n.base, true}} }

// Direct never goes through the proxy.
func (n *Network) Direct() *http.Client { return &http.Client{Transport: way{n, n.base, false}} }

// Trusting goes the way of [Network.Client] and trusts the authorities in the PEM
// text besides. Nothing else trusts them. A text that holds none changes nothing: the
// settings were checked when they were stored.
func (n *Network) Trusting(authority string) http.RoundTripper {
	if authority == "" {
		return way{n, n.base, true}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.trusting == nil || n.trusted != authority {
		roots := n.roots
		if more, err := trust.Anchors([]byte(authority)); err == nil {
			if with, err := withAuthorities(n.roots, more); err == nil {
				roots = with
			}
		}
		if n.trusting != nil {
			n.trusting.CloseIdleConnections()
		}
		n.trusted, n.trusting = authority, n.transport(roots)
	}
	return way{n, n.trusting, true}
}

// Reach asks for a page of an https address and reports whether anybody answered: the
// way there is open, whatever the answer is.
func (n *Network) Reach(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return errors.New("not an address")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, u.Scheme+"://"+u.Host+"/", nil)
	if err != nil {
		return err
	}
	client := n.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err == nil {
		return response.Body.Close()
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	return err
}

// Proxied reports whether requests to an address go through the proxy.
func (n *Network) Proxied(u *url.URL) bool { return n.proxy.On() && !n.excepted(u) }

// exceptions reports which addresses are reached directly: loopback, link-local ones,
// and what the settings say.
func exceptions(p settings.Proxy) func(*url.URL) bool {
	if !p.On() {
		return func(*url.URL) bool { return true }
	}
	short := slices.Contains(p.Bypass, settings.Local)
	listed := (&httpproxy.Config{
		HTTPProxy: p.Address.String(), HTTPSProxy: p.Address.String(),
		NoProxy: strings.Join(append([]string{"169.254.0.0/16", "fe80::/10"}, p.Bypass...), ","),
	}).ProxyFunc()
	return func(u *url.URL) bool {
		host := u.Hostname()
		if _, err := netip.ParseAddr(host); err != nil && short && !strings.Contains(host, ".") {
			return true
		}
		proxy, err := listed(u)
		return err == nil && proxy == nil
	}
}

// dial connects, to the proxy or directly.
func (n *Network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := n.connect(ctx, network, address)
	if err == nil && n.proxy.On() && address == n.proxy.Address.Host {
		conn = &proxyConn{Conn: conn}
	}
	return conn, err
}

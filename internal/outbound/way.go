package outbound

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"procallteams/internal/secret"
)

// way is one way out: a pool of connections, through the proxy where one is due.
type way struct {
	*Network
	base    *http.Transport
	proxied bool
}

// proxyKey marks the request that goes through a proxy, with its address.
type proxyKey struct{}

func proxyOf(r *http.Request) (*url.URL, error) {
	u, _ := r.Context().Value(proxyKey{}).(*url.URL)
	return u, nil
}

// RoundTrip sends a request. Its errors are *[Error]s where they can say more than
// the network does.
func (w way) RoundTrip(r *http.Request) (*http.Response, error) {
	if !w.proxied || !w.Proxied(r.URL) {
		response, err := w.base.RoundTrip(r)
		return response, w.explainDirect(r, err)
	}
	password, err := w.password.current(r.Context())
	if err != nil {
		closeBody(r)
		return nil, err
	}
	response, err := w.through(r, password)
	if !refusedPassword(err) || !w.password.replaced(r.Context(), password, err) {
		return response, err
	}
	// Nothing of the request was sent: the proxy refused to open the way.
	again, ok := rewound(r)
	if !ok {
		return nil, err
	}
	if password, err = w.password.current(r.Context()); err != nil {
		return nil, err
	}
	if response, err = w.through(again, password); refusedPassword(err) {
		w.password.replaced(r.Context(), password, err)
	}
	return response, err
}

func (w way) through(r *http.Request, password secret.Text) (*http.Response, error) {
	proxy := *w.proxy.Address
	if w.proxy.User != "" {
		proxy.User = url.UserPassword(w.proxy.User, password.Reveal())
	}
	response, err := w.base.RoundTrip(r.WithContext(context.WithValue(r.Context(), proxyKey{}, &proxy)))
	if err == nil && r.URL.Scheme == "http" && response.StatusCode == http.StatusProxyAuthRequired {
		// Plain http has no tunnel: the proxy itself answered.
		_ = response.Body.Close()
		err = refusalOf(response)
	}
	if err != nil {
		return nil, w.explain(r, err)
	}
	return response, nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// rewound is a request that can be sent once more.
func rewound(r *http.Request) (*http.Request, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	again := r.Clone(r.Context())
	again.Body = body
	return again, true
}

// connectError is a proxy's refusal to open the way.
type connectError struct {
	status int
	// schemes are what it offers to authenticate by: "Basic", "NTLM".
	schemes []string
}

func (e *connectError) Error() string { return "the proxy answered " + http.StatusText(e.status) }

// connected looks at a proxy's answer to CONNECT.
func connected(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return refusalOf(answer)
}

func refusalOf(answer *http.Response) *connectError {
	e := &connectError{status: answer.StatusCode}
	for _, offer := range answer.Header.Values("Proxy-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(offer), " ")
		e.schemes = append(e.schemes, scheme)
	}
	return e
}

func refusedPassword(err error) bool {
	refusal, ok := errors.AsType[*connectError](err)
	return ok && refusal.status == http.StatusProxyAuthRequired
}

// proxyConn is a connection to the proxy. Its first answer is bounded: a proxy that
// takes a connection and then says nothing would look like the other end.
type proxyConn struct {
	net.Conn
	heard bool
}

// silentError is a proxy that took a connection and did not answer on it.
type silentError struct{ err error }

func (e *silentError) Error() string { return "the proxy does not answer: " + e.err.Error() }
func (e *silentError) Unwrap() error { return e.err }

// Read is called by one goroutine at a time, as net/http does.
func (c *proxyConn) Read(into []byte) (int, error) {
	if c.heard {
		return c.Conn.Read(into)
	}
	if err := c.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(into)
	if n == 0 && err != nil {
		return 0, &silentError{err}
	}
	c.heard = true
	return n, errors.Join(err, c.SetReadDeadline(time.Time{}))
}

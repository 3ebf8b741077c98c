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
	"slices"
	"strings"
	"syscall"

	"procallteams/internal/settings"
	"procallteams/internal/trust"
)

// Kind names what stood in the way; stable, for programs.
type Kind string

// What can stand in the way. Those that begin with proxy are the proxy's.
const (
	ProxyUnreachable Kind = "proxy-unreachable" // refuses connections, or does not answer
	ProxyName        Kind = "proxy-dns"         // its name is not known
	ProxyPrivate     Kind = "proxy-private"     // its address is private, and does not answer
	ProxyRefuses     Kind = "proxy-refuses"     // 403 and others
	ProxyPassword    Kind = "proxy-password"    // 407, or no password to be had
	ProxyLost        Kind = "proxy-lost"        // it could not reach the other end
	Inspected        Kind = "tls-inspected"     // re-signed by an authority that is not trusted
	Private          Kind = "private-address"   // a private address that does not answer
	Silent           Kind = "no-answer"         // a public address that does not answer
	Name             Kind = "dns"               // a name is not known
)

// Error is what stood between the bridge and a host. Its text is fit for logs and
// pages: neither a password nor a path of an address is in it.
type Error struct {
	Kind Kind
	// Cause says what happened, Step what to do, as parts of a sentence.
	Cause, Step string

	err error
}

func (e *Error) Error() string { return e.Cause + "; " + e.Step }

// NextStep is Step as a sentence.
func (e *Error) NextStep() string { return strings.ToUpper(e.Step[:1]) + e.Step[1:] + "." }

// Unwrap leads to the network's own error.
func (e *Error) Unwrap() error { return e.err }

// AtProxy reports whether the proxy is the reason.
func (e *Error) AtProxy() bool { return strings.HasPrefix(string(e.Kind), "proxy-") }

// named is how texts name the proxy: where it is, and where that is set.
func named(p settings.Proxy) string {
	return "the proxy " + p.Address.Host + " (" + p.Source + ")"
}

const virtualNetwork = "the bridge reaches a private address only through a virtual network that leads there: integrate the function app with one, or "

// explain says why a request through the proxy failed.
func (n *Network) explain(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return err
	}
	if refusal, ok := errors.AsType[*connectError](err); ok {
		return n.explainRefusal(r, refusal)
	}
	e := &Error{Kind: ProxyUnreachable, err: err, Step: "see whether it runs and a firewall lets the bridge through, or correct the address"}
	_, silent := errors.AsType[*silentError](err)
	operation, ok := errors.AsType[*net.OpError](err)
	atProxy := silent || ok && operation.Op == "proxyconnect"
	_, unknown := errors.AsType[*net.DNSError](err)
	verify, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case !atProxy:
		return inspected(r, err)
	case unknown:
		e.Kind, e.Cause = ProxyName, fmt.Sprintf("the name of %s can't be resolved", named(n.proxy))
		e.Step = "correct it, or the DNS servers of the function app's virtual network"
	case untrusted:
		e.Cause = fmt.Sprintf("the certificate of %s itself is signed by %s, which the bridge does not trust", named(n.proxy), issuer(verify))
		e.Step = "add that authority's certificate with the app setting OUTBOUND_CA"
	case silent:
		e.Cause = named(n.proxy) + " takes connections but does not open the way to " + r.URL.Host
		e.Step = "see its log, and that its port is the one for web traffic"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Cause = named(n.proxy) + " can't be reached: it refuses the connection"
	case isPrivate(err, n.proxy.Address.Hostname()):
		e.Kind, e.Cause = ProxyPrivate, named(n.proxy)+" does not answer, and its address is private"
		e.Step = virtualNetwork + "name a proxy that Azure reaches"
	default:
		e.Cause = named(n.proxy) + " can't be reached: it does not answer"
	}
	return e
}

func (n *Network) explainRefusal(r *http.Request, refusal *connectError) error {
	e := &Error{Kind: ProxyRefuses, err: refusal}
	host := r.URL.Host
	switch refusal.status {
	case http.StatusProxyAuthRequired:
		return wrongPassword(n.proxy, refusal)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.Kind, e.Cause = ProxyLost, fmt.Sprintf("%s could not reach %s (%d)", named(n.proxy), host, refusal.status)
		e.Step = "see in its log why: it has to resolve that name and to get through to it"
	default:
		e.Cause = fmt.Sprintf("%s refuses to connect to %s (%d)", named(n.proxy), host, refusal.status)
		e.Step = "let it allow that host, port 443 and the method CONNECT, for the function app's address"
	}
	return e
}

// wrongPassword says what a 407 means.
func wrongPassword(p settings.Proxy, refusal *connectError) *Error {
	e := &Error{Kind: ProxyPassword, err: refusal}
	basic := len(refusal.schemes) == 0 || slices.ContainsFunc(refusal.schemes, func(s string) bool { return strings.EqualFold(s, "Basic") })
	switch {
	case !basic:
		e.Cause = fmt.Sprintf("%s accepts only %.60q to authenticate by, which the bridge can't (407)", named(p), strings.Join(refusal.schemes, ", "))
		e.Step = "let it accept Basic for the function app's address, or ask it for no authentication"
	case p.User == "":
		e.Cause = named(p) + " wants a user and a password (407)"
		e.Step = "name the user, as in user@" + p.Address.Host + ", and store the password in Key Vault as the secret " + settings.ProxyPasswordName
	case p.PasswordInVault():
		e.Cause = fmt.Sprintf("%s does not accept the user %q with its password (407)", named(p), p.User)
		e.Step = "store the right password in Key Vault as the secret " + settings.ProxyPasswordName + "; it is read again within a minute"
	default:
		e.Cause = fmt.Sprintf("%s does not accept the user %q with its password (407)", named(p), p.User)
		e.Step = "correct the app setting " + p.Source
	}
	return e
}

// explainDirect says why a request that went no detour failed.
func (n *Network) explainDirect(r *http.Request, err error) error {
	if err == nil || r.Context().Err() != nil {
		return err
	}
	host := r.URL.Hostname()
	operation, ok := errors.AsType[*net.OpError](err)
	if name, unknown := errors.AsType[*net.DNSError](err); unknown {
		return &Error{Kind: Name, err: err, Cause: fmt.Sprintf("the name %s can't be resolved", name.Name),
			Step: "see whether it exists, and the DNS servers of the function app's virtual network"}
	}
	if !ok || operation.Op != "dial" || !unanswered(err) {
		return inspected(r, err)
	}
	if isPrivate(err, host) {
		return &Error{Kind: Private, err: err, Cause: host + " does not answer, and its address is private",
			Step: virtualNetwork + "name an address that Azure reaches"}
	}
	e := &Error{Kind: Silent, err: err, Cause: host + " does not answer", Step: "if only a proxy leads out of this network, set OUTBOUND_PROXY"}
	if n.proxy.On() {
		e.Step = "it is reached without the proxy: see the exceptions from it, and whether a firewall lets the bridge through"
	}
	return e
}

// inspected names the authority that re-signed a connection; every other error
// stays as it is.
func inspected(r *http.Request, err error) error {
	verify, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok {
		return err
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](verify.Err); !ok || len(verify.UnverifiedCertificates) == 0 {
		return err
	}
	return &Error{
		Kind: Inspected, err: err,
		Cause: fmt.Sprintf("the connection to %s is re-signed by %s, which the bridge does not trust", r.URL.Hostname(), issuer(verify)),
		Step:  "a proxy or a firewall inspects TLS: add that authority's certificate with the app setting OUTBOUND_CA, or exempt this host from inspection",
	}
}

func issuer(e *tls.CertificateVerificationError) string {
	if len(e.UnverifiedCertificates) == 0 {
		return "somebody"
	}
	return trust.Issuer(e.UnverifiedCertificates[0])
}

// unanswered reports whether nobody was there, rather than somebody who refused.
func unanswered(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// isPrivate reports whether the address that was dialled is one of RFC 1918 or
// RFC 4193.
func isPrivate(err error, host string) bool {
	if address, parseErr := netip.ParseAddr(host); parseErr == nil {
		return address.IsPrivate()
	}
	for {
		operation, ok := errors.AsType[*net.OpError](err)
		if !ok {
			return false
		}
		if address, ok := operation.Addr.(*net.TCPAddr); ok {
			return address.IP.IsPrivate()
		}
		err = operation.Err
	}
}

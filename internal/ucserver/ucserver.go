// Package ucserver sends pushes to the address that UCServer's connector named.
//
// Each request is signed per Standard Webhooks 1.0.0 over exactly the bytes sent.
// Certificates are always verified and redirects never followed. What comes back
// becomes an [Outcome] in words that an administrator can act on; no error text
// holds the body, the signature or the query of an address.
package ucserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"procallteams/internal/outbound"
	"procallteams/internal/secret"
	"procallteams/internal/telemetry"
)

// timeout bounds one request (Standard Webhooks 1.0.0 recommends 15 to 30 s).
const timeout = 20 * time.Second

// maxRetryAfter bounds what a receiver may ask for.
const maxRetryAfter = 6 * time.Hour

// Client sends pushes. The zero value works with the system's roots.
type Client struct {
	// Transport carries the requests and trusts an authority besides the system's
	// (PEM, empty for none); nil means the default one, which trusts none.
	Transport func(authority string) http.RoundTripper
	Now       func() time.Time // nil means time.Now
}

// Delivery is one signed request.
type Delivery struct {
	URL string
	// ID is the webhook-id: equal for every retry, without a full stop.
	ID   string
	Body []byte // JSON, at most 256 KiB
	// Secret signs: whsec_ and base64.
	Secret secret.Text
	// Authority signed UCServer's private certificate: PEM, empty for a public one.
	Authority string
}

// Result is what became of a delivery.
type Result int

const (
	// Delivered: 2xx, the receiver stored it or knew it.
	Delivered Result = iota + 1
	// Conflict: 409, the receiver lacks what came before.
	Conflict
	// Stopped: 410, nothing more may be sent until an administrator says so.
	Stopped
	// Later: everything else; try the same again.
	Later
)

// Outcome is a Result and, unless delivered, why.
type Outcome struct {
	Result Result
	// Code is stable, such as "tls-expired"; Reason says it in words with the next
	// step. Both empty when delivered.
	Code, Reason string
	// RetryAfter is how long the receiver asked to wait, 0 when it did not.
	RetryAfter time.Duration
}

// Push sends one delivery. ctx may end it early, which is an Outcome too.
func (c Client) Push(ctx context.Context, d Delivery) Outcome {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := c.sign(ctx, d)
	if err != nil {
		return Outcome{Result: Later, Code: "push-settings", Reason: err.Error()}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.Transport != nil {
		client.Transport = c.Transport(d.Authority)
	}
	spanned, end := telemetry.Request(ctx, "ucserver", "POST push")
	telemetry.Propagate(spanned, request.Header)
	response, err := client.Do(request)
	if err != nil {
		end(0, err)
		return c.unanswered(err)
	}
	end(response.StatusCode, nil)
	defer response.Body.Close()
	// Read, so that the connection can serve again; nobody looks at it.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return c.answered(response)
}

func (c Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c Client) sign(ctx context.Context, d Delivery) (*http.Request, error) {
	if d.Secret.Empty() {
		return nil, errors.New("there is no push secret: create one in the console")
	}
	webhook, err := standardwebhooks.NewWebhook(d.Secret.Reveal())
	if err != nil {
		return nil, errors.New("the push secret is not whsec_ and base64: create a new one in the console")
	}
	// A new timestamp for each attempt: receivers refuse old ones.
	at := c.now()
	signature, err := webhook.Sign(d.ID, at, d.Body)
	if err != nil {
		return nil, errors.New("the push could not be signed")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return nil, errors.New("the push address is not a URL: correct it in the console")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "ProCall-Teams-Bridge")
	request.Header.Set(standardwebhooks.HeaderWebhookID, d.ID)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return request, nil
}

func (c Client) answered(r *http.Response) Outcome {
	status := r.StatusCode
	o := Outcome{Result: Later, Code: "push-" + strconv.Itoa(status), RetryAfter: c.retryAfter(r)}
	switch {
	case status >= 200 && status < 300:
		return Outcome{Result: Delivered}
	case status == http.StatusConflict:
		o.Result, o.Reason = Conflict, "UCServer lacks changes that came before (409); the whole state is sent anew"
	case status == http.StatusGone:
		o.Result, o.Reason = Stopped, "UCServer asked to stop pushing (410); switch the push on again in the console when it is ready"
	case status >= 300 && status < 400:
		o.Code = "push-redirect"
		o.Reason = fmt.Sprintf("UCServer's address redirects (%d) to %s; pushes don't follow, enter the new address in the console", status, place(r.Header.Get("Location")))
	case status == http.StatusTooManyRequests || status >= 500:
		o.Reason = fmt.Sprintf("UCServer's connector answered %d; it is tried again", status)
	default:
		o.Reason = fmt.Sprintf("UCServer's connector refuses pushes with %d; compare its push secret with the one of the console%s", status, c.skew(r))
	}
	return o
}

// place is an address without what may be secret in it.
func place(location string) string {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return "an address that can't be read"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// skew is a hint when the receiver's clock explains a refusal.
func (c Client) skew(r *http.Response) string {
	date, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		return ""
	}
	differs := date.Sub(c.now()).Round(time.Second)
	if differs.Abs() < 2*time.Minute {
		return ""
	}
	return fmt.Sprintf("; their clock differs by about %v, and signatures are valid for five minutes only", differs.Abs())
}

func (c Client) retryAfter(r *http.Response) time.Duration {
	text := r.Header.Get("Retry-After")
	if text == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(c.now())
	}
	return min(max(wait, 0), maxRetryAfter)
}

// unanswered says why no answer came.
func (c Client) unanswered(err error) Outcome {
	o := Outcome{Result: Later}
	o.Code, o.Reason = c.explain(err)
	return o
}

const trust = "upload the authority's certificate on the console, step 4; verification is never switched off"

func (c Client) explain(err error) (code, reason string) {
	if way, ok := errors.AsType[*outbound.Error](err); ok && way.AtProxy() {
		return string(way.Kind), "the push does not get out: " + way.Error()
	} else if ok && way.Kind == outbound.Private {
		return "push-private", "UCServer's connector can't be reached: " + way.Error() + "; or let the connector poll"
	}
	if verify, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(verify.UnverifiedCertificates) > 0 {
		return c.explainCertificate(verify.Err, verify.UnverifiedCertificates[0])
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "push-dns", fmt.Sprintf("the name %s of UCServer's address can't be resolved; correct the push address or its DNS entry", dns.Name)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "push-timeout", "UCServer's connector did not answer in time; see whether it runs and a firewall lets the bridge through"
	}
	if errors.Is(err, context.Canceled) {
		return "push-cancelled", "the request was given up, since another process took over"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "push-no-tls", "UCServer's address does not speak TLS; pushes need https"
	}
	return "push-unreachable", "UCServer's connector can't be reached; see whether it runs and a firewall lets the bridge through"
}

func (c Client) explainCertificate(err error, leaf *x509.Certificate) (code, reason string) {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		if c.now().Before(invalid.Cert.NotBefore) {
			return "tls-not-yet-valid", fmt.Sprintf("UCServer's certificate is valid only from %s; check its clock or the certificate", invalid.Cert.NotBefore.UTC().Format(time.RFC3339))
		}
		return "tls-expired", fmt.Sprintf("UCServer's certificate expired on %s; renew it", invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		names := append([]string{}, leaf.DNSNames...)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		return "tls-name", fmt.Sprintf("UCServer's certificate is for %q and not for %s; correct the push address or the certificate", names, name.Host)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
			return "tls-self-signed", "UCServer's certificate is self-signed; upload it on the console, step 4; verification is never switched off"
		}
		return "tls-issuer", fmt.Sprintf("the issuer of UCServer's certificate, %q, is not trusted; %s", leaf.Issuer.CommonName, trust)
	}
	return "tls-certificate", "UCServer's certificate is not accepted; " + trust
}

package funchost

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// How often a request without a body is sent when its connection is dropped:
// .NET's client sends it sendsPerAttempt times, proxying makes several attempts.
const (
	sendsPerAttempt = 4
	proxyAttempts   = 10
	firstDelay      = 50 * time.Millisecond
	longestDelay    = 250 * time.Millisecond
)

// forward calls an HTTP function as enableForwardingHttpRequest does: path kept,
// query rebuilt, answer buffered, the client's going away unseen.
func (i *instance) forward(w http.ResponseWriter, r *http.Request, f *function) {
	c := i.begin(context.WithoutCancel(r.Context()), f)
	if r.ContentLength < 0 {
		// The real host fails before it calls: "'Transfer-Encoding: chunked' header
		// can not be used when content object is not specified".
		_ = c.end(errChunked)
		empty(w, http.StatusInternalServerError)
		return
	}
	response, body, err := c.forwardTo(r)
	if err = c.end(err); err != nil {
		empty(w, http.StatusInternalServerError)
		return
	}
	copyHeader(w.Header(), response.Header)
	if len(body) > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(response.StatusCode)
	_, _ = w.Write(body)
}

var (
	errChunked  = errors.New("'Transfer-Encoding: chunked' header can not be used when content object is not specified")
	errNotASCII = errors.New("a header of the answer is not ASCII")
)

func (c *call) forwardTo(r *http.Request) (*http.Response, []byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.instance.ready(c.ctx); err != nil {
		return nil, nil, err
	}
	target := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		target += "?" + rebuildQuery(r.URL.RawQuery)
	}
	request := c.request(r, target)
	request.Host = r.Host
	for _, name := range []string{"Content-Encoding", "Content-Language", "Content-Disposition", "Content-Location", "Content-Md5", "Content-Range", "Expires", "Last-Modified"} {
		request.Header.Del(name)
	}
	request.Header.Set("User-Agent", strings.TrimSpace(r.UserAgent()+" "+agent))
	id := c.id
	if theirs := r.Header.Get(idHeader); theirs != "" {
		id = theirs + ", " + id
	}
	put(request.Header, versionHeader, Version)
	put(request.Header, idHeader, id)
	c.setBody(request, body)
	response, err := c.send(request, 1)
	if err != nil {
		return nil, nil, c.cause(err)
	}
	defer func() { _ = response.Body.Close() }()
	if !ascii(response.Header) {
		return nil, nil, errNotASCII
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, c.cause(err)
	}
	return response, answer, nil
}

// request begins a request to the handler with the client's headers and a target
// that goes out as it is.
func (c *call) request(r *http.Request, target string) *http.Request {
	request := (&http.Request{
		Method: r.Method,
		URL:    &url.URL{Scheme: "http", Host: strings.TrimPrefix(c.instance.base(), "http://"), Opaque: target},
		Header: r.Header.Clone(),
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(c.ctx)
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Transfer-Encoding", "Upgrade"} {
		request.Header.Del(name)
	}
	if r.UserAgent() == "" {
		request.Header.Set("User-Agent", "") // else Go sends its own
	}
	// Go has put the client's header in its own case; others write this one small.
	if values := request.Header.Values("Traceparent"); len(values) > 0 {
		put(request.Header, "traceparent", values[0])
	}
	return request
}

// put sets a header that goes out in the case of name.
func put(header http.Header, name, value string) {
	header.Del(name)
	header[name] = []string{value}
}

// setBody sets a buffered body. A POST without one still says Content-Length: 0.
func (c *call) setBody(request *http.Request, body []byte) {
	request.Header.Del("Content-Length")
	if len(body) == 0 {
		request.Body = http.NoBody
		return
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	request.ContentLength = int64(len(body))
}

// send sends a request, without a body again and again when the connection is
// dropped before an answer begins: 4 times in each of attempts. With a body only
// a refused connection is tried again.
func (c *call) send(request *http.Request, attempts int) (*http.Response, error) {
	repeatable := request.Body == nil || request.Body == http.NoBody
	delay := firstDelay
	for attempt := 1; ; attempt++ {
		response, err := c.attempt(request, repeatable)
		if err == nil || c.ctx.Err() != nil || attempt == attempts || !repeatable && !refused(err) {
			return response, err
		}
		select {
		case <-c.ctx.Done():
			return nil, c.ctx.Err()
		case <-time.After(delay):
		}
		delay = min(2*delay, longestDelay)
	}
}

func (c *call) attempt(request *http.Request, repeatable bool) (*http.Response, error) {
	if !repeatable {
		return c.instance.transport.RoundTrip(request)
	}
	var sends atomic.Int32
	for {
		// Go's client may itself send once more on a new connection: count what
		// really goes out.
		trace := &httptrace.ClientTrace{WroteHeaders: func() { sends.Add(1) }}
		response, err := c.instance.transport.RoundTrip(request.WithContext(httptrace.WithClientTrace(c.ctx, trace)))
		if err == nil || c.ctx.Err() != nil || !dropped(err) || sends.Load() >= sendsPerAttempt {
			return response, err
		}
		c.instance.transport.CloseIdleConnections()
	}
}

// rebuildQuery does what the host does to a query: repeated keys become one with
// comma-separated values, and everything is encoded anew.
func rebuildQuery(raw string) string {
	var keys []string
	values := map[string][]string{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		key, value = unescapeQuery(key), unescapeQuery(value)
		if _, seen := values[key]; !seen {
			keys = append(keys, key)
		}
		values[key] = append(values[key], value)
	}
	var b strings.Builder
	for n, key := range keys {
		if n > 0 {
			b.WriteByte('&')
		}
		b.WriteString(encode(key, "-._~!$()*,;:@"))
		b.WriteByte('=')
		b.WriteString(encode(strings.Join(values[key], ","), "-._~!$()*,;:@"))
	}
	return b.String()
}

func unescapeQuery(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

// encode percent-encodes all but letters, digits and the characters in keep.
func encode(text, keep string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for n := range len(text) {
		c := text[n]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// copyHeader copies an answer's headers; the handler's Date and Server replace
// the host's, and no content type stays none.
func copyHeader(to, from http.Header) {
	maps.Copy(to, from)
	if from.Get("Content-Type") == "" {
		to["Content-Type"] = nil
	}
}

package funchost

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"time"
)

// errSilent ends a proxied request with no byte in either direction for too long.
var errSilent = errors.New("ForwarderError RequestTimedOut")

// errClientGone is logged as information only, and is no failure.
var errClientGone = errors.New("the client has disconnected")

// proxy calls an HTTP function as enableProxyingHttpRequest does: streamed in
// both directions, cut when the client goes.
func (i *instance) proxy(w http.ResponseWriter, r *http.Request, f *function) {
	c := i.begin(r.Context(), f)
	silence := time.AfterFunc(i.host.activity, func() { c.cancel(errSilent) })
	defer silence.Stop()
	alive := func() { silence.Reset(i.host.activity) }

	began, err := c.stream(w, r, alive)
	gone := r.Context().Err() != nil
	if gone {
		err = nil
		i.host.logf("info", "%s: '%s' (%s): %v", i.name(), f.name, c.id, errClientGone)
	}
	switch err = c.end(err); {
	case err == nil && !gone:
	case began || gone:
		// Nothing can be taken back: the client sees a broken answer. To one that is gone no
		// answer is made up: it may have closed only its own side, and would take it for ours.
		panic(http.ErrAbortHandler)
	default:
		empty(w, http.StatusInternalServerError)
	}
}

// stream sends the request and the answer; began says whether the answer's head
// has gone out.
func (c *call) stream(w http.ResponseWriter, r *http.Request, alive func()) (began bool, err error) {
	if _, err := c.instance.ready(c.ctx); err != nil {
		return false, err
	}
	request := c.request(r, proxiedPath(r))
	request.Host = "" // the handler's own address
	request.Header.Del("Forwarded")
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		peer = r.RemoteAddr
	}
	request.Header.Set("X-Forwarded-For", peer)
	request.Header.Set("X-Forwarded-Host", r.Host)
	request.Header.Set("X-Forwarded-Proto", "http")
	put(request.Header, versionHeader, Version)
	put(request.Header, idHeader, c.id)
	put(request.Header, "x-ms-invocation-id", c.id)
	if r.ContentLength < 0 {
		request.Header.Del("Content-Length")
		request.Body, request.ContentLength = io.NopCloser(&activeReader{r.Body, alive}), -1
	} else {
		// The host has the whole body before it calls: only chunked is streamed.
		body, err := io.ReadAll(&activeReader{r.Body, alive})
		if err != nil {
			return false, err
		}
		c.setBody(request, body)
	}
	response, err := c.send(request, proxyAttempts)
	if err != nil {
		return false, c.reason(err)
	}
	defer func() { _ = response.Body.Close() }()
	alive()
	if !ascii(response.Header) {
		return false, errNotASCII
	}
	return c.answer(w, response, alive)
}

// answer copies the response. Its head is held back until the first byte of the
// body is there, as the real host was seen to do.
func (c *call) answer(w http.ResponseWriter, response *http.Response, alive func()) (began bool, err error) {
	buffer := make([]byte, 32<<10)
	flush := http.NewResponseController(w).Flush
	for {
		n, err := response.Body.Read(buffer)
		alive()
		if !began && (n > 0 || err != nil) {
			if err != nil && !errors.Is(err, io.EOF) && n == 0 {
				return false, c.reason(err)
			}
			for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Upgrade"} {
				response.Header.Del(name)
			}
			copyHeader(w.Header(), response.Header)
			w.WriteHeader(response.StatusCode)
			began = true
		}
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return began, err
			}
			// The last part goes out with the handler's return; a flush in between
			// would cost a system call for each small answer.
			if err == nil && !finished(response, buffer[:n]) {
				_ = flush()
			}
		}
		if errors.Is(err, io.EOF) {
			return began, nil
		}
		if err != nil {
			return began, c.reason(err)
		}
	}
}

// finished reports whether a part is the whole of an answer with a known length.
func finished(response *http.Response, part []byte) bool {
	return response.ContentLength == int64(len(part))
}

// reason is why the call's context ended, else err.
func (c *call) reason(err error) error {
	if cause := context.Cause(c.ctx); cause != nil {
		return cause
	}
	return err
}

// activeReader reports each read, so that a slow upload is not taken for silence.
type activeReader struct {
	io.Reader
	alive func()
}

func (a *activeReader) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	a.alive()
	return n, err
}

// proxiedPath is the target that YARP makes of a path: decoded by the server, but
// for slashes, dot segments resolved, and every remaining percent sign encoded,
// so that %2F arrives as %252F. The query stays.
func proxiedPath(r *http.Request) string {
	decoded := decode(r.URL.EscapedPath())
	if strings.Contains(decoded, "/.") {
		slash := strings.HasSuffix(decoded, "/")
		if decoded = path.Clean(decoded); slash && decoded != "/" {
			decoded += "/"
		}
	}
	target := encode(decoded, "/-._~!$&'()*+,;=:@")
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	return target
}

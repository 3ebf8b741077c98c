package graph

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Error is a refusal by Graph. It holds codes and ids, never the message or the
// body, which may quote what was sent.
type Error struct {
	Status int    // HTTP status
	Code   string // Graph's code, such as Forbidden; may be empty
	// RequestID and AGS are what Microsoft's support asks for: request-id, and
	// the data centre in x-ms-ags-diagnostic.
	RequestID, DataCenter string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("Graph answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.RequestID != "" {
		text += " (request-id " + e.RequestID + ")"
	}
	return text
}

// Refused reports whether the token is the reason: it, or its permissions, are
// not accepted.
func (e *Error) Refused() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// NoPresence reports that this Graph does not know what a presence is: the
// cloud or endpoint is the wrong one, or has none (21Vianet). It says nothing
// about any user.
func (e *Error) NoPresence() bool {
	return e.Status == http.StatusNotFound
}

// ThrottledError reports that Graph asks for a pause: 429, or 503 with
// Retry-After. Requests made before the pause is over would count, too.
type ThrottledError struct {
	Status     int
	RetryAfter time.Duration // at least a second
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("Graph answered %d and asks to wait %s", e.Status, e.RetryAfter)
}

// withoutRetryAfter is the pause when Graph names none.
const withoutRetryAfter = 10 * time.Second

// maxRetryAfter bounds a pause that Graph or something in between asks for.
const maxRetryAfter = 10 * time.Minute

func (c *Client) refusal(response *http.Response) error {
	wait, given := c.retryAfter(response.Header.Get("Retry-After"))
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable && given {
		return &ThrottledError{Status: response.StatusCode, RetryAfter: wait}
	}
	refusal := &Error{Status: response.StatusCode, RequestID: word(response.Header.Get("request-id"))}
	var envelope struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	// An answer without the envelope keeps an empty code: the status decides.
	if body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10)); err == nil && json.Unmarshal(body, &envelope) == nil {
		refusal.Code = word(envelope.Error.Code)
	}
	var diagnostic struct {
		ServerInfo struct{ DataCenter string }
	}
	if json.Unmarshal([]byte(response.Header.Get("x-ms-ags-diagnostic")), &diagnostic) == nil {
		refusal.DataCenter = word(diagnostic.ServerInfo.DataCenter)
	}
	return refusal
}

// retryAfter reads seconds (documented) or an HTTP date (not documented).
func (c *Client) retryAfter(text string) (time.Duration, bool) {
	wait := withoutRetryAfter
	seconds, err := strconv.Atoi(text)
	at, dateErr := http.ParseTime(text)
	switch {
	case err == nil:
		wait = time.Duration(min(max(seconds, 1), int(maxRetryAfter/time.Second))) * time.Second
	case dateErr == nil:
		wait = at.Sub(c.now())
	default:
		return wait, false
	}
	return min(max(wait, time.Second), maxRetryAfter), true
}

// word keeps what is fit for a log line of a code or an id that somebody else
// has written: at most 64 letters, digits, and a few signs.
func word(text string) string {
	kept := make([]byte, 0, len(text))
	for _, b := range []byte(text) {
		if len(kept) == 64 {
			break
		}
		if b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b == '-' || b == '_' || b == '.' || b == ' ' {
			kept = append(kept, b)
		}
	}
	return string(kept)
}

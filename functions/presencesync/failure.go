package presencesync

import (
	"context"
	"errors"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/graph"
	"procallteams/internal/health"
	"procallteams/internal/storage"
)

// Stable codes of a heartbeat's error.
const (
	authorizationRequired = "authorization-required"
	tokenUnavailable      = "token-unavailable"
	throttled             = "throttled"
	refused               = "graph-refused"
	noPresence            = "no-presence-here"
	unusable              = "answer-unusable"
	unreachable           = "graph-unreachable"
	directoryUnreadable   = "directory-unreadable"
	directoryForbidden    = "directory-forbidden"
	sessionsUnreadable    = "sessions-unreadable"
)

// failure is why a sync read nothing.
type failure struct {
	code string
	err  error
	next string // what to do, empty when it passes by itself
}

// maxError bounds what the heartbeat keeps of an error, in bytes: others wrote
// parts of it, and a row that is too long would make every sync fail.
const maxError = 2000

func (f *failure) Error() string {
	text := health.Clip(f.err.Error(), maxError)
	if f.next != "" {
		return text + "; " + f.next
	}
	return text
}

// tokenError says why there is no token to ask Graph with.
type tokenError struct{ error }

func (e *tokenError) Unwrap() error { return e.error }

func failed(err error) *failure {
	if _, ok := errors.AsType[*consent.RequiredError](err); ok {
		return &failure{code: authorizationRequired, err: err}
	}
	if _, ok := errors.AsType[*tokenError](err); ok {
		return &failure{code: tokenUnavailable, err: err}
	}
	if _, ok := errors.AsType[*graph.ThrottledError](err); ok {
		return &failure{code: throttled, err: err}
	}
	if _, ok := errors.AsType[*graph.FormError](err); ok {
		return &failure{code: unusable, err: err}
	}
	if refusal, ok := errors.AsType[*graph.Error](err); ok {
		switch {
		case refusal.Refused():
			return &failure{code: refused, err: err}
		case refusal.NoPresence():
			return &failure{code: noPresence, err: err, next: "this cloud or endpoint offers no presences: check AZURE_CLOUD and GRAPH_ENDPOINT"}
		}
	}
	return &failure{code: unreachable, err: err}
}

// pauseFor stores how long Graph asked this app to wait.
func (r *run) pauseFor(ctx context.Context, wait time.Duration) {
	until := r.Now().Add(wait)
	if !until.After(r.now.ThrottledUntil) {
		return
	}
	r.now.ThrottledUntil = until
	if err := r.Storage.Throttle(ctx, r.tenant.id, until.UTC()); err != nil && !errors.Is(err, storage.ErrNotFound) {
		r.log.Warn("pause not stored", "error", err.Error())
	}
}

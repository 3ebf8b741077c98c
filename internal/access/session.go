package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// sessionCookie carries the session's 260 random bits. The prefix makes browsers
// refuse it from another host, a path or plain http (RFC 6265bis 4.1.3.2).
const sessionCookie = "__Host-ptb-session"

// How long an administrator stays signed in. Who signed in with Entra may have lost the
// app role since: after proveAfter the next page asks Entra again, and what was begun
// on a page until then may be finished before entraTime is over.
const (
	codeTime   = 8 * time.Hour // with the set-up code
	entraTime  = 75 * time.Minute
	proveAfter = time.Hour
)

// Session is an administrator who signed in.
type Session struct {
	Administrator string // object id, or [BySetupCode]
	// Tenant is where Entra said who that is, empty for the set-up code. A session
	// ends when another tenant is set: who administers one is nobody in the other.
	Tenant string
	// UserName is by whom Entra is asked again, empty for the set-up code. Never logged.
	UserName string
	Began    time.Time
	Ends     time.Time
}

// Unproven reports whether Entra is to be asked again who that is, and whether they
// still are an administrator.
func (s Session) Unproven(now time.Time) bool {
	return s.Administrator != BySetupCode && now.Sub(s.Began) >= proveAfter
}

// SessionStore keeps sessions under the hash of their cookie's value.
type SessionStore interface {
	// Session returns a stored session, [ErrUnknown] when there is none.
	Session(ctx context.Context, hash string) (Session, error)
	// PutSession stores a session and forgets those that ended before now.
	PutSession(ctx context.Context, hash string, s Session, now time.Time) error
	DeleteSession(ctx context.Context, hash string) error
}

func sessionHash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

// Begin signs an administrator in: it stores a new session and sets its cookie. An
// older session of this browser ends. The times of session are set here.
func (g *Gate) Begin(w http.ResponseWriter, r *http.Request, session Session) error {
	if err := g.End(w, r); err != nil {
		return err
	}
	lasts := entraTime
	if session.Administrator == BySetupCode {
		lasts = codeTime
	}
	value, now := rand.Text()+rand.Text(), g.Now().UTC()
	session.Began, session.Ends = now, now.Add(lasts)
	if err := g.Sessions.PutSession(r.Context(), sessionHash(value), session, now); err != nil {
		return fmt.Errorf("store session: %w", err)
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: int(lasts / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}

// End signs this browser out, if it was signed in.
func (g *Gate) End(w http.ResponseWriter, r *http.Request) error {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if err := g.Sessions.DeleteSession(r.Context(), sessionHash(cookie.Value)); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// Session returns the session of the request's cookie, [ErrUnknown] when there
// is none that still lasts.
func (g *Gate) Session(r *http.Request) (Session, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || len(cookie.Value) < 50 || len(cookie.Value) > 64 {
		return Session{}, ErrUnknown
	}
	session, err := g.Sessions.Session(r.Context(), sessionHash(cookie.Value))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Session{}, fmt.Errorf("read session: %w", err)
	}
	if err != nil || !g.Now().Before(session.Ends) {
		return Session{}, ErrUnknown
	}
	if session.Administrator == BySetupCode {
		return session, nil
	}
	tenant, err := g.Tenant(r.Context())
	if err != nil {
		return Session{}, fmt.Errorf("read the tenant of a session: %w", err)
	}
	if session.Tenant != tenant {
		return Session{}, ErrUnknown
	}
	return session, nil
}

type administratorKey struct{}

// AdministratorFrom returns who is signed in: an object id, or [BySetupCode].
// Empty outside of [Gate.Administrator].
func AdministratorFrom(ctx context.Context) string {
	administrator, _ := ctx.Value(administratorKey{}).(string)
	return administrator
}

// WithAdministrator returns ctx for a request of that administrator.
func WithAdministrator(ctx context.Context, administrator string) context.Context {
	return context.WithValue(ctx, administratorKey{}, administrator)
}

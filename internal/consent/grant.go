package consent

import (
	"slices"
	"time"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// Kind is one of the two grants.
type Kind string

const (
	// User is the delegated sign-in that reads presences.
	User Kind = "user"
	// Admin is the app-only permission that writes presences, and reads them.
	Admin Kind = "admin"
)

// ParseKind reads a grant's name as addresses carry it, in lower case.
func ParseKind(text string) (Kind, bool) {
	kind := Kind(text)
	return kind, kind == User || kind == Admin
}

// State is where a grant stands. Its texts are stable codes of the HTTP contract.
type State string

// States of a grant (design section 6).
const (
	Required    State = "required"    // never given
	Waiting     State = "waiting"     // given, Microsoft has not spread it yet
	Granted     State = "granted"     // works
	Expiring    State = "expiring"    // works, its credential ends at a known time
	Reauthorize State = "reauthorize" // refused: a person must consent again
	Declined    State = "declined"    // a person said no
	Blocked     State = "blocked"     // a policy of the tenant stands against it
	Unverified  State = "unverified"  // could not be checked yet
	Unconfirmed State = "unconfirmed" // signed in; an administrator has to say what for
)

// Account is the person who gave a user grant.
type Account struct {
	ObjectID string `json:"objectId"`
	UPN      string `json:"upn"` // shown on pages and in status, never logged
	Name     string `json:"name"`
}

// Grant is what is known about one grant. It never holds a token: SecretName and
// SecretVersion say where Key Vault keeps the refresh token.
type Grant struct {
	Kind Kind `json:"kind"`
	// ClientID is the app registration that the grant was given to.
	ClientID string  `json:"clientId,omitempty"`
	Account  Account `json:"account,omitzero"` // user grants only
	State    State   `json:"state"`
	// Since is when State began; GivenAt when the person consented.
	Since   time.Time `json:"since,omitzero"`
	GivenAt time.Time `json:"givenAt,omitzero"`
	// Code, Class, Reason, NextStep and TraceID explain a state that is not granted:
	// Entra's code, who can cure it, the cause, what to do (both in the
	// administrator's words) and Entra's trace id.
	Code     string       `json:"code,omitempty"`
	Class    aadsts.Class `json:"class,omitempty"`
	Reason   string       `json:"reason,omitempty"`
	NextStep string       `json:"nextStep,omitempty"`
	TraceID  string       `json:"traceId,omitempty"`
	// Claims is what Entra wants the next sign-in to carry, JSON; mostly empty.
	Claims string `json:"claims,omitempty"`
	// Permissions are the delegated scopes or application roles that were seen.
	Permissions []string `json:"permissions,omitempty"`
	// CheckedAt is when the state was last proven.
	CheckedAt     time.Time `json:"checkedAt,omitzero"`
	SecretName    string    `json:"secretName,omitempty"`
	SecretVersion string    `json:"secretVersion,omitempty"`
	// StoredAt is when that version was written to Key Vault.
	StoredAt time.Time `json:"storedAt,omitzero"`
	// HeldSince is when a fresh token first held a presence role that it holds since;
	// of the admin grant only.
	HeldSince time.Time `json:"heldSince,omitzero"`
	// CredentialEnds is when the credential of the app registration ends, zero when
	// that is unknown or never; of the admin grant only.
	CredentialEnds time.Time `json:"credentialEnds,omitzero"`
	// CredentialKind is what that credential is, and Reminded what was logged last
	// about its end.
	CredentialKind settings.CredentialKind `json:"credentialKind,omitempty"`
	Reminded       End                     `json:"reminded,omitzero"`
	// Disconnected says that an administrator took the grant out of use: no consent
	// that Microsoft still holds brings it back by itself.
	Disconnected bool `json:"disconnected,omitempty"`
	// Retired is the version that was in force then, until it is overwritten.
	Retired string `json:"retired,omitempty"`
	// History are the latest changes of state or code, the newest last.
	History []Transition `json:"history,omitempty"`
	// ETag is the stored row's version.
	ETag string `json:"-"`
}

// Transition is one change of a grant's state, or of the code that explains it.
type Transition struct {
	At      time.Time `json:"at"`
	From    State     `json:"from,omitempty"` // empty: there was no grant
	To      State     `json:"to"`
	Code    string    `json:"code,omitempty"`
	TraceID string    `json:"traceId,omitempty"`
}

// maxHistory bounds what a row keeps.
const maxHistory = 20

// why explains a state; the zero value explains nothing.
type why struct {
	code, reason, step, trace string
	class                     aadsts.Class
	claims                    string
}

// because explains a state by Entra's refusal.
func because(refusal *aadsts.Error) why {
	return why{refusal.Code, refusal.Cause, refusal.Step, refusal.TraceID, whose(refusal), refusal.Claims}
}

// whose is the class that people read: a federated credential that Entra may not know
// yet passes by itself, or is a wrong credential; Entra is in no trouble.
func whose(refusal *aadsts.Error) aadsts.Class {
	if refusal.Replicating() {
		return aadsts.Credential
	}
	return refusal.Class
}

// enter puts g into a state, and notes a change of state or code in its history.
// Since stays when the state does. It is the one place that changes State.
func (g *Grant) enter(state State, now time.Time, w why) {
	if g.State != state || g.Code != w.code || len(g.History) == 0 {
		g.History = append(slices.Clone(g.History), Transition{At: now, From: g.State, To: state, Code: w.code, TraceID: w.trace})
		g.History = g.History[max(0, len(g.History)-maxHistory):]
	}
	if g.State != state || g.Since.IsZero() {
		g.Since = now
	}
	g.State, g.CheckedAt = state, now
	g.Code, g.Class, g.Reason, g.NextStep, g.TraceID, g.Claims = w.code, w.class, w.reason, w.step, w.trace, w.claims
}

// latest is the newest line of the history, zero when there is none.
func (g Grant) latest() Transition {
	if len(g.History) == 0 {
		return Transition{}
	}
	return g.History[len(g.History)-1]
}

// Works reports whether the grant may be used.
func (g Grant) Works() bool { return g.State == Granted || g.State == Expiring }

// Token is an access token for Microsoft Graph and the grant that it came from.
type Token struct {
	Value   secret.Text
	Expires time.Time
	Kind    Kind
	Account string // object id, user grants only
	// permissions are those that it was issued with, none when that is not known.
	permissions []string
}

// opens reports whether the token was issued with what a use needs.
func (t Token) opens(use Use) bool {
	return use.allowedBy(Grant{Kind: t.Kind, Permissions: t.permissions})
}

// RequiredError reports that a grant is missing or no longer accepted, and that
// only an administrator can restore it. Pages and logs show it, so it holds no
// token, authorization code or response body.
type RequiredError struct {
	Kind  Kind      // user (reads presences) or admin (writes them, and reads)
	Cause string    // in the administrator's words: "the password was reset (AADSTS50173)"
	Code  string    // Entra's code, such as AADSTS50173; empty when never granted
	Since time.Time // first refusal, UTC
	// Step says what to do where a new consent alone does not help.
	Step string

	refusal error
}

// Unwrap leads to Entra's refusal, where one was the cause.
func (e *RequiredError) Unwrap() error { return e.refusal }

// neverGiven is the cause where no consent is stored.
const neverGiven = "it was never given"

func (e *RequiredError) Error() string {
	text := "authorization required"
	if !e.Since.IsZero() {
		text += " since " + e.Since.UTC().Format(time.RFC3339)
	}
	text += ": " + string(e.Kind) + " consent: " + e.Cause
	if e.Step != "" {
		return text + "; " + e.Step
	}
	if e.Cause == neverGiven {
		return text + "; open /api/consent/" + string(e.Kind) + " to give it"
	}
	return text + "; open /api/consent/" + string(e.Kind) + " to renew it"
}

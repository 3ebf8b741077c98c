// Package secret holds values that must never be printed: tokens, authorization
// codes, client secrets, signing keys, the set-up code.
//
// [Text] redacts itself wherever Go prints or serialises a value. Code that
// really sends the secret calls [Text.Reveal], so that every use can be found
// by one search. Tokens and keys live in Key Vault; nothing here stores them.
package secret

import (
	"crypto/subtle"
	"errors"
	"log/slog"
)

// ErrNotFound reports that the vault holds no such secret, or only a disabled or
// deleted one.
var ErrNotFound = errors.New("secret not found")

const redacted = "[redacted]"

// Text is a secret string. The zero value is the empty secret. The value sits
// behind a pointer, since package fmt prints unexported fields without calling
// their methods.
type Text struct{ value *string }

// New wraps value. It copies nothing and does not validate.
func New(value string) Text { return Text{&value} }

// Reveal returns the secret itself, for the one place that sends it.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Empty reports whether there is no secret.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Equal compares two secrets in constant time for equal lengths.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// String redacts.
func (t Text) String() string { return redacted }

// GoString redacts for %#v.
func (t Text) GoString() string { return redacted }

// MarshalJSON redacts.
func (t Text) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText redacts in every encoder that prefers text.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue redacts in package slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"procallteams/internal/secret"
)

// Scopes lists every scope, for pages and checks.
var Scopes = []Scope{Read, Report, Directory, Monitor}

// Sentinels of credential and session stores.
var (
	// ErrUnknown reports that there is no such credential, session or row.
	ErrUnknown = errors.New("unknown")
	// ErrRace reports that somebody else changed the row first: read again.
	ErrRace = errors.New("row changed meanwhile")
	// ErrNoTenant reports that nothing can be issued before a tenant is set.
	ErrNoTenant = errors.New("no tenant is set yet")
)

// Credential is one machine's access, without its secrets. It belongs to one
// tenant and stops with it.
type Credential struct {
	ID      string
	Name    string // given by the administrator, for lists
	Scopes  []Scope
	Created time.Time
	// LastUsed is exact to ten minutes; zero when it was never used.
	LastUsed time.Time
	// Revoked is when it was revoked; zero while it is valid.
	Revoked time.Time
	// Hashes are SHA-256 of the valid secrets, newest first, at most two, so that
	// a connector can change its secret without a gap. A secret has 256 random
	// bits: a slow hash would add nothing.
	Hashes [][sha256.Size]byte
	// ETag is the stored row's version.
	ETag string
}

// Allows reports whether the credential carries scope.
func (c Credential) Allows(scope Scope) bool { return slices.Contains(c.Scopes, scope) }

// RevokedBefore tells by its id whether a credential was revoked before a time. One
// that is not among all is nobody's.
func RevokedBefore(all []Credential, at time.Time) func(id string) bool {
	return func(id string) bool {
		i := slices.IndexFunc(all, func(c Credential) bool { return c.ID == id })
		return i < 0 || !all[i].Revoked.IsZero() && all[i].Revoked.Before(at)
	}
}

// matches compares secret with every valid hash in constant time.
func (c Credential) matches(text string) bool {
	hash := sha256.Sum256([]byte(text))
	found := 0
	for _, known := range c.Hashes {
		found |= subtle.ConstantTimeCompare(hash[:], known[:])
	}
	return found == 1 && c.Revoked.IsZero()
}

// CredentialStore keeps credentials, one row each, in their tenant's partition.
type CredentialStore interface {
	// Credentials returns all of the tenant's, revoked ones too, in id order.
	Credentials(ctx context.Context, tenant string) ([]Credential, error)
	// PutCredential inserts (empty ETag) or replaces a credential; [ErrRace] when
	// the row is another version now.
	PutCredential(ctx context.Context, tenant string, c Credential) error
	// MarkUsed stores only LastUsed.
	MarkUsed(ctx context.Context, tenant, id string, at time.Time) error
}

// Credentials issues, rotates and revokes machine credentials.
type Credentials struct {
	Store  CredentialStore
	Tenant func(context.Context) (string, error) // the tenant in use, empty for none
	Audit  Auditor
	Now    func() time.Time
}

// newSecret returns 260 random bits as text.
func newSecret() string { return rand.Text() + rand.Text() }

// token is what a machine presents.
func token(id, text string) secret.Text { return secret.New("ptb_" + id + "_" + text) }

// parseToken splits a presented token; false when it cannot be one of ours.
func parseToken(text string) (id, value string, ok bool) {
	rest, ok := strings.CutPrefix(text, "ptb_")
	if !ok || len(rest) > 128 {
		return "", "", false
	}
	id, value, ok = strings.Cut(rest, "_")
	return id, value, ok && id != "" && value != ""
}

// List returns the credentials of the tenant in use, none before one is set.
func (c Credentials) List(ctx context.Context) ([]Credential, error) {
	tenant, err := c.Tenant(ctx)
	if err != nil || tenant == "" {
		return nil, err
	}
	return c.Store.Credentials(ctx, tenant)
}

// ValidateRequest returns a sentence for each fault of a new credential.
func ValidateRequest(name string, scopes []Scope) error {
	var faults []error
	if name == "" || utf8.RuneCountInString(name) > 80 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		faults = append(faults, errors.New("name: 1 to 80 characters in one line"))
	}
	if len(scopes) == 0 {
		faults = append(faults, errors.New("scopes: at least one of read, report, directory, monitor"))
	}
	for _, scope := range scopes {
		if !slices.Contains(Scopes, scope) {
			faults = append(faults, errors.New("scopes: only read, report, directory and monitor exist"))
			break
		}
	}
	return errors.Join(faults...)
}

// Create issues a credential. The token is returned once and never again.
func (c Credentials) Create(ctx context.Context, who, name string, scopes []Scope) (Credential, secret.Text, error) {
	if err := ValidateRequest(name, scopes); err != nil {
		return Credential{}, secret.Text{}, err
	}
	tenant, err := c.tenant(ctx)
	if err != nil {
		return Credential{}, secret.Text{}, err
	}
	text := newSecret()
	credential := Credential{
		ID: strings.ToLower(rand.Text()[:12]), Name: name, Scopes: slices.Compact(slices.Sorted(slices.Values(scopes))),
		Created: c.Now().UTC(), Hashes: [][sha256.Size]byte{sha256.Sum256([]byte(text))},
	}
	if err := c.Audit.Record(ctx, tenant, Change{Who: who, What: "credential created", Fields: []string{credential.ID}, At: c.Now()}); err != nil {
		return Credential{}, secret.Text{}, fmt.Errorf("record the change: %w", err)
	}
	if err := c.Store.PutCredential(ctx, tenant, credential); err != nil {
		return Credential{}, secret.Text{}, fmt.Errorf("store credential: %w", err)
	}
	return credential, token(credential.ID, text), nil
}

// Rotate adds a second secret; the newest two stay valid. [ErrUnknown] when
// there is no such credential or it was revoked.
func (c Credentials) Rotate(ctx context.Context, who, id string) (Credential, secret.Text, error) {
	text := newSecret()
	hash := sha256.Sum256([]byte(text))
	credential, err := c.edit(ctx, who, id, "credential rotated", func(credential *Credential) {
		if slices.Contains(credential.Hashes, hash) {
			return // stored before, only the answer was lost
		}
		credential.Hashes = append([][sha256.Size]byte{hash}, credential.Hashes[:min(1, len(credential.Hashes))]...)
	})
	if err != nil {
		return Credential{}, secret.Text{}, err
	}
	return credential, token(id, text), nil
}

// Revoke ends a credential: every process refuses it within 5 seconds.
func (c Credentials) Revoke(ctx context.Context, who, id string) error {
	_, err := c.edit(ctx, who, id, "credential revoked", func(credential *Credential) {
		credential.Revoked = c.Now().UTC()
		credential.Hashes = nil
	})
	return err
}

func (c Credentials) tenant(ctx context.Context) (string, error) {
	tenant, err := c.Tenant(ctx)
	if err == nil && tenant == "" {
		err = ErrNoTenant
	}
	return tenant, err
}

// edit changes a stored credential, again when somebody else was faster.
func (c Credentials) edit(ctx context.Context, who, id, what string, change func(*Credential)) (Credential, error) {
	tenant, err := c.tenant(ctx)
	if err != nil {
		return Credential{}, err
	}
	for range 4 {
		var all []Credential
		if all, err = c.Store.Credentials(ctx, tenant); err != nil {
			return Credential{}, err
		}
		i := slices.IndexFunc(all, func(c Credential) bool { return c.ID == id && c.Revoked.IsZero() })
		if i < 0 {
			return Credential{}, ErrUnknown
		}
		change(&all[i])
		if err := c.Audit.Record(ctx, tenant, Change{Who: who, What: what, Fields: []string{id}, At: c.Now()}); err != nil {
			return Credential{}, fmt.Errorf("record the change: %w", err)
		}
		err = c.Store.PutCredential(ctx, tenant, all[i])
		if !errors.Is(err, ErrRace) {
			return all[i], err
		}
	}
	return Credential{}, fmt.Errorf("change credential: %w", err)
}

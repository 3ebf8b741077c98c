package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"

	"procallteams/internal/secret"
)

// Vault keeps versions of secrets (Azure Key Vault: Set, Get, Update Secret).
type Vault interface {
	// Put makes a new version and returns its name.
	Put(ctx context.Context, name string, value secret.Text, label secret.Label) (version string, err error)
	// GetVersion returns secret.ErrNotFound for a version that is gone or disabled.
	GetVersion(ctx context.Context, name, version string) (secret.Text, error)
	Disable(ctx context.Context, name, version string) error
}

// Versions keeps which version of a secret is in force, since Key Vault has no
// compare-and-swap.
type Versions interface {
	// Version returns the version in force and the row's ETag, [ErrUnknown] when
	// none was chosen yet.
	Version(ctx context.Context, name string) (version, etag string, err error)
	// SetVersion inserts (empty etag) or replaces the row; [ErrRace] when somebody
	// was faster.
	SetVersion(ctx context.Context, name, version, etag string) error
}

// Kept is a secret that the bridge makes itself and Key Vault keeps: the set-up
// code, the push secret. Several processes may start at once and all end with
// the same value.
type Kept struct {
	Name     string // of the secret, such as "setup-code"
	Vault    Vault
	Versions Versions
	Make     func() secret.Text

	once    sync.Once
	busy    chan struct{} // filled while somebody reads, so that waiters share one answer
	version string        // of value
	value   secret.Text
}

// lock waits for its turn, no longer than ctx lasts: the vault may be silent to
// whoever has it.
func (k *Kept) lock(ctx context.Context) error {
	k.once.Do(func() { k.busy = make(chan struct{}, 1) })
	select {
	case k.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s from Key Vault: %w", k.Name, ctx.Err())
	}
}

func (k *Kept) unlock() { <-k.busy }

// SetupCodeName and PushSecretName are names in Key Vault that administrators see.
const (
	SetupCodeName  = "setup-code"
	PushSecretName = "push-secret"
)

// MakeSetupCode returns 130 random bits in the alphabet of base32.
func MakeSetupCode() secret.Text { return secret.New(rand.Text()) }

// MakePushSecret returns a signing key of 32 random bytes in the form of
// Standard Webhooks 1.0.0: whsec_ and base64.
func MakePushSecret() secret.Text {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	return secret.New("whsec_" + base64.StdEncoding.EncodeToString(key))
}

// Get returns the value in force, [ErrUnknown] when none was made yet: one
// storage operation, and one to the vault after a change.
func (k *Kept) Get(ctx context.Context) (secret.Text, error) {
	if err := k.lock(ctx); err != nil {
		return secret.Text{}, err
	}
	defer k.unlock()
	version, _, err := k.Versions.Version(ctx, k.Name)
	if err != nil {
		return secret.Text{}, fmt.Errorf("read which %s is in force: %w", k.Name, err)
	}
	return k.read(ctx, version)
}

// held returns what this process read last, empty when it is reading or has not
// read anything.
func (k *Kept) held() secret.Text {
	k.once.Do(func() { k.busy = make(chan struct{}, 1) })
	select {
	case k.busy <- struct{}{}:
		defer k.unlock()
		return k.value
	default:
		return secret.Text{}
	}
}

func (k *Kept) read(ctx context.Context, version string) (secret.Text, error) {
	if version == k.version && !k.value.Empty() {
		return k.value, nil
	}
	value, err := k.Vault.GetVersion(ctx, k.Name, version)
	if err != nil {
		return secret.Text{}, fmt.Errorf("read %s from Key Vault: %w", k.Name, err)
	}
	k.version, k.value = version, value
	return value, nil
}

// Ensure makes the secret if there is none yet, and returns the one in force.
func (k *Kept) Ensure(ctx context.Context) (secret.Text, error) {
	value, err := k.Get(ctx)
	etag := ""
	switch {
	case errors.Is(err, ErrUnknown):
	case errors.Is(err, secret.ErrNotFound): // purged, or disabled by hand
		if _, etag, err = k.Versions.Version(ctx, k.Name); err != nil {
			return secret.Text{}, fmt.Errorf("read which %s is in force: %w", k.Name, err)
		}
	default:
		return value, err
	}
	value, err = k.put(ctx, etag)
	if errors.Is(err, ErrRace) {
		return k.Get(ctx)
	}
	return value, err
}

// Check makes sure that there is a secret and reads it from the vault now, not
// from this process's memory: for whoever asks whether the vault answers.
func (k *Kept) Check(ctx context.Context) error {
	if _, err := k.Ensure(ctx); err != nil {
		return err
	}
	version, _, err := k.Versions.Version(ctx, k.Name)
	if err != nil {
		return fmt.Errorf("read which %s is in force: %w", k.Name, err)
	}
	if _, err := k.Vault.GetVersion(ctx, k.Name, version); err != nil {
		return fmt.Errorf("read %s from Key Vault: %w", k.Name, err)
	}
	return nil
}

// Replace makes a new value and returns it; the old one is no longer in force.
func (k *Kept) Replace(ctx context.Context) (secret.Text, error) {
	old, etag, err := k.Versions.Version(ctx, k.Name)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return secret.Text{}, fmt.Errorf("read which %s is in force: %w", k.Name, err)
	}
	value, err := k.put(ctx, etag)
	if err != nil {
		return secret.Text{}, err
	}
	if old != "" {
		if err := k.Vault.Disable(ctx, k.Name, old); err != nil {
			return value, fmt.Errorf("disable the former %s: %w", k.Name, err)
		}
	}
	return value, nil
}

// put writes a new version, then the row that names it. A crash between leaves a
// version that nothing names, and the next start makes another.
func (k *Kept) put(ctx context.Context, etag string) (secret.Text, error) {
	value := k.Make()
	version, err := k.Vault.Put(ctx, k.Name, value, secret.Label{})
	if err != nil {
		return secret.Text{}, fmt.Errorf("write %s to Key Vault: %w", k.Name, err)
	}
	err = k.Versions.SetVersion(ctx, k.Name, version, etag)
	if errors.Is(err, ErrRace) {
		inForce, _, readErr := k.Versions.Version(ctx, k.Name)
		if readErr != nil {
			return secret.Text{}, errors.Join(err, readErr) // it may be ours: it stays
		}
		if inForce != version {
			return secret.Text{}, errors.Join(err, k.takeBack(ctx, version, inForce))
		}
		err = nil // stored before, only the answer was lost
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("choose the new %s: %w", k.Name, err)
	}
	return value, nil
}

// takeBack disables a version that lost against the one in force. That one's value is put
// again before: the lost version may be the newest, and the newest is what people and the
// Azure CLI read.
func (k *Kept) takeBack(ctx context.Context, lost, inForce string) error {
	value, err := k.Vault.GetVersion(ctx, k.Name, inForce)
	if err != nil {
		return fmt.Errorf("read %s from Key Vault: %w", k.Name, err)
	}
	if _, err := k.Vault.Put(ctx, k.Name, value, secret.Label{}); err != nil {
		return fmt.Errorf("write %s to Key Vault: %w", k.Name, err)
	}
	return k.Vault.Disable(ctx, k.Name, lost)
}

package access_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"procallteams/internal/access"
	"procallteams/internal/secret"
)

// deaf is a storage whose answer to the next write gets lost: the SDK sends the
// write again, and finds a version that it did not expect.
type deaf struct {
	access.CredentialStore
	access.Versions
	once bool
}

func (d *deaf) lose(err error) error {
	if err == nil && d.once {
		d.once = false
		return access.ErrRace
	}
	return err
}

func (d *deaf) SetVersion(ctx context.Context, name, version, etag string) error {
	return d.lose(d.Versions.SetVersion(ctx, name, version, etag))
}

func (d *deaf) PutCredential(ctx context.Context, tenant string, c access.Credential) error {
	return d.lose(d.CredentialStore.PutCredential(ctx, tenant, c))
}

func TestAKeptSecretWhoseRowWasStoredWithoutAnAnswerIsInForce(t *testing.T) {
	w := start(t)
	store := &deaf{Versions: w.store}
	kept := &access.Kept{Name: "push-" + strings.ToLower(rand.Text()), Vault: &vault{}, Versions: store, Make: access.MakePushSecret}
	for i, do := range []func(context.Context) (secret.Text, error){kept.Ensure, kept.Replace} {
		store.once = true
		made, err := do(t.Context())
		if err != nil || store.once {
			t.Errorf("call %d = %v", i, err)
		}
		if got, err := kept.Get(t.Context()); err != nil || !got.Equal(made) {
			t.Errorf("after call %d the secret in force is another one, or %v", i, err)
		}
	}
}

func TestARotationWhoseAnswerWasLostKeepsTheOldSecret(t *testing.T) {
	w := start(t)
	c, old := w.create(access.Read)
	w.issuer.Store = &deaf{CredentialStore: w.store, once: true}
	_, fresh, err := w.issuer.Rotate(t.Context(), "admin", c.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"old": old, "new": fresh.Reveal()} {
		if answer := w.call(w.gate, "Bearer "+token); answer.Code != 200 {
			t.Errorf("the %s secret = %d; want 200", name, answer.Code)
		}
	}
}

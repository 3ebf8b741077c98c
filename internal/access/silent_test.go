package access_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/secret"
)

// silent is a vault that answers nobody, and tells when somebody waits for it.
type silent struct{ asked chan struct{} }

func (s silent) wait(ctx context.Context) error {
	select {
	case s.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s silent) Put(ctx context.Context, _ string, _ secret.Text, _ secret.Label) (string, error) {
	return "", s.wait(ctx)
}

func (s silent) GetVersion(ctx context.Context, _, _ string) (secret.Text, error) {
	return secret.Text{}, s.wait(ctx)
}

func (s silent) Disable(ctx context.Context, _, _ string) error { return s.wait(ctx) }

// inForce names a version of every secret.
type inForce struct{}

func (inForce) Version(context.Context, string) (string, string, error)  { return "v1", "etag", nil }
func (inForce) SetVersion(context.Context, string, string, string) error { return access.ErrRace }

func TestWhoWaitsBehindASilentVaultWaitsNoLongerThanItWants(t *testing.T) {
	vault := silent{make(chan struct{}, 1)}
	kept := &access.Kept{Name: access.SetupCodeName, Vault: vault, Versions: inForce{}, Make: access.MakeSetupCode}
	patient, release := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := kept.Get(patient); done <- err }()
	<-vault.asked
	hasty, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := kept.Ensure(hasty); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ensure() behind somebody who waits = %v; want its own deadline", err)
	}
	release()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the first one ends with %v", err)
	}
}

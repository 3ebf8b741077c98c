package consent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"procallteams/internal/secret"
)

func secretName(tenant string) string { return "client-secret-" + tenant }

func refreshName(tenant, account string) string { return "refresh-" + tenant + "-" + account }

func isNotFound(err error) bool { return errors.Is(err, secret.ErrNotFound) }

func isChanged(err error) bool { return errors.Is(err, ErrChanged) }

// SecretError reports that a client secret cannot be right. It never holds it.
type SecretError struct{ Cause, Step string }

func (e *SecretError) Error() string {
	return "the client secret was not stored: " + e.Cause + ". " + e.Step
}

// SetClientSecret stores the app registration's secret in Key Vault. It returns
// *[SecretError] for a value that cannot be one, *[UnsetError] before a tenant is
// set. Whether Entra accepts it shows at the next check.
func (s *Service) SetClientSecret(ctx context.Context, value secret.Text) error {
	if !s.ClientSecret.Empty() {
		return &SecretError{"the app setting TEAMS_CLIENT_SECRET is in force", "Change it there, or remove it."}
	}
	text := strings.TrimSpace(value.Reveal())
	if _, err := uuid.Parse(text); err == nil {
		return &SecretError{"that is the secret's id", "Paste its value: Entra shows it once, right after the secret was made."}
	}
	if len(text) < 8 || len(text) > 1000 || strings.ContainsAny(text, " \t\r\n") {
		return &SecretError{"that is not a client secret", "Paste the secret's value from the app registration."}
	}
	integration, _, err := s.Settings.Load(ctx)
	if err != nil {
		return fmt.Errorf("store client secret: %w", err)
	}
	if integration.Tenant == "" {
		return &UnsetError{"the tenant", "enter the tenant id first"}
	}
	if _, err := s.Vault.Put(ctx, secretName(integration.Tenant), secret.New(text), secret.Label{Tags: map[string]string{"client": integration.ClientID}}); err != nil {
		return fmt.Errorf("store client secret: %w", err)
	}
	s.forget(integration.Tenant)
	return nil
}

package appcredential

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/secret"
)

// SecretError reports that a client secret cannot be right. It never holds it.
type SecretError struct{ Cause, Step string }

func (e *SecretError) Error() string {
	return "the client secret was not stored: " + e.Cause + ". " + e.Step
}

// SetSecret stores the app registration's client secret in Key Vault, and when it
// ends (zero: nobody knows). An empty value leaves the secret as it is and sets its
// end. It returns *[SecretError] for what cannot be right, *consent.UnsetError
// before a tenant is set. Whether Entra accepts the secret shows at the next token.
func (i *Issuer) SetSecret(ctx context.Context, value secret.Text, ends time.Time) error {
	if !i.Fixed.Empty() {
		return &SecretError{"the app setting TEAMS_CLIENT_SECRET is in force", "Change it there, or remove it."}
	}
	value = secret.New(strings.TrimSpace(value.Reveal()))
	if !value.Empty() {
		if err := plausible(value); err != nil {
			return err
		}
	}
	if !ends.IsZero() && !ends.After(i.Now()) {
		return &SecretError{"its end date lies in the past", "Enter the date that the app registration shows under Expires, or create a new client secret."}
	}
	current, _, err := i.Settings.Load(ctx)
	if err != nil {
		return fmt.Errorf("store client secret: %w", err)
	}
	if current.Tenant == "" {
		return &consent.UnsetError{What: "the tenant", Step: "enter the tenant id first"}
	}
	name := SecretName(current.Tenant)
	if value.Empty() {
		stored, err := i.Vault.Read(ctx, name, "")
		switch {
		case errors.Is(err, secret.ErrNotFound):
			return &SecretError{"there is none whose end date could be set", "Enter the secret's value too."}
		case err != nil:
			return fmt.Errorf("set the client secret's end date: %w", err)
		case stored.Expires.Equal(ends):
			return nil
		}
		value = stored.Value
	}
	label := secret.Label{Tags: map[string]string{clientTag: current.ClientID}, Expires: ends}
	if _, err := i.Vault.Put(ctx, name, value, label); err != nil {
		return fmt.Errorf("store client secret: %w", err)
	}
	return nil
}

func plausible(value secret.Text) error {
	text := value.Reveal()
	switch {
	case isID(value):
		return &SecretError{"that is the secret's id", "Paste its value: Entra shows it once, right after the secret was made."}
	case len(text) < 8 || len(text) > 1000 || strings.ContainsAny(text, " \t\r\n"):
		return &SecretError{"that is not a client secret", "Paste the secret's value from the app registration."}
	}
	return nil
}

package appcredential_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	devVault "procallteams/dev/keyvault"
	"procallteams/internal/appcredential"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

func TestWhatCannotBeAClientSecretIsRefused(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	for text, want := range map[string]string{
		"6a1f7b2c-3d4e-4f50-8a6b-7c8d9e0f1a2b":      "that is the secret's id",
		" 6A1F7B2C-3D4E-4F50-8A6B-7C8D9E0F1A2B\r\n": "that is the secret's id",
		"short":                   "not a client secret",
		"two words of it":         "not a client secret",
		strings.Repeat("x", 1001): "not a client secret",
	} {
		err := w.issuer.SetSecret(t.Context(), secret.New(text), time.Time{})
		if refused, ok := errors.AsType[*appcredential.SecretError](err); !ok || !strings.Contains(refused.Cause, want) || strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("SetSecret(%q) = %v", text, err)
		}
	}
	if _, ok := w.vault.Value("client-secret-" + w.tenant); ok {
		t.Error("something was stored")
	}
}

func TestTheEndOfASecretIsKept(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	ends := w.clock().AddDate(0, 6, 0)
	if err := w.issuer.SetSecret(t.Context(), secret.Text{}, ends); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("an end without a secret: %v", err)
	}
	value := w.addSecret()
	for _, past := range []time.Time{w.clock(), w.clock().AddDate(0, 0, -1)} {
		if err := w.issuer.SetSecret(t.Context(), value, past); err == nil || !strings.Contains(err.Error(), "in the past") {
			t.Errorf("an end at %s: %v", past, err)
		}
	}
	must(t, w.issuer.SetSecret(t.Context(), value, ends))
	if token, err := w.token(); err != nil || !token.Credential.Ends.Equal(ends) {
		t.Errorf("AppToken by %+v, %v", token.Credential, err)
	}
	w.advance(time.Minute)
	later := ends.AddDate(0, 6, 0)
	must(t, w.issuer.SetSecret(t.Context(), secret.Text{}, later), w.issuer.SetSecret(t.Context(), secret.Text{}, later))
	if token, err := w.token(); err != nil || !token.Credential.Ends.Equal(later) {
		t.Errorf("a corrected end: %+v, %v", token.Credential, err)
	}
	if n := len(w.vault.Versions("client-secret-" + w.tenant)); n != 2 {
		t.Errorf("%d versions; want 2", n)
	}
}

func TestWhatToEnterAtEntraIsTold(t *testing.T) {
	w := start(t, settings.Federated)
	trust, ok := w.issuer.Trust(t.Context(), w.tenant)
	if !ok || trust.Issuer != w.federated.Issuer || trust.Subject != w.federated.Subject || trust.Audience != w.federated.Audience {
		t.Errorf("Trust = %+v, %t; want %+v", trust, ok, w.federated)
	}
	w.issuer = w.process("not-there")
	if trust, ok := w.issuer.Trust(t.Context(), w.tenant); !ok || trust.Issuer != w.federated.Issuer || trust.Subject != "" || trust.Audience != w.federated.Audience {
		t.Errorf("without an answer: %+v, %t", trust, ok)
	}
	w.withoutIdentity = true
	w.restart()
	if _, ok := w.issuer.Trust(t.Context(), w.tenant); ok {
		t.Error("there is no identity to trust")
	}
}

// A sync waits four seconds for its token.
func TestAVaultThatHangsCostsNoToken(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	must(t, w.issuer.SetSecret(t.Context(), w.addSecret(), time.Time{}))
	if _, err := w.token(); err != nil {
		t.Fatal(err)
	}
	must(t, w.vault.Inject(devVault.Fault{Kind: devVault.FaultLatency, Latency: time.Minute}))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	token, err := w.issuer.AppToken(ctx, w.app())
	if err != nil || token.Value.Empty() || !strings.Contains(token.Credential.Note, "Key Vault") {
		t.Errorf("AppToken = %q, %v; want one by the secret that was read before", token.Credential.Note, err)
	}
}

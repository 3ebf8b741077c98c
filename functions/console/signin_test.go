package console_test

import (
	"context"
	"testing"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/consent"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// silent is a vault that answers nobody.
type silent struct{}

func (silent) Put(ctx context.Context, _ string, _ secret.Text, _ secret.Label) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func (silent) GetVersion(ctx context.Context, _, _ string) (secret.Text, error) {
	<-ctx.Done()
	return secret.Text{}, ctx.Err()
}

func (silent) Disable(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() }

func TestASilentVaultDoesNotHideTheSignIn(t *testing.T) {
	w := start(t, settings.Overrides{Tenant: tenantID, ClientID: clientID})
	w.console.SignIn = entra{}
	w.console.Setup.Code = &access.Kept{Name: access.SetupCodeName, Vault: silent{}, Versions: w.store, Make: access.MakeSetupCode}
	began := time.Now()
	has(t, w.get("/api/console"), "does not answer at the moment", "Sign in with Microsoft")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the sign-in page took %s", took)
	}
}

func TestASignInWithEntraEndsWithItsTenant(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	w.console.SignIn = entra{consent.SignedIn{Account: consent.Account{ObjectID: "oid-1"}, Roles: []string{"Bridge.Admin"}}}
	if answer := w.post("signin", nil); answer.Code != 303 {
		t.Fatalf("sign in = %d %s", answer.Code, answer.Body)
	}
	byEntra := w.cookie
	has(t, w.get("/api/console"), "Signed in as oid-1")
	w.cookie = nil
	w.signIn()
	byCode := w.cookie
	if answer := w.post("app", map[string][]string{"tenant": {otherTenantID}, "clientId": {clientID}}); answer.Code != 303 {
		t.Fatalf("another tenant = %d %s", answer.Code, answer.Body)
	}
	w.cookie = byEntra
	has(t, w.get("/api/console"), "Set-up code")
	w.cookie = byCode
	has(t, w.get("/api/console"), "App registration")
}

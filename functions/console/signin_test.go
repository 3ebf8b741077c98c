package console_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
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

// closed is an Entra that signs nobody in.
type closed struct {
	entra
	err error
}

func (c closed) FinishSignIn(http.ResponseWriter, *http.Request) (consent.SignedIn, error) {
	return consent.SignedIn{}, c.err
}

func TestASignInThatEntraRefusesSaysWhyAndWhatToDo(t *testing.T) {
	w := start(t, settings.Overrides{Tenant: tenantID, ClientID: clientID})
	for name, row := range map[string]struct {
		err  error
		want []string
	}{
		"an expired secret": {aadsts.FromAnswer(401, []byte(`{"error":"invalid_client","error_codes":[7000222]}`)),
			[]string{"Microsoft Entra: the client secret has expired (AADSTS7000222). Create a new client secret", "The set-up code opens this page meanwhile"}},
		"a no":      {aadsts.FromCallback("access_denied", "AADSTS65004: no"), []string{"the consent was declined (AADSTS65004). Start again when you are ready."}},
		"a network": {errors.New("storage does not answer"), []string{"Microsoft did not sign you in. Storage does not answer."}},
	} {
		t.Run(name, func(t *testing.T) {
			w.console.SignIn = closed{err: row.err}
			answer := w.post("signin", nil)
			if answer.Code != http.StatusForbidden {
				t.Errorf("sign in = %d", answer.Code)
			}
			has(t, answer, row.want...)
		})
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

package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
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
	return c.who, c.err
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

// An administrator may lose the role while signed in.
func TestWhoSignedInWithEntraIsAskedForAgainEveryHour(t *testing.T) {
	w := start(t, settings.Overrides{Tenant: tenantID, ClientID: clientID})
	ada := consent.SignedIn{Account: consent.Account{ObjectID: "oid-1", UPN: "ada@contoso.com"}, Roles: []string{"Bridge.Admin"}, Next: "/api/console/people?show=guests"}
	signIn := func() {
		t.Helper()
		w.console.SignIn = entra{ada}
		if answer := w.post("signin", nil); answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/api/console/people?show=guests" {
			t.Fatalf("sign in = %d to %s", answer.Code, answer.Header().Get("Location"))
		}
	}
	again := func(path string) bool {
		t.Helper()
		return strings.HasPrefix(w.get(path).Header().Get("Location"), "https://login.example/")
	}
	signIn()
	w.now = w.now.Add(59 * time.Minute)
	if again("/api/console") {
		t.Error("Entra is asked again before an hour is over")
	}
	w.now = w.now.Add(2 * time.Minute)
	if again("/api/console?done=app") {
		t.Error("the end of a form leads to Microsoft, where browsers let none end")
	}
	if answer := w.post("directions", url.Values{"step": {"directions"}}); answer.Code != http.StatusSeeOther {
		t.Errorf("a form of a page that was opened before = %d", answer.Code)
	}
	page := w.get("/api/console/people?show=guests")
	if to := page.Header().Get("Location"); to != "https://login.example/?user=ada@contoso.com&next="+url.QueryEscape("/api/console/people?show=guests") {
		t.Errorf("after an hour a page leads to %q", to)
	}
	has(t, w.get("/api/console"), "Set-up code") // for who does not come back
	w.cookie = nil

	for _, row := range []struct {
		name string
		who  consent.SignedIn
		err  error
		want string
	}{
		{"lost the role", consent.SignedIn{Account: ada.Account, Next: ada.Next, Silent: true}, nil, "you lack the app role Bridge.Admin"},
		{"signed out at Microsoft", consent.SignedIn{Next: ada.Next, Silent: true}, aadsts.FromCallback("login_required", "AADSTS50058: no user"), "wants you to sign in once more"},
		{"is not let in any more", consent.SignedIn{Next: ada.Next, Silent: true}, aadsts.FromCallback("interaction_required", "AADSTS50105: not assigned"), "wants you to sign in once more"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.console.SignIn = closed{entra{row.who}, row.err}
			answer := w.post("signin", nil)
			if answer.Code != http.StatusForbidden || w.cookie != nil {
				t.Errorf("sign in = %d, cookie %t", answer.Code, w.cookie != nil)
			}
			has(t, answer, row.want, "/api/console/signin?next=%2fapi%2fconsole%2fpeople%3fshow%3dguests")
		})
	}
}

// unready is an Entra that can't be asked.
type unready struct{ entra }

func (unready) SignInAgain(http.ResponseWriter, *http.Request, string, string) (string, error) {
	return "", errors.New("the tenant's configuration could not be read")
}

func TestASessionGoesOnWhileEntraCannotBeAsked(t *testing.T) {
	w := start(t, settings.Overrides{Tenant: tenantID, ClientID: clientID})
	w.console.SignIn = unready{entra{consent.SignedIn{Account: consent.Account{ObjectID: "oid-1"}, Roles: []string{"Bridge.Admin"}}}}
	w.post("signin", nil)
	w.now = w.now.Add(70 * time.Minute)
	has(t, w.get("/api/console"), "Signed in as oid-1")
	w.now = w.now.Add(6 * time.Minute)
	has(t, w.get("/api/console"), "Set-up code")
}

func TestASessionByTheSetUpCodeNeedsNoEntra(t *testing.T) {
	w := start(t, settings.Overrides{Tenant: tenantID, ClientID: clientID})
	w.console.SignIn = entra{}
	w.signIn()
	w.now = w.now.Add(7 * time.Hour)
	has(t, w.get("/api/console"), "Signed in with the set-up code")
}

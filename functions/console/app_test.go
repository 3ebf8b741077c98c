package console_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"procallteams/internal/appcredential"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// Kind, Trust and SetSecret make the world what proves the app registration.
func (w *world) Kind(s settings.Integration) settings.CredentialKind {
	switch {
	case s.Credential != "":
		return s.Credential
	case w.trust != appcredential.Trust{}:
		return settings.Federated
	}
	return settings.SecretInKeyVault
}

func (w *world) Trust(context.Context, string) (appcredential.Trust, bool) {
	return w.trust, w.trust != appcredential.Trust{}
}

func (w *world) SetSecret(_ context.Context, value secret.Text, ends time.Time) error {
	if value.Reveal() == "the-id" {
		return &appcredential.SecretError{Cause: "that is the secret's id", Step: "Paste its value."}
	}
	if !value.Empty() {
		w.secret = value
	}
	w.ends = ends
	return nil
}

var trust = appcredential.Trust{Issuer: "https://login.microsoftonline.com/" + tenantID + "/v2.0", Subject: "0b1ec700-0000-4000-8000-00000000000c", Audience: "api://AzureADTokenExchange"}

func app(kind string, more url.Values) url.Values {
	form := url.Values{"tenant": {"contoso.com"}, "clientId": {clientID}, "credential": {kind}}
	for name := range more {
		form.Set(name, more.Get(name))
	}
	return form
}

func TestTheManagedIdentityIsOfferedWhereThereIsOne(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	page := w.get("/api/console").Body.String()
	if strings.Contains(page, `value="federated"`) || !strings.Contains(page, `value="secret" checked`) {
		t.Error("without an identity it is offered, or the client secret is not chosen")
	}
	w.trust = trust
	has(t, w.get("/api/console"), `value="federated" checked`, trust.Issuer, trust.Subject, trust.Audience)
	if answer := w.post("app", app("federated", nil)); answer.Code != 303 || answer.Header().Get("Location") != "/api/console?done=app" {
		t.Fatalf("step 1 = %d %s", answer.Code, answer.Body)
	}
	if got := w.stored(); got.Credential != settings.Federated || got.ClientID != clientID || w.probed != 1 || !w.secret.Empty() {
		t.Errorf("stored %q, looked at Entra %d times", got.Credential, w.probed)
	}
	w.trust.Subject = ""
	has(t, w.get("/api/console"), "object (principal) id of the managed identity")
	w.trust = appcredential.Trust{}
	has(t, w.get("/api/console"), "MANAGED_IDENTITY_CLIENT_ID")
}

func TestWhatWasSavedIsNotPraisedWhileItIsRefused(t *testing.T) {
	for _, row := range []struct {
		name  string
		grant consent.Grant
		want  string
	}{
		{"refused", consent.Grant{State: consent.Unverified, Class: aadsts.Tenant, Code: "AADSTS700016", Reason: "the app was not found in this tenant", NextStep: "Check client id and tenant id."},
			`<p>The app registration is saved. But it can&#39;t be used yet: The app was not found in this tenant (AADSTS700016). Check client id and tenant id.</p>`},
		{"known, without consent", consent.Grant{State: consent.Required, Class: aadsts.AdminConsent},
			`<p class="notice ok" id="notice" role="status">The app registration is saved. Microsoft accepts it. Next: the admin consent.</p>`},
		{"works", consent.Grant{State: consent.Granted},
			`<p class="notice ok" id="notice" role="status">The app registration is saved. Microsoft accepts it.</p>`},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := start(t, settings.Overrides{})
			w.signIn()
			w.register()
			row.grant.Kind = consent.Admin
			w.given(row.grant)
			has(t, w.get("/api/console?done=app"), row.want)
		})
	}
	w := start(t, settings.Overrides{})
	w.signIn()
	has(t, w.get("/api/console?done=app"), "It needs a tenant and a client id.")
}

func TestACertificateNeedsAName(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	for _, name := range []string{"", "a certificate", "x/../y"} {
		answer := w.post("app", app("certificate", url.Values{"certificate": {name}}))
		if answer.Code != 422 {
			t.Errorf("the name %q = %d", name, answer.Code)
		}
		has(t, answer, `value="certificate" checked`)
	}
	if answer := w.post("app", app("certificate", url.Values{"certificate": {" bridge "}})); answer.Code != 303 || w.stored().Certificate != "bridge" {
		t.Errorf("step 1 = %d, %q", answer.Code, w.stored().Certificate)
	}
	has(t, w.get("/api/console"), `name="certificate" value="bridge"`)
}

func TestAClientSecretAndItsEndAreStoredOrRefused(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.trust = trust
	w.signIn()
	if answer := w.post("app", app("federated", nil)); answer.Code != 303 {
		t.Fatalf("step 1 = %d", answer.Code)
	}
	for text, form := range map[string]url.Values{
		"The client secret was not stored: that is the secret&#39;s id": app("secret", url.Values{"clientSecret": {"the-id"}}),
		"not a date":                   app("secret", url.Values{"clientSecret": {"a~secret~value"}, "secretEnds": {"26.11.2027"}}),
		"another credential is chosen": app("federated", url.Values{"clientSecret": {"a~secret~value"}}),
		"credential: must be one of":   app("magic", nil),
	} {
		answer := w.post("app", form)
		if answer.Code != 422 || w.stored().Credential != settings.Federated || !w.secret.Empty() {
			t.Errorf("%s: %d, %q in force", text, answer.Code, w.stored().Credential)
		}
		has(t, answer, text)
		if strings.Contains(answer.Body.String(), "a~secret~value") {
			t.Error("the page shows the secret")
		}
	}
	answer := w.post("app", app("secret", url.Values{"clientSecret": {" a~secret~value "}, "secretEnds": {"2027-11-26"}}))
	if answer.Header().Get("Location") != "/api/console?done=secret" || w.stored().Credential != settings.SecretInKeyVault {
		t.Errorf("step 1 = %d %s", answer.Code, answer.Header().Get("Location"))
	}
	if !w.ends.Equal(time.Date(2027, 11, 26, 0, 0, 0, 0, time.UTC)) || w.secret.Reveal() != "a~secret~value" {
		t.Errorf("stored until %s", w.ends)
	}
	answer = w.post("app", app("secret", url.Values{"secretEnds": {"2028-01-31"}}))
	if answer.Header().Get("Location") != "/api/console?done=ends" || w.ends.Year() != 2028 || w.secret.Reveal() != "a~secret~value" {
		t.Errorf("the end alone = %s, %s", answer.Header().Get("Location"), w.ends)
	}
}

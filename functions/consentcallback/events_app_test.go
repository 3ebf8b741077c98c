package consentcallback_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
	"procallteams/internal/secret"
)

// appRefusals are the events that stop the admin grant until somebody acts.
var appRefusals = map[string]event{
	"the application permissions are revoked in the portal": {
		func(w *world) error { return w.entra.RevokeApplication(w.tenant, w.client) }, func(w *world) error { return w.entra.GrantApplication(w.tenant, w.client) },
		"", consent.Reauthorize, "removed in the portal", "Open the admin consent", 150,
	},
	"the application permissions are revoked, and consented to anew": {
		func(w *world) error { return w.entra.RevokeApplication(w.tenant, w.client) }, nil,
		"", consent.Reauthorize, "removed in the portal", "Open the admin consent", 150,
	},
	"only the presence permission is revoked": {
		func(w *world) error {
			return w.entra.RevokeApplication(w.tenant, w.client, "Presence.ReadWrite.All")
		}, func(w *world) error {
			return w.entra.GrantApplication(w.tenant, w.client, "Presence.ReadWrite.All")
		},
		"", consent.Reauthorize, "removed in the portal", "Open the admin consent", 150,
	},
	"the app registration is deleted, and restored": {
		func(w *world) error { return w.entra.RemoveApp(w.tenant, w.client) }, func(w *world) error { return w.entra.RestoreApp(w.tenant, w.client) },
		"AADSTS700016", consent.Reauthorize, "app was not found", "Check client id and tenant id", 150,
	},
	"the enterprise application is deleted, and restored": {
		func(w *world) error { return w.entra.RemovePrincipal(w.tenant, w.client) }, func(w *world) error { return w.entra.RestorePrincipal(w.tenant, w.client) },
		"AADSTS7000229", consent.Reauthorize, "enterprise application is missing", "by admin consent", 150,
	},
	"the enterprise application is deleted, and consented to anew": {
		func(w *world) error { return w.entra.RemovePrincipal(w.tenant, w.client) }, nil,
		"AADSTS7000229", consent.Reauthorize, "enterprise application is missing", "by admin consent", 150,
	},
	"the enterprise application is disabled": {
		func(w *world) error { return w.entra.SetAppEnabled(w.tenant, w.client, false) }, func(w *world) error { return w.entra.SetAppEnabled(w.tenant, w.client, true) },
		"AADSTS7000112", consent.Reauthorize, "enterprise application is disabled", "Enabled for users to sign in", 150,
	},
	"the client secret expires, and is replaced": {
		func(w *world) error { return w.entra.ExpireSecrets(w.tenant, w.client) }, (*world).replaceSecret,
		"AADSTS7000222", consent.Reauthorize, "client secret has expired", "Create a new client secret", 150,
	},
	"the client secret is deleted, and replaced": {
		func(w *world) error { return w.entra.RemoveSecret(w.tenant, w.client, w.clientSecret()) }, (*world).replaceSecret,
		"AADSTS7000215", consent.Reauthorize, "client secret is wrong", "not its id", 150,
	},
	"the client secret's id is stored instead of its value": {
		func(w *world) error {
			must(w.t, w.entra.RemoveSecret(w.tenant, w.client, w.clientSecret()))
			w.vault.Set("client-secret-"+w.tenant, uuid.NewString()) // by hand: the bridge's page refuses it
			return nil
		}, (*world).replaceSecret,
		"AADSTS7000215", consent.Reauthorize, "the client secret", "value", 150,
	},
}

func TestEveryRefusalOfTheAppIsNamedAskedForOnceAMinuteAndRecovers(t *testing.T) {
	for name, e := range appRefusals {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.consentAdmin()
			w.advance(2 * time.Hour)
			w.probe()
			must(t, e.happens(w))
			w.advance(time.Minute)
			w.probe()
			g := w.grant("")
			since := g.Since
			if g.State != e.state || g.Code != e.code || !since.Equal(w.clock()) || (g.TraceID == "") != (e.code == "") {
				t.Errorf("grant is %s %s since %s, trace %q; want %s %s since now", g.State, g.Code, g.Since, g.TraceID, e.state, e.code)
			}
			if !strings.Contains(g.Reason, e.reason) || !strings.Contains(g.NextStep, e.step) {
				t.Errorf("the administrator reads %q, %q; want %q, %q in it", g.Reason, g.NextStep, e.reason, e.step)
			}
			before := w.entra.TokenRequests()["client_credentials"]
			for range 40 { // twenty minutes
				w.advance(30 * time.Second)
				_, err := w.service.WriteToken(t.Context(), w.tenant, w.grants())
				required(t, err, e.code)
				if w.clock().Sub(since)%time.Minute == 0 {
					w.probe()
				}
			}
			if n := w.entra.TokenRequests()["client_credentials"] - before; n < 10 || n > e.perHour/3 {
				t.Errorf("%d requests in twenty minutes", n)
			}
			if g := w.grant(""); !g.Since.Equal(since) || len(g.History) > 4 {
				t.Errorf("since moved to %s, history %+v", g.Since, g.History)
			}
			w.recoversApp(e)
		})
	}
}

func (w *world) recoversApp(e event) {
	w.t.Helper()
	if e.cured == nil {
		if status, page := w.consentAdmin(); status != 200 || !strings.Contains(page, "Connected") {
			w.t.Errorf("the new consent ends with %d %s", status, page)
		}
	} else {
		must(w.t, e.cured(w))
		w.advance(time.Minute)
		w.probe()
	}
	if g := w.grant(""); !g.Works() || g.Code != "" || g.Reason != "" {
		w.t.Errorf("recovered grant = %s %s %q", g.State, g.Code, g.Reason)
	}
	if _, err := w.service.WriteToken(w.t.Context(), w.tenant, w.grants()); err != nil {
		w.t.Errorf("WriteToken = %v", err)
	}
}

func TestATenantWithoutTheAppIsNamedAsSuch(t *testing.T) {
	w := newWorld(t)
	other := uuid.NewString()
	must(t, w.entra.AddTenant(devEntra.Tenant{ID: other, Domain: "fabrikam.com"}))
	w.set(func() { w.integration.Tenant, w.tenant = other, other })
	must(t, w.credential.SetSecret(t.Context(), secret.New(w.clientSecret()), time.Time{}))
	w.probe()
	if g := w.grant(""); g.State != consent.Unverified || g.Code != "AADSTS700016" || !strings.Contains(g.NextStep, "tenant id") {
		t.Errorf("admin grant = %s %s %q", g.State, g.Code, g.NextStep)
	}
}

func TestATenantThatDoesNotExistIsNamedAsSuch(t *testing.T) {
	w := newWorld(t)
	unknown := uuid.NewString()
	w.set(func() { w.integration.Tenant, w.tenant = unknown, unknown })
	must(t, w.credential.SetSecret(t.Context(), secret.New(w.clientSecret()), time.Time{}))
	for _, word := range []string{"invalid_request", "invalid_tenant"} {
		w.entra.SetUnknownTenantError(word)
		w.advance(time.Minute)
		w.probe()
		if g := w.grant(""); g.State != consent.Unverified || g.Code != "AADSTS90002" || !strings.Contains(g.NextStep, "tenant id") {
			t.Errorf("said as %s: admin grant = %s %s %q", word, g.State, g.Code, g.NextStep)
		}
	}
	b := w.browser(w.admin)
	// Whoever begins a consent now reads it too.
	if response := b.get("/api/consent/user"); response.StatusCode < 400 || !strings.Contains(b.last(), "no such tenant") || !strings.Contains(b.last(), "Check the tenant id") {
		t.Errorf("a consent begins with %d %s", response.StatusCode, b.last())
	}
}

func TestASignInWhoseTenantIsGoneIsMarkedAndRecovers(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.advance(2 * time.Hour)
	must(t, w.entra.HideTenant(w.tenant, true))
	_, err := w.read()
	required(t, err, "AADSTS90002")
	if g := w.grant(w.reader); g.State != consent.Reauthorize || !strings.Contains(g.NextStep, "tenant id") {
		t.Errorf("grant = %s %q", g.State, g.NextStep)
	}
	must(t, w.entra.HideTenant(w.tenant, false))
	w.advance(6 * time.Minute)
	w.probe()
	if g := w.grant(w.reader); !g.Works() {
		t.Errorf("after it came back = %s %s", g.State, g.Code)
	}
}

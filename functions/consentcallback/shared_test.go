package consentcallback_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/settings"
)

// TestARegistrationOfWhoeverHostsTheBridgeWorksInACustomersTenant: a multi-tenant app
// whose credential, a managed identity, belongs to the host's tenant.
func TestARegistrationOfWhoeverHostsTheBridgeWorksInACustomersTenant(t *testing.T) {
	w := newWorld(t)
	host, shared, identity := uuid.NewString(), uuid.NewString(), uuid.NewString()
	must(t, w.entra.AddTenant(devEntra.Tenant{ID: host, Domain: "host.example"}))
	must(t, w.entra.AddIdentity(devEntra.Identity{TenantID: host, ClientID: identity, ObjectID: uuid.NewString()}))
	app := devEntra.App{
		TenantID: w.tenant, HomeID: host, ClientID: shared, Name: "Hosted bridge",
		RedirectURIs: []string{public + "/api/consent/user/callback", public + "/api/consent/admin/callback", public + "/api/console/signin"},
		Delegated:    []string{"Presence.Read.All", "User.ReadBasic.All"},
		Application:  []string{"Presence.ReadWrite.All", "User.Read.All", "GroupMember.Read.All"},
	}
	must(t, w.entra.AddApp(app))
	w.identity = &managed{w: w, client: identity}
	w.service = w.process(w.back)
	w.handler = w.functions(w.service)
	w.set(func() {
		w.integration.ClientID, w.integration.Registration, w.integration.Credential = shared, settings.SharedRegistration, settings.Federated
	})
	trust, ok := w.credential.Trust(t.Context(), w.tenant)
	if !ok || trust.Issuer != w.back+"/"+host+"/v2.0" {
		t.Fatalf("the host is told to trust %+v; want an identity of its own tenant", trust)
	}
	must(t, w.entra.SetFederated(w.tenant, shared, devEntra.Federated{Issuer: trust.Issuer, Subject: trust.Subject, Audience: trust.Audience}))

	w.probe()
	if g := w.grant(""); g.Works() {
		t.Fatalf("before any consent the admin grant is %s", g.State)
	}
	if status, page := w.consentAdmin(); status != http.StatusOK {
		t.Fatalf("the admin consent ends with %d\n%s", status, page)
	}
	if status, page := w.consentUser(w.reader); status != http.StatusOK {
		t.Fatalf("the user consent ends with %d\n%s", status, page)
	}
	for _, use := range []consent.Use{consent.Reading, consent.Writing} {
		if carrier, ok := w.carrier(use); !ok || carrier.Kind != consent.Admin {
			t.Errorf("%s is carried by %s (%s), %t; want the admin consent", use, carrier.Kind, carrier.Reason, ok)
		}
	}
	if token, err := w.sync(); err != nil || w.graph(token.Value) != http.StatusOK {
		t.Errorf("a sync gets no token that reads: %v", err)
	}
	if g := w.grant(w.reader); !g.Works() {
		t.Errorf("the person's consent is %s: %s", g.State, g.Reason)
	}

	// Nobody in this tenant can mend the credential.
	must(t, w.entra.SetFederated(w.tenant, shared))
	w.advance(2 * time.Hour)
	for range 12 {
		_ = w.service.Probe(t.Context())
		w.advance(time.Minute)
	}
	for _, account := range []string{"", w.reader} {
		g := w.grant(account)
		if g.Class != aadsts.Credential || !strings.HasPrefix(g.NextStep, aadsts.Theirs) || strings.Count(g.NextStep, aadsts.Theirs) != 1 {
			t.Errorf("grant of %q is %s, %s: %s", account, g.State, g.Class, g.NextStep)
		}
	}
}

// What comes back with a browser is told for the kind of the registration, too.
func TestARedirectURIThatIsNotRegisteredIsForWhoeverHostsTheBridge(t *testing.T) {
	w := newWorld(t)
	w.set(func() { w.integration.Registration = settings.SharedRegistration })
	b := w.browser(w.admin)
	b.language = "de"
	_, page := b.land(devEntra.Callback{Method: http.MethodPost, URL: public + "/api/consent/user/callback", Form: url.Values{
		"state": {query(t, b.begin("user")).Get("state")}, "error": {"invalid_client"}, "error_description": {"AADSTS50011: no"},
	}})
	if !strings.Contains(page, html.EscapeString(aadsts.Theirs)) || !strings.Contains(page, "Betreiber der Bridge") {
		t.Errorf("ends with %s", page)
	}
}

package entra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
	"procallteams/internal/entra"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

const (
	tenant   = "3f2b1c7e-0000-4000-8000-00000000000a"
	client   = "c11e0000-0000-4000-8000-00000000000b"
	person   = "0b1ec700-0000-4000-8000-00000000000c"
	redirect = "https://bridge.contoso.com/api/consent/user/callback"
	graph    = "https://graph.microsoft.com"
)

var keys = sync.OnceValue(func() []*rsa.PrivateKey {
	made := make([]*rsa.PrivateKey, 2)
	for i := range made {
		made[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return made
})

var app = consent.App{Tenant: tenant, ClientID: client, Credential: consent.Credential{Secret: secret.New("the-secret-of-the-app")}}

// start returns a client of a simulated Entra over TLS.
func start(t *testing.T) (*entra.Client, *devEntra.Simulator) {
	t.Helper()
	sim, err := devEntra.New(devEntra.Config{Keys: keys()})
	if err != nil {
		t.Fatal(err)
	}
	back, front := httptest.NewTLSServer(sim), httptest.NewServer(sim)
	t.Cleanup(func() { back.Close(); front.Close() })
	sim.SetURLs(front.URL, back.URL)
	for _, err := range []error{
		sim.AddTenant(devEntra.Tenant{ID: tenant, Domain: "contoso.com"}),
		sim.AddUser(devEntra.User{TenantID: tenant, ObjectID: person, UPN: "ada@contoso.com", Name: "Ada", Admin: true, AppRoles: []string{"Bridge.Admin"}}),
		sim.AddApp(devEntra.App{
			TenantID: tenant, ClientID: client, Name: "bridge", Secret: app.Credential.Secret.Reveal(), RedirectURIs: []string{redirect},
			Delegated: []string{"Presence.Read.All", "User.ReadBasic.All"}, Application: []string{"Presence.ReadWrite.All"},
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: back.URL, Graph: graph}, HTTP: back.Client()}, sim
}

func TestADomainIsResolvedToItsTenant(t *testing.T) {
	c, _ := start(t)
	for _, name := range []string{"contoso.com", " Contoso.COM ", strings.ToUpper(tenant)} {
		if got, err := c.ResolveTenant(t.Context(), name); err != nil || got != tenant {
			t.Errorf("ResolveTenant(%q) = %s, %v", name, got, err)
		}
	}
}

func TestATenantThatCannotBeUsedIsNamed(t *testing.T) {
	c, sim := start(t)
	for name, problem := range map[string]string{
		"common": "malformed", "../evil": "malformed", "": "malformed", "a b.com": "malformed",
		"fabrikam.com": "unknown", "99999999-0000-4000-8000-000000000000": "unknown",
	} {
		_, err := c.ResolveTenant(t.Context(), name)
		if refused, ok := errors.AsType[*entra.TenantError](err); !ok || refused.Problem != problem || refused.Step == "" {
			t.Errorf("ResolveTenant(%q) = %v; want %s", name, err, problem)
		}
	}
	sim.SetUnknownTenantError("invalid_tenant")
	if _, err := c.ResolveTenant(t.Context(), "adatum.com"); err == nil || !strings.Contains(err.Error(), "AADSTS90002") {
		t.Errorf("unknown tenant in its newer form = %v", err)
	}
}

func TestAnotherCloudIsNamed(t *testing.T) {
	var address, body string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address = r.URL.Path
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	issuer := server.URL + "/" + tenant + "/v2.0"
	endpoints := `,"authorization_endpoint":"https://x/a","token_endpoint":"https://x/t","jwks_uri":"https://x/k"}`
	for name, row := range map[string]struct{ cloud, more, step string }{
		"a government tenant asked in the global cloud": {"public", `,"cloud_instance_name":"microsoftonline.us","tenant_region_scope":"USGov","tenant_region_sub_scope":"DODCON"`, "usgov"},
		"a DoD tenant asked in GCC High":                {"usgov", `,"cloud_instance_name":"microsoftonline.us","tenant_region_sub_scope":"DOD"`, "usgovdod"},
		"a global tenant asked in the government cloud": {"usgov", `,"cloud_instance_name":"microsoftonline.com","tenant_region_scope":"EU"`, "public"},
		"a Chinese tenant":                              {"public", `,"cloud_instance_name":"partner.microsoftonline.cn"`, "21Vianet"},
		"a tenant of a new sovereign cloud":             {"public", `,"cloud_instance_name":"sovcloud-identity.fr"`, "tenant's cloud"},
		"the right cloud":                               {"public", `,"cloud_instance_name":"microsoftonline.com","tenant_region_scope":"NA","tenant_region_sub_scope":"GCC"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body = `{"issuer":"` + issuer + `"` + row.more + endpoints
			c := &entra.Client{Cloud: settings.Cloud{Name: row.cloud, Authority: server.URL, Graph: graph}, HTTP: server.Client()}
			_, err := c.Discover(t.Context(), tenant)
			refused, _ := errors.AsType[*entra.TenantError](err)
			if row.step == "" && err != nil || row.step != "" && (refused == nil || refused.Problem != "cloud" || !strings.Contains(refused.Step, row.step)) {
				t.Errorf("Discover = %v; want a step that names %q", err, row.step)
			}
		})
	}
	if address != "/"+tenant+"/v2.0/.well-known/openid-configuration" {
		t.Errorf("asked %s", address)
	}
	t.Run("another issuer", func(t *testing.T) {
		body = `{"issuer":"https://evil.example/` + tenant + `/v2.0"` + endpoints
		c := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: server.URL, Graph: graph}, HTTP: server.Client()}
		if _, err := c.Discover(t.Context(), tenant); err == nil {
			t.Error("another issuer is accepted")
		}
	})
}

func TestARedirectionToAnotherCloudIsNamed(t *testing.T) {
	for _, number := range []string{"90038", "900439", "900382", "900432"} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_request","error_description":"AADSTS` + number + `: Tenant 'contoso.us' request is being redirected to the National Cloud 'MicrosoftOnline.US'.","error_codes":[` + number + `]}`))
		}))
		c := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: server.URL, Graph: graph}, HTTP: server.Client()}
		_, err := c.ResolveTenant(t.Context(), "contoso.us")
		if refused, ok := errors.AsType[*entra.TenantError](err); !ok || refused.Problem != "cloud" || refused.Code != "AADSTS"+number || !strings.Contains(refused.Step, "usgov") {
			t.Errorf("ResolveTenant = %v", err)
		}
		server.Close()
	}
}

func TestEveryScopeNamesTheCloudsGraph(t *testing.T) {
	const dod = "https://dod-graph.microsoft.us"
	c, sim := start(t)
	c.Cloud.Graph = dod
	sim.SetResources(dod, "")
	l := leg(consent.ReadPresence)
	address, err := c.AuthorizeURL(t.Context(), app, l)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(address)
	for scope := range strings.FieldsSeq(u.Query().Get("scope")) {
		if strings.HasSuffix(scope, ".All") && !strings.HasPrefix(scope, dod+"/") {
			t.Errorf("asks for %s: short names and other hosts mean another Graph", scope)
		}
	}
	if address, err = c.AdminConsentURL(t.Context(), app, redirect, "state"); err != nil || !strings.Contains(address, url.QueryEscape(dod+"/.default")) {
		t.Errorf("AdminConsentURL = %s, %v", address, err)
	}
	who, err := c.Redeem(t.Context(), app, l, signIn(t, c, l))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := c.Refresh(t.Context(), app, who.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	only, err := c.AppToken(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]secret.Text{"code": who.Access, "refresh": tokens.Access, "app": only.Value} {
		if _, err := sim.VerifyFor(dod, token.Reveal()); err != nil {
			t.Errorf("%s token: %v", name, err)
		}
	}
}

func leg(purpose consent.Purpose) consent.Leg {
	return consent.Leg{Purpose: purpose, Redirect: redirect, State: rand.Text(), Nonce: rand.Text(), Verifier: secret.New(rand.Text() + rand.Text())}
}

// signIn walks a sign-in and returns its code.
func signIn(t *testing.T, c *entra.Client, l consent.Leg) secret.Text {
	t.Helper()
	address, err := c.AuthorizeURL(t.Context(), app, l)
	if err != nil {
		t.Fatal(err)
	}
	back, err := devEntra.Person{ObjectID: person}.Visit(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if back.Method != http.MethodPost || back.Values().Get("state") != l.State {
		t.Fatalf("callback by %s, state returned: %t", back.Method, back.Values().Get("state") == l.State)
	}
	return secret.New(back.Values().Get("code"))
}

func TestASignInYieldsTokensThatRefresh(t *testing.T) {
	c, sim := start(t)
	l := leg(consent.ReadPresence)
	who, err := c.Redeem(t.Context(), app, l, signIn(t, c, l))
	if err != nil {
		t.Fatal(err)
	}
	if who.Account != (consent.Account{ObjectID: person, UPN: "ada@contoso.com", Name: "Ada"}) || !slices.Contains(who.Scopes, "Presence.Read.All") || who.Refresh.Empty() {
		t.Errorf("signed in: %+v", who)
	}
	tokens, err := c.Refresh(t.Context(), app, who.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(tokens.Expires); left < 50*time.Minute || left > 100*time.Minute || tokens.Refresh.Empty() || tokens.Refresh.Equal(who.Refresh) {
		t.Errorf("refreshed: expires in %s", left)
	}
	claims, err := sim.VerifyFor(graph, tokens.Access.Reveal())
	if err != nil || claims.ObjectID != person {
		t.Errorf("access token of %s, %v", claims.ObjectID, err)
	}
	if _, err := c.Refresh(t.Context(), app, who.Refresh); err != nil {
		t.Errorf("a used refresh token no longer works: %v", err)
	}
}

func TestAnAdministratorsSignInAsksForNothingElse(t *testing.T) {
	c, _ := start(t)
	l := leg(consent.SignIn)
	address, err := c.AuthorizeURL(t.Context(), app, l)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(address)
	if got := u.Query().Get("scope"); got != "openid profile" {
		t.Errorf("scope = %q", got)
	}
	who, err := c.Redeem(t.Context(), app, l, signIn(t, c, l))
	if err != nil || who.Account.ObjectID != person || !slices.Equal(who.Roles, []string{"Bridge.Admin"}) || !who.Refresh.Empty() {
		t.Errorf("signed in: %v %v, %v", who.Account.ObjectID, who.Roles, err)
	}
}

func TestAnIDTokenOfAnotherSignInIsRefused(t *testing.T) {
	c, sim := start(t)
	for name, change := range map[string]func(*consent.Leg){
		"nonce": func(l *consent.Leg) { l.Nonce = rand.Text() }, "no nonce": func(l *consent.Leg) { l.Nonce = "" },
		"verifier": func(l *consent.Leg) { l.Verifier = secret.New(strings.Repeat("v", 50)) },
		"redirect": func(l *consent.Leg) { l.Redirect += "/other" },
	} {
		l := leg(consent.ReadPresence)
		code := signIn(t, c, l)
		change(&l)
		if _, err := c.Redeem(t.Context(), app, l, code); err == nil {
			t.Errorf("another %s is accepted", name)
		}
	}
	if err := sim.RollKeys(); err != nil {
		t.Fatal(err)
	}
	l := leg(consent.ReadPresence)
	if _, err := c.Redeem(t.Context(), app, l, signIn(t, c, l)); err != nil {
		t.Errorf("after a key rollover: %v", err)
	}
}

func TestAClockThatIsWrongRefusesTheIDTokenAndIsNamed(t *testing.T) {
	for ahead, said := range map[time.Duration]string{
		3 * time.Hour: "about 3h0m0s ahead of Microsoft's", -20 * time.Minute: "about 20m0s behind Microsoft's",
		50 * time.Minute: "", -9 * time.Minute: "",
	} {
		c, _ := start(t)
		l := leg(consent.ReadPresence)
		code := signIn(t, c, l)
		c.Now = func() time.Time { return time.Now().Add(ahead) }
		_, err := c.Redeem(t.Context(), app, l, code)
		refused, ok := errors.AsType[*entra.Error](err)
		switch {
		case said == "" && err != nil:
			t.Errorf("a clock that is %s ahead: %v", ahead, err)
		case said != "" && (!ok || !strings.Contains(refused.Cause, said) || !strings.Contains(refused.Step, "time server")):
			t.Errorf("a clock that is %s ahead: %v; want %q", ahead, err, said)
		}
	}
}

func TestWhatAProxyAnswersInPlaceOfATenantsConfigurationPasses(t *testing.T) {
	for _, body := range []string{`{}`, `{"status":"please sign in"}`, `[]`, `"no"`, `<html>`, ``} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		c := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: server.URL}}
		_, err := c.Discover(t.Context(), app.Tenant)
		server.Close()
		if refused, ok := errors.AsType[*entra.Error](err); !ok || refused.Permanent() {
			t.Errorf("%q: %v; want an error that passes", body, err)
		}
	}
}

func TestSigningKeysThatCannotBeReadPass(t *testing.T) {
	for _, kind := range []string{devEntra.FaultOutage, devEntra.FaultGateway, devEntra.FaultDrop} {
		c, sim := start(t)
		l := leg(consent.ReadPresence)
		code := signIn(t, c, l)
		if err := sim.Inject(devEntra.Fault{Endpoint: devEntra.EndpointKeys, Kind: kind}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Redeem(t.Context(), app, l, code)
		if refused, ok := errors.AsType[*entra.Error](err); !ok || refused.Permanent() {
			t.Errorf("%s: %v; want a refusal that passes", kind, err)
		}
	}
}

func TestACodeIsSentAgainOnlyWhenItWasNotUsed(t *testing.T) {
	for kind, want := range map[string]int{devEntra.FaultOutage: 2, devEntra.FaultGateway: 1, devEntra.FaultDrop: 1} {
		c, sim := start(t)
		l := leg(consent.ReadPresence)
		code := signIn(t, c, l)
		if err := sim.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: kind, Count: 1}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Redeem(t.Context(), app, l, code)
		if n := sim.Requests(devEntra.EndpointToken); n != want || (err == nil) != (want == 2) {
			t.Errorf("%s: sent %d times; want %d (%v)", kind, n, want, err)
		}
		if refused, ok := errors.AsType[*entra.Error](err); err != nil && (!ok || refused.Permanent()) {
			t.Errorf("%s: %v; want a refusal that passes", kind, err)
		}
	}
}

func TestRolesAreThoseOfNow(t *testing.T) {
	c, sim := start(t)
	before, err := c.AppToken(t.Context(), app)
	if err != nil || !before.Readable || len(before.Roles) != 0 {
		t.Fatalf("before consent: %v, %v", before.Roles, err)
	}
	if err := sim.GrantApplication(tenant, client); err != nil {
		t.Fatal(err)
	}
	after, err := c.AppToken(t.Context(), app)
	if err != nil || !slices.Equal(after.Roles, []string{"Presence.ReadWrite.All"}) {
		t.Errorf("after consent: %v, %v", after.Roles, err)
	}
}

func TestRefusalsOfAppTokensAreClassified(t *testing.T) {
	c, sim := start(t)
	wrong := app
	wrong.Credential.Secret = secret.New("not-the-secret-of-the-app")
	check := func(app consent.App, code string, class aadsts.Class) {
		t.Helper()
		_, err := c.AppToken(t.Context(), app)
		refused, ok := errors.AsType[*entra.Error](err)
		if !ok || refused.Code != code || refused.Class != class {
			t.Errorf("AppToken = %v; want %s %s", err, code, class)
		}
		for _, hidden := range append(sim.IssuedSecrets(), "not-the-secret-of-the-app") {
			if err != nil && strings.Contains(err.Error(), hidden) {
				t.Error("the error holds a secret")
			}
		}
	}
	check(wrong, "AADSTS7000215", aadsts.Credential)
	other := app
	other.ClientID = "99999999-0000-4000-8000-000000000000"
	check(other, "AADSTS700016", aadsts.Tenant)
	other = app
	other.Tenant = "99999999-0000-4000-8000-000000000000"
	check(other, "AADSTS90002", aadsts.Tenant)
	if err := sim.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: devEntra.FaultThrottle, RetryAfter: time.Minute}); err != nil {
		t.Fatal(err)
	}
	check(app, "", aadsts.Transient)
}

func TestTheAdminConsentAddressLiesBesideTheAuthorizationEndpoint(t *testing.T) {
	c, _ := start(t)
	address, err := c.AdminConsentURL(t.Context(), app, "https://bridge.contoso.com/api/consent/admin/callback", "state&=#")
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(address)
	if u.Scheme != "http" || u.Path != "/"+tenant+"/v2.0/adminconsent" || u.Query().Get("scope") != graph+"/.default" || u.Query().Get("state") != "state&=#" {
		t.Errorf("AdminConsentURL = %s", address)
	}
}

package console_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"procallteams/dev/azurite"
	"procallteams/functions/console"
	"procallteams/functions/credentials"
	"procallteams/functions/health"
	integrationapi "procallteams/functions/integration"
	"procallteams/functions/status"
	"procallteams/internal/access"
	"procallteams/internal/appcredential"
	"procallteams/internal/calls"
	"procallteams/internal/check"
	"procallteams/internal/consent"
	"procallteams/internal/contract"
	judging "procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/integration"
	"procallteams/internal/report"
	"procallteams/internal/secret"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

const (
	publicURL = "https://bridge.example"
	tenantID  = "8b1f4a8e-0000-4000-8000-00000000000a"
	clientID  = "c0ffee00-0000-4000-8000-000000000001"

	otherTenantID = "8b1f4a8e-0000-4000-8000-00000000000b"
)

// vault keeps the secrets of a test in memory.
type vault map[string]secret.Text

func (v vault) Put(_ context.Context, name string, value secret.Text, _ secret.Label) (string, error) {
	version := name + "-" + string(rune('a'+len(v)))
	v[version] = value
	return version, nil
}

func (v vault) GetVersion(_ context.Context, _, version string) (secret.Text, error) {
	value, ok := v[version]
	if !ok {
		return secret.Text{}, secret.ErrNotFound
	}
	return value, nil
}

func (v vault) Disable(_ context.Context, _, version string) error {
	delete(v, version)
	return nil
}

// tenants knows two tenants.
type tenants struct{}

func (tenants) ResolveTenant(_ context.Context, name string) (string, error) {
	if name == otherTenantID {
		return otherTenantID, nil
	}
	if name == "contoso.com" || name == tenantID {
		return tenantID, nil
	}
	return "", errors.New("Microsoft knows no tenant of this name (AADSTS90002)")
}

// entra signs everybody in as the given person.
type entra struct{ who consent.SignedIn }

func (entra) StartSignIn(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusSeeOther) }

func (entra) SignInAgain(_ http.ResponseWriter, _ *http.Request, userName, next string) (string, error) {
	return "https://login.example/?user=" + userName + "&next=" + url.QueryEscape(next), nil
}

func (e entra) FinishSignIn(http.ResponseWriter, *http.Request) (consent.SignedIn, error) {
	return e.who, nil
}

// world is a bridge without tenant, as on the first day, on real storage.
type world struct {
	t       *testing.T
	store   *storage.Storage
	now     time.Time
	gate    *access.Gate
	setup   access.SetupCode
	console *console.Function
	handler http.Handler
	cookie  *http.Cookie
	secret  secret.Text         // the client secret that was stored
	ends    time.Time           // of that secret
	trust   appcredential.Trust // zero: there is no managed identity
	probed  int
	over    settings.Overrides
	parted  []string // consents that were disconnected, or used again, and by whom
	resumed []string // tenants whose pushes were switched on again
	told    []string // tenants whose settings were changed
}

func start(t *testing.T, over settings.Overrides) *world {
	t.Helper()
	store, err := storage.Open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, partition := range []string{storage.Installation, tenantID} {
		for row, err := range store.Range(t.Context(), partition, " ", "~") {
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Delete(t.Context(), partition, row.Key, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := &world{t: t, store: store, now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), over: over}
	clock := func() time.Time { return w.now }
	log := slog.New(slog.DiscardHandler)
	kept := storage.Settings{Storage: store, Overrides: over}
	public, err := url.Parse(publicURL)
	if err != nil {
		t.Fatal(err)
	}
	keyvault := vault{}
	w.gate = &access.Gate{Public: public, Credentials: store, Sessions: store, Tenant: kept.Tenant, Now: clock, Log: log}
	w.setup = access.SetupCode{
		Code:  &access.Kept{Name: access.SetupCodeName, Vault: keyvault, Versions: store, Make: access.MakeSetupCode},
		Tries: store, Limiter: rate.NewLimiter(rate.Inf, 1), Now: clock,
	}
	editor := integration.Editor{
		Store: kept, Tenants: tenants{}, Audit: store, Now: clock,
		PushSecret: &access.Kept{Name: access.PushSecretName, Vault: keyvault, Versions: store, Make: access.MakePushSecret},
		Changed:    func(_ context.Context, tenant string) { w.told = append(w.told, tenant) },
	}
	issuer := access.Credentials{Store: store, Tenant: kept.Tenant, Audit: store, Now: clock}
	reader := report.Reader{
		Settings: kept.Load, Now: store.Now, Interval: 5 * time.Second,
		Push: func(context.Context, string) (*judging.Push, error) { return &judging.Push{Position: "3.1"}, nil },
	}
	checked := func(context.Context) check.Report {
		return check.Report{At: w.now, Checks: []check.Result{
			{Step: check.Storage, Title: "Storage", State: check.OK, OK: true, Detail: "settings version 3 read", Millis: 7},
			{Step: check.UserConsent, Title: "User consent", State: check.Note, OK: true, Account: &consent.Account{ObjectID: "oid-2", Name: "Rita <Reader>"}, Detail: "token with 3 scopes"},
			{Step: check.Push, Title: "Push to UCServer", State: check.Failed, Detail: "connection refused", Code: "push-unreachable", NextStep: "Start UCServer.", Who: "operator"},
			{Step: check.ReadPresence, Title: "Read a presence", State: check.NotTried, Because: check.Credential, Detail: "Credential failed"},
		}}
	}
	w.console = &console.Function{
		Gate: w.gate, Setup: w.setup, Editor: editor, Credentials: issuer, Read: reader.Read, Check: checked,
		App:       w,
		Grants:    grantsOf{w},
		Probe:     func(context.Context) error { w.probed++; return nil },
		Resume:    func(_ context.Context, tenant string) error { w.resumed = append(w.resumed, tenant); return nil },
		Redirects: []string{publicURL + "/api/consent/user/callback", publicURL + "/api/consent/admin/callback"}, KeyVault: &url.URL{Scheme: "https", Host: "contoso-bridge.vault.azure.net"},
		Now: clock, Log: log,
	}
	state := status.Function{Read: reader.Read, Consumers: issuer.List, Check: checked, Version: "1.0.0", Now: clock, Log: log}
	beat := health.Function{Read: reader.Read, Version: "1.0.0", Now: clock}
	h := host.New(log)
	h.HTTP("console", "req", "console/{*page}", w.console)
	h.HTTP("credentials", "req", "credentials", w.gate.Administrator(credentials.Function{Credentials: issuer, Log: log}))
	h.HTTP("integration", "req", "integration", w.gate.Administrator(integrationapi.Function{Editor: editor, Resume: w.console.Resume, Log: log}))
	h.HTTP("status", "req", "status", w.gate.Either(access.Monitor, state.ServeCaller))
	h.HTTP("health", "req", "health", w.gate.Either(access.Monitor, beat.ServeCaller))
	w.handler = h
	return w
}

// send is one request of the administrator's browser.
func (w *world) send(r *http.Request) *httptest.ResponseRecorder {
	r.Host = "bridge.example"
	if w.cookie != nil {
		r.AddCookie(w.cookie)
	}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	for _, cookie := range answer.Result().Cookies() {
		w.cookie = cookie
		if cookie.MaxAge < 0 {
			w.cookie = nil
		}
	}
	return answer
}

func (w *world) get(path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Accept", "text/html")
	return w.send(r)
}

func (w *world) post(step string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/api/console/"+step, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return w.send(r)
}

func (w *world) signIn() {
	w.t.Helper()
	code, err := w.setup.Code.Ensure(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if answer := w.post("code", url.Values{"code": {code.Reveal()}}); answer.Code != 303 || w.cookie == nil {
		w.t.Fatalf("sign in = %d %s", answer.Code, answer.Body)
	}
}

// register does step 1.
func (w *world) register() {
	w.t.Helper()
	answer := w.post("app", url.Values{"tenant": {" Contoso.com "}, "clientId": {strings.ToUpper(clientID)}, "clientSecret": {"a~secret~value"}})
	if answer.Code != 303 || answer.Header().Get("Location") != "/api/console?done=secret" {
		w.t.Fatalf("step 1 = %d %s %s", answer.Code, answer.Header().Get("Location"), answer.Body)
	}
}

func has(t *testing.T, answer *httptest.ResponseRecorder, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(answer.Body.String(), text) {
			t.Errorf("the answer (%d) lacks %q", answer.Code, text)
		}
	}
}

func TestAnAdministratorIsLedFromTheFirstVisitToCredentials(t *testing.T) {
	w := start(t, settings.Overrides{})
	welcome := w.get("/api/console")
	has(t, welcome, "Set-up code", "contoso-bridge", "setup-code", "az keyvault secret show")
	if _, _, err := w.store.Version(t.Context(), access.SetupCodeName); err != nil {
		t.Errorf("the first visit made no set-up code: %v", err)
	}
	if answer := w.post("code", url.Values{"code": {"guess"}}); answer.Code != 403 || w.cookie != nil {
		t.Errorf("a wrong code = %d", answer.Code)
	}
	w.signIn()
	has(t, w.get("/api/console"), "not set up", publicURL+"/api/consent/user/callback", publicURL+"/api/consent/admin/callback", "Save the app registration first")

	refused := w.post("app", url.Values{"tenant": {"nowhere.example"}, "clientId": {clientID}})
	if refused.Code != 422 {
		t.Errorf("an unknown tenant = %d", refused.Code)
	}
	has(t, refused, "AADSTS90002", `value="nowhere.example"`, clientID)

	w.register()
	if w.secret.Reveal() != "a~secret~value" {
		t.Error("the client secret did not arrive")
	}
	has(t, w.get("/api/console?done=secret"), "stored in Key Vault", `value="`+tenantID+`"`, `href="/api/consent/admin"`, `href="/api/consent/user"`)

	if answer := w.post("directions", url.Values{"teamsToProCall": {"everyone"}}); answer.Code != 303 {
		t.Errorf("step 3 = %d", answer.Code)
	}
	has(t, w.get("/api/console"), "authorization required")

	made := w.post("credential", url.Values{"name": {"UCServer <b>"}, "scope": {"read"}})
	has(t, made, "not shown again", "UCServer &lt;b&gt;")
	token := regexp.MustCompile(`ptb_[a-z0-9]+_[A-Z0-9]+`).FindString(made.Body.String())
	if made.Code != 200 || token == "" || made.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("step 4 = %d, token %t", made.Code, token != "")
	}
	pushed := w.post("push", url.Values{"pushUrl": {"https://ucserver.example/push"}})
	whsec := regexp.MustCompile(`whsec_[A-Za-z0-9+/&#;=]+`).FindString(pushed.Body.String())
	if whsec == "" {
		t.Errorf("the push secret is not shown: %d", pushed.Code)
	}
	again := w.get("/api/console").Body.String()
	if strings.Contains(again, token) || strings.Contains(again, whsec) || strings.Contains(again, "a~secret~value") {
		t.Error("a secret is shown twice")
	}
	has(t, w.post("check", url.Values{"once": {"1"}}), "Push to UCServer", "Connection refused.", "Start UCServer.", "Settings version 3 read.", "7 ms", "Rita &lt;Reader&gt;", "Not tried, because Credential failed.", "One thing fails")
	if answer := w.post("signout", url.Values{"once": {"1"}}); answer.Code != 303 {
		t.Errorf("sign out = %d", answer.Code)
	}
	has(t, w.get("/api/console"), "Set-up code")
}

func TestPagesCannotBeFramedScriptedOrCached(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	for _, answer := range []*httptest.ResponseRecorder{w.get("/api/console"), w.get("/api/console/lost")} {
		policy := answer.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("policy %q lacks %s", policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") || strings.Contains(answer.Body.String(), "<script") {
			t.Errorf("scripts are allowed: %q", policy)
		}
		if answer.Header().Get("Cache-Control") != "no-store" || answer.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("headers = %v", answer.Header())
		}
	}
}

func TestChangesNeedASessionABodyAndOurOwnPage(t *testing.T) {
	w := start(t, settings.Overrides{})
	if answer := w.post("directions", url.Values{"teamsToProCall": {"everyone"}}); answer.Code != 403 {
		t.Errorf("without a session = %d", answer.Code)
	}
	w.signIn()
	r := httptest.NewRequest("POST", "/api/console/directions", strings.NewReader("teamsToProCall=everyone"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://evil.example")
	if answer := w.send(r); answer.Code != 403 {
		t.Errorf("from another site = %d", answer.Code)
	}
	if answer := w.post("push/secret", nil); answer.Code != 400 {
		t.Errorf("without a body = %d", answer.Code)
	}
	current, _, err := storage.Settings{Storage: w.store}.Load(t.Context())
	if err != nil || current.TeamsToProCall == settings.Everyone {
		t.Errorf("settings = %+v, %v; want nothing changed", current, err)
	}
}

func TestOnlyPeopleWithTheRoleSignInWithEntra(t *testing.T) {
	for _, test := range []struct {
		name  string
		roles []string
		want  int
	}{
		{"the administrator's role", []string{"Other", console.AdminRole}, 303},
		{"no role", nil, 403},
		{"another role", []string{"bridge.admin.reader"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := start(t, settings.Overrides{})
			w.console.SignIn = entra{consent.SignedIn{Account: consent.Account{ObjectID: "oid-1"}, Roles: test.roles}}
			if answer := w.post("signin", url.Values{"again": {"1"}}); answer.Code != test.want || (w.cookie != nil) != (test.want == 303) {
				t.Errorf("= %d, cookie %t; want %d", answer.Code, w.cookie != nil, test.want)
			}
		})
	}
}

func TestASignInLeadsOnlyToOurOwnPages(t *testing.T) {
	for next, want := range map[string]string{
		"/api/consent/user": "/api/console#consents", "/api/status": "/api/status", "//evil.example": "/api/console", "https://evil.example": "/api/console",
		"/api/consent/user/../../x": "/api/console", "": "/api/console",
		"/api/consent/user?account=0b1ec700-0000-4000-8000-00000000000c": "/api/console#grant-0b1ec700-0000-4000-8000-00000000000c",
		"/api/consent/user?account=x%22onclick":                          "/api/console#consents",
		"/api/consent/user?another=1":                                    "/api/console#consents",
		"/api/console/people?show=guests&after=x%26y":                    "/api/console/people?after=x%26y&show=guests",
		"/api/console/disconnect?kind=user&account=a":                    "/api/console/disconnect?account=a&kind=user",
		"/api/console/check#x":                                           "/api/console/check",
		"/api/console/../status":                                         "/api/console", "/api/console/signin?next=/": "/api/console", "/api/console/code": "/api/console",
		"/api/console/\\evil.example": "/api/console/%5Cevil.example", "/\\evil.example": "/api/console", "javascript:alert(1)": "/api/console",
		"/api/status?x=a%0d%0aSet-Cookie:b": "/api/status?x=a%0D%0ASet-Cookie%3Ab", "user@evil.example/api/status": "/api/console", "%zz": "/api/console",
	} {
		w := start(t, settings.Overrides{})
		code, err := w.setup.Code.Ensure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		answer := w.post("code", url.Values{"code": {code.Reveal()}, "next": {next}})
		if got := answer.Header().Get("Location"); got != want {
			t.Errorf("next %q leads to %q; want %q", next, got, want)
		}
	}
}

func TestAppSettingsAreShownReadOnlyAndStay(t *testing.T) {
	w := start(t, settings.Overrides{Tenant: tenantID, PushURL: "https://fixed.example/push"})
	w.signIn()
	has(t, w.get("/api/console"), "TEAMS_TENANT_ID", "UCSERVER_PUSH_URL", "readonly")
	answer := w.post("push", url.Values{"pushUrl": {"https://other.example/push"}})
	if answer.Code != 409 {
		t.Errorf("a change of a fixed field = %d", answer.Code)
	}
	has(t, answer, "pushUrl", "app setting")
}

// api calls a JSON function as the signed-in administrator, held to the contract.
func (w *world) api(method, path, body string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "/api/"+path, content)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if w.cookie != nil && r.Header.Get("Authorization") == "" {
		r.AddCookie(w.cookie)
	}
	answer := httptest.NewRecorder()
	contract.Handler(w.t, w.handler).ServeHTTP(answer, r)
	return answer
}

func TestTheJSONFunctionsKeepToTheContract(t *testing.T) {
	w := start(t, settings.Overrides{})
	for _, path := range []string{"integration", "credentials", "status", "health"} {
		if answer := w.api("GET", path, ""); answer.Code != 401 {
			t.Errorf("GET %s without a session = %d", path, answer.Code)
		}
	}
	w.signIn()
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "integration", "", 200, `"version":0`},
		{"POST", "credentials", `{"name":"x","scopes":["read"]}`, 409, "/problems/no-tenant"},
		{"GET", "health", "", 200, "not-set-up"},
		{"GET", "status", "", 200, "not set up"},
		{"PUT", "integration", `{"tenant":"contoso.com"}`, 400, "version"},
		{"PUT", "integration", `{"version":7,"tenant":"contoso.com"}`, 412, "/problems/changed-meanwhile"},
		{"PUT", "integration", `{"version":0,"tenant":"nowhere.example"}`, 422, "AADSTS90002"},
		{"PUT", "integration", `{"version":0,"colour":"red"}`, 400, "/problems/bad-request"},
		{"PUT", "integration", `{"version":0,"paused":"yes"}`, 400, "paused"},
		{"PUT", "integration", `{"version":0,"graphBudget":7,"retentionHours":1}`, 422, "retentionHours"},
		{"PUT", "integration", `{"version":0,"pushUrl":"http://plain.example/"}`, 422, "https://"},
		{"PUT", "integration", `not json`, 400, "/problems/bad-request"},
		{"PUT", "integration", `{"version":0,"tenant":"contoso.com","clientId":"` + clientID + `","teamsToProCall":"everyone","pushUrl":"https://u.example/p"}`, 200, `"pushSecret":"whsec_`},
		{"PUT", "integration", `{"version":1,"paused":true}`, 200, `"paused":true`},
		{"GET", "integration", "", 200, `"pushUrl":"https://u.example/p"`},
		{"PUT", "integration", `{"version":2,"paused":false}`, 200, `"paused":false`},
		{"PUT", "integration", `{"version":3,"tenant":""}`, 422, "not removed"},
		{"GET", "integration", "", 200, `"alsoWrite":{"ringing":false,"wrapUp":false,"appointment":false,"doNotDisturb":false},"onlySignedIn":false`},
		{"PUT", "integration", `{"version":3,"alsoWrite":{"ringing":true,"appointment":true}}`, 200, `"alsoWrite":{"ringing":true,"wrapUp":false,"appointment":true,"doNotDisturb":false}`},
		{"PUT", "integration", `{"version":4,"alsoWrite":{"ringing":false},"onlySignedIn":true}`, 200, `"alsoWrite":{"ringing":false,"wrapUp":false,"appointment":true,"doNotDisturb":false},"onlySignedIn":true`},
		{"PUT", "integration", `{"version":5,"alsoWrite":{}}`, 200, `"appointment":true`},
		{"PUT", "integration", `{"version":5,"alsoWrite":null}`, 400, "alsoWrite: must not be null"},
		{"PUT", "integration", `{"version":5,"alsoWrite":{"wrapUp":null}}`, 400, "alsoWrite.wrapUp: must not be null"},
		{"PUT", "integration", `{"version":5,"alsoWrite":{"ringing":"yes"}}`, 400, "alsoWrite.ringing: must not be a string"},
		{"PUT", "integration", `{"version":5,"alsoWrite":["ringing"]}`, 400, "alsoWrite: must not be a array"},
		{"PUT", "integration", `{"version":5,"alsoWrite":{"lunch":true}}`, 400, "/problems/bad-request"},
		{"PUT", "integration", `{"version":5,"onlySignedIn":1}`, 400, "onlySignedIn: must not be a number"},
		{"PUT", "integration", `{"version":5,"teamsToProCall":"nobody","proCallToTeams":"everyone"}`, 422, "onlySignedIn: needs teamsToProCall"},
		{"POST", "credentials", `{"name":"","scopes":["fly"]}`, 422, "name:"},
		{"POST", "credentials", `{"id":"x"}`, 400, "/problems/bad-request"},
		{"POST", "credentials", `{"id":"nobody","rotate":true}`, 404, "/problems/not-found"},
		{"POST", "credentials", `{"name":"UCServer","scopes":["read","monitor"]}`, 201, `"token":"ptb_`},
		{"GET", "credentials", "", 200, `"name":"UCServer"`},
		{"DELETE", "credentials", "", 400, "/problems/bad-request"},
		{"DELETE", "credentials?id=nobody", "", 404, "/problems/not-found"},
		{"PATCH", "credentials", `{}`, 405, ""},
		{"DELETE", "integration", "", 405, ""},
		{"POST", "health", `{}`, 405, ""},
		{"GET", "health", "", 503, "authorization-required-read"},
		{"GET", "status", "", 200, `"overall":"authorization required"`},
		{"POST", "status", `{}`, 200, `"ok":false`},
	} {
		answer := w.api(test.method, test.path, test.body)
		if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.want) {
			t.Errorf("%s %s %s = %d %s; want %d with %s", test.method, test.path, test.body, answer.Code, answer.Body, test.status, test.want)
		}
	}
}

func TestNamingThePushAddressAgainSwitchesPushesOn(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	for i, body := range []string{
		`{"version":0,"tenant":"contoso.com","pushUrl":"https://u.example/p"}`,
		`{"version":1,"paused":true}`,
		`{"version":2,"pushUrl":"https://u.example/p"}`,
	} {
		w.resumed = nil
		if answer := w.api("PUT", "integration", body); answer.Code != 200 {
			t.Fatalf("PUT %s = %d %s", body, answer.Code, answer.Body)
		}
		if resumed := len(w.resumed) == 1 && w.resumed[0] == tenantID; resumed != (i != 1) {
			t.Errorf("PUT %s resumed %q", body, w.resumed)
		}
	}
}

func TestStep3SwitchesOptInsAndShowsHowWritingStands(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	page := w.get("/api/console").Body.String()
	for _, name := range []string{"ringing", "wrapUp", "appointment", "doNotDisturb", "onlySignedIn"} {
		if box := regexp.MustCompile(`<input type="checkbox" id="` + name + `" name="` + name + `"[^>]*>`).FindString(page); box == "" || strings.Contains(box, "checked") {
			t.Errorf("the box %s is not there, or ticked from the first day: %q", name, box)
		}
	}
	ticked := func(page, name string) bool {
		return regexp.MustCompile(`name="` + name + `"[^>]* checked`).MatchString(page)
	}
	refused := w.post("directions", url.Values{"step": {"directions"}, "proCallToTeams": {"everyone"}, "wrapUp": {"yes"}, "onlySignedIn": {"yes"}})
	if page = refused.Body.String(); refused.Code != 422 || !ticked(page, "wrapUp") || !ticked(page, "onlySignedIn") || !ticked(page, "proCallToTeams") {
		t.Errorf("only signed in without reading = %d, and the boxes stay as they were ticked", refused.Code)
	}
	has(t, refused, "needs Teams to ProCall")
	saved := w.post("directions", url.Values{"step": {"directions"}, "teamsToProCall": {"everyone"}, "proCallToTeams": {"everyone"}, "wrapUp": {"yes"}, "onlySignedIn": {"yes"}})
	current, _, err := w.console.Editor.Store.Load(t.Context())
	if saved.Code != 303 || err != nil || current.AlsoWrite != (settings.AlsoWrite{WrapUp: true}) || !current.OnlySignedIn {
		t.Errorf("step 3 = %d, %+v, %v", saved.Code, current, err)
	}
	has(t, w.get("/api/console"), "nobody reported yet")

	rows := storage.Calls{Storage: w.store}
	for _, r := range []calls.Reporter{
		{ID: "uc1", Epoch: 1, Seen: w.now.Add(-20 * time.Second), Until: w.now.Add(4 * time.Minute)},
		{ID: "uc2", Epoch: 1, Seen: w.now.Add(-time.Hour), Need: calls.NeedExpired, NeedSince: w.now.Add(-55 * time.Minute), Ended: 3},
		{ID: "uc3", Seen: w.now, Need: calls.NeedFirst},
	} {
		if err := rows.SavePeople(t.Context(), tenantID, nil, &r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (storage.Written{Storage: w.store}).SaveWriter(t.Context(), tenantID, session.Writer{
		LastWrite: w.now.Add(-5 * time.Second), Held: 12, Waiting: 2, Refused: 1, Error: "Graph does not answer", ErrorSince: w.now,
	}); err != nil {
		t.Fatal(err)
	}
	has(t, w.get("/api/console"), "12 shown", "2 held back", "1 refused by Microsoft", "5 seconds ago", "Graph does not answer",
		"uc1: heard 20 seconds ago; its calls count until 2026-11-25 12:04:00 UTC", "uc2: heard 60 minutes ago; its lease ended at", "3 calls", "uc3: heard just now; has to send its complete list")
	// A form without a ticked box still arrives.
	if answer := w.post("directions", url.Values{"step": {"directions"}}); answer.Code != 303 {
		t.Errorf("everything off = %d", answer.Code)
	}
	if current, _, err = w.console.Editor.Store.Load(t.Context()); err != nil || current.Writes() || current.Reads() || current.AlsoWrite != (settings.AlsoWrite{}) || current.OnlySignedIn {
		t.Errorf("everything off: %+v, %v", current, err)
	}
}

func TestWhoeverWorksWithTheSettingsIsToldOfEveryChange(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	for _, step := range []struct {
		name string
		do   func() *httptest.ResponseRecorder
		want []string
	}{
		{"the app registration", func() *httptest.ResponseRecorder {
			return w.post("app", url.Values{"tenant": {tenantID}, "clientId": {clientID}})
		}, []string{tenantID}},
		{"directions", func() *httptest.ResponseRecorder {
			return w.post("directions", url.Values{"proCallToTeams": {"everyone"}, "ringing": {"yes"}})
		}, []string{tenantID}},
		{"the same directions", func() *httptest.ResponseRecorder {
			return w.post("directions", url.Values{"proCallToTeams": {"everyone"}, "ringing": {"yes"}})
		}, nil},
		{"directions that are refused", func() *httptest.ResponseRecorder {
			return w.post("directions", url.Values{"proCallToTeams": {"everyone"}, "onlySignedIn": {"yes"}})
		}, nil},
		{"the pause, by a program", func() *httptest.ResponseRecorder {
			return w.api("PUT", "integration", `{"version":2,"paused":true}`)
		}, []string{tenantID}},
		{"an old version, by a program", func() *httptest.ResponseRecorder {
			return w.api("PUT", "integration", `{"version":2,"paused":false}`)
		}, nil},
		{"another tenant", func() *httptest.ResponseRecorder {
			return w.post("app", url.Values{"tenant": {otherTenantID}, "clientId": {clientID}})
		}, []string{otherTenantID, tenantID}},
	} {
		w.told = nil
		answer := step.do()
		if !slices.Equal(w.told, step.want) {
			t.Errorf("%s (%d): told of %q; want %q", step.name, answer.Code, w.told, step.want)
		}
	}
	if current, _, err := w.console.Editor.Store.Load(t.Context()); err != nil || current.AlsoWrite != (settings.AlsoWrite{}) {
		t.Errorf("another tenant begins with %+v, %v; want nothing written beside calls", current.AlsoWrite, err)
	}
}

func TestAMonitorSeesNoNamesAccountsOrAddresses(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	w.post("push", url.Values{"pushUrl": {"https://ucserver.example/push"}})
	made := w.post("credential", url.Values{"name": {"watchdog"}, "scope": {"monitor", "read"}})
	token := regexp.MustCompile(`ptb_[a-z0-9]+_[A-Z0-9]+`).FindString(made.Body.String())
	grants := storage.Grants{Storage: w.store}
	if _, err := grants.SaveGrant(t.Context(), tenantID, consent.Grant{Kind: consent.User, State: consent.Granted, Since: w.now, Account: consent.Account{ObjectID: "oid-1", UPN: "ada@contoso.com", Name: "Ada"}}); err != nil {
		t.Fatal(err)
	}
	full, reduced := w.api("GET", "status", ""), w.api("GET", "status", "", "Authorization", "Bearer "+token)
	for _, personal := range []string{"ada@contoso.com", "Ada", "watchdog", "ucserver.example"} {
		if !strings.Contains(full.Body.String(), personal) {
			t.Errorf("the administrator does not see %s: %s", personal, full.Body)
		}
		if strings.Contains(reduced.Body.String(), personal) {
			t.Errorf("the monitor sees %s", personal)
		}
	}
	if answer := w.api("POST", "status", "{}", "Authorization", "Bearer "+token); answer.Code != 403 {
		t.Errorf("a monitor ran the check: %d", answer.Code)
	}
	if answer := w.api("GET", "health", "", "Authorization", "Bearer "+token); answer.Code != 200 {
		t.Errorf("health for the monitor = %d %s", answer.Code, answer.Body)
	}
}

func TestTwoAdministratorsDoNotOverwriteEachOther(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	first := w.api("PUT", "integration", `{"version":0,"graphBudget":3000}`)
	second := w.api("PUT", "integration", `{"version":0,"graphBudget":9000}`)
	if first.Code != 200 || second.Code != 412 {
		t.Errorf("= %d, %d; want 200, 412", first.Code, second.Code)
	}
	if answer := w.api("PUT", "integration", `{"graphBudget":9000}`, "If-Match", `"1"`); answer.Code != 200 {
		t.Errorf("with the ETag that was read = %d %s", answer.Code, answer.Body)
	}
}

func TestAPushSecretThatWasDisabledInKeyVaultStopsNoPushAddress(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	if err := w.store.SetVersion(t.Context(), access.PushSecretName, "a-version-that-is-gone", ""); err != nil {
		t.Fatal(err)
	}
	answer := w.post("push", url.Values{"pushUrl": {"https://u.example/p"}})
	if answer.Code != 200 {
		t.Errorf("the push address = %d; want it saved", answer.Code)
	}
	has(t, answer, "whsec_")
}

func TestAnotherTenantIsOffUntilSwitchedOn(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.post("app", url.Values{"tenant": {tenantID}, "clientId": {clientID}})
	w.post("directions", url.Values{"teamsToProCall": {"everyone"}, "proCallToTeams": {"everyone"}})
	w.post("app", url.Values{"tenant": {"contoso.com"}, "clientId": {clientID}})
	if current, _, err := w.console.Editor.Store.Load(t.Context()); err != nil || !current.Reads() || !current.Writes() {
		t.Errorf("the same tenant by its domain: %+v, %v; want it on", current, err)
	}
	w.post("app", url.Values{"tenant": {otherTenantID}, "clientId": {clientID}})
	current, _, err := w.console.Editor.Store.Load(t.Context())
	if err != nil || current.Tenant != otherTenantID || current.Reads() || current.Writes() {
		t.Errorf("after another tenant was entered: %+v, %v; want it off", current, err)
	}
}

func TestAFormWithoutABodyIsNoWrongCode(t *testing.T) {
	w := start(t, settings.Overrides{})
	code, err := w.setup.Code.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if answer := w.post("code", nil); answer.Code != 400 {
			t.Fatalf("without a body = %d; want 400", answer.Code)
		}
	}
	if answer := w.post("code", url.Values{"code": {code.Reveal()}}); answer.Code != 303 {
		t.Errorf("the right code afterwards = %d; want 303", answer.Code)
	}
}

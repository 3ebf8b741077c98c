package console_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
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
	"procallteams/internal/check"
	"procallteams/internal/consent"
	judging "procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/integration"
	"procallteams/internal/report"
	"procallteams/internal/secret"
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

package consentcallback_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	devEntra "procallteams/dev/entra"
	devVault "procallteams/dev/keyvault"
	"procallteams/functions/consentcallback"
	"procallteams/functions/consentstart"
	"procallteams/internal/access"
	"procallteams/internal/appcredential"
	"procallteams/internal/consent"
	"procallteams/internal/entra"
	"procallteams/internal/keyvault"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

const (
	public = "https://bridge.contoso.com"
	graph  = "https://graph.microsoft.com"
)

var signingKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 2)
	for i := range keys {
		keys[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return keys
})

// world is the bridge's consent on a cloud of its own: real storage, simulated
// Entra and Key Vault over TLS, one clock.
type world struct {
	t                     *testing.T
	entra, platform       *devEntra.Simulator
	vault                 *devVault.Simulator
	back                  string // where Entra answers the bridge
	tenant, client        string
	admin, reader, second string // accounts
	transport             *http.Client
	public                *url.URL
	store                 *storage.Storage
	rows                  consent.Grants // in store, unless a test keeps them elsewhere
	secrets               *keyvault.Vault
	integration           settings.Integration
	log                   *lockedBuffer
	gate                  *access.Gate
	credential            *appcredential.Issuer // of the latest process
	identity              appcredential.Identity
	service               *consent.Service
	handler               http.Handler

	mu     sync.Mutex
	now    time.Time
	barred string // the account that Graph refuses, whatever its token says
	// deaf is the account whose tokens Graph answers with 401; closed says that Graph
	// does not see the app's roles yet.
	deaf   string
	closed bool
	behind time.Duration // how much the bridge's own clock is slow
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// local is the bridge's own clock.
func (w *world) local() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.Add(-w.behind)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, signingKeys())
}

// newWorldWith is [newWorld] with other keys of Entra's.
func newWorldWith(t *testing.T, keys []*rsa.PrivateKey) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Now().UTC().Truncate(time.Second), log: &lockedBuffer{},
		tenant: uuid.NewString(), client: uuid.NewString(), admin: uuid.NewString(), reader: uuid.NewString(), second: uuid.NewString(),
	}
	sim, err := devEntra.New(devEntra.Config{Now: w.clock, Keys: keys})
	must(t, err)
	w.entra = sim
	back := httptest.NewTLSServer(sim)
	front := httptest.NewServer(sim)
	// The platform's identity keeps real time: SDKs hold its tokens for a day.
	platform, err := devEntra.New(devEntra.Config{Keys: signingKeys()})
	must(t, err)
	w.platform = platform
	msi := httptest.NewServer(platform)
	w.vault = devVault.New(devVault.Config{Now: w.clock, VerifyToken: func(token string) error {
		_, err := platform.VerifyAccessToken(token)
		return err
	}})
	vault := httptest.NewTLSServer(w.vault)
	t.Cleanup(func() { back.Close(); front.Close(); vault.Close(); msi.Close() })
	resource := devVault.ResourceFor(strings.TrimPrefix(vault.URL, "https://"))
	sim.SetURLs(front.URL, back.URL)
	platform.SetResources(graph, resource)
	w.vault.SetURLs(back.URL+"/"+w.tenant, resource)

	identity := uuid.NewString() // its own per test: the SDK's cache is the process's
	must(t, sim.AddTenant(devEntra.Tenant{ID: w.tenant, Domain: "contoso.com"}))
	must(t, platform.AddTenant(devEntra.Tenant{ID: w.tenant, Domain: "contoso.com"}))
	must(t, platform.AddIdentity(devEntra.Identity{TenantID: w.tenant, ClientID: identity, ObjectID: uuid.NewString()}))
	must(t, sim.AddUser(devEntra.User{TenantID: w.tenant, ObjectID: w.admin, UPN: "ada@contoso.com", Name: "Ada Admin", Admin: true, AppRoles: []string{"Bridge.Admin"}}))
	must(t, sim.AddUser(devEntra.User{TenantID: w.tenant, ObjectID: w.reader, UPN: "rita@contoso.com", Name: "Rita Reader"}))
	must(t, sim.AddUser(devEntra.User{TenantID: w.tenant, ObjectID: w.second, UPN: "sven@contoso.com", Name: "Sven Second"}))
	must(t, sim.AddApp(devEntra.App{
		TenantID: w.tenant, ClientID: w.client, Name: "ProCall Teams Bridge", Secret: "client-secret-" + rand.Text(),
		RedirectURIs: []string{public + "/api/consent/user/callback", public + "/api/consent/admin/callback", public + "/api/console/signin"},
		Delegated:    []string{"Presence.Read.All", "User.ReadBasic.All"},
		Application:  []string{"Presence.ReadWrite.All", "User.Read.All", "GroupMember.Read.All"},
	}))

	t.Setenv("IDENTITY_ENDPOINT", msi.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", platform.IdentityHeader())
	roots := back.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	w.transport = vault.Client()
	w.transport.Transport.(*http.Transport).TLSClientConfig.RootCAs = roots // httptest: one certificate for all
	credential, err := entra.ManagedIdentity(identity, w.transport)
	must(t, err)
	vaultURL, err := url.Parse(vault.URL)
	must(t, err)
	w.secrets, err = keyvault.Open(vaultURL, credential, w.transport)
	must(t, err)
	w.store, err = storage.Open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, nil)
	must(t, err)
	w.rows = storage.Grants{Storage: w.store}
	w.public, err = url.Parse(public)
	must(t, err)
	w.integration = settings.Integration{Tenant: w.tenant, ClientID: w.client, TeamsToProCall: settings.Everyone, ProCallToTeams: settings.Everyone}
	w.back = back.URL
	w.gate = &access.Gate{Public: w.public, Sessions: w.store, Tenant: func(context.Context) (string, error) { return w.tenant, nil }, Now: w.clock, Log: slog.New(slog.NewJSONHandler(w.log, nil))}
	w.service = w.process(w.back)
	w.handler = w.functions(w.service)
	must(t, w.credential.SetSecret(t.Context(), secret.New(w.clientSecret()), time.Time{}))
	return w
}

func (w *world) clientSecret() string {
	for _, text := range w.entra.IssuedSecrets() {
		if strings.HasPrefix(text, "client-secret-") {
			return text
		}
	}
	w.t.Fatal("the app has no secret")
	return ""
}

// Load makes the world the settings of its bridge.
func (w *world) Load(context.Context) (settings.Integration, []string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.integration, nil, nil
}

// process returns the consent service of one more process of the bridge.
func (w *world) process(authority string) *consent.Service {
	client := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: authority, Graph: graph, Exchange: devEntra.ExchangeAudience}, HTTP: w.transport, Now: w.local}
	w.credential = appcredential.New(appcredential.Config{
		Entra: client, Settings: w, Vault: w.secrets, Identity: w.identity, Open: entra.OpenCertificate, Cloud: client.Cloud, Now: w.local,
	})
	return consent.New(consent.Config{
		Settings: w, Addresses: client, Issuer: w.credential, Vault: w.secrets,
		Grants: w.rows, Flows: storage.Flows{Storage: w.store},
		Read:   func(_ context.Context, token secret.Text) (int, error) { return w.graph(token), nil },
		Public: w.public, Administrator: access.AdministratorFrom,
		Audit: func(ctx context.Context, tenant, who, what string, fields ...string) error {
			return w.store.Record(ctx, tenant, access.Change{Who: who, What: what, Fields: fields, At: w.local()})
		},
		Log: slog.New(slog.NewJSONHandler(w.log, nil)), Now: w.local,
	})
}

// graph answers a read as Graph does.
func (w *world) graph(token secret.Text) int {
	claims, err := w.entra.VerifyFor(graph, token.Reveal())
	if err != nil {
		return http.StatusUnauthorized
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.deaf != "" && claims.ObjectID == w.deaf:
		return http.StatusUnauthorized
	case w.barred != "" && claims.ObjectID == w.barred, w.closed && claims.ObjectID == "":
		return http.StatusForbidden
	}
	if slices.Contains(claims.Scopes, "Presence.Read.All") || slices.Contains(claims.Roles, "Presence.ReadWrite.All") || slices.Contains(claims.Roles, "Presence.Read.All") {
		return http.StatusOK
	}
	return http.StatusForbidden
}

func (w *world) functions(service *consent.Service) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/consent/{grant}", consentstart.Function{Consent: service, Administrator: w.gate.Administrator})
	mux.Handle("/api/consent/{grant}/callback", consentcallback.Function{Consent: service, Administrator: w.gate.AdministratorOr})
	return mux
}

func (w *world) visit(person devEntra.Person, address string) devEntra.Callback {
	w.t.Helper()
	back, err := person.Visit(w.t.Context(), address)
	must(w.t, err)
	return back
}

// consentUser walks the whole user consent; a second account is used as well.
func (w *world) consentUser(account string) (int, string) {
	w.t.Helper()
	b := w.browser(w.admin)
	status, page := b.land(w.visit(devEntra.Person{ObjectID: account}, b.begin("user")))
	if strings.Contains(page, "Is this the right account?") {
		return b.answer("add", "")
	}
	return status, page
}

// consentAdmin walks the whole admin consent.
func (w *world) consentAdmin() (int, string) {
	w.t.Helper()
	b := w.browser(w.admin)
	return b.land(w.visit(devEntra.Person{ObjectID: w.admin}, b.begin("admin")))
}

func (w *world) grants() []consent.Grant {
	w.t.Helper()
	grants, err := w.rows.Grants(w.t.Context(), w.tenant)
	must(w.t, err)
	return grants
}

// grant reports one grant; account is empty for the admin grant.
func (w *world) grant(account string) consent.Grant {
	w.t.Helper()
	reported, err := w.service.Report(w.t.Context())
	must(w.t, err)
	for _, g := range reported {
		if g.Account.ObjectID == account && (account != "" || g.Kind == consent.Admin) {
			return g
		}
	}
	return consent.Grant{}
}

// carrier is what a use stands on.
func (w *world) carrier(use consent.Use) (consent.Grant, bool) {
	w.t.Helper()
	reported, err := w.service.Report(w.t.Context())
	must(w.t, err)
	return consent.Carrier(reported, use)
}

func (w *world) probe() {
	w.t.Helper()
	must(w.t, w.service.Probe(w.t.Context()))
}

// sync reads as a sync does: it reports a refusal by Graph.
func (w *world) sync() (consent.Token, error) {
	w.t.Helper()
	token, err := w.read()
	if err == nil {
		if status := w.graph(token.Value); status != http.StatusOK {
			must(w.t, w.service.Refused(w.t.Context(), w.tenant, token, status))
		}
	}
	return token, err
}

// set changes how the world behaves.
func (w *world) set(edit func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	edit()
}

// read gets a token as a sync does.
func (w *world) read() (consent.Token, error) {
	return w.service.ReadToken(w.t.Context(), w.tenant, w.grants())
}

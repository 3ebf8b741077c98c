package appcredential_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"software.sslmate.com/src/go-pkcs12"

	devEntra "procallteams/dev/entra"
	devVault "procallteams/dev/keyvault"
	"procallteams/internal/appcredential"
	"procallteams/internal/consent"
	"procallteams/internal/entra"
	"procallteams/internal/keyvault"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

const (
	graph    = "https://graph.microsoft.com"
	redirect = "https://bridge.contoso.com/api/consent/user/callback"
	certName = "bridge-certificate"
)

var keys = sync.OnceValue(func() []*rsa.PrivateKey {
	made := make([]*rsa.PrivateKey, 4)
	for i := range made {
		made[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return made
})

// world is one app registration with a bridge, an identity and a vault around it.
type world struct {
	t                           *testing.T
	entra                       *devEntra.Simulator
	vault                       *devVault.Simulator
	secrets                     *keyvault.Vault
	back                        string // Entra, as the bridge calls it
	tenant, other, client       string
	identity, principal, person string
	transport                   *http.Client
	issuer                      *appcredential.Issuer
	integration                 settings.Integration
	mu                          sync.Mutex
	now                         time.Time
	bridgeAhead                 time.Duration // of the bridge's clock
	federated                   devEntra.Federated
	fixed                       secret.Text
	fixedEnds                   time.Time
	withoutIdentity             bool
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) bridgeClock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.Add(w.bridgeAhead)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Load makes the world the settings of its bridge.
func (w *world) Load(context.Context) (settings.Integration, []string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.integration, nil, nil
}

// start returns a world whose registration has no credential yet; the bridge uses
// kind.
func start(t *testing.T, kind settings.CredentialKind) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Now().UTC().Truncate(time.Second), tenant: uuid.NewString(), other: uuid.NewString(), client: uuid.NewString(),
		identity: uuid.NewString(), principal: uuid.NewString(), person: uuid.NewString(),
	}
	sim, err := devEntra.New(devEntra.Config{Keys: keys()[:2], Now: w.clock})
	must(t, err)
	// The date header is the simulator's, as everything else that Entra knows of time.
	dated := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", w.clock().Format(http.TimeFormat))
		sim.ServeHTTP(rw, r)
	})
	back, front := httptest.NewTLSServer(dated), httptest.NewServer(dated)
	w.entra, w.back = sim, back.URL
	sim.SetURLs(front.URL, back.URL)
	must(t,
		sim.AddTenant(devEntra.Tenant{ID: w.tenant, Domain: "contoso.com"}),
		sim.AddTenant(devEntra.Tenant{ID: w.other, Domain: "fabrikam.com"}),
		sim.AddUser(devEntra.User{TenantID: w.tenant, ObjectID: w.person, UPN: "ada@contoso.com", Name: "Ada", Admin: true}),
		sim.AddIdentity(devEntra.Identity{TenantID: w.tenant, ClientID: w.identity, ObjectID: w.principal}),
		sim.AddApp(devEntra.App{
			TenantID: w.tenant, ClientID: w.client, Name: "bridge", RedirectURIs: []string{redirect},
			Delegated: []string{"Presence.Read.All", "User.ReadBasic.All"}, Application: []string{"Presence.ReadWrite.All"},
		}),
		sim.GrantApplication(w.tenant, w.client),
	)
	w.vault = devVault.New(devVault.Config{Now: w.clock, VerifyToken: func(token string) error {
		_, err := sim.VerifyAccessToken(token)
		return err
	}})
	vault := httptest.NewTLSServer(w.vault)
	t.Cleanup(func() { back.Close(); front.Close(); vault.Close() })
	resource := devVault.ResourceFor(strings.TrimPrefix(vault.URL, "https://"))
	sim.SetResources(graph, resource)
	w.vault.SetURLs(back.URL+"/"+w.tenant, resource)
	t.Setenv("IDENTITY_ENDPOINT", front.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", sim.IdentityHeader())
	w.transport = back.Client() // httptest has one certificate for all its servers
	identity, err := entra.ManagedIdentity(w.identity, w.transport)
	must(t, err)
	address, err := url.Parse(vault.URL)
	must(t, err)
	w.secrets, err = keyvault.Open(address, identity, w.transport)
	must(t, err)
	w.integration = settings.Integration{Tenant: w.tenant, ClientID: w.client, Credential: kind, Certificate: certName}
	w.federated = devEntra.Federated{Issuer: back.URL + "/" + w.tenant + "/v2.0", Subject: w.principal, Audience: "api://AzureADTokenExchange"}
	w.restart()
	return w
}

// restart gives the bridge a new process.
func (w *world) restart() {
	w.t.Helper()
	w.issuer = w.process(w.identity)
}

// process is a bridge that runs with an identity.
func (w *world) process(identity string) *appcredential.Issuer {
	w.t.Helper()
	cloud := settings.Cloud{Name: "public", Authority: w.back, Graph: graph, Exchange: w.federated.Audience}
	config := appcredential.Config{
		Entra:    &entra.Client{Cloud: cloud, HTTP: w.transport, Now: w.bridgeClock},
		Settings: w, Vault: w.secrets, Open: entra.OpenCertificate, Cloud: cloud,
		Fixed: w.fixed, FixedEnds: w.fixedEnds, Now: w.bridgeClock,
	}
	if !w.withoutIdentity {
		managed, err := entra.ManagedIdentity(identity, w.transport)
		must(w.t, err)
		config.Identity = managed
	}
	return appcredential.New(config)
}

func (w *world) app() consent.App { return consent.App{Tenant: w.tenant, ClientID: w.client} }

// token asks for an app-only token.
func (w *world) token() (consent.AppToken, error) {
	w.t.Helper()
	return w.issuer.AppToken(w.t.Context(), w.app())
}

// addSecret makes a client secret at Entra and returns its value.
func (w *world) addSecret() secret.Text {
	w.t.Helper()
	value := "client~" + rand.Text()
	must(w.t, w.entra.AddSecret(w.tenant, w.client, value, time.Time{}))
	return secret.New(value)
}

// made is a certificate with its key.
type made struct {
	*x509.Certificate
	key any
}

func (w *world) certificate(key any, ends time.Time) made {
	w.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bridge"}, NotBefore: w.clock().Add(-time.Hour), NotAfter: ends}
	var public any
	switch k := key.(type) {
	case *rsa.PrivateKey:
		public = &k.PublicKey
	case *ecdsa.PrivateKey:
		public = &k.PublicKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	must(w.t, err)
	certificate, err := x509.ParseCertificate(der)
	must(w.t, err)
	return made{certificate, key}
}

// pem is the form that Key Vault keeps for the content type application/x-pem-file.
func (m made) pem(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(m.key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})) + m.public()
}

func (m made) public() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Raw}))
}

// pfx is the form that Key Vault keeps for the content type application/x-pkcs12.
func (m made) pfx(t *testing.T, encoder *pkcs12.Encoder, password string) string {
	t.Helper()
	data, err := encoder.Encode(m.key, m.Certificate, nil, password)
	must(t, err)
	return base64.StdEncoding.EncodeToString(data)
}

func ellipticKey(t *testing.T) any {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// refused returns a refusal and fails when there is none, or when it shows a secret.
func (w *world) refused(err error) *entra.Error {
	w.t.Helper()
	refusal := asRefusal(err)
	if refusal == nil {
		w.t.Fatalf("got %v; want a refusal", err)
	}
	text := err.Error() + refusal.Cause + refusal.Step
	for _, hidden := range append(w.entra.IssuedSecrets(), w.vault.SecretValues()...) {
		if strings.TrimSpace(hidden) != "" && strings.Contains(text, hidden) {
			w.t.Errorf("the refusal shows a secret: %s", text)
		}
	}
	return refusal
}

package keyvault_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"procallteams/dev/entra"
	"procallteams/dev/keyvault"
)

const (
	tenantID   = "3f2b1c7e-0000-4000-8000-000000000001"
	identityID = "1d000000-0000-4000-8000-000000000001"
)

var testKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 2)
	for i := range keys {
		keys[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return keys
})

// world is a vault, the identity that reaches it, and the real client.
type world struct {
	vault  *keyvault.Simulator
	server *httptest.Server
	entra  *entra.Simulator
	client *azsecrets.Client

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// start wires vault, token service and identity endpoint as an App Service would
// see them. It sets the environment, so its tests do not run in parallel.
func start(t *testing.T) *world {
	t.Helper()
	w := &world{now: time.Now()}
	sim, err := entra.New(entra.Config{Now: w.clock, Keys: testKeys()})
	if err != nil {
		t.Fatal(err)
	}
	identity := httptest.NewServer(sim)
	t.Cleanup(identity.Close)
	w.entra = sim
	var resource string
	w.vault = keyvault.New(keyvault.Config{
		Now:         w.clock,
		VerifyToken: func(token string) error { _, err := sim.VerifyFor(resource, token); return err },
	})
	w.server = httptest.NewTLSServer(w.vault)
	t.Cleanup(w.server.Close)
	resource = keyvault.ResourceFor(strings.TrimPrefix(w.server.URL, "https://"))
	w.vault.SetURLs("https://127.0.0.1:1/"+tenantID, resource)
	sim.SetURLs(identity.URL, identity.URL)
	sim.SetResources("https://graph.microsoft.com", resource)
	for _, err := range []error{
		sim.AddTenant(entra.Tenant{ID: tenantID, Domain: "contoso.com"}),
		sim.AddIdentity(entra.Identity{TenantID: tenantID, ClientID: identityID, ObjectID: "1d000000-0000-4000-8000-0000000000ff"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("IDENTITY_ENDPOINT", identity.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", sim.IdentityHeader())
	credential, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(identityID)})
	if err != nil {
		t.Fatal(err)
	}
	w.client = w.clientWith(t, credential)
	return w
}

func (w *world) clientWith(t *testing.T, credential azcore.TokenCredential) *azsecrets.Client {
	t.Helper()
	client, err := azsecrets.NewClient(w.server.URL, credential, &azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: w.server.Client(), Retry: policy.RetryOptions{MaxRetries: -1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (w *world) set(t *testing.T, name, value string) string {
	t.Helper()
	answer, err := w.client.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: &value}, nil)
	if err != nil {
		t.Fatalf("set %s: %v", name, err)
	}
	return answer.ID.Version()
}

func wantError(t *testing.T, err error, status int, code string) {
	t.Helper()
	failure, isResponse := errors.AsType[*azcore.ResponseError](err)
	if !isResponse || failure.StatusCode != status || failure.ErrorCode != code {
		t.Errorf("error %v; want %d %s", err, status, code)
	}
}

func TestTheRealClientStoresAndReadsVersionsByManagedIdentity(t *testing.T) {
	w := start(t)
	first, second := w.set(t, "refresh-token", "one"), w.set(t, "refresh-token", "two")
	newest, err := w.client.GetSecret(t.Context(), "refresh-token", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	older, err := w.client.GetSecret(t.Context(), "refresh-token", first, nil)
	if err != nil {
		t.Fatal(err)
	}
	if *newest.Value != "two" || newest.ID.Version() != second || *older.Value != "one" {
		t.Errorf("newest %q version %s, first %q; want two %s one", *newest.Value, newest.ID.Version(), *older.Value, second)
	}
	var listed []string
	for pager := w.client.NewListSecretPropertiesVersionsPager("refresh-token", nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Value {
			listed = append(listed, item.ID.Version())
		}
	}
	if want := []string{first, second}; !sameMembers(listed, want) {
		t.Errorf("versions listed %v; want %v", listed, want)
	}
	if got := w.entra.TokenRequests()["identity"]; got != 1 {
		t.Errorf("%d identity requests; want 1 for all calls", got)
	}
	if want := []string{"one", "two"}; !slices.Equal(w.vault.SecretValues(), want) {
		t.Errorf("secret values %v; want %v", w.vault.SecretValues(), want)
	}
}

func sameMembers(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestARequestWithoutTokenIsChallenged(t *testing.T) {
	w := start(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/secrets/x?api-version=2026-04-01", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := w.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	want := `Bearer authorization="https://127.0.0.1:1/` + tenantID + `", resource="` + keyvault.ResourceFor(request.Host) + `"`
	if got := response.Header.Get("WWW-Authenticate"); response.StatusCode != http.StatusUnauthorized || got != want {
		t.Errorf("%d %s; want 401 %s", response.StatusCode, got, want)
	}
}

func TestATokenForAnotherResourceIsRefused(t *testing.T) {
	w := start(t)
	credential, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(identityID)})
	if err != nil {
		t.Fatal(err)
	}
	token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/secrets/x?api-version=2026-04-01", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token.Token)
	response, err := w.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d; want 401", response.StatusCode)
	}
}

func TestADisabledVersionCannotBeRead(t *testing.T) {
	w := start(t)
	version := w.set(t, "setup-code", "value")
	_, err := w.client.UpdateSecretProperties(t.Context(), "setup-code", version, azsecrets.UpdateSecretPropertiesParameters{
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: new(false)}, Tags: map[string]*string{"oid": new("ada")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.client.GetSecret(t.Context(), "setup-code", version, nil)
	wantError(t, err, http.StatusForbidden, "Forbidden")
	got := w.vault.Versions("setup-code")
	if len(got) != 1 || got[0].Enabled || got[0].Tags["oid"] != "ada" {
		t.Errorf("versions %+v; want the one, disabled and tagged: an update makes no version", got)
	}
}

func TestADeletedNameStaysTakenUntilItIsRecovered(t *testing.T) {
	w := start(t)
	w.set(t, "x", "old")
	w.vault.Delete("x")
	_, err := w.client.SetSecret(t.Context(), "x", azsecrets.SetSecretParameters{Value: new("new")}, nil)
	wantError(t, err, http.StatusConflict, "Conflict")
	failure, _ := errors.AsType[*azcore.ResponseError](err)
	if failure == nil || !strings.Contains(failure.Error(), "ObjectIsDeletedButRecoverable") {
		t.Errorf("error %v does not name ObjectIsDeletedButRecoverable", err)
	}
	_, err = w.client.GetSecret(t.Context(), "x", "", nil)
	wantError(t, err, http.StatusNotFound, "SecretNotFound")

	w.vault.SetRecoveryDelay(2)
	if _, err := w.client.RecoverDeletedSecret(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err = w.client.SetSecret(t.Context(), "x", azsecrets.SetSecretParameters{Value: new("new")}, nil)
		if failure, _ := errors.AsType[*azcore.ResponseError](err); failure == nil || !strings.Contains(failure.Error(), "ObjectIsBeingRecovered") {
			t.Errorf("error %v does not name ObjectIsBeingRecovered", err)
		}
	}
	w.set(t, "x", "new")
	if got := len(w.vault.Versions("x")); got != 2 {
		t.Errorf("%d versions after recovery and write; want 2", got)
	}
}

func TestADeletedSecretCanBeSeenAndPurged(t *testing.T) {
	w := start(t)
	w.set(t, "x", "old")
	if _, err := w.client.DeleteSecret(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	deleted, err := w.client.GetDeletedSecret(t.Context(), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := deleted.ScheduledPurgeDate.Sub(*deleted.DeletedDate); got != 90*24*time.Hour {
		t.Errorf("purge after %v; want 90 days", got)
	}
	if _, err := w.client.PurgeDeletedSecret(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	w.set(t, "x", "new")
	if got := len(w.vault.Versions("x")); got != 1 {
		t.Errorf("%d versions after purge and write; want 1", got)
	}
}

func TestADeletedSecretIsPurgedAfterNinetyDays(t *testing.T) {
	w := start(t)
	w.set(t, "x", "old")
	w.vault.Delete("x")
	w.advance(90 * 24 * time.Hour)
	_, err := w.client.RecoverDeletedSecret(t.Context(), "x", nil)
	if err == nil {
		t.Error("recovered a secret whose time was over")
	}
}

func TestLimitsOfValuesAndTags(t *testing.T) {
	w := start(t)
	w.set(t, "x", strings.Repeat("v", 25*1024))
	_, err := w.client.SetSecret(t.Context(), "x", azsecrets.SetSecretParameters{Value: new(strings.Repeat("v", 25*1024+1))}, nil)
	wantError(t, err, http.StatusBadRequest, "BadParameter")
	_, err = w.client.SetSecret(t.Context(), "x", azsecrets.SetSecretParameters{Value: new("v"), Tags: map[string]*string{"t": new(strings.Repeat("v", 257))}}, nil)
	wantError(t, err, http.StatusBadRequest, "BadParameter")
	_, err = w.client.SetSecret(t.Context(), "a_b", azsecrets.SetSecretParameters{Value: new("v")}, nil)
	wantError(t, err, http.StatusBadRequest, "BadParameter")
}

func TestFaultsHitAndPass(t *testing.T) {
	w := start(t)
	w.set(t, "x", "v")
	get := func() error {
		_, err := w.client.GetSecret(t.Context(), "x", "", nil)
		return err
	}
	w.vault.Forbid("get")
	wantError(t, get(), http.StatusForbidden, "Forbidden")
	w.vault.Allow()
	for kind, want := range map[string]int{keyvault.FaultThrottle: http.StatusTooManyRequests, keyvault.FaultBroken: http.StatusInternalServerError, keyvault.FaultUnreachable: 0} {
		if err := w.vault.Inject(keyvault.Fault{Operation: "get", Kind: kind}); err != nil {
			t.Fatal(err)
		}
		err := get()
		failure, _ := errors.AsType[*azcore.ResponseError](err)
		if err == nil || want != 0 && (failure == nil || failure.StatusCode != want) {
			t.Errorf("%s: error %v; want status %d", kind, err, want)
		}
		w.vault.ClearFaults()
	}
	if err := w.vault.Inject(keyvault.Fault{Kind: keyvault.FaultLatency, Latency: time.Millisecond, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if err := get(); err != nil {
		t.Errorf("after the faults: %v", err)
	}
}

func TestTheIdentityEndpointMayBeUnsteady(t *testing.T) {
	w := start(t)
	if err := w.entra.Inject(entra.Fault{Endpoint: entra.EndpointIdentity, Kind: entra.FaultOutage, Count: 2}); err != nil {
		t.Fatal(err)
	}
	credential, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
		ID:            azidentity.ClientID(identityID),
		ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond, MaxRetryDelay: time.Millisecond}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.clientWith(t, credential).SetSecret(t.Context(), "x", azsecrets.SetSecretParameters{Value: new("v")}, nil); err != nil {
		t.Errorf("after two refusals of the identity endpoint: %v", err)
	}
	if got := w.entra.TokenRequests()["identity"]; got != 1 {
		t.Errorf("%d requests reached the identity endpoint's truth; want 1", got)
	}
}

func TestResourceSatisfiesTheClientsHostCheck(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1:8443":         "https://0.0.1:8443",
		"bridge.vault.azure.net": "https://vault.azure.net",
		"x.localhost:8443":       "https://localhost:8443",
	} {
		if got := keyvault.ResourceFor(host); got != want {
			t.Errorf("ResourceFor(%s) = %s; want %s", host, got, want)
		}
	}
}

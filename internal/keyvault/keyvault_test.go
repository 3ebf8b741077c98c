package keyvault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	devVault "procallteams/dev/keyvault"
	"procallteams/internal/entra"
	"procallteams/internal/keyvault"
	"procallteams/internal/secret"
)

type world struct {
	vault    *devVault.Simulator
	platform *devEntra.Simulator
	identity *entra.Identity
	bridge   *keyvault.Vault
	clock    *time.Time // of the vault; the real one while nil
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{}
	tenant, id := uuid.NewString(), uuid.NewString()
	platform, err := devEntra.New(devEntra.Config{})
	if err != nil {
		t.Fatal(err)
	}
	vault := devVault.New(devVault.Config{Now: w.now, VerifyToken: func(token string) error {
		_, err := platform.VerifyAccessToken(token)
		return err
	}})
	msi, server := httptest.NewServer(platform), httptest.NewTLSServer(vault)
	t.Cleanup(func() { msi.Close(); server.Close() })
	resource := devVault.ResourceFor(strings.TrimPrefix(server.URL, "https://"))
	vault.SetURLs("https://login.microsoftonline.com/"+tenant, resource)
	platform.SetResources("", resource)
	for _, err := range []error{
		platform.AddTenant(devEntra.Tenant{ID: tenant, Domain: "contoso.com"}),
		platform.AddIdentity(devEntra.Identity{TenantID: tenant, ClientID: id, ObjectID: uuid.NewString()}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("IDENTITY_ENDPOINT", msi.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", platform.IdentityHeader())
	identity, err := entra.ManagedIdentity(id, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	bridge, err := keyvault.Open(address, identity, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	w.vault, w.platform, w.identity, w.bridge = vault, platform, identity, bridge
	return w
}

func (w *world) now() time.Time {
	if w.clock == nil {
		return time.Now()
	}
	return *w.clock
}

func TestEveryPutIsAVersionThatStaysReadable(t *testing.T) {
	w := start(t)
	first, err := w.bridge.Put(t.Context(), "push-secret", secret.New("one"), secret.Label{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.bridge.Put(t.Context(), "push-secret", secret.New("two"), secret.Label{})
	if err != nil || second == first {
		t.Fatalf("second version %s, %v", second, err)
	}
	if value, version, err := w.bridge.Get(t.Context(), "push-secret"); err != nil || value.Reveal() != "two" || version != second {
		t.Errorf("Get = %s of %s, %v", value.Reveal(), version, err)
	}
	if value, err := w.bridge.GetVersion(t.Context(), "push-secret", first); err != nil || value.Reveal() != "one" {
		t.Errorf("GetVersion = %v, %v", value.Reveal(), err)
	}
	if err := w.bridge.Disable(t.Context(), "push-secret", first); err != nil {
		t.Fatal(err)
	}
	if _, err := w.bridge.GetVersion(t.Context(), "push-secret", first); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("a disabled version: %v", err)
	}
	if err := w.bridge.Disable(t.Context(), "push-secret", "00000000000000000000000000000000"); err != nil {
		t.Errorf("disable what is not there: %v", err)
	}
}

func TestVersionsAreListedNewestFirstWithTheirLabels(t *testing.T) {
	w := start(t)
	clock := time.Date(2026, 11, 26, 4, 0, 0, 0, time.UTC)
	w.clock = &clock
	ends := clock.AddDate(0, 0, 90)
	var made []string
	for i := range 30 { // more than one page
		version, err := w.bridge.Put(t.Context(), "refresh-x", secret.New(fmt.Sprint(i)), secret.Label{Tags: map[string]string{"oid": "a"}, Expires: ends})
		if err != nil {
			t.Fatal(err)
		}
		made = append([]string{version}, made...)
		clock = clock.Add(time.Second)
	}
	if err := w.bridge.Disable(t.Context(), "refresh-x", made[29]); err != nil {
		t.Fatal(err)
	}
	versions, err := w.bridge.Versions(t.Context(), "refresh-x")
	if err != nil || len(versions) != len(made) {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	for i, v := range versions {
		if v.ID != made[i] || v.Enabled != (i < 29) || !v.Expires.Equal(ends) || v.Tags["oid"] != "a" || v.Created.IsZero() {
			t.Errorf("version %d = %+v", i, v)
		}
	}
	stored, err := w.bridge.Read(t.Context(), "refresh-x", "")
	if err != nil || stored.ID != made[0] || !stored.Expires.Equal(ends) || stored.Value.Reveal() != "29" {
		t.Errorf("Read = %+v, %v", stored, err)
	}
	if versions, err := w.bridge.Versions(t.Context(), "nothing"); err != nil || len(versions) != 0 {
		t.Errorf("versions of nothing: %v, %v", versions, err)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	w := start(t)
	if _, _, err := w.bridge.Get(t.Context(), "setup-code"); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("Get = %v", err)
	}
	for _, name := range []string{"", "a/b", "a.b", strings.Repeat("x", 128), "../secrets/y"} {
		if _, _, err := w.bridge.Get(t.Context(), name); err == nil || w.vault.Requests("get") > 2 {
			t.Errorf("the name %q reaches the vault", name)
		}
	}
}

func TestADeletedNameIsRecoveredAndWritten(t *testing.T) {
	w := start(t)
	w.vault.Set("refresh-x", "old")
	w.vault.Delete("refresh-x")
	w.vault.SetRecoveryDelay(2)
	version, err := w.bridge.Put(t.Context(), "refresh-x", secret.New("new"), secret.Label{})
	if err != nil {
		t.Fatal(err)
	}
	if value, got, err := w.bridge.Get(t.Context(), "refresh-x"); err != nil || value.Reveal() != "new" || got != version {
		t.Errorf("Get = %v, %v", value.Reveal(), err)
	}
}

func TestRefusalsSayWhoMustDoWhat(t *testing.T) {
	w := start(t)
	w.vault.Set("refresh-x", "old")
	w.vault.Delete("refresh-x")
	w.vault.Forbid("recover")
	_, err := w.bridge.Put(t.Context(), "refresh-x", secret.New("the-value"), secret.Label{})
	refused, ok := errors.AsType[*keyvault.Error](err)
	if !ok || !strings.Contains(refused.Step, "recovers or purges") || refused.Transient {
		t.Errorf("a name that cannot be recovered: %v", err)
	}
	w.vault.Forbid("get", "set")
	if _, _, err := w.bridge.Get(t.Context(), "y"); err == nil || !strings.Contains(err.Error(), "Key Vault Secrets Officer") {
		t.Errorf("without a role: %v", err)
	}
	_, err = w.bridge.Put(t.Context(), "y", secret.New("the-value"), secret.Label{})
	if text := fmt.Sprintf("%v %+v", err, err); err == nil || strings.Contains(text, "the-value") || strings.Contains(text, "127.0.0.1") {
		t.Errorf("the error shows too much: %s", text)
	}
	if _, err := w.bridge.Put(t.Context(), "y", secret.New(strings.Repeat("x", 25001)), secret.Label{}); err == nil {
		t.Error("a value over 25,000 bytes is accepted")
	}
}

func TestAnUnsteadyVaultAndIdentityAreAskedAgain(t *testing.T) {
	w := start(t)
	w.vault.Set("x", "value")
	if err := errors.Join(
		w.platform.Inject(devEntra.Fault{Endpoint: devEntra.EndpointIdentity, Kind: devEntra.FaultOutage, Count: 4}),
		w.vault.Inject(devVault.Fault{Operation: "get", Kind: devVault.FaultBroken, Count: 1}),
		w.vault.Inject(devVault.Fault{Operation: "get", Kind: devVault.FaultThrottle, Count: 1}),
		w.vault.Inject(devVault.Fault{Operation: "get", Kind: devVault.FaultUnreachable, Count: 1}),
	); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if _, _, err := w.bridge.Get(t.Context(), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := w.platform.TokenRequests()["identity"]; n != 1 {
		t.Errorf("%d identity tokens for eight readers at once; want 1", n)
	}
	if n := w.identity.Unsteady(); n != 4 {
		t.Errorf("Unsteady = %d; want 4", n)
	}
}

func TestAnIdentityThatIsNotAssignedIsNamed(t *testing.T) {
	w := start(t)
	stranger, err := entra.ManagedIdentity(uuid.NewString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(w.vault)
	defer server.Close()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	vault, err := keyvault.Open(address, stranger, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	w.vault.SetURLs("https://login.microsoftonline.com/"+uuid.NewString(), devVault.ResourceFor(strings.TrimPrefix(server.URL, "https://")))
	if _, _, err := vault.Get(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "managed identity is not assigned") {
		t.Errorf("Get = %v", err)
	}
}

func TestACallEndsWithItsCaller(t *testing.T) {
	w := start(t)
	if err := w.vault.Inject(devVault.Fault{Kind: devVault.FaultLatency, Latency: time.Minute}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, _, err := w.bridge.Get(ctx, "x")
	if refused, ok := errors.AsType[*keyvault.Error](err); !ok || !refused.Transient || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("Get = %v after %s", err, time.Since(began))
	}
}

package consentcallback_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	devVault "procallteams/dev/keyvault"
	"procallteams/internal/consent"
	"procallteams/internal/storage"
)

// An administrator enters another tenant, goes back, and enters it again.
func TestAFormerTenantsSignInsAreDisabledInKeyVault(t *testing.T) {
	w := newWorld(t)
	kept := storage.Settings{Storage: w.store}
	enter := func(tenant string) {
		t.Helper()
		current, _, err := kept.Load(t.Context())
		must(t, err)
		current.Tenant = tenant
		_, err = kept.Save(t.Context(), current)
		must(t, err)
	}
	upkeep := func() error {
		t.Helper()
		tenants, err := kept.Replaced(t.Context())
		must(t, err)
		if !slices.Contains(tenants, w.tenant) {
			return nil
		}
		return w.service.Abandon(t.Context(), w.tenant, func(ctx context.Context) (bool, error) {
			now, err := kept.Replaced(ctx)
			return slices.Contains(now, w.tenant), err
		})
	}
	readable := func() (n int) {
		for _, account := range []string{w.reader, w.second} {
			for _, version := range w.vault.Versions("refresh-" + w.tenant + "-" + account) {
				if version.Enabled {
					n++
				}
			}
		}
		return n
	}
	another := uuid.NewString()
	enter(w.tenant)
	w.consentUser(w.reader)
	w.consentUser(w.second)
	w.consentUser(w.second)
	must(t, upkeep())
	if n := readable(); n != 3 {
		t.Fatalf("%d versions are readable before anything; want 3", n)
	}

	enter(another)
	must(t, w.vault.Inject(devVault.Fault{Operation: "list", Kind: devVault.FaultBroken}))
	if err := upkeep(); err == nil {
		t.Error("upkeep hides that Key Vault is away")
	}
	w.vault.ClearFaults()
	enter(w.tenant)
	must(t, upkeep())
	if n := readable(); n != 3 || !w.grant(w.reader).Works() {
		t.Errorf("who went back finds %d readable versions, a grant that is %s", n, w.grant(w.reader).State)
	}

	enter(another)
	must(t, upkeep())
	if n := readable(); n != 0 {
		t.Errorf("%d versions are still readable", n)
	}
	for _, account := range []string{w.reader, w.second} {
		if g := w.grant(account); g.State != consent.Required || g.SecretName != "" || !strings.Contains(g.Reason, "another tenant") {
			t.Errorf("grant = %s, %s", g.State, g.Reason)
		}
	}
	asked := w.vault.Requests("list") + w.vault.Requests("update")
	must(t, upkeep())
	if n := w.vault.Requests("list") + w.vault.Requests("update") - asked; n != 0 {
		t.Errorf("Key Vault is asked %d times more once all is done", n)
	}
	for _, leaked := range append(w.entra.IssuedSecrets(), w.vault.SecretValues()...) {
		if strings.Contains(w.log.String(), leaked) {
			t.Error("the log holds a secret")
		}
	}

	enter(w.tenant)
	w.probe()
	if _, err := w.read(); err == nil {
		t.Error("a sign-in that was disabled is used")
	}
	if w.consentUser(w.reader); !w.grant(w.reader).Works() {
		t.Errorf("signed in again = %s", w.grant(w.reader).State)
	}
}

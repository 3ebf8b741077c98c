package storage

import (
	"strings"
	"testing"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/health"
	"procallteams/internal/settings"
)

// move makes a tenant the one in use.
func (s Settings) move(t *testing.T, tenant string) {
	t.Helper()
	current, _, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	current.Tenant = tenant
	if _, err := s.Save(t.Context(), current); err != nil {
		t.Fatal(err)
	}
}

// left are the keys and the blobs of a tenant.
func (s Settings) left(t *testing.T, tenant string) (names []string) {
	t.Helper()
	for row, err := range s.Storage.Range(t.Context(), tenant, " ", "~") {
		if err != nil {
			t.Fatal(err)
		}
		key := row.Key
		if strings.HasPrefix(key, RowAudit) {
			key = RowAudit + row.Text("what")
		}
		names = append(names, key)
	}
	for blob, err := range s.Storage.blobsIn(t.Context(), tenant+"/") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, "blob "+blob.name)
	}
	return names
}

func TestAReplacedTenantIsForgottenAfterItsRetention(t *testing.T) {
	store := Settings{Storage: fresh(t)}
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	f := &Forgetting{Settings: store, Now: func() time.Time { return at }}
	after := func(d time.Duration) {
		t.Helper()
		at = at.Add(d)
		if err := f.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	store.move(t, tenantA)
	s := store.Storage
	for i := range 120 {
		key := RowEntry + "e-" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		if _, err := s.Insert(t.Context(), Row{Partition: tenantA, Key: key, Values: map[string]any{"x": "y"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Beat(t.Context(), tenantA, health.Heartbeat{Users: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutUsers(t.Context(), tenantA, directory.UsersRef{}, &directory.Users{}, directory.UsersRef{At: at}); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"settings changed", access.LookedUp} {
		if err := s.Record(t.Context(), tenantA, access.Change{Who: "o", What: what, At: at}); err != nil {
			t.Fatal(err)
		}
	}
	before := len(store.left(t, tenantA))
	store.move(t, tenantB)
	after(time.Minute)
	after(settings.DefaultRetention - time.Minute)
	if n := len(store.left(t, tenantA)); n != before {
		t.Errorf("%d of %d rows and blobs are left within the retention", n, before)
	}
	after(2 * time.Hour)
	if left := store.left(t, tenantA); len(left) != 1 || left[0] != RowAudit+"settings changed" {
		t.Errorf("left = %q; want the audit trail alone", left)
	}
	if left := store.left(t, tenantB); len(left) != 1 || left[0] != RowSettings {
		t.Errorf("of the tenant in use are left %q", left)
	}
	row, err := s.Get(t.Context(), Installation, RowTenant)
	if err != nil || row.Text(columnReplaced) != "" {
		t.Errorf("replaced = %q, %v", row.Text(columnReplaced), err)
	}
}

func TestATenantThatCameBackIsKept(t *testing.T) {
	store := Settings{Storage: fresh(t)}
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	f := &Forgetting{Settings: store, Now: func() time.Time { return at }}
	store.move(t, tenantA)
	if err := store.Storage.Beat(t.Context(), tenantA, health.Heartbeat{Users: 1}); err != nil {
		t.Fatal(err)
	}
	store.move(t, tenantB)
	if err := f.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.move(t, tenantA)
	for range 3 {
		at = at.Add(100 * time.Hour)
		if err := f.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := store.left(t, tenantA); len(left) != 2 {
		t.Errorf("left = %q", left)
	}
	if left := store.left(t, tenantB); len(left) != 0 {
		t.Errorf("of the tenant between are left %q", left)
	}
}

func TestLookUpsAreForgottenAndChangesAreNot(t *testing.T) {
	store := Settings{Storage: fresh(t)}
	store.move(t, tenantA)
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	for i, what := range []string{access.LookedUp, "settings changed", access.LookedUp} {
		if err := store.Storage.Record(t.Context(), tenantA, access.Change{Who: "o", What: what, At: at.Add(time.Duration(i) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	f := &Forgetting{Settings: store, Now: func() time.Time { return at.Add(LookUpsKept + 90*time.Minute) }}
	if err := f.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left strings.Builder
	for change, err := range store.Storage.Changes(t.Context(), tenantA) {
		if err != nil {
			t.Fatal(err)
		}
		left.WriteString(change.What + "\n")
	}
	if want := "settings changed\n" + access.LookedUp + "\n"; left.String() != want {
		t.Errorf("left = %q; want %q", left.String(), want)
	}
}

func TestAReplacedTenantIsRememberedWhileItsSignInsCanBeRead(t *testing.T) {
	store := Settings{Storage: fresh(t)}
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	f := &Forgetting{Settings: store, Now: func() time.Time { return at }}
	replaced := func(want string) {
		t.Helper()
		got, err := store.Replaced(t.Context())
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("Replaced() = %q, %v; want %q", got, err, want)
		}
	}
	later := func() {
		t.Helper()
		at = at.Add(settings.DefaultRetention + time.Hour)
		if err := f.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	replaced("")
	store.move(t, tenantA)
	grants := Grants{Storage: store.Storage}
	grant, err := grants.SaveGrant(t.Context(), tenantA, consent.Grant{Kind: consent.User, Account: consent.Account{ObjectID: "rita"}, SecretName: "refresh-x"})
	if err != nil {
		t.Fatal(err)
	}
	replaced("")
	store.move(t, tenantB)
	replaced(tenantA)
	byAppSetting := Settings{Storage: store.Storage, Overrides: settings.Overrides{Tenant: tenantA}}
	if got, err := byAppSetting.Replaced(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("an app setting names it, yet %q were replaced, %v", got, err)
	}
	store.move(t, tenantA)
	replaced(tenantB)
	store.move(t, tenantB)
	later()
	later()
	if left := store.left(t, tenantA); len(left) != 2 {
		t.Errorf("left = %q; want the settings and the grant", left)
	}
	replaced(tenantA)
	grant.SecretName = ""
	if _, err := grants.SaveGrant(t.Context(), tenantA, grant); err != nil {
		t.Fatal(err)
	}
	later()
	if left := store.left(t, tenantA); len(left) != 0 {
		t.Errorf("left = %q", left)
	}
	replaced("")
}

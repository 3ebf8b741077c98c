package storage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"procallteams/internal/health"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

const (
	tenantA = "8b1f4a8e-0000-4000-8000-00000000000a"
	tenantB = "8b1f4a8e-0000-4000-8000-00000000000b"
)

func TestSettingsFollowTheTenant(t *testing.T) {
	s := fresh(t)
	store := Settings{Storage: s}
	save := func(change func(*settings.Integration)) settings.Integration {
		t.Helper()
		current, _, err := store.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		change(&current)
		saved, err := store.Save(t.Context(), current)
		if err != nil {
			t.Fatal(err)
		}
		return saved
	}
	if tenant, err := store.Tenant(t.Context()); err != nil || tenant != "" {
		t.Fatalf("Tenant() = %q, %v before anything was set", tenant, err)
	}
	save(func(i *settings.Integration) { i.GraphBudget = 3000 })
	save(func(i *settings.Integration) { i.Tenant = tenantA })
	saved := save(func(i *settings.Integration) { i.TeamsToProCall = settings.Everyone })
	if saved.Version != 3 || saved.GraphBudget != 3000 {
		t.Errorf("saved = %+v; want version 3 and what was set before", saved)
	}
	now, err := s.Now(t.Context(), tenantA)
	if err != nil || !now.Settings.Reads() || now.Retired {
		t.Errorf("Now() = %+v, %v; want the tenant's settings", now, err)
	}

	save(func(i *settings.Integration) { i.Tenant, i.TeamsToProCall = tenantB, settings.Nobody })
	old, err := s.Now(t.Context(), tenantA)
	if err != nil || !old.Retired {
		t.Errorf("the previous tenant is not retired: %+v, %v", old, err)
	}
	if tenant, _ := store.Tenant(t.Context()); tenant != tenantB {
		t.Errorf("Tenant() = %q; want the new one", tenant)
	}
	save(func(i *settings.Integration) { i.Tenant = tenantA })
	if again, err := s.Now(t.Context(), tenantA); err != nil || again.Retired {
		t.Errorf("a tenant that came back is still retired: %+v, %v", again, err)
	}
}

func TestUpkeepRetiresThePreviousTenantAfterACrash(t *testing.T) {
	s := fresh(t)
	store := Settings{Storage: s}
	for _, tenant := range []string{tenantA, tenantB} {
		current, _, err := store.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		current.Tenant = tenant
		if _, err := store.Save(t.Context(), current); err != nil {
			t.Fatal(err)
		}
	}
	// As if the process had died before the last step of Save.
	if _, err := s.Merge(t.Context(), Row{Partition: tenantA, Key: RowSettings, Values: map[string]any{"retired": false}}); err != nil {
		t.Fatal(err)
	}
	if err := store.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Now(t.Context(), tenantA); err != nil || !now.Retired {
		t.Errorf("Now() = %+v, %v; want retired", now, err)
	}
	if now, err := s.Now(t.Context(), tenantB); err != nil || now.Retired {
		t.Errorf("the tenant in use was retired: %+v, %v", now, err)
	}
	// As if an older repair had retired it while an administrator switched back.
	if err := store.retire(t.Context(), tenantB); err != nil {
		t.Fatal(err)
	}
	if err := store.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Now(t.Context(), tenantB); err != nil || now.Retired {
		t.Errorf("the tenant in use stays retired: %+v, %v", now, err)
	}
}

func TestTheSecondOfTwoAdministratorsIsTold(t *testing.T) {
	store := Settings{Storage: fresh(t)}
	first, _, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := first
	if _, err := store.Save(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Save(t.Context(), second); !errors.Is(err, ErrChanged) {
		t.Errorf("Save of an old version = %v; want ErrChanged", err)
	}
}

func TestAnAppSettingNamesTheTenant(t *testing.T) {
	store := Settings{Storage: fresh(t), Overrides: settings.Overrides{Tenant: tenantB}}
	current, fixed, err := store.Load(t.Context())
	if err != nil || current.Tenant != tenantB || len(fixed) != 1 {
		t.Fatalf("Load() = %+v, %q, %v", current, fixed, err)
	}
	current.Paused = true
	if _, err := store.Save(t.Context(), current); err != nil {
		t.Fatal(err)
	}
	now, err := store.Storage.Now(t.Context(), tenantB)
	if err != nil || !now.Settings.Paused {
		t.Errorf("Now() = %+v, %v; want the settings in the named tenant's partition", now, err)
	}
}

func TestWhatAnAppSettingFixesEndsWithIt(t *testing.T) {
	store := Settings{Storage: fresh(t)}
	fixed := store
	fixed.Overrides = settings.Overrides{Tenant: tenantA, ClientID: tenantB, PushURL: "https://fixed.example/push"}
	current, _, err := fixed.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	current.Paused = true
	saved, err := fixed.Save(t.Context(), current)
	if err != nil || saved.PushURL != "https://fixed.example/push" || saved.ClientID != tenantB {
		t.Errorf("Save() = %+v, %v; want the app settings applied", saved, err)
	}
	store.Overrides.Tenant = tenantA
	current, _, err = store.Load(t.Context())
	if err != nil || !current.Paused || current.PushURL != "" || current.ClientID != "" {
		t.Errorf("without the app settings = %+v, %v; want nothing of them", current, err)
	}
}

func TestWhatASyncLeavesBehindIsReadAtOnce(t *testing.T) {
	s := fresh(t)
	at := time.Date(2026, 11, 24, 3, 50, 49, 0, time.UTC)
	if err := s.Beat(t.Context(), tenantA, health.Heartbeat{AsOf: at, Users: 7}); err != nil {
		t.Fatal(err)
	}
	if err := s.Throttle(t.Context(), tenantA, at.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := s.Throttle(t.Context(), tenantA, at.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	// Another process was asked for less, and knows nothing of the first.
	if err := s.Throttle(t.Context(), tenantA, at.Add(5*time.Second)); err != nil {
		t.Fatal(err)
	}
	now, err := s.Now(t.Context(), tenantA)
	if err != nil || !now.Heartbeat.AsOf.Equal(at) || now.Heartbeat.Users != 7 || !now.ThrottledUntil.Equal(at.Add(time.Minute)) {
		t.Errorf("Now() = %+v, %v", now, err)
	}
	if other, err := s.Now(t.Context(), tenantB); err != nil || other.Heartbeat.Users != 0 {
		t.Errorf("another tenant sees it: %+v, %v", other, err)
	}
}

func TestAnUnreachableAccountIsAnErrorWithoutItsKey(t *testing.T) {
	const key = "c2VjcmV0LWtleS1vZi10aGUtYWNjb3VudA=="
	text := "DefaultEndpointsProtocol=http;AccountName=x;AccountKey=" + key + ";TableEndpoint=http://127.0.0.1:1/x;BlobEndpoint=http://127.0.0.1:1/x;QueueEndpoint=http://127.0.0.1:1/x"
	s, err := Open(settings.Storage{ConnectionString: secret.New(text)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := timeout(t)
	defer cancel()
	if _, err := s.Now(ctx, tenantA); err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("Now() = %v", err)
	}
}

func timeout(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 2*time.Second)
}

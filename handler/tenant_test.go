package main

import (
	"io"
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestATenantThatAnAppSettingBringsBackIsPushedAgain(t *testing.T) {
	tenant := uuid.NewString()
	environment := []string{
		"AzureWebJobsStorage=" + azurite.ForTest(t).ConnectionString(),
		"KEY_VAULT_URI=https://127.0.0.1:1", "BRIDGE_PUBLIC_URL=http://localhost:7071", "PRESENCE_SYNC_SCHEDULE=*/5 * * * * *",
		"UCSERVER_PUSH_URL=https://ucserver.contoso.com/push",
	}
	look := func(more ...string) string {
		t.Helper()
		b, err := settings.Load(append(environment, more...))
		if err != nil {
			t.Fatal(err)
		}
		c, err := connect(b, slog.New(slog.NewJSONHandler(io.Discard, nil)), nil)
		if err != nil {
			t.Fatal(err)
		}
		retired := storage.Row{Partition: tenant, Key: storage.RowSettings, Values: map[string]any{"data": "{}", "retired": true}}
		if err := c.storage.Upsert(t.Context(), retired); err != nil {
			t.Fatal(err)
		}
		view, err := c.pusher().Look(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		return view.URL
	}
	if url := look(); url != "" {
		t.Errorf("a retired tenant is pushed to %s", url)
	}
	if url := look("TEAMS_TENANT_ID=" + tenant); url == "" {
		t.Error("the tenant that the app setting names is never pushed, since it was retired before")
	}
}

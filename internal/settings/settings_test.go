package settings_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/internal/settings"
)

// complete are app settings with which the handler starts.
func complete(changes ...string) []string {
	environ := []string{
		"AzureWebJobsStorage=UseDevelopmentStorage=true",
		"KEY_VAULT_URI=https://vault.example/",
		"BRIDGE_PUBLIC_URL=https://bridge.contoso.com",
		"PRESENCE_SYNC_SCHEDULE=*/5 * * * * *",
	}
	for _, change := range changes {
		name, _, _ := strings.Cut(change, "=")
		environ = slices.DeleteFunc(environ, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
		if !strings.HasSuffix(change, "=") {
			environ = append(environ, change)
		}
	}
	return environ
}

func TestCompleteAppSettingsAreRead(t *testing.T) {
	b, err := settings.Load(complete("TEAMS_CLIENT_ID=0A1B2C3D-0000-4000-8000-000000000001", "TEAMS_CLIENT_SECRET=s3cret", "TEAMS_TENANT_ID=0A1B2C3D-0000-4000-8000-00000000000A"))
	if err != nil {
		t.Fatal(err)
	}
	if b.Interval != 5*time.Second || b.Public.String() != "https://bridge.contoso.com" || b.Cloud.Graph != "https://graph.microsoft.com" {
		t.Errorf("Load() = interval %v, public %v, cloud %+v", b.Interval, b.Public, b.Cloud)
	}
	if b.Overrides.ClientID != "0a1b2c3d-0000-4000-8000-000000000001" || b.Overrides.ClientSecret.Reveal() != "s3cret" || b.Overrides.Tenant != "0a1b2c3d-0000-4000-8000-00000000000a" {
		t.Errorf("Overrides = %+v", b.Overrides)
	}
}

func TestEveryFaultIsNamedAtOnceWithoutItsValue(t *testing.T) {
	const private = "hunter2"
	_, err := settings.Load([]string{
		"KEY_VAULT_URI=http://" + private,
		"BRIDGE_PUBLIC_URL=https://" + private + ".example/path",
		"AZURE_CLOUD=" + private,
		"TEAMS_CLIENT_ID=" + private,
		"TEAMS_TENANT_ID=" + private,
		"PRESENCE_SYNC_SCHEDULE=" + private,
		"UCSERVER_PUSH_URL=http://" + private,
	})
	faults, ok := errors.AsType[*settings.FaultsError](err)
	if !ok {
		t.Fatalf("Load() = %v; want *FaultsError", err)
	}
	for _, name := range []string{"AzureWebJobsStorage", "KEY_VAULT_URI", "BRIDGE_PUBLIC_URL", "AZURE_CLOUD", "TEAMS_CLIENT_ID", "TEAMS_TENANT_ID", "PRESENCE_SYNC_SCHEDULE", "UCSERVER_PUSH_URL"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %q", name, err)
		}
	}
	if len(faults.Faults) != 8 || strings.Contains(err.Error(), private) {
		t.Errorf("faults = %q", faults.Faults)
	}
}

func TestSettingsThatContradictAreFaults(t *testing.T) {
	for _, tt := range []struct{ name, change, want string }{
		{"a connection string beside an identity", "AzureWebJobsStorage__accountName=a", "keep one of the two"},
		{"a resource id without a client id", "AzureWebJobsStorage__managedIdentityResourceId=/subscriptions/x", "AzureWebJobsStorage__clientId"},
		{"the cloud without presence", "AZURE_CLOUD=china", "offers no presence"},
		{"an unresolved Key Vault reference", "TEAMS_CLIENT_SECRET=@Microsoft.KeyVault(SecretUri=https://v/secrets/s)", "was not resolved"},
		{"no schedule", "PRESENCE_SYNC_SCHEDULE=", "PRESENCE_SYNC_SCHEDULE is missing"},
		{"a schedule with seven fields", "PRESENCE_SYNC_SCHEDULE=0 0 0 0 0 0 0", "NCRONTAB"},
		{"no public address", "BRIDGE_PUBLIC_URL=", "BRIDGE_PUBLIC_URL is missing"},
		{"plain http in public", "BRIDGE_PUBLIC_URL=http://bridge.contoso.com", "https://"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := settings.Load(complete(tt.change))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load() = %v; want %q", err, tt.want)
			}
		})
	}
	t.Run("an account name beside endpoints", func(t *testing.T) {
		_, err := settings.Load(complete("AzureWebJobsStorage=", "AzureWebJobsStorage__accountName=a", "AzureWebJobsStorage__blobServiceUri=https://a.example"))
		if err == nil || !strings.Contains(err.Error(), "exclude each other") {
			t.Errorf("Load() = %v", err)
		}
	})
}

func TestStorageByIdentityUsesTheBridgesIdentity(t *testing.T) {
	b, err := settings.Load(complete("AzureWebJobsStorage=", "AzureWebJobsStorage__accountName=ptb", "MANAGED_IDENTITY_CLIENT_ID=0a1b2c3d-0000-4000-8000-000000000001"))
	if err != nil {
		t.Fatal(err)
	}
	if b.Storage.TableEndpoint != "https://ptb.table.core.windows.net" || b.Storage.IdentityClientID != b.ManagedIdentity {
		t.Errorf("Storage = %+v", b.Storage)
	}
}

func TestThePublicAddressFallsBackToThePlatforms(t *testing.T) {
	b, err := settings.Load(complete("BRIDGE_PUBLIC_URL=", "WEBSITE_HOSTNAME=ptb-h4sh.westeurope-01.azurewebsites.net"))
	if err != nil || b.Public.String() != "https://ptb-h4sh.westeurope-01.azurewebsites.net" {
		t.Errorf("Load() = %v, %v", b.Public, err)
	}
}

func TestProbableTypingErrorsAreReported(t *testing.T) {
	b, err := settings.Load(complete("TEAMS_CLIENTID=x", "BRIDGE_PUBLIC_URI=x"))
	if err != nil || len(b.Warnings) != 2 || !strings.Contains(b.Warnings[0], "BRIDGE_PUBLIC_URI") {
		t.Errorf("Warnings = %q, %v", b.Warnings, err)
	}
}

func TestNobodyTakesPartBeforeAnAdministratorSaidSo(t *testing.T) {
	var zero settings.Integration
	if zero.Reads() || zero.Writes() {
		t.Error("the zero settings switch a direction on")
	}
	on := settings.Integration{TeamsToProCall: settings.Everyone, ProCallToTeams: settings.Everyone}
	if !on.Reads() || !on.Writes() {
		t.Error("Everyone does not switch a direction on")
	}
	on.Paused = true
	if on.Reads() || on.Writes() {
		t.Error("a pause does not stop both directions")
	}
}

func TestOverridesWinAndAreNamed(t *testing.T) {
	stored := settings.Integration{Tenant: "a", ClientID: "b", PushURL: "c"}
	got, fixed := stored.Override(settings.Overrides{Tenant: "t", PushURL: "p"})
	if got.Tenant != "t" || got.ClientID != "b" || got.PushURL != "p" || !slices.Equal(fixed, []string{"tenant", "pushUrl"}) {
		t.Errorf("Override() = %+v, %q", got, fixed)
	}
}

func TestIntegrationSettingsOutOfRangeAreNamedTogether(t *testing.T) {
	err := settings.Integration{
		Tenant: "contoso.com", ClientID: "X", Credential: "magic", TeamsToProCall: "some", ProCallToTeams: "some",
		StaleAfter: 5, GraphBudget: 20000, Retention: 1, PushURL: "http://ucserver",
	}.Validate()
	for _, field := range []string{"tenant", "clientId", "credential", "teamsToProCall", "proCallToTeams", "staleAfterSeconds", "graphBudget", "retentionHours", "pushUrl"} {
		if err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
	if err := (settings.Integration{}).Validate(); err != nil {
		t.Errorf("the zero settings are refused: %v", err)
	}
}

func TestWhoIsSignedInIsKnownOnlyWhileReading(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   settings.Integration
		ok   bool
	}{
		{"both directions", settings.Integration{TeamsToProCall: settings.Everyone, ProCallToTeams: settings.Everyone, OnlySignedIn: true}, true},
		{"nothing is read", settings.Integration{ProCallToTeams: settings.Everyone, OnlySignedIn: true}, false},
		{"nothing is read, and nobody is left alone", settings.Integration{ProCallToTeams: settings.Everyone}, true},
		{"nothing is written", settings.Integration{OnlySignedIn: true}, true},
	} {
		if err := tt.in.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestNothingBesideCallsIsWrittenByDefault(t *testing.T) {
	var stored settings.Integration // a row from before the settings existed
	if err := json.Unmarshal([]byte(`{"version":3,"proCallToTeams":"everyone"}`), &stored); err != nil {
		t.Fatal(err)
	}
	if stored.AlsoWrite != (settings.AlsoWrite{}) || stored.OnlySignedIn || !stored.Writes() {
		t.Errorf("= %+v", stored)
	}
}

func TestAPushAddressWithAPasswordIsRefusedForThatReason(t *testing.T) {
	err := settings.ValidatePushURL("https://user:hunter2@ucserver.contoso.com/push")
	if err == nil || !strings.Contains(err.Error(), "a user name or a password in the address is not possible") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("= %v", err)
	}
}

func TestPushAddressesAreHTTPSWithoutCredentials(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://ucserver.contoso.com/push": true, "https://10.0.0.5:8443/push?x=1": true,
		"http://ucserver.contoso.com/push": false, "https://user:pw@ucserver.contoso.com/": false,
		"https://u.example/" + strings.Repeat("x", 2048): false,
		"ucserver.contoso.com":                           false, "https:///push": false, "https://a b/": false, "https://a/#f": false,
	} {
		if err := settings.ValidatePushURL(text); (err == nil) != ok {
			t.Errorf("ValidatePushURL(%q) = %v", text, err)
		}
	}
}

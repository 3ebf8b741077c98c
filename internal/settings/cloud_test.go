package settings_test

import (
	"strings"
	"testing"
	"time"

	"procallteams/internal/settings"
)

func TestOneSettingDecidesTheCloud(t *testing.T) {
	public := settings.Cloud{
		Name: "public", Authority: "https://login.microsoftonline.com", Graph: "https://graph.microsoft.com",
		Exchange: "api://AzureADTokenExchange", Storage: "core.windows.net", Vault: "vault.azure.net",
	}
	usgov := settings.Cloud{
		Name: "usgov", Authority: "https://login.microsoftonline.us", Graph: "https://graph.microsoft.us",
		Exchange: "api://AzureADTokenExchangeUSGov", Storage: "core.usgovcloudapi.net", Vault: "vault.usgovcloudapi.net",
	}
	dod := usgov
	dod.Name, dod.Graph = "usgovdod", "https://dod-graph.microsoft.us"
	for name, want := range map[string]settings.Cloud{
		"": public, "public": public, "AzureCloud": public, "AzurePublicCloud": public, "GCC": public,
		"usgov": usgov, "USGov": usgov, "AzureUSGovernment": usgov, "us-gov": usgov, "GCC High": usgov, "AzureGovernment": usgov,
		"usgovdod": dod, "DoD": dod, "us_gov_dod": dod,
	} {
		b, err := settings.Load(complete("AZURE_CLOUD="+name, "AzureWebJobsStorage=", "AzureWebJobsStorage__accountName=ptb"))
		if err != nil || b.Cloud != want || b.Storage.TableEndpoint != "https://ptb.table."+want.Storage {
			t.Errorf("AZURE_CLOUD=%s: %+v with %s, %v", name, b.Cloud, b.Storage.TableEndpoint, err)
		}
	}
}

func TestTheCloudWithoutPresenceIsRefusedUnderAllItsNames(t *testing.T) {
	for _, name := range []string{"china", "AzureChina", "AzureChinaCloud", "azure-china-cloud", "21Vianet", "mooncake"} {
		if _, err := settings.Load(complete("AZURE_CLOUD=" + name)); err == nil || !strings.Contains(err.Error(), "no presence in the cloud operated by 21Vianet") {
			t.Errorf("AZURE_CLOUD=%s: %v", name, err)
		}
	}
	for _, name := range []string{"germany", "AzureGermanCloud", "x"} {
		if _, err := settings.Load(complete("AZURE_CLOUD=" + name)); err == nil || !strings.Contains(err.Error(), "must be public, usgov") {
			t.Errorf("AZURE_CLOUD=%s: %v", name, err)
		}
	}
}

func TestSettingsOfAnotherCloudAreReported(t *testing.T) {
	for _, row := range []struct {
		changes []string
		want    string
	}{
		{[]string{"AZURE_CLOUD=usgov", "KEY_VAULT_URI=https://ptb.vault.azure.net"}, "KEY_VAULT_URI lies in another cloud"},
		{[]string{"KEY_VAULT_URI=https://ptb.vault.usgovcloudapi.net"}, "KEY_VAULT_URI lies in another cloud"},
		{[]string{"AZURE_CLOUD=usgovdod", "AzureWebJobsStorage=", "AzureWebJobsStorage__accountName=ptb"}, "AzureWebJobsStorage__blobServiceUri"},
		{[]string{"AZURE_CLOUD=usgovdod", "KEY_VAULT_URI=https://ptb.vault.usgovcloudapi.net"}, ""},
		{[]string{"KEY_VAULT_URI=https://ptb.vault.azure.net"}, ""},
	} {
		b, err := settings.Load(complete(row.changes...))
		if got := strings.Join(b.Warnings, "\n"); err != nil || row.want == "" && got != "" || !strings.Contains(got, row.want) {
			t.Errorf("%q: %q, %v; want %q", row.changes, got, err, row.want)
		}
	}
}

func TestTheEndOfAClientSecretIsADate(t *testing.T) {
	want := time.Date(2027, 11, 26, 0, 0, 0, 0, time.UTC)
	for _, text := range []string{"2027-11-26", "2027-11-26T01:00:00+01:00"} {
		b, err := settings.Load(complete("TEAMS_CLIENT_SECRET_EXPIRES=" + text))
		if err != nil || !b.Overrides.ClientSecretEnds.Equal(want) || len(b.Warnings) != 0 {
			t.Errorf("%s: %s, %v, %q", text, b.Overrides.ClientSecretEnds, err, b.Warnings)
		}
	}
	for _, text := range []string{"26.11.2027", "11/26/2027", "2027-13-01", "soon"} {
		if _, err := settings.Load(complete("TEAMS_CLIENT_SECRET_EXPIRES=" + text)); err == nil || !strings.Contains(err.Error(), "TEAMS_CLIENT_SECRET_EXPIRES is not a date") || strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

package settings

import (
	"maps"
	"slices"
	"strings"
)

// Cloud is one Microsoft cloud: where people sign in, where Graph answers, and what
// belongs to it.
type Cloud struct {
	Name      string // public, usgov or usgovdod
	Authority string // without trailing slash: https://login.microsoftonline.com
	Graph     string // resource and root, without trailing slash or version: https://graph.microsoft.com
	// Exchange is the audience of a managed identity's token that stands in for a
	// secret of an app registration.
	Exchange string
	// Storage and Vault are the suffixes of host names.
	Storage, Vault string
}

// clouds lists the national clouds that offer presence (Graph: national cloud
// deployments; Entra: federated identity credentials). 21Vianet has no presence
// API.
var clouds = map[string]Cloud{
	"public": {
		Name: "public", Authority: "https://login.microsoftonline.com", Graph: "https://graph.microsoft.com",
		Exchange: "api://AzureADTokenExchange", Storage: "core.windows.net", Vault: "vault.azure.net",
	},
	"usgov": {
		Name: "usgov", Authority: "https://login.microsoftonline.us", Graph: "https://graph.microsoft.us",
		Exchange: "api://AzureADTokenExchangeUSGov", Storage: "core.usgovcloudapi.net", Vault: "vault.usgovcloudapi.net",
	},
	"usgovdod": {
		Name: "usgovdod", Authority: "https://login.microsoftonline.us", Graph: "https://dod-graph.microsoft.us",
		Exchange: "api://AzureADTokenExchangeUSGov", Storage: "core.usgovcloudapi.net", Vault: "vault.usgovcloudapi.net",
	},
}

// aliases are other names of the clouds, in lower case and without blanks, hyphens
// and underlines: those of the Azure CLI, of the SDKs and of Microsoft 365.
var aliases = map[string]string{
	"": "public", "azure": "public", "azurecloud": "public", "azurepublic": "public", "azurepubliccloud": "public",
	"global": "public", "worldwide": "public", "commercial": "public", "gcc": "public",
	"azureusgovernment": "usgov", "azureusgovernmentcloud": "usgov", "azuregovernment": "usgov", "azuregovernmentcloud": "usgov",
	"usgovernment": "usgov", "usgovcloud": "usgov", "gov": "usgov", "gcchigh": "usgov", "usgovgcchigh": "usgov", "usgovl4": "usgov",
	"dod": "usgovdod", "azuredod": "usgovdod", "usdod": "usgovdod", "usgovernmentdod": "usgovdod", "usgovl5": "usgovdod",
}

// cloud reads AZURE_CLOUD under any of its names, and what is set apart from it.
func (l *loader) cloud() Cloud {
	name := strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(l.env["AZURE_CLOUD"]))
	if canonical, ok := aliases[name]; ok {
		name = canonical
	}
	cloud, ok := clouds[name]
	switch {
	case ok:
	case strings.Contains(name, "china") || strings.Contains(name, "21vianet") || name == "mooncake":
		l.fault("AZURE_CLOUD: Microsoft Graph offers no presence in the cloud operated by 21Vianet, so the bridge can't work there")
	default:
		l.fault("AZURE_CLOUD must be public, usgov (GCC High) or usgovdod")
	}
	if !ok {
		cloud = clouds["public"]
	}
	if u := l.address("ENTRA_AUTHORITY", false); u != nil {
		cloud.Authority = strings.TrimRight(u.String(), "/")
	}
	if u := l.address("GRAPH_ENDPOINT", false); u != nil {
		cloud.Graph = strings.TrimRight(u.String(), "/")
	}
	return cloud
}

// elsewhere returns a sentence for each setting that belongs to another cloud than
// the tenant's. They may be meant: a bridge with a client secret can run in another
// cloud than its tenant.
func (b Bootstrap) elsewhere(env map[string]string) []string {
	var found []string
	if b.KeyVault != nil {
		for _, name := range slices.Sorted(maps.Keys(clouds)) {
			if c := clouds[name]; c.Vault != b.Cloud.Vault && strings.HasSuffix(b.KeyVault.Hostname(), "."+c.Vault) {
				found = append(found, "KEY_VAULT_URI lies in another cloud than AZURE_CLOUD ("+b.Cloud.Name+", where vaults end in "+b.Cloud.Vault+"): a managed identity can't be the tenant's credential then")
				break
			}
		}
	}
	if env["AzureWebJobsStorage__accountName"] != "" && b.Cloud.Name != "public" {
		found = append(found, "AzureWebJobsStorage__accountName is for the public cloud: the bridge adds "+b.Cloud.Storage+", but the Functions host needs AzureWebJobsStorage__blobServiceUri, __queueServiceUri and __tableServiceUri instead")
	}
	return found
}

package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/access"
	"procallteams/internal/storage"
)

const (
	storageAccount = "Microsoft.Storage/storageAccounts"
	keyVault       = "Microsoft.KeyVault/vaults"
	// As the compiler's types write it.
	privateLinkScope = "microsoft.insights/privateLinkScopes"
)

// names are the last parts of the names of a type, sorted.
func names(d deployment, kind string) (found []string) {
	for _, r := range d.of(kind) {
		found = append(found, r.Name[strings.LastIndexByte(r.Name, '/')+1:])
	}
	slices.Sort(found)
	return found
}

func TestEveryTableContainerAndQueueOfTheCodeIsMade(t *testing.T) {
	queues := []string{storage.PresencePushQueue, storage.PresenceSetQueue}
	for _, queue := range triggered(t) {
		if !slices.Contains(queues, queue) {
			queues = append(queues, queue)
		}
	}
	for _, queue := range slices.Clone(queues) {
		queues = append(queues, queue+"-poison")
	}
	slices.Sort(queues)
	for _, d := range deployments(t) {
		got := map[string][]string{
			"queues":     names(d, storageAccount+"/queueServices/queues"),
			"containers": names(d, storageAccount+"/blobServices/containers"),
			"tables":     names(d, storageAccount+"/tableServices/tables"),
		}
		want := map[string][]string{"queues": queues, "containers": {storage.ContainerName, "package"}, "tables": {storage.TableName}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-code +template):\n%s", d.Name, diff)
		}
		for _, container := range d.of(storageAccount + "/blobServices/containers") {
			if container.at("publicAccess") != "None" {
				t.Errorf("%s: container %s is public", d.Name, container.Name)
			}
		}
	}
}

// triggered are the queues that function.json files name.
func triggered(t *testing.T) (queues []string) {
	t.Helper()
	paths, err := filepath.Glob("../functions/*/function.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m struct{ Bindings []struct{ QueueName string } }
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		for _, binding := range m.Bindings {
			if binding.QueueName != "" {
				queues = append(queues, binding.QueueName)
			}
		}
	}
	return queues
}

func TestDataIsReachedByIdentityOnly(t *testing.T) {
	for _, d := range deployments(t) {
		account := d.one(t, storageAccount)
		for path, want := range map[string]any{
			"allowSharedKeyAccess": false, "allowBlobPublicAccess": false, "allowCrossTenantReplication": false,
			"defaultToOAuthAuthentication": true, "supportsHttpsTrafficOnly": true, "minimumTlsVersion": "TLS1_2",
		} {
			if got := account.at(path); got != want {
				t.Errorf("%s: storage %s = %v; want %v", d.Name, path, got, want)
			}
		}
		vault := d.one(t, keyVault)
		for path, want := range map[string]any{
			"enableRbacAuthorization": true, "enableSoftDelete": true, "enablePurgeProtection": true, "softDeleteRetentionInDays": 90.0,
			"enabledForDeployment": false, "enabledForTemplateDeployment": false, "enabledForDiskEncryption": false,
		} {
			if got := vault.at(path); got != want {
				t.Errorf("%s: vault %s = %v; want %v", d.Name, path, got, want)
			}
		}
		if d.one(t, "Microsoft.Insights/components").at("DisableLocalAuth") != true || d.one(t, "Microsoft.OperationalInsights/workspaces").at("features.disableLocalAuth") != true {
			t.Errorf("%s: log lines are taken from anybody who knows a key", d.Name)
		}
		mode := "default"
		if d.Name == "everything" {
			mode = "recover"
		}
		if vault.at("createMode") != mode {
			t.Errorf("%s: vault createMode = %v", d.Name, vault.at("createMode"))
		}
	}
}

// Roles: GUIDs of built-in roles (Azure built-in roles).
const (
	blobOwner        = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
	queueContributor = "974c5e8b-45b9-4653-ba55-5f855dd0fb88"
	tableContributor = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
	secretsOfficer   = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
	metricsPublisher = "3913510d-42f4-4e42-8a64-420c390055eb"
	blobContributor  = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
)

func TestTheIdentityHasTheseRolesAndNoOthers(t *testing.T) {
	for _, d := range deployments(t) {
		account, vault := d.one(t, storageAccount), d.one(t, keyVault)
		want := map[string]string{
			account.ID + " " + blobOwner:                                          "identity",
			account.ID + " " + queueContributor:                                   "identity",
			account.ID + " " + tableContributor:                                   "identity",
			vault.ID + " " + secretsOfficer:                                       "identity",
			d.one(t, "Microsoft.Insights/components").ID + " " + metricsPublisher: "identity",
		}
		if d.Name == "everything" {
			want[account.ID+"/blobServices/default/containers/package "+blobContributor] = "66666666-6666-6666-6666-666666666666 Group"
		}
		got := map[string]string{}
		for _, r := range d.of("Microsoft.Authorization/roleAssignments") {
			scope, _, ok := strings.Cut(r.ID, "/providers/Microsoft.Authorization/")
			role, _ := r.at("roleDefinitionId").(string)
			role, full := strings.CutPrefix(role, "/subscriptions/22222222-2222-2222-2222-222222222222/providers/Microsoft.Authorization/roleDefinitions/")
			who, _ := r.at("principalId").(string)
			if strings.HasPrefix(who, "[") && strings.HasSuffix(who, ".outputs.principalId.value]") && r.at("principalType") == "ServicePrincipal" {
				who = "identity"
			} else {
				who = fmt.Sprint(who, " ", r.at("principalType"))
			}
			if !ok || !full {
				t.Errorf("%s: %s gives %v", d.Name, r.ID, r.at("roleDefinitionId"))
			}
			got[scope+" "+role] = who
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: roles (-want +got):\n%s", d.Name, diff)
		}
	}
}

func TestPrivateMeansPrivate(t *testing.T) {
	for _, d := range deployments(t) {
		private := d.Name == "private" || d.Name == "everything"
		access, action := "Enabled", "Allow"
		if private {
			access, action = "Disabled", "Deny"
		}
		for _, kind := range []string{storageAccount, keyVault} {
			r := d.one(t, kind)
			if r.at("publicNetworkAccess") != access || r.at("networkAcls.defaultAction") != action || r.at("networkAcls.bypass") != "None" {
				t.Errorf("%s: %s: public access %v, others %v", d.Name, kind, r.at("publicNetworkAccess"), r.at("networkAcls"))
			}
		}
		var groups []string
		for _, endpoint := range d.of("Microsoft.Network/privateEndpoints") {
			connections, _ := endpoint.at("privateLinkServiceConnections").([]any)
			group, _ := connections[0].(map[string]any)["properties"].(map[string]any)
			groups = append(groups, texts(group["groupIds"])...)
			if subnet, _ := endpoint.at("subnet.id").(string); subnet == "" {
				t.Errorf("%s: %s stands in no subnet", d.Name, endpoint.Name)
			}
		}
		var want []string
		if private {
			want = []string{"blob", "queue", "table", "vault"}
		}
		if d.Name == "private" {
			want = append([]string{"azuremonitor"}, want...)
		}
		slices.Sort(groups)
		if !slices.Equal(groups, want) {
			t.Errorf("%s: private endpoints for %v; want %v", d.Name, groups, want)
		}
		zones := len(want)
		if d.Name == "everything" {
			zones = 0 // names are the hub's
		}
		for _, kind := range []string{"privateDnsZones", "privateDnsZones/virtualNetworkLinks", "privateEndpoints/privateDnsZoneGroups"} {
			if got := len(d.of("Microsoft.Network/" + kind)); got != zones {
				t.Errorf("%s: %d of %s; want %d", d.Name, got, kind, zones)
			}
		}
	}
}

// Log lines: the private set takes them by a scope of its own, and what shares a hub's scope
// joins that. Queries stay open, since the portal and the alerts stand outside.
func TestLogLinesComeInByTheNetworkWhereThatIsAsked(t *testing.T) {
	for _, d := range deployments(t) {
		ingestion := "Enabled"
		if d.Name == "private" || d.Name == "everything" {
			ingestion = "Disabled"
		}
		for _, kind := range []string{"Microsoft.Insights/components", "Microsoft.OperationalInsights/workspaces"} {
			r := d.one(t, kind)
			if r.at("publicNetworkAccessForIngestion") != ingestion || r.at("publicNetworkAccessForQuery") != "Enabled" {
				t.Errorf("%s: %s takes %v, answers %v", d.Name, kind, r.at("publicNetworkAccessForIngestion"), r.at("publicNetworkAccessForQuery"))
			}
		}
		scopes, members := d.of(privateLinkScope), d.of("Microsoft.Insights/privateLinkScopes/scopedResources")
		if d.Name != "private" {
			if len(scopes)+len(members) != 0 {
				t.Errorf("%s: makes the scopes %v", d.Name, scopes)
			}
			continue
		}
		if len(scopes) != 1 || len(members) != 2 || scopes[0].at("accessModeSettings.ingestionAccessMode") != "Open" || scopes[0].at("accessModeSettings.queryAccessMode") != "Open" {
			t.Errorf("scopes %v with %v", scopes, members)
		}
		for i, want := range []string{".outputs.insightsId.value]", ".outputs.workspaceId.value]"} {
			if linked, _ := members[i].at("linkedResourceId").(string); !strings.HasSuffix(linked, want) {
				t.Errorf("member %d of the scope is %q; want %s", i, linked, want)
			}
		}
		if zones := names(d, "Microsoft.Network/privateDnsZones"); !slices.Contains(zones, "privatelink.monitor.azure.com") {
			t.Errorf("no name leads to the scope: zones %v", zones)
		}
	}
}

func TestTheAppLivesInTheNetworkThatItIsGiven(t *testing.T) {
	for _, d := range deployments(t) {
		subnet, _ := d.one(t, "Microsoft.Web/sites").at("virtualNetworkSubnetId").(string)
		switch d.Name {
		case "private":
			network := d.one(t, "Microsoft.Network/virtualNetworks")
			subnets, _ := network.at("subnets").([]any)
			app, _ := subnets[0].(map[string]any)
			text, _ := json.Marshal(app)
			for _, want := range []string{`"serviceName":"Microsoft.App/environments"`, `"addressPrefix":"10.80.0.0/26"`, "/natGateways/ng-"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("the app's subnet lacks %s: %s", want, text)
				}
			}
			if !strings.HasSuffix(subnet, ".outputs.appSubnetId.value]") {
				t.Errorf("the app lives in %q", subnet)
			}
		case "everything":
			if !strings.HasSuffix(subnet, "/virtualNetworks/spoke/subnets/bridge") || len(d.of("Microsoft.Network/virtualNetworks")) != 0 {
				t.Errorf("the app lives in %q, not in the network that is there", subnet)
			}
		default:
			if subnet != "" {
				t.Errorf("%s lives in %q", d.Name, subnet)
			}
		}
	}
}

func TestWhoAskedForASecretIsWrittenDown(t *testing.T) {
	for _, d := range deployments(t) {
		var audited []string
		for _, setting := range d.of("Microsoft.Insights/diagnosticSettings") {
			target, _, _ := strings.Cut(setting.ID, "/providers/Microsoft.Insights/")
			audited = append(audited, target[strings.LastIndex(target, "Microsoft."):])
			if workspace, _ := setting.at("workspaceId").(string); !strings.HasSuffix(workspace, ".outputs.workspaceId.value]") {
				t.Errorf("%s: %s tells %q", d.Name, setting.ID, workspace)
			}
		}
		want := 1
		if d.Name == "private" || d.Name == "everything" {
			want = 4
		}
		if len(audited) != want || !slices.Contains(audited, "Microsoft.KeyVault/vaults/"+d.one(t, keyVault).Name) {
			t.Errorf("%s: told of are %v", d.Name, audited)
		}
	}
}

func TestTheSetUpCodeLiesWhereTheOutputSays(t *testing.T) {
	for _, d := range deployments(t) {
		code := fmt.Sprint(d.Outputs["setupCode"])
		if !strings.Contains(code, "'secret', '"+access.SetupCodeName+"'") || !strings.Contains(code, "{0}/secrets/"+access.SetupCodeName) {
			t.Errorf("%s: setupCode = %s", d.Name, code)
		}
	}
}

// The federated credential is compared by Entra letter by letter (Entra: workload
// identity federation).
func TestTheFederatedCredentialIsTheIdentitys(t *testing.T) {
	for _, d := range deployments(t) {
		audience := "api://AzureADTokenExchange"
		if d.Name == "government" {
			audience += "USGov"
		}
		got := fmt.Sprint(d.Outputs["federatedCredential"])
		for _, want := range []string{
			"'issuer', format('{0}{1}/v2.0', environment().authentication.loginEndpoint, ", ".outputs.tenantId.value)",
			"'subject', reference(", ".outputs.principalId.value", "'audiences', createArray('" + audience + "')",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %s: %s", d.Name, want, got)
			}
		}
	}
}

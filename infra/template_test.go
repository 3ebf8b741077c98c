package infra_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Findings of the linter, warnings too, are what deployments fails with.
func TestTemplatesAreFormatted(t *testing.T) {
	run := compiler(t)
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	for _, extension := range []string{"bicep", "bicepparam"} {
		if out, findings := run("format", "--pattern", copied+"/**/*."+extension); out+findings != "" {
			t.Fatalf("bicep format: %s%s", out, findings)
		}
	}
	formatted, files := os.DirFS(copied), 0
	err := fs.WalkDir(formatted, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, ".bicep") {
			return err
		}
		files++
		want, err := fs.ReadFile(formatted, path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: run bicep format (-formatted +file):\n%s", path, diff)
		}
		return nil
	})
	if err != nil || files < 15 {
		t.Errorf("%d files, %v", files, err)
	}
}

// The compiler ignores a rule or level of bicepconfig.json that it does not know, so each
// rule there has to find the fault that testdata/bad.bicep made for it.
func TestEveryRuleOfTheLinterStopsABadTemplate(t *testing.T) {
	run := compiler(t)
	var config struct {
		Analyzers struct {
			Core struct {
				Rules map[string]struct{ Level string }
			}
		}
	}
	text, err := os.ReadFile("bicepconfig.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	out, findings := run("lint", "testdata/bad.bicep", "--no-restore")
	if len(config.Analyzers.Core.Rules) < 20 {
		t.Errorf("only %d rules", len(config.Analyzers.Core.Rules))
	}
	for rule := range config.Analyzers.Core.Rules {
		if !strings.Contains(out+findings, "Error "+rule+":") {
			t.Errorf("rule %s finds nothing in testdata/bad.bicep", rule)
		}
	}
}

// allowed are the resource types, each with the one version that the Azure Verified
// Modules use too: a version that the compiler knows need not be in every region.
var allowed = map[string]string{
	"Microsoft.Authorization/roleAssignments":                   "2022-04-01",
	"Microsoft.Insights/actionGroups":                           "2023-01-01",
	"Microsoft.Insights/components":                             "2020-02-02",
	"Microsoft.Insights/diagnosticSettings":                     "2021-05-01-preview",
	"Microsoft.Insights/privateLinkScopes/scopedResources":      "2021-07-01-preview",
	"Microsoft.Insights/scheduledQueryRules":                    "2023-12-01",
	"Microsoft.Insights/workbooks":                              "2023-06-01",
	"Microsoft.KeyVault/vaults":                                 "2025-05-01",
	"Microsoft.ManagedIdentity/userAssignedIdentities":          "2024-11-30",
	"Microsoft.Network/natGateways":                             "2025-05-01",
	"Microsoft.Network/privateDnsZones":                         "2024-06-01",
	"Microsoft.Network/privateDnsZones/virtualNetworkLinks":     "2024-06-01",
	"Microsoft.Network/privateEndpoints":                        "2025-05-01",
	"Microsoft.Network/privateEndpoints/privateDnsZoneGroups":   "2025-05-01",
	"Microsoft.Network/publicIPAddresses":                       "2025-05-01",
	"Microsoft.Network/virtualNetworks":                         "2025-05-01",
	"Microsoft.OperationalInsights/workspaces":                  "2025-07-01",
	"Microsoft.Storage/storageAccounts":                         "2025-06-01",
	"Microsoft.Storage/storageAccounts/blobServices":            "2025-06-01",
	"Microsoft.Storage/storageAccounts/blobServices/containers": "2025-06-01",
	"Microsoft.Storage/storageAccounts/queueServices":           "2025-06-01",
	"Microsoft.Storage/storageAccounts/queueServices/queues":    "2025-06-01",
	"Microsoft.Storage/storageAccounts/tableServices":           "2025-06-01",
	"Microsoft.Storage/storageAccounts/tableServices/tables":    "2025-06-01",
	"Microsoft.Web/serverfarms":                                 "2025-03-01",
	"Microsoft.Web/sites":                                       "2025-03-01",
	"Microsoft.Web/sites/basicPublishingCredentialsPolicies":    "2025-03-01",
	privateLinkScope: "2021-07-01-preview",
}

// tagless can't carry tags: they are parts of something that does.
var tagless = regexp.MustCompile(`/(roleAssignments|diagnosticSettings|privateDnsZoneGroups|basicPublishingCredentialsPolicies|scopedResources|blobServices|queueServices|tableServices|containers|queues|tables)$`)

func TestEveryResourceIsOfAKnownTypeTaggedAndThereOnce(t *testing.T) {
	for _, d := range deployments(t) {
		seen := map[string]bool{}
		for _, r := range d.Resources {
			if want := allowed[r.Type]; r.APIVersion != want {
				t.Errorf("%s: %s has version %s; want %q", d.Name, r.Type, r.APIVersion, want)
			}
			if seen[strings.ToLower(r.ID)] {
				t.Errorf("%s: two resources %s", d.Name, r.ID)
			}
			seen[strings.ToLower(r.ID)] = true
			if !tagless.MatchString(r.Type) && r.Tags["application"] != "procall-teams-bridge" {
				t.Errorf("%s: %s has tags %v", d.Name, r.ID, r.Tags)
			}
			if d.Name == "everything" && !tagless.MatchString(r.Type) && r.Tags["owner"] != "telephony" {
				t.Errorf("%s lacks the tag that was asked for", r.ID)
			}
		}
	}
}

func TestNamesFitWhatAzureAllows(t *testing.T) {
	forms := map[string]*regexp.Regexp{
		"Microsoft.Storage/storageAccounts": regexp.MustCompile(`^[a-z0-9]{3,24}$`),
		// Letters, digits and single hyphens; the compiler knows nothing of it.
		"Microsoft.KeyVault/vaults": regexp.MustCompile(`^[a-z](-?[a-z0-9]){2,23}$`),
		// Beyond 32 characters two apps may get one host id.
		"Microsoft.Web/sites": regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}[a-z0-9]$`),
	}
	for _, d := range deployments(t) {
		for kind, form := range forms {
			if name := d.one(t, kind).Name; !form.MatchString(name) || kind == "Microsoft.KeyVault/vaults" && len(name) > 24 {
				t.Errorf("%s: %s is named %q", d.Name, kind, name)
			}
		}
		if short, _ := d.one(t, "Microsoft.Insights/actionGroups").at("groupShortName").(string); len(short) == 0 || len(short) > 12 {
			t.Errorf("%s: groupShortName %q", d.Name, short)
		}
	}
}

// Two bridges may stand in one resource group: a name cut short to what a vault allows must
// not make them one. Private DNS zones are the network's, and may be shared.
func TestTwoBridgesOfOneGroupShareNothing(t *testing.T) {
	ids := map[string]bool{}
	for _, d := range deployments(t) {
		if d.Name == "private" {
			for _, r := range d.Resources {
				ids[strings.ToLower(r.ID)] = true
			}
		}
	}
	for _, d := range deployments(t) {
		for _, r := range d.Resources {
			if d.Name == "everything" && ids[strings.ToLower(r.ID)] && r.Type != "Microsoft.Network/privateDnsZones" {
				t.Errorf("procall and procall-bridge-two share %s", r.ID)
			}
		}
	}
}

func TestNothingSecretGoesInOrOut(t *testing.T) {
	arm := built(t)
	const limit = 1 << 20 // of Resource Manager, after expansion 4 MB
	if len(arm) > limit {
		t.Errorf("the template has %d bytes; Resource Manager takes %d", len(arm), limit)
	}
	t.Logf("ARM template: %d KiB", len(arm)>>10)
	for _, word := range []string{"listkeys", "listaccountsas", "listservicesas", "listsecrets", "accountkey", "sharedaccesskey", "securestring", "secureobject", "getsecret"} {
		if strings.Contains(strings.ToLower(arm), word) {
			t.Errorf("the template speaks of %s", word)
		}
	}
	var template struct{ Parameters, Outputs map[string]any }
	if err := json.Unmarshal([]byte(arm), &template); err != nil {
		t.Fatal(err)
	}
	for name := range template.Parameters {
		if regexp.MustCompile(`(?i)secret|password|key|token`).MatchString(name) {
			t.Errorf("parameter %s", name)
		}
	}
	names := slices.Sorted(maps.Keys(template.Outputs))
	want := []string{"consoleUrl", "federatedCredential", "functionApp", "hostName", "identity", "logs", "outboundAddress", "package", "publicUrl", "redirectUris", "setupCode"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	for _, d := range deployments(t) {
		if leak := regexp.MustCompile(`(?i)"[^"]*(AccountKey=|SharedAccessSignature|TEAMS_CLIENT_SECRET)[^"]*"`).FindString(d.text); leak != "" {
			t.Errorf("%s: %s", d.Name, leak)
		}
	}
}

// choice is a case of testdata/refusal.bicep.
type choice struct {
	Azure          string `json:"azure"`
	Cloud          string `json:"cloud"`
	Plan           string `json:"plan"`
	LogIngestion   string `json:"logIngestion"`
	EndpointSubnet bool   `json:"endpointSubnet"`
}

func TestWhatCantBeMadeIsSaidInASentence(t *testing.T) {
	tests := []struct {
		choice
		comesTo, refusal string // cloud and plan; a part of the sentence
	}{
		{choice{"AzureCloud", "auto", "auto", "public", false}, "public flex", ""},
		{choice{"AzureCloud", "public", "premium", "joined", false}, "public premium", ""},
		{choice{"AzureUSGovernment", "auto", "auto", "public", false}, "usgov premium", ""},
		{choice{"AzureUSGovernment", "usgovdod", "auto", "private", true}, "usgovdod premium", ""},
		{choice{"AzureUSGovernment", "public", "flex", "public", false}, "public flex", "is in Azure Government and the parameter cloud says public"},
		{choice{"AzureCloud", "usgovdod", "auto", "public", false}, "usgovdod premium", "is in the public Azure and the parameter cloud says usgovdod"},
		{choice{"AzureUSGovernment", "auto", "flex", "public", false}, "usgov flex", "set the parameter plan to auto or premium"},
		{choice{"AzureChinaCloud", "auto", "auto", "public", false}, "public flex", "is in AzureChinaCloud: Microsoft Graph has no presence there"},
		{choice{"AzureCloud", "auto", "auto", "private", false}, "public flex", "names no subnet for private endpoints"},
	}
	var choices []choice
	for _, test := range tests {
		choices = append(choices, test.choice)
	}
	text, err := json.Marshal(choices)
	if err != nil {
		t.Fatal(err)
	}
	d, findings := snapshot(t, "../testdata/refusal.bicep", "param choices = json('"+string(text)+"')")
	if findings != "" {
		t.Fatal(findings)
	}
	clouds, refusals := texts(d.Outputs["clouds"]), texts(d.Outputs["refusals"])
	for i, test := range tests {
		if clouds[i] != test.comesTo || (refusals[i] == "") != (test.refusal == "") || !strings.Contains(refusals[i], test.refusal) {
			t.Errorf("%+v: comes to %s, refusal %q; want %s, %q", test.choice, clouds[i], refusals[i], test.comesTo, test.refusal)
		}
	}
}

// The identity waits for nothing: what stands in its place is evaluated when a deployment is
// looked at, before anything is made.
func TestARefusalComesBeforeAnythingIsMade(t *testing.T) {
	var template struct {
		Variables map[string]any
		Resources map[string]struct {
			DependsOn  []string
			Properties struct {
				Parameters struct{ Location struct{ Value string } }
			}
		}
		Parameters map[string]struct{ DefaultValue any }
	}
	if err := json.Unmarshal([]byte(built(t)), &template); err != nil {
		t.Fatal(err)
	}
	first := template.Resources["identity"]
	if place := first.Properties.Parameters.Location.Value; len(first.DependsOn) != 0 || place != "[variables('firstLocation')]" {
		t.Errorf("the identity stands at %q and waits for %v", place, first.DependsOn)
	}
	if text, _ := template.Variables["firstLocation"].(string); !strings.Contains(text, "fail(variables('fault'))") {
		t.Errorf("firstLocation = %v", template.Variables["firstLocation"])
	}
	if text, _ := template.Variables["fault"].(string); !strings.Contains(text, "refusal(environment().name, variables('tenantCloud'), variables('hosting'), parameters('logIngestion'),") {
		t.Errorf("fault = %v", template.Variables["fault"])
	}
	if text, _ := template.Variables["tenantCloud"].(string); !strings.Contains(text, "cloudOf(environment().name, parameters('cloud'))") {
		t.Errorf("tenantCloud = %v", template.Variables["tenantCloud"])
	}
	// The portal's form shows defaults as they are written: an expression is no choice there.
	for name, want := range map[string]any{"cloud": "auto", "plan": "auto"} {
		if got := template.Parameters[name].DefaultValue; got != want {
			t.Errorf("%s is %v when it is left out; want %v", name, got, want)
		}
	}
}

// One instance stands in one zone, whatever the plan is said to be.
func TestPremiumInSeveralZonesHasTwoInstances(t *testing.T) {
	d, findings := snapshot(t, "../main.bicep", "param cloud = 'public'\nparam plan = 'premium'\nparam zoneRedundant = true")
	if findings != "" {
		t.Fatal(findings)
	}
	plan, site := d.one(t, "Microsoft.Web/serverfarms"), d.one(t, "Microsoft.Web/sites")
	if plan.at("zoneRedundant") != true || plan.SKU["capacity"] != 2.0 || site.at("siteConfig.minimumElasticInstanceCount") != 2.0 {
		t.Errorf("plan %v %v, app %v", plan.SKU, plan.Properties, site.at("siteConfig.minimumElasticInstanceCount"))
	}
}

// snapshot evaluates parameters that no set has, of a template named as from parameters/.
func snapshot(t *testing.T, template, parameters string) (d deployment, findings string) {
	t.Helper()
	run := compiler(t)
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	file := folder + "/parameters/special.bicepparam"
	if err := os.WriteFile(file, []byte("using '"+template+"'\n"+parameters+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, findings = run("snapshot", file, "--resource-group", "g", "--location", "usgovvirginia",
		"--tenant-id", "11111111-1111-1111-1111-111111111111", "--subscription-id", "22222222-2222-2222-2222-222222222222")
	text, err := os.ReadFile(folder + "/parameters/special.snapshot.json")
	if err != nil {
		return d, findings
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d, findings
}

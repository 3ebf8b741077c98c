package infra_test

import (
	"encoding/json"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/consent"
	"procallteams/internal/settings"
)

const clientID = "77777777-7777-7777-7777-777777777777"

// outputs are what a deployment would put in the place of a module's output.
var outputs = map[string]string{
	"clientId.value":            clientID,
	"connectionString.value":    "InstrumentationKey=0;IngestionEndpoint=https://westeurope-1.in.applicationinsights.azure.com/",
	"uri.value":                 "https://kv-procall.vault.azure.net/",
	"endpoints.value.blob":      "https://st.blob.core.windows.net/",
	"endpoints.value.queue":     "https://st.queue.core.windows.net/",
	"endpoints.value.table":     "https://st.table.core.windows.net/",
	"packageContainerUrl.value": "https://st.blob.core.windows.net/package",
}

var output = regexp.MustCompile(`outputs\.([A-Za-z.]+)`)

// fill evaluates the expressions that a snapshot leaves: an output, alone or as the one
// argument of format.
func fill(t *testing.T, d deployment, value string) string {
	t.Helper()
	if !strings.HasPrefix(value, "[") {
		return value
	}
	match := output.FindStringSubmatch(value)
	if match == nil || outputs[match[1]] == "" {
		t.Fatalf("no value for %s", value)
	}
	known := outputs[match[1]]
	if d.Name == "government" {
		known = strings.NewReplacer("azure.net", "usgovcloudapi.net", "core.windows.net", "core.usgovcloudapi.net").Replace(known)
	}
	if layout, ok := strings.CutPrefix(value, "[format('"); ok {
		layout, _, _ = strings.Cut(layout, "'")
		return strings.ReplaceAll(layout, "{0}", known)
	}
	return known
}

// appSettings are those of the site, by name.
func appSettings(t *testing.T, d deployment) map[string]string {
	t.Helper()
	set := map[string]string{}
	list, _ := d.one(t, "Microsoft.Web/sites").at("siteConfig.appSettings").([]any)
	for _, item := range list {
		entry, _ := item.(map[string]any)
		name, _ := entry["name"].(string)
		value, ok := entry["value"].(string)
		if !ok || value == "" || set[name] != "" {
			t.Errorf("%s: setting %s is empty or there twice", d.Name, name)
		}
		set[name] = fill(t, d, value)
	}
	return set
}

func TestTheHandlerStartsWithTheTemplatesSettings(t *testing.T) {
	for _, d := range deployments(t) {
		set := appSettings(t, d)
		if set["AzureWebJobsDisableHomepage"] != "true" || d.Outputs["consoleUrl"] != d.Outputs["publicUrl"].(string)+"/api/console" {
			t.Errorf("%s: home page disabled %q, console at %v", d.Name, set["AzureWebJobsDisableHomepage"], d.Outputs["consoleUrl"])
		}
		environ := []string{"WEBSITE_HOSTNAME=" + d.one(t, "Microsoft.Web/sites").Name + ".azurewebsites.net"}
		for name, value := range set {
			environ = append(environ, name+"="+value)
		}
		b, err := settings.Load(environ)
		if err != nil || len(b.Warnings) != 0 {
			t.Errorf("%s: %v, warnings %q", d.Name, err, b.Warnings)
			continue
		}
		if b.ManagedIdentity != clientID || b.Storage.IdentityClientID != clientID {
			t.Errorf("%s: identity %q, for storage %q; want %s", d.Name, b.ManagedIdentity, b.Storage.IdentityClientID, clientID)
		}
		table := "https://" + d.one(t, storageAccount).Name + ".table.core.windows.net"
		if d.Name == "government" {
			table = "https://st.table.core.usgovcloudapi.net/"
		}
		if b.Storage.ConnectionString.Reveal() != "" || b.Storage.TableEndpoint != table {
			t.Errorf("%s: tables are at %q, by key: %t; want %s, by identity", d.Name, b.Storage.TableEndpoint, b.Storage.ConnectionString.Reveal() != "", table)
		}
		if d.Name == "government" != (b.Cloud.Name == "usgov") || b.Public.String() != d.Outputs["publicUrl"] {
			t.Errorf("%s: cloud %s, public %s; want %v", d.Name, b.Cloud.Name, b.Public, d.Outputs["publicUrl"])
		}
	}
}

// forbidden on Flex Consumption: ignored, refused, or harmful (Azure Functions: Flex
// Consumption plan deprecations). FUNCTIONS_EXTENSION_VERSION: see decision 0009.
var forbidden = []string{
	"AzureWebJobsStorage", "AzureWebJobsStorage__managedIdentityResourceId", "ENABLE_ORYX_BUILD", "FUNCTIONS_EXTENSION_VERSION",
	"FUNCTIONS_MAX_HTTP_CONCURRENCY", "FUNCTIONS_WORKER_PROCESS_COUNT", "FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_WORKER_RUNTIME_VERSION",
	"SCM_DO_BUILD_DURING_DEPLOYMENT", "TZ", "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING", "WEBSITE_CONTENTOVERVNET", "WEBSITE_CONTENTSHARE",
	"WEBSITE_DNS_SERVER", "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT", "WEBSITE_MOUNT_ENABLED", "WEBSITE_RUN_FROM_PACKAGE",
	"WEBSITE_SKIP_CONTENTSHARE_VALIDATION", "WEBSITE_TIME_ZONE", "WEBSITE_VNET_ROUTE_ALL",
}

func TestSettingsThatHarmAreAbsent(t *testing.T) {
	onPremium := []string{"FUNCTIONS_EXTENSION_VERSION", "FUNCTIONS_WORKER_RUNTIME", "WEBSITE_RUN_FROM_PACKAGE"}
	for _, d := range deployments(t) {
		for name := range appSettings(t, d) {
			if slices.Contains(forbidden, name) && !(isPremium(d) && slices.Contains(onPremium, name)) {
				t.Errorf("%s sets %s", d.Name, name)
			}
		}
		if set := appSettings(t, d); set["AzureWebJobsStorage__credential"] != "managedidentity" || set["AzureWebJobsStorage__clientId"] != clientID {
			t.Errorf("%s: without both, the host never starts: credential %q, clientId %q", d.Name, set["AzureWebJobsStorage__credential"], set["AzureWebJobsStorage__clientId"])
		}
	}
}

// byHost are settings that the Functions host or the platform reads, not the handler.
var byHost = []string{
	"APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "APPLICATIONINSIGHTS_CONNECTION_STRING",
	"AzureFunctionsJobHost__logging__logLevel__Host.Results", "AzureWebJobsDisableHomepage", "AzureWebJobsStorage__credential",
	"FUNCTIONS_EXTENSION_VERSION", "FUNCTIONS_WORKER_RUNTIME", "WEBSITE_RUN_FROM_PACKAGE", "WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID",
}

// leftOut are settings that the handler reads and the template never sets, and why.
var leftOut = map[string]string{
	"AzureWebJobsStorage":                            "access is by identity, not by a connection string",
	"AzureWebJobsStorage__managedIdentityResourceId": "has no effect for the host's storage",
	"ALL_PROXY":                   "the Functions host would use it for its calls to the handler",
	"ENTRA_AUTHORITY":             "follows from AZURE_CLOUD",
	"FUNCTIONS_APP_ROOT_PATH":     "set by the host",
	"GRAPH_ENDPOINT":              "follows from AZURE_CLOUD",
	"HTTPS_PROXY":                 "OUTBOUND_PROXY says the same and touches nothing else",
	"HTTP_PROXY":                  "the Functions host would use it for its calls to the handler",
	"OUTBOUND_CA_FILE":            "a file would have to be in the package; OUTBOUND_CA holds the certificates themselves",
	"NO_PROXY":                    "OUTBOUND_PROXY_BYPASS says the same and touches nothing else",
	"TEAMS_CLIENT_SECRET":         "a secret: entered on the console, kept in the vault",
	"TEAMS_CLIENT_SECRET_EXPIRES": "belongs to TEAMS_CLIENT_SECRET",
	"WEBSITE_HOSTNAME":            "set by the platform",
}

func TestTheTemplateSetsWhatTheHandlerReadsAndNothingElse(t *testing.T) {
	read := settingsInCode(t)
	set := map[string]bool{}
	for _, d := range deployments(t) {
		for name := range appSettings(t, d) {
			set[name] = true
			if !slices.Contains(byHost, name) && !read[name] {
				t.Errorf("%s sets %s, which nothing reads", d.Name, name)
			}
		}
	}
	for name := range leftOut {
		if !read[name] || set[name] {
			t.Errorf("leftOut speaks of %s, which nothing reads or the template sets", name)
		}
	}
	for name := range read {
		if !set[name] && leftOut[name] == "" {
			t.Errorf("the handler reads %s: the template neither sets it, nor does leftOut say why not", name)
		}
	}
}

var settingName = regexp.MustCompile(`^(AzureWebJobsStorage(__[A-Za-z]+)?|[A-Z][A-Z0-9]*(_[A-Z0-9]+)+)$`)

// settingsInCode are the constant strings of package settings that have the form of a
// setting's name, concatenations included: the code itself, so that no list is forgotten.
func settingsInCode(t *testing.T) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob("../internal/settings/*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	// Imports are not resolved: constants need none.
	(&types.Config{Error: func(error) {}}).Check("settings", files, parsed, &info)
	names := map[string]bool{}
	for _, value := range info.Types {
		if value.Value == nil || value.Value.Kind() != constant.String {
			continue
		}
		if name := constant.StringVal(value.Value); settingName.MatchString(name) {
			names[name] = true
		}
	}
	for _, name := range []string{"KEY_VAULT_URI", "AzureWebJobsStorage__clientId", "BRIDGE_PUBLIC_URL"} {
		if !names[name] {
			t.Fatalf("%s is not found in package settings: found %v", name, slices.Sorted(maps.Keys(names)))
		}
	}
	return names
}

func isPremium(d deployment) bool { return d.Name == "premium" || d.Name == "government" }

func TestTheAppRunsAsACustomHandlerWithOneIdentityEverywhere(t *testing.T) {
	for _, d := range deployments(t) {
		site := d.one(t, "Microsoft.Web/sites")
		identity := d.one(t, "Microsoft.ManagedIdentity/userAssignedIdentities").ID
		worn := slices.Collect(maps.Keys(site.Identity.Users))
		if site.Identity.Type != "UserAssigned" || !slices.Equal(worn, []string{identity}) || site.at("keyVaultReferenceIdentity") != identity {
			t.Errorf("%s wears %s %v; want %s", d.Name, site.Identity.Type, worn, identity)
		}
		if site.Kind != "functionapp,linux" || site.at("httpsOnly") != true || site.at("siteConfig.minTlsVersion") != "1.2" || site.at("publicNetworkAccess") != "Enabled" {
			t.Errorf("%s: kind %s, properties %v", d.Name, site.Kind, site.Properties)
		}
		plan := d.one(t, "Microsoft.Web/serverfarms")
		if isPremium(d) {
			wantPremium(t, d, site, plan, identity)
			continue
		}
		if plan.SKU["name"] != "FC1" || plan.SKU["tier"] != "FlexConsumption" || plan.Kind != "functionapp" || plan.at("reserved") != true {
			t.Errorf("%s: plan %s %v", d.Name, plan.Kind, plan.SKU)
		}
		if site.at("functionAppConfig.runtime.name") != "custom" || site.at("functionAppConfig.runtime.version") != "1.0" {
			t.Errorf("%s: runtime %v", d.Name, site.at("functionAppConfig.runtime"))
		}
		// Resource Manager refuses others there (error 51021): linuxFxVersion, ftpsState,
		// preWarmedInstanceCount, functionsRuntimeScaleMonitoringEnabled ...
		config, _ := site.at("siteConfig").(map[string]any)
		accepted := []string{"appSettings", "ipSecurityRestrictions", "ipSecurityRestrictionsDefaultAction", "minTlsVersion", "scmIpSecurityRestrictionsUseMain"}
		if diff := cmp.Diff(accepted, slices.Sorted(maps.Keys(config))); diff != "" {
			t.Errorf("%s: siteConfig (-accepted +got):\n%s", d.Name, diff)
		}
		storage, _ := site.at("functionAppConfig.deployment.storage").(map[string]any)
		want := map[string]any{
			"type": "blobContainer", "value": storage["value"],
			"authentication": map[string]any{"type": "UserAssignedIdentity", "userAssignedIdentityResourceId": identity},
		}
		if diff := cmp.Diff(want, storage); diff != "" {
			t.Errorf("%s: deployment (-want +got):\n%s", d.Name, diff)
		}
		if value, _ := storage["value"].(string); fill(t, d, value) != outputs["packageContainerUrl.value"] {
			t.Errorf("%s: the package comes from %s", d.Name, value)
		}
	}
}

func wantPremium(t *testing.T, d deployment, site, plan resource, identity string) {
	t.Helper()
	set := appSettings(t, d)
	if plan.SKU["name"] != "EP1" || plan.SKU["tier"] != "ElasticPremium" || plan.SKU["capacity"] != 1.0 || site.at("siteConfig.minimumElasticInstanceCount") != 1.0 || plan.Kind != "elastic" || plan.at("reserved") != true {
		t.Errorf("%s: plan %s %v", d.Name, plan.Kind, plan.SKU)
	}
	if site.at("functionAppConfig") != nil || site.at("siteConfig.linuxFxVersion") != "" || site.at("siteConfig.ftpsState") != "Disabled" {
		t.Errorf("%s: %v", d.Name, site.Properties)
	}
	if set["FUNCTIONS_EXTENSION_VERSION"] != "~4" || set["FUNCTIONS_WORKER_RUNTIME"] != "custom" ||
		!strings.HasSuffix(set["WEBSITE_RUN_FROM_PACKAGE"], "/package/bridge.zip") || set["WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID"] != identity {
		t.Errorf("%s: settings %v", d.Name, set)
	}
	closed := d.of("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
	if len(closed) != 2 || closed[0].at("allow") != false || closed[1].at("allow") != false {
		t.Errorf("%s: passwords for publishing are not off: %v", d.Name, closed)
	}
}

// A misspelt group would be billed and wake nobody; the platform does not say so.
func TestAlwaysReadyGroupsAreFunctionsThatExist(t *testing.T) {
	// What works for UCServer within seconds does not sleep in the standard set.
	seconds := []string{"http", "function:presencesync", "function:presencepush", "function:presenceset"}
	for _, d := range deployments(t) {
		var names []string
		groups, _ := d.one(t, "Microsoft.Web/sites").at("functionAppConfig.scaleAndConcurrency.alwaysReady").([]any)
		for _, group := range groups {
			name, _ := group.(map[string]any)["name"].(string)
			names = append(names, name)
			function, ok := strings.CutPrefix(name, "function:")
			if trigger := triggerOf(t, function); ok && trigger != "timerTrigger" && trigger != "queueTrigger" {
				t.Errorf("%s: %s has a %q; HTTP functions share the group http", d.Name, name, trigger)
			}
		}
		if (d.Name == "standard" || d.Name == "private") && !slices.Equal(names, seconds) {
			t.Errorf("%s: always ready are %v; want %v", d.Name, names, seconds)
		}
		if d.Name == "small" && len(names) != 0 {
			t.Errorf("small pays for %v around the clock", names)
		}
		if !isPremium(d) {
			if n, _ := d.one(t, "Microsoft.Web/sites").at("functionAppConfig.scaleAndConcurrency.triggers.http.perInstanceConcurrency").(float64); n < 100 {
				t.Errorf("%s: %v long polls fill an instance", d.Name, n)
			}
		}
	}
}

// triggerOf returns the trigger type of a function's folder, empty when there is none.
func triggerOf(t *testing.T, function string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "functions", function, "function.json"))
	if err != nil {
		return ""
	}
	var m struct {
		Bindings []struct{ Type string }
	}
	if err := json.Unmarshal(text, &m); err != nil || len(m.Bindings) == 0 {
		t.Fatalf("%s: %v", function, err)
	}
	return m.Bindings[0].Type
}

func TestRedirectURIsAreThoseThatTheBridgeSends(t *testing.T) {
	for _, d := range deployments(t) {
		public, err := url.Parse(d.Outputs["publicUrl"].(string))
		if err != nil {
			t.Fatal(err)
		}
		service := consent.New(consent.Config{Public: public})
		want := []string{service.RedirectURI(consent.User), service.RedirectURI(consent.Admin), service.SignInURI()}
		if diff := cmp.Diff(want, texts(d.Outputs["redirectUris"])); diff != "" {
			t.Errorf("%s (-bridge +template):\n%s", d.Name, diff)
		}
	}
}

func TestTheAppWaitsForItsRolesItsPackageAndItsNames(t *testing.T) {
	arm := built(t)
	var template struct {
		Resources map[string]struct{ DependsOn []string }
	}
	if err := json.Unmarshal([]byte(arm), &template); err != nil {
		t.Fatal(err)
	}
	// Each module ends with its role assignments; storage with the package's container.
	for _, module := range []string{"identity", "storage", "vault", "monitoring", "endpoints"} {
		if !slices.Contains(template.Resources["app"].DependsOn, module) {
			t.Errorf("the app does not wait for %s: %v", module, template.Resources["app"].DependsOn)
		}
	}
}

func TestSettingsOfOnesOwnAreKeptAndNeverWin(t *testing.T) {
	for _, d := range deployments(t) {
		set := appSettings(t, d)
		level, schedule := set["AzureFunctionsJobHost__logging__logLevel__Host.Results"], set["PRESENCE_SYNC_SCHEDULE"]
		if d.Name == "everything" && (level != "Error" || schedule != "*/10 * * * * *") || d.Name != "everything" && level != "" {
			t.Errorf("%s: log level %q, schedule %q", d.Name, level, schedule)
		}
	}
}

func TestCallersCanBeLimitedToAddresses(t *testing.T) {
	for _, d := range deployments(t) {
		site := d.one(t, "Microsoft.Web/sites")
		rules, _ := site.at("siteConfig.ipSecurityRestrictions").([]any)
		action, count := "Allow", 0
		if d.Name == "everything" {
			action, count = "Deny", 2
		}
		if site.at("siteConfig.ipSecurityRestrictionsDefaultAction") != action || len(rules) != count {
			t.Errorf("%s: others are met with %v, rules %v", d.Name, site.at("siteConfig.ipSecurityRestrictionsDefaultAction"), rules)
		}
	}
}

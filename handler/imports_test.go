package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// imports returns what each package of the module imports, tests included where
// asked, by import path without the module's name.
func imports(t *testing.T, format string) map[string][]string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-f", format, "procallteams/...")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		packages[strings.TrimPrefix(fields[0], "procallteams/")] = fields[1:]
	}
	if len(packages) < 20 {
		t.Fatalf("go list found %d packages", len(packages))
	}
	return packages
}

func TestProductAndLocalCloudShareNoCode(t *testing.T) {
	for path, list := range imports(t, `{{.ImportPath}} {{join .Imports " "}}`) {
		local := strings.HasPrefix(path, "dev/")
		for _, name := range list {
			inner, ours := strings.CutPrefix(name, "procallteams/")
			if ours && local != strings.HasPrefix(inner, "dev/") {
				t.Errorf("%s imports %s", path, inner)
			}
		}
	}
}

func TestEachOutsideSystemHasOneAdapter(t *testing.T) {
	const azure = "github.com/Azure/azure-sdk-for-go/sdk/"
	adapters := map[string][]string{
		azure + "data/aztables":                          {"internal/storage"},
		azure + "storage/azblob":                         {"internal/storage"},
		azure + "storage/azqueue":                        {"internal/storage"},
		azure + "security/keyvault/azsecrets":            {"internal/keyvault"},
		azure + "azidentity":                             {"internal/entra", "internal/keyvault", "handler"},
		"golang.org/x/oauth2":                            {"internal/entra"},
		"github.com/go-jose/go-jose":                     {"internal/entra"},
		"software.sslmate.com/src/go-pkcs12":             {"internal/entra"},
		"github.com/coreos/go-oidc/v3/oidc":              {"internal/entra"},
		"github.com/standard-webhooks/standard-webhooks": {"internal/ucserver"},
		"github.com/microsoftgraph":                      {},
	}
	domain := []string{"internal/presence", "internal/feed", "internal/consent", "internal/check", "internal/matching", "internal/directory",
		"internal/access", "internal/appcredential", "internal/health", "internal/settings", "internal/secret", "internal/problem"}
	for path, list := range imports(t, `{{.ImportPath}} {{join .Imports " "}}`) {
		if strings.HasPrefix(path, "dev/") {
			continue
		}
		for _, name := range list {
			for prefix, allowed := range adapters {
				if (name == prefix || strings.HasPrefix(name, prefix+"/")) && !slices.Contains(allowed, path) {
					t.Errorf("%s imports %s; only %q may", path, name, allowed)
				}
			}
			if slices.Contains(domain, path) && strings.HasPrefix(name, azure) {
				t.Errorf("%s is a domain package and imports %s", path, name)
			}
		}
	}
}

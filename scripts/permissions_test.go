package scripts_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/consent"
	"procallteams/internal/settings"
)

// permission is one of Microsoft Graph's: its name, and Scope (delegated) or Role
// (application).
type permission struct{ Name, Type string }

// ids are those of the permissions reference, written down once more: a slip in the
// script would otherwise ask administrators for something else.
var ids = map[string]permission{
	"9c7a330d-35b3-4aa1-963d-cb2b9f927841": {"Presence.Read.All", "Scope"},
	"b340eb25-3456-403f-be2f-af7a0d370277": {"User.ReadBasic.All", "Scope"},
	"83cded22-8297-4ff6-a7fa-e97e9545a259": {"Presence.ReadWrite.All", "Role"},
	"a70e0c2d-e793-494c-94c4-118fa0a67f42": {"Presence.Read.All", "Role"},
	"df021288-bdef-4463-88db-98f22de89214": {"User.Read.All", "Role"},
	"98830695-27a2-44f7-8c18-0c3ebc9698f6": {"GroupMember.Read.All", "Role"},
}

// TestTheScriptRegistersWhatTheBridgeAsksFor: with rules that name a group, no
// permission is missing and none is too much.
func TestTheScriptRegistersWhatTheBridgeAsksFor(t *testing.T) {
	for _, profile := range []settings.Profile{settings.FullProfile, settings.ReadOnlyProfile} {
		var s settings.Integration
		rules := `{"profile": "` + string(profile) + `", "teamsToProCall": {"groups": [{"source": "entra", "id": "66666666-0000-4000-8000-000000000000"}]}}`
		if err := json.Unmarshal([]byte(rules), &s); err != nil || len(s.EntraGroups()) != 1 {
			t.Fatalf("rules: %v, groups %v", err, s.EntraGroups())
		}
		var want []permission
		for kind, is := range map[consent.Kind]string{consent.User: "Scope", consent.Admin: "Role"} {
			for _, name := range consent.Wanted(kind, s) {
				want = append(want, permission{name, is})
			}
		}
		if diff := cmp.Diff(sorted(want), registered(t, string(profile))); diff != "" {
			t.Errorf("profile %s (-bridge +script):\n%s", profile, diff)
		}
	}
}

func TestTheDocumentListsWhatTheScriptRegisters(t *testing.T) {
	text, err := os.ReadFile("../docs/app-registration.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]permission{}
	row := regexp.MustCompile("(?m)^\\| ([A-Za-z.]+) \\| (delegated|application) \\| (both|full|read-only) \\| `([0-9a-f-]{36})`")
	for _, match := range row.FindAllStringSubmatch(string(text), -1) {
		p := permission{match[1], map[string]string{"delegated": "Scope", "application": "Role"}[match[2]]}
		if ids[match[4]] != p {
			t.Errorf("the document says that %s is %v; want %v", match[4], p, ids[match[4]])
		}
		for _, profile := range []string{"full", "read-only"} {
			if match[3] == "both" || match[3] == profile {
				documented[profile] = append(documented[profile], p)
			}
		}
	}
	for _, profile := range []string{"full", "read-only"} {
		if diff := cmp.Diff(sorted(documented[profile]), registered(t, profile)); diff != "" {
			t.Errorf("profile %s (-document +script):\n%s", profile, diff)
		}
	}
}

// registered runs the script and returns what the registration then asks for.
func registered(t *testing.T, profile string) []permission {
	t.Helper()
	folder := t.TempDir()
	world := filepath.Join(folder, "world.json")
	if err := os.WriteFile(world, []byte(`{"cloud": "AzureCloud", "tenant": "11111111-0000-4000-8000-000000000000"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "register.sh", "--url", "https://bridge.contoso.com", "--profile", profile)
	cmd.Env = append(os.Environ(), noRaceSleep, "AZ_WORLD="+world, "AZ_CALLS="+filepath.Join(folder, "calls"))
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("register.sh: %v\n%s", err, said)
	}
	text, err := os.ReadFile(world)
	if err != nil {
		t.Fatal(err)
	}
	var w struct {
		Apps []struct {
			RequiredResourceAccess []struct {
				ResourceAppID  string `json:"resourceAppId"`
				ResourceAccess []struct{ ID, Type string }
			} `json:"requiredResourceAccess"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &w); err != nil || len(w.Apps) != 1 || len(w.Apps[0].RequiredResourceAccess) != 1 {
		t.Fatalf("the registration is %s: %v", text, err)
	}
	graph := w.Apps[0].RequiredResourceAccess[0]
	if graph.ResourceAppID != "00000003-0000-0000-c000-000000000000" {
		t.Errorf("permissions are asked of %s; want Microsoft Graph", graph.ResourceAppID)
	}
	var all []permission
	for _, access := range graph.ResourceAccess {
		p := ids[access.ID]
		if p.Type != access.Type {
			t.Errorf("%s is asked for as %s; it is %v", access.ID, access.Type, p)
		}
		all = append(all, p)
	}
	return sorted(all)
}

func sorted(all []permission) []permission {
	slices.SortFunc(all, func(a, b permission) int { return strings.Compare(a.Type+a.Name, b.Type+b.Name) })
	return all
}

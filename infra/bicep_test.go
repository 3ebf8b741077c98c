// Package infra_test holds the templates to what the bridge needs. It compiles and
// evaluates them with the Bicep compiler, without network or Azure; what only Azure can
// say is in README.md, "Not tested here".
package infra_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"procallteams/internal/bicep"
)

// compiler returns a function that runs the compiler and returns its standard output and
// its findings. Without a compiler the test is skipped; make check says so aloud.
func compiler(t *testing.T) func(arguments ...string) (string, string) {
	t.Helper()
	program, err := bicep.Find("..")
	if err != nil {
		t.Skipf("THE TEMPLATES WERE NOT COMPILED AND NOT TESTED: %v", err)
	}
	return func(arguments ...string) (string, string) {
		t.Helper()
		var out, findings strings.Builder
		command := exec.CommandContext(t.Context(), program, arguments...)
		command.Stdout, command.Stderr = &out, &findings
		if err := command.Run(); err != nil {
			fmt.Fprintf(&findings, "bicep %s: %v\n", strings.Join(arguments, " "), err)
		}
		return out.String(), findings.String()
	}
}

// TestThereIsACompiler is what make check runs to say that the others are skipped.
func TestThereIsACompiler(t *testing.T) { compiler(t) }

// resource is one of a snapshot: what a deployment would make.
type resource struct {
	ID         string            `json:"id"`
	Type       string            `json:"type"`
	Name       string            `json:"name"`
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Tags       map[string]string `json:"tags"`
	Identity   struct {
		Type  string         `json:"type"`
		Users map[string]any `json:"userAssignedIdentities"`
	} `json:"identity"`
	SKU        map[string]any `json:"sku"`
	Properties map[string]any `json:"properties"`
}

// at returns what stands at a path of the resource's properties, nil when nothing does.
func (r resource) at(path string) any {
	var value any = r.Properties
	for part := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[part]
	}
	return value
}

// deployment is a set of parameters, evaluated.
type deployment struct {
	Name      string
	Resources []resource     `json:"predictedResources"`
	Outputs   map[string]any `json:"outputs"`
	text      string
}

// of returns the resources of one type.
func (d deployment) of(kind string) (found []resource) {
	for _, r := range d.Resources {
		if r.Type == kind {
			found = append(found, r)
		}
	}
	return found
}

// one returns the only resource of a type.
func (d deployment) one(t *testing.T, kind string) resource {
	t.Helper()
	found := d.of(kind)
	if len(found) != 1 {
		t.Fatalf("%s: %d resources of type %s; want one", d.Name, len(found), kind)
	}
	return found[0]
}

var evaluated struct {
	once sync.Once
	all  []deployment
	err  error
}

// deployments evaluates every set of parameters, as for a resource group of one's own in the
// public Azure, unless a set names another cloud.
// Values that only a deployment knows stay expressions, which begin with "[".
func deployments(t *testing.T) []deployment {
	t.Helper()
	compiler(t)
	evaluated.once.Do(func() { evaluated.all, evaluated.err = evaluate() })
	if evaluated.err != nil {
		t.Fatal(evaluated.err)
	}
	return evaluated.all
}

var errFindings = errors.New("the compiler found something")

// evaluate works in a copy, since the compiler writes its snapshots beside the parameters.
func evaluate() (all []deployment, err error) {
	program, err := bicep.Find("..")
	if err != nil {
		return nil, err
	}
	copied, err := os.MkdirTemp("", "infra")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(copied)
	if err := os.CopyFS(copied, os.DirFS(".")); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(copied, "*", "*.bicepparam"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".bicepparam")
		if err := inPublicAzure(file); err != nil {
			return nil, err
		}
		command := exec.Command(program, "snapshot", file, "--resource-group", "bridge", "--location", "westeurope",
			"--tenant-id", "11111111-1111-1111-1111-111111111111", "--subscription-id", "22222222-2222-2222-2222-222222222222")
		command.Env = append(os.Environ(), "BRIDGE_ALERT_EMAILS=operations@example.com,second@example.com")
		// Exit status 1 is for errors only; a warning is a line of output.
		if out, err := command.CombinedOutput(); err != nil || len(out) != 0 {
			return nil, fmt.Errorf("%s: %w: %s", name, cmp.Or(err, errFindings), out)
		}
		text, err := os.ReadFile(strings.TrimSuffix(file, ".bicepparam") + ".snapshot.json")
		if err != nil {
			return nil, err
		}
		d := deployment{Name: name, text: string(text)}
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// inPublicAzure says in a set which cloud it is for, if it does not by itself: the compiler does
// not know what environment() is.
func inPublicAzure(file string) error {
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "\nparam cloud ") {
		return err
	}
	return os.WriteFile(file, append(text, "\nparam cloud = 'public'\n"...), 0o600)
}

var arm struct {
	once           sync.Once
	text, findings string
}

// built returns main.bicep as the ARM template that is released.
func built(t *testing.T) string {
	t.Helper()
	run := compiler(t)
	arm.once.Do(func() { arm.text, arm.findings = run("build", "main.bicep", "--stdout", "--no-restore") })
	if arm.findings != "" {
		t.Fatal(arm.findings)
	}
	return arm.text
}

// texts are the strings of a JSON array.
func texts(value any) (out []string) {
	list, _ := value.([]any)
	for _, item := range list {
		text, _ := item.(string)
		out = append(out, text)
	}
	return out
}

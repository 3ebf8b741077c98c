package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pb33f/go-yaml"
)

// workflow is what these tests look at of a GitHub Actions workflow; actionlint, part
// of make check, looks at the rest.
type workflow struct {
	Permissions any `yaml:"permissions"`
	Jobs        map[string]struct {
		Permissions map[string]string `yaml:"permissions"`
		Timeout     int               `yaml:"timeout-minutes"`
		Steps       []struct {
			Uses string `yaml:"uses"`
			Run  string `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

// pinned is an action by its commit, with its version beside it for people.
var pinned = regexp.MustCompile(`^\s*(?:- )?uses: (actions/[a-z-]+@[0-9a-f]{40}) # v\d+\.\d+\.\d+$`)

// TestWorkflowsRunMakeTargets: what CI does, everybody can do.
func TestWorkflowsRunMakeTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{}
	for name, w := range workflows(t) {
		for _, job := range w.Jobs {
			if job.Timeout == 0 {
				t.Errorf("%s: a job has no timeout-minutes", name)
			}
			for _, step := range job.Steps {
				if step.Run == "" {
					continue
				}
				target, ok := strings.CutPrefix(step.Run, "make ")
				if !ok || !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(target)+`:.* ## `).Match(makefile) {
					t.Errorf("%s runs %q; want a documented target of the Makefile", name, step.Run)
				}
				ran[target] = true
			}
		}
	}
	for _, target := range []string{"test", "release", "publish", "vulncheck"} {
		if !ran[target] {
			t.Errorf("no workflow runs make %s", target)
		}
	}
}

// TestWorkflowsMayLittle: tokens can read, unless a job says for what it writes, and
// nobody can exchange an action behind our back.
func TestWorkflowsMayLittle(t *testing.T) {
	allowed := map[string]string{"contents": "release", "id-token": "release", "attestations": "release", "pages": "release"}
	for name, w := range workflows(t) {
		top, _ := w.Permissions.(map[string]any)
		if w.Permissions == nil || len(top) > 1 || len(top) == 1 && top["contents"] != "read" {
			t.Errorf("%s: permissions of the workflow are %v; want none, or contents: read", name, w.Permissions)
		}
		for job, j := range w.Jobs {
			for scope, access := range j.Permissions {
				if access == "read" {
					continue
				}
				if allowed[scope]+".yml" != name {
					t.Errorf("%s: job %s may %s %s", name, job, access, scope)
				}
				for _, step := range j.Steps { // the code of others runs in tests and builds
					if step.Run != "" && step.Run != "make publish" {
						t.Errorf("%s: job %s may %s %s and runs %s", name, job, access, scope, step.Run)
					}
				}
			}
		}
		text, err := os.ReadFile(filepath.Join("../.github/workflows", name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimRight(line, "\n"); strings.Contains(line, "uses:") && !pinned.MatchString(line) {
				t.Errorf("%s: %q is not an action of GitHub's own, pinned by commit with its version behind", name, strings.TrimSpace(line))
			}
		}
	}
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob("../.github/workflows/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	all := map[string]workflow{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = w
	}
	return all
}

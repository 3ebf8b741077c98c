// Package scripts_test runs the scripts as an administrator does, against stand-ins
// of the Azure CLI, Core Tools and curl: testdata/script.
package scripts_test

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"procallteams/dev/azurecli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"az":   func() { azurecli.Main("az") },
		"func": func() { azurecli.Main("func") },
		"curl": func() { azurecli.Main("curl") },
	})
}

// noRaceSleep spares each command of a script the second that a binary with the race
// detector sleeps before its end.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

func TestScripts(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, noRaceSleep,
				"SCRIPTS="+here, "AZ_WORLD="+env.WorkDir+"/world.json", "AZ_CALLS="+env.WorkDir+"/calls",
				"DEPLOY_WAIT=60", "DEPLOY_PAUSE=0.1", "REGISTER_PAUSE=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"package": pack},
	})
}

// pack makes a zip of the form of the package: package FILE HANDLERMODE NAME[=TEXT]...
func pack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: package FILE HANDLERMODE NAME...")
	}
	out, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	archive := zip.NewWriter(out)
	for _, arg := range args[2:] {
		name, text, given := strings.Cut(arg, "=")
		if !given {
			text = "{}"
		}
		header := &zip.FileHeader{Name: name}
		header.SetMode(0o644)
		if name == "handler" && args[1] == "0755" {
			header.SetMode(0o755)
		}
		entry, err := archive.CreateHeader(header)
		ts.Check(err)
		_, err = entry.Write([]byte(text))
		ts.Check(err)
	}
	ts.Check(archive.Close())
	ts.Check(out.Close())
}

func TestShellcheck(t *testing.T) {
	scripts, err := filepath.Glob("*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts here: %v", err)
	}
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Fatal("shellcheck is missing: apt-get install shellcheck")
	}
	if said, err := exec.CommandContext(t.Context(), "shellcheck", append(scripts, "../.ci/run", "../.ci/machine")...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, said)
	}
}

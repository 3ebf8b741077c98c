package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bicepVersion is the compiler that releases are made with: the template names it,
// and another one may write another template.
const bicepVersion = "0.49.2"

// compile returns the ARM template that Bicep makes of a file, and refuses any
// warning.
func compile(file string) ([]byte, error) {
	bicep, err := compiler(file)
	if err != nil {
		return nil, err
	}
	said, _, err := run(bicep, "--version")
	if err != nil || !strings.Contains(said, " "+bicepVersion+" ") {
		return nil, fmt.Errorf("releases need Bicep %s, and %s is %q: az bicep install --version v%s", bicepVersion, bicep, strings.TrimSpace(said), bicepVersion)
	}
	template, findings, err := run(bicep, "build", "--stdout", file)
	if err != nil || strings.Contains(findings, ": Warning ") {
		return nil, errors.Join(err, fmt.Errorf("compile %s:\n%s", file, findings))
	}
	return []byte(strings.TrimRight(template, "\n") + "\n"), nil
}

// compiler finds Bicep: $BICEP, bicep on the PATH, a copy beside the repository, or
// the one that az bicep install put into the home folder.
func compiler(file string) (string, error) {
	if program := os.Getenv("BICEP"); program != "" {
		return program, nil
	}
	home, _ := os.UserHomeDir()
	beside := filepath.Join(filepath.Dir(file), "..", "..", "shared", "tools", "bicep", "bicep")
	for _, program := range []string{filepath.Join(home, ".azure", "bin", "bicep"), beside, "bicep"} {
		if path, err := exec.LookPath(program); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Bicep compiler: az bicep install --version v" + bicepVersion + ", or set BICEP")
}

// run runs a program and returns what it wrote to standard output and error.
func run(program string, args ...string) (out, complained string, err error) {
	cmd := exec.Command(program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"procallteams/internal/bicep"
)

// compile returns the ARM template that Bicep makes of a file, and refuses any
// warning.
func compile(file string) ([]byte, error) {
	program, err := bicep.Find(filepath.Join(filepath.Dir(file), ".."))
	if err != nil {
		return nil, err
	}
	said, _, err := run(program, "--version")
	if err != nil || !strings.Contains(said, " "+bicep.Version+" ") {
		return nil, fmt.Errorf("releases need Bicep %s, and %s is %q: az bicep install --version v%s", bicep.Version, program, strings.TrimSpace(said), bicep.Version)
	}
	template, findings, err := run(program, "build", "--stdout", file)
	if err != nil || strings.Contains(findings, ": Warning ") {
		return nil, errors.Join(err, fmt.Errorf("compile %s:\n%s", file, findings))
	}
	return []byte(strings.TrimRight(template, "\n") + "\n"), nil
}

// linked lets the alerts and the workbook of a released template lead to that version's
// runbook: in a mail and in the portal there is no folder that a relative path means.
func linked(template []byte, repository, version string) ([]byte, error) {
	if repository == "" || version == "" {
		return template, nil
	}
	const here = `"defaultValue": "docs/operations.md"`
	if n := bytes.Count(template, []byte(here)); n != 1 {
		return nil, fmt.Errorf("the template names docs/operations.md %d times as a default; the release links it once (runbookUrl)", n)
	}
	there := `"defaultValue": "https://github.com/` + repository + "/blob/" + version + `/docs/operations.md"`
	return bytes.Replace(template, []byte(here), []byte(there), 1), nil
}

// run runs a program and returns what it wrote to standard output and error.
func run(program string, args ...string) (out, complained string, err error) {
	cmd := exec.Command(program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

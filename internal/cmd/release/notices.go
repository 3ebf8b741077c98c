package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// notices returns the licences of Go and of every module that is compiled into the
// program: whoever passes the binary on passes them on too.
func notices(root, program string) ([]byte, error) {
	const format = `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}|{{.Dir}}{{end}}{{end}}`
	modules, err := tell(root, "list", "-deps", "-f", format, program)
	if err != nil {
		return nil, err
	}
	goRoot, err := tell(root, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	lines := strings.FieldsFunc(modules, func(r rune) bool { return r == '\n' })
	slices.Sort(lines)
	lines = append([]string{"Go|" + strings.TrimSpace(goRoot)}, slices.Compact(lines)...)
	var text bytes.Buffer
	for _, line := range lines {
		name, folder, _ := strings.Cut(line, "|")
		licence, err := licenceIn(folder)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(&text, "%s\n%s\n\n%s\n\n\n", name, strings.Repeat("=", len(name)), licence)
	}
	return text.Bytes(), nil
}

// licenceIn returns the texts of a module's licence and notice files.
func licenceIn(folder string) (string, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, file := range files {
		name := strings.ToUpper(file.Name())
		if file.IsDir() || !slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE"}, func(kind string) bool { return strings.HasPrefix(name, kind) }) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			return "", err
		}
		texts = append(texts, strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")))
	}
	if len(texts) == 0 {
		return "", errors.New("no licence file")
	}
	return strings.Join(texts, "\n\n"), nil
}

// tell asks the go command about the program as it is built for the package.
func tell(root string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return string(output), nil
}

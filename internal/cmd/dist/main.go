// Command dist lays out dist/ as the Functions host wants it: host.json, a
// folder with function.json for each function, config/, and the handler, a
// static linux/amd64 binary. func start, the deployment and the local cloud all
// use that folder. An argument names another folder to lay out.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	dist := "dist"
	if len(os.Args) > 1 {
		dist = os.Args[1]
	}
	if err := run(dist); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// run builds into a fresh folder and swaps it in, so that a failed build leaves
// the old one.
func run(dist string) error {
	next := dist + ".new"
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	defer os.RemoveAll(next)
	manifests, err := filepath.Glob("functions/*/function.json")
	if err != nil {
		return err
	}
	if len(manifests) == 0 {
		return errors.New("no functions/*/function.json here: run it in the repository's root")
	}
	files := map[string]string{"host.json": "host.json", "config/usermatching.csv": "config/usermatching.csv"}
	for _, manifest := range manifests {
		files[manifest] = filepath.Join(filepath.Base(filepath.Dir(manifest)), "function.json")
	}
	for from, to := range files {
		if err := copyFile(from, filepath.Join(next, to)); err != nil {
			return err
		}
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(next, "handler"), "./handler")
	// Static: the libc of the Functions images is not guaranteed.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build handler: %w", err)
	}
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	return os.Rename(next, dist)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing", from)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

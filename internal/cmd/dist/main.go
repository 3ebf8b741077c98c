// Command dist lays out dist/ as the Functions host wants it: host.json, a
// folder with function.json for each function, config/, the handler, a static
// linux/amd64 binary, and a file that names its version. func start, the package and the local cloud all
// use that folder. An argument names another folder to lay out.
//
// One commit gives one binary, byte by byte, in whatever folder it is built: no
// paths, no build id, and of git nothing but the name that [version] makes.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"procallteams/internal/build"
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
	built := version()
	if err := compile(filepath.Join(next, "handler"), built); err != nil {
		return fmt.Errorf("build handler: %w", err)
	}
	if built != "" {
		line := built + " " + build.Fingerprint(built) + "\n"
		if err := os.WriteFile(filepath.Join(next, build.File), []byte(line), 0o644); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	return os.Rename(next, dist)
}

// compile builds the handler into file. Go's own stamp is off: it holds a version
// that depends on which tags a clone has fetched.
func compile(file, built string) error {
	flags := "-s -w -buildid= -X main.built=" + built
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", file, "./handler")
	// Static: the libc of the Functions images is not guaranteed.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOFLAGS=", "GOEXPERIMENT=")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// version names what is built: the commit's first 12 digits, behind its release
// tag if it has one (v1.2.0+0123456789ab), with "-modified" when the folder differs
// from it. Without git it is empty.
func version() string {
	commit, err := git("rev-parse", "HEAD")
	if err != nil {
		return ""
	}
	commit = fmt.Sprintf("%.12s", commit)
	if tag, err := git("describe", "--exact-match", "--tags", "--match", "v*"); err == nil {
		commit = tag + "+" + commit
	}
	if changed, err := git("status", "--porcelain", "--", ":!node_modules"); err != nil || changed != "" {
		commit += "-modified"
	}
	return commit
}

func git(args ...string) (string, error) {
	output, err := exec.Command("git", args...).Output()
	return strings.TrimSpace(string(output)), err
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

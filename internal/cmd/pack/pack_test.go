package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/build"
)

// Another folder, day, time zone and umask: what a machine adds is no part of the package.
func TestOneCommitGivesOnePackageWhereverAndWhenever(t *testing.T) {
	commit := strings.TrimSpace(run(t, ".", "git", "rev-parse", "HEAD"))
	here, there := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere", "deeper")
	first := packageOf(t, here)
	strict := syscall.Umask(0o077)
	defer syscall.Umask(strict)
	t.Setenv("TZ", "Pacific/Auckland")
	second := packageOf(t, there)
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := errors.Join(os.Chtimes(filepath.Join(there, "dist", "handler"), old, old), pack(filepath.Join(there, "dist"), second)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, first), read(t, second)) {
		t.Error("two clones of one commit gave two packages")
	}
	handler := filepath.Join(here, "dist", "handler")
	if text := read(t, handler); bytes.Contains(text, []byte(here)) || bytes.Contains(text, []byte(os.Getenv("HOME")+"/go/")) {
		t.Error("the handler names folders of the machine that built it")
	}
	if said := run(t, here, handler, "version"); !strings.Contains(said, commit[:12]) || strings.Contains(said, "modified") {
		t.Errorf("handler version says %q; want commit %.12s", said, commit)
	}

	put(t, filepath.Join(here, "handler", "added.go"), "package main\n", 0o644)
	run(t, here, "go", "run", "./internal/cmd/dist")
	if said := run(t, here, handler, "version"); !strings.Contains(said, commit[:12]+"-modified") {
		t.Errorf("with a file that no commit holds, handler version says %q; want -modified", said)
	}
	if said := string(read(t, filepath.Join(here, "dist", "version"))); said != commit[:12]+"-modified "+build.Fingerprint(commit[:12]+"-modified")+"\n" {
		t.Errorf("the package says that it is %q", said)
	}
	run(t, here, "git", "clean", "-qfd", "handler")
	run(t, here, "git", "tag", "v1.2.0")
	run(t, here, "go", "run", "./internal/cmd/dist")
	if said := run(t, here, handler, "version"); !strings.Contains(said, "v1.2.0+"+commit[:12]+" ") {
		t.Errorf("at a release, handler version says %q; want v1.2.0+%.12s", said, commit)
	}
}

// Case C14: a zip without the execute bit, without read permission or below a top
// folder gives an app without functions.
func TestThePackageIsWhatTheHostUnpacks(t *testing.T) {
	clone := t.TempDir()
	archive, err := zip.OpenReader(packageOf(t, clone))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()

	want := map[string]string{"host.json": "-rw-r--r--", "handler": "-rwxr-xr-x", "config/usermatching.csv": "-rw-r--r--", "version": "-rw-r--r--"}
	functions, err := filepath.Glob("../../../functions/*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, manifest := range functions {
		want[filepath.Base(filepath.Dir(manifest))+"/function.json"] = "-rw-r--r--"
	}
	got := map[string]string{}
	for _, entry := range archive.File {
		got[entry.Name] = entry.Mode().String()
		if madeBy := entry.CreatorVersion >> 8; madeBy != 3 {
			t.Errorf("%s has no unix attributes: made by system %d", entry.Name, madeBy)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files and modes (-want +got):\n%s", diff)
	}

	program, err := elf.Open(filepath.Join(clone, "dist", "handler"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if program.Machine != elf.EM_X86_64 {
		t.Errorf("the handler is for %v", program.Machine)
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			t.Error("the handler needs a dynamic loader: it is not static")
		}
	}
}

func TestPackTakesNothingElse(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, dist string)
		want   string
	}{
		{"local settings hold secrets", func(t *testing.T, dist string) {
			put(t, filepath.Join(dist, "local.settings.json"), "{}", 0o644)
		}, "local.settings.json does not belong"},
		{"a link may lead anywhere", func(t *testing.T, dist string) {
			if err := os.Symlink("/etc/hostname", filepath.Join(dist, "link", "function.json")); err != nil {
				t.Fatal(err)
			}
		}, "link/function.json does not belong"},
		{"a top folder hides everything from the host", func(t *testing.T, dist string) {
			if err := os.Rename(filepath.Join(dist, "users"), filepath.Join(dist, "link", "users")); err != nil {
				t.Fatal(err)
			}
		}, "link/users/function.json does not belong"},
		{"without host.json there is no app", func(t *testing.T, dist string) {
			if err := os.Remove(filepath.Join(dist, "host.json")); err != nil {
				t.Fatal(err)
			}
		}, "host.json is missing"},
		{"a handler above its budget", func(t *testing.T, dist string) {
			if err := os.Truncate(filepath.Join(dist, "handler"), handlerLimit+1); err != nil {
				t.Fatal(err)
			}
		}, "larger than 25 MB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dist := laidOut(t)
			file := filepath.Join(t.TempDir(), "dist.zip")
			put(t, file, "the last good one", 0o644)
			test.change(t, dist)
			if err := pack(dist, file); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("pack() = %v; want %q", err, test.want)
			}
			if string(read(t, file)) != "the last good one" {
				t.Error("a refused folder replaced the package")
			}
		})
	}
}

func TestModesOfTheFolderDoNotMatter(t *testing.T) {
	dist := laidOut(t)
	for name, mode := range map[string]os.FileMode{"handler": 0o644, "host.json": 0o600} {
		if err := os.Chmod(filepath.Join(dist, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "dist.zip")
	if err := pack(dist, file); err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for _, entry := range archive.File {
		if want := map[string]string{"handler": "-rwxr-xr-x", "host.json": "-rw-r--r--"}[entry.Name]; want != "" && entry.Mode().String() != want {
			t.Errorf("%s has mode %v; want %s", entry.Name, entry.Mode(), want)
		}
	}
}

// packageOf clones the repository's commit into dir, and makes its package there
// as make package does.
func packageOf(t *testing.T, dir string) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	run(t, ".", "git", "clone", "--quiet", "--no-hardlinks", "--no-tags", root, dir)
	run(t, dir, "go", "run", "./internal/cmd/dist")
	run(t, dir, "go", "run", "./internal/cmd/pack")
	return filepath.Join(dir, "dist.zip")
}

// laidOut is a small folder of the form of dist/, with an empty folder "link".
func laidOut(t *testing.T) string {
	t.Helper()
	dist := t.TempDir()
	put(t, filepath.Join(dist, "host.json"), "{}", 0o644)
	put(t, filepath.Join(dist, "handler"), "program", 0o755)
	put(t, filepath.Join(dist, "config", "usermatching.csv"), "upn,ucserver_user\n", 0o644)
	put(t, filepath.Join(dist, "users", "function.json"), "{}", 0o644)
	if err := os.Mkdir(filepath.Join(dist, "link"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dist
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var said, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &complained)
	}
	return said.String()
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func put(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

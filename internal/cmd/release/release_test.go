package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/bicep"
)

func TestAReleaseIsMadeTwiceAlike(t *testing.T) {
	first, second := layOut(t), layOut(t)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("two releases of one commit differ (-first +second):\n%s", diff)
	}
	var want strings.Builder
	for _, name := range []string{"THIRD-PARTY-NOTICES.txt", "azuredeploy.json", "deploy.sh", "procall-teams-bridge.zip", "register.sh"} {
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256([]byte(first[name])), name)
	}
	if diff := cmp.Diff(want.String(), first["SHA256SUMS"]); diff != "" {
		t.Errorf("checksums (-want +got):\n%s", diff)
	}
	var template struct {
		Schema     string         `json:"$schema"`
		Resources  map[string]any `json:"resources"`
		Parameters map[string]struct {
			DefaultValue any `json:"defaultValue"`
		} `json:"parameters"`
	}
	if err := json.Unmarshal([]byte(first["azuredeploy.json"]), &template); err != nil || !strings.Contains(template.Schema, "deploymentTemplate.json") || len(template.Resources) < 5 {
		t.Errorf("azuredeploy.json is no template: %v, schema %q, %d resources", err, template.Schema, len(template.Resources))
	}
	if runbook, want := template.Parameters["runbookUrl"].DefaultValue, "https://github.com/Contoso/bridge/blob/v1.2.0/docs/operations.md"; runbook != want {
		t.Errorf("alerts of a released template link to %v; want %s", runbook, want)
	}
	if first["pages/azuredeploy.json"] != first["azuredeploy.json"] {
		t.Error("the button opens another template")
	}
	button := "/#create/Microsoft.Template/uri/https%3A%2F%2Fcontoso.github.io%2Fbridge%2Fazuredeploy.json"
	text := "What is [new](https://github.com/Contoso/bridge/blob/v1.2.0/docs/new.md#x), [elsewhere](https://example.com/a)."
	if notes := first["NOTES.md"]; !strings.Contains(notes, "https://portal.azure.com"+button) || !strings.Contains(notes, "https://portal.azure.us"+button) || !strings.Contains(notes, text) || strings.Contains(notes, "Older.") {
		t.Errorf("notes:\n%s", notes)
	}
}

func TestAReleaseIsRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		tag    string
		change func(root string) error
		want   string
	}{
		{"without a section of the changelog", "v1.3.0", nil, "no section 1.3.0"},
		{"with two tags", "v1.2.0", func(root string) error { return git(root, "tag", "v1.2.1") }, "several release tags"},
		{"with a template that warns", "v1.2.0", func(root string) error {
			return os.WriteFile(filepath.Join(root, "infra", "main.bicep"), []byte("param unused string\n"), 0o600)
		}, "no-unused-params"},
		{"without a package", "v1.2.0", func(root string) error { return os.Remove(filepath.Join(root, "dist.zip")) }, "dist.zip"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := repository(t, test.tag)
			if test.change != nil {
				if err := test.change(root); err != nil {
					t.Fatal(err)
				}
			}
			if err := (release{Root: root, Program: ".", Package: "dist.zip", Folder: "release"}).layOut(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("layOut() = %v; want %q", err, test.want)
			}
			if _, err := os.Stat(filepath.Join(root, "release")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a refused release left a folder: %v", err)
			}
		})
	}
}

func TestAnotherCompilerIsRefused(t *testing.T) {
	other := filepath.Join(t.TempDir(), "bicep")
	if err := os.WriteFile(other, []byte("#!/bin/sh\necho 'Bicep CLI version 0.40.2 (0000000000)'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BICEP", other)
	if _, err := compile("main.bicep"); err == nil || !strings.Contains(err.Error(), "az bicep install --version v"+bicep.Version) {
		t.Errorf("compile() = %v; want the command that installs the right one", err)
	}
}

// TestEveryModuleInTheHandlerHasItsLicence: their licences want to go with the
// program.
func TestEveryModuleInTheHandlerHasItsLicence(t *testing.T) {
	text, err := notices("../../..", "./handler")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Go\n", "github.com/Azure/azure-sdk-for-go/sdk/azcore v", "github.com/klauspost/compress v", "golang.org/x/oauth2 v",
		"Permission is hereby granted", "Redistribution and use in source and binary forms", "Apache License",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the notices lack %q", want)
		}
	}
	for _, tool := range []string{"chromedp", "google/go-cmp", "libopenapi"} {
		if strings.Contains(string(text), "github.com/"+tool) {
			t.Errorf("the notices name %s, which is no part of the handler", tool)
		}
	}
	if cache := os.Getenv("HOME"); cache != "" && strings.Contains(string(text), cache+"/") {
		t.Error("the notices name folders of this machine")
	}
}

// TestTheChangelogCanBeReleased: its newest section is one that notes are made of.
func TestTheChangelogCanBeReleased(t *testing.T) {
	changelog, err := os.ReadFile("../../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	notes, err := notesOf(string(changelog), "", "")
	if err != nil || strings.Contains(notes, "portal.azure.com") {
		t.Errorf("notes = %v, %s", err, notes)
	}
}

// layOut makes a release of a small repository and returns its files.
func layOut(t *testing.T) map[string]string {
	t.Helper()
	root := repository(t, "v1.2.0")
	if err := (release{Root: root, Program: ".", Package: "dist.zip", Folder: "release", Repository: "Contoso/bridge"}).layOut(); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	folder := os.DirFS(filepath.Join(root, "release"))
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(folder, name)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// repository is a small one with the real templates and scripts, and a tag.
func repository(t *testing.T, tag string) string {
	t.Helper()
	compiler, err := bicep.Find("../../..")
	if err != nil {
		t.Skipf("RELEASES WERE NOT TESTED: %v", err)
	}
	t.Setenv("BICEP", compiler) // the copy beside this repository is not beside the small one
	root := t.TempDir()
	for _, folder := range []string{"infra", "scripts"} {
		if err := os.CopyFS(filepath.Join(root, folder), os.DirFS(filepath.Join("../../..", folder))); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"dist.zip":     "package",
		"go.mod":       "module small\n",
		"handler.go":   "package main\n\nfunc main() {}\n",
		"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## [1.2.0] - 2027-01-31\n\nWhat is [new](docs/new.md#x), [elsewhere](https://example.com/a).\n\n## 1.1.0\n\nOlder.\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "--allow-empty", "--message", "x"}, {"tag", tag}} {
		if err := git(root, args...); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func git(root string, args ...string) error {
	if said, err := exec.Command("git", append([]string{"-C", root}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, said)
	}
	return nil
}

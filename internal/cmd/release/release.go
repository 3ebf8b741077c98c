package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The names that documents, the button and scripts know.
const (
	packageName  = "procall-teams-bridge.zip"
	templateName = "azuredeploy.json"
	noticesName  = "THIRD-PARTY-NOTICES.txt"
	sumsName     = "SHA256SUMS"
	notesName    = "NOTES.md"
)

// assets are what people download, in the order of the checksums.
var assets = []string{noticesName, templateName, "deploy.sh", packageName, "register.sh"}

// release says what is made of what.
type release struct {
	Root    string // of the repository
	Program string // the package of the handler, from Root
	Package string // the zip that command pack made, below Root
	Folder  string // to lay out, below Root
	// Repository is the owner and name on GitHub; empty where nobody publishes, and
	// then there is no button.
	Repository string
}

// layOut makes the folder anew. A failure leaves the old one.
func (r release) layOut() error {
	folder := filepath.Join(r.Root, r.Folder)
	next := folder + ".new"
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	defer os.RemoveAll(next)
	if err := os.MkdirAll(filepath.Join(next, "pages"), 0o755); err != nil {
		return err
	}
	version, err := r.version()
	if err != nil {
		return err
	}
	changelog, err := os.ReadFile(filepath.Join(r.Root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	notes, err := notesOf(string(changelog), version, r.Repository)
	if err != nil {
		return err
	}
	texts := map[string][]byte{notesName: []byte(notes)}
	for name, from := range map[string]string{packageName: r.Package, "deploy.sh": "scripts/deploy.sh", "register.sh": "scripts/register.sh"} {
		if texts[name], err = os.ReadFile(filepath.Join(r.Root, from)); err != nil {
			return err
		}
	}
	if texts[noticesName], err = notices(r.Root, r.Program); err != nil {
		return err
	}
	template, err := compile(filepath.Join(r.Root, "infra", "main.bicep"))
	if err != nil {
		return err
	}
	if texts[templateName], err = linked(template, r.Repository, version); err != nil {
		return err
	}
	texts[filepath.Join("pages", templateName)] = texts[templateName]
	texts[sumsName] = sums(texts)
	for name, text := range texts {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(filepath.Join(next, name), text, mode); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.Rename(next, folder)
}

// version is the tag of the commit, empty when it has none.
func (r release) version() (string, error) {
	cmd := exec.Command("git", "-C", r.Root, "tag", "--points-at", "HEAD", "--list", "v*")
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask git for the tag: %w", err)
	}
	tags := strings.Fields(string(output))
	if len(tags) > 1 {
		return "", errors.New("the commit has several release tags: " + strings.Join(tags, ", "))
	}
	return strings.Join(tags, ""), nil
}

// sums lists checksums as sha256sum does.
func sums(texts map[string][]byte) []byte {
	var list strings.Builder
	for _, name := range assets {
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(texts[name]), name)
	}
	return []byte(list.String())
}

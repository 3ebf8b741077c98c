// Package docs_test holds the documents to what they speak of.
package docs_test

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are the Markdown files of the repository, by path from its root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", "..", "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for name := range strings.FieldsSeq(string(out)) {
		text, err := os.ReadFile(filepath.Join("..", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // being removed
		}
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	if len(texts) < 10 {
		t.Fatalf("only %d documents found", len(texts))
	}
	return texts
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	link    = regexp.MustCompile(`\]\(([^)\s]+)(?:\s+"[^"]*")?\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6}\s+(.*?)\s*$`)
	anchor  = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	marks   = strings.NewReplacer("`", "", "*", "")
)

// anchors are the places in a document that a link may name, as GitHub makes them of
// headings: lower case, punctuation dropped, a hyphen for each blank.
func anchors(text string) []string {
	var names []string
	text = fence.ReplaceAllString(text, "")
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		title := link.ReplaceAllString(marks.Replace(match[1]), "")
		name := strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
		names = append(names, name)
	}
	for _, match := range anchor.FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	return names
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	texts := documents(t)
	for name, text := range texts {
		for _, match := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			target, err := url.Parse(match[1])
			if err != nil {
				t.Errorf("%s: the link %q cannot be read", name, match[1])
				continue
			}
			if target.Scheme != "" { // other sites cannot be asked here
				if target.Scheme != "https" && target.Scheme != "mailto" {
					t.Errorf("%s: the link %q is not https", name, match[1])
				}
				continue
			}
			file := name
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(name), target.Path)
				if _, err := os.Stat(filepath.Join("..", file)); err != nil {
					t.Errorf("%s: the link %q leads nowhere", name, match[1])
					continue
				}
			}
			if target.Fragment != "" && strings.HasSuffix(file, ".md") && !slices.Contains(anchors(texts[file]), target.Fragment) {
				t.Errorf("%s: %s has no heading #%s", name, file, target.Fragment)
			}
		}
	}
}

func TestEveryMakeTargetThatIsNamedExists(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("(?m)(?:^|`|&& )make ([a-z]+)")
	for name, text := range documents(t) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+match[1]+":") {
				t.Errorf("%s: there is no target %q in the Makefile", name, match[1])
			}
		}
	}
}

// TestNoDocumentIsLost: whoever opens README.md finds every document from there.
func TestNoDocumentIsLost(t *testing.T) {
	texts := documents(t)
	reached := map[string]bool{}
	var follow func(string)
	follow = func(name string) {
		if reached[name] {
			return
		}
		reached[name] = true
		for _, match := range link.FindAllStringSubmatch(texts[name], -1) {
			target, err := url.Parse(match[1])
			if err != nil || target.Scheme != "" || target.Path == "" {
				continue
			}
			file := filepath.Join(filepath.Dir(name), target.Path)
			if info, err := os.Stat(filepath.Join("..", file)); err == nil && info.IsDir() {
				for other := range texts {
					if filepath.Dir(other) == file {
						follow(other)
					}
				}
			}
			if texts[file] != "" {
				follow(file)
			}
		}
	}
	follow("README.md")
	for name := range texts {
		if !reached[name] {
			t.Errorf("%s is not reached from README.md", name)
		}
	}
}

// TestEveryAddressThatIsNamedIsInTheContract: a method and a path, as in "POST status"
// or "GET /api/v1/users?name=".
func TestEveryAddressThatIsNamedIsInTheContract(t *testing.T) {
	contract, err := os.ReadFile("../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string][]string{}
	path := ""
	for line := range strings.Lines(string(contract)) {
		if name, ok := strings.CutPrefix(line, "  /"); ok && strings.HasSuffix(name, ":\n") {
			path = strings.TrimSuffix(name, ":\n")
		} else if !strings.HasPrefix(line, "    ") {
			path = ""
		}
		if method, ok := strings.CutSuffix(strings.TrimSpace(line), ":"); ok && path != "" && strings.HasPrefix(line, "    ") && !strings.HasPrefix(line, "     ") {
			methods[path] = append(methods[path], strings.ToUpper(method))
		}
	}
	if len(methods) < 10 {
		t.Fatalf("only %d paths found in the contract", len(methods))
	}
	named := regexp.MustCompile(`\b(GET|PUT|POST|PATCH|DELETE) (?:/?api/)?((?:v1/)?[a-z]+(?:/[a-z]+)*)\b`)
	pages := []string{"console", "consent"} // for browsers: not in the contract
	for name, text := range documents(t) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			first, _, _ := strings.Cut(match[2], "/")
			if methods[first] == nil && first != "v1" || slices.Contains(pages, first) {
				continue // of another service, or a word
			}
			if !slices.Contains(methods[match[2]], match[1]) {
				t.Errorf("%s: the contract has no %s %s", name, match[1], match[2])
			}
		}
	}
}

// TestEverySettingThatIsNamedExists: names of app settings and variables stand in code,
// templates or scripts as well.
func TestEverySettingThatIsNamedExists(t *testing.T) {
	named := regexp.MustCompile("`([A-Z][A-Z0-9]+_[A-Z0-9_]+|AzureWebJobs[A-Za-z_]+)(?:=[^`]*)?`")
	out, err := exec.CommandContext(t.Context(), "git", "-C", "..", "grep", "--untracked", "-hoE", `[A-Z][A-Z0-9]+_[A-Z0-9_]+|AzureWebJobs[A-Za-z_]+`, "--", ".", ":!*.md", ":!docs").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for name := range strings.FieldsSeq(string(out)) {
		known[name] = true
	}
	for name, text := range documents(t) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			if !known[match[1]] {
				t.Errorf("%s: nothing reads or sets %s", name, match[1])
			}
		}
	}
}

// TestEveryOptionOfAScriptExists: what the documents give to our scripts, these know.
func TestEveryOptionOfAScriptExists(t *testing.T) {
	option := regexp.MustCompile(`(?:^|\s|\x60)(--[a-z][a-z-]*)`)
	for _, script := range []string{"register.sh", "deploy.sh"} {
		program, err := os.ReadFile(filepath.Join("..", "scripts", script))
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range documents(t) {
			for line := range strings.Lines(text) {
				_, command, ok := strings.Cut(line, script+" ")
				if !ok {
					continue
				}
				command, _, _ = strings.Cut(command, "`")
				for _, match := range option.FindAllStringSubmatch(command, -1) {
					if !strings.Contains(string(program), match[1]+")") && !strings.Contains(string(program), match[1]+" |") {
						t.Errorf("%s: %s does not know %s", name, script, match[1])
					}
				}
			}
		}
	}
}

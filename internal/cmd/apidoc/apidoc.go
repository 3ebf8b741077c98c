// Command apidoc writes docs/ucserver-api.md: the machine's part of api/openapi.yaml
// for a person who writes a connector, with the programs of api/examples. Run it in
// the repository's root, or by go generate.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pb33f/libopenapi"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

//go:generate go run . ../../..

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	text, err := generate(root)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "docs", "ucserver-api.md"), []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apidoc:", err)
		os.Exit(1)
	}
}

// recipe is one thing that a connector does, shown in three languages.
type recipe struct{ title, text, file string }

var recipes = []recipe{
	{"Follow presences", "A snapshot, then changes by long poll. The cursor moves only after the changes are done, so nothing is lost when the program ends at any line.", "poll"},
	{"Report a call", "The complete list first, then every change with the next `seq`.", "report"},
	{"Send UCServer's users", "The answer says who does not take part, and why.", "users"},
	{"Receive pushes", "Verify the signature over the bytes as they came. A library of [Standard Webhooks](https://www.standardwebhooks.com/) does it too.", "verify"},
}

// languages of the programs, by the ending of their files. Where a language shows
// more than another, the file has a name of its own.
var languages = []struct{ name, fence, suffix string }{{"curl", "bash", ".sh"}, {"PowerShell", "powershell", ".ps1"}, {"C#", "csharp", ".cs"}}

// tags are the parts of the contract that machines use, in this order.
var tags = []string{"presence", "telephony", "directory", "operation"}

// generate returns the document.
func generate(root string) (string, error) {
	contract, err := os.ReadFile(filepath.Join(root, "api", "openapi.yaml"))
	if err != nil {
		return "", err
	}
	parsed, err := libopenapi.NewDocument(contract)
	if err != nil {
		return "", fmt.Errorf("read contract: %w", err)
	}
	model, err := parsed.BuildV3Model()
	if err != nil {
		return "", fmt.Errorf("read contract: %w", err)
	}
	d := &document{doc: &model.Model, shown: map[string]bool{}}
	d.line("# The HTTP API for UCServer\n")
	d.line("<!-- Generated from api/openapi.yaml and api/examples by `make generate`. DO NOT EDIT. -->\n")
	d.line("For authors of a connector beside UCServer, and of a monitor. The contract itself is\n[api/openapi.yaml](../api/openapi.yaml); the handler's tests are held to it. More about [reporting calls](telephony.md)\nand [sending users](directory.md).\n")
	d.line("%s\n", strings.TrimSpace(d.doc.Info.Description))
	d.line("## Programs to begin with\n")
	d.line("Set `BRIDGE` to the bridge's address and `TOKEN` to a credential of the console. They are in\n[api/examples](../api/examples); the first of each is run by the tests.\n")
	for _, r := range recipes {
		if err := d.recipe(root, r); err != nil {
			return "", err
		}
	}
	for _, tag := range tags {
		d.tag(tag)
	}
	d.line("## Objects\n")
	for len(d.queue) > 0 {
		name := d.queue[0]
		d.queue = d.queue[1:]
		d.schema(name)
	}
	return strings.TrimRight(d.text.String(), "\n") + "\n", nil
}

// document is what is being written. Schemas that were named are queued once.
type document struct {
	doc   *v3.Document
	text  strings.Builder
	queue []string
	shown map[string]bool
}

func (d *document) line(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

func (d *document) recipe(root string, r recipe) error {
	d.line("### %s\n\n%s\n", r.title, r.text)
	for _, language := range languages {
		file := r.file + language.suffix
		if language.suffix == ".cs" {
			file = strings.ToUpper(r.file[:1]) + r.file[1:] + language.suffix
		}
		if file == "Verify.cs" { // in C# the whole receiver is as short
			file = "Receive.cs"
		}
		program, err := os.ReadFile(filepath.Join(root, "api", "examples", file))
		if err != nil {
			return err
		}
		d.line("<details><summary>%s</summary>\n\n```%s\n%s\n```\n\n</details>\n", language.name, language.fence, strings.TrimRight(string(program), "\n"))
	}
	return nil
}

// operation is one method of one path; a webhook has no path.
type operation struct {
	method, path string
	*v3.Operation
}

func (d *document) operations(tag string) []operation {
	var found []operation
	add := func(prefix, path string, item *v3.PathItem) {
		for method, op := range item.GetOperations().FromOldest() {
			if slices.Contains(op.Tags, tag) {
				found = append(found, operation{strings.ToUpper(method), prefix + path, op})
			}
		}
	}
	for path, item := range d.doc.Paths.PathItems.FromOldest() {
		add("/api", path, item)
	}
	for _, item := range d.doc.Webhooks.FromOldest() {
		add("the push address", "", item)
	}
	return found
}

func (d *document) tag(name string) {
	d.line("## %s%s\n", strings.ToUpper(name[:1]), name[1:])
	for _, tag := range d.doc.Tags {
		if tag.Name == name && tag.Description != "" {
			d.line("%s\n", tag.Description)
		}
	}
	for _, op := range d.operations(name) {
		d.operation(op)
	}
}

func (d *document) operation(op operation) {
	if op.path == "the push address" {
		d.line("### The bridge posts to the push address: %s\n", op.OperationId)
	} else {
		d.line("### %s %s\n", op.method, op.path)
	}
	d.line("%s\n", op.Summary)
	if op.Description != "" {
		d.line("%s\n", strings.TrimSpace(op.Description))
	}
	if len(op.Parameters) > 0 {
		d.line("| parameter | in | type | |\n|---|---|---|---|")
		for _, p := range op.Parameters {
			text := p.Description
			if p.Required != nil && *p.Required {
				text = strings.TrimSpace("**Required.** " + text)
			}
			d.line("| `%s` | %s | %s | %s |", p.Name, p.In, d.typeOf(p.Schema), cell(text))
		}
		d.line("")
	}
	if body := op.RequestBody; body != nil {
		d.line("Body: %s. %s\n", d.content(body.Content), strings.TrimSpace(body.Description))
	}
	d.line("| answer | |\n|---|---|")
	for code, response := range op.Responses.Codes.FromOldest() {
		d.line("| %s | %s |", code, cell(response.Description+" "+d.content(response.Content)))
	}
	d.line("")
}

package infra_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// query is one that an alert rule, the workbook or a document asks.
type query struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// queries are those of a deployment.
func queries(t *testing.T, d deployment) (all []query) {
	t.Helper()
	for _, rule := range d.of(alertRule) {
		text, _ := condition(rule)["query"].(string)
		all = append(all, query{rule.Name, text})
	}
	for _, item := range workbook(t, d).Items {
		if item.Content.Query != "" {
			all = append(all, query{"workbook: " + item.Content.Title, item.Content.Query})
		}
	}
	if len(all) < 20 {
		t.Fatalf("%s: only %d queries", d.Name, len(all))
	}
	return all
}

// documented are the queries of docs/*.md, in blocks and within sentences. One may go on
// from the let statement of the first one in its file.
func documented(t *testing.T) (all []query) {
	t.Helper()
	paths, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```(?:kusto|kql)\n(.*?)```|`(lines \\|[^`]+)`")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := ""
		for i, match := range block.FindAllSubmatch(text, -1) {
			q := string(match[1]) + string(match[2])
			if strings.Contains(q, "let lines") {
				lines, _, _ = strings.Cut(q, ";")
				lines += ";\n"
			} else {
				q = lines + q
			}
			all = append(all, query{fmt.Sprintf("%s, query %d", filepath.Base(path), i+1), q})
		}
	}
	return all
}

// analyse reads queries from standard input and writes what Microsoft's own parser finds
// wrong with each (npm @kusto/language-service-next), with the tables of Application
// Insights that we ask.
const analyse = `
const fs = require("fs"), path = require("path"), vm = require("vm");
const folder = path.dirname(require.resolve("@kusto/language-service-next/package.json"));
for (const file of ["bridge.min.js", "Kusto.Language.Bridge.min.js"])
  vm.runInThisContext(fs.readFileSync(path.join(folder, file), "utf8"), { filename: file });
const { Symbols, GlobalState, KustoCode } = Kusto.Language;
const traces = Symbols.TableSymbol.From("(timestamp: datetime, message: string, severityLevel: int, operation_Id: string, " +
  "operation_Name: string, cloud_RoleInstance: string, customDimensions: dynamic, itemCount: int)").WithName("traces");
const state = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("insights", [traces]));
const wrong = [];
for (const { name, text } of JSON.parse(fs.readFileSync(0, "utf8"))) {
  const found = KustoCode.ParseAndAnalyze(text, state).GetDiagnostics();
  for (let i = 0; i < found.Count; i++) wrong.push(name + ": " + found.getItem(i).Message);
}
process.stdout.write(JSON.stringify(wrong));
`

func wrongIn(t *testing.T, all []query) (wrong []string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", "-e", analyse)
	command.Dir, command.Stdin = root, bytes.NewReader(input)
	out, err := command.Output()
	if err != nil {
		var stderr []byte
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = exit.Stderr
		}
		t.Fatalf("the parser of queries does not run; install it with make setup: %v %s", err, stderr)
	}
	if err := json.Unmarshal(out, &wrong); err != nil {
		t.Fatal(err)
	}
	return wrong
}

func TestEveryQueryIsUnderstoodByMicrosoftsParser(t *testing.T) {
	all := documented(t)
	for _, d := range deployments(t) {
		if d.Name == "everything" {
			all = append(all, queries(t, d)...)
		}
	}
	for _, text := range wrongIn(t, all) {
		t.Error(text)
	}
	typo := query{"typo", "traces | where mesage has 'x' | sumarize count()"}
	if wrong := wrongIn(t, []query{typo}); len(wrong) == 0 {
		t.Error("the parser finds nothing wrong with a misspelt column and operator")
	}
}

// schema are the fields of each line, as docs/log-schema.md states them; "" has those
// that every line has.
func schema(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/log-schema.md")
	if err != nil {
		t.Fatal(err)
	}
	var (
		quoted  = regexp.MustCompile("`([^`]+)`")
		fields  = map[string][]string{}
		current = ""
		notes   = false
	)
	for line := range strings.Lines(string(text)) {
		switch cells := strings.Split(line, "|"); {
		case strings.HasPrefix(line, "## "):
			current, notes = "", strings.HasPrefix(line, "## Notes")
		case strings.HasPrefix(line, "### `"):
			current = quoted.FindStringSubmatch(line)[1]
			fields[current] = nil
		case notes && strings.HasPrefix(line, "| `"):
			message := quoted.FindStringSubmatch(cells[1])[1]
			for _, match := range quoted.FindAllStringSubmatch(cells[2], -1) {
				fields[message] = append(fields[message], match[1])
			}
			fields[message] = append(fields[message], "")
		case strings.HasPrefix(line, "| `"):
			fields[current] = append(fields[current], quoted.FindStringSubmatch(cells[1])[1])
		}
	}
	for _, message := range []string{"", "state", "finding", "sync", "started"} {
		if len(fields[message]) == 0 {
			t.Fatalf("docs/log-schema.md: no fields of %q are understood: %v", message, fields)
		}
	}
	return fields
}

var (
	comparison = regexp.MustCompile(`msg (?:==|in \()([^|)\n]*)`)
	literal    = regexp.MustCompile(`"([^"]+)"`)
	field      = regexp.MustCompile(`line\.([A-Za-z]+)|line\["([A-Za-z]+)"\]`)
)

func TestQueriesAskForLinesAndFieldsThatTheHandlerWrites(t *testing.T) {
	written := schema(t)
	for _, d := range deployments(t) {
		if d.Name != "everything" {
			continue
		}
		for _, q := range queries(t, d) {
			possible := slices.Clone(written[""])
			for _, match := range comparison.FindAllStringSubmatch(q.Text, -1) {
				for _, message := range literal.FindAllStringSubmatch(match[1], -1) {
					fields, ok := written[message[1]]
					if !ok {
						t.Errorf("%s asks for the line %q, which docs/log-schema.md does not know", q.Name, message[1])
					}
					possible = append(possible, fields...)
				}
			}
			if !strings.Contains(q.Text, "where msg") {
				continue // every line: any field
			}
			for _, match := range field.FindAllStringSubmatch(q.Text, -1) {
				if name := match[1] + match[2]; !slices.Contains(possible, name) {
					t.Errorf("%s asks for %s, which its lines do not have: %v", q.Name, name, possible)
				}
			}
		}
	}
}

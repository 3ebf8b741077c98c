package telemetry_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"procallteams/functions/upkeep"
	"procallteams/internal/health"
	"procallteams/internal/report"
	"procallteams/internal/settings"
	"procallteams/internal/telemetry"
)

const schema = "../../docs/log-schema.md"

// noted is a line that code outside of this package writes: what it says, and the
// names of its fields, of every place that writes it.
type noted struct {
	fields map[string]bool
	places []string
}

// notes reads every call of a logger in the product's source.
func notes(t *testing.T) map[string]noted {
	t.Helper()
	found := map[string]noted{}
	files := token.NewFileSet()
	for _, root := range []string{"../../functions", "../../internal", "../../handler"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok {
					return true
				}
				message, arguments, ok := logged(call)
				if !ok {
					return true
				}
				note, known := found[message]
				if !known {
					note.fields = map[string]bool{}
				}
				note.places = append(note.places, files.Position(call.Pos()).String())
				for i := 0; i < len(arguments); i += 2 {
					if key, ok := text(arguments[i]); ok {
						note.fields[key] = true
					}
				}
				found[message] = note
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// logged returns the message and the fields of a call such as log.Warn("…", "error",
// err). The message is empty when it is no literal.
func logged(call *ast.CallExpr) (message string, arguments []ast.Expr, ok bool) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isLogger(method.X) {
		return "", nil, false
	}
	level, withContext := strings.CutSuffix(method.Sel.Name, "Context")
	arguments = call.Args
	switch {
	case level == "Log": // context, level
		arguments = arguments[2:]
	case !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, level):
		return "", nil, false
	case withContext:
		arguments = arguments[1:]
	}
	message, ok = text(arguments[0])
	if !ok {
		message = "" // no literal
	}
	return message, arguments[1:], true
}

// isLogger reports whether an expression is a logger: log, f.Log, host.Log(…).
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.EqualFold(x.Name, "log")
	case *ast.SelectorExpr:
		return strings.EqualFold(x.Sel.Name, "log")
	case *ast.CallExpr:
		return isLogger(x.Fun)
	}
	return false
}

func text(x ast.Expr) (string, bool) {
	literal, ok := x.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	return value, err == nil
}

// section returns the lines of the schema between a heading and the next of its level.
func section(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile(schema)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut("\n"+string(page), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no %q", schema, heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	var lines []string
	for line := range strings.Lines(rest) {
		if strings.HasPrefix(line, "#") && strings.Count(strings.Fields(line)[0], "#") <= len(level) {
			break
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

var code = regexp.MustCompile("`([^`]+)`")

// table returns the first column of a section's table, without its marks, and what
// another column says about each.
func table(t *testing.T, heading string, column int) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, line := range section(t, heading) {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if name := code.FindStringSubmatch(cells[0]); name != nil && len(cells) > column {
			rows[name[1]] = strings.TrimSpace(cells[column])
		}
	}
	return rows
}

// common are the fields that every line may have.
var common = []string{"time", "level", "msg", "function", "invocation", "trace"}

func TestEveryMeasurementIsDocumented(t *testing.T) {
	for _, m := range telemetry.Measurements() {
		message, written := telemetry.FieldsOf(m)
		t.Run(message, func(t *testing.T) {
			documented := table(t, "### `"+message+"`", 2)
			for field, how := range written {
				if got, ok := documented[field]; !ok || got != how {
					t.Errorf("%s: %q is %q in the line; the document says %q", message, field, how, got)
				}
				delete(documented, field)
			}
			delete(documented, "seconds") // of the window
			delete(documented, "system")  // parts lines
			for field := range documented {
				t.Errorf("%s: the document has %q, no line does", message, field)
			}
		})
	}
}

func TestStateFindingsAndSpansAreDocumented(t *testing.T) {
	tr := newTraced()
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	standing := upkeep.Standing{Log: tr.log(), Now: func() time.Time { return now }, Read: func(context.Context) (report.State, error) {
		return report.State{Input: health.Input{Settings: settings.Integration{Tenant: "t", ClientID: "c", TeamsToProCall: settings.Everyone}}}, nil
	}}
	tr.call(t.Context(), "upkeep", func(ctx context.Context) {
		if err := standing.Do(ctx); err != nil {
			t.Fatal(err)
		}
	})
	seen := map[string]bool{}
	for _, line := range tr.lines(t) {
		message := line["msg"].(string)
		seen[message] = true
		documented := table(t, "### `"+message+"`", 1)
		for field := range line {
			if _, ok := documented[field]; !ok && !slices.Contains(common, field) {
				t.Errorf("%s: %q is not documented", message, field)
			}
			delete(documented, field)
		}
		for field := range documented {
			t.Errorf("%s: the document has %q, the line does not", message, field)
		}
	}
	for _, message := range []string{"state", "finding", "span"} {
		if !seen[message] {
			t.Errorf("no line %q", message)
		}
	}
}

func TestEveryNoteIsDocumented(t *testing.T) {
	documented := map[string][]string{}
	for _, line := range section(t, "## Notes") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		message := code.FindStringSubmatch(cells[1])
		if message == nil {
			continue
		}
		for _, field := range code.FindAllStringSubmatch(cells[2], -1) {
			documented[message[1]] = append(documented[message[1]], field[1])
		}
		if documented[message[1]] == nil {
			documented[message[1]] = []string{}
		}
	}
	written := notes(t)
	if len(written) < 30 {
		t.Fatalf("found %d notes in the source", len(written))
	}
	for message, note := range written {
		if message == "" {
			t.Errorf("%s: a message is a literal: alert rules need its name", note.places[0])
			continue
		}
		want := slices.Sorted(maps.Keys(note.fields))
		got, ok := documented[message]
		slices.Sort(got)
		if !ok {
			t.Errorf("%s: add to %s, Notes: | `%s` | `%s` | when and why |", note.places[0], schema, message, strings.Join(want, "` `"))
		} else if !slices.Equal(got, want) {
			t.Errorf("%s: %q has the fields %q; %s says %q", note.places[0], message, want, schema, got)
		}
	}
	for message := range documented {
		if _, ok := written[message]; !ok {
			t.Errorf("%s, Notes: nothing writes %q", schema, message)
		}
	}
}

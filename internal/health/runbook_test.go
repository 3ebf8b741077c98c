package health_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// alone are the sections of the runbook that no finding leads to: alerts on what the
// bridge can't say of itself.
var alone = []string{"no-timers", "defect", "other-fault"}

// codes reads the codes of findings from this package's source.
func codes(t *testing.T) (codes []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "judge.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if constant, ok := node.(*ast.ValueSpec); ok && len(constant.Values) == 1 {
			if kind, ok := constant.Type.(*ast.Ident); ok && kind.Name == "Code" {
				code, err := strconv.Unquote(constant.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				codes = append(codes, code)
			}
		}
		return true
	})
	if len(codes) < 15 {
		t.Fatalf("found %d codes", len(codes))
	}
	return codes
}

func TestEveryFindingHasASectionInTheRunbook(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for _, heading := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(string(page), -1) {
		sections = append(sections, heading[1])
	}
	known := append(codes(t), alone...)
	for _, code := range known {
		if !slices.Contains(sections, code) {
			t.Errorf("docs/operations.md has no section %q: an alert links to it", code)
		}
	}
	for _, section := range sections {
		if !slices.Contains(known, section) {
			t.Errorf("docs/operations.md: there is no finding %q", section)
		}
	}
}

func TestTheContractKnowsEveryFinding(t *testing.T) {
	page, err := os.ReadFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes(t) {
		if !regexp.MustCompile(`(?m)^ +- ` + code + `$`).Match(page) {
			t.Errorf("api/openapi.yaml, FindingCode lacks %q", code)
		}
	}
}

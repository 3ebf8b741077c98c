package infra_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const alertRule = "Microsoft.Insights/scheduledQueryRules"

// condition is the one condition of an alert rule.
func condition(rule resource) map[string]any {
	all, _ := rule.at("criteria.allOf").([]any)
	if len(all) != 1 {
		return nil
	}
	only, _ := all[0].(map[string]any)
	return only
}

func TestEveryAlertReachesSomebodyAndSaysWhatToDo(t *testing.T) {
	runbook := anchors(t)
	for _, d := range deployments(t) {
		group := d.one(t, "Microsoft.Insights/actionGroups")
		receivers, _ := group.at("emailReceivers").([]any)
		if want := map[bool]int{true: 1, false: 2}[d.Name == "everything"]; len(receivers) != want || group.at("enabled") != true {
			t.Errorf("%s: %d receivers, enabled %v", d.Name, len(receivers), group.at("enabled"))
		}
		base := "docs/operations.md#"
		if d.Name == "everything" {
			base = "https://example.com/operations.md#"
		}
		insights := d.one(t, "Microsoft.Insights/components").ID
		for _, rule := range d.of(alertRule) {
			groups := texts(rule.at("actions.actionGroups"))
			if !slices.Contains(groups, group.ID) || d.Name == "everything" && len(groups) != 2 {
				t.Errorf("%s: %s goes to %v", d.Name, rule.Name, groups)
			}
			if rule.at("enabled") != true || rule.at("autoMitigate") != true || rule.Kind != "LogAlert" || condition(rule) == nil {
				t.Errorf("%s: %s is %s %v", d.Name, rule.Name, rule.Kind, rule.Properties)
			}
			// The component is known by reference only, when the rule is evaluated.
			if scopes := texts(rule.at("scopes")); len(scopes) != 1 || !strings.HasSuffix(scopes[0], ".outputs.insightsId.value]") && scopes[0] != insights {
				t.Errorf("%s: %s asks %v", d.Name, rule.Name, scopes)
			}
			description, _ := rule.at("description").(string)
			links := regexp.MustCompile(`\S+#\S+`).FindAllString(description, -1)
			if len(links) == 0 {
				t.Errorf("%s: %s links to no section: %q", d.Name, rule.Name, description)
			}
			for _, link := range links {
				section, ok := strings.CutPrefix(link, base)
				if !ok || !runbook[section] {
					t.Errorf("%s: %s links to %s, which docs/operations.md does not have", d.Name, rule.Name, link)
				}
			}
		}
	}
}

// anchors are the sections of docs/operations.md.
func anchors(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^#+ (.+)$").FindAllStringSubmatch(string(text), -1) {
		slug := regexp.MustCompile("[^a-z0-9 -]").ReplaceAllString(strings.ToLower(match[1]), "")
		found[strings.ReplaceAll(slug, " ", "-")] = true
	}
	for _, match := range regexp.MustCompile(`<a (?:id|name)="([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		found[match[1]] = true
	}
	return found
}

// What the handler finds about itself and calls a fault has to reach somebody.
func TestEveryFaultHasAnAlert(t *testing.T) {
	codes := findingCodes(t)
	for _, d := range deployments(t) {
		var named []string
		rest := false
		for _, rule := range d.of(alertRule) {
			text, _ := condition(rule)["query"].(string)
			if strings.Contains(text, "!in (") {
				rest = strings.Contains(text, "tobool(line.fault)")
				continue
			}
			if !strings.Contains(text, `msg == "finding"`) {
				continue
			}
			for _, match := range literal.FindAllStringSubmatch(text[strings.Index(text, "where code"):], -1) {
				if !slices.Contains(codes, match[1]) {
					t.Errorf("%s: %s waits for the finding %s, which the handler does not know", d.Name, rule.Name, match[1])
				}
				named = append(named, match[1])
			}
		}
		if !rest {
			t.Errorf("%s: a fault that no rule names is told to nobody", d.Name)
		}
		for _, want := range []string{"authorization-required-read", "authorization-required-write", "stale", "no-sync", "push-failing", "throttled", "credential-expiring"} {
			if !slices.Contains(named, want) {
				t.Errorf("%s: no rule for %s", d.Name, want)
			}
		}
	}
}

// A consent that Microsoft has yet to spread is a note: in minutes it is over by itself, and a
// mail about it would be one that needs nobody.
func TestWhatStopsADirectionAlertsOnlyAsAFault(t *testing.T) {
	for _, d := range deployments(t) {
		strict := 0
		for _, rule := range d.of(alertRule) {
			if rule.at("severity") != 1.0 {
				continue
			}
			strict++
			if text, _ := condition(rule)["query"].(string); !strings.Contains(text, "| where tobool(line.fault)\n") {
				t.Errorf("%s: %s fires for a note", d.Name, rule.Name)
			}
		}
		if strict != 4 {
			t.Errorf("%s: %d rules say that a direction is stopped; want 4", d.Name, strict)
		}
	}
}

// findingCodes are the constants of type Code in package health.
func findingCodes(t *testing.T) (codes []string) {
	t.Helper()
	paths, err := filepath.Glob("../internal/health/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || fmt.Sprint(spec.Type) != "Code" {
				return true
			}
			for _, value := range spec.Values {
				if text, ok := value.(*ast.BasicLit); ok {
					code, _ := strconv.Unquote(text.Value)
					codes = append(codes, code)
				}
			}
			return true
		})
	}
	if len(codes) < 15 {
		t.Fatalf("only the codes %v are found in package health", codes)
	}
	return codes
}

// All timers of an app have been seen dead while HTTP worked: that is told by lines that
// are missing.
func TestASilentBridgeIsAnAlert(t *testing.T) {
	for _, d := range deployments(t) {
		silent := 0
		for _, rule := range d.of(alertRule) {
			if c := condition(rule); c["operator"] == "LessThan" && c["threshold"] == 1.0 && c["timeAggregation"] == "Count" {
				silent++
				if rule.at("severity") != 0.0 || rule.at("windowSize") != "PT15M" {
					t.Errorf("%s: %s: severity %v, window %v", d.Name, rule.Name, rule.at("severity"), rule.at("windowSize"))
				}
			}
		}
		if silent != 1 {
			t.Errorf("%s: %d rules notice that lines are missing", d.Name, silent)
		}
	}
}

// page is a workbook, as far as the tests look into it.
type page struct {
	Version string
	Items   []struct {
		Type    int
		Content struct{ Title, Query, JSON string }
	}
}

func workbook(t *testing.T, d deployment) (p page) {
	t.Helper()
	text, _ := d.one(t, "Microsoft.Insights/workbooks").at("serializedData").(string)
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("%s: the workbook is no JSON: %v", d.Name, err)
	}
	return p
}

func TestTheWorkbookShowsLagAndChanges(t *testing.T) {
	for _, d := range deployments(t) {
		p := workbook(t, d)
		if p.Version != "Notebook/1.0" {
			t.Errorf("%s: version %q", d.Name, p.Version)
		}
		var all strings.Builder
		for _, item := range p.Items {
			all.WriteString(item.Content.Query)
			all.WriteString(item.Content.JSON)
		}
		for _, want := range []string{"line.asOfSeconds", "line.pushBehindSeconds", "line.ageMillisMax", "line.changes", "operations.md"} {
			if !strings.Contains(all.String(), want) {
				t.Errorf("%s: the workbook does not show %s", d.Name, want)
			}
		}
	}
}

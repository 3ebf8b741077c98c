package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDocumentIsWhatTheProgramPrints(t *testing.T) {
	want, err := document(public(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/cost.md is not what the program computes: make generate")
	}
}

func public(t *testing.T) prices {
	t.Helper()
	p, err := pricesIn("")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOnesOwnPricesAreUsedAndAListWithGapsIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prices.json")
	read := func(change func(string) string) (prices, error) {
		if err := os.WriteFile(file, []byte(change(string(publicList))), 0o600); err != nil {
			t.Fatal(err)
		}
		return pricesIn(file)
	}
	euros, err := read(func(list string) string {
		return strings.NewReplacer("US dollars", "euros", "East US", "West Europe", `"price": 157.7`, `"price": 1000`).Replace(list)
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := document(euros)
	if err != nil || strings.Contains(text, "dollars") || !strings.Contains(text, "| euros a month |") || !strings.Contains(text, "West Europe in euros") || !strings.Contains(text, "instead of Flex Consumption | 1020 |") {
		t.Errorf("with prices in euros: %v\n%s", err, text)
	}
	for want, change := range map[string][2]string{
		`price "nat" is negative, there twice`: {`"key": "zone"`, `"key": "nat"`},
		`price "gold" is`:                      {`"key": "zone"`, `"key": "gold"`},
		`price "queue" is negative`:            {`"price": 0.004,`, `"price": -1,`},
		`price "premium" is missing`:           {",\n    {\"key\": \"premium\", \"what\": \"Functions Elastic Premium EP1, one instance\", \"per\": \"month\", \"price\": 157.7, \"seen\": \"\"}", ""},
		`unknown field "usd"`:                  {`"price": 0.004,`, `"usd": 0.004,`},
	} {
		if _, err := read(func(list string) string { return strings.Replace(list, change[0], change[1], 1) }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("pricesIn() = %v; want %s", err, want)
		}
	}
}

func TestAmountsFollowFromTheScenario(t *testing.T) {
	a := standard(1_000, 5).month()
	if syncs := month / 5; a.graph < 2*syncs || a.graph > 3*syncs {
		t.Errorf("%.0f requests to Graph for %.0f syncs of two batches, and some writes", a.graph, syncs)
	}
	if a.baseline != 4*month*0.5 {
		t.Errorf("%.0f GB-s of waiting; want four groups of half a gigabyte", a.baseline)
	}
	if a.working > a.baseline {
		t.Errorf("%.0f GB-s of work in %.0f of readiness", a.working, a.baseline)
	}
	reading := func(interval float64) amounts {
		s := standard(1_000, interval)
		s.calls = false
		return s.month()
	}
	if quick, slow := reading(5), reading(60); slow.graph > quick.graph/6 || slow.table >= quick.table {
		t.Errorf("a twelfth of the syncs uses %.0f requests and %.0f operations instead of %.0f and %.0f", slow.graph, slow.table, quick.graph, quick.table)
	}
}

func TestALargeTenantIsSlowedToItsShareOfTheBudget(t *testing.T) {
	s := standard(100_000, 5)
	if got := s.month().interval; got != 5 {
		t.Errorf("with a budget of 10,000 the interval is %v", got)
	}
	s.budget = 1500
	if got := s.month().interval; math.Abs(got-154/15.0) > 0.01 {
		t.Errorf("with a budget of 1,500 the interval is %v s; 154 requests at 15 a second take 10.3", got)
	}
}

func TestWhatIsFreeCostsNothing(t *testing.T) {
	for _, i := range (amounts{onDemand: onDemandGBs, executions: onDemandRuns, onDemandRuns: onDemandRuns}).costs(public(t))[:8] {
		if i.money != 0 {
			t.Errorf("%s costs %v within the free grant", i.what, i.money)
		}
	}
}

func TestALongPollKeepsItsInstanceAtWork(t *testing.T) {
	s := standard(1_000, 5)
	pushed := s.month().working
	s.delivery = longPoll
	if polled := s.month().working; polled < pushed+0.5*month*s.memory {
		t.Errorf("%.0f GB-s instead of %.0f", polled, pushed)
	}
}

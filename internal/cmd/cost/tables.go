package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

var (
	sizes     = []int{100, 1_000, 10_000, 100_000}
	intervals = []float64{5, 10, 30, 60}
)

// table renders rows in Markdown; the first row is the title.
func table(rows ...[]string) string {
	var text strings.Builder
	for i, row := range rows {
		text.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			text.WriteString("|---|" + strings.Repeat("---:|", len(row)-1) + "\n")
		}
	}
	return text.String()
}

// monthly is money by size and interval.
func (p prices) monthly() string {
	rows := [][]string{{"people"}}
	for _, interval := range intervals {
		rows[0] = append(rows[0], "every "+seconds(interval))
	}
	for _, users := range sizes {
		row := []string{grouped(float64(users))}
		for _, interval := range intervals {
			row = append(row, whole(total(standard(users, interval).month().costs(p))))
		}
		rows = append(rows, row)
	}
	return table(rows...)
}

// parts is what the money is made of, every 5 seconds.
func (p prices) parts() string {
	rows := [][]string{{"part"}}
	var columns [][]item
	for _, users := range sizes {
		rows[0] = append(rows[0], grouped(float64(users)))
		columns = append(columns, standard(users, 5).month().costs(p))
	}
	for i, first := range columns[0] {
		row := []string{first.what}
		for _, column := range columns {
			row = append(row, fmt.Sprintf("%.2f", column[i].money))
		}
		rows = append(rows, row)
	}
	sum := []string{"**together**"}
	for _, column := range columns {
		sum = append(sum, fmt.Sprintf("**%.2f**", total(column)))
	}
	return table(append(rows, sum)...)
}

// quantities is what is used in a month, every 5 seconds.
func quantities() string {
	rows := [][]string{{"a month"}, {"effective interval"}, {"requests to Graph"}, {"executions"}, {"GB-s always ready, waiting"}, {"GB-s always ready, working"},
		{"GB-s on demand"}, {"table operations"}, {"queue operations"}, {"blob operations"}, {"logs, GB"}}
	for _, users := range sizes {
		a := standard(users, 5).month()
		for i, cell := range []string{
			grouped(float64(users)), seconds(a.interval), grouped(a.graph), grouped(a.executions), grouped(a.baseline), grouped(a.working), grouped(a.onDemand),
			grouped(a.table), grouped(a.queue), grouped(a.blobWrite + a.blobOther), fmt.Sprintf("%.2f", a.logGB),
		} {
			rows[i] = append(rows[i], cell)
		}
	}
	return table(rows...)
}

// choices is what else 1,000 people may cost.
func (p prices) choices() string {
	with := func(edit func(*scenario)) string {
		s := standard(1_000, 5)
		edit(&s)
		return whole(total(s.month().costs(p)))
	}
	base := total(standard(1_000, 5).month().costs(p))
	premium := p.of("premium")
	for _, i := range standard(1_000, 5).month().costs(p)[4:] { // all but Functions
		premium += i.money
	}
	private := base + 5*(p.of("endpoint")+p.of("zone"))
	return table(
		[]string{"1,000 people, every 5 s", p.Currency + " a month"},
		[]string{"standard: four always-ready groups, push, both directions", whole(base)},
		[]string{"small: nothing always ready; changes and calls may take two minutes when it was quiet", with(func(s *scenario) { s.alwaysReady = false })},
		[]string{"only Teams to ProCall", with(func(s *scenario) { s.calls = false })},
		[]string{"UCServer polls every 5 s instead of pushes", with(func(s *scenario) { s.delivery = poll })},
		[]string{"UCServer long-polls: its instance is at work all the time", with(func(s *scenario) { s.delivery = longPoll })},
		[]string{"instances of 2 GB", with(func(s *scenario) { s.memory = 2 })},
		[]string{"private network: five endpoints with their zones, besides", whole(private)},
		[]string{"… and one fixed address to the outside", whole(private + p.of("nat"))},
		[]string{"Elastic Premium, one EP1, instead of Flex Consumption", whole(premium)},
	)
}

// logTable is what is logged in a day.
func logTable() string {
	s := standard(10_000, 5)
	rows := [][]string{{"10,000 people, every 5 s", "records a day", "bytes each", "MB a day"}}
	lines, bytes := 0.0, 0.0
	for _, k := range s.logs(s.month().executions) {
		if k.lines == 0 {
			continue
		}
		size := k.bytes + envelope
		rows = append(rows, []string{k.name, grouped(k.lines), grouped(size), fmt.Sprintf("%.1f", k.lines*size/1e6)})
		lines += k.lines
		bytes += k.lines * size
	}
	return table(append(rows, []string{"**together**", grouped(lines), "", fmt.Sprintf("**%.1f**", bytes/1e6)})...)
}

func (p prices) list() string {
	rows := [][]string{{"what", p.Currency, "per", "last seen"}}
	for _, line := range p.Prices {
		rows = append(rows, []string{line.What, strconv.FormatFloat(line.Each, 'f', -1, 64), line.Per, cmp.Or(line.Seen, "from memory")})
	}
	return table(rows...)
}

func whole(n float64) string { return fmt.Sprintf("%.0f", n) }

func seconds(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) + " s" }

// grouped is a whole number with commas.
func grouped(n float64) string {
	text := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

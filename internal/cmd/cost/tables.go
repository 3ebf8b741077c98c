package main

import (
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

// monthly is dollars by size and interval.
func monthly() string {
	rows := [][]string{{"people"}}
	for _, interval := range intervals {
		rows[0] = append(rows[0], "every "+seconds(interval))
	}
	for _, users := range sizes {
		row := []string{grouped(float64(users))}
		for _, interval := range intervals {
			row = append(row, dollars(total(standard(users, interval).month().dollars(list))))
		}
		rows = append(rows, row)
	}
	return table(rows...)
}

// parts is what the dollars are made of, every 5 seconds.
func parts() string {
	rows := [][]string{{"part"}}
	var columns [][]item
	for _, users := range sizes {
		rows[0] = append(rows[0], grouped(float64(users)))
		columns = append(columns, standard(users, 5).month().dollars(list))
	}
	for i, first := range columns[0] {
		row := []string{first.what}
		for _, column := range columns {
			row = append(row, fmt.Sprintf("%.2f", column[i].usd))
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
func choices() string {
	with := func(edit func(*scenario)) string {
		s := standard(1_000, 5)
		edit(&s)
		return dollars(total(s.month().dollars(list)))
	}
	base := total(standard(1_000, 5).month().dollars(list))
	premium := list.premium.usd
	for _, i := range standard(1_000, 5).month().dollars(list)[4:] { // all but Functions
		premium += i.usd
	}
	return table(
		[]string{"1,000 people, every 5 s", "US dollars a month"},
		[]string{"standard: four always-ready groups, push, both directions", dollars(base)},
		[]string{"small: nothing always ready; changes and calls may take two minutes when it was quiet", with(func(s *scenario) { s.alwaysReady = false })},
		[]string{"only Teams to ProCall", with(func(s *scenario) { s.calls = false })},
		[]string{"UCServer polls every 5 s instead of pushes", with(func(s *scenario) { s.delivery = poll })},
		[]string{"UCServer long-polls: its instance is at work all the time", with(func(s *scenario) { s.delivery = longPoll })},
		[]string{"instances of 2 GB", with(func(s *scenario) { s.memory = 2 })},
		[]string{"private network: four endpoints, besides", dollars(base + 4*list.endpoint.usd)},
		[]string{"… and one fixed address to the outside", dollars(base + 4*list.endpoint.usd + list.nat.usd)},
		[]string{"Elastic Premium, one EP1, instead of Flex Consumption", dollars(premium)},
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

func priceTable() string {
	rows := [][]string{{"what", "US dollars", "per"}}
	for _, p := range list.all() {
		rows = append(rows, []string{p.what, strconv.FormatFloat(p.usd, 'f', -1, 64), p.unit})
	}
	return table(rows...)
}

func dollars(n float64) string { return fmt.Sprintf("%.0f", n) }

func seconds(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) + " s" }

// grouped is a whole number with commas.
func grouped(n float64) string {
	text := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

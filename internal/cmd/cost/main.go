// Command cost computes what the bridge costs, from stated assumptions, measured
// operations and a price list (docs/cost.md). It prints the document, or writes it to
// the file named by its argument.
//
//	cost [-prices FILE] [FILE]
//
// Prices are those of prices.json, or of a file of the same form: your agreement's, another
// region's or currency's.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"strings"
	"text/template"
)

//go:generate go run . ../../../docs/cost.md

//go:embed cost.md.tmpl
var source string

func main() {
	file := flag.String("prices", "", "compute with the price list in this file")
	flag.Parse()
	list, err := pricesIn(*file)
	var text string
	if err == nil {
		text, err = document(list)
	}
	if err == nil && flag.NArg() > 0 {
		err = os.WriteFile(flag.Arg(0), []byte(text), 0o644)
	} else if err == nil {
		fmt.Print(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

// document is docs/cost.md, with the prices of a list.
func document(p prices) (string, error) {
	page, err := template.New("cost").Parse(source)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = page.Execute(&out, map[string]string{
		"Currency": p.Currency, "Region": p.Region,
		"Monthly": p.monthly(), "Parts": p.parts(), "Amounts": quantities(), "Choices": p.choices(), "Logs": logTable(), "Prices": p.list(),
	})
	return out.String(), err
}

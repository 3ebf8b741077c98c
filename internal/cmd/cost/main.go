// Command cost computes what the bridge costs, from stated assumptions, measured
// operations and a price list (docs/cost.md). It prints the document, or writes it to
// the file named by its argument.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"strings"
	"text/template"
)

//go:generate go run . ../../../docs/cost.md

//go:embed cost.md.tmpl
var source string

func main() {
	text, err := document()
	if err == nil && len(os.Args) > 1 {
		err = os.WriteFile(os.Args[1], []byte(text), 0o644)
	} else if err == nil {
		fmt.Print(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

// document is docs/cost.md.
func document() (string, error) {
	page, err := template.New("cost").Parse(source)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = page.Execute(&out, map[string]string{
		"Monthly": monthly(), "Parts": parts(), "Amounts": quantities(), "Choices": choices(), "Logs": logTable(), "Prices": priceTable(),
	})
	return out.String(), err
}

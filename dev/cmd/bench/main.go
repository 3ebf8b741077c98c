// Command bench measures the budgets (make bench). Its last lines are one
// "budget <name> <measured> <limit> ok|over" each; it ends with 1 when something
// could not be measured.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"procallteams/dev/bench"
)

func main() {
	o := bench.Options{Log: os.Stderr}
	flag.BoolVar(&o.Quick, "quick", false, "measure less: at most 10,000 users, shorter runs")
	only := flag.String("only", "", `measure this alone, by words of the names, with commas between them: "memory,cold"`)
	flag.Parse()
	if *only != "" {
		o.Only = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	budgets, faults := bench.Run(ctx, o)
	for _, fault := range faults {
		fmt.Fprintln(os.Stderr, "bench:", fault)
	}
	for _, budget := range budgets {
		fmt.Println(budget)
	}
	if len(faults) > 0 {
		stop()
		os.Exit(1)
	}
}

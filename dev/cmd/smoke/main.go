// Command smoke runs the bridge end to end with faults and killed processes
// (make smoke). Its last line is one JSON object; it ends with 1 when anything
// was lost, reordered or against the HTTP contract, or when the run failed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"procallteams/dev/smoke"
)

func main() {
	o := smoke.Default
	o.Log = os.Stderr
	flag.IntVar(&o.Users, "users", o.Users, "users in the directory")
	flag.Float64Var(&o.Rate, "rate", o.Rate, "changes a second in Teams")
	flag.DurationVar(&o.Duration, "duration", o.Duration, "how long people move")
	flag.Uint64Var(&o.Seed, "seed", o.Seed, "decides users, movement and kills")
	flag.IntVar(&o.Kills, "kills", o.Kills, "how many processes are killed")
	flag.StringVar(&o.Schedule, "schedule", o.Schedule, "schedule of presencesync")
	logFile := flag.String("log", "", "file for what the host and the handlers print")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, o, *logFile))
}

func run(ctx context.Context, o smoke.Options, logFile string) int {
	if logFile != "" {
		file, err := os.Create(logFile)
		if err != nil {
			fmt.Fprintln(os.Stderr, "smoke:", err)
			return 1
		}
		defer file.Close()
		o.HostLog = file
	}
	report, err := smoke.Run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		return 1
	}
	line, err := json.Marshal(report)
	if err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		return 1
	}
	fmt.Println(string(line))
	if report.Failed() {
		return 1
	}
	return 0
}

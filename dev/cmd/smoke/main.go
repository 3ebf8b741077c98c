// Command smoke runs the bridge end to end with faults and killed processes
// (make smoke). Its last line is one JSON object; it ends with 1 when anything
// was lost, reordered or against the HTTP contract, when a call is shown wrong in
// the end, or when the run failed.
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
	flag.IntVar(&o.Calls, "calls", o.Calls, "how many people are on the phone at a time; 0 for none, and no writing")
	flag.Float64Var(&o.CallRate, "call-rate", o.CallRate, "begins and ends of calls a second")
	flag.IntVar(&o.Budget, "budget", o.Budget, "presence requests per 30 s that Graph allows")
	flag.BoolVar(&o.Disturb, "disturb", o.Disturb, "late writes, lost answers, a restart of UCServer")
	flag.DurationVar(&o.Hold, "hold", o.Hold, "for how long everything must be right in the end")
	flag.DurationVar(&o.Settle, "settle", o.Settle, "how long to wait for it")
	flag.DurationVar(&o.GraphLatency, "graph-latency", o.GraphLatency, "delay of every answer of Graph")
	flag.StringVar(&o.Schedule, "schedule", o.Schedule, "schedule of presencesync")
	flag.StringVar(&o.Dist, "dist", "", "folder that make build laid out, dist when empty")
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

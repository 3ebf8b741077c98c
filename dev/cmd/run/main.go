// Command run starts the local cloud and says where to click (make run). It ends
// with Ctrl+C and leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"procallteams/dev/cloud"
)

func main() {
	o := cloud.Options{Roster: true}
	flag.IntVar(&o.Port, "port", 7071, "port of the bridge on localhost; the next three are the simulators' pages; 0 takes free ones")
	flag.IntVar(&o.Users, "users", 40, "users in the directory")
	flag.Uint64Var(&o.Seed, "seed", 1, "decides users and movement")
	flag.StringVar(&o.Schedule, "schedule", "*/5 * * * * *", "schedule of presencesync")
	flag.StringVar(&o.DataDir, "data", "", "folder that keeps storage between runs; empty forgets it")
	flag.BoolVar(&o.Roster, "roster", true, "UCServer sends a list of its users, some of whom fit no account")
	flag.BoolVar(&o.PerGroup, "per-group", false, "one process per function group, as Flex Consumption does")
	rate := flag.Float64("move", 0, "changes a second in Teams from the start")
	fresh := flag.Bool("fresh", false, "leave the whole set-up to you; otherwise only the consents are left")
	log := flag.String("log", filepath.Join(".local", "run.log"), "file for the log of the host and the bridge; - prints it here, among the addresses")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := logged(ctx, o, *log, *rate, *fresh); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

// logged runs the cloud with its log in file, begun anew each time, so that the addresses
// stay in sight.
func logged(ctx context.Context, o cloud.Options, file string, rate float64, fresh bool) error {
	if file == "-" {
		o.Log = os.Stdout
		return run(ctx, o, rate, fresh)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	o.Log = log
	fmt.Println("The log goes to " + file + ".")
	err = run(ctx, o, rate, fresh)
	if err != nil {
		err = fmt.Errorf("%w (more in %s)", err, file)
	}
	return errors.Join(err, log.Close())
}

func run(ctx context.Context, o cloud.Options, rate float64, fresh bool) error {
	c, err := cloud.Start(ctx, o)
	if err != nil {
		return err
	}
	if !fresh {
		integration, err := c.Prepare(ctx)
		if err == nil {
			err = c.UCServer.Connect(c.URL, integration.Token)
		}
		if err != nil {
			_ = c.Stop()
			return err
		}
	}
	fmt.Print(c.Guide(ctx, !fresh))
	if rate > 0 {
		go c.Graph.Move(ctx, rate)
	}
	<-ctx.Done()
	return c.Stop()
}

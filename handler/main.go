// Command handler is the custom handler of the Functions app: it reads the app
// settings, builds the clients, and serves the functions. Called with arguments, it
// is the tool of package cmdline instead. No logic lives here.
package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	"procallteams/internal/cmdline"
	"procallteams/internal/host"
	"procallteams/internal/settings"
	"procallteams/internal/telemetry"
)

// gcPercent trades a little CPU for memory: instances are small and share theirs
// with the host. Measured at 100,000 users, while a snapshot is served and changes
// are pushed: 78 MiB resident instead of 115 with Go's own 100, and a sync takes the
// same CPU.
const gcPercent = 30

func main() {
	if len(os.Args) > 1 { // the host passes none
		os.Exit(cmdline.Run(os.Args[1:], buildVersion(), os.Stdout, os.Stderr))
	}
	debug.SetGCPercent(gcPercent)
	// Lines on standard output are Information for the host, whatever they say;
	// the level inside is ours.
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	err := serve(log)
	log.Error("handler ended", "error", err.Error())
	os.Exit(1) // never 0: the host would not start it again
}

// serve listens before anything slow happens: every client connects at its first
// use, so that the readiness probe is answered even while Azure is not reachable.
func serve(log *slog.Logger) error {
	log.Info("started", "version", buildVersion())
	meter := telemetry.NewMeter(log)
	defer meter.Flush()
	h := host.New(log)
	h.Trace(telemetry.NewTracer(log, meter))
	bootstrap, err := settings.Load(os.Environ())
	if err == nil {
		for _, warning := range bootstrap.Warnings {
			log.Warn("app settings", "warning", warning)
		}
		if proxy := bootstrap.Proxy; proxy.On() {
			log.Info("outbound proxy", "address", proxy.Address.String(), "source", proxy.Source)
		}
		var bodies functions
		if bodies, err = wire(bootstrap, log, meter); err == nil {
			bodies.register(h)
			return h.Serve(context.Background(), os.Getenv)
		}
	}
	log.Error("refusing every call", "error", err.Error())
	refusing(err, log).register(h)
	return h.Serve(context.Background(), os.Getenv)
}

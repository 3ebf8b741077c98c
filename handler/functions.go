package main

import (
	"context"
	"log/slog"
	"net/http"

	"procallteams/functions/health"
	"procallteams/internal/host"
	"procallteams/internal/problem"
	"procallteams/internal/storage"
)

// functions are the bodies of everything under functions/.
type functions struct {
	consentStart, consentCallback, console, credentials http.Handler
	health, integration, status                         http.Handler
	presenceSnapshot, presenceChanges, telephony, users http.Handler
	directory, userMatching                             http.Handler

	presenceSync, directorySync, upkeep func(context.Context, host.Tick) error
	presencePush, presenceSet           func(context.Context, []byte) error
}

// register is the one table that names, routes and bindings live in beside
// function.json; a test holds the two together.
func (f functions) register(h *host.Host) {
	h.HTTP("consentstart", "req", "consent/{grant}", f.consentStart)
	h.HTTP("consentcallback", "req", "consent/{grant}/callback", f.consentCallback)
	h.HTTP("console", "req", "console/{*page}", f.console)
	h.HTTP("credentials", "req", "credentials", f.credentials)
	h.HTTP("health", "req", "health", f.health)
	h.HTTP("integration", "req", "integration", f.integration)
	h.HTTP("presencechanges", "req", "v1/presence/changes", f.presenceChanges)
	h.HTTP("presencesnapshot", "req", "v1/presence", f.presenceSnapshot)
	h.HTTP("status", "req", "status", f.status)
	h.HTTP("telephony", "req", "v1/telephony", f.telephony)
	h.HTTP("users", "req", "v1/users", f.users)
	h.HTTP("directory", "req", "v1/directory", f.directory)
	h.HTTP("usermatching", "req", "usermatching", f.userMatching)
	h.Timer("directorysync", "timer", f.directorySync)
	h.Timer("presencesync", "timer", f.presenceSync)
	h.Timer("upkeep", "timer", f.upkeep)
	h.Queue("presencepush", "wakeup", storage.PresencePushQueue, f.presencePush)
	h.Queue("presenceset", "wakeup", storage.PresenceSetQueue, f.presenceSet)
}

// refusing are functions that all refuse with the faults of the app settings,
// so that the host stays up and whoever looks anywhere learns the reason.
func refusing(faults error, log *slog.Logger) functions {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, problem.Details{
			Type: "/problems/settings-fault", Title: "The bridge can't start with these settings", Status: http.StatusServiceUnavailable,
			Detail: faults.Error(), NextStep: "Correct the app settings named here; the bridge restarts by itself.", Who: "administrator",
			Invocation: host.Invocation(r.Context()),
		})
	})
	tick := func(ctx context.Context, _ host.Tick) error { return faults }
	// Once a minute, so that the alert stays until the settings are mended: a process
	// that lives long would say it at its start alone.
	reminder := func(ctx context.Context, _ host.Tick) error {
		host.Log(ctx, log).Error("refusing every call", "error", faults.Error())
		return faults
	}
	// A wake-up may be lost, upkeep finds the work again: failing here would only move
	// it to the poison queue.
	wakeUp := func(ctx context.Context, _ []byte) error {
		host.Log(ctx, log).Error("wake-up refused", "error", faults.Error())
		return nil
	}
	return functions{
		consentStart: refuse, consentCallback: refuse, console: refuse, credentials: refuse,
		health: health.Function{Version: buildVersion()}.Faulty(faults), integration: refuse, status: refuse, presenceSnapshot: refuse, presenceChanges: refuse,
		presenceSync: tick, directorySync: tick, upkeep: reminder,
		telephony: refuse, users: refuse, directory: refuse, userMatching: refuse,
		presencePush: wakeUp, presenceSet: wakeUp,
	}
}

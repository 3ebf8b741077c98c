package main

import (
	"context"
	"net/http"

	"procallteams/internal/build"
	"procallteams/internal/host"
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
	h.HTTP("health", "req", "health", build.Named(buildVersion(), f.health))
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

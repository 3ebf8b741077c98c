package main

import (
	"context"
	"log/slog"
	"net/http"

	"procallteams/functions/health"
	"procallteams/internal/host"
	"procallteams/internal/page"
	"procallteams/internal/problem"
)

// refusal is what a browser is shown instead of problem details.
var refusal = page.Parse("refusal", `{{define "refusal"}}<p class="notice bad" role="alert">{{sentence .Detail}}</p>
<p>{{.NextStep}} They stand in the Azure portal, at the function app under <em>Settings</em>, <em>Environment variables</em>; whoever runs the function app in Azure may change them.</p>{{end}}`)

// refusing are functions that all refuse with the faults of the app settings,
// so that the host stays up and whoever looks anywhere learns the reason.
func refusing(faults error, log *slog.Logger) functions {
	details := problem.Details{
		Type: "/problems/settings-fault", Title: "The bridge can't start with these settings", Status: http.StatusServiceUnavailable,
		Detail: faults.Error(), NextStep: "Correct the app settings named here; the bridge restarts by itself.", Who: "operator",
	}
	shown := page.Page{Title: details.Title, Body: page.Execute(refusal, "refusal", details)}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page.Wanted(r) {
			page.Render(w, details.Status, shown)
			return
		}
		answer := details
		answer.Invocation = host.Invocation(r.Context())
		problem.Write(w, answer)
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

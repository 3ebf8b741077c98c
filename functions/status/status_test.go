package status_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procallteams/functions/status"
	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/health"
	"procallteams/internal/report"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// ask asks for the status of what was read.
func ask(t *testing.T, in health.Input, caller access.Caller) map[string]any {
	t.Helper()
	f := status.Function{
		Read: func(context.Context) (report.State, error) { return report.State{Input: in}, nil },
		Consumers: func(context.Context) ([]access.Credential, error) {
			return []access.Credential{{ID: "a1", Name: "UCServer Berlin"}}, nil
		},
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	}
	w := httptest.NewRecorder()
	f.ServeCaller(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/status", nil), caller)
	if w.Code != http.StatusOK {
		t.Fatalf("status answers %d %s", w.Code, w.Body)
	}
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestHowCallsComeToTeamsIsShown(t *testing.T) {
	in := health.Input{
		Settings:  settings.Integration{Tenant: "t", ClientID: "c", TeamsToProCall: settings.Everyone, ProCallToTeams: settings.Everyone},
		Heartbeat: health.Heartbeat{Hidden: 2},
		Writer:    session.Writer{LastWrite: now.Add(-time.Minute), Held: 7, Waiting: 1, Refused: 3, Due: 4},
		Reporters: calls.Reporters{
			"a1": {ID: "a1", Epoch: 5, Generation: 2, Need: calls.NeedExpired, NeedSince: now.Add(-time.Minute), Seen: now.Add(-6 * time.Minute), Until: now.Add(-time.Minute), Ended: 9},
			"b2": {ID: "b2", Epoch: 1, Seen: now, Until: now.Add(5 * time.Minute)},
		},
		DueSince: now.Add(-3 * time.Second),
	}
	want := map[string]any{
		"lastWrite": "2026-11-25T11:59:00Z", "held": 7., "waiting": 1., "hidden": 2., "refused": 3., "due": 4., "dueSince": "2026-11-25T11:59:57Z",
		"reporters": []any{
			map[string]any{
				"id": "a1", "name": "UCServer Berlin", "epoch": 5., "seen": "2026-11-25T11:54:00Z", "until": "2026-11-25T11:59:00Z",
				"need": "lease-expired", "needSince": "2026-11-25T11:59:00Z", "ended": 9.,
			},
			map[string]any{"id": "b2", "epoch": 1., "seen": "2026-11-25T12:00:00Z", "until": "2026-11-25T12:05:00Z"},
		},
	}
	if diff := cmp.Diff(want, ask(t, in, access.Caller{Administrator: "ada"})["writing"]); diff != "" {
		t.Errorf("writing (-want +got):\n%s", diff)
	}
	reduced, err := json.Marshal(ask(t, in, access.Caller{}))
	if err != nil || strings.Contains(string(reduced), "Berlin") || !strings.Contains(string(reduced), `"held":7`) {
		t.Errorf("a monitor sees %s, %v", reduced, err)
	}
}

func TestWritingIsShownWhileSomethingMayBeLeftOfIt(t *testing.T) {
	off := health.Input{Settings: settings.Integration{Tenant: "t", ClientID: "c", TeamsToProCall: settings.Everyone}}
	if shown, ok := ask(t, off, access.Caller{Administrator: "ada"})["writing"]; ok {
		t.Errorf("never switched on: %v", shown)
	}
	off.Writer.Held = 1
	if _, ok := ask(t, off, access.Caller{Administrator: "ada"})["writing"]; !ok {
		t.Error("one session is left in Teams, and the status says nothing of it")
	}
}

func TestEachConsentTellsItsHistoryAndWhoWouldStandIn(t *testing.T) {
	rita := consent.Account{ObjectID: "oid-rita", UPN: "rita@contoso.com", Name: "Rita"}
	in := health.Input{
		Settings: settings.Integration{Tenant: "t", ClientID: "c"},
		Grants: []consent.Grant{
			{
				Kind: consent.Admin, ClientID: "c", State: consent.Granted, Permissions: []string{"Presence.ReadWrite.All", "Mail.Read"},
				CredentialKind: settings.SecretInKeyVault, CredentialEnds: now.Add(99 * 24 * time.Hour),
			},
			{Kind: consent.User, ClientID: "c", State: consent.Granted, Account: rita, SecretVersion: "v1"},
			{
				Kind: consent.User, ClientID: "c", State: consent.Reauthorize, Class: aadsts.Reauthorize, Code: "AADSTS50173", Account: consent.Account{ObjectID: "oid-sven"}, SecretVersion: "v1",
				History: []consent.Transition{{At: now.Add(-time.Hour), To: consent.Granted}, {At: now, From: consent.Granted, To: consent.Reauthorize, Code: "AADSTS50173", TraceID: "trace-1"}},
			},
		},
	}
	answer := ask(t, in, access.Caller{Administrator: "ada"})
	var sven, admin map[string]any
	for _, g := range answer["grants"].([]any) {
		g := g.(map[string]any)
		if g["code"] == "AADSTS50173" {
			sven = g
		}
		if g["kind"] == "admin" {
			admin = g
		}
	}
	history := sven["history"].([]any)
	if first := history[0].(map[string]any); len(history) != 2 || first["to"] != "reauthorize" || first["traceId"] != "trace-1" {
		t.Errorf("history = %v; want the newest first", history)
	}
	advice := sven["advice"].(map[string]any)
	if en, de := advice["en"].(map[string]any), advice["de"].(map[string]any); en["action"] == "" || de["action"] == "" || en["action"] == de["action"] {
		t.Errorf("advice = %v; want it in English and German", advice)
	}
	if cmp.Diff(admin["missing"], []any{"User.Read.All"}) != "" || cmp.Diff(admin["superfluous"], []any{"Mail.Read"}) != "" || admin["credential"] != "secret" || admin["credentialEnds"] == nil {
		t.Errorf("admin consent = %v", admin)
	}
	want := map[string]any{
		"carrier": map[string]any{"kind": "admin"}, "standby": map[string]any{"kind": "user", "account": map[string]any{"objectId": "oid-rita", "upn": "rita@contoso.com", "name": "Rita"}},
		"ifItFailed": "If it failed, reading would go on within the same sync, by the sign-in of Rita.",
	}
	carried := answer["carried"].(map[string]any)
	if diff := cmp.Diff(want, carried["reading"]); diff != "" {
		t.Errorf("reading (-want +got):\n%s", diff)
	}
	if writing := carried["writing"].(map[string]any); writing["standby"] != nil || !strings.Contains(writing["ifItFailed"].(string), "would stop") {
		t.Errorf("writing = %v", writing)
	}
	reduced, err := json.Marshal(ask(t, in, access.Caller{}))
	if err != nil || strings.Contains(strings.ToLower(string(reduced)), "rita") || strings.Contains(string(reduced), "trace-1") || strings.Contains(string(reduced), "Mail.Read") {
		t.Errorf("a monitor sees %s, %v", reduced, err)
	}
}

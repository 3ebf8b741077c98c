package graph_test

import (
	"net/http"
	"slices"
	"testing"

	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/telemetry/metertest"
)

func TestTracesNameNobody(t *testing.T) {
	c := writable(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	ctx, trace := metertest.NewTrace(t)
	token := secret.New("token")
	for _, write := range writes(ctx, c, token) {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = c.Presences(ctx, token, []presence.UserID{person}) // what it answers does not matter here
	want := []string{
		"graph POST /users/{}/presence/setPresence", "graph POST /users/{}/presence/clearPresence",
		"graph POST /users/{}/presence/setUserPreferredPresence", "graph POST /users/{}/presence/clearUserPreferredPresence",
		"graph POST /communications/getPresencesByUserId",
	}
	if got := trace.Requests(); !slices.Equal(got, want) {
		t.Errorf("requests = %q; want %q", got, want)
	}
}

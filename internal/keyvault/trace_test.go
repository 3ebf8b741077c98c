package keyvault_test

import (
	"slices"
	"testing"

	"procallteams/internal/telemetry/metertest"
)

func TestTracesDoNotNameSecrets(t *testing.T) {
	w := start(t)
	ctx, trace := metertest.NewTrace(t)
	_, _, _ = w.bridge.Get(ctx, "refresh-fa8bf3dc-eca7-46b7-bad1-db199b62afc3") // there is none
	want := []string{"keyvault GET /secrets/{}", "identity GET /{}/token", "keyvault GET /secrets/{}"}
	if got := trace.Requests(); !slices.Equal(got, want) {
		t.Errorf("requests = %q; want %q", got, want)
	}
}

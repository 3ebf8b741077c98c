package entra_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"procallteams/internal/entra"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/outbound"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// TestWhatStandsInTheWayIsSaidAndIsNoRefusal holds each call to that, since each
// goes through another library.
func TestWhatStandsInTheWayIsSaidAndIsNoRefusal(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := gone.Addr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	proxy, err := settings.ParseProxy("svc:s3cret@" + address)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Source = "OUTBOUND_PROXY"
	network, err := outbound.New(outbound.Config{Proxy: proxy})
	if err != nil {
		t.Fatal(err)
	}
	c := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: "https://login.contoso.test", Graph: graph}, HTTP: network.Client()}
	_, discovered := c.Discover(t.Context(), tenant)
	_, refreshed := c.Refresh(t.Context(), app, secret.New("a-refresh-token"))
	_, issued := c.AppToken(t.Context(), app)
	for name, err := range map[string]error{"Discover": discovered, "Refresh": refreshed, "AppToken": issued} {
		refusal, ok := errors.AsType[*aadsts.Error](err)
		if !ok || refusal.Permanent() {
			t.Errorf("%s: %v; want a refusal that passes by itself", name, err)
			continue
		}
		if text := refusal.Error(); !strings.Contains(text, "the proxy "+address+" (OUTBOUND_PROXY) can't be reached: it refuses the connection") || strings.Contains(text, "s3cret") {
			t.Errorf("%s: %s", name, text)
		}
		if !strings.HasPrefix(refusal.Step, "See whether it runs") {
			t.Errorf("%s: step %q", name, refusal.Step)
		}
	}
}

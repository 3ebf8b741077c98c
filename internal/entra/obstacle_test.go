package entra_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
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

func TestAPauseIsReadInBothFormsAndBounded(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "86400": 10 * time.Minute, now.Add(2 * time.Minute).Format(http.TimeFormat): 2 * time.Minute,
		now.AddDate(1, 0, 0).Format(http.TimeFormat): 10 * time.Minute, now.Add(-time.Hour).Format(http.TimeFormat): 0, "soon": 0, "-5": 0,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusBadRequest) // which nobody sends again
		}))
		c := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: server.URL}, Now: func() time.Time { return now }}
		_, err := c.Discover(t.Context(), tenant)
		server.Close()
		if refused, ok := errors.AsType[*entra.Error](err); !ok || refused.Wait != want {
			t.Errorf("Retry-After %q: %v, pause %s; want %s", text, err, refused.Wait, want)
		}
	}
}

func TestWhatEntraPublishesOfAnotherTenantIsNotTaken(t *testing.T) {
	const another = "99999999-0000-4000-8000-000000000000"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base := "https://" + r.Host + "/" + another
		_, _ = w.Write([]byte(`{"issuer":"` + base + `/v2.0","authorization_endpoint":"` + base + `/a","token_endpoint":"` + base + `/t","jwks_uri":"` + base + `/k"}`))
	}))
	defer server.Close()
	c := &entra.Client{Cloud: settings.Cloud{Name: "public", Authority: server.URL}, HTTP: server.Client()}
	if found, err := c.Discover(t.Context(), tenant); err == nil {
		t.Errorf("asked for %s, got %s", tenant, found.ID)
	}
	if id, err := c.ResolveTenant(t.Context(), "contoso.com"); err != nil || id != another {
		t.Errorf("a domain = %s, %v; want the tenant that it belongs to", id, err)
	}
}

func TestWhatEntraPublishesIsReadOnceAnHour(t *testing.T) {
	c, sim := start(t)
	now := time.Now()
	c.Now = func() time.Time { return now }
	for _, want := range []int{1, 1, 2} {
		if _, err := c.Discover(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		if n := sim.Requests(devEntra.EndpointDiscovery); n != want {
			t.Errorf("read %d times; want %d", n, want)
		}
		now = now.Add(31 * time.Minute)
	}
}

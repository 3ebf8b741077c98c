package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"procallteams/dev/azurite"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/ucserver"
)

// refusingProxy lets nobody through and remembers whom it was asked for.
type refusingProxy struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]bool
}

func newRefusingProxy(t *testing.T) *refusingProxy {
	p := &refusingProxy{seen: map[string]bool{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen[strings.TrimSuffix(r.Host, ":443")] = true
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(p.Close)
	return p
}

// asked is whom the proxy was asked for since the last call.
func (p *refusingProxy) asked() (hosts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for host := range p.seen {
		hosts = append(hosts, host)
	}
	clear(p.seen)
	slices.Sort(hosts)
	return hosts
}

// through are clients with these app settings.
func through(t *testing.T, environ ...string) clients {
	t.Helper()
	b, err := settings.Load(append([]string{
		"BRIDGE_PUBLIC_URL=http://localhost:7071", "PRESENCE_SYNC_SCHEDULE=*/5 * * * * *", "KEY_VAULT_URI=https://vault.contoso.test",
		"AzureWebJobsStorage=" + azurite.ForTest(t).ConnectionString(),
		"ENTRA_AUTHORITY=https://login.contoso.test", "GRAPH_ENDPOINT=https://graph.contoso.test",
	}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(b, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEachClientGoesItsWay(t *testing.T) {
	p := newRefusingProxy(t)
	address := p.Listener.Addr().String()
	// A name, as of a sidecar: only being told apart keeps it from the proxy.
	t.Setenv("IDENTITY_ENDPOINT", "http://identity.invalid:8081/msi/token")
	t.Setenv("IDENTITY_HEADER", "header")
	push := ucserver.Delivery{URL: "https://ucserver.contoso.test/push", ID: "1", Body: []byte("{}"), Secret: secret.New("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")}
	everything := func(c clients) {
		t.Helper()
		// Each tries again for longer than anybody wants to wait here.
		for _, call := range []func(context.Context){
			func(ctx context.Context) { _, _ = c.entra.Discover(ctx, "contoso.test") },
			func(ctx context.Context) {
				_, _ = c.graph.Presences(ctx, secret.New("token"), []presence.UserID{noOne})
			},
			func(ctx context.Context) { _, _, _ = c.vault.Get(ctx, "setup-code") },
			func(ctx context.Context) {
				_, _ = c.identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			call(ctx)
			cancel()
		}
		if outcome := c.pusher().Sender.Push(t.Context(), push); outcome.Code != "proxy-refuses" || !strings.Contains(outcome.Reason, "the proxy "+address) {
			t.Errorf("push: %+v", outcome)
		}
		if _, err := c.settings.Tenant(t.Context()); err != nil {
			t.Errorf("storage on loopback: %v", err)
		}
	}

	everything(through(t, "OUTBOUND_PROXY="+address))
	if got := p.asked(); !slices.Equal(got, []string{"graph.contoso.test", "login.contoso.test", "ucserver.contoso.test", "vault.contoso.test"}) {
		t.Errorf("the proxy was asked for %q", got)
	}

	everything(through(t, "OUTBOUND_PROXY=svc:s3cret@"+address, "OUTBOUND_PROXY_BYPASS=graph.contoso.test"))
	if got := p.asked(); !slices.Equal(got, []string{"login.contoso.test", "ucserver.contoso.test", "vault.contoso.test"}) {
		t.Errorf("with an exception the proxy was asked for %q", got)
	}

	// The password lies in Key Vault: that is reached directly, and nobody is sent
	// through the proxy without it.
	c := through(t, "OUTBOUND_PROXY=svc@"+address, "KEY_VAULT_URI=https://0.0.0.0:1") // nobody, and no loopback for a proxy
	err := c.network.Reach(t.Context(), "https://login.contoso.test")
	if err == nil || !strings.Contains(err.Error(), `wants a password for "svc", which can't be read: read secret proxy-password: Key Vault does not answer: dial tcp 0.0.0.0:1: connect: connection refused`) {
		t.Errorf("without a password: %v", err)
	}
	if got := p.asked(); len(got) > 0 {
		t.Errorf("without a password the proxy was asked for %q", got)
	}
}

func TestTheCheckSaysWhatTheProxySays(t *testing.T) {
	p := newRefusingProxy(t)
	c := through(t, "OUTBOUND_PROXY="+p.Listener.Addr().String())
	if _, err := c.proxyReaches(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses to connect to login.contoso.test (403)") {
		t.Errorf("proxyReaches() = %v", err)
	}
	for _, tt := range []struct{ setting, says string }{
		{"OUTBOUND_PROXY=", "no proxy is set"},
		{"OUTBOUND_PROXY_BYPASS=.contoso.test", "exceptions from the proxy"},
	} {
		if _, err := through(t, "OUTBOUND_PROXY=p:1", tt.setting).proxyReaches(t.Context()); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: proxyReaches() = %v", tt.setting, err)
		}
	}
}

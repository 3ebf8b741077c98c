package cloud_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"procallteams/dev/cloud"
	"procallteams/dev/squid"
)

const proxiedDomain = "contoso.test"

// behind starts a cloud whose Entra, Graph and UCServer only a proxy finds.
func behind(t *testing.T, o squid.Options, setting func(address string) string) (*cloud.Cloud, *squid.Proxy) {
	t.Helper()
	o.Names = cloud.Names(proxiedDomain)
	p, err := squid.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	c := start(t, cloud.Options{
		Users: 5, Members: true, Schedule: "* * * * * *", Domain: proxiedDomain,
		Settings: map[string]string{"OUTBOUND_PROXY": setting(p.Address)},
	})
	return c, p
}

// proxyCheck runs the check and returns what it says about the proxy.
func proxyCheck(t *testing.T, c *cloud.Cloud, b *cloud.Browser) (ok bool, detail string) {
	t.Helper()
	var report struct {
		Checks []struct {
			Name, Detail, NextStep string
			OK                     bool
		}
	}
	if err := c.API(t.Context(), b, http.MethodPost, "status", map[string]any{}, &report); err != nil {
		t.Fatal(err)
	}
	for _, check := range report.Checks {
		if check.Name == "Outbound proxy" {
			return check.OK, strings.TrimSpace(check.Detail + " " + check.NextStep)
		}
	}
	t.Fatalf("the check says nothing of the proxy: %+v", report)
	return false, ""
}

// bridgeStatus is what these tests read of GET status.
type bridgeStatus struct {
	Sync     struct{ Error, ErrorCode string }
	Grants   []struct{ Kind, State string }
	Outbound struct {
		Proxy struct{ Address, User, Source string }
	}
}

// tunnels are the hosts that were reached through the proxy, with the user. The
// cloud is stopped before: a tunnel is written down when it ends.
func tunnels(t *testing.T, c *cloud.Cloud, p *squid.Proxy) (reached []string) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	p.Halt()
	log, err := p.Log()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range log {
		host, _, _ := strings.Cut(r.Host, ":")
		if r.Method != http.MethodConnect || !slices.Contains(cloud.Names(proxiedDomain), host) {
			t.Errorf("the proxy was asked for %s %s, which never goes there", r.Method, r.Host)
		}
		if line := host + " " + r.User; r.Status == "200" && !slices.Contains(reached, line) {
			reached = append(reached, line)
		}
	}
	slices.Sort(reached)
	return reached
}

func TestThroughAProxyGoesWhatIsOutsideAndNothingElse(t *testing.T) {
	c, p := behind(t, squid.Options{}, func(address string) string { return address })
	integration, err := c.Integrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "presences arrive by push", func() bool { return len(c.UCServer.State(false).Push.People) >= 5 })
	if ok, detail := proxyCheck(t, c, integration.Browser); !ok || detail != "login.contoso.test and graph.contoso.test reached through http://"+p.Address+", from OUTBOUND_PROXY" {
		t.Errorf("the check says %t, %s", ok, detail)
	}
	status := func() (s bridgeStatus) {
		if err := c.API(t.Context(), integration.Browser, http.MethodGet, "status", nil, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := status(); s.Outbound.Proxy.Address != "http://"+p.Address || s.Outbound.Proxy.Source != "OUTBOUND_PROXY" {
		t.Errorf("status says %+v", s.Outbound)
	}

	// A proxy that is away is named, and is no reason to doubt a consent.
	p.Halt()
	want := "the proxy " + p.Address + " (OUTBOUND_PROXY) can't be reached: it refuses the connection"
	wait(t, "status names the proxy", func() bool { return strings.Contains(status().Sync.Error, want) })
	for _, grant := range status().Grants {
		if grant.State != "granted" {
			t.Errorf("the %s consent is %s, because of a proxy", grant.Kind, grant.State)
		}
	}
	if ok, detail := proxyCheck(t, c, integration.Browser); ok || !strings.Contains(detail, want) {
		t.Errorf("the check says %t, %s", ok, detail)
	}
	if got := tunnels(t, c, p); !slices.Equal(got, []string{"graph.contoso.test -", "login.contoso.test -", "ucserver.contoso.test -"}) {
		t.Errorf("through the proxy went %q", got)
	}
}

func TestAProxyThatWantsAPasswordGetsItFromKeyVault(t *testing.T) {
	c, p := behind(t, squid.Options{User: "svc", Password: "p@ss#1"}, func(address string) string { return "svc@" + address })
	c.Vault.Set("proxy-password", "an old one")
	code, err := c.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := cloud.NewBrowser(nil)
	page, err := b.Open(t.Context(), c.URL+"/api/console")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Fill(t.Context(), page, url.Values{"code": {code}}); err != nil {
		t.Fatal(err)
	}
	if ok, detail := proxyCheck(t, c, b); ok || !strings.Contains(detail, `does not accept the user "svc" with its password (407) Store the right password in Key Vault as the secret proxy-password`) {
		t.Errorf("with a wrong password the check says %t, %s", ok, detail)
	}

	// A wrong password is not tried again for a minute; a new process begins anew.
	c.Vault.Set("proxy-password", "p@ss#1")
	for _, process := range c.Host.Processes() {
		if err := syscall.Kill(process.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "the bridge starts again", func() bool {
		_, err := cloud.NewBrowser(nil).Open(t.Context(), c.URL+"/api/console")
		return err == nil
	})
	integration, err := c.Integrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "presences arrive by push", func() bool { return len(c.UCServer.State(false).Push.People) >= 5 })
	if ok, detail := proxyCheck(t, c, integration.Browser); !ok || !strings.Contains(detail, " as svc, from OUTBOUND_PROXY") {
		t.Errorf("the check says %t, %s", ok, detail)
	}
	if got := tunnels(t, c, p); !slices.Equal(got, []string{"graph.contoso.test svc", "login.contoso.test svc", "ucserver.contoso.test svc"}) {
		t.Errorf("through the proxy went %q", got)
	}
}

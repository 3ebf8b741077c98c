package presencesync_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	simulated "procallteams/dev/graph"
	devVault "procallteams/dev/keyvault"
	"procallteams/internal/appcredential"
	"procallteams/internal/consent"
	"procallteams/internal/entra"
	"procallteams/internal/graph"
	"procallteams/internal/keyvault"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// granted is an office whose tokens come from real consents at a simulated Entra.
type granted struct {
	*office
	entra   *devEntra.Simulator
	client  string
	service *consent.Service
	// refuses is what Graph answers to an account's tokens: 0, 401 or 403. The empty
	// account is the app.
	refuses map[string]int
}

const (
	bridge   = "https://bridge.contoso.com"
	resource = "https://graph.microsoft.com"
)

// anybody opens the simulated vault.
type anybody struct{}

func (anybody) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// newGranted opens an office in which nobody has consented yet.
func newGranted(t *testing.T) *granted {
	t.Helper()
	g := &granted{office: newOffice(t), client: uuid.NewString(), refuses: map[string]int{}}
	clock := func() time.Time { return g.now }
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	g.entra, err = devEntra.New(devEntra.Config{Now: clock})
	fatal(err)
	vault := devVault.New(devVault.Config{Now: clock, VerifyToken: func(string) error { return nil }})
	back, front, vaultServer := httptest.NewTLSServer(g.entra), httptest.NewServer(g.entra), httptest.NewTLSServer(vault)
	t.Cleanup(func() { back.Close(); front.Close(); vaultServer.Close() })
	g.entra.SetURLs(front.URL, back.URL)
	vault.SetURLs(back.URL+"/"+g.tenant, devVault.ResourceFor(strings.TrimPrefix(vaultServer.URL, "https://")))
	fatal(g.entra.AddTenant(devEntra.Tenant{ID: g.tenant, Domain: "contoso.com"}))
	secretText := rand.Text()
	fatal(g.entra.AddApp(devEntra.App{
		TenantID: g.tenant, ClientID: g.client, Name: "bridge", Secret: secretText, RedirectURIs: []string{bridge + "/api/consent/user/callback"},
		Delegated: []string{"Presence.Read.All", "User.ReadBasic.All"}, Application: []string{"Presence.ReadWrite.All", "User.Read.All"},
	}))
	address, err := url.Parse(vaultServer.URL)
	fatal(err)
	secrets, err := keyvault.Open(address, anybody{}, vaultServer.Client())
	fatal(err)
	public, err := url.Parse(bridge)
	fatal(err)
	cloud := settings.Cloud{Name: "public", Authority: back.URL, Graph: resource}
	client := &entra.Client{Cloud: cloud, HTTP: back.Client(), Now: clock}
	g.service = consent.New(consent.Config{
		Settings: g.set, Addresses: client, Vault: secrets,
		Issuer: appcredential.New(appcredential.Config{Entra: client, Settings: g.set, Vault: secrets, Cloud: cloud, Fixed: secret.New(secretText), Now: clock}),
		Grants: storage.Grants{Storage: g.storage}, Flows: storage.Flows{Storage: g.storage},
		Read: g.read, Public: public, Administrator: func(context.Context) string { return "an administrator" },
		Audit: func(context.Context, string, string, string, ...string) error { return nil },
		Log:   slog.New(slog.NewJSONHandler(&g.logs, nil)), Now: clock,
	})
	g.verify = g.caller
	g.sync.Tokens = g.service
	g.change(func(i *settings.Integration) { i.ClientID = g.client })
	return g
}

// caller is Graph's look at a token.
func (g *granted) caller(token string) (simulated.Caller, error) {
	c, err := g.entra.VerifyFor(resource, token)
	if err != nil {
		return simulated.Caller{}, err
	}
	found := simulated.Caller{TenantID: c.TenantID, AppID: c.AppID, ObjectID: c.ObjectID, Scopes: c.Scopes, Roles: c.Roles}
	switch g.refuses[c.ObjectID] {
	case http.StatusUnauthorized:
		return simulated.Caller{}, errors.New("refused")
	case http.StatusForbidden:
		found.Scopes, found.Roles = nil, nil
	}
	return found, nil
}

// read is the read that concerns nobody.
func (g *granted) read(ctx context.Context, token secret.Text) (int, error) {
	_, err := g.graph.Presences(ctx, token, []presence.UserID{presence.UserID(uuid.Nil.String())})
	if refusal, ok := errors.AsType[*graph.Error](err); ok {
		return refusal.Status, nil
	}
	return http.StatusOK, err
}

// consents has a person sign in, and an administrator use the account as well.
func (g *granted) consents(name string) (account string) {
	g.t.Helper()
	account = uuid.NewString()
	if err := g.entra.AddUser(devEntra.User{TenantID: g.tenant, ObjectID: account, UPN: name + "@contoso.com", Name: name}); err != nil {
		g.t.Fatal(err)
	}
	start := httptest.NewRecorder()
	g.service.Start(start, httptest.NewRequest(http.MethodGet, bridge+"/api/consent/user", nil), consent.User)
	back, err := (devEntra.Person{ObjectID: account}).Visit(g.t.Context(), start.Result().Header.Get("Location"))
	if err != nil {
		g.t.Fatal(err)
	}
	back.Form.Set("again", "1")
	request := httptest.NewRequest(http.MethodPost, back.URL, strings.NewReader(back.Form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range start.Result().Cookies() {
		request.AddCookie(c)
	}
	end := httptest.NewRecorder()
	g.service.Callback(end, request, consent.User, func(next, _ http.Handler) http.Handler { return next })
	if end.Code != http.StatusSeeOther {
		g.t.Fatalf("consent of %s = %d %s", name, end.Code, end.Body)
	}
	if err := g.service.Confirm(g.t.Context(), "an administrator", account, ""); err != nil && !errors.Is(err, consent.ErrNotWaiting) {
		g.t.Fatal(err)
	}
	g.now = g.now.Add(time.Second) // who consents later is preferred
	return account
}

// missed lets time pass by syncs and returns how many of them read nothing.
func (g *granted) missed(d, step time.Duration) (missed int) {
	g.t.Helper()
	for range int(d / step) {
		g.after(step)
		if beat := g.look().Heartbeat; !beat.AsOf.Equal(g.now) {
			missed++
		}
	}
	return missed
}

func TestASyncIsNotMissedWhileAnotherGrantReads(t *testing.T) {
	for name, trouble := range map[string]func(*granted, string) error{
		"the person's account is disabled": func(g *granted, account string) error { return g.entra.Disable(account) },
		"her sessions are revoked":         func(g *granted, account string) error { return g.entra.RevokeSessions(account) },
		"Graph forbids her":                func(g *granted, account string) error { g.refuses[account] = 403; return nil },
		"Graph takes no token of hers":     func(g *granted, account string) error { g.refuses[account] = 401; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGranted(t)
			g.hire("ada@contoso.com")
			g.consents("Bob")
			carrier := g.consents("Rita")
			if n := g.missed(30*time.Second, 5*time.Second); n != 0 || g.look().Heartbeat.Carrier != "user" {
				t.Fatalf("%d syncs missed before the trouble, carried by %s: %s", n, g.look().Heartbeat.Carrier, g.look().Heartbeat.Error)
			}
			asked := g.entra.TokenRequests()
			if err := trouble(g, carrier); err != nil {
				t.Fatal(err)
			}
			if n := g.missed(10*time.Minute, 5*time.Second) + g.missed(3*time.Hour, 2*time.Minute); n != 0 {
				t.Errorf("%d syncs missed: %s\n%s", n, g.look().Heartbeat.Error, g.logs.String())
			}
			if n := g.entra.TokenRequests()["refresh_token"] - asked["refresh_token"]; n > 120 {
				t.Errorf("Entra was asked for %d tokens in three hours", n)
			}
		})
	}
}

func TestTheAppGivesWayToAPersonWithinTheSameSync(t *testing.T) {
	g := newGranted(t)
	g.hire("ada@contoso.com")
	g.consents("Rita")
	if err := g.entra.GrantApplication(g.tenant, g.client); err != nil {
		t.Fatal(err)
	}
	if err := g.service.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := g.missed(10*time.Second, 5*time.Second); n != 0 || g.look().Heartbeat.Carrier != "admin" {
		t.Fatalf("%d missed, carried by %s", n, g.look().Heartbeat.Carrier)
	}
	g.refuses[""] = 403
	if err := g.entra.RevokeApplication(g.tenant, g.client); err != nil {
		t.Fatal(err)
	}
	if n := g.missed(time.Minute, 5*time.Second); n != 0 || g.look().Heartbeat.Carrier != "user" {
		t.Errorf("%d syncs missed, carried by %s", n, g.look().Heartbeat.Carrier)
	}
}

func TestTheFirstSyncReadsByAnotherGrantToo(t *testing.T) {
	g := newGranted(t)
	g.hire("ada@contoso.com")
	g.consents("Bob")
	g.refuses[g.consents("Rita")] = 401
	if n := g.missed(5*time.Second, 5*time.Second); n != 0 {
		t.Errorf("the first sync was missed: %s", g.look().Heartbeat.Error)
	}
}

func TestAnAppThatMayNotReadAccountsLeavesThemToAPerson(t *testing.T) {
	g := newGranted(t)
	g.hire("ada@contoso.com")
	grant := func(roles ...string) {
		t.Helper()
		if err := g.entra.GrantApplication(g.tenant, g.client, roles...); err != nil {
			t.Fatal(err)
		}
		if err := g.service.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	grant("Presence.ReadWrite.All")
	if n := g.missed(5*time.Second, 5*time.Second); n != 1 {
		t.Errorf("%d syncs missed while nobody may read accounts; want 1", n)
	}
	if beat := g.look().Heartbeat; beat.ErrorCode != "directory-forbidden" || !strings.Contains(beat.Error, "User.Read.All is not granted") {
		t.Errorf("the heartbeat says %s: %s", beat.ErrorCode, beat.Error)
	}
	g.consents("Rita")
	if n := g.missed(5*time.Second, 5*time.Second); n != 0 || g.look().Heartbeat.Carrier != "admin" {
		t.Errorf("%d syncs missed with a person, carried by %s: %s", n, g.look().Heartbeat.Carrier, g.look().Heartbeat.Error)
	}
	if now := g.look(); !now.Accounts.Basic {
		t.Error("the accounts are not those that a person may read")
	}
	g.now = g.now.Add(time.Minute)
	grant("User.Read.All")
	if n := g.missed(5*time.Second, 5*time.Second); n != 0 {
		t.Errorf("%d syncs missed afterwards: %s", n, g.look().Heartbeat.Error)
	}
	if now := g.look(); now.Accounts.Basic {
		t.Error("the app's new permission tells nothing more about the accounts")
	}
}

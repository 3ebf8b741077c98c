package consentcallback_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
	"procallteams/internal/secret"
)

func TestPoint04PKCEIsAlwaysUsedAndItsVerifierInNoAddress(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	address := b.begin("user")
	q := query(t, address)
	if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 {
		t.Errorf("challenge %q by %q", q.Get("code_challenge"), q.Get("code_challenge_method"))
	}
	kept := b.trip()
	if n := len(kept["v"].(string)); n < 43 || n > 128 {
		t.Errorf("verifier has %d letters", n)
	}
	if strings.Contains(address, kept["v"].(string)) {
		t.Error("the verifier is in the address")
	}
	// A code that was made for another verifier: Entra refuses, nothing is kept.
	other := w.browser(w.admin)
	stolen := w.visit(devEntra.Person{ObjectID: w.reader}, other.begin("user"))
	mine := w.visit(devEntra.Person{ObjectID: w.reader}, address)
	mine.Form.Set("code", stolen.Form.Get("code"))
	status, page := b.land(mine)
	if status != 200 || !strings.Contains(page, "AADSTS501481") || w.grant(w.reader).Works() {
		t.Errorf("a stolen code ends with %d %s", status, page)
	}
}

func TestPoint05AnIDTokenOfAnotherNonceIsRefused(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	address := b.begin("user")
	if query(t, address).Get("nonce") == "" {
		t.Fatal("no nonce in the request")
	}
	for name, nonce := range map[string]string{"another nonce": "attackers-nonce-0123456789", "no nonce": ""} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(b.begin("user"))
			must(t, err)
			q := u.Query()
			q.Set("nonce", nonce)
			if nonce == "" {
				q.Del("nonce")
			}
			u.RawQuery = q.Encode()
			status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader}, u.String()))
			if status != 200 || !strings.Contains(page, "nonce") || w.grant(w.reader).Works() {
				t.Errorf("ends with %d %s", status, page)
			}
		})
	}
}

func TestPoint06TheCallbackNeverNamesTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	reached := false
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer evil.Close()
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	for _, name := range []string{"iss", "issuer", "token_endpoint", "authority", "redirect_uri"} {
		back.Form.Set(name, evil.URL)
	}
	if status, _ := b.land(back); status != 200 || reached || !w.grant(w.reader).Works() {
		t.Errorf("ends with %d, evil server reached: %t", status, reached)
	}
}

func TestPoint10ACodeIsRedeemedOnceHoweverOftenTheBrowserComes(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	for i := range 3 {
		status, page := b.land(back)
		if status != 200 || !strings.Contains(page, "Connected") || strings.Contains(page, "AADSTS5") {
			t.Errorf("arrival %d ends with %d %s", i+1, status, page)
		}
		w.advance(time.Second)
	}
	if !strings.Contains(b.last(), "Connected 2 seconds ago as") {
		t.Errorf("the last page says %s", b.last())
	}
	if n := w.redemptions(); n != 1 {
		t.Errorf("%d token requests; want 1", n)
	}
	if len(b.trips()) != 0 {
		t.Error("the trip's cookie is still there")
	}
}

func TestPoint12TheGrantedScopesAndARefreshTokenAreDemanded(t *testing.T) {
	for name, strip := range map[string]string{"without Presence.Read.All": graph + "/Presence.Read.All", "without offline_access": "offline_access"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser(w.admin)
			u, err := url.Parse(b.begin("user"))
			must(t, err)
			q := u.Query()
			scopes := slices.DeleteFunc(strings.Fields(q.Get("scope")), func(s string) bool { return s == strip })
			q.Set("scope", strings.Join(scopes, " "))
			u.RawQuery = q.Encode()
			status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader}, u.String()))
			if status != 200 || !strings.Contains(page, "Not connected") || w.grant(w.reader).Works() {
				t.Errorf("ends with %d %s", status, page)
			}
			if names := w.vault.Names(); slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "refresh-") }) {
				t.Errorf("Key Vault holds %v", names)
			}
		})
	}
}

// narrow is Entra granting less than was asked for, with status 200.
type narrow struct {
	consent.Issuer
	cut func(*consent.SignedIn)
}

func (n narrow) Redeem(ctx context.Context, app consent.App, leg consent.Leg, code secret.Text) (consent.SignedIn, error) {
	who, err := n.Issuer.Redeem(ctx, app, leg, code)
	n.cut(&who)
	return who, err
}

func TestPoint12ASuccessThatGrantsLessIsNoConsent(t *testing.T) {
	for name, cut := range map[string]func(*consent.SignedIn){
		"the permission": func(who *consent.SignedIn) { who.Scopes = []string{"User.ReadBasic.All"} },
		"lasting":        func(who *consent.SignedIn) { who.Refresh = secret.Text{} },
	} {
		w := newWorld(t)
		w.service.Issuer = narrow{w.service.Issuer, cut}
		status, page := w.consentUser(w.reader)
		if status != 200 || !strings.Contains(page, "Not connected") || !strings.Contains(page, name) || w.grant(w.reader).Works() {
			t.Errorf("%s: ends with %d %s", name, status, page)
		}
	}
}

func TestPoint18TheRefreshTokenIsInKeyVaultAndNowhereElse(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	b.land(w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user")))
	b.land(w.visit(devEntra.Person{ObjectID: w.admin}, b.begin("admin")))
	_, err := w.read()
	must(t, err)
	must(t, w.entra.RevokeSessions(w.reader))
	w.advance(2 * time.Hour)
	w.probe()
	value, ok := w.vault.Value("refresh-" + w.tenant + "-" + w.reader)
	if !ok || !slices.Contains(w.entra.IssuedSecrets(), value) {
		t.Fatal("Key Vault does not hold the refresh token")
	}
	version := w.vault.Versions("refresh-" + w.tenant + "-" + w.reader)[0]
	if tags := version.Tags; tags["oid"] != w.reader || tags["tid"] != w.tenant || tags["issued"] == "" || len(tags) != 3 {
		t.Errorf("tags = %v", tags)
	}
	if version.Expires == nil || time.Unix(*version.Expires, 0).Sub(version.Created) != 90*24*time.Hour {
		t.Errorf("expiry attribute = %v; want 90 days after the sign-in", version.Expires)
	}
	var rows strings.Builder
	for row, err := range w.store.Range(t.Context(), w.tenant, "!", "~") {
		must(t, err)
		body, err := json.Marshal(row)
		must(t, err)
		rows.Write(body)
	}
	// Microsoft's form is posted on by one page; no other may hold its code.
	pages := slices.DeleteFunc(slices.Clone(b.pages), func(page string) bool { return strings.Contains(page, `name="again"`) })
	places := map[string]string{"the log": w.log.String(), "the tables": rows.String(), "our addresses": strings.Join(b.visited, "\n"), "the pages": strings.Join(pages, "\n")}
	for place, text := range places {
		if text == "" {
			t.Errorf("%s: nothing to scan", place)
		}
		for _, leaked := range slices.Concat(w.entra.IssuedSecrets(), w.platform.IssuedSecrets(), w.vault.SecretValues()) {
			if strings.Contains(text, leaked) {
				t.Errorf("%s: a secret is there", place)
			}
		}
	}
	if text := strings.Join(w.vault.Names(), " ") + w.log.String(); strings.Contains(text, "rita@contoso.com") || strings.Contains(text, "Rita") {
		t.Error("names of persons are logged")
	}
}

package consentcallback_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
)

// The tests of this file attack the callbacks, one or more per point of the
// security checklist for OAuth callbacks that the bridge holds itself to
// (docs/architecture.md). Their names begin with the point's number.

func query(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Query()
}

func (b *browser) trips() []*http.Cookie {
	var found []*http.Cookie
	for name, c := range b.cookies {
		if strings.HasPrefix(name, "__Host-ptb-trip-") {
			found = append(found, c)
		}
	}
	return found
}

func (w *world) redemptions() int { return w.entra.TokenRequests()["authorization_code"] }

// refused demands the generic page, no redemption and no grant.
func (w *world) refused(t *testing.T, response *http.Response, page string) {
	t.Helper()
	w.redeemed(t, response, page, 0)
}

// redeemed is [world.refused] after that many codes were redeemed rightly.
func (w *world) redeemed(t *testing.T, response *http.Response, page string, codes int) {
	t.Helper()
	if response.StatusCode != http.StatusBadRequest || !strings.Contains(page, "This consent is not open here") {
		t.Errorf("answer = %d; want the page for every unknown state", response.StatusCode)
	}
	if n := w.redemptions(); n != codes {
		t.Errorf("%d codes were redeemed; want %d", n, codes)
	}
	for _, g := range w.grants() {
		if g.Works() {
			t.Errorf("grant %s works", g.Kind)
		}
	}
}

func TestPoint01StateIsLongBoundToTheBrowserAndShortLived(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	first, second := query(t, b.begin("user")).Get("state"), query(t, b.begin("user")).Get("state")
	if len(first) < 52 || first == second { // base32: five bits a letter
		t.Errorf("states %d letters long, equal: %t; want 256 random bits", len(first), first == second)
	}
	for _, c := range b.trips() {
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.SameSite != http.SameSiteLaxMode || c.MaxAge <= 0 || c.MaxAge > 600 {
			t.Errorf("cookie %s: %+v", c.Name, c)
		}
		if strings.Contains(c.Value+c.Name, first) {
			t.Error("the cookie holds the state")
		}
	}
	t.Run("another browser of the same administrator", func(t *testing.T) {
		back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
		stranger := w.browser(w.admin)
		w.refused(t, stranger.arrive(back), stranger.last())
	})
	t.Run("after ten minutes", func(t *testing.T) {
		back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
		w.advance(11 * time.Minute)
		w.refused(t, b.arrive(back), b.last())
	})
}

func TestPoint02AStateOfOneConsentDoesNotFinishTheOther(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	user, admin := query(t, b.begin("user")).Get("state"), query(t, b.begin("admin")).Get("state")
	response := b.arrive(devEntra.Callback{Method: http.MethodGet, URL: public + "/api/consent/admin/callback?" + url.Values{
		"state": {user}, "tenant": {w.tenant}, "admin_consent": {"True"},
	}.Encode()})
	w.refused(t, response, b.last())
	response = b.arrive(devEntra.Callback{Method: http.MethodPost, URL: public + "/api/consent/user/callback", Form: url.Values{"state": {admin}, "code": {"x"}}})
	w.refused(t, response, b.last())
}

func TestPoint03BothEndsNeedTheSameAdministrator(t *testing.T) {
	w := newWorld(t)
	nobody := w.browser(w.admin)
	delete(nobody.cookies, sessionCookie)
	if response := nobody.get("/api/consent/user"); !strings.HasPrefix(response.Header.Get("Location"), "/api/console?") || len(nobody.trips()) != 0 {
		t.Errorf("start without a session = %d %s", response.StatusCode, response.Header.Get("Location"))
	}
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	session := b.cookies[sessionCookie]
	delete(b.cookies, sessionCookie)
	if response := b.arrive(back); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("finish without a session = %d", response.StatusCode)
	}
	b.signIn(w.second)
	w.refused(t, b.arrive(back), b.last())
	b.cookies[sessionCookie] = session
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "Rita Reader") {
		t.Errorf("the administrator who began it = %d", status)
	}
	outcome := strings.TrimPrefix(b.visited[len(b.visited)-1], public)
	if other := w.browser(w.second); other.get(outcome).StatusCode != http.StatusBadRequest || strings.Contains(other.last(), "Rita") {
		t.Errorf("another administrator sees how it ended: %s", other.last())
	}
	t.Run("an attacker's code in the administrator's browser", func(t *testing.T) {
		attacker := w.browser(w.second)
		victim := w.browser(w.admin)
		victim.begin("user")
		before := len(w.grants())
		response := victim.arrive(w.visit(devEntra.Person{ObjectID: w.second}, attacker.begin("user")))
		if response.StatusCode != http.StatusBadRequest || len(w.grants()) != before {
			t.Errorf("the attacker's account was connected: %d", response.StatusCode)
		}
	})
	t.Run("another site posts the second form itself", func(t *testing.T) {
		back := w.visit(devEntra.Person{ObjectID: w.second}, b.begin("user"))
		back.Form.Set("again", "1")
		n := w.redemptions()
		if response := b.send(post("/api/consent/user/callback", back.Form), true); response.StatusCode != http.StatusForbidden || w.redemptions() != n {
			t.Errorf("cross-site second form = %d", response.StatusCode)
		}
	})
}

// trip decodes the only trip's cookie.
func (b *browser) trip() map[string]any {
	b.w.t.Helper()
	trips := b.trips()
	if len(trips) != 1 {
		b.w.t.Fatalf("%d trips; want 1", len(trips))
	}
	body, err := base64.RawURLEncoding.DecodeString(trips[0].Value)
	must(b.w.t, err)
	var kept map[string]any
	must(b.w.t, json.Unmarshal(body, &kept))
	return kept
}

func TestPoint07AnotherTenantsAnswerIsRefused(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	response := b.arrive(devEntra.Callback{Method: http.MethodGet, URL: public + "/api/consent/admin/callback?" + url.Values{
		"state": {query(t, b.begin("admin")).Get("state")}, "tenant": {"11111111-2222-4333-8444-555555555555"}, "admin_consent": {"True"},
	}.Encode()})
	if page := b.get(response.Header.Get("Location")); page.StatusCode != 200 || !strings.Contains(b.last(), "another tenant") || w.grant("").State != consent.Required {
		t.Errorf("ends with %d %s, grant %s", page.StatusCode, b.last(), w.grant("").State)
	}
	// The tenant was changed while the person was at Microsoft.
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	w.integration.Tenant = "11111111-2222-4333-8444-555555555555"
	w.refused(t, b.arrive(back), b.last())
}

func TestPoint08TheAdminCallbackAloneGrantsNothing(t *testing.T) {
	w := newWorld(t)
	forge := func(b *browser, more url.Values) (int, string) {
		q := url.Values{"state": {query(t, b.begin("admin")).Get("state")}, "tenant": {w.tenant}, "admin_consent": {"True"}, "scope": {graph + "/.default"}}
		maps.Copy(q, more)
		return b.land(devEntra.Callback{Method: http.MethodGet, URL: public + "/api/consent/admin/callback?" + q.Encode()})
	}
	b := w.browser(w.admin)
	if status, page := forge(b, nil); status != 200 || !strings.Contains(page, "Waiting for Microsoft") || w.grant("").State != consent.Waiting {
		t.Errorf("a forged success ends with %d, state %s", status, w.grant("").State)
	}
	if _, err := w.service.WriteToken(t.Context(), w.tenant, w.grants()); err == nil {
		t.Error("a forged success gives a token")
	}
	w.advance(16 * time.Minute)
	w.probe()
	if g := w.grant(""); g.State != consent.Required || g.NextStep == "" {
		t.Errorf("after 15 minutes the state is %s", g.State)
	}
	// Errors carry admin_consent=True too.
	if status, page := forge(b, url.Values{"error": {"access_denied"}, "error_description": {"AADSTS65004: declined"}}); status != 200 || !strings.Contains(page, "declined") || w.grant("").State != consent.Declined {
		t.Errorf("an error ends with %d, state %s", status, w.grant("").State)
	}
}

func TestPoint09RedirectsGoOnlyToOurOwnPaths(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	evil := "https://evil.example/"
	params := "?next=" + url.QueryEscape(evil) + "&redirect_uri=" + url.QueryEscape(evil) + "&return=" + url.QueryEscape(evil)
	to := b.get("/api/consent/user" + params).Header.Get("Location")
	if query(t, to).Get("redirect_uri") != public+"/api/consent/user/callback" {
		t.Errorf("redirect_uri = %s", query(t, to).Get("redirect_uri"))
	}
	back := w.visit(devEntra.Person{ObjectID: w.reader}, to)
	back.Form.Set("next", evil)
	response := b.arrive(back)
	if to := response.Header.Get("Location"); !strings.HasPrefix(to, "/api/consent/user/callback?trip=") {
		t.Errorf("finish leads to %s", to)
	}
	for _, page := range b.pages {
		if strings.Contains(page, "evil.example") {
			t.Error("a page names the foreign address")
		}
	}
}

func TestPoint11AnotherAccountIsUsedOnlyAfterAnAdministratorSaidSo(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	b := w.browser(w.admin)
	status, page := b.land(w.visit(devEntra.Person{ObjectID: w.second}, b.begin("user")))
	for _, want := range []string{"Sven Second", "sven@contoso.com", w.second, w.tenant, "Presence.Read.All", "Use it as well", "Use it instead of Rita Reader", "Forget it"} {
		if status != 200 || !strings.Contains(page, want) {
			t.Errorf("the page (%d) lacks %s", status, want)
		}
	}
	if g := w.grant(w.second); g.State != consent.Unconfirmed || !w.grant(w.reader).Works() {
		t.Errorf("before an answer = %s, the account before %s", g.State, w.grant(w.reader).State)
	}
	must(t, w.entra.Disable(w.reader))
	w.advance(2 * time.Hour)
	if token, err := w.read(); err == nil {
		t.Errorf("reading goes on with the unconfirmed account %s", token.Account)
	}
}

func TestPoint13WhatCameFromOutsideIsNeverShownAsItCame(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	evil := `<script>alert(1)</script>` + strings.Repeat("x", 4000)
	status, page := b.land(devEntra.Callback{Method: http.MethodPost, URL: public + "/api/consent/user/callback", Form: url.Values{
		"state": {query(t, b.begin("user")).Get("state")}, "error": {evil}, "error_description": {"AADSTS65004: " + evil},
	}})
	if status != 200 || strings.Contains(page, "<script>alert") || strings.Contains(page, "xxxx") || !strings.Contains(page, "AADSTS65004") {
		t.Errorf("ends with %d %s", status, page)
	}
	for _, shown := range b.pages {
		if strings.Contains(shown, "<script>alert") {
			t.Error("a page runs what came from outside")
		}
	}
	if strings.Contains(w.log.String(), "alert(1)") {
		t.Error("the log holds the description")
	}
}

func TestPoint14PagesAreSealedAndTheAddressIsCleaned(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	check := func(response *http.Response) {
		t.Helper()
		h := response.Header
		if h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("headers %v", h)
		}
	}
	check(b.get("/api/consent/user"))
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	code, state := back.Form.Get("code"), back.Form.Get("state")
	check(b.send(post("/api/consent/user/callback", back.Form), true))
	response := b.arrive(back)
	check(response)
	if response.StatusCode != http.StatusSeeOther {
		t.Errorf("finish = %d; want 303", response.StatusCode)
	}
	check(b.get(response.Header.Get("Location")))
	for _, address := range b.visited {
		if strings.Contains(address, code) || strings.Contains(address, state) {
			t.Errorf("an address of ours holds code or state: %s", address)
		}
	}
	admin := b.arrive(w.visit(devEntra.Person{ObjectID: w.admin}, b.begin("admin")))
	check(admin)
	if to := admin.Header.Get("Location"); strings.Contains(to, "state=") || strings.Contains(to, "tenant=") {
		t.Errorf("the admin leg leads to %s", to)
	}
}

func TestPoint15OnlyTheExpectedFormOfACallbackIsRead(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	typed := b.send(httptest.NewRequest(http.MethodGet, public+"/api/consent/user/callback", nil), false)
	if got := typed.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/html") {
		t.Errorf("a person who typed the address is shown %s; want a page", got)
	}
	send := func(method, kind string, form url.Values, status int) {
		t.Helper()
		r := httptest.NewRequest(method, public+"/api/consent/"+kind+"/callback?"+form.Encode(), nil)
		if method == http.MethodPost {
			r = post("/api/consent/"+kind+"/callback", form)
		}
		if response := b.send(r, false); response.StatusCode != status {
			t.Errorf("%s %s callback = %d; want %d", method, kind, response.StatusCode, status)
		}
	}
	send(http.MethodGet, "user", back.Form, http.StatusMethodNotAllowed)
	send(http.MethodHead, "user", back.Form, http.StatusMethodNotAllowed)
	send(http.MethodPut, "user", back.Form, http.StatusMethodNotAllowed)
	send(http.MethodPost, "admin", back.Form, http.StatusMethodNotAllowed)
	send(http.MethodPost, "user", url.Values{"state": {back.Form.Get("state"), "x"}, "code": back.Form["code"], "again": {"1"}}, http.StatusBadRequest)
	send(http.MethodPost, "user", url.Values{"state": back.Form["state"], "code": {back.Form.Get("code"), "second"}}, http.StatusBadRequest)
	send(http.MethodPost, "user", url.Values{"state": back.Form["state"], "code": {strings.Repeat("c", 100<<10)}}, http.StatusBadRequest)
	send(http.MethodPost, "user", url.Values{"code": back.Form["code"]}, http.StatusBadRequest)
	if n := w.redemptions(); n != 0 {
		t.Fatalf("%d codes were redeemed", n)
	}
	// With both a code and an error, the error counts.
	back.Form.Set("error", "access_denied")
	back.Form.Set("something_new", "is ignored")
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "declined") || w.redemptions() != 0 {
		t.Errorf("code and error end with %d", status)
	}
}

func TestPoint16StartsAreLimitedAndEveryUnknownStateLooksTheSame(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	expired := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	b.land(back)
	w.advance(11 * time.Minute)
	var pages []string
	for _, state := range []string{strings.Repeat("A", 52), expired.Form.Get("state"), back.Form.Get("state")} {
		stranger := w.browser(w.second)
		stranger.arrive(devEntra.Callback{Method: http.MethodPost, URL: public + "/api/consent/user/callback", Form: url.Values{"state": {state}, "code": {"x"}}})
		pages = append(pages, stranger.last())
	}
	if pages[0] != pages[1] || pages[0] != pages[2] {
		t.Error("unknown, expired and used states have different pages")
	}
	limited := 0
	for range 40 {
		if b.get("/api/consent/user").StatusCode == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("40 starts in a row were all served")
	}
}

func TestPoint16AStrangersFloodStopsNoAdministrator(t *testing.T) {
	w := newWorld(t)
	limited := 0
	for range 40 {
		answer := httptest.NewRecorder()
		w.service.StartSignIn(answer, httptest.NewRequest(http.MethodGet, public+"/api/console/signin", nil))
		if answer.Code == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("40 sign-ins in a row were all started")
	}
	w.browser(w.admin).begin("user")
}

func TestPoint17TheRedirectURIComesFromSettingsAlone(t *testing.T) {
	w := newWorld(t)
	for kind, want := range map[string]string{"user": public + "/api/consent/user/callback", "admin": public + "/api/consent/admin/callback"} {
		b := w.browser(w.admin)
		forged := func(address string) *http.Response {
			r := httptest.NewRequest(http.MethodGet, address, nil)
			r.Header.Set("X-Forwarded-Host", "evil.example")
			r.Header.Set("X-Forwarded-Proto", "http")
			r.Header.Set("Forwarded", "host=evil.example;proto=http")
			return b.send(r, false)
		}
		// Opened under another name: first to the public address, without a cookie.
		response := forged("http://ptb-h4sh.westeurope-01.azurewebsites.net/api/consent/" + kind)
		if to := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || to != public+"/api/consent/"+kind+"?home=1" || len(b.trips()) != 0 {
			t.Errorf("another host name = %d to %s, %d trips", response.StatusCode, to, len(b.trips()))
		}
		if got := query(t, b.begin(kind)).Get("redirect_uri"); got != want {
			t.Errorf("redirect_uri = %s; want %s", got, want)
		}
	}
}

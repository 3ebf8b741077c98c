package console_test

import (
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/functions/console"
	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestAnAdministratorIsLedFromTheFirstVisitToCredentials(t *testing.T) {
	w := start(t, settings.Overrides{})
	welcome := w.get("/api/console")
	has(t, welcome, "Set-up code", "contoso-bridge", "setup-code", "az keyvault secret show")
	if _, _, err := w.store.Version(t.Context(), access.SetupCodeName); err != nil {
		t.Errorf("the first visit made no set-up code: %v", err)
	}
	if answer := w.post("code", url.Values{"code": {"guess"}}); answer.Code != 403 || w.cookie != nil {
		t.Errorf("a wrong code = %d", answer.Code)
	}
	w.signIn()
	has(t, w.get("/api/console"), "not set up", publicURL+"/api/consent/user/callback", publicURL+"/api/consent/admin/callback", "Save the app registration first")

	refused := w.post("app", url.Values{"tenant": {"nowhere.example"}, "clientId": {clientID}})
	if refused.Code != 422 {
		t.Errorf("an unknown tenant = %d", refused.Code)
	}
	has(t, refused, "AADSTS90002", `value="nowhere.example"`, clientID)

	w.register()
	if w.secret.Reveal() != "a~secret~value" {
		t.Error("the client secret did not arrive")
	}
	has(t, w.get("/api/console?done=secret"), "stored in Key Vault", `value="`+tenantID+`"`, `href="/api/consent/admin"`, `href="/api/consent/user"`)

	if answer := w.post("directions", url.Values{"teamsToProCall": {"everyone"}}); answer.Code != 303 {
		t.Errorf("step 3 = %d", answer.Code)
	}
	has(t, w.get("/api/console"), "authorization required")

	made := w.post("credential", url.Values{"name": {"UCServer <b>"}, "scope": {"read"}})
	has(t, made, "not shown again", "UCServer &lt;b&gt;")
	token := regexp.MustCompile(`ptb_[a-z0-9]+_[A-Z0-9]+`).FindString(made.Body.String())
	if made.Code != 200 || token == "" || made.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("step 4 = %d, token %t", made.Code, token != "")
	}
	pushed := w.post("push", url.Values{"pushUrl": {"https://ucserver.example/push"}})
	whsec := regexp.MustCompile(`whsec_[A-Za-z0-9+/&#;=]+`).FindString(pushed.Body.String())
	if whsec == "" {
		t.Errorf("the push secret is not shown: %d", pushed.Code)
	}
	again := w.get("/api/console").Body.String()
	if strings.Contains(again, token) || strings.Contains(again, whsec) || strings.Contains(again, "a~secret~value") {
		t.Error("a secret is shown twice")
	}
	has(t, w.post("check", url.Values{"once": {"1"}}), "Push to UCServer", "Connection refused.", "Start UCServer.", "Settings version 3 read.", "7 ms", "Rita &lt;Reader&gt;", "Not tried, because Credential failed.", "One thing fails")
	if answer := w.post("signout", url.Values{"once": {"1"}}); answer.Code != 303 {
		t.Errorf("sign out = %d", answer.Code)
	}
	has(t, w.get("/api/console"), "Set-up code")
}

func TestPagesCannotBeFramedScriptedOrCached(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	for _, answer := range []*httptest.ResponseRecorder{w.get("/api/console"), w.get("/api/console/lost")} {
		policy := answer.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("policy %q lacks %s", policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") || strings.Contains(answer.Body.String(), "<script") {
			t.Errorf("scripts are allowed: %q", policy)
		}
		if answer.Header().Get("Cache-Control") != "no-store" || answer.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("headers = %v", answer.Header())
		}
	}
}

func TestChangesNeedASessionABodyAndOurOwnPage(t *testing.T) {
	w := start(t, settings.Overrides{})
	if answer := w.post("directions", url.Values{"teamsToProCall": {"everyone"}}); answer.Code != 403 {
		t.Errorf("without a session = %d", answer.Code)
	}
	w.signIn()
	r := httptest.NewRequest("POST", "/api/console/directions", strings.NewReader("teamsToProCall=everyone"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://evil.example")
	if answer := w.send(r); answer.Code != 403 {
		t.Errorf("from another site = %d", answer.Code)
	}
	if answer := w.post("push/secret", nil); answer.Code != 400 {
		t.Errorf("without a body = %d", answer.Code)
	}
	current, _, err := storage.Settings{Storage: w.store}.Load(t.Context())
	if err != nil || current.TeamsToProCall == settings.Everyone {
		t.Errorf("settings = %+v, %v; want nothing changed", current, err)
	}
}

func TestOnlyPeopleWithTheRoleSignInWithEntra(t *testing.T) {
	for _, test := range []struct {
		name  string
		roles []string
		want  int
	}{
		{"the administrator's role", []string{"Other", console.AdminRole}, 303},
		{"no role", nil, 403},
		{"another role", []string{"bridge.admin.reader"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := start(t, settings.Overrides{})
			w.console.SignIn = entra{consent.SignedIn{Account: consent.Account{ObjectID: "oid-1"}, Roles: test.roles}}
			if answer := w.post("signin", url.Values{"again": {"1"}}); answer.Code != test.want || (w.cookie != nil) != (test.want == 303) {
				t.Errorf("= %d, cookie %t; want %d", answer.Code, w.cookie != nil, test.want)
			}
		})
	}
}

func TestASignInLeadsOnlyToOurOwnPages(t *testing.T) {
	for next, want := range map[string]string{
		"/api/consent/user": "/api/console#consents", "/api/status": "/api/status", "//evil.example": "/api/console", "https://evil.example": "/api/console",
		"/api/consent/user/../../x": "/api/console", "": "/api/console",
		"/api/consent/user?account=0b1ec700-0000-4000-8000-00000000000c": "/api/console#grant-0b1ec700-0000-4000-8000-00000000000c",
		"/api/consent/user?account=x%22onclick":                          "/api/console#consents",
		"/api/consent/user?another=1":                                    "/api/console#consents",
		"/api/console/people?show=guests&after=x%26y":                    "/api/console/people?after=x%26y&show=guests",
		"/api/console/disconnect?kind=user&account=a":                    "/api/console/disconnect?account=a&kind=user",
		"/api/console/check#x":                                           "/api/console/check",
		"/api/console/../status":                                         "/api/console", "/api/console/signin?next=/": "/api/console", "/api/console/code": "/api/console",
		"/api/console/\\evil.example": "/api/console/%5Cevil.example", "/\\evil.example": "/api/console", "javascript:alert(1)": "/api/console",
		"/api/status?x=a%0d%0aSet-Cookie:b": "/api/status?x=a%0D%0ASet-Cookie%3Ab", "user@evil.example/api/status": "/api/console", "%zz": "/api/console",
	} {
		w := start(t, settings.Overrides{})
		code, err := w.setup.Code.Ensure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		answer := w.post("code", url.Values{"code": {code.Reveal()}, "next": {next}})
		if got := answer.Header().Get("Location"); got != want {
			t.Errorf("next %q leads to %q; want %q", next, got, want)
		}
	}
}

func TestAppSettingsAreShownReadOnlyAndStay(t *testing.T) {
	w := start(t, settings.Overrides{Tenant: tenantID, PushURL: "https://fixed.example/push"})
	w.signIn()
	has(t, w.get("/api/console"), "TEAMS_TENANT_ID", "UCSERVER_PUSH_URL", "readonly")
	answer := w.post("push", url.Values{"pushUrl": {"https://other.example/push"}})
	if answer.Code != 409 {
		t.Errorf("a change of a fixed field = %d", answer.Code)
	}
	has(t, answer, "pushUrl", "app setting")
}

func TestNamingThePushAddressAgainSwitchesPushesOn(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	for i, body := range []string{
		`{"version":0,"tenant":"contoso.com","pushUrl":"https://u.example/p"}`,
		`{"version":1,"paused":true}`,
		`{"version":2,"pushUrl":"https://u.example/p"}`,
	} {
		w.resumed = nil
		if answer := w.api("PUT", "integration", body); answer.Code != 200 {
			t.Fatalf("PUT %s = %d %s", body, answer.Code, answer.Body)
		}
		if resumed := len(w.resumed) == 1 && w.resumed[0] == tenantID; resumed != (i != 1) {
			t.Errorf("PUT %s resumed %q", body, w.resumed)
		}
	}
}

func TestStep3SwitchesOptInsAndShowsHowWritingStands(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	page := w.get("/api/console").Body.String()
	for _, name := range []string{"ringing", "wrapUp", "appointment", "doNotDisturb", "onlySignedIn"} {
		if box := regexp.MustCompile(`<input type="checkbox" id="` + name + `" name="` + name + `"[^>]*>`).FindString(page); box == "" || strings.Contains(box, "checked") {
			t.Errorf("the box %s is not there, or ticked from the first day: %q", name, box)
		}
	}
	ticked := func(page, name string) bool {
		return regexp.MustCompile(`name="` + name + `"[^>]* checked`).MatchString(page)
	}
	refused := w.post("directions", url.Values{"step": {"directions"}, "proCallToTeams": {"everyone"}, "wrapUp": {"yes"}, "onlySignedIn": {"yes"}})
	if page = refused.Body.String(); refused.Code != 422 || !ticked(page, "wrapUp") || !ticked(page, "onlySignedIn") || !ticked(page, "proCallToTeams") {
		t.Errorf("only signed in without reading = %d, and the boxes stay as they were ticked", refused.Code)
	}
	has(t, refused, "needs Teams to ProCall")
	saved := w.post("directions", url.Values{"step": {"directions"}, "teamsToProCall": {"everyone"}, "proCallToTeams": {"everyone"}, "wrapUp": {"yes"}, "onlySignedIn": {"yes"}})
	current, _, err := w.console.Editor.Store.Load(t.Context())
	if saved.Code != 303 || err != nil || current.AlsoWrite != (settings.AlsoWrite{WrapUp: true}) || !current.OnlySignedIn {
		t.Errorf("step 3 = %d, %+v, %v", saved.Code, current, err)
	}
	has(t, w.get("/api/console"), "nobody reported yet")

	rows := storage.Calls{Storage: w.store}
	for _, r := range []calls.Reporter{
		{ID: "uc1", Epoch: 1, Seen: w.now.Add(-20 * time.Second), Until: w.now.Add(4 * time.Minute)},
		{ID: "uc2", Epoch: 1, Seen: w.now.Add(-time.Hour), Need: calls.NeedExpired, NeedSince: w.now.Add(-55 * time.Minute), Ended: 3},
		{ID: "uc3", Seen: w.now, Need: calls.NeedFirst},
	} {
		if err := rows.SavePeople(t.Context(), tenantID, nil, &r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (storage.Written{Storage: w.store}).SaveWriter(t.Context(), tenantID, session.Writer{
		LastWrite: w.now.Add(-5 * time.Second), Held: 12, Waiting: 2, Refused: 1, Error: "Graph does not answer", ErrorSince: w.now,
	}); err != nil {
		t.Fatal(err)
	}
	has(t, w.get("/api/console"), "12 shown", "2 held back", "1 refused by Microsoft", "5 seconds ago", "Graph does not answer",
		"uc1: heard 20 seconds ago; its calls count until 2026-11-25 12:04:00 UTC", "uc2: heard 60 minutes ago; its lease ended at", "3 calls", "uc3: heard just now; has to send its complete list")
	// A form without a ticked box still arrives.
	if answer := w.post("directions", url.Values{"step": {"directions"}}); answer.Code != 303 {
		t.Errorf("everything off = %d", answer.Code)
	}
	if current, _, err = w.console.Editor.Store.Load(t.Context()); err != nil || current.Writes() || current.Reads() || current.AlsoWrite != (settings.AlsoWrite{}) || current.OnlySignedIn {
		t.Errorf("everything off: %+v, %v", current, err)
	}
}

func TestWhoeverWorksWithTheSettingsIsToldOfEveryChange(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	for _, step := range []struct {
		name string
		do   func() *httptest.ResponseRecorder
		want []string
	}{
		{"the app registration", func() *httptest.ResponseRecorder {
			return w.post("app", url.Values{"tenant": {tenantID}, "clientId": {clientID}})
		}, []string{tenantID}},
		{"directions", func() *httptest.ResponseRecorder {
			return w.post("directions", url.Values{"proCallToTeams": {"everyone"}, "ringing": {"yes"}})
		}, []string{tenantID}},
		{"the same directions", func() *httptest.ResponseRecorder {
			return w.post("directions", url.Values{"proCallToTeams": {"everyone"}, "ringing": {"yes"}})
		}, nil},
		{"directions that are refused", func() *httptest.ResponseRecorder {
			return w.post("directions", url.Values{"proCallToTeams": {"everyone"}, "onlySignedIn": {"yes"}})
		}, nil},
		{"the pause, by a program", func() *httptest.ResponseRecorder {
			return w.api("PUT", "integration", `{"version":2,"paused":true}`)
		}, []string{tenantID}},
		{"an old version, by a program", func() *httptest.ResponseRecorder {
			return w.api("PUT", "integration", `{"version":2,"paused":false}`)
		}, nil},
		{"another tenant", func() *httptest.ResponseRecorder {
			return w.post("app", url.Values{"tenant": {otherTenantID}, "clientId": {clientID}})
		}, []string{otherTenantID, tenantID}},
	} {
		w.told = nil
		answer := step.do()
		if !slices.Equal(w.told, step.want) {
			t.Errorf("%s (%d): told of %q; want %q", step.name, answer.Code, w.told, step.want)
		}
	}
	if current, _, err := w.console.Editor.Store.Load(t.Context()); err != nil || current.AlsoWrite != (settings.AlsoWrite{}) {
		t.Errorf("another tenant begins with %+v, %v; want nothing written beside calls", current.AlsoWrite, err)
	}
}

func TestTwoAdministratorsDoNotOverwriteEachOther(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	first := w.api("PUT", "integration", `{"version":0,"graphBudget":3000}`)
	second := w.api("PUT", "integration", `{"version":0,"graphBudget":9000}`)
	if first.Code != 200 || second.Code != 412 {
		t.Errorf("= %d, %d; want 200, 412", first.Code, second.Code)
	}
	if answer := w.api("PUT", "integration", `{"graphBudget":9000}`, "If-Match", `"1"`); answer.Code != 200 {
		t.Errorf("with the ETag that was read = %d %s", answer.Code, answer.Body)
	}
}

func TestAPushSecretThatWasDisabledInKeyVaultStopsNoPushAddress(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	if err := w.store.SetVersion(t.Context(), access.PushSecretName, "a-version-that-is-gone", ""); err != nil {
		t.Fatal(err)
	}
	answer := w.post("push", url.Values{"pushUrl": {"https://u.example/p"}})
	if answer.Code != 200 {
		t.Errorf("the push address = %d; want it saved", answer.Code)
	}
	has(t, answer, "whsec_")
}

func TestAnotherTenantIsOffUntilSwitchedOn(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.post("app", url.Values{"tenant": {tenantID}, "clientId": {clientID}})
	w.post("directions", url.Values{"teamsToProCall": {"everyone"}, "proCallToTeams": {"everyone"}})
	w.post("app", url.Values{"tenant": {"contoso.com"}, "clientId": {clientID}})
	if current, _, err := w.console.Editor.Store.Load(t.Context()); err != nil || !current.Reads() || !current.Writes() {
		t.Errorf("the same tenant by its domain: %+v, %v; want it on", current, err)
	}
	w.post("app", url.Values{"tenant": {otherTenantID}, "clientId": {clientID}})
	current, _, err := w.console.Editor.Store.Load(t.Context())
	if err != nil || current.Tenant != otherTenantID || current.Reads() || current.Writes() {
		t.Errorf("after another tenant was entered: %+v, %v; want it off", current, err)
	}
}

func TestAFormWithoutABodyIsNoWrongCode(t *testing.T) {
	w := start(t, settings.Overrides{})
	code, err := w.setup.Code.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if answer := w.post("code", nil); answer.Code != 400 {
			t.Fatalf("without a body = %d; want 400", answer.Code)
		}
	}
	if answer := w.post("code", url.Values{"code": {code.Reveal()}}); answer.Code != 303 {
		t.Errorf("the right code afterwards = %d; want 303", answer.Code)
	}
}

package entra_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"procallteams/dev/entra"
)

var ada, bob = entra.Person{ObjectID: adaID}, entra.Person{ObjectID: bobID}

// sameBrowser gives a person a browser that remembers.
func sameBrowser(p entra.Person) entra.Person {
	jar, _ := cookiejar.New(nil)
	p.Client = &http.Client{Jar: jar}
	return p
}

func TestAFaultyClientTenantOrRedirectURIEndsOnAPageNeverAtTheApp(t *testing.T) {
	c := start(t)
	for name, row := range map[string]struct {
		url  string
		want int
	}{
		"unknown client":          {c.authorizeURL("client_id", "7a1d0000-0000-4000-8000-0000000000ff"), 700016},
		"no client":               {c.authorizeURL("client_id", ""), 900144},
		"foreign host":            {c.authorizeURL("redirect_uri", "https://evil.example/"), 50011},
		"other case":              {c.authorizeURL("redirect_uri", strings.Replace(redirect, "callback", "Callback", 1)), 50011},
		"slash behind":            {c.authorizeURL("redirect_uri", redirect+"/"), 50011},
		"unknown tenant":          {strings.Replace(c.authorizeURL(), tenantID, "3f2b1c7e-0000-4000-8000-0000000000ff", 1), 90002},
		"unreadable tenant":       {strings.Replace(c.authorizeURL(), tenantID, "not-a-tenant", 1), 900023},
		"common":                  {strings.Replace(c.authorizeURL(), tenantID, "common", 1), 50194},
		"admin: unknown client":   {c.adminURL("client_id", "7a1d0000-0000-4000-8000-0000000000ff"), 700016},
		"admin: foreign redirect": {c.adminURL("redirect_uri", "https://evil.example/"), 50011},
		"admin: no scope":         {c.adminURL("scope", ""), 900144},
		"admin: on common":        {strings.Replace(c.adminURL(), tenantID, "common", 1), 900144},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := get(t.Context(), t, http.DefaultClient, row.url)
			if response.StatusCode != http.StatusBadRequest || !strings.Contains(response.Header.Get("Content-Type"), "text/html") {
				t.Errorf("status %d, %s; want a 400 page", response.StatusCode, response.Header.Get("Content-Type"))
			}
			if got := c.stuck(ada, row.url); got != row.want {
				t.Errorf("page shows AADSTS%d; want AADSTS%d (%s)", got, row.want, body[:200])
			}
		})
	}
}

func TestOnlyLocalhostMayComeWithAnotherPort(t *testing.T) {
	c := start(t)
	back := c.visit(ada, c.authorizeURL("redirect_uri", strings.Replace(redirect, ":7071", ":8080", 1)))
	if back.Get("code") == "" {
		t.Errorf("callback %v; want a code", back)
	}
}

func TestTheAppRefusesRedirectURIsThatThePortalRefuses(t *testing.T) {
	c := start(t)
	for _, uri := range []string{"http://contoso.com/cb", "http://127.0.0.1:7071/cb", "https://a.example/" + strings.Repeat("x", 256)} {
		if err := c.AddApp(entra.App{TenantID: tenantID, ClientID: "c" + uri, RedirectURIs: []string{uri}}); err == nil {
			t.Errorf("redirect URI %.40s was accepted", uri)
		}
	}
}

func TestStateComesBackByteForByteOnSuccessAndError(t *testing.T) {
	c := start(t)
	state := `a+b/c= "ü" %41&x=1`
	for name, p := range map[string]entra.Person{"success": ada, "declined": {ObjectID: bobID, Decline: true}, "cancelled": {}} {
		for _, mode := range []string{"query", "form_post"} {
			if got := c.visit(p, c.authorizeURL("state", state, "response_mode", mode)).Get("state"); got != state {
				t.Errorf("%s by %s: state %q; want %q", name, mode, got, state)
			}
		}
	}
	if back := c.visit(ada, c.authorizeURL("state", "")); back.Has("state") {
		t.Error("state came back without having been sent")
	}
}

func TestResponseModesQueryFragmentAndFormPost(t *testing.T) {
	c := start(t)
	for mode, want := range map[string]struct{ method, prefix string }{
		"":          {http.MethodGet, redirect + "?code="},
		"query":     {http.MethodGet, redirect + "?code="},
		"fragment":  {http.MethodGet, redirect + "#code="},
		"form_post": {http.MethodPost, redirect},
	} {
		back, err := ada.Visit(t.Context(), c.authorizeURL("response_mode", mode))
		if err != nil {
			t.Fatal(err)
		}
		if back.Method != want.method || !strings.HasPrefix(back.URL, want.prefix) {
			t.Errorf("mode %q: %s %.60s; want %s %s", mode, back.Method, back.URL, want.method, want.prefix)
		}
	}
}

func TestMissingOrUnsupportedParametersGoBackAsErrors(t *testing.T) {
	c := start(t)
	for name, row := range map[string]struct {
		url, word, number string
	}{
		"no response_type":     {c.authorizeURL("response_type", ""), "invalid_request", "900144"},
		"no scope":             {c.authorizeURL("scope", ""), "invalid_request", "900144"},
		"hybrid":               {c.authorizeURL("response_type", "code id_token"), "unsupported_response_type", "700054"},
		"token":                {c.authorizeURL("response_type", "token"), "unsupported_response_type", "70005"},
		"unknown prompt":       {c.authorizeURL("prompt", "always"), "invalid_request", "90023"},
		"unknown mode":         {c.authorizeURL("response_mode", "smoke"), "invalid_request", "90023"},
		"unknown permission":   {c.authorizeURL("scope", "openid "+graph+"/Presence.Telepathy"), "invalid_scope", "650053"},
		"application only":     {c.authorizeURL("scope", "openid "+graph+"/Presence.ReadWrite.All"), "invalid_scope", "650053"},
		"unknown resource":     {c.authorizeURL("scope", "openid https://graph.example/User.Read"), "invalid_resource", "500011"},
		"default with names":   {c.authorizeURL("scope", graph+"/.default "+graph+"/User.Read"), "invalid_scope", "70011"},
		"challenge too short":  {c.authorizeURL("code_challenge", "abc"), "invalid_request", "501491"},
		"challenge of unknown": {c.authorizeURL("code_challenge_method", "S512"), "invalid_request", "501491"},
	} {
		back := c.visit(ada, row.url)
		if back.Get("error") != row.word || !strings.HasPrefix(back.Get("error_description"), "AADSTS"+row.number+": ") || back.Get("error_uri") == "" {
			t.Errorf("%s: %v; want %s AADSTS%s", name, back, row.word, row.number)
		}
	}
}

func TestShortScopesMeanGlobalGraphOnly(t *testing.T) {
	c := start(t)
	if got := c.signIn("scope", "openid offline_access Presence.Read.All").Scope; got != "Presence.Read.All openid" {
		t.Errorf("scope %q; want the short form back", got)
	}
	c.SetResources("https://127.0.0.1:9443", "https://vault.azure.net")
	back := c.visit(ada, c.authorizeURL("scope", "openid Presence.Read.All"))
	if back.Get("error") != "invalid_resource" {
		t.Errorf("in another cloud: %v; want invalid_resource", back)
	}
}

func TestPromptNoneNeverShowsAPage(t *testing.T) {
	c := start(t)
	if got := c.visit(bob, c.authorizeURL("prompt", "none")).Get("error"); got != "login_required" {
		t.Errorf("without a session: %q; want login_required", got)
	}
	person := sameBrowser(bob)
	person.Decline = true
	c.visit(person, c.authorizeURL())
	if got := c.visit(person, c.authorizeURL("prompt", "none")).Get("error"); got != "consent_required" {
		t.Errorf("without consent: %q; want consent_required", got)
	}
	person.Decline = false
	c.visit(person, c.authorizeURL())
	if back := c.visit(person, c.authorizeURL("prompt", "none")); back.Get("code") == "" {
		t.Errorf("with both: %v; want a code", back)
	}
}

func TestConsentIsRememberedPerUserAndClientUntilPromptConsent(t *testing.T) {
	c := start(t)
	person := sameBrowser(bob)
	c.visit(person, c.authorizeURL())
	person.Decline = true // would be seen if a consent page came
	if back := c.visit(person, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("second time: %v; want no consent page", back)
	}
	if back := c.visit(person, c.authorizeURL("prompt", "consent")); back.Get("error") != "access_denied" {
		t.Errorf("prompt=consent: %v; want the page again", back)
	}
	if back := c.visit(person, c.authorizeURL("scope", readScope+" "+graph+"/User.ReadBasic.All")); back.Get("error") != "access_denied" {
		t.Errorf("one scope more: %v; want the page again", back)
	}
	if back := c.visit(person, c.authorizeURL("client_id", otherClient)); back.Get("error") != "access_denied" {
		t.Errorf("another client: %v; want its own page", back)
	}
	if back := c.visit(entra.Person{ObjectID: adaID, Decline: true}, c.authorizeURL()); back.Get("error") != "access_denied" {
		t.Errorf("another user: %v; want its own page", back)
	}
}

func TestSelectAccountAndLoginAskForTheAccountAgain(t *testing.T) {
	c := start(t)
	person := sameBrowser(ada)
	c.visit(person, c.authorizeURL())
	person.ObjectID = "" // cancels where an account is asked for
	if back := c.visit(person, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("plain: %v; want the session to do", back)
	}
	for _, prompt := range []string{"login", "select_account"} {
		if back := c.visit(person, c.authorizeURL("prompt", prompt)); back.Get("error") != "access_denied" {
			t.Errorf("prompt=%s: %v; want the account page", prompt, back)
		}
	}
	if back := c.visit(person, c.authorizeURL("login_hint", "bob@contoso.com")); back.Get("error") != "access_denied" {
		t.Errorf("hint for another account: %v; want the account page", back)
	}
}

func TestADeclinedConsentIsAccessDeniedWith65004(t *testing.T) {
	c := start(t)
	back := c.visit(entra.Person{ObjectID: bobID, Decline: true}, c.authorizeURL())
	if back.Get("error") != "access_denied" || !strings.Contains(back.Get("error_description"), "AADSTS65004") || !strings.HasSuffix(back.Get("error_uri"), "code=65004") {
		t.Errorf("declined: %v", back)
	}
	back = c.visit(entra.Person{}, c.authorizeURL())
	if back.Get("error") != "access_denied" || strings.Contains(back.Get("error_description"), "AADSTS") {
		t.Errorf("cancelled on the account page: %v", back)
	}
	c.DeclineNext()
	if back := c.visit(bob, c.authorizeURL()); back.Get("error") != "access_denied" {
		t.Errorf("decline-next: %v", back)
	}
	if back := c.visit(bob, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("after decline-next: %v", back)
	}
}

func TestWithUserConsentOffOnlyAnAdministratorGetsPast(t *testing.T) {
	c := start(t)
	if err := c.SetUserConsentPolicy(tenantID, false, false); err != nil {
		t.Fatal(err)
	}
	if got := c.stuck(bob, c.authorizeURL()); got != 90094 {
		t.Errorf("user is stuck at AADSTS%d; want AADSTS90094", got)
	}
	if back := c.visit(ada, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("administrator: %v; want a code", back)
	}
}

func TestTheApprovalWorkflowEndsOnAPageUntilAnAdministratorApproved(t *testing.T) {
	c := start(t)
	if err := c.SetUserConsentPolicy(tenantID, false, true); err != nil {
		t.Fatal(err)
	}
	if got := c.stuck(bob, c.authorizeURL()); got != 90095 {
		t.Errorf("user is stuck at AADSTS%d; want AADSTS90095", got)
	}
	if err := c.GrantDelegated(tenantID, clientID, "", "Presence.Read.All"); err != nil {
		t.Fatal(err)
	}
	if back := c.visit(bob, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("after the approval: %v; want a code", back)
	}
}

func TestAPermissionThatNeedsAnAdministratorStopsAUser(t *testing.T) {
	c := start(t)
	if got := c.stuck(bob, c.authorizeURL("scope", "openid "+graph+"/User.Read.All")); got != 90094 {
		t.Errorf("stuck at AADSTS%d; want AADSTS90094", got)
	}
}

func TestTheOrganizationBoxCoversEveryone(t *testing.T) {
	c := start(t)
	c.visit(entra.Person{ObjectID: adaID, Organization: true}, c.authorizeURL())
	if back := c.visit(entra.Person{ObjectID: bobID, Decline: true}, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("bob after ada's consent for everyone: %v; want no page", back)
	}
	if back := c.visit(entra.Person{ObjectID: bobID, Organization: true}, c.authorizeURL("scope", readScope+" "+graph+"/User.ReadBasic.All")); back.Get("code") == "" {
		t.Fatal("bob cannot consent for himself")
	}
	if back := c.visit(entra.Person{ObjectID: adaID, Decline: true}, c.authorizeURL("scope", readScope+" "+graph+"/User.ReadBasic.All")); back.Get("error") == "" {
		t.Error("a user who is no administrator consented for everyone")
	}
}

func TestAccountsThatMayNotSignInEndOnAPage(t *testing.T) {
	c := start(t)
	if got := c.stuck(entra.Person{ObjectID: eveID}, c.authorizeURL()); got != 50020 {
		t.Errorf("foreign account: AADSTS%d; want AADSTS50020", got)
	}
	_ = c.RequireAssignment(tenantID, clientID, adaID)
	if got := c.stuck(bob, c.authorizeURL()); got != 50105 {
		t.Errorf("unassigned account: AADSTS%d; want AADSTS50105", got)
	}
	_ = c.RequireAssignment(tenantID, clientID)
	_ = c.ConditionalAccess(bobID, true)
	if got := c.stuck(bob, c.authorizeURL()); got != 53003 {
		t.Errorf("blocked account: AADSTS%d; want AADSTS53003", got)
	}
	_ = c.ConditionalAccess(bobID, false)
	_ = c.Disable(bobID)
	if got := c.stuck(bob, c.authorizeURL()); got != 50057 {
		t.Errorf("disabled account: AADSTS%d; want AADSTS50057", got)
	}
	_ = c.SetAppEnabled(tenantID, clientID, false)
	if got := c.stuck(ada, c.authorizeURL()); got != 7000112 {
		t.Errorf("disabled app: AADSTS%d; want AADSTS7000112", got)
	}
}

func TestASuppressedCallbackStillGrants(t *testing.T) {
	c := start(t)
	c.SuppressCallback(true)
	if got := c.stuck(ada, c.adminURL()); got != 0 {
		t.Errorf("page shows AADSTS%d; want none", got)
	}
	if got := c.Roles(tenantID, clientID); len(got) != 2 {
		t.Errorf("roles %v; want both granted", got)
	}
	if got := c.stuck(bob, c.authorizeURL()); got != 0 {
		t.Errorf("page shows AADSTS%d; want none", got)
	}
}

func TestAdminConsentForDefaultGrantsAllThatIsRegistered(t *testing.T) {
	c := start(t)
	back := c.visit(ada, c.adminURL())
	want := url.Values{"admin_consent": {"True"}, "tenant": {tenantID}, "scope": {graph + "/.default"}, "state": {"adm"}}
	if back.Encode() != want.Encode() {
		t.Errorf("callback %v; want %v", back, want)
	}
	if got, want := c.Roles(tenantID, clientID), []string{"Presence.ReadWrite.All", "User.Read.All"}; !slices.Equal(got, want) {
		t.Errorf("roles %v; want %v", got, want)
	}
	if back := c.visit(entra.Person{ObjectID: bobID, Decline: true}, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("user leg after admin consent: %v; want no page", back)
	}
}

func TestAdminConsentForNamesGrantsDelegatedOnly(t *testing.T) {
	c := start(t)
	c.visit(ada, c.adminURL("scope", graph+"/Presence.Read.All"))
	if got := c.Roles(tenantID, clientID); len(got) != 0 {
		t.Errorf("roles %v; want none", got)
	}
	if back := c.visit(entra.Person{ObjectID: bobID, Decline: true}, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("user leg: %v; want no page", back)
	}
}

func TestADeclinedAdminConsentSaysAdminConsentTrueAndNoTenant(t *testing.T) {
	c := start(t)
	back := c.visit(entra.Person{ObjectID: adaID, Decline: true}, c.adminURL())
	if back.Get("error") != "access_denied" || back.Get("admin_consent") != "True" || back.Has("tenant") || back.Get("state") != "adm" || back.Get("error_uri") == "" {
		t.Errorf("callback %v", back)
	}
}

func TestAdminConsentByAUserIsAPage(t *testing.T) {
	c := start(t)
	if got := c.stuck(bob, c.adminURL()); got != 90094 {
		t.Errorf("stuck at AADSTS%d; want AADSTS90094", got)
	}
	if got := c.Roles(tenantID, clientID); len(got) != 0 {
		t.Errorf("roles %v; want none", got)
	}
}

func TestWhoIsStuckMaySignInWithAnotherAccount(t *testing.T) {
	c := start(t)
	if back := c.visit(entra.Person{ObjectID: bobID, Instead: adaID}, c.adminURL()); back.Get("admin_consent") != "True" || back.Has("error") {
		t.Errorf("admin consent: callback %v", back)
	}
	c = start(t)
	if err := c.SetUserConsentPolicy(tenantID, false, false); err != nil {
		t.Fatal(err)
	}
	if back := c.visit(entra.Person{ObjectID: bobID, Instead: adaID}, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("user consent: callback %v", back)
	}
	if back := c.visit(entra.Person{ObjectID: eveID, Instead: adaID}, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("account of another tenant: callback %v", back)
	}
}

func TestTheLegacyAdminConsentNeedsNoScope(t *testing.T) {
	c := start(t)
	legacy := strings.Replace(c.adminURL("scope", ""), "/v2.0/adminconsent", "/adminconsent", 1)
	if got := c.visit(entra.Person{ObjectID: adaID, Decline: true}, legacy).Get("error"); got != "permission_denied" {
		t.Errorf("cancelled: %q; want permission_denied", got)
	}
	c.SetLegacyCancel("access_denied")
	if got := c.visit(entra.Person{}, legacy).Get("error"); got != "access_denied" {
		t.Errorf("cancelled, as captured: %q; want access_denied", got)
	}
	if back := c.visit(ada, legacy); back.Get("admin_consent") != "True" || back.Get("tenant") != tenantID || back.Has("scope") {
		t.Errorf("callback %v", back)
	}
}

func TestAnAppWithoutRegisteredPermissionsHasNothingToConsent(t *testing.T) {
	c := start(t)
	if got := c.stuck(ada, c.adminURL("client_id", otherClient, "redirect_uri", redirect)); got != 650056 {
		t.Errorf("stuck at AADSTS%d; want AADSTS650056", got)
	}
}

package cloud_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"procallteams/dev/cloud"
	"procallteams/dev/graph"
)

var (
	credential = regexp.MustCompile(`ptb_[a-z0-9]+_[A-Z2-7]+`)
	pushSecret = regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`)
)

// TestANewcomerSetsTheBridgeUpAndWatchesPresencesTravel is the whole first day in
// a real browser: the set-up code, the app registration, both consents on
// Microsoft's pages, everyone on in both directions, UCServer connected with its list of
// users, and then somebody takes a call in Teams and telephones in ProCall.
func TestANewcomerSetsTheBridgeUpAndWatchesPresencesTravel(t *testing.T) {
	c := start(t, cloud.Options{Users: 12, Members: true, Roster: true, Schedule: "*/2 * * * * *"})
	code, err := c.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := openChromium(t, 1100, 900, false)
	console := c.URL + "/api/console"

	b.open(console)
	b.picture("signin")
	b.fill("#code", "WRONG")
	b.click("form[action='/api/console/code'] button")
	b.arrive("not the set-up code")
	b.fill("#code", code)
	b.click("form[action='/api/console/code'] button")
	b.arrive("App registration")

	b.fill("#tenant", "nowhere.example")
	b.fill("#clientId", cloud.ClientID)
	b.click("#app button")
	b.arrive("AADSTS90002")
	b.fill("#tenant", cloud.Domain)
	b.fill("#clientId", cloud.ClientID)
	b.arrive("api://AzureADTokenExchange") // the managed identity is offered, with what Entra must trust
	if strings.Contains(b.text(), "It ends on") {
		t.Error("the fields for a client secret are in the way of somebody who needs none")
	}
	b.click("#app button")
	b.arrive("The app registration is saved")
	b.part("registration", "#app")
	b.part("consents", "#consents")

	b.click("a[href='/api/consent/user']")
	b.picture("entra-sign-in")
	b.click("#user-0")
	b.picture("entra-consent")
	b.click("#accept")
	b.arrive("Connected")
	b.picture("consent-user-end")
	b.click("a[href='/api/consent/admin']")
	if b.has("#user-0") {
		b.click("#user-0")
	}
	b.click("#accept")
	b.arrive("Connected")
	b.picture("consent-admin-end")

	b.open(console)
	b.tick("#directions input[name=teamsToProCall]")
	b.tick("#directions input[name=proCallToTeams]")
	b.click("#directions button")
	b.fill("#name", "UCServer connector")
	for _, scope := range []string{"report", "directory"} {
		b.tick("form[action='/api/console/credential'] input[value=" + scope + "]")
	}
	b.click("form[action='/api/console/credential'] button")
	token := credential.FindString(b.text())
	if token == "" {
		b.fail("no credential is shown")
	}
	b.fill("#pushUrl", c.PushURL)
	b.click("form[action='/api/console/push'] button")
	secret := pushSecret.FindString(b.text())
	if secret == "" {
		b.fail("no push secret is shown")
	}
	b.open(console)
	if text := b.text(); strings.Contains(text, token) || strings.Contains(text, secret) {
		t.Error("a secret is shown a second time")
	}

	b.open(c.UCServerPage + "/connect")
	b.fill("#secret", secret)
	b.click("#save-secret")
	b.open(c.UCServerPage + "/connect")
	b.fill("#bridge", c.URL)
	b.fill("#token", token)
	b.click("#start-polling")

	const name = "petra.probe@contoso.com" // the same on both sides
	users := c.Graph.Users()
	user := users[slices.IndexFunc(users, func(u graph.User) bool { return u.UserPrincipalName == name })]
	for _, via := range []string{"poll", "push"} {
		for _, state := range []struct{ availability, activity string }{{"Busy", "InACall"}, {"DoNotDisturb", "Presenting"}} {
			if err := c.Graph.Set(user.ID, state.availability, state.activity); err != nil {
				t.Fatal(err)
			}
			// Only this person's line, so that nobody else's state is taken for it.
			b.open(c.UCServerPage + "/?refresh=off&via=" + via + "&q=" + url.QueryEscape(user.UserPrincipalName))
			b.see(20*time.Second, user.UserPrincipalName, state.availability+" / "+state.activity)
		}
	}
	if err := c.Graph.Set(user.ID, "Available", "Available"); err != nil {
		t.Fatal(err)
	}
	b.open(c.UCServerPage + "/?refresh=off&via=push&q=" + name)
	b.see(20*time.Second, "Available / Available")
	b.click("button[aria-label='Start a call of " + name + "']")
	b.open(c.TeamsPage + "/?q=" + name)
	b.see(20*time.Second, "Busy / InACall")
	b.open(c.UCServerPage + "/?refresh=off&via=push&q=" + name)
	b.see(20*time.Second, "on the phone", "nothing from Teams", "Busy / InACall")
	b.open(c.UCServerPage + "/?refresh=off&via=push")
	b.picture("ucserver")
	b.open(c.TeamsPage)
	b.picture("teams")
	b.open(c.UCServerPage + "/?refresh=off&via=push&q=" + name)
	b.click("button[aria-label='End the call of " + name + "']")
	b.open(c.TeamsPage + "/?q=" + name)
	b.see(20*time.Second, "Available / Available")

	b.open(console + "/people")
	b.see(10*time.Second, "take part (", "user00001@procall.local", "If these are one person")
	b.picture("console-people")
	b.fill("#lookupname", "user00001@procall.local")
	b.click("form[action='/api/console/lookup'] button")
	b.arrive("Who it is", "What UCServer was told last", "user00001@procall.local")
	b.fits()
	b.picture("console-lookup")
	b.open(console)
	b.see(10*time.Second, "working")
	b.picture("console-whole")
	b.keep("console", chromedp.CaptureScreenshot())
	b.click("form[action='/api/console/check'] button")
	b.arrive("All well", "UCServer accepted an empty signed push", "1 presence read in")
	b.picture("check")
	phone := openChromium(t, 390, 800, true)
	phone.open(console)
	phone.arrive("Set-up code")
	phone.picture("console-phone-dark")
}

func TestTheHandlersPagesAreServedWithAStrictPolicy(t *testing.T) {
	c := start(t, cloud.Options{Users: 3})
	answer, err := http.Get(c.URL + "/api/console")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	policy := answer.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || answer.Header.Get("Referrer-Policy") != "no-referrer" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers = %v", answer.Header)
	}
}

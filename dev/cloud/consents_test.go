package cloud_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"procallteams/dev/cloud"
)

// TestConsentsThatGoWrongAreReadOnAPhoneInTheDark walks through what an administrator
// sees when a consent ends otherwise than hoped for, in a real browser, on a phone.
func TestConsentsThatGoWrongAreReadOnAPhoneInTheDark(t *testing.T) {
	c := start(t, cloud.Options{Users: 3, Settings: map[string]string{
		"TEAMS_TENANT_ID": cloud.TenantID, "TEAMS_CLIENT_ID": cloud.ClientID,
	}})
	code, err := c.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := openChromium(t, 390, 800, true)
	console := c.URL + "/api/console"
	b.open(console)
	b.picture("phone-sign-in")
	b.fill("#code", code)
	b.click("form[action='/api/console/code'] button")
	b.arrive("Consents")

	// The person says no.
	b.click("a[href='/api/consent/user']")
	b.click("#user-0")
	b.click("#decline")
	b.arrive("Not connected", "AADSTS65004", "Nothing was changed.")
	b.do(chromedp.Click(chromedp.CSS("summary"))) // opens what is on the page already
	b.arrive("Need admin approval")
	b.fits()
	b.picture("phone-declined")

	// The person says yes, then somebody disconnects the account.
	b.click("a[href='/api/consent/user']")
	if b.has("#user-0") {
		b.click("#user-0")
	}
	b.click("#accept")
	b.arrive("Connected", "Where this shows at Microsoft")
	b.fits()
	b.open(console + "#consents")
	b.arrive("works", "If it failed, reading would stop", "Connect another person")
	b.fits()
	b.picture("phone-console")
	b.click("a[href*='/api/console/disconnect?kind=user']")
	b.arrive("Disconnect the user consent?", "Then reading stops.", "Revoke sessions")
	b.fits()
	b.picture("phone-disconnect")
	b.click("form[action='/api/console/disconnect'] button")
	b.arrive("Disconnected. What Microsoft keeps can be revoked there.", "disconnected")
	if text := b.text(); strings.Contains(text, "If it failed, reading") {
		b.fail("a disconnected account carries reading")
	}

	// The check names the one thing that is missing and goes on where it can.
	b.click("form[action='/api/console/check'] button")
	b.arrive("Admin consent", "holds no role", "What to do:")
	b.fits()
	b.picture("phone-check")
}

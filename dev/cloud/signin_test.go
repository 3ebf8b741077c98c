package cloud_test

import (
	"testing"

	"procallteams/dev/cloud"
)

// A form's redirects must lead to our own pages only (Content-Security-Policy,
// form-action), so Microsoft is reached by a link.
func TestASignInOnTheWayToAConsentEndsAtMicrosoft(t *testing.T) {
	c := start(t, cloud.Options{Users: 3, Settings: map[string]string{
		"TEAMS_TENANT_ID": cloud.TenantID, "TEAMS_CLIENT_ID": cloud.ClientID,
	}})
	code, err := c.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := openChromium(t, 1100, 900, false)
	b.open(c.URL + "/api/consent/user")
	b.fill("#code", code)
	b.click("form[action='/api/console/code'] button")
	b.arrive("Consents")
	b.click("a[href='/api/consent/user']")
	if !b.has("#user-0") {
		b.fail("Microsoft does not ask who it is")
	}
}

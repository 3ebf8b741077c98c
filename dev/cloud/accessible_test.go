package cloud_test

import (
	"context"
	_ "embed"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"procallteams/dev/cloud"
)

//go:embed accessible.js
var accessible string

// stumbles fails for everything on the page that somebody would stumble over who sees
// badly, or not at all, or has no mouse.
func (c chromium) stumbles(page string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](accessible))
	if err != nil {
		c.fail(err.Error())
	}
	for fault := range strings.Lines(found) {
		c.t.Errorf("%s: %s", page, strings.TrimSpace(fault))
	}
}

// eval returns what a script says about the page.
func (c chromium) eval(script string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	said, err := chromedp.Run(ctx, chromedp.Evaluate[string](script))
	if err != nil {
		c.fail(err.Error())
	}
	return said
}

// TestNobodyStumblesOverTheConsole reads every page of the console in a real browser: on
// a desk in the light, and in the smallest window that counts, in the dark.
func TestNobodyStumblesOverTheConsole(t *testing.T) {
	c := start(t, cloud.Options{Users: 12, Members: true, Roster: true, Schedule: "*/2 * * * * *"})
	integration, err := c.Integrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.UCServer.Connect(c.URL, integration.Token); err != nil {
		t.Fatal(err)
	}
	code, err := c.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	console := c.URL + "/api/console"
	for _, window := range []struct {
		name          string
		width, height int
		dark          bool
	}{{"desk", 1280, 900, false}, {"phone", 320, 700, true}} {
		t.Run(window.name, func(t *testing.T) {
			b := openChromium(t, window.width, window.height, window.dark)
			b.open(console)
			b.stumbles("sign-in")
			b.fill("#code", "WRONG")
			b.click("form[action='/api/console/code'] button")
			b.arrive("not the set-up code")
			b.stumbles("a wrong code")
			b.fill("#code", code)
			b.click("form[action='/api/console/code'] button")
			b.arrive("App registration")
			b.stumbles("overview")

			// The first key leads past the header.
			b.open(console)
			b.do(chromedp.KeyEvent(kb.Tab))
			if at := b.eval("document.activeElement.textContent"); at != "To the content" {
				t.Errorf("the first key leads to %q", at)
			}

			// Entries that concern nobody, then a refusal: it has the focus and leads on.
			b.eval("for (const d of document.querySelectorAll('details')) d.open = true; ''")
			b.fill("[id='teamsToProCall.excludedUsers']", "zacharias")
			b.click("#directions button")
			b.see(20*time.Second, "Nobody is called “zacharias”")
			b.stumbles("entries that concern nobody")
			b.open(console)
			b.fill("[id='teamsToProCall.excludedUsers']", strings.Repeat("x", 300))
			b.click("#directions button")
			b.arrive("more than 256 bytes")
			if at := b.eval("document.activeElement.id + ', ' + document.title"); !strings.HasPrefix(at, "notice, Not done: ") {
				t.Errorf("after a refusal the focus is on %q", at)
			}
			b.stumbles("a refusal")

			for _, page := range []string{"/people", "/people?show=takesPart", "/people?show=users", "/mapping", "/check", "/nothing"} {
				b.open(console + page)
				b.stumbles(page)
			}
			b.open(console + "/people")
			b.see(20*time.Second, "UCServer's users without an account (")
			b.fill("#lookupname", "user00001@procall.local")
			b.click("form[action='/api/console/lookup'] button")
			b.arrive("Who it is")
			b.stumbles("look-up")
			b.open(console + "/check")
			b.click("form[action='/api/console/check'] button")
			b.arrive("Checked at")
			b.stumbles("what the check found")
		})
	}
}

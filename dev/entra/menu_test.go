package entra_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	rows    = regexp.MustCompile(`(?s)<div class="row( active)?" id="([a-z-]+)">.*?</div>`)
	obs     = regexp.MustCompile(`name="obstacle" value="([a-z-]+)"`)
	buttons = regexp.MustCompile(`<button( name="undo" value="1")? aria-label`)
)

// menu reads the menu for an account: the rows by obstacle, with "on", "play" and
// "undo" for what each shows; standing are those at its top.
func (c *world) menu(oid string) (shown map[string][]string, standing []string) {
	c.t.Helper()
	_, body := get(c.t.Context(), c.t, http.DefaultClient, c.browser.URL+"/?user="+oid)
	top, rest, _ := strings.Cut(body, `<section id="group-0"`)
	for _, match := range obs.FindAllStringSubmatch(top, -1) {
		standing = append(standing, match[1])
	}
	shown = map[string][]string{}
	for _, match := range rows.FindAllStringSubmatch(rest, -1) {
		what := []string{}
		if match[1] != "" {
			what = append(what, "on")
		}
		for _, button := range buttons.FindAllStringSubmatch(match[0], -1) {
			if button[1] == "" {
				what = append(what, "play")
			} else {
				what = append(what, "undo")
			}
		}
		shown[match[2]] = what
	}
	return shown, standing
}

func (c *world) press(obstacle, undo string) int {
	return c.post("/_menu", "application/x-www-form-urlencoded", url.Values{
		"obstacle": {obstacle}, "undo": {undo}, "tenant": {tenantID}, "client": {clientID}, "user": {adaID}, "account": {adaID},
	}.Encode())
}

func TestEveryObstacleOfTheMenuCanBePlayedAndUndone(t *testing.T) {
	names, _ := start(t).menu(adaID)
	if len(names) < 35 {
		t.Fatalf("the menu offers %d obstacles", len(names))
	}
	for name, before := range names {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			c.signIn("scope", readScope+" "+graph+"/User.ReadBasic.All")
			if name == "request" { // nothing to answer before somebody asks
				if len(before) != 0 {
					t.Fatalf("without a request it shows %v", before)
				}
				_ = c.SetUserConsentPolicy(tenantID, false, true)
				p := bob
				p.Request = true
				c.stuck(p, c.authorizeURL())
				if now, _ := c.menu(adaID); !slices.Equal(now[name], []string{"on", "play", "undo"}) {
					t.Errorf("with a request it shows %v", now[name])
				}
				return
			}
			if !slices.Contains(before, "play") || slices.Contains(before, "on") {
				t.Fatalf("at first it shows %v", before)
			}
			if got := c.press(name, ""); got != http.StatusOK {
				t.Fatalf("play: %d", got)
			}
			now, standing := c.menu(adaID)
			if slices.Equal(now[name], before) {
				return // leaves no trace
			}
			if !slices.Contains(now[name], "on") || slices.Contains(now[name], "play") {
				t.Errorf("after it was played it shows %v", now[name])
			}
			if slices.Contains(now[name], "undo") != slices.Contains(standing, name) {
				t.Errorf("the top offers %v", standing)
			}
			if !slices.Contains(now[name], "undo") {
				return // a new sign-in cures it
			}
			if got := c.press(name, "1"); got != http.StatusOK {
				t.Fatalf("undo: %d", got)
			}
			if now, standing := c.menu(adaID); !slices.Equal(now[name], before) || len(standing) != 0 {
				t.Errorf("after it was undone it shows %v, at the top %v", now[name], standing)
			}
		})
	}
}

func TestUndoAllLeavesAQuietTenant(t *testing.T) {
	c := start(t)
	token := c.signIn().RefreshToken
	for _, name := range []string{"disable", "conditional-access", "user-consent-off", "remove-app", "outage", "require-mfa", "decline-next"} {
		if got := c.press(name, ""); got != http.StatusOK {
			t.Fatalf("%s: %d", name, got)
		}
	}
	if _, standing := c.menu(adaID); len(standing) != 7 {
		t.Errorf("on now: %v; want 7", standing)
	}
	c.post("/_menu", "application/x-www-form-urlencoded", "action=quiet")
	if _, standing := c.menu(adaID); len(standing) != 0 {
		t.Errorf("still on: %v", standing)
	}
	if got := c.refresh(token); got.status != http.StatusOK {
		t.Errorf("refresh: %s", got.raw)
	}
}

func TestTheMenuRefusesWhatItDoesNotOffer(t *testing.T) {
	c := start(t)
	if got := c.press("earthquake", ""); got != http.StatusNotFound {
		t.Errorf("unknown obstacle: %d", got)
	}
	if got := c.press("roll-keys", "1"); got != http.StatusNotFound {
		t.Errorf("undo of what cannot be undone: %d", got)
	}
	if got := c.press("request", ""); got != http.StatusBadRequest {
		t.Errorf("approval without a request: %d", got)
	}
}

package consentcallback_test

import (
	"net/http"
	"strings"
	"testing"

	devEntra "procallteams/dev/entra"
)

// The tests of this file are the ways in which a consent goes wrong without
// anybody being to blame: each must end on a page that says what to do.

// shows demands a page that holds all the words.
func shows(t *testing.T, page string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(page, word) {
			t.Errorf("the page lacks %q:\n%s", word, page)
		}
	}
}

func TestASessionThatEndsWhileThePersonIsAtMicrosoftEndsOnAPage(t *testing.T) {
	w := newWorld(t)
	for kind, words := range map[string][]string{
		"user":  {"Your session at the bridge has ended", "start the user consent once more", `href="/api/console?next=/api/consent/user"`},
		"admin": {"Your session at the bridge has ended", "the bridge finds it by itself", `href="/api/console?next=/api/consent/admin"`},
	} {
		b := w.browser(w.admin)
		back := w.visit(devEntra.Person{ObjectID: w.admin}, b.begin(kind))
		delete(b.cookies, sessionCookie)
		response := b.arrive(back)
		if response.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", kind, response.StatusCode, response.Header.Get("Content-Type"))
		}
		shows(t, b.last(), words...)
	}
	if n := w.redemptions(); n != 0 {
		t.Errorf("%d codes were redeemed for nobody", n)
	}
	// Signed in again, the same answer still ends well.
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	delete(b.cookies, sessionCookie)
	b.arrive(back)
	b.signIn(w.admin)
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("after signing in again = %d %s", status, page)
	}
}

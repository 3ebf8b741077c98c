package console_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/health"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestTheOverviewLoadsItselfOnlyForWhoWatches(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	const refresh = `http-equiv="refresh"`
	if page := w.get("/api/console?watch=yes").Body.String(); strings.Contains(page, refresh) || strings.Contains(page, "Watch it") {
		t.Error("nothing is about to change, and the page loads itself or offers that")
	}
	w.given(consent.Grant{Kind: consent.Admin, State: consent.Waiting})
	page := w.get("/api/console")
	has(t, page, `href="/api/console?watch=yes">Watch it`)
	if strings.Contains(page.Body.String(), refresh) {
		t.Error("the page loads itself, and what somebody types is lost")
	}
	has(t, w.get("/api/console?watch=yes"), refresh, `href="/api/console">Stop that`)
}

func TestTheOverviewBeginsWithWhatWasSeenLast(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	has(t, w.get("/api/console"), "<dt>Last sync</dt><dd>never</dd>")
	beat := health.Heartbeat{Attempt: w.now.Add(-2 * time.Second), Requests: 1, Millis: 13, AsOf: w.now.Add(-4 * time.Second), Users: 32}
	if err := w.store.Beat(t.Context(), tenantID, beat); err != nil {
		t.Fatal(err)
	}
	has(t, w.get("/api/console"), "<p>Last read 4 seconds ago, for 32 people.</p>",
		"<dt>Last sync</dt><dd>2 seconds ago: 0 changes, 1 request to Graph, 13 ms</dd>")
	w.post("directions", url.Values{"step": {"directions"}, "proCallToTeams": {"everyone"}})
	if _, err := (storage.Written{Storage: w.store}).SaveWriter(t.Context(), tenantID, session.Writer{Held: 1, LastWrite: w.now.Add(-time.Minute)}); err != nil {
		t.Fatal(err)
	}
	has(t, w.get("/api/console"), "<p>1 call shown in Teams, last write 60 seconds ago.</p>")
}

func TestEveryPageLeadsToTheOthersAndSaysWhereItIs(t *testing.T) {
	w := staffed(t, accounts...)
	for _, path := range []string{"", "/people", "/mapping", "/check"} {
		page := w.get("/api/console" + path)
		has(t, page, `<a href="/api/console`+path+`" aria-current="page">`)
		for _, other := range []string{"", "/people", "/mapping", "/check"} {
			has(t, page, `<li><a href="/api/console`+other+`"`)
		}
	}
	w.cookie = nil
	if page := w.get("/api/console").Body.String(); strings.Contains(page, "<nav") {
		t.Error("the sign-in leads to pages that need a session")
	}
}

package console_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"procallteams/functions/users"
	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/health"
	"procallteams/internal/poll"
	"procallteams/internal/presence"
	"procallteams/internal/storage"
)

func (w *world) lookups() users.Function {
	cache := &directory.Cache{Read: w.store.Directory}
	return users.Function{
		Storage: w.store, Settings: storage.Settings{Storage: w.store}, People: cache.Index, Interval: 5 * time.Second, Now: w.console.Now, Log: w.console.Log,
		Feeds: poll.Feeds{Open: func(tenant string) feed.Reader { return w.store.Feed(tenant) }, Books: &feed.Shelf{}},
	}
}

// office is staffed, with both directions on for everybody but Bob.
func office(t *testing.T) *world {
	t.Helper()
	w := staffed(t, accounts...)
	w.upload("users", userList, nil)
	w.upload("usermatching", "ada@contoso.com,DOMAIN\\ada\n", nil)
	w.post("directions", url.Values{
		"step": {"directions"}, "teamsToProCall": {"everyone"}, "proCallToTeams": {"everyone"},
		"teamsToProCall.excludedUsers": {"4712"}, "proCallToTeams.excludedUsers": {"4712"},
	})
	w.sync()
	return w
}

func (w *world) lookup(name string) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.post("lookup", url.Values{"name": {name}})
}

// why is the sentence at the top of the answer.
func why(answer *httptest.ResponseRecorder) string {
	_, text, _ := strings.Cut(answer.Body.String(), `id="why" role="status">`)
	text, _, _ = strings.Cut(text, "</p>")
	return htmlText(text)
}

// shows publishes what Ada's Teams shows.
func (w *world) shows(outcome presence.Outcome) {
	w.t.Helper()
	store := w.store.Feed(tenantID)
	head, err := store.Head(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	change := feed.Change{Kind: feed.Presence, Entra: accounts[0].ID, User: `DOMAIN\ada`, Outcome: outcome, ObservedAt: w.now}
	if _, err := feed.Append(w.t.Context(), store, feed.NewBook(), head, []feed.Change{change}, w.now); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Beat(w.t.Context(), tenantID, health.Heartbeat{AsOf: w.now, Attempt: w.now, Users: 1, Interval: 5000}); err != nil {
		w.t.Fatal(err)
	}
}

// telephones has reporter uc1 report that Ada is in a call.
func (w *world) telephones() {
	w.t.Helper()
	kept := storage.Calls{Storage: w.store}
	reporter := calls.Reporter{ID: "uc1", Epoch: 1, Generation: 1, Until: w.now.Add(calls.LeaseTime), Seen: w.now}
	if err := kept.SavePeople(w.t.Context(), tenantID, nil, &reporter); err != nil {
		w.t.Fatal(err)
	}
	said := calls.Report{Reporter: "uc1", User: `DOMAIN\ada`, Epoch: 1, Generation: 1, Seq: 1, State: calls.Busy, Reasons: calls.Call, Since: w.now, At: w.now}
	if err := kept.SavePeople(w.t.Context(), tenantID, []calls.Person{{ID: accounts[0].ID, Reports: []calls.Report{said}}}, nil); err != nil {
		w.t.Fatal(err)
	}
}

func TestALookUpSaysWhyAPersonOnACallIsRed(t *testing.T) {
	w := office(t)
	w.shows(presence.OutcomeOf(presence.State{Availability: "Available", Activity: "Available"}))
	w.telephones()
	answer := w.lookup(` DOMAIN\ada `)
	if answer.Code != 200 || answer.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("= %d, Cache-Control %q", answer.Code, answer.Header().Get("Cache-Control"))
	}
	want := "Teams is not the reason: it shows Available, which adds nothing to ProCall; UCServer itself reports busy (call), which Teams does not show: reported, not written yet."
	if got := why(answer); got != want {
		t.Errorf("the sentence is\n%s\nwant\n%s", got, want)
	}
	has(t, answer, `DOMAIN\ada`, "ada@contoso.com", "matched by usermatching.csv", "line 1 of", "<dt>Teams to ProCall</dt><dd>yes, everyone</dd>", "<dt>ProCall to Teams</dt><dd>yes, everyone</dd>",
		"Available / Available", "Teams itself", "2026-11-25 12:00:00 UTC", "a connector that polls", "Reporter uc1", "nothing yet: it is to be written")
	parts := []string{`id="why"`, `id="person"`, `id="part"`, `id="teams"`, `id="told"`, `id="reports"`, `id="session"`, `id="lookup"`}
	for i, last := 0, 0; i < len(parts); i++ {
		at := strings.Index(answer.Body.String(), parts[i])
		if at < last {
			t.Errorf("%s stands at %d, behind %d", parts[i], at, last)
		}
		last = at
	}
}

func TestALookUpNamesTheSourceThatWins(t *testing.T) {
	for sentence, outcome := range map[string]presence.Outcome{
		"Teams is the reason: it shows Busy (InACall), which UCServer takes as busy.":                        presence.OutcomeOf(presence.State{Availability: "Busy", Activity: "InACall"}),
		"UCServer's own call is what Teams shows: the bridge wrote it there, so it adds nothing to ProCall.": presence.EchoOf(presence.State{Availability: "Busy", Activity: "InACall"}),
		"UCServer alone decides what ProCall shows: Microsoft Graph has stopped answering for this person.":  presence.Withdrawn(presence.FromMissing),
		"UCServer alone decides what ProCall shows: Teams has not been readable for too long.":               presence.Withdrawn(presence.FromStale),
		"UCServer alone decides what ProCall shows: an administrator paused the bridge.":                     presence.Withdrawn(presence.FromPause),
		"UCServer alone decides what ProCall shows: nothing was read from Teams about this person yet.":      {},
	} {
		w := office(t)
		if outcome.Source != "" {
			w.shows(outcome)
		}
		if got := why(w.lookup("ada@contoso.com")); got != sentence {
			t.Errorf("the sentence is\n%s\nwant\n%s", got, sentence)
		}
	}
}

func TestALookUpSaysThatMicrosoftsAnswersAlternate(t *testing.T) {
	w := office(t)
	w.shows(presence.OutcomeOf(presence.State{Availability: "Busy", Activity: "InACall"}))
	beat := health.Heartbeat{AsOf: w.now, Attempt: w.now, Users: 1, Interval: 5000, Alternating: map[presence.UserID]health.Alternation{
		accounts[0].ID: {Since: w.now.Add(-time.Hour), Last: w.now, Turns: 700},
	}}
	if err := w.store.Beat(t.Context(), tenantID, beat); err != nil {
		t.Fatal(err)
	}
	has(t, w.lookup("ada@contoso.com"), "answers alternate</dt>", "700 times since 2026-11-25 11:00:00 UTC, last at 2026-11-25 12:00:00 UTC")
}

func TestALookUpSaysWhySomebodyDoesNotTakePart(t *testing.T) {
	w := office(t)
	answer := w.lookup("bob")
	if got := why(answer); got != "The bridge is not the reason: this person does not take part, since no direction is switched on for this person." {
		t.Errorf("the sentence is %s", got)
	}
	has(t, answer, "bob@contoso.com", "matched by upn", "no, excluded (4712)", "Nothing is known from Teams", "No reporter said anything")
	answer = w.lookup("4715")
	has(t, answer, "no account in Entra is this user", "&lt;b&gt;Nemo&lt;/b&gt;", "fits no account", "<dt>UPN</dt><dd>none</dd>", "What to do")
	has(t, w.lookup("cleo@contoso.com"), "more than one user of UCServer, or more than one account, fits", "by mail: sales, dora@contoso.com")
	has(t, w.lookup("erik@contoso.com"), "since the account is disabled")
	w.upload("users", `{"id":"1","name":"dora@procall.local"}`+"\n"+`{"count":1}`+"\n", map[string]string{"confirm": "1"})
	w.sync()
	has(t, w.lookup("dora@procall.local"), "the same name in another domain: dora@contoso.com", "If these are one person")
}

func TestALookUpThatFindsNobodySaysSo(t *testing.T) {
	w := staffed(t, accounts...)
	answer := w.lookup("ada@contoso.com")
	has(t, answer, "It is not known yet who takes part")
	if answer.Code != 503 {
		t.Errorf("before the first sync = %d", answer.Code)
	}
	w.sync()
	answer = w.lookup("<i>Somebody</i>")
	has(t, answer, "Nobody has this name", "Compare the spelling", `value="&lt;i&gt;Somebody&lt;/i&gt;"`)
	if answer.Code != 404 || strings.Contains(answer.Body.String(), "<i>") {
		t.Errorf("unknown = %d", answer.Code)
	}
	// Twice under the same name, in another case than the one asked for.
	w.upload("users", `{"id":"1","name":"Twin"}`+"\n"+`{"id":"2","name":"TWIN"}`+"\n"+`{"count":2}`+"\n", nil)
	if answer = w.lookup("twin"); answer.Code != 409 {
		t.Errorf("ambiguous = %d", answer.Code)
	}
	has(t, answer, "Several people have this name", "Ask by UPN")
	for _, name := range []string{"", "  ", strings.Repeat("x", 257), "\xff"} {
		if answer := w.lookup(name); answer.Code != 400 {
			t.Errorf("%.10q = %d", name, answer.Code)
		}
	}
	if answer := w.post("lookup", nil); answer.Code != 400 {
		t.Errorf("without a body = %d", answer.Code)
	}
}

func TestLookUpsThatAreSwitchedOffAreRefused(t *testing.T) {
	w := office(t)
	w.post("directions", url.Values{"step": {"directions"}, "teamsToProCall": {"everyone"}, "noHelpdesk": {"yes"}})
	answer := w.lookup("ada@contoso.com")
	has(t, answer, "Look-ups of single people are switched off", "Refuse look-ups of single people")
	if answer.Code != 403 || strings.Contains(answer.Body.String(), "ada@") || strings.Contains(answer.Body.String(), `action="/api/console/lookup"`) {
		t.Errorf("= %d %s", answer.Code, answer.Body)
	}
	people := w.get("/api/console/people")
	has(t, people, "switched off in the settings")
	if strings.Contains(people.Body.String(), `action="/api/console/lookup"`) {
		t.Error("the page of the people offers what is switched off")
	}
}

// The name goes in the body, to our own page alone, and comes back in no address.
func TestTheNameOfALookUpIsInNoAddress(t *testing.T) {
	w := office(t)
	has(t, w.get("/api/console/people"), `<form method="post" action="/api/console/lookup">`)
	answer := w.lookup("ada@contoso.com")
	if answer.Code != 200 || answer.Header().Get("Location") != "" {
		t.Errorf("= %d, to %q", answer.Code, answer.Header().Get("Location"))
	}
	for _, attribute := range []string{"href=", "action=", "src="} {
		for _, rest := range strings.Split(answer.Body.String(), attribute)[1:] {
			if address, _, _ := strings.Cut(rest[1:], `"`); strings.Contains(address, "ada") || strings.Contains(address, "?name") {
				t.Errorf("%s%s", attribute, address)
			}
		}
	}
	if answer := w.get("/api/console/lookup?name=ada@contoso.com"); answer.Code != 303 || answer.Header().Get("Location") != "/api/console/people" {
		t.Errorf("GET = %d, to %q", answer.Code, answer.Header().Get("Location"))
	}
	elsewhere := httptest.NewRequest("POST", "/api/console/lookup", strings.NewReader("name=ada@contoso.com"))
	elsewhere.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	elsewhere.Header.Set("Sec-Fetch-Site", "cross-site")
	if answer := w.send(elsewhere); answer.Code != 403 || strings.Contains(answer.Body.String(), "ada@") {
		t.Errorf("from another site = %d", answer.Code)
	}
	w.cookie = nil
	if answer := w.lookup("ada@contoso.com"); answer.Code != 403 || strings.Contains(answer.Body.String(), "ada@") {
		t.Errorf("without a session = %d", answer.Code)
	}
	lookedUp := 0
	for change, err := range w.store.Changes(t.Context(), tenantID) {
		if err != nil {
			t.Fatal(err)
		}
		if change.What == access.LookedUp {
			lookedUp++
		}
	}
	if lookedUp != 1 {
		t.Errorf("%d look-ups are audited, want 1", lookedUp)
	}
}

package console_test

import (
	"bytes"
	"mime/multipart"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	userlists "procallteams/functions/directory"
	"procallteams/functions/usermatching"
	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// staffed is a bridge that knows accounts, and takes in files.
func staffed(t *testing.T, accounts ...matching.Account) *world {
	t.Helper()
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	w.console.Storage = w.store
	kept := storage.Settings{Storage: w.store}
	clock, log := w.console.Now, w.console.Log
	names := &usermatching.Function{Storage: w.store, Settings: kept, Audit: w.store, Now: clock, Log: log}
	users := &userlists.Function{Storage: w.store, Settings: kept, Audit: w.store, Now: clock, Log: log}
	w.console.TakeNames, w.console.TakeUsers, w.console.LookUp = names.Take, users.Take, w.lookups().Find
	if len(accounts) > 0 {
		if _, err := w.store.PutAccounts(t.Context(), tenantID, directory.AccountsRef{}, directory.NewAccounts(accounts, nil), directory.AccountsRef{At: w.now}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// sync compiles what is stored, as presencesync does.
func (w *world) sync() {
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	ctx := w.t.Context()
	now, err := w.store.Now(ctx, tenantID)
	must(err)
	accounts, err := w.store.Accounts(ctx, now.Accounts)
	must(err)
	var users *directory.Users
	if now.Users.Blob != "" {
		users, err = w.store.Users(ctx, now.Users)
		must(err)
	}
	var list matching.List
	if now.List.Blob != "" {
		file, err := w.store.List(ctx, now.List)
		must(err)
		list, err = matching.Parse(file)
		must(err)
	}
	d, report := directory.Compile(accounts, users, list, now.Settings.TeamsToProCall.Rules(), now.Settings.ProCallToTeams.Rules())
	_, err = w.store.PutDirectory(ctx, tenantID, now.Directory, d, report, directory.Ref{At: w.now})
	must(err)
}

// upload posts a form with a file.
func (w *world) upload(step, file string, fields map[string]string) *httptest.ResponseRecorder {
	w.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		_ = form.WriteField(name, value)
	}
	part, err := form.CreateFormFile("file", "file")
	if err != nil {
		w.t.Fatal(err)
	}
	_, _ = part.Write([]byte(file))
	_ = form.Close()
	r := httptest.NewRequest("POST", "/api/console/"+step, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return w.send(r)
}

func (w *world) stored() settings.Integration {
	w.t.Helper()
	current, _, err := storage.Settings{Storage: w.store}.Load(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return current
}

const salesID = "aaaaaaaa-0000-4000-8000-00000000000a"

func TestRulesAreEnteredLineByLineAndShownAsTheyAre(t *testing.T) {
	w := staffed(t)
	answer := w.post("directions", url.Values{
		"step": {"directions"}, "teamsToProCall": {"everyone"}, "teamsToProCall.excludedUsers": {"4711\r\n\r\n 4712 \n"}, "teamsToProCall.pilot": {strings.ToUpper(salesID)},
		"proCallToTeams.groups": {"Sales\nentra:" + salesID + "\nucserver:entra:x\nucserver:" + salesID + "\nO'Neil & <Söhne>"}, "proCallToTeams.users": {"4711"},
		"proCallToTeams.excludedGroups": {"Temps"}, "noHelpdesk": {"yes"},
	})
	if answer.Code != 303 {
		t.Fatalf("= %d %s", answer.Code, answer.Body)
	}
	current := w.stored()
	want := settings.By(participation.Rules{Everyone: true, ExcludedUsers: []string{"4711", "4712"}, Pilot: []participation.Group{{Source: participation.Entra, ID: salesID}}})
	if current.TeamsToProCall != want || current.LookUps.On() {
		t.Errorf("Teams to ProCall = %s", current.TeamsToProCall)
	}
	want = settings.By(participation.Rules{
		Groups: []participation.Group{{Source: participation.UCServer, ID: "Sales"}, {Source: participation.Entra, ID: salesID}, {Source: participation.UCServer, ID: "entra:x"},
			{Source: participation.UCServer, ID: salesID}, {Source: participation.UCServer, ID: "O'Neil & <Söhne>"}},
		Users: []string{"4711"}, ExcludedGroups: []participation.Group{{Source: participation.UCServer, ID: "Temps"}},
	})
	if current.ProCallToTeams != want {
		t.Errorf("ProCall to Teams = %s", current.ProCallToTeams)
	}
	home := w.get("/api/console")
	has(t, home, "<details open><summary>Teams to ProCall", "4711\n4712</textarea>", "Sales\n"+salesID+"\nucserver:entra:x\nucserver:"+salesID+"\nO&#39;Neil &amp; &lt;Söhne&gt;</textarea>")

	// What the page shows, sent as it is, changes nothing.
	form := url.Values{"step": {"directions"}, "teamsToProCall": {"everyone"}, "noHelpdesk": {"yes"}}
	for _, field := range regexp.MustCompile(`(?s)<textarea id="([^"]+)"[^>]*>(.*?)</textarea>`).FindAllStringSubmatch(home.Body.String(), -1) {
		form.Set(field[1], htmlText(field[2]))
	}
	if answer := w.post("directions", form); answer.Code != 303 || w.stored().Version != current.Version {
		t.Errorf("sent again = %d, version %d; was %d", answer.Code, w.stored().Version, current.Version)
	}
}

func htmlText(escaped string) string {
	return strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&#39;", "'", "&#34;", `"`).Replace(escaped)
}

func TestRulesThatAreRefusedStayInTheForm(t *testing.T) {
	w := staffed(t)
	answer := w.post("directions", url.Values{"step": {"directions"}, "teamsToProCall.groups": {"entra:Sales"}, "teamsToProCall.users": {"4711"}})
	if answer.Code != 422 {
		t.Errorf("= %d", answer.Code)
	}
	has(t, answer, "an Entra group is named by its object id", "entra:Sales</textarea>", "4711</textarea>")
	if w.stored().TeamsToProCall.On() {
		t.Error("something was stored")
	}
}

var accounts = []matching.Account{
	{ID: "aaaaaaaa-0000-4000-8000-000000000001", UPN: "ada@contoso.com"},
	{ID: "bbbbbbbb-0000-4000-8000-000000000002", UPN: "bob@contoso.com"},
	{ID: "cccccccc-0000-4000-8000-000000000003", UPN: "cleo@contoso.com", Mail: "sales@contoso.com"},
	{ID: "dddddddd-0000-4000-8000-000000000004", UPN: "dora@contoso.com", Mail: "sales@contoso.com"},
	{ID: "eeeeeeee-0000-4000-8000-000000000005", UPN: "erik@contoso.com", Disabled: true},
}

const userList = `{"id":"4711","name":"DOMAIN\\ada"}
{"id":"4712","name":"bob","upn":"bob@contoso.com"}
{"id":"4713","name":"sales","mail":"sales@contoso.com"}
{"id":"4715","name":"<b>Nemo</b>"}
{"count":4}
`

func TestThePageOfThePeopleSaysForEachWhy(t *testing.T) {
	w := staffed(t, accounts...)
	has(t, w.get("/api/console/people"), "Not known yet")
	answer := w.upload("users", userList, nil)
	has(t, answer, "4 on the list; 4 added", "Stored; it takes effect with the next sync")
	has(t, w.upload("usermatching", "ada@contoso.com,DOMAIN\\ada\n", map[string]string{"dryRun": "yes"}), "matched anew: 1,", "Nothing was stored: this was a trial",
		"Whose match changes", `ada@contoso.com: gained, now DOMAIN\ada`)
	has(t, w.upload("usermatching", "ada@contoso.com,DOMAIN\\ada\n", nil), "Stored; it takes effect")
	has(t, w.upload("users", strings.Replace(userList, "bob@contoso.com", "nobody@contoso.com", 1), map[string]string{"dryRun": "yes"}), "no longer: 1,", "bob: lost")
	w.post("directions", url.Values{"step": {"directions"}, "teamsToProCall": {"everyone"}, "teamsToProCall.excludedUsers": {"4712"}})
	w.sync()

	has(t, w.get("/api/console/people"), "not switched on (1)", "without a UCServer user (0)", "ambiguous (2)", "disabled (1)", "guests (0)", "take part (1)", "users without an account (2)",
		"bob@contoso.com", "Teams to ProCall: no, excluded (4712); ProCall to Teams: no, nobody; matched by upn", "Names in force: 1,", "Users in force: 4,")
	has(t, w.get("/api/console/people?show=takesPart"), "ada@contoso.com", `UCServer: DOMAIN\ada`, "yes, everyone", "matched by usermatching.csv")
	has(t, w.get("/api/console/people?show=ambiguous"), "cleo@contoso.com", "Fits several by mail: sales, dora@contoso.com")
	has(t, w.get("/api/console/people?show=disabled"), "erik@contoso.com")
	has(t, w.get("/api/console/people?show=users"), "&lt;b&gt;Nemo&lt;/b&gt;", "Fits no account", "sales", "cleo@contoso.com, dora@contoso.com")
	has(t, w.get("/api/console/people?show=nonsense&after=%00"), "Nobody.")
	has(t, w.get("/api/console"), `href="/api/console/people"`)
}

func TestCharactersThatNobodySeesAreWrittenOut(t *testing.T) {
	w := staffed(t, accounts...)
	w.post("directions", url.Values{"step": {"directions"}, "teamsToProCall": {"everyone"}})
	list := `{"id":"1","name":"bob\u200b@contoso.com"}` + "\n" + `{"id":"2","name":"ada@contoso.com"}` + "\n" + `{"count":2}` + "\n"
	w.upload("users", list, nil)
	w.sync()
	const shown = "bob⟨U&#43;200B⟩@contoso.com"
	has(t, w.get("/api/console/people?show=users"), shown, "characters that can&#39;t be seen")
	has(t, w.lookup("bob\u200b@contoso.com"), shown)
}

func TestManyPeopleComeInPages(t *testing.T) {
	var many []matching.Account
	for i := range 250 {
		id := presence.UserID("00000000-0000-4000-8000-" + strconv.Itoa(100000000000+i))
		many = append(many, matching.Account{ID: id, UPN: "u" + strconv.Itoa(i) + "@contoso.com"})
	}
	w := staffed(t, many...)
	w.sync()
	next, seen := "/api/console/people?show=notEnabled", map[string]bool{}
	for range 3 {
		answer := w.get(next)
		for _, name := range regexp.MustCompile(`<strong>(u\d+@contoso.com)</strong>`).FindAllStringSubmatch(answer.Body.String(), -1) {
			if seen[name[1]] {
				t.Errorf("%s is listed twice", name[1])
			}
			seen[name[1]] = true
		}
		link := regexp.MustCompile(`href="([^"]+)">More<`).FindStringSubmatch(answer.Body.String())
		if next = ""; link != nil {
			next = htmlText(link[1])
		}
	}
	if len(seen) != 250 || next != "" {
		t.Errorf("%d of 250 people are listed, and then %q", len(seen), next)
	}
}

func TestAFileThatIsRefusedSaysWhatToCorrect(t *testing.T) {
	w := staffed(t, accounts...)
	answer := w.upload("usermatching", "a,b\nc\nd,e,f\n", nil)
	if answer.Code != 422 {
		t.Errorf("faults = %d", answer.Code)
	}
	has(t, answer, "Line 2:", "Line 3:", "the file before is in force")
	if answer := w.upload("users", `{"id":"4711"`, nil); answer.Code != 422 {
		t.Errorf("a broken list = %d %s", answer.Code, answer.Body)
	}
	w.upload("users", userList, nil)
	short := `{"id":"4711","name":"DOMAIN\\ada"}` + "\n" + `{"count":1}` + "\n"
	answer = w.upload("users", short, nil)
	if answer.Code != 409 {
		t.Errorf("a much shorter list = %d", answer.Code)
	}
	has(t, answer, "3 of 4 users would go", "enter 1 as confirmation")
	has(t, w.upload("users", short, map[string]string{"confirm": "1"}), "3 removed", "Stored")
	has(t, w.upload("users", short, nil), "the same is in force already")
}

func TestTheListOfUsersIsTakenAwayOnThePage(t *testing.T) {
	w := staffed(t, accounts...)
	if page := w.get("/api/console/people").Body.String(); strings.Contains(page, "Go back to UPNs") {
		t.Error("there is no list to take away yet")
	}
	w.upload("users", userList, nil)
	has(t, w.get("/api/console/people"), "Go back to UPNs")
	if answer := w.post("users/remove", url.Values{}); answer.Code != 400 {
		t.Errorf("an empty form = %d", answer.Code)
	}
	answer := w.post("users/remove", url.Values{"confirm": {""}})
	if answer.Code != 409 {
		t.Errorf("without confirmation = %d", answer.Code)
	}
	has(t, answer, "The whole list would go", "If it is meant, enter 4 as confirmation")
	has(t, w.post("users/remove", url.Values{"confirm": {"4"}, "dryRun": {"yes"}}), "4 removed", "Nothing was stored: this was a trial")
	answer = w.post("users/remove", url.Values{"confirm": {" 4 "}})
	has(t, answer, "4 removed", "Stored; it takes effect", "users are not known: the name in usermatching.csv")
	if page := answer.Body.String(); strings.Contains(page, "Go back to UPNs") {
		t.Error("the list is offered to be taken away once more")
	}
	if answer := w.post("users/remove", url.Values{"confirm": {"4"}}); answer.Code != 404 {
		t.Errorf("once more = %d", answer.Code)
	}
}

func TestOnlyAnAdministratorsOwnPageUploads(t *testing.T) {
	w := staffed(t, accounts...)
	if answer := w.post("usermatching", url.Values{"once": {"1"}}); answer.Code != 400 {
		t.Errorf("a form without a file = %d", answer.Code)
	}
	w.cookie = nil
	if answer := w.upload("usermatching", "ada@contoso.com,ada\n", nil); answer.Code != 403 {
		t.Errorf("without a session = %d", answer.Code)
	}
	if answer := w.get("/api/console/people"); answer.Code != 303 || strings.Contains(answer.Body.String(), "contoso") {
		t.Errorf("the page without a session = %d", answer.Code)
	}
	now, err := w.store.Now(t.Context(), tenantID)
	if err != nil || now.List.Blob != "" {
		t.Errorf("something was stored: %+v, %v", now.List, err)
	}
}

func TestADirectoryOfAnotherVersionIsNotKnownYet(t *testing.T) {
	w := staffed(t, accounts...)
	w.sync()
	now, err := w.store.Now(t.Context(), tenantID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.PutBlob(t.Context(), now.Directory.Blob, []byte("another form")); err != nil {
		t.Fatal(err)
	}
	has(t, w.get("/api/console/people"), "Not known yet")
}

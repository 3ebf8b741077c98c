package console_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"procallteams/internal/settings"
)

// seenIn is what the form of a step sends along.
func seenIn(t *testing.T, page, step string) string {
	t.Helper()
	found := regexp.MustCompile(`action="/api/console/` + step + `">.*name="seen" value="([0-9a-f]+)"`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("the form of %s does not say what it shows", step)
	}
	return found[1]
}

func TestAFormOfAnOldPageDoesNotUndoWhatWasChangedSince(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	old := w.get("/api/console").Body.String()
	for step, change := range map[string]struct{ first, second url.Values }{
		"directions": {url.Values{"step": {"directions"}, "teamsToProCall.excludedUsers": {"4711"}, "teamsToProCall": {"everyone"}}, url.Values{"step": {"directions"}, "teamsToProCall": {"everyone"}}},
		"push":       {url.Values{"pushUrl": {"https://new.example/push"}}, url.Values{"pushUrl": {"https://old.example/push"}}},
		"app":        {url.Values{"tenant": {"contoso.com"}, "clientId": {"c0ffee00-0000-4000-8000-000000000002"}}, url.Values{"tenant": {"contoso.com"}, "clientId": {clientID}}},
	} {
		change.first.Set("seen", seenIn(t, old, step))
		if answer := w.post(step, change.first); answer.Code != 303 && answer.Code != 200 {
			t.Errorf("%s, first = %d %s", step, answer.Code, answer.Body)
		}
		stored := w.stored()
		change.second.Set("seen", seenIn(t, old, step))
		answer := w.post(step, change.second)
		if answer.Code != 412 || w.stored() != stored {
			t.Errorf("%s from an old page = %d", step, answer.Code)
		}
		has(t, answer, "Nothing was saved", "in another tab", "<title>Not done: ")
		change.second.Set("seen", seenIn(t, answer.Body.String(), step)) // read, and meant
		if answer := w.post(step, change.second); answer.Code != 303 || w.stored() == stored {
			t.Errorf("%s once more = %d", step, answer.Code)
		}
	}
}

func TestWhatIsRefusedStandsBesideItsField(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	long, script := strings.Repeat("ä", 10_000), "<script>alert(1)</script>😀"
	for _, row := range []struct {
		step  string
		form  url.Values
		field string
		says  string
	}{
		{"app", url.Values{"tenant": {"nowhere.example"}, "clientId": {clientID}}, "tenant", "Microsoft knows no tenant"},
		{"app", url.Values{"tenant": {script}, "clientId": {clientID}}, "tenant", "Microsoft knows no tenant"},
		{"app", url.Values{"tenant": {"contoso.com"}, "clientId": {long}}, "clientId", "Not a GUID"},
		{"app", url.Values{"tenant": {"contoso.com"}, "clientId": {clientID}, "credential": {"certificate"}}, "certificate", "is missing"},
		{"app", url.Values{"tenant": {"contoso.com"}, "clientId": {clientID}, "credential": {"certificate"}, "certificate": {script}}, "certificate", "Not a name in Key Vault"},
		{"app", url.Values{"tenant": {"contoso.com"}, "clientId": {clientID}, "credential": {"secret"}, "secretEnds": {"soon"}}, "secretEnds", "not a date"},
		{"directions", url.Values{"step": {"directions"}, "teamsToProCall.users": {"4711\n" + long}}, "teamsToProCall.users", "Entry 2: has more than 256 bytes"},
		{"directions", url.Values{"step": {"directions"}, "proCallToTeams.pilot": {"entra:" + script}}, "proCallToTeams.pilot", "Entry 1: an Entra group"},
		{"directions", url.Values{"step": {"directions"}, "proCallToTeams": {"everyone"}, "onlySignedIn": {"yes"}}, "onlySignedIn", "Needs Teams to ProCall"},
		{"push", url.Values{"pushUrl": {"http://plain.example/" + script}}, "pushUrl", "https://"},
		{"push", url.Values{"pushUrl": {"https://x.example/" + long}}, "pushUrl", "2,048"},
		{"credential", url.Values{"name": {" "}, "scope": {"read"}}, "name", "1 to 80 characters"},
		{"credential", url.Values{"name": {script}}, "scope", "At least one of"},
	} {
		answer := w.post(row.step, row.form)
		page := answer.Body.String()
		if answer.Code != 422 || strings.Contains(page, "<script>alert") {
			t.Errorf("%s %s = %d", row.step, row.field, answer.Code)
		}
		if text := described(t, page, row.field); !strings.Contains(text, row.says) {
			t.Errorf("%s: beside %s stands %q; want %q", row.step, row.field, text, row.says)
		}
		has(t, answer, `href="#`+row.field+`"`, ` aria-invalid="true"`, `role="alert"`)
	}
	has(t, w.post("credential", url.Values{"name": {"connector"}, "scope": {"fly", "report"}}), `value="connector"`, `value="report" checked`)
}

package console_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"procallteams/internal/directory"
)

const groupedUsers = `{"id":"4711","name":"DOMAIN\\ada","upn":"ada@contoso.com","groups":["Sales","Works council "]}
{"id":"4712","name":"bob","upn":"bob@contoso.com"}
{"id":"4715","name":"<b>Nemo</b>","groups":["Temps"]}
{"count":3}
`

// described is what a field's aria-describedby leads to, as text with markup.
func described(t *testing.T, page, field string) string {
	t.Helper()
	_, tag, found := strings.Cut(page, ` id="`+field+`" `)
	if !found {
		t.Fatalf("there is no field %s", field)
	}
	tag, _, _ = strings.Cut(tag, ">")
	_, list, _ := strings.Cut(tag, `aria-describedby="`)
	list, _, _ = strings.Cut(list, `"`)
	var text strings.Builder
	for id := range strings.FieldsSeq(list) {
		_, element, found := strings.Cut(page, ` id="`+id+`">`)
		if !found {
			t.Errorf("%s is described by %s, which is not there", field, id)
		}
		text.WriteString(regexp.MustCompile(`(?s)^.*?</(p|ul)>`).FindString(element))
	}
	return text.String()
}

func TestEntriesThatConcernNobodyAreToldBesideTheirFields(t *testing.T) {
	w := staffed(t, accounts...)
	form := url.Values{
		"step": {"directions"}, "teamsToProCall": {"everyone"}, "teamsToProCall.excludedGroups": {"Works council\nWorks concil"}, "teamsToProCall.excludedUsers": {"<b>Nemo</b>\nadda@contoso.com"},
		"proCallToTeams.groups": {"sales\nTemps\nBoard\n" + salesID}, "proCallToTeams.users": {"ada@fabrikam.com\nsales\nerik@contoso.com\n4712"}, "proCallToTeams.pilot": {"entra:" + string(accounts[0].ID)},
	}
	saved := w.post("directions", form)
	if saved.Code != 303 {
		t.Fatalf("= %d %s", saved.Code, saved.Body)
	}
	has(t, w.get("/api/console"), "Whom these names mean is not known yet")
	w.upload("users", groupedUsers, nil)
	w.sync()

	after := w.get(saved.Header().Get("Location"))
	has(t, after, `<p class="notice wait" id="notice" role="status">Saved. 10 entries below concern nobody`, "They are kept")
	for field, sentences := range map[string][]string{
		"teamsToProCall.excludedGroups": {"“Works concil”", "Do you mean “Works council ”?", "An exclusion always wins"},
		"teamsToProCall.excludedUsers":  {"“&lt;b&gt;Nemo&lt;/b&gt;” is known, but without a partner", "Nobody is called “adda@contoso.com”"},
		"proCallToTeams.groups": {"Nobody in the group “Temps” is matched", "No user on UCServer&#39;s list is in a group “Board”",
			"Who is in the Entra group “" + salesID + "” is not known yet", "Until then it admits nobody."},
		"proCallToTeams.users": {"Do you mean “ada@contoso.com”?", "There is a group “Sales”: write it among the groups.", "“erik@contoso.com” is known"},
		"proCallToTeams.pilot": {"is not known yet", "nobody else takes part"},
	} {
		text := described(t, after.Body.String(), field)
		for _, sentence := range sentences {
			if !strings.Contains(text, sentence) {
				t.Errorf("%s lacks %q: %s", field, sentence, text)
			}
		}
	}
	if text := described(t, after.Body.String(), "teamsToProCall.excludedGroups"); strings.Contains(text, "“Works council”") {
		t.Errorf("a group that somebody is in is called nobody's: %s", text)
	}

	// The list comes, and the reproach is gone.
	form.Del("proCallToTeams.pilot")
	form.Set("proCallToTeams.groups", "sales")
	form.Set("proCallToTeams.users", "4712")
	form.Set("teamsToProCall.excludedGroups", "Works council")
	form.Set("teamsToProCall.excludedUsers", "nemo@contoso.com")
	w.post("directions", form)
	has(t, w.get("/api/console?done=directions"), "Saved. One entry below concerns nobody")
	w.upload("users", strings.Replace(groupedUsers, `"name":"bob"`, `"name":"nemo@contoso.com"`, 1), nil)
	w.sync()
	if page := w.get("/api/console?done=directions").Body.String(); strings.Contains(page, "concerns nobody") || !strings.Contains(page, "Saved. Changes take effect") {
		t.Error("somebody came who has the name, and the page still says that nobody has it")
	}
}

func TestThePageStandsWithoutTheListsOfPeople(t *testing.T) {
	w := staffed(t, accounts...)
	w.post("directions", url.Values{"step": {"directions"}, "teamsToProCall.users": {"nobody"}})
	w.sync()
	now, err := w.store.Now(t.Context(), tenantID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.DeleteBlob(t.Context(), now.Accounts.Blob); err != nil {
		t.Fatal(err)
	}
	answer := w.get("/api/console")
	if answer.Code != 200 {
		t.Errorf("= %d", answer.Code)
	}
	has(t, answer, "can&#39;t be told at the moment", "nobody</textarea>")
	if _, err := w.store.PutAccounts(t.Context(), tenantID, now.Accounts, directory.NewAccounts(accounts, nil), directory.AccountsRef{At: w.now}); err != nil {
		t.Fatal(err)
	}
	has(t, w.get("/api/console"), "Nobody is called “nobody”")
}

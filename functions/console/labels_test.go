package console_test

import (
	"net/url"
	"strings"
	"testing"

	"procallteams/internal/settings"
)

func TestRefusalsNameTheLabelsOfTheForm(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		step string
		form url.Values
		want string
	}{
		{"directions", url.Values{"step": {"directions"}, "teamsToProCall.users": {"4711\n" + long}, "teamsToProCall.pilot": {"entra:Sales"}},
			"Teams to ProCall: People, entry 2: has more than 256 bytes; Teams to ProCall: Pilot groups, entry 1: an Entra group"},
		{"directions", url.Values{"step": {"directions"}, "proCallToTeams": {"everyone"}, "onlySignedIn": {"yes"}}, "Only while signed in to Teams: needs Teams to ProCall"},
		{"app", url.Values{"tenant": {"contoso.com"}, "clientId": {"one"}}, "Application (client) id: not a GUID"},
		{"push", url.Values{"pushUrl": {"https://u:p@u.example/p"}}, "Address that receives pushes: a user name or a password in the address is not possible"},
		{"credential", url.Values{"name": {""}}, "Name of a new credential: 1 to 80 characters in one line; It may: at least one of"},
	} {
		answer := w.post(test.step, test.form)
		if answer.Code != 422 {
			t.Errorf("%s = %d", test.step, answer.Code)
		}
		has(t, answer, test.want)
	}
}

package console_test

import (
	"net/url"
	"strings"
	"testing"

	"procallteams/internal/settings"
)

// steps are the forms of the console, with all fields that they have.
var steps = map[string][]string{
	"app":        {"tenant", "clientId", "credential", "certificate", "clientSecret", "secretEnds", "kind", "seen"},
	"directions": {"step", "seen", "teamsToProCall", "teamsToProCall.users", "teamsToProCall.groups", "proCallToTeams.excludedUsers", "proCallToTeams.excludedGroups", "proCallToTeams.pilot", "paused", "ringing"},
	"credential": {"name", "scope"}, "credential/rotate": {"id"}, "credential/revoke": {"id"},
	"push": {"pushUrl", "seen"}, "push/authority/remove": {"once"}, "push/resume": {"once"},
	"disconnect": {"kind", "account"}, "use-again": {"once"}, "lookup": {"name"},
	"mapping":      {"seen", "line.Busy.InACall", "line.", "newAvailability", "newActivity", "newChoice"},
	"usermatching": {"file"}, "users": {"file"}, "push/authority": {"file"}, "no/such/step": {"x"},
}

// TestNoStepBreaksInAnyOrderOrWithAnythingInItsFields sends every form with what people
// paste and what others try, before anything is set up and after.
func TestNoStepBreaksInAnyOrderOrWithAnythingInItsFields(t *testing.T) {
	for _, row := range []struct {
		name string
		open func(*testing.T) *world
	}{
		{"on the first day", func(t *testing.T) *world {
			w := start(t, settings.Overrides{})
			w.signIn()
			return w
		}},
		{"set up", func(t *testing.T) *world {
			w := staffed(t, accounts...)
			w.sync()
			return w
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := row.open(t)
			for step, fields := range steps {
				for _, value := range []string{"", "   ", strings.Repeat("ü", 10_000), "👩‍💻 🦄", "<script>alert(1)</script>", `"><img src=x>`, "a\x00b", "\xff\xfe", "../../etc", "-1", "{{.}}", "\r\n\r\n"} {
					form := url.Values{}
					for _, field := range fields {
						form.Set(field, value)
					}
					answer := w.post(step, form)
					page := answer.Body.String()
					if answer.Code >= 500 || strings.Contains(page, "<script>alert") || strings.Contains(page, "<img src=x") {
						t.Errorf("%s with %.20q = %d", step, value, answer.Code)
					}
					if answer.Code == 200 || answer.Code == 303 || answer.Code == 429 {
						continue
					}
					if strings.Contains(page, "%!") || !strings.Contains(page, `class="notice`) {
						t.Errorf("%s with %.20q = %d, and no reason: %s", step, value, answer.Code, page)
					}
				}
			}
			if answer := w.get("/api/console"); answer.Code != 200 {
				t.Errorf("the overview afterwards = %d", answer.Code)
			}
		})
	}
}

package console_test

import (
	"io"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"procallteams/internal/consent"
	"procallteams/internal/contract"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// api calls a JSON function as the signed-in administrator, held to the contract.
func (w *world) api(method, path, body string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "/api/"+path, content)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if w.cookie != nil && r.Header.Get("Authorization") == "" {
		r.AddCookie(w.cookie)
	}
	answer := httptest.NewRecorder()
	contract.Handler(w.t, w.handler).ServeHTTP(answer, r)
	return answer
}

func TestTheJSONFunctionsKeepToTheContract(t *testing.T) {
	w := start(t, settings.Overrides{})
	for _, path := range []string{"integration", "credentials", "status", "health"} {
		if answer := w.api("GET", path, ""); answer.Code != 401 {
			t.Errorf("GET %s without a session = %d", path, answer.Code)
		}
	}
	w.signIn()
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "integration", "", 200, `"version":0`},
		{"POST", "credentials", `{"name":"x","scopes":["read"]}`, 409, "/problems/no-tenant"},
		{"GET", "health", "", 200, "not-set-up"},
		{"GET", "status", "", 200, "not set up"},
		{"PUT", "integration", `{"tenant":"contoso.com"}`, 400, "version"},
		{"PUT", "integration", `{"version":7,"tenant":"contoso.com"}`, 412, "/problems/changed-meanwhile"},
		{"PUT", "integration", `{"version":0,"tenant":"nowhere.example"}`, 422, "AADSTS90002"},
		{"PUT", "integration", `{"version":0,"colour":"red"}`, 400, "/problems/bad-request"},
		{"PUT", "integration", `{"version":0,"paused":"yes"}`, 400, "paused"},
		{"PUT", "integration", `{"version":0,"graphBudget":7,"retentionHours":1}`, 422, "retentionHours"},
		{"PUT", "integration", `{"version":0,"pushUrl":"http://plain.example/"}`, 422, "https://"},
		{"PUT", "integration", `not json`, 400, "/problems/bad-request"},
		{"PUT", "integration", `{"version":0,"tenant":"contoso.com","clientId":"` + clientID + `","teamsToProCall":"everyone","pushUrl":"https://u.example/p"}`, 200, `"pushSecret":"whsec_`},
		{"PUT", "integration", `{"version":1,"paused":true}`, 200, `"paused":true`},
		{"GET", "integration", "", 200, `"pushUrl":"https://u.example/p"`},
		{"PUT", "integration", `{"version":2,"paused":false}`, 200, `"paused":false`},
		{"PUT", "integration", `{"version":3,"tenant":""}`, 422, "not removed"},
		{"GET", "integration", "", 200, `"alsoWrite":{"ringing":false,"wrapUp":false,"appointment":false,"doNotDisturb":false},"onlySignedIn":false`},
		{"PUT", "integration", `{"version":3,"alsoWrite":{"ringing":true,"appointment":true}}`, 200, `"alsoWrite":{"ringing":true,"wrapUp":false,"appointment":true,"doNotDisturb":false}`},
		{"PUT", "integration", `{"version":4,"alsoWrite":{"ringing":false},"onlySignedIn":true}`, 200, `"alsoWrite":{"ringing":false,"wrapUp":false,"appointment":true,"doNotDisturb":false},"onlySignedIn":true`},
		{"PUT", "integration", `{"version":5,"alsoWrite":{}}`, 200, `"appointment":true`},
		{"PUT", "integration", `{"version":5,"alsoWrite":null}`, 400, "alsoWrite: must not be null"},
		{"PUT", "integration", `{"version":5,"alsoWrite":{"wrapUp":null}}`, 400, "alsoWrite.wrapUp: must not be null"},
		{"PUT", "integration", `{"version":5,"alsoWrite":{"ringing":"yes"}}`, 400, "alsoWrite.ringing: must not be a string"},
		{"PUT", "integration", `{"version":5,"alsoWrite":["ringing"]}`, 400, "alsoWrite: must not be a array"},
		{"PUT", "integration", `{"version":5,"alsoWrite":{"lunch":true}}`, 400, "/problems/bad-request"},
		{"PUT", "integration", `{"version":5,"onlySignedIn":1}`, 400, "onlySignedIn: must not be a number"},
		{"PUT", "integration", `{"version":5,"teamsToProCall":"nobody","proCallToTeams":"everyone"}`, 422, "onlySignedIn: needs teamsToProCall"},
		{"POST", "credentials", `{"name":"","scopes":["fly"]}`, 422, "name:"},
		{"POST", "credentials", `{"id":"x"}`, 400, "/problems/bad-request"},
		{"POST", "credentials", `{"id":"nobody","rotate":true}`, 404, "/problems/not-found"},
		{"POST", "credentials", `{"name":"UCServer","scopes":["read","monitor"]}`, 201, `"token":"ptb_`},
		{"GET", "credentials", "", 200, `"name":"UCServer"`},
		{"DELETE", "credentials", "", 400, "/problems/bad-request"},
		{"DELETE", "credentials?id=nobody", "", 404, "/problems/not-found"},
		{"PATCH", "credentials", `{}`, 405, ""},
		{"DELETE", "integration", "", 405, ""},
		{"POST", "health", `{}`, 405, ""},
		{"GET", "health", "", 503, "authorization-required-read"},
		{"GET", "status", "", 200, `"overall":"authorization required"`},
		{"POST", "status", `{}`, 200, `"ok":false`},
	} {
		answer := w.api(test.method, test.path, test.body)
		if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.want) {
			t.Errorf("%s %s %s = %d %s; want %d with %s", test.method, test.path, test.body, answer.Code, answer.Body, test.status, test.want)
		}
	}
}

func TestAMonitorSeesNoNamesAccountsOrAddresses(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	w.post("push", url.Values{"pushUrl": {"https://ucserver.example/push"}})
	made := w.post("credential", url.Values{"name": {"watchdog"}, "scope": {"monitor", "read"}})
	token := regexp.MustCompile(`ptb_[a-z0-9]+_[A-Z0-9]+`).FindString(made.Body.String())
	grants := storage.Grants{Storage: w.store}
	if _, err := grants.SaveGrant(t.Context(), tenantID, consent.Grant{Kind: consent.User, State: consent.Granted, Since: w.now, Account: consent.Account{ObjectID: "oid-1", UPN: "ada@contoso.com", Name: "Ada"}}); err != nil {
		t.Fatal(err)
	}
	full, reduced := w.api("GET", "status", ""), w.api("GET", "status", "", "Authorization", "Bearer "+token)
	for _, personal := range []string{"ada@contoso.com", "Ada", "watchdog", "ucserver.example"} {
		if !strings.Contains(full.Body.String(), personal) {
			t.Errorf("the administrator does not see %s: %s", personal, full.Body)
		}
		if strings.Contains(reduced.Body.String(), personal) {
			t.Errorf("the monitor sees %s", personal)
		}
	}
	if answer := w.api("POST", "status", "{}", "Authorization", "Bearer "+token); answer.Code != 403 {
		t.Errorf("a monitor ran the check: %d", answer.Code)
	}
	if answer := w.api("GET", "health", "", "Authorization", "Bearer "+token); answer.Code != 200 {
		t.Errorf("health for the monitor = %d %s", answer.Code, answer.Body)
	}
}

package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	"procallteams/functions/integration"
	"procallteams/internal/access"
	"procallteams/internal/contract"
	editing "procallteams/internal/integration"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// installation is one tenant's settings on Azurite.
type installation struct {
	t       *testing.T
	tenant  string
	store   *storage.Storage
	handler http.Handler
	logs    strings.Builder
}

type tenants struct{}

func (tenants) ResolveTenant(context.Context, string) (string, error) { return "", errors.New("no") }

func install(t *testing.T) *installation {
	t.Helper()
	store, err := storage.Open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := &installation{t: t, tenant: uuid.NewString(), store: store}
	editor := editing.Editor{
		Store: storage.Settings{Storage: store, Overrides: settings.Overrides{Tenant: i.tenant}}, Tenants: tenants{}, Audit: store, Now: time.Now,
	}
	log := slog.New(slog.NewJSONHandler(&i.logs, nil))
	f := integration.Function{Editor: editor, Resume: func(context.Context, string) error { return nil }, Log: log}
	i.handler = contract.Handler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.ServeHTTP(w, r.WithContext(access.WithAdministrator(r.Context(), "o")))
	}))
	return i
}

// view is what the tests look at.
type view struct {
	Version                        int64
	TeamsToProCall, ProCallToTeams json.RawMessage
	Mapping                        json.RawMessage
	Helpdesk                       bool
	Detail                         string // of a problem
	status                         int
}

func (i *installation) ask(method, body string) view {
	i.t.Helper()
	r := httptest.NewRequestWithContext(i.t.Context(), method, "/api/integration", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	i.handler.ServeHTTP(recorder, r)
	v := view{status: recorder.Code}
	if err := json.Unmarshal(recorder.Body.Bytes(), &v); err != nil {
		i.t.Fatal(err)
	}
	return v
}

// put edits members, whatever the version is.
func (i *installation) put(members string) view {
	i.t.Helper()
	version, _ := json.Marshal(i.ask("GET", "").Version)
	return i.ask("PUT", `{"version":`+string(version)+`,`+members+`}`)
}

func TestRulesComeBackInTheirShortestForm(t *testing.T) {
	i := install(t)
	if v := i.ask("GET", ""); string(v.TeamsToProCall) != `"nobody"` || string(v.ProCallToTeams) != `"nobody"` || string(v.Mapping) != `[]` || !v.Helpdesk {
		t.Errorf("on the first day = %s, %s, %s, %t", v.TeamsToProCall, v.ProCallToTeams, v.Mapping, v.Helpdesk)
	}
	for put, want := range map[string]string{
		`"everyone"`: `"everyone"`, `"nobody"`: `"nobody"`, `{}`: `"nobody"`, `{"everyone":true}`: `"everyone"`, `{"everyone":false,"users":[]}`: `"nobody"`,
		`{"everyone":true,"excludedUsers":["4711"]}`:                                                   `{"everyone":true,"excludedUsers":["4711"]}`,
		`{"groups":[{"source":"ucserver","id":" Sales "}]}`:                                            `{"everyone":false,"groups":[{"source":"ucserver","id":"Sales"}]}`,
		`{"users":["4711","4711"," 4712"]}`:                                                            `{"everyone":false,"users":["4711","4712"]}`,
		`{"groups":[{"source":"ucserver","id":"Grün & <Blau> O'Neil"}]}`:                               `{"everyone":false,"groups":[{"source":"ucserver","id":"Grün & <Blau> O'Neil"}]}`,
		`{"pilot":[{"source":"entra","id":"{AAAAAAAA-0000-4000-8000-00000000000A}"}],"everyone":true}`: `{"everyone":true,"pilot":[{"source":"entra","id":"aaaaaaaa-0000-4000-8000-00000000000a"}]}`,
		`{"excludedGroups":[{"source":"entra","id":"aaaaaaaa-0000-4000-8000-00000000000a"}]}`:          `{"everyone":false,"excludedGroups":[{"source":"entra","id":"aaaaaaaa-0000-4000-8000-00000000000a"}]}`,
	} {
		put := i.put(`"teamsToProCall":` + put)
		if got := plain(t, put.TeamsToProCall); put.status != 200 || got != plain(t, []byte(want)) {
			t.Errorf("= %d %s %s; want %s", put.status, got, put.Detail, want)
		}
		if string(put.ProCallToTeams) != `"nobody"` {
			t.Errorf("the other direction became %s", put.ProCallToTeams)
		}
	}
}

// plain writes JSON in one way.
func plain(t *testing.T, text []byte) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	again, _ := json.Marshal(value)
	return string(again)
}

func TestWhatIsNotPossibleIsNamedAndNothingIsStored(t *testing.T) {
	i := install(t)
	i.put(`"teamsToProCall":{"users":["4711"]}`)
	many := make([]string, 201)
	for n := range many {
		many[n] = fmt.Sprintf("%q", fmt.Sprint("user", n))
	}
	for members, want := range map[string]string{
		`"teamsToProCall":"some"`:       "teamsToProCall: must be",
		`"teamsToProCall":["a"]`:        "teamsToProCall: must not be a array",
		`"teamsToProCall":true`:         "teamsToProCall: must not be a bool",
		`"teamsToProCall":null`:         "teamsToProCall: must not be null",
		`"teamsToProCall":{"all":true}`: "teamsToProCall",
		`"proCallToTeams":{"groups":[{"source":"entra","id":"Sales"}]}`:   "proCallToTeams: groups[0]: an Entra group is named by its object id",
		`"proCallToTeams":{"pilot":[{"source":"azure","id":"Sales"}]}`:    "proCallToTeams: pilot[0]: source must be",
		`"proCallToTeams":{"users":[""]}`:                                 "proCallToTeams: users[0]: is empty",
		`"proCallToTeams":{"excludedUsers":["a\u0000b"]}`:                 "proCallToTeams: excludedUsers[0]",
		`"proCallToTeams":{"users":[` + strings.Join(many, ",") + `]}`:    "proCallToTeams: users: has 201 entries",
		`"proCallToTeams":{"users":["` + strings.Repeat("x", 257) + `"]}`: "proCallToTeams: users[0]: has more than 256",
		`"mapping":{}`: "mapping: must not be a object",
		`"mapping":[{"availability":"Juggling"}]`:                     "mapping[0]: availability",
		`"mapping":[{"availability":"Busy"},{"availability":"busy"}]`: "mapping: Busy has two lines",
		`"mapping":[{"availability":"Busy","state":"away"},7]`:        "mapping[1]:",
		`"helpdesk":"no"`: "helpdesk: must not be a string",
		`"helpdesk":null`: "helpdesk: must not be null",
	} {
		v := i.put(members)
		if v.status != 422 && v.status != 400 || !strings.Contains(v.Detail, want) {
			t.Errorf("%.80s = %d %q; want %q", members, v.status, v.Detail, want)
		}
	}
	if v := i.ask("GET", ""); string(v.TeamsToProCall) != `{"everyone":false,"users":["4711"]}` || v.Version != 1 {
		t.Errorf("stored = %d, %s", v.Version, v.TeamsToProCall)
	}
}

func TestAnEditOfOneFieldLeavesTheOthersAlone(t *testing.T) {
	i := install(t)
	i.put(`"mapping":[{"availability":"away","state":"absent"},{"availability":"inAMeeting","activity":"busy","state":"busy"}],"helpdesk":false`)
	v := i.put(`"teamsToProCall":"everyone"`)
	const want = `[{"availability":"Away","state":"absent"},{"activity":"InAMeeting","availability":"Busy","state":"busy"}]`
	if got := plain(t, v.Mapping); got != want || v.Helpdesk {
		t.Errorf("mapping = %s, helpdesk = %t; want %s", got, v.Helpdesk, want)
	}
	before := v.Version
	if v = i.put(`"mapping":[{"availability":"BUSY","activity":"INAMEETING","state":"busy"},{"availability":"Away","state":"absent"}]`); v.Version != before {
		t.Error("the same mapping in another spelling is a change")
	}
	if v = i.put(`"mapping":[],"helpdesk":true`); string(v.Mapping) != "[]" || !v.Helpdesk || v.Version != before+1 {
		t.Errorf("mapping = %s, helpdesk = %t, version %d", v.Mapping, v.Helpdesk, v.Version)
	}
}

func TestTheAuditTrailNamesFieldsAndNobodyOnTheLists(t *testing.T) {
	i := install(t)
	i.put(`"teamsToProCall":{"users":["erika.mustermann"]},"helpdesk":false`)
	var fields strings.Builder
	for change, err := range i.store.Changes(t.Context(), i.tenant) {
		if err != nil {
			t.Fatal(err)
		}
		fields.WriteString(change.Who + " " + change.What + " " + strings.Join(change.Fields, " ") + "\n")
	}
	if want := "o settings changed teamsToProCall helpdesk\n"; fields.String() != want {
		t.Errorf("audit trail = %q; want %q", fields.String(), want)
	}
	if strings.Contains(i.logs.String(), "erika") {
		t.Errorf("the log names people: %s", i.logs.String())
	}
}

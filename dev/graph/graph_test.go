package graph_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/dev/graph"
)

const (
	tenant = "0785ef7c-2d7a-4542-b048-95bcab406e0b"
	app    = "22553876-f5ab-4529-bffb-cfe50aa89f87"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// bench is a simulator with a server and tokens named by what they may do:
// "app Presence.Read.All", "user <oid> Presence.Read".
type bench struct {
	*graph.Simulator
	*clock
	url string
}

func start(t *testing.T, settings graph.Settings) bench {
	t.Helper()
	c := newClock()
	sim := graph.New(graph.Config{Now: c.now, Seed: 7, TenantID: tenant, Settings: settings, VerifyToken: func(token string) (graph.Caller, error) {
		words := strings.Fields(token)
		switch {
		case words[0] == "app":
			return graph.Caller{TenantID: tenant, AppID: app, Roles: words[1:]}, nil
		case words[0] == "foreign":
			return graph.Caller{TenantID: "11111111-1111-4111-8111-111111111111", AppID: app, Roles: words[1:]}, nil
		case words[0] == "user":
			return graph.Caller{TenantID: tenant, AppID: app, ObjectID: words[1], Scopes: words[2:]}, nil
		case words[0] == "old":
			return graph.Caller{TenantID: tenant, AppID: app, Roles: words[1:], Expires: c.now()}, nil
		}
		return graph.Caller{}, errors.New("unknown token")
	}})
	server := httptest.NewServer(sim)
	t.Cleanup(func() { server.Close(); sim.Close() })
	return bench{sim, c, server.URL}
}

const (
	reader   = "app Presence.Read.All"
	writer   = "app Presence.ReadWrite.All"
	lister   = "app User.Read.All"
	allInOne = "app Presence.ReadWrite.All User.Read.All"
)

type reply struct {
	status int
	header http.Header
	body   []byte
	err    error // the connection was cut
}

func (b bench) send(t *testing.T, token, method, path, body string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("client-request-id", "e70c5c1b-8b47-68c0-3171-3d22f5e0bd54")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = answer.Body.Close() }()
	got, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, answer.Header, got, err}
}

// code is the error code of the envelope.
func (r reply) code(t *testing.T) string {
	t.Helper()
	var e struct {
		Error *struct{ Code, Message string }
	}
	if err := json.Unmarshal(r.body, &e); err != nil || e.Error == nil {
		t.Fatalf("answer %d is no error envelope: %s", r.status, r.body)
	}
	return e.Error.Code
}

type item struct {
	ID           string `json:"id"`
	Availability string `json:"availability"`
	Activity     string `json:"activity"`
	Sequence     string `json:"sequenceNumber"`
	OutOfOffice  *struct {
		Is bool `json:"isOutOfOffice"`
	} `json:"outOfOfficeSettings"`
}

func (i item) pair() string { return i.Availability + "/" + i.Activity }

func ask(ids ...string) string {
	body, _ := json.Marshal(map[string][]string{"ids": ids})
	return string(body)
}

// presences asks for ids and returns the items in the order of the answer.
func (b bench) presences(t *testing.T, ids ...string) []item {
	t.Helper()
	r := b.send(t, reader, "POST", "/v1.0/communications/getPresencesByUserId", ask(ids...))
	var page struct{ Value []item }
	if err := json.Unmarshal(r.body, &page); err != nil || r.status != http.StatusOK {
		t.Fatalf("getPresencesByUserId answered %d %s: %v", r.status, r.body, err)
	}
	return page.Value
}

func (b bench) shows(t *testing.T, id string) string {
	t.Helper()
	items := b.presences(t, id)
	if len(items) != 1 {
		t.Fatalf("%d items for one id", len(items))
	}
	return items[0].pair()
}

func (b bench) expect(t *testing.T, id, want string) {
	t.Helper()
	if got := b.shows(t, id); got != want {
		t.Errorf("at %s the user shows %s; want %s", b.now().Format(time.TimeOnly), got, want)
	}
}

func (b bench) set(t *testing.T, id, availability, activity, duration string) reply {
	t.Helper()
	body := map[string]string{"sessionId": app, "availability": availability, "activity": activity}
	if duration != "" {
		body["expirationDuration"] = duration
	}
	raw, _ := json.Marshal(body)
	return b.send(t, writer, "POST", "/v1.0/users/"+id+"/presence/setPresence", string(raw))
}

func (b bench) prefer(t *testing.T, id, availability, activity string) {
	t.Helper()
	r := b.send(t, writer, "POST", "/v1.0/users/"+id+"/presence/setUserPreferredPresence", fmt.Sprintf(`{"availability":%q,"activity":%q}`, availability, activity))
	if r.status != http.StatusOK || len(r.body) != 0 {
		t.Fatalf("setUserPreferredPresence answered %d %s", r.status, r.body)
	}
}

func (b bench) clear(t *testing.T, id, sessionID string) int {
	t.Helper()
	return b.send(t, writer, "POST", "/v1.0/users/"+id+"/presence/clearPresence", fmt.Sprintf(`{"sessionId":%q}`, sessionID)).status
}

func ids(users []graph.User) []string {
	list := make([]string, len(users))
	for i, u := range users {
		list[i] = u.ID
	}
	return list
}

func TestAnApplicationReadsPresenceOnlyWithAPresenceRole(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	for token, want := range map[string]int{reader: 200, writer: 200, "app": 403, lister: 403, "app Presence.Read": 403, "": 401, "forged": 401, "old Presence.Read.All": 401} {
		for _, call := range []struct{ method, path, body string }{
			{"GET", "/v1.0/users/" + id + "/presence", ""},
			{"GET", "/v1.0/communications/presences/" + id, ""},
			{"POST", "/v1.0/communications/getPresencesByUserId", ask(id)},
		} {
			r := b.send(t, token, call.method, call.path, call.body)
			if r.status != want {
				t.Errorf("token %q on %s: status %d; want %d", token, call.path, r.status, want)
			}
			switch {
			case want == 403 && (r.code(t) != "Forbidden" || !bytes.Contains(r.body, []byte(`"message":""`))):
				t.Errorf("a missing presence role is refused with %s; want code Forbidden and an empty message", r.body)
			case want == 401 && (r.code(t) != "InvalidAuthenticationToken" || !strings.Contains(r.header.Get("WWW-Authenticate"), "authorization_uri=")):
				t.Errorf("a refused token is answered %s %v", r.body, r.header)
			}
		}
	}
}

func TestMeIsForPeopleOnly(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	for _, path := range []string{"/v1.0/me/presence", "/v1.0/me"} {
		if r := b.send(t, allInOne, "GET", path, ""); r.status < 400 {
			t.Errorf("%s answered an application %d", path, r.status)
		}
	}
	if r := b.send(t, "user "+id+" Presence.Read User.Read", "GET", "/v1.0/me/presence", ""); r.status != 200 {
		t.Errorf("own presence: %d %s", r.status, r.body)
	}
}

func TestADelegatedTokenReachesOthersOnlyWithAll(t *testing.T) {
	b := start(t, graph.Settings{})
	users := ids(b.AddMembers(2))
	own, other := "/v1.0/users/"+users[0]+"/presence", "/v1.0/users/"+users[1]+"/presence"
	me := "user " + users[0]
	for _, c := range []struct {
		name, token, method, path, body string
		want                            int
	}{
		{"own presence with Presence.Read", me + " Presence.Read", "GET", own, "", 200},
		{"another's with Presence.Read", me + " Presence.Read", "GET", other, "", 403},
		{"another's with Presence.Read.All", me + " Presence.Read.All", "GET", other, "", 200},
		{"many with Presence.Read", me + " Presence.Read", "POST", "/v1.0/communications/getPresencesByUserId", ask(users...), 403},
		{"many with Presence.Read.All", me + " Presence.Read.All", "POST", "/v1.0/communications/getPresencesByUserId", ask(users...), 200},
		{"own write", me + " Presence.ReadWrite", "POST", own + "/setPresence", `{"sessionId":"` + app + `","availability":"Busy","activity":"InACall"}`, 200},
		{"own write, /me spelling", me + " Presence.ReadWrite", "POST", "/v1.0/me/presence/clearPresence", `{"sessionId":"` + app + `"}`, 200},
		{"another's write", me + " Presence.ReadWrite", "POST", other + "/setPresence", `{"sessionId":"` + app + `","availability":"Busy","activity":"InACall"}`, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := b.send(t, c.token, c.method, c.path, c.body); r.status != c.want {
				t.Errorf("status %d %s; want %d", r.status, r.body, c.want)
			}
		})
	}
	b.Configure(graph.Settings{ForeignWriteStatus: 403})
	if r := b.send(t, me+" Presence.ReadWrite", "POST", other+"/clearPresence", `{"sessionId":"`+app+`"}`); r.status != 403 {
		t.Errorf("with the switch another's write is answered %d", r.status)
	}
}

func TestPresenceIsFoundByGUIDOnly(t *testing.T) {
	b := start(t, graph.Settings{})
	u := b.AddMembers(1)[0]
	for _, path := range []string{"/v1.0/users/" + u.UserPrincipalName + "/presence", "/v1.0/users/" + u.ID + "/presence?$select=availability", "/v1.0/users/11111111-1111-4111-8111-111111111111/presence"} {
		if r := b.send(t, reader, "GET", path, ""); r.status < 400 {
			t.Errorf("%s answered %d", path, r.status)
		}
	}
	if r := b.send(t, reader, "GET", "/v1.0/users/"+strings.ToUpper(u.ID)+"/presence", ""); r.status != 200 || !bytes.Contains(r.body, []byte("@odata.context")) {
		t.Errorf("an upper-case GUID answered %d %s", r.status, r.body)
	}
}

func TestTheSequenceRisesAsTextWithEveryChange(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	last := ""
	for i := range 30 {
		if err := b.Set(id, []string{"Busy", "Away"}[i%2], []string{"InACall", "Away"}[i%2]); err != nil {
			t.Fatal(err)
		}
		got := b.presences(t, id)[0].Sequence
		if got <= last {
			t.Fatalf("sequence %q after %q", got, last)
		}
		last = got
		if again := b.presences(t, id)[0].Sequence; again != got {
			t.Fatalf("sequence moved from %q to %q without a change", got, again)
		}
	}
	b.Configure(graph.Settings{OmitSequence: true})
	if got := b.presences(t, id)[0].Sequence; got != "" {
		t.Errorf("sequence %q is sent although it is switched off", got)
	}
}

func TestOneCallTakes650Ids(t *testing.T) {
	b := start(t, graph.Settings{})
	all := ids(b.AddMembers(651))
	got := b.presences(t, all[:650]...)
	answered := make([]string, len(got))
	for i, p := range got {
		answered[i] = p.ID
	}
	if slices.Equal(answered, all[:650]) {
		t.Error("the answer is in the order of the request; Graph promises none")
	}
	slices.Sort(answered)
	want := slices.Sorted(slices.Values(all[:650]))
	if !slices.Equal(answered, want) {
		t.Error("the answer does not hold every id once")
	}
	for name, body := range map[string]string{
		"651 ids": ask(all...), "no ids": ask(), "a UPN": ask("ada@contoso.com"), "no JSON": "ids", "another shape": `{"ids":"x"}`,
	} {
		if r := b.send(t, reader, "POST", "/v1.0/communications/getPresencesByUserId", body); r.status != 400 {
			t.Errorf("%s: status %d; want 400", name, r.status)
		}
	}
	// Blanks and escapes are valid JSON too.
	r := b.send(t, reader, "POST", "/v1.0/communications/getPresencesByUserId", `{ "ids" : [ "`+strings.ToUpper(all[0])+`", "`+all[1]+`" ] }`)
	if r.status != 200 || bytes.Count(r.body, []byte(`"id"`)) != 2 {
		t.Errorf("spaced JSON answered %d %s", r.status, r.body)
	}
}

func TestUnknownIdsFollowThePolicy(t *testing.T) {
	const stranger = "11111111-1111-4111-8111-111111111111"
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	guest := b.AddUser(graph.User{UserPrincipalName: "eve_fabrikam.com#EXT#@contoso.onmicrosoft.com", UserType: "Guest"}).ID
	for _, unknown := range []string{stranger, guest} {
		b.Configure(graph.Settings{})
		b.expect(t, unknown, "PresenceUnknown/PresenceUnknown")
		b.Configure(graph.Settings{UnknownIDs: graph.UnknownOmitted})
		if got := b.presences(t, unknown, id); len(got) != 1 || got[0].ID != id {
			t.Errorf("omitting, the answer is %v", got)
		}
		b.Configure(graph.Settings{UnknownIDs: graph.UnknownRefused})
		if r := b.send(t, reader, "POST", "/v1.0/communications/getPresencesByUserId", ask(id, unknown)); r.status != 400 {
			t.Errorf("refusing, the answer is %d", r.status)
		}
	}
}

func TestAnotherTenantSeesNobody(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	r := b.send(t, "foreign Presence.Read.All", "POST", "/v1.0/communications/getPresencesByUserId", ask(id))
	if !bytes.Contains(r.body, []byte("PresenceUnknown")) {
		t.Errorf("another tenant reads %s", r.body)
	}
	if r := b.send(t, "foreign User.Read.All", "GET", "/v1.0/users", ""); bytes.Contains(r.body, []byte(id)) {
		t.Errorf("another tenant lists %s", r.body)
	}
}

func TestTheSeptember2025ProfileIsASwitch(t *testing.T) {
	b := start(t, graph.Settings{Profile: graph.September2025})
	id := b.AddMembers(1)[0].ID
	for pair, want := range map[[2]string]string{
		{"Busy", "InACall"}: "inACall/busy", {"DoNotDisturb", "Presenting"}: "presenting/doNotDisturb",
		{"Available", "Available"}: "available/available", {"Offline", "OffWork"}: "offline/offline",
	} {
		if err := b.Set(id, pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
		b.expect(t, id, want)
	}
	b.Configure(graph.Settings{})
	if got := b.shows(t, id); got != strings.ToUpper(got[:1])+got[1:] {
		t.Errorf("the classic profile shows %s", got)
	}
}

func TestAnswersCarryTheIdsOfTheRequest(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	for _, path := range []string{"/v1.0/users/" + id + "/presence", "/v1.0/nothing", "/v1.0/users?$top=1000"} {
		r := b.send(t, allInOne, "GET", path, "")
		if r.header.Get("request-id") == "" || r.header.Get("client-request-id") != "e70c5c1b-8b47-68c0-3171-3d22f5e0bd54" {
			t.Errorf("%s: ids in the answer are %v", path, r.header)
		}
		if r.status >= 400 && (r.code(t) == "" || !bytes.Contains(r.body, []byte(`"innerError":{`))) {
			t.Errorf("%s: %s", path, r.body)
		}
	}
}

func TestTheRequestLogTellsWhatWasAsked(t *testing.T) {
	b := start(t, graph.Settings{})
	users := ids(b.AddMembers(3))
	b.presences(t, users...)
	b.set(t, users[0], "Busy", "InACall", "PT5M")
	log := b.Requests()
	if len(log) != 2 || log[0].IDs != 3 || log[0].Status != 200 || log[0].Body != "" || log[1].Method != "POST" || !strings.Contains(log[1].Body, "InACall") {
		t.Errorf("the request log is %+v", log)
	}
}

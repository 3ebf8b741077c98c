package graph_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"procallteams/dev/graph"
)

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

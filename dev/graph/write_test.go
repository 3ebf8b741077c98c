package graph_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"procallteams/dev/graph"
)

func TestSetPresenceTakesFivePairs(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	for _, pair := range [][2]string{{"Available", "Available"}, {"Busy", "InACall"}, {"Busy", "InAConferenceCall"}, {"Away", "Away"}, {"DoNotDisturb", "Presenting"}} {
		if r := b.set(t, id, pair[0], pair[1], ""); r.status != 200 || len(r.body) != 0 {
			t.Errorf("%v answered %d %q; want 200 and nothing", pair, r.status, r.body)
		}
		b.expect(t, id, pair[0]+"/"+pair[1])
	}
	for _, pair := range [][2]string{{"Busy", "Busy"}, {"DoNotDisturb", "DoNotDisturb"}, {"Offline", "OffWork"}, {"Busy", "InAMeeting"}, {"Available", "InACall"}, {"", ""}} {
		if r := b.set(t, id, pair[0], pair[1], ""); r.status != 400 || r.code(t) != "InvalidArgument" {
			t.Errorf("%v answered %d %s", pair, r.status, r.body)
		}
	}
}

func TestPreferredPresenceTakesSixPairs(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	path := "/v1.0/users/" + id + "/presence/setUserPreferredPresence"
	for pair, want := range map[[2]string]int{
		{"Available", "Available"}: 200, {"Busy", "Busy"}: 200, {"DoNotDisturb", "DoNotDisturb"}: 200, {"BeRightBack", "BeRightBack"}: 200,
		{"Away", "Away"}: 200, {"Offline", "OffWork"}: 200, {"DoNotDisturb", "Presenting"}: 400, {"Busy", "InACall"}: 400,
	} {
		if r := b.send(t, writer, "POST", path, fmt.Sprintf(`{"availability":%q,"activity":%q}`, pair[0], pair[1])); r.status != want {
			t.Errorf("%v answered %d; want %d", pair, r.status, want)
		}
	}
}

func TestAMissingSessionIdIsRefusedBeforeTheRight(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	for _, call := range []string{"setPresence", "clearPresence"} {
		r := b.send(t, reader, "POST", "/v1.0/users/"+id+"/presence/"+call, `{"availability":"Busy","activity":"InACall"}`)
		if r.status != 400 || r.code(t) != "InvalidArgument" || !bytes.Contains(r.body, []byte("[SessionId]: The SessionId field is required.")) {
			t.Errorf("%s without a session id answered %d %s", call, r.status, r.body)
		}
	}
	r := b.send(t, reader, "POST", "/v1.0/users/"+id+"/presence/setPresence", `{"sessionId":"`+app+`","availability":"Busy","activity":"InACall"}`)
	if r.status != 403 || r.code(t) != "Forbidden" {
		t.Errorf("a reader's write answered %d %s", r.status, r.body)
	}
}

func TestASessionLastsFiveMinutesToFourHours(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	for duration, want := range map[string]int{"PT4M59S": 400, "PT5M": 200, "PT1H30M": 200, "PT4H": 200, "PT240M": 200, "PT4H1S": 400, "P1D": 400, "1h": 400, "PT": 400, "P": 400, "PT5X": 400, "PT-5M": 400} {
		r := b.set(t, id, "Busy", "InACall", duration)
		if r.status != want {
			t.Errorf("%s answered %d; want %d", duration, r.status, want)
		}
		if want == 400 && !bytes.Contains(r.body, []byte("The provided [ExpirationDuration] is out of range.")) {
			t.Errorf("%s is refused with %s", duration, r.body)
		}
	}
	b.set(t, id, "Busy", "InACall", "")
	b.forward(5*time.Minute - time.Second)
	b.expect(t, id, "Busy/InACall")
	b.forward(time.Second)
	b.expect(t, id, "Offline/Offline")
}

func TestASessionShowsAUserWithoutATeamsClient(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	b.expect(t, id, "Offline/Offline")
	b.set(t, id, "Away", "Away", "PT1H")
	b.expect(t, id, "Away/Away")
	if status := b.clear(t, id, app); status != 200 {
		t.Errorf("clear answered %d", status)
	}
	b.expect(t, id, "Offline/Offline")
}

func TestPreferredPresenceNeedsASessionAndEnds(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	b.prefer(t, id, "DoNotDisturb", "DoNotDisturb")
	b.expect(t, id, "Offline/Offline")
	_ = b.Set(id, "Available", "Available")
	b.expect(t, id, "DoNotDisturb/DoNotDisturb")
	b.forward(24 * time.Hour)
	b.expect(t, id, "Available/Available")
	b.prefer(t, id, "Away", "Away")
	b.forward(7*24*time.Hour - time.Second)
	b.expect(t, id, "Away/Away")
	b.forward(time.Second)
	b.expect(t, id, "Available/Available")
	b.prefer(t, id, "Busy", "Busy")
	b.send(t, writer, "POST", "/v1.0/users/"+id+"/presence/clearUserPreferredPresence", `{}`)
	b.expect(t, id, "Available/Available")
}

func TestPreferredBeatsSessionsAndTheHigherSessionWins(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	order := [][2]string{{"Away", "Away"}, {"Available", "Available"}, {"Busy", "InACall"}, {"DoNotDisturb", "Presenting"}}
	for low := range order {
		for high := low + 1; high < len(order); high++ {
			for _, c := range [][2]int{{low, high}, {high, low}} {
				_ = b.Set(id, order[c[0]][0], order[c[0]][1])
				if r := b.set(t, id, order[c[1]][0], order[c[1]][1], "PT1H"); r.status != 200 {
					t.Fatalf("%d %s", r.status, r.body)
				}
				b.expect(t, id, order[high][0]+"/"+order[high][1])
			}
		}
	}
	_ = b.Set(id, "DoNotDisturb", "Presenting")
	b.prefer(t, id, "Available", "Available")
	b.expect(t, id, "Available/Available")
}

func TestAnAvailableSessionFadesAndABusyOneDoesNot(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	b.set(t, id, "Available", "Available", "PT1H")
	b.forward(4 * time.Minute)
	b.set(t, id, "Available", "Available", "PT1H") // starts anew
	b.forward(4 * time.Minute)
	b.expect(t, id, "Available/Available")
	b.forward(time.Minute)
	b.expect(t, id, "Available/AvailableInactive")
	b.forward(5 * time.Minute)
	b.expect(t, id, "Away/Away")
	b.set(t, id, "Busy", "InACall", "PT1H")
	b.forward(time.Hour - time.Second)
	b.expect(t, id, "Busy/InACall")
}

func TestSessionIdsNameDifferentSessions(t *testing.T) {
	const other = "33333333-3333-4333-8333-333333333333"
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	b.set(t, id, "Busy", "InACall", "PT1H")
	for i, want := range []struct {
		session string
		status  int
	}{{other, 404}, {app, 200}, {app, 404}} {
		if status := b.clear(t, id, want.session); status != want.status {
			t.Errorf("clear %d answered %d; want %d", i, status, want.status)
		}
	}
	if status := b.clear(t, "11111111-1111-4111-8111-111111111111", app); status != 404 {
		t.Errorf("clear for an unknown user answered %d", status)
	}
}

func TestHistoryHoldsExpiriesAtTheirOwnTime(t *testing.T) {
	b := start(t, graph.Settings{})
	ada, bob := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID, b.AddUser(graph.User{UserPrincipalName: "bob@contoso.com"}).ID
	begin := b.now()
	b.set(t, ada, "Busy", "InACall", "PT10M")
	b.set(t, bob, "Available", "Available", "PT11M")
	b.forward(time.Hour)
	var got []string
	for _, h := range b.History()[2:] {
		who := map[string]string{ada: "ada", bob: "bob"}[h.UserID]
		got = append(got, fmt.Sprintf("%s %s %s/%s", h.At.Sub(begin), who, h.Availability, h.Activity))
	}
	want := "0s ada Busy/InACall\n0s bob Available/Available\n5m0s bob Available/AvailableInactive\n10m0s ada Offline/Offline\n10m0s bob Away/Away\n11m0s bob Offline/Offline"
	// Two changes at the same instant may stand in either order.
	swapped := strings.Replace(want, "10m0s ada Offline/Offline\n10m0s bob Away/Away", "10m0s bob Away/Away\n10m0s ada Offline/Offline", 1)
	if text := strings.Join(got, "\n"); text != want && text != swapped {
		t.Errorf("history is\n%s\nwant\n%s", text, want)
	}
}

func TestWritesNeedJSON(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	if r := b.send(t, writer, "POST", "/v1.0/users/"+id+"/presence/setPresence", `busy`); r.status != 400 {
		t.Errorf("answered %d", r.status)
	}
}

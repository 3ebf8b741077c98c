package graph_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"procallteams/dev/graph"
)

// leave sends a setPresence and hangs up after a while.
func (b bench) leave(t *testing.T, id string, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "POST", b.url+"/v1.0/users/"+id+"/presence/setPresence",
		strings.NewReader(`{"sessionId":"`+app+`","availability":"Busy","activity":"InACall","expirationDuration":"PT1H"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+writer)
	request.Header.Set("Content-Type", "application/json")
	if answer, err := http.DefaultClient.Do(request); err == nil {
		_ = answer.Body.Close()
		t.Fatalf("the answer came: %d", answer.StatusCode)
	}
}

// writes waits until the simulator has ended n writes of a user.
func (b bench) writes(t *testing.T, id string, n int) graph.WriteCount {
	t.Helper()
	for range 500 {
		if c := b.Writes()[id]; c.Set+c.Clear >= n {
			return c
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the user has %+v; want %d writes", b.Writes()[id], n)
	return graph.WriteCount{}
}

func TestALateWriteIsDoneForAClientThatLeft(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	b.inject(t, graph.Fault{Kind: graph.Late, Milliseconds: 300, Count: 1})
	b.expect(t, id, "Offline/Offline") // a read neither has the fault nor uses it up
	b.leave(t, id, 50*time.Millisecond)
	b.expect(t, id, "Offline/Offline")
	if got := b.writes(t, id, 1); got != (graph.WriteCount{Set: 1}) {
		t.Errorf("the writes are %+v", got)
	}
	b.expect(t, id, "Busy/InACall")
	if held := b.Sessions(app); len(held) != 1 || held[id].Activity != "InACall" {
		t.Errorf("the sessions are %+v", held)
	}
	if r := b.send(t, writer, "POST", "/v1.0/users/"+id+"/presence/clearPresence", `{"sessionId":"`+app+`"}`); r.status != 200 {
		t.Errorf("clearing answered %d", r.status)
	}
	if held := b.Sessions(app); len(held) != 0 {
		t.Errorf("after the clear the sessions are %+v", held)
	}
}

func TestALateWriteAnswersAClientThatWaits(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	b.inject(t, graph.Fault{Kind: graph.Late, Milliseconds: 20, Count: 1})
	if r := b.set(t, id, "Busy", "InACall", "PT1H"); r.status != 200 {
		t.Fatalf("a late write answered %d", r.status)
	}
	b.expect(t, id, "Busy/InACall")
}

func TestLatencyDoesNothingForAClientThatLeft(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	b.inject(t, graph.Fault{Kind: graph.Latency, Milliseconds: 200, Count: 1, Path: "setPresence"})
	b.leave(t, id, 50*time.Millisecond)
	b.writes(t, id, 1)
	b.expect(t, id, "Offline/Offline")
	if r := b.set(t, id, "Busy", "InACall", "PT1H"); r.status != 200 {
		t.Fatalf("the next write answered %d", r.status)
	}
	b.expect(t, id, "Busy/InACall")
}

func TestThrottledWritesCountAsWrites(t *testing.T) {
	b := start(t, graph.Settings{PresenceLimit: 1})
	id := b.AddMembers(1)[0].ID
	for range 3 {
		b.set(t, id, "Busy", "InACall", "PT1H")
	}
	if got := b.Writes()[id]; got != (graph.WriteCount{Set: 3, Throttled: 2}) {
		t.Errorf("the writes are %+v", got)
	}
}

func TestOnRequestComesBeforeTheWork(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	held := -1
	b.OnRequest(func(string) { held = len(b.Sessions(app)) })
	b.set(t, id, "Busy", "InACall", "PT1H")
	if held != 0 {
		t.Errorf("before the work there are %d sessions", held)
	}
}

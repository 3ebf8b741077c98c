package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	simulated "procallteams/dev/graph"
	"procallteams/internal/graph"
	"procallteams/internal/matching"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
)

var token = secret.New("app-token")

// simulator starts a Graph in which app-token may read, and a client for it.
func simulator(t testing.TB) (*simulated.Simulator, *graph.Client) { return simulatorAt(t, nil) }

// simulatorAt does so with a clock.
func simulatorAt(t testing.TB, now func() time.Time) (*simulated.Simulator, *graph.Client) {
	sim := simulated.New(simulated.Config{Seed: 7, Now: now, VerifyToken: func(text string) (simulated.Caller, error) {
		switch text {
		case "app-token":
			return simulated.Caller{TenantID: "t", AppID: "a", Roles: []string{"Presence.Read.All", "User.Read.All", "GroupMember.Read.All"}}, nil
		case "user-token":
			return simulated.Caller{TenantID: "t", AppID: "a", ObjectID: "o", Scopes: []string{"Presence.Read.All", "User.ReadBasic.All"}}, nil
		case "bare-token":
			return simulated.Caller{TenantID: "t", AppID: "a"}, nil
		}
		return simulated.Caller{}, errors.New("unknown token")
	}})
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	client, err := graph.New(graph.Config{Endpoint: server.URL, RetryDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return sim, client
}

func idsOf(users []simulated.User) []presence.UserID {
	var ids []presence.UserID
	for _, u := range users {
		ids = append(ids, presence.UserID(u.ID))
	}
	return ids
}

func TestStatesComeInTheOrderThatWasAskedFor(t *testing.T) {
	sim, client := simulator(t)
	users := sim.AddMembers(650)
	answer, err := client.Presences(t.Context(), token, idsOf(users))
	if err != nil {
		t.Fatal(err)
	}
	truth := sim.Current()
	for i, u := range users {
		want := truth[u.ID]
		got := answer.States[i]
		if string(got.Availability) != want.Availability || string(got.Activity) != want.Activity || got.OutOfOffice != want.OutOfOffice || got.Sequence != want.Sequence {
			t.Errorf("user %d: %+v; want %+v", i, got, want)
		}
	}
	if len(answer.Oddities) != 0 {
		t.Errorf("oddities = %v; want none", answer.Oddities)
	}
	if _, err := client.Presences(t.Context(), token, make([]presence.UserID, 651)); err == nil {
		t.Error("651 users were asked for")
	}
}

func TestAnswersThatAreNotAsDocumentedAreCountedAndNeverInvented(t *testing.T) {
	const a, b = presence.UserID("00000000-0000-4000-8000-00000000000a"), presence.UserID("00000000-0000-4000-8000-00000000000b")
	away := presence.State{Availability: "Away", Activity: "Away"}
	bIsAway := `{"id":"` + string(b) + `","availability":"Away","activity":"Away"}`
	for _, row := range []struct {
		name, body string
		a          presence.State
		odd        graph.Oddities
	}{
		{"a directory record instead of a presence", `{"value":[{"id":"` + string(a) + `","displayName":"A","userPrincipalName":"a@contoso.com","businessPhones":[]},` + bIsAway + `]}`,
			presence.State{}, graph.Oddities{"answer without availability": 1}},
		{"an item without id", `{"value":[{"availability":"Busy","activity":"Busy"},` + bIsAway + `]}`, presence.State{}, graph.Oddities{"answer without id": 1}},
		{"an item that is no object", `{"value":[null,7,` + bIsAway + `]}`, presence.State{}, graph.Oddities{"answer without id": 2}},
		{"a user left out", `{"value":[` + bIsAway + `]}`, presence.State{}, nil},
		{"an unknown activity", `{"value":[{"id":"` + string(a) + `","availability":"busy","activity":"juggling"},` + bIsAway + `]}`,
			presence.State{Availability: "Busy", Activity: "PresenceUnknown"}, graph.Oddities{"unknown activity: juggling": 1}},
		{"an unknown availability", `{"value":[{"id":"` + string(a) + `","availability":"somethingNew","activity":"somethingNew"},` + bIsAway + `]}`,
			presence.State{Availability: "PresenceUnknown", Activity: "PresenceUnknown"}, graph.Oddities{"unknown availability: somethingNew": 1, "unknown activity: somethingNew": 1}},
		{"no activity", `{"value":[{"id":"` + string(a) + `","availability":"Busy","activity":null},` + bIsAway + `]}`,
			presence.State{Availability: "Busy", Activity: "PresenceUnknown"}, graph.Oddities{"unknown activity: none": 1}},
		{"availability null", `{"value":[{"id":"` + string(a) + `","availability":null,"activity":"Busy"},` + bIsAway + `]}`, presence.State{}, graph.Oddities{"answer without availability": 1}},
		{"a user twice: the last wins", `{"value":[{"id":"` + string(a) + `","availability":"Busy","activity":"Busy"},` + bIsAway + `,{"id":"` + string(a) + `","availability":"Away","activity":"Away"}]}`,
			away, graph.Oddities{"user answered twice": 1}},
		{"a user twice: a newer stamp wins over the order", `{"value":[{"id":"` + string(a) + `","availability":"Away","activity":"Away","sequenceNumber":"A2"},` + bIsAway + `,{"id":"` + string(a) + `","availability":"Busy","activity":"Busy","sequenceNumber":"A1"}]}`,
			presence.State{Availability: "Away", Activity: "Away", Sequence: "A2"}, graph.Oddities{"user answered twice": 1}},
		{"a user nobody asked for", `{"value":[{"id":"deadbeef-0000-4000-8000-000000000001","availability":"Busy","activity":"InACall"},` + bIsAway + `]}`,
			presence.State{}, graph.Oddities{"user nobody asked for": 1}},
		{"more keys, another order, escapes, upper case", `{"@odata.context":"x","value":[{"@odata.type":"#microsoft.graph.presence","statusMessage":{"message":{"content":"a"}},"activity":"In\u0041Call","availability":"BUSY","sequenceNumber":"A0129311063","outOfOfficeSettings":{"message":null,"isOutOfOffice":true},"id":"` + strings.ToUpper(string(a)) + `"},` + bIsAway + `],"more":[1,{}]}`,
			presence.State{Availability: "Busy", Activity: "InACall", OutOfOffice: true, Sequence: "A0129311063"}, nil},
		{"out-of-office settings null", `{"value":[{"id":"` + string(a) + `","availability":"Away","activity":"Away","outOfOfficeSettings":null},` + bIsAway + `]}`, away, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			sim, client := simulator(t)
			sim.Inject(simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(row.body)})
			answer, err := client.Presences(t.Context(), token, []presence.UserID{a, b})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(graph.Answer{States: []presence.State{row.a, away}, Oddities: row.odd}, answer); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAnswerThatIsNotUsableAsAWholeFails(t *testing.T) {
	for _, row := range []struct {
		name  string
		fault simulated.Fault
	}{
		{"value null", simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(`{"value":null}`)}},
		{"no value", simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(`{}`)}},
		{"a list", simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(`[]`)}},
		{"half", simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(`{"value":[{"id":"x"`)}},
		{"a page", simulated.Fault{Kind: simulated.HTML}},
		{"a connection cut in the body", simulated.Fault{Kind: simulated.Truncate}},
	} {
		t.Run(row.name, func(t *testing.T) {
			sim, client := simulator(t)
			ids := idsOf(sim.AddMembers(3))
			sim.Inject(row.fault)
			answer, err := client.Presences(t.Context(), token, ids)
			if err == nil {
				t.Fatalf("answer = %+v; want an error", answer)
			}
			if _, throttled := errors.AsType[*graph.ThrottledError](err); throttled || strings.Contains(err.Error(), "http") {
				t.Errorf("error = %v", err)
			}
		})
	}
}

func TestRefusalsAreTyped(t *testing.T) {
	sim, client := simulator(t)
	ids := idsOf(sim.AddMembers(2))
	ask := func(fault simulated.Fault) error {
		id := sim.Inject(fault)
		defer sim.Clear(id)
		_, err := client.Presences(t.Context(), token, ids)
		return err
	}
	err := ask(simulated.Fault{Kind: simulated.Throttle, RetryAfter: 7})
	if e, ok := errors.AsType[*graph.ThrottledError](err); !ok || e.RetryAfter != 7*time.Second {
		t.Errorf("429 = %v; want a pause of 7s", err)
	}
	err = ask(simulated.Fault{Kind: simulated.Throttle, RetryAfter: -1})
	if e, ok := errors.AsType[*graph.ThrottledError](err); !ok || e.RetryAfter < time.Second {
		t.Errorf("429 without Retry-After = %v; want a pause", err)
	}
	err = ask(simulated.Fault{Kind: simulated.Status, Status: 503, RetryAfter: 60})
	if e, ok := errors.AsType[*graph.ThrottledError](err); !ok || e.RetryAfter != time.Minute || e.Status != 503 {
		t.Errorf("503 with Retry-After = %v; want a pause of a minute", err)
	}
	err = ask(simulated.Fault{Kind: simulated.Status, Status: 404, Code: "Request_ResourceNotFound", Message: "Resource 'presence' does not exist or one of its queried reference-property objects are not present."})
	if e, ok := errors.AsType[*graph.Error](err); !ok || !e.NoPresence() || e.Refused() || e.Code != "Request_ResourceNotFound" || strings.Contains(err.Error(), "property") {
		t.Errorf("404 = %v", err)
	}
	_, err = client.Presences(t.Context(), secret.New("bare-token"), ids)
	if e, ok := errors.AsType[*graph.Error](err); !ok || !e.Refused() || e.Status != 403 || e.Code != "Forbidden" || e.RequestID == "" {
		t.Errorf("403 = %v", err)
	}
	_, err = client.Presences(t.Context(), secret.New("stolen-token"), ids)
	if e, ok := errors.AsType[*graph.Error](err); !ok || !e.Refused() || e.Status != 401 || strings.Contains(err.Error(), "stolen") {
		t.Errorf("401 = %v", err)
	}
}

func TestAFaultThatPassesIsRetriedAndA429IsNot(t *testing.T) {
	sim, client := simulator(t)
	ids := idsOf(sim.AddMembers(2))
	for _, fault := range []simulated.Fault{{Kind: simulated.Status, Status: 502, Count: 2}, {Kind: simulated.Drop, Count: 1}} {
		sim.Inject(fault)
		if _, err := client.Presences(t.Context(), token, ids); err != nil {
			t.Errorf("after %s: %v", fault.Kind, err)
		}
	}
	before := len(sim.Requests())
	sim.Inject(simulated.Fault{Kind: simulated.Throttle, RetryAfter: 1, Count: 1})
	if _, err := client.Presences(t.Context(), token, ids); err == nil {
		t.Error("a 429 was hidden")
	}
	if n := len(sim.Requests()) - before; n != 1 {
		t.Errorf("%d requests; one may be made", n)
	}
}

func TestAllPagesOfUsersAreRead(t *testing.T) {
	sim, client := simulator(t)
	made := sim.AddUsers(2100)
	collect := func(token string, detail graph.Detail) map[presence.UserID]matching.Account {
		users := map[presence.UserID]matching.Account{}
		for u, err := range client.Users(t.Context(), secret.New(token), detail) {
			if err != nil {
				t.Fatal(err)
			}
			if users[u.ID].ID != "" {
				t.Fatalf("user %s is told twice", u.ID)
			}
			users[u.ID] = u
		}
		return users
	}
	full := collect("app-token", graph.Matching)
	basic := collect("user-token", graph.MatchingBasic)
	if len(full) != len(made) || len(basic) != len(made) {
		t.Fatalf("%d and %d users; want %d", len(full), len(basic), len(made))
	}
	for _, u := range made {
		id := presence.UserID(u.ID)
		want := recordOf(u)
		want.ID = id
		if diff := cmp.Diff(want, full[id]); diff != "" {
			t.Errorf("user (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(matching.Account{ID: id, UPN: u.UserPrincipalName, Mail: u.Mail}, basic[id]); diff != "" {
			t.Errorf("user by a user grant (-want +got):\n%s", diff)
		}
	}
}

func TestAListOfUsersThatBreaksOffEndsWithAnError(t *testing.T) {
	sim, client := simulator(t)
	sim.AddMembers(1500)
	last := func() (n int, err error) {
		for _, e := range client.Users(t.Context(), token, graph.Matching) {
			if n, err = n+1, e; err != nil {
				return n, err
			}
		}
		return n, nil
	}
	sim.Inject(simulated.Fault{Kind: simulated.Truncate})
	if n, err := last(); err == nil {
		t.Errorf("a truncated page gave %d users and no error", n)
	}
	sim.Clear("")
	sim.Inject(simulated.Fault{Kind: simulated.Body, Body: json.RawMessage(`{"value":[],"@odata.nextLink":"https://evil.example/v1.0/users?$skiptoken=1"}`)})
	if n, err := last(); err == nil {
		t.Errorf("the token would have gone to another host (%d users)", n)
	}
}

func TestACancelledReadEndsAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client is gone
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	client, err := graph.New(graph.Config{Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Presences(ctx, token, []presence.UserID{"a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v; want the deadline", err)
	}
}

package graph_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"procallteams/dev/graph"
)

const bulk = "/v1.0/communications/getPresencesByUserId"

func (b bench) inject(t *testing.T, f graph.Fault) {
	t.Helper()
	raw, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if r := b.send(t, "", "POST", "/_control/fault", string(raw)); r.status != 200 {
		t.Fatalf("fault answered %d %s", r.status, r.body)
	}
}

func TestFaultsOnTheWholeRequest(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	for _, c := range []struct {
		name  string
		fault graph.Fault
		check func(reply) bool
	}{
		{"throttle", graph.Fault{Kind: graph.Throttle, RetryAfter: 7}, func(r reply) bool {
			return r.status == 429 && r.header.Get("Retry-After") == "7" && r.code(t) == "TooManyRequests"
		}},
		{"throttle without a header", graph.Fault{Kind: graph.Throttle, RetryAfter: -1}, func(r reply) bool { return r.status == 429 && r.header.Get("Retry-After") == "" }},
		{"503", graph.Fault{Kind: graph.Status, Status: 503}, func(r reply) bool { return r.status == 503 && r.code(t) == "serviceNotAvailable" }},
		{"403", graph.Fault{Kind: graph.Status, Status: 403}, func(r reply) bool { return r.status == 403 && r.code(t) == "Forbidden" }},
		{"401", graph.Fault{Kind: graph.Status, Status: 401}, func(r reply) bool { return r.status == 401 && r.header.Get("WWW-Authenticate") != "" }},
		{"a cloud without presence", graph.Fault{Kind: graph.Status, Status: 404, Code: "Request_ResourceNotFound", Message: "Resource 'presence' does not exist or one of its queried reference-property objects are not present."},
			func(r reply) bool { return r.status == 404 && r.code(t) == "Request_ResourceNotFound" }},
		{"a page", graph.Fault{Kind: graph.HTML}, func(r reply) bool {
			return r.status == 200 && strings.HasPrefix(r.header.Get("Content-Type"), "text/html")
		}},
		{"no value", graph.Fault{Kind: graph.Body, Body: json.RawMessage(`{"value":null}`)}, func(r reply) bool { return string(r.body) == `{"value":null}` }},
		{"a dropped connection", graph.Fault{Kind: graph.Drop}, func(r reply) bool { return r.err != nil && r.status == 0 }},
		{"a dropped answer", graph.Fault{Kind: graph.DropAfter}, func(r reply) bool { return r.err != nil && r.status == 0 }},
		{"a truncated body", graph.Fault{Kind: graph.Truncate}, func(r reply) bool { return r.status == 200 && r.err != nil && !json.Valid(r.body) }},
		{"latency", graph.Fault{Kind: graph.Latency, Milliseconds: 1}, func(r reply) bool { return r.status == 200 && json.Valid(r.body) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.fault.Count, c.fault.Path = 1, "getPresencesByUserId"
			b.inject(t, c.fault)
			if r := b.send(t, reader, "GET", "/v1.0/users/"+id+"/presence", ""); r.status != 200 {
				t.Errorf("another path is hit: %d", r.status)
			}
			// A POST, so net/http does not repeat it behind our back.
			if r := b.send(t, reader, "POST", bulk, ask(id)); !c.check(r) {
				t.Errorf("answer is %d %v %s %v", r.status, r.header, r.body, r.err)
			}
			if r := b.send(t, reader, "POST", bulk, ask(id)); r.status != 200 || !json.Valid(r.body) {
				t.Errorf("the fault outlived its count: %d", r.status)
			}
		})
	}
}

func TestADroppedWriteWasDone(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddUser(graph.User{UserPrincipalName: "ada@contoso.com"}).ID
	b.Inject(graph.Fault{Kind: graph.DropAfter, Path: "setPresence", Count: 1})
	if r := b.set(t, id, "Busy", "InACall", "PT1H"); r.err == nil {
		t.Fatalf("the answer came: %d", r.status)
	}
	b.expect(t, id, "Busy/InACall")
}

func TestFaultsOnItems(t *testing.T) {
	b := start(t, graph.Settings{})
	users := ids(b.AddMembers(2))
	ada, bob := users[0], users[1]
	_ = b.Set(ada, "Busy", "InACall")
	_ = b.Set(bob, "Away", "Away")
	of := func(items []item, id string) []string {
		var pairs []string
		for _, i := range items {
			if i.ID == id {
				pairs = append(pairs, i.pair())
			}
		}
		return pairs
	}
	for _, c := range []struct {
		fault graph.Fault
		want  []string // of ada
		items int
	}{
		{graph.Fault{Kind: graph.Missing}, nil, 1},
		{graph.Fault{Kind: graph.NoAvailability}, []string{"/"}, 2},
		{graph.Fault{Kind: graph.Unknown, Value: "someTHINGnew"}, []string{"someTHINGnew/someTHINGnew"}, 2},
		{graph.Fault{Kind: graph.Duplicate}, []string{"Busy/InACall", "Busy/InACall"}, 3},
	} {
		t.Run(string(c.fault.Kind), func(t *testing.T) {
			c.fault.Users = []string{ada}
			b.inject(t, c.fault)
			defer b.Clear("")
			got := b.presences(t, ada, bob)
			if pairs := of(got, ada); len(got) != c.items || strings.Join(pairs, " ") != strings.Join(c.want, " ") {
				t.Errorf("ada is %q in %d items; want %q in %d", pairs, len(got), c.want, c.items)
			}
			if pairs := of(got, bob); len(pairs) != 1 || pairs[0] != "Away/Away" {
				t.Errorf("bob is %q", pairs)
			}
		})
	}
	b.inject(t, graph.Fault{Kind: graph.Foreign})
	if got := b.presences(t, ada, bob); len(got) != 3 {
		t.Errorf("with a user that nobody asked for there are %d items", len(got))
	}
}

func TestAnswersCanAlternate(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	b.inject(t, graph.Fault{Kind: graph.Items, Users: []string{id}, Items: []json.RawMessage{
		json.RawMessage(`{"id":"` + id + `","availability":"Busy","activity":"InACall","sequenceNumber":"A0000000020"}`),
		json.RawMessage(`{"id":"` + id + `","availability":"Available","activity":"Available","sequenceNumber":"A0000000019"}`),
	}})
	for _, want := range []string{"Busy/InACall", "Available/Available", "Busy/InACall"} {
		b.expect(t, id, want)
	}
	if r := b.send(t, "", "DELETE", "/_control/fault", ""); r.status != 204 {
		t.Errorf("clearing answered %d", r.status)
	}
	if got := b.presences(t, id)[0].Sequence; got == "A0000000020" || got == "A0000000019" {
		t.Error("the fault is still there")
	}
}

func TestAProbabilityHitsSome(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	b.Inject(graph.Fault{Kind: graph.Throttle, Probability: 0.3})
	hit := 0
	for range 200 {
		if b.send(t, reader, "POST", bulk, ask(id)).status == 429 {
			hit++
		}
	}
	if hit < 30 || hit > 90 {
		t.Errorf("%d of 200 requests are hit at 0.3", hit)
	}
}

func TestThePresenceLimitCountsThrottledCallsToo(t *testing.T) {
	b := start(t, graph.Settings{PresenceLimit: 3})
	id := b.AddMembers(1)[0].ID
	for i, want := range []int{200, 200, 200, 429} {
		r := b.send(t, reader, "POST", bulk, ask(id))
		if r.status != want {
			t.Fatalf("request %d answered %d; want %d", i, r.status, want)
		}
		if want == 429 && r.header.Get("Retry-After") != "30" {
			t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
		}
	}
	b.forward(29 * time.Second)
	if r := b.send(t, reader, "POST", bulk, ask(id)); r.status != 429 || r.header.Get("Retry-After") != "1" {
		t.Errorf("before the time is over: %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
	}
	b.forward(time.Second)
	for i, want := range []int{200, 200, 429} { // the throttled one of a second ago counts
		if r := b.send(t, reader, "POST", bulk, ask(id)); r.status != want {
			t.Errorf("afterwards request %d answered %d; want %d", i, r.status, want)
		}
	}
	if r := b.send(t, lister, "GET", "/v1.0/users", ""); r.status != 200 {
		t.Errorf("the directory has a limit of its own, but answered %d", r.status)
	}
}

func TestTheIdentityLimitCountsResourceUnits(t *testing.T) {
	b := start(t, graph.Settings{IdentityLimit: 5})
	b.AddMembers(1)
	for i, want := range []struct {
		query, cost string
		status      int
	}{{"", "2", 200}, {"?$select=id", "1", 200}, {"?$select=id&$top=5", "1", 200}, {"?$top=5", "1", 200}, {"", "2", 429}} {
		r := b.send(t, lister, "GET", "/v1.0/users"+want.query, "")
		if r.status != want.status || r.header.Get("x-ms-resource-unit") != want.cost {
			t.Errorf("request %d answered %d, cost %q; want %d, %q", i, r.status, r.header.Get("x-ms-resource-unit"), want.status, want.cost)
		}
		if r.status == 429 && (r.header.Get("Retry-After") == "" || !strings.HasPrefix(r.header.Get("x-ms-throttle-scope"), "Tenant_Application/")) {
			t.Errorf("throttled with %v", r.header)
		}
	}
}

func TestOnAnswerComesAfterTheWholeAnswer(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(1)[0].ID
	released, path := make(chan struct{}), make(chan string, 1)
	b.OnAnswer(func(p string) {
		path <- p
		<-released // the answer must be readable while the hook still runs
	})
	defer close(released)
	request, _ := http.NewRequestWithContext(t.Context(), "POST", b.url+bulk, strings.NewReader(ask(id)))
	request.Header.Set("Authorization", "Bearer "+reader)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || !json.Valid(body) {
		t.Errorf("during the hook the client has %s, %v", body, err)
	}
	select {
	case p := <-path: // the reader of the answer may be faster
		if p != bulk {
			t.Errorf("the hook was told %s", p)
		}
	case <-time.After(30 * time.Second):
		t.Error("the hook was not called")
	}
}

func TestAPersonCanPlayTeamsWithoutJavaScript(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(3)[0].ID
	_ = b.Set(id, "Available", "Available")
	r := b.send(t, "", "GET", "/", "")
	if r.status != 200 || bytes.Contains(r.body, []byte("<script")) || bytes.Count(r.body, []byte("In a call</button>")) != 3 {
		t.Fatalf("the page answered %d %s", r.status, r.body)
	}
	form := url.Values{"user": {id}, "availability": {"Busy"}, "activity": {"InACall"}, "q": {"user00001"}}
	request, _ := http.NewRequestWithContext(t.Context(), "POST", b.url+"/_control/set", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != 200 || !bytes.Contains(body, []byte("Busy / InACall")) || bytes.Count(body, []byte("In a call</button>")) != 1 {
		t.Errorf("after the button the page is %d %s", answer.StatusCode, body)
	}
	b.expect(t, id, "Busy/InACall")
}

func TestTheControlAPIShowsUsersAndTruth(t *testing.T) {
	b := start(t, graph.Settings{})
	b.send(t, "", "POST", "/_control/users", `{"count":2}`)
	b.send(t, "", "POST", "/_control/users", `{"UserPrincipalName":"ada@contoso.com"}`)
	b.send(t, "", "POST", "/_control/set", `{"user":"ada@contoso.com","availability":"Busy","activity":"InACall"}`)
	var users []graph.Row
	if err := json.Unmarshal(b.send(t, "", "GET", "/_control/users", "").body, &users); err != nil || len(users) != 3 || users[2].Activity != "InACall" {
		t.Fatalf("users are %+v, %v", users, err)
	}
	var history []graph.Transition
	if err := json.Unmarshal(b.send(t, "", "GET", "/_control/history?after=3", "").body, &history); err != nil || len(history) != 1 || history[0].UserID != users[2].ID {
		t.Errorf("history is %+v, %v", history, err)
	}
	if r := b.send(t, "", "POST", "/_control/set", `{"user":"nobody","availability":"Busy","activity":"InACall"}`); r.status != 404 {
		t.Errorf("an unknown user answered %d", r.status)
	}
	if r := b.send(t, "", "POST", "/_control/users", `{"UserPrincipalName":"ada@contoso.com"}`); r.status < 400 {
		t.Errorf("a taken name answered %d", r.status)
	}
}

package graph_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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

package graph_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/dev/graph"
)

type userPage struct {
	Next  string           `json:"@odata.nextLink"`
	Count *int             `json:"@odata.count"`
	Value []map[string]any `json:"value"`
}

func (b bench) list(t *testing.T, token, query string) userPage {
	t.Helper()
	r := b.send(t, token, "GET", "/v1.0/users"+query, "")
	var p userPage
	if err := json.Unmarshal(r.body, &p); err != nil || r.status != http.StatusOK {
		t.Fatalf("GET /users%s answered %d %s", query, r.status, r.body)
	}
	return p
}

func TestUsersComeInPages(t *testing.T) {
	b := start(t, graph.Settings{})
	all := ids(b.AddUsers(1050))
	for query, first := range map[string]int{"": 100, "?$top=999": 999, "?$top=1&$select=id": 1, "?$select=id&$top=200": 200} {
		if got := len(b.list(t, lister, query).Value); got != first {
			t.Errorf("%q gives %d users first; want %d", query, got, first)
		}
	}
	var got []string
	page := b.list(t, lister, "?$select=id,userType&$top=200")
	for {
		for _, u := range page.Value {
			if len(u) != 2 {
				t.Fatalf("a user has %v; want what was selected", u)
			}
			got = append(got, u["id"].(string))
		}
		if page.Next == "" {
			break
		}
		next, err := url.Parse(page.Next)
		if err != nil || !next.IsAbs() || !strings.HasPrefix(page.Next, b.url) {
			t.Fatalf("nextLink %q is not absolute", page.Next)
		}
		if len(got) == 400 {
			b.Remove(got[0]) // must not shift the rest
		}
		page = b.list(t, lister, "?"+next.RawQuery)
	}
	if !slices.Equal(got, all) {
		t.Errorf("paging gives %d users; want %d in order", len(got), len(all))
	}
}

func TestUserQueriesThatGraphRefuses(t *testing.T) {
	b := start(t, graph.Settings{})
	b.AddUsers(3)
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"?$top=1000":                         {400, "Request_UnsupportedQuery"},
		"?$top=0":                            {400, "Request_UnsupportedQuery"},
		"?$skip=1":                           {400, "Request_UnsupportedQuery"},
		"?$skiptoken=x":                      {400, "Directory_ExpiredPageToken"},
		"?$select=id,nonsense":               {400, "BadRequest"},
		"?$select=skills":                    {501, "NotImplemented"},
		"?$filter=startswith(displayName,1)": {400, "Request_UnsupportedQuery"},
	} {
		if r := b.send(t, lister, "GET", "/v1.0/users"+strings.ReplaceAll(query, " ", "%20"), ""); r.status != want.status || r.code(t) != want.code {
			t.Errorf("%s answered %d %s; want %d %s", query, r.status, r.body, want.status, want.code)
		}
	}
	r := b.send(t, lister, "GET", "/v1.0/users?$top=1000", "")
	if !bytes.Contains(r.body, []byte("Invalid page size specified: '1000'. Must be between 1 and 999 inclusive.")) {
		t.Errorf("page size is refused with %s", r.body)
	}
}

func TestUsersCanBeFilteredAndCounted(t *testing.T) {
	b := start(t, graph.Settings{})
	b.AddUsers(100)
	for filter, want := range map[string]int{
		"accountEnabled eq true": 96, "userType eq 'Guest'": 4, "accountEnabled eq true and userType eq 'Member'": 92, "userPrincipalName eq 'USER00001@contoso.com'": 1,
	} {
		page := b.list(t, lister, "?$top=999&$filter="+url.QueryEscape(filter))
		if len(page.Value) != want {
			t.Errorf("%s gives %d users; want %d", filter, len(page.Value), want)
		}
	}
}

func TestUsersNeedTheRightAndBasicOnesGiveBasicProperties(t *testing.T) {
	b := start(t, graph.Settings{})
	me := b.AddMembers(2)[0]
	guest := b.AddUser(graph.User{UserPrincipalName: "eve@fabrikam.com", UserType: "Guest"})
	for token, want := range map[string]int{
		lister: 200, "app Directory.Read.All": 200, "app User.ReadBasic.All": 403, "app Presence.Read.All": 403, "app": 403,
		"user " + me.ID + " User.Read": 403, "user " + me.ID + " User.ReadBasic.All": 200, "user " + me.ID + " User.Read.All": 200,
		"user " + guest.ID + " User.Read.All": 403,
	} {
		for _, path := range []string{"/v1.0/users", "/v1.0/users/" + me.ID} {
			r := b.send(t, token, "GET", path, "")
			if r.status != want || want == 403 && r.code(t) != "Authorization_RequestDenied" {
				t.Errorf("token %q on %s: %d %s; want %d", token, path, r.status, r.body, want)
			}
		}
	}
	const selected = "?$select=id,mail,displayName,userPrincipalName,accountEnabled,userType,onPremisesSamAccountName"
	basic := b.list(t, "user "+me.ID+" User.ReadBasic.All", selected).Value[0]
	if _, ok := basic["accountEnabled"]; ok || len(basic) != 4 {
		t.Errorf("User.ReadBasic.All gives %v", basic)
	}
	if whole := b.list(t, lister, selected).Value[0]; len(whole) != 7 || whole["accountEnabled"] != true || whole["onPremisesSamAccountName"] != nil {
		t.Errorf("User.Read.All gives %v", whole)
	}
}

func TestOneUserIsFoundByIdAndUPN(t *testing.T) {
	b := start(t, graph.Settings{})
	u := b.AddMembers(1)[0]
	for _, key := range []string{u.ID, strings.ToUpper(u.ID), u.UserPrincipalName} {
		if r := b.send(t, lister, "GET", "/v1.0/users/"+key, ""); r.status != 200 || !bytes.Contains(r.body, []byte(u.ID)) {
			t.Errorf("%s: %d %s", key, r.status, r.body)
		}
	}
	b.Remove(u.UserPrincipalName)
	if r := b.send(t, lister, "GET", "/v1.0/users/"+u.ID, ""); r.status != 404 || r.code(t) != "Request_ResourceNotFound" {
		t.Errorf("a removed user: %d %s", r.status, r.body)
	}
}

func TestDisablingAUserEndsTheTeamsClient(t *testing.T) {
	b := start(t, graph.Settings{})
	u := b.AddMembers(1)[0]
	_ = b.Set(u.ID, "Busy", "InACall")
	b.Disable(u.ID)
	b.expect(t, u.ID, "Offline/Offline")
	if got := b.list(t, lister, "?$select=accountEnabled").Value[0]["accountEnabled"]; got != false {
		t.Errorf("accountEnabled is %v", got)
	}
}

func TestEqualSeedsGiveEqualPeopleAndMovements(t *testing.T) {
	type world struct {
		users   []graph.User
		history []string
	}
	build := func(seed uint64) world {
		c := newClock()
		sim := graph.New(graph.Config{Now: c.now, Seed: seed})
		w := world{users: sim.AddUsers(50)}
		sim.MoveSteps(500)
		for _, h := range sim.History() {
			w.history = append(w.history, fmt.Sprintf("%s %s/%s %t %s", h.UserID, h.Availability, h.Activity, h.OutOfOffice, h.Sequence))
		}
		return w
	}
	one, two, three := build(1), build(1), build(2)
	if !slices.Equal(ids(one.users), ids(two.users)) || !slices.Equal(one.history, two.history) {
		t.Error("the same seed gave another world")
	}
	if slices.Equal(ids(one.users), ids(three.users)) {
		t.Error("another seed gave the same people")
	}
	if got := len(one.history); got != 550 {
		t.Errorf("history has %d transitions; want one per user and one per step", got)
	}
}

func TestMovementIsAnsweredAndKept(t *testing.T) {
	b := start(t, graph.Settings{})
	all := ids(b.AddMembers(40))
	r := b.send(t, "", "POST", "/_control/move", `{"rate":2000}`)
	if r.status != 200 {
		t.Fatalf("move answered %d %s", r.status, r.body)
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(b.History()) < 240 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	b.send(t, "", "POST", "/_control/move", `{"rate":0}`)
	history, current := b.History(), b.Current()
	if len(history) < 240 {
		t.Fatalf("only %d transitions", len(history))
	}
	last := map[string]graph.Transition{}
	for i, h := range history {
		if i > 0 && h.Sequence <= history[i-1].Sequence {
			t.Fatalf("sequence %s stands after %s", h.Sequence, history[i-1].Sequence)
		}
		last[h.UserID] = h
	}
	for _, p := range b.presences(t, all...) {
		h := last[p.ID]
		if c := current[p.ID]; p.pair() != h.Availability+"/"+h.Activity || p.Sequence != h.Sequence || c.Sequence != h.Sequence || p.OutOfOffice == nil || p.OutOfOffice.Is != h.OutOfOffice {
			t.Errorf("answer %+v, history %+v, current %+v", p, h, c)
		}
	}
}

package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"procallteams/dev/graph"
)

const grouper = "app GroupMember.Read.All User.Read.All"

// get reads one answer of a list, with ConsistencyLevel when eventual.
func (b bench) get(t *testing.T, token, path string, eventual bool) (userPage, int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", b.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if eventual {
		request.Header.Set("ConsistencyLevel", "eventual")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var p userPage
	if err := json.NewDecoder(answer.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p, answer.StatusCode
}

func (b bench) members(t *testing.T, group, query string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for path := "/v1.0/groups/" + group + "/transitiveMembers" + query; path != ""; {
		page, status := b.get(t, grouper, path, false)
		if status != 200 {
			t.Fatalf("GET %s answered %d", path, status)
		}
		all = append(all, page.Value...)
		path = strings.TrimPrefix(page.Next, b.url)
	}
	return all
}

func TestTransitiveMembersAreFlatAndOfAllKinds(t *testing.T) {
	b := start(t, graph.Settings{})
	people := ids(b.AddMembers(5))
	device := b.AddDevice("Meeting room")
	inner := b.AddGroup(graph.Group{DisplayName: "Inner", Members: []string{people[1], people[2], device}})
	outer := b.AddGroup(graph.Group{DisplayName: "Outer", Members: []string{people[0], people[1], inner.ID}})
	b.ChangeMembers(inner.ID, []string{outer.ID}, nil) // a cycle
	kinds := map[string]string{}
	for _, m := range b.members(t, outer.ID, "?$select=id&$top=2") {
		if len(m) != 2 {
			t.Errorf("a member has %v; want what was selected and its type", m)
		}
		if kinds[m["id"].(string)] != "" {
			t.Errorf("%v is told twice", m)
		}
		kinds[m["id"].(string)] = m["@odata.type"].(string)
	}
	want := map[string]string{
		people[0]: "#microsoft.graph.user", people[1]: "#microsoft.graph.user", people[2]: "#microsoft.graph.user",
		device: "#microsoft.graph.device", inner.ID: "#microsoft.graph.group", outer.ID: "#microsoft.graph.group",
	}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("members are %v; want %v", kinds, want)
	}
	b.Remove(people[0])
	b.ChangeMembers(inner.ID, []string{people[3]}, []string{people[2], outer.ID})
	var left []string
	for _, m := range b.members(t, outer.ID, "") {
		left = append(left, m["id"].(string))
	}
	if after := []string{people[1], people[3], device, inner.ID}; !same(left, after) {
		t.Errorf("members are %v; want %v", left, after)
	}
	b.Restore(people[0])
	b.RemoveGroup(inner.ID)
	left = nil
	for _, m := range b.members(t, outer.ID, "") {
		left = append(left, m["id"].(string))
	}
	if !same(left, people[:2]) {
		t.Errorf("members are %v; want %v", left, people[:2])
	}
}

func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestACastIsAnAdvancedQuery(t *testing.T) {
	b := start(t, graph.Settings{})
	people := ids(b.AddMembers(3))
	g := b.AddGroup(graph.Group{DisplayName: "G", Members: append(people, b.AddDevice("d"))})
	path := "/v1.0/groups/" + g.ID + "/transitiveMembers/microsoft.graph.user"
	if _, status := b.get(t, grouper, path, false); status != 400 {
		t.Errorf("a cast without ConsistencyLevel answered %d", status)
	}
	if _, status := b.get(t, grouper, path, true); status != 400 {
		t.Errorf("a cast without $count answered %d", status)
	}
	page, status := b.get(t, grouper, path+"?$count=true&$top=2&$select=id", true)
	if status != 200 || page.Count == nil || *page.Count != 3 || len(page.Value) != 2 || page.Value[0]["@odata.type"] != nil {
		t.Fatalf("a cast answered %d %+v", status, page)
	}
	next := strings.TrimPrefix(page.Next, b.url)
	if _, status := b.get(t, grouper, next, false); status != 400 {
		t.Errorf("the next page without the header answered %d", status)
	}
	if page, _ = b.get(t, grouper, next, true); len(page.Value) != 1 || page.Next != "" || page.Count != nil {
		t.Errorf("the last page is %+v", page)
	}
}

func TestAGroupThatWasDeletedBetweenTwoPagesIsNotFound(t *testing.T) {
	b := start(t, graph.Settings{})
	g := b.AddGroup(graph.Group{DisplayName: "G", Members: ids(b.AddMembers(5))})
	page, _ := b.get(t, grouper, "/v1.0/groups/"+g.ID+"/transitiveMembers?$top=2", false)
	b.RemoveGroup(g.ID)
	for _, path := range []string{strings.TrimPrefix(page.Next, b.url), "/v1.0/groups/" + g.ID, "/v1.0/groups/" + g.ID + "/transitiveMembers"} {
		if r := b.send(t, grouper, "GET", path, ""); r.status != 404 || r.code(t) != "Request_ResourceNotFound" {
			t.Errorf("%s answered %d %s", path, r.status, r.body)
		}
	}
	if r := b.send(t, grouper, "GET", "/v1.0/groups/nonsense", ""); r.status != 400 {
		t.Errorf("an id that is no GUID: %d %s", r.status, r.body)
	}
}

func TestGroupsAreFoundByIdAndName(t *testing.T) {
	b := start(t, graph.Settings{})
	first := b.AddGroup(graph.Group{DisplayName: "Pilot's"})
	b.AddGroup(graph.Group{DisplayName: "pilot's"})
	b.AddGroup(graph.Group{DisplayName: "Other"})
	page, _ := b.get(t, grouper, "/v1.0/groups?$select=id,displayName&$filter="+url.QueryEscape("displayName eq 'Pilot''s'"), false)
	if len(page.Value) != 2 || len(page.Value[0]) != 2 {
		t.Errorf("by name: %v", page.Value)
	}
	if page, _ = b.get(t, grouper, "/v1.0/groups?$top=2", false); len(page.Value) != 2 || page.Next == "" {
		t.Errorf("all groups: %+v", page)
	}
	var g map[string]any
	r := b.send(t, grouper, "GET", "/v1.0/groups/"+strings.ToUpper(first.ID)+"?$select=displayName", "")
	if err := json.Unmarshal(r.body, &g); err != nil || g["displayName"] != "Pilot's" || len(g) != 2 {
		t.Errorf("one group: %d %s", r.status, r.body)
	}
	for query, want := range map[string]int{"?$filter=startswith(displayName,'P')": 400, "?$filter=displayName%20eq%20'Pilot's'": 400, "?$select=mail,nonsense": 400, "?$top=1000": 400, "?$orderby=displayName": 400, "?$skiptoken=x": 400} {
		if r := b.send(t, grouper, "GET", "/v1.0/groups"+query, ""); r.status != want {
			t.Errorf("%s answered %d %s", query, r.status, r.body)
		}
	}
}

func TestGroupsNeedTheRight(t *testing.T) {
	b := start(t, graph.Settings{})
	g := b.AddGroup(graph.Group{DisplayName: "G", Members: ids(b.AddMembers(1))})
	members := "/v1.0/groups/" + g.ID + "/transitiveMembers"
	for token, want := range map[string][2]int{
		"app GroupMember.Read.All": {200, 200}, "app Group.Read.All": {200, 200}, "app Directory.Read.All": {200, 200},
		"app GroupMember.ReadBasic.All": {200, 403}, lister: {403, 403}, "user x GroupMember.Read.All": {200, 200},
	} {
		for i, path := range []string{members, "/v1.0/groups/" + g.ID} {
			if r := b.send(t, token, "GET", path, ""); r.status != want[i] {
				t.Errorf("token %q on %s: %d %s; want %d", token, path, r.status, r.body, want[i])
			}
		}
	}
	page, _ := b.get(t, "app GroupMember.Read.All", members+"?$select=id,mail", false)
	if u := page.Value[0]; u["mail"] != nil || u["id"] == nil || u["@odata.type"] != "#microsoft.graph.user" {
		t.Errorf("without the right to read users a member is %v", u)
	}
	for query, want := range map[string]string{"": "5", "?$select=id": "4", "?$select=id&$top=5": "3"} {
		if r := b.send(t, grouper, "GET", members+query, ""); r.header.Get("x-ms-resource-unit") != want {
			t.Errorf("%q costs %s units; want %s", query, r.header.Get("x-ms-resource-unit"), want)
		}
	}
}

func TestGroupsAreMadeThroughTheControlInterface(t *testing.T) {
	b := start(t, graph.Settings{})
	people := ids(b.AddMembers(2))
	r := b.send(t, "", "POST", "/_control/groups", fmt.Sprintf(`{"displayName":"G","members":[%q]}`, people[0]))
	var g graph.Group
	if err := json.Unmarshal(r.body, &g); err != nil || g.ID == "" {
		t.Fatalf("groups answered %d %s", r.status, r.body)
	}
	b.send(t, "", "POST", "/_control/members", fmt.Sprintf(`{"group":%q,"add":[%q],"remove":[%q]}`, g.ID, people[1], people[0]))
	if groups := b.Groups(); len(groups) != 1 || !slices.Equal(groups[0].Members, people[1:]) {
		t.Errorf("groups are %+v", groups)
	}
	if r := b.send(t, "", "DELETE", "/_control/groups?id="+g.ID, ""); r.status != 204 || len(b.Groups()) != 0 {
		t.Errorf("delete answered %d %s", r.status, r.body)
	}
}

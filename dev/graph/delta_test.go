package graph_test

import (
	"encoding/base64"
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

type deltaPage struct {
	Next  string                       `json:"@odata.nextLink"`
	Delta string                       `json:"@odata.deltaLink"`
	Value []map[string]json.RawMessage `json:"value"`
}

// delta reads one page; link is a query or a whole link of an answer.
func (b bench) delta(t *testing.T, token, link string) deltaPage {
	t.Helper()
	r := b.send(t, token, "GET", deltaPath(link), "")
	var p deltaPage
	if err := json.Unmarshal(r.body, &p); err != nil || r.status != http.StatusOK || p.Value == nil {
		t.Fatalf("GET /users/delta%s answered %d %s", link, r.status, r.body)
	}
	if (p.Next == "") == (p.Delta == "") {
		t.Fatalf("next link %q and delta link %q; want one of them", p.Next, p.Delta)
	}
	return p
}

func deltaPath(link string) string {
	if _, query, ok := strings.Cut(link, "?"); ok {
		return "/v1.0/users/delta?" + query
	}
	return "/v1.0/users/delta"
}

// round reads all pages and returns the entries in order, and the delta link.
func (b bench) round(t *testing.T, token, link string) (entries []map[string]json.RawMessage, deltaLink string) {
	t.Helper()
	for {
		page := b.delta(t, token, link)
		entries = append(entries, page.Value...)
		if page.Delta != "" {
			return entries, page.Delta
		}
		link = page.Next
	}
}

func idOf(entry map[string]json.RawMessage) string { return strings.Trim(string(entry["id"]), `"`) }

// only returns the one entry of a round.
func only(t *testing.T, entries []map[string]json.RawMessage) map[string]json.RawMessage {
	t.Helper()
	if len(entries) != 1 {
		t.Fatalf("%d entries; want 1: %s", len(entries), entries)
	}
	return entries[0]
}

func TestTheFirstRoundTellsEverybodyInPages(t *testing.T) {
	b := start(t, graph.Settings{DeltaPage: 100})
	all := ids(b.AddUsers(450))
	page := b.delta(t, lister, "?$select=userPrincipalName,onPremisesSamAccountName")
	for _, u := range page.Value {
		if _, hybrid := u["onPremisesSamAccountName"]; u["id"] == nil || u["userPrincipalName"] == nil || len(u) > 3 || len(u) == 3 && !hybrid {
			t.Fatalf("an entry has %s; want what was selected and ever set, and the id", u)
		}
	}
	if !strings.HasPrefix(page.Next, b.url) {
		t.Fatalf("nextLink %q is not absolute", page.Next)
	}
	entries, _ := b.round(t, lister, "?$select=userPrincipalName")
	seen := map[string]int{}
	for _, u := range entries {
		seen[idOf(u)]++
	}
	if len(seen) != len(all) || len(entries) == len(all) {
		t.Errorf("%d entries about %d users; want all %d and some twice", len(entries), len(seen), len(all))
	}
	empty := 0
	for link := "?$select=id"; link != ""; {
		page := b.delta(t, lister, link)
		if link = page.Next; len(page.Value) == 0 {
			empty++
		}
	}
	if empty == 0 {
		t.Error("no page was empty")
	}
}

func TestARoundWithoutChangesIsEmptyAndOptionsAreBakedIn(t *testing.T) {
	b := start(t, graph.Settings{})
	all := ids(b.AddMembers(5))
	_, link := b.round(t, lister, "?$select=mail")
	entries, link := b.round(t, lister, link)
	if len(entries) != 0 {
		t.Fatalf("%d entries without a change", len(entries))
	}
	b.Edit(all[0], func(u *graph.User) { u.DisplayName = "Somebody Else" })
	if entries, link = b.round(t, lister, link); len(entries) != 0 {
		t.Errorf("a property that is not selected raised %s", entries)
	}
	b.Edit(all[1], func(u *graph.User) { u.Mail = "new@contoso.com" })
	b.Edit(all[1], func(u *graph.User) { u.Mail = "" })
	entries, link = b.round(t, lister, link)
	if u := only(t, entries); idOf(u) != all[1] || string(u["mail"]) != "null" || len(u) != 2 {
		t.Errorf("a mail that was taken away gives %s", u)
	}
	late := b.AddUser(graph.User{UserPrincipalName: "late@contoso.com"})
	entries, _ = b.round(t, lister, link)
	if u := only(t, entries); idOf(u) != late.ID || len(u) != 1 {
		t.Errorf("a new user without mail gives %s", u)
	}
}

func TestMinimalAnswersHoldOnlyWhatChanged(t *testing.T) {
	b := start(t, graph.Settings{})
	id := b.AddMembers(3)[2].ID // synchronised
	_, link := b.round(t, lister, "?$select=id,mail,userPrincipalName,accountEnabled,onPremisesSamAccountName")
	b.Disable(id)
	whole, _ := b.round(t, lister, link)
	if u := only(t, whole); len(u) != 5 || string(u["accountEnabled"]) != "false" {
		t.Errorf("a changed user gives %s", u)
	}
	request, _ := http.NewRequestWithContext(t.Context(), "GET", link, nil)
	request.Header.Set("Authorization", "Bearer "+lister)
	request.Header.Set("Prefer", "return=minimal")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var page deltaPage
	if err := json.NewDecoder(answer.Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	if u := only(t, page.Value); len(u) != 2 || string(u["accountEnabled"]) != "false" {
		t.Errorf("minimal gives %s", u)
	}
}

func TestWhoLeavesIsToldWithTheReason(t *testing.T) {
	b := start(t, graph.Settings{})
	all := ids(b.AddMembers(4))
	_, link := b.round(t, lister, "?$select=userPrincipalName")
	removed := func(id, reason string) {
		t.Helper()
		var entries []map[string]json.RawMessage
		entries, link = b.round(t, lister, link)
		if u := only(t, entries); idOf(u) != id || string(u["@removed"]) != `{"reason":"`+reason+`"}` || len(u) != 2 {
			t.Errorf("entry %s; want %s removed as %s", u, id, reason)
		}
	}
	b.Remove(all[0])
	removed(all[0], "changed")
	b.Purge(all[0])
	removed(all[0], "deleted")
	b.Purge(all[1])
	removed(all[1], "deleted")
	b.Remove(all[2])
	removed(all[2], "changed")
	b.Restore(all[2])
	entries, link := b.round(t, lister, link)
	if u := only(t, entries); idOf(u) != all[2] || u["@removed"] != nil || u["userPrincipalName"] == nil {
		t.Errorf("a restored user gives %s", u)
	}
	b.Remove(all[3])
	b.Restore(all[3])
	if entries, _ = b.round(t, lister, link); idOf(only(t, entries)) != all[3] {
		t.Errorf("removed and restored in one round gives %s", entries)
	}
	if r := b.send(t, "", "POST", "/_control/restore", fmt.Sprintf(`{"user":%q}`, all[1])); r.status != 404 {
		t.Errorf("restoring who is gone for good: %d %s", r.status, r.body)
	}
}

// What the directory does while pages are read must be in this round or the next.
func TestChangesBetweenTwoPagesAreNotLost(t *testing.T) {
	b := start(t, graph.Settings{DeltaPage: 10})
	all := ids(b.AddMembers(40))
	page := b.delta(t, lister, "?$select=mail")
	known := map[string]string{}
	merge := func(entries []map[string]json.RawMessage) {
		for _, u := range entries {
			if known[idOf(u)] = string(u["mail"]); u["@removed"] != nil {
				delete(known, idOf(u))
			}
		}
	}
	merge(page.Value)
	b.Edit(all[2], func(u *graph.User) { u.Mail = "early@contoso.com" }) // told already
	b.Edit(all[35], func(u *graph.User) { u.Mail = "late@contoso.com" }) // not yet
	b.Remove(all[3])
	b.Remove(all[36])
	b.AddUser(graph.User{UserPrincipalName: "new@contoso.com", Mail: "new@contoso.com"})
	entries, link := b.round(t, lister, page.Next)
	merge(entries)
	b.Remove(all[4])
	b.Restore(all[3])
	entries, _ = b.round(t, lister, link)
	merge(entries)
	if len(known) != 39 || known[all[2]] != `"early@contoso.com"` || known[all[35]] != `"late@contoso.com"` || known[all[3]] == "" || known[all[4]] != "" || known[all[36]] != "" {
		t.Errorf("%d users are known: %v", len(known), known)
	}
}

func TestReplaysTellOldChangesAgain(t *testing.T) {
	b := start(t, graph.Settings{DeltaReplays: 2})
	all := ids(b.AddMembers(5))
	_, link := b.round(t, lister, "?$select=mail")
	entries, _ := b.round(t, lister, link)
	if len(entries) != 2 || idOf(entries[0]) != all[3] || idOf(entries[1]) != all[4] {
		t.Errorf("replays are %s; want the last two", entries)
	}
}

func TestLatestStartsFromNow(t *testing.T) {
	b := start(t, graph.Settings{})
	all := ids(b.AddMembers(5))
	b.Remove(all[4])
	entries, link := b.round(t, lister, "?$deltatoken=latest&$select=mail")
	if len(entries) != 0 {
		t.Fatalf("latest gives %s", entries)
	}
	b.Remove(all[0])
	if entries, _ = b.round(t, lister, link); idOf(only(t, entries)) != all[0] {
		t.Errorf("after latest: %s", entries)
	}
}

func TestATokenOfAWeekAgoIsNotFoundAndAResetIsGone(t *testing.T) {
	b := start(t, graph.Settings{DeltaPage: 2})
	b.AddMembers(5)
	skip := b.delta(t, lister, "?$select=mail").Next
	_, link := b.round(t, lister, "?$select=mail")
	b.forward(7 * 24 * time.Hour)
	b.delta(t, lister, link)
	b.forward(time.Second)
	for _, old := range []string{link, skip} {
		if r := b.send(t, lister, "GET", deltaPath(old), ""); r.status != 400 || r.code(t) != "syncStateNotFound" {
			t.Errorf("an old token: %d %s", r.status, r.body)
		}
	}
	_, link = b.round(t, lister, "?$select=mail")
	b.send(t, "", "POST", "/_control/resync", "{}")
	r := b.send(t, lister, "GET", deltaPath(link), "")
	if r.status != 410 || r.code(t) != "resyncRequired" || !strings.HasPrefix(r.header.Get("Location"), b.url+"/v1.0/users/delta?$deltatoken=") {
		t.Fatalf("after a reset: %d %s %v", r.status, r.body, r.header)
	}
	entries, link := b.round(t, lister, r.header.Get("Location"))
	if len(entries) < 5 || len(entries[0]) != 2 {
		t.Errorf("the Location gives %s", entries)
	}
	b.delta(t, lister, link)
}

func TestDeltaQueriesThatGraphRefuses(t *testing.T) {
	b := start(t, graph.Settings{DeltaPage: 1})
	me := b.AddMembers(3)[0]
	next := b.delta(t, lister, "?$select=mail").Next
	filter := url.QueryEscape(strings.TrimSuffix(strings.Repeat("id eq '"+me.ID+"' or ", 51), " or "))
	for link, want := range map[string]string{
		"?$top=10": "Request_UnsupportedQuery", "?$orderby=mail": "Request_UnsupportedQuery", "?$expand=manager": "Request_UnsupportedQuery",
		"?$select=nonsense": "BadRequest", "?$deltatoken=x": "Request_BadRequest", "?$skiptoken=e30": "Request_BadRequest",
		"?$filter=" + filter: "Request_UnsupportedQuery", "?$filter=mail%20eq%20'a'": "Request_UnsupportedQuery",
		next + "&$select=id": "Request_UnsupportedQuery",
		strings.Replace(next, "$skiptoken", "$deltatoken", 1): "Request_BadRequest",
	} {
		if r := b.send(t, lister, "GET", deltaPath(link), ""); r.status != 400 || r.code(t) != want {
			t.Errorf("%s answered %d %s; want %s", link, r.status, r.body, want)
		}
	}
	entries, _ := b.round(t, lister, "?$select=mail&$filter="+url.QueryEscape("id eq '"+me.ID+"'"))
	if u := only(t, entries); idOf(u) != me.ID {
		t.Errorf("a filter by id gives %s", u)
	}
}

func TestDeltaNeedsTheRightAndBasicOnesGiveBasicProperties(t *testing.T) {
	b := start(t, graph.Settings{})
	me := b.AddMembers(1)[0]
	for token, want := range map[string]int{
		lister: 200, "app User.ReadBasic.All": 403, "app": 403, "app GroupMember.Read.All": 403, "user " + me.ID + " User.ReadBasic.All": 200,
	} {
		if r := b.send(t, token, "GET", "/v1.0/users/delta", ""); r.status != want {
			t.Errorf("token %q: %d %s; want %d", token, r.status, r.body, want)
		}
	}
	entries, _ := b.round(t, "user "+me.ID+" User.ReadBasic.All", "?$select=id,mail,accountEnabled,proxyAddresses")
	if u := only(t, entries); len(u) != 2 || u["mail"] == nil {
		t.Errorf("User.ReadBasic.All gives %s", u)
	}
	if entries, _ := b.round(t, "foreign User.Read.All", "?$select=id"); len(entries) != 0 {
		t.Errorf("another tenant sees %s", entries)
	}
	if r := b.send(t, lister, "GET", "/v1.0/users/delta?$select=id", ""); r.header.Get("x-ms-resource-unit") != "1" {
		t.Errorf("a page costs %s units", r.header.Get("x-ms-resource-unit"))
	}
}

func TestAThirdOfTheGeneratedUsersIsSynchronised(t *testing.T) {
	b := start(t, graph.Settings{})
	var hybrid []graph.User
	for _, u := range b.AddUsers(300) {
		if u.OnPremisesSamAccountName != "" {
			hybrid = append(hybrid, u)
		}
	}
	sids := map[string]bool{}
	for _, u := range hybrid {
		guid, err := base64.StdEncoding.DecodeString(u.OnPremisesImmutableID)
		if err != nil || len(guid) != 16 || u.OnPremisesDomainName == "" || !strings.HasPrefix(u.OnPremisesUserPrincipalName, u.OnPremisesSamAccountName+"@") || u.UserType != "Member" {
			t.Fatalf("a synchronised user is %+v", u)
		}
		sids[u.OnPremisesSecurityIdentifier] = true
	}
	if len(hybrid) < 80 || len(hybrid) > 100 || len(sids) != len(hybrid) {
		t.Errorf("%d of 300 are synchronised, with %d SIDs", len(hybrid), len(sids))
	}
	again := graph.New(graph.Config{Seed: 7}).AddUsers(300)
	if !slices.ContainsFunc(again, func(u graph.User) bool { return u.OnPremisesImmutableID == hybrid[0].OnPremisesImmutableID }) {
		t.Error("the same seed gave other immutable ids")
	}
}

func TestRecordsAreEditedThroughTheControlInterface(t *testing.T) {
	b := start(t, graph.Settings{})
	all := b.AddMembers(2)
	r := b.send(t, "", "POST", "/_control/edit", fmt.Sprintf(`{"user":%q,"set":{"userPrincipalName":"bob@contoso.com","proxyAddresses":["smtp:b@contoso.com"]}}`, all[0].ID))
	if r.status != 200 {
		t.Fatalf("edit answered %d %s", r.status, r.body)
	}
	got := b.list(t, lister, "?$select=id,userPrincipalName,proxyAddresses").Value[0]
	if got["id"] != all[0].ID || got["userPrincipalName"] != "bob@contoso.com" || fmt.Sprint(got["proxyAddresses"]) != "[smtp:b@contoso.com]" {
		t.Errorf("the user is %v", got)
	}
	if r := b.send(t, "", "POST", "/_control/edit", fmt.Sprintf(`{"user":%q,"set":{"userPrincipalName":"BOB@contoso.com"}}`, all[1].ID)); r.status != 404 {
		t.Errorf("a name that is taken: %d %s", r.status, r.body)
	}
}

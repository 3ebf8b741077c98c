package graph_test

import (
	"errors"
	"net/http"
	"slices"
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

// people is what somebody who keeps the changes knows.
type people map[presence.UserID]matching.Account

// merge takes the changes in and reports how many made a difference.
func (p people) merge(changes []graph.UserChange) (differences int) {
	for _, c := range changes {
		record, known := p[c.ID]
		if c.Removed != graph.Stays {
			delete(p, c.ID)
			if known {
				differences++
			}
			continue
		}
		if c.MergeInto(&record) || !known {
			differences++
		}
		p[c.ID] = record
	}
	return differences
}

// round reads a whole round into p and returns the link for the next.
func (p people) round(t *testing.T, client *graph.Client, token secret.Text, link string, detail graph.Detail) (next string, differences int) {
	t.Helper()
	complete := false
	for page, err := range client.UsersDelta(t.Context(), token, link, detail) {
		if err != nil {
			t.Fatal(err)
		}
		if complete {
			t.Fatal("a page follows the one that completes the round")
		}
		differences += p.merge(page.Changes)
		next, complete = page.Link, page.Complete
	}
	if !complete {
		t.Fatal("the round did not end")
	}
	return next, differences
}

func recordOf(u simulated.User) matching.Account {
	return matching.Account{
		UPN: u.UserPrincipalName, Mail: u.Mail, Proxies: u.ProxyAddresses, Disabled: u.Disabled, Guest: u.UserType == "Guest",
		OnPremisesUPN: u.OnPremisesUserPrincipalName, SAM: u.OnPremisesSamAccountName, Domain: u.OnPremisesDomainName,
		ImmutableID: u.OnPremisesImmutableID, SID: u.OnPremisesSecurityIdentifier,
	}
}

func TestTheFirstRoundTellsAllThatMatchingNeeds(t *testing.T) {
	sim, client := simulator(t)
	sim.Configure(simulated.Settings{DeltaPage: 70})
	want := people{}
	for _, u := range append(sim.AddUsers(300), sim.AddUser(simulated.User{UserPrincipalName: "bare@contoso.com"})) {
		want[presence.UserID(u.ID)] = recordOf(u)
	}
	got := people{}
	got.round(t, client, token, "", graph.Matching)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("people (-want +got):\n%s", diff)
	}
	basic := people{}
	basic.round(t, client, secret.New("user-token"), "", graph.MatchingBasic)
	for id, r := range want {
		if diff := cmp.Diff(matching.Account{UPN: r.UPN, Mail: r.Mail}, basic[id]); diff != "" {
			t.Fatalf("by a user grant (-want +got):\n%s", diff)
		}
	}
}

func TestAListAndALinkTakenBeforeItMissNothing(t *testing.T) {
	sim, client := simulator(t)
	users := sim.AddMembers(5)
	link, err := client.UsersLink(t.Context(), token, graph.Matching)
	if err != nil {
		t.Fatal(err)
	}
	sim.Disable(users[0].ID)
	sim.Remove(users[1].ID)
	got := people{}
	for u, err := range client.Users(t.Context(), token, graph.Matching) {
		if err != nil {
			t.Fatal(err)
		}
		id := u.ID
		u.ID = ""
		got[id] = u
	}
	sim.Enable(users[0].ID)
	sim.Remove(users[2].ID)
	sim.AddUser(simulated.User{UserPrincipalName: "new@contoso.com"})
	got.round(t, client, token, link, graph.Matching)
	want := people{}
	want.round(t, client, token, "", graph.Matching)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("people (-want +got):\n%s", diff)
	}
	sim.Inject(simulated.Fault{Kind: simulated.Body, Body: []byte(`{"value":[]}`), Count: 1})
	if link, err := client.UsersLink(t.Context(), token, graph.Matching); err == nil {
		t.Errorf("an answer without a link gives %q", link)
	}
}

func TestLaterRoundsTellWhatChanged(t *testing.T) {
	sim, client := simulator(t)
	users := sim.AddMembers(12)
	got := people{}
	link, _ := got.round(t, client, token, "", graph.Matching)
	link, n := got.round(t, client, token, link, graph.Matching)
	if n != 0 {
		t.Errorf("%d differences without a change", n)
	}
	sim.Disable(users[0].ID)
	sim.Edit(users[1].ID, func(u *simulated.User) { u.UserPrincipalName, u.Mail, u.ProxyAddresses = "ada@contoso.com", "", nil })
	sim.Edit(users[2].ID, func(u *simulated.User) { u.OnPremisesSamAccountName = "ada"; u.UserType = "Guest" })
	sim.Edit(users[3].ID, func(u *simulated.User) { u.Surname = "Lovelace" }) // nobody asked for it
	sim.Remove(users[4].ID)
	sim.Purge(users[5].ID)
	sim.Remove(users[6].ID)
	sim.Restore(users[6].ID)
	added := sim.AddUser(simulated.User{UserPrincipalName: "new@contoso.com"})
	link, n = got.round(t, client, token, link, graph.Matching)
	if n != 6 {
		t.Errorf("%d differences; want 6", n)
	}
	want := people{}
	for u, err := range client.Users(t.Context(), token, graph.Matching) {
		if err != nil {
			t.Fatal(err)
		}
		id := u.ID
		u.ID = ""
		want[id] = u
	}
	if len(got) != len(want) || got[presence.UserID(added.ID)].UPN != "new@contoso.com" {
		t.Errorf("%d people; want %d", len(got), len(want))
	}
	if r := got[presence.UserID(users[1].ID)]; r.UPN != "ada@contoso.com" || r.Mail != "" || len(r.Proxies) != 0 {
		t.Errorf("what was taken away is still known: %+v", r)
	}
	if r := got[presence.UserID(users[2].ID)]; r.SAM != "ada" || !r.Guest || r.SID != users[2].OnPremisesSecurityIdentifier {
		t.Errorf("what was changed is %+v", r)
	}
	sim.Configure(simulated.Settings{DeltaReplays: 20})
	if _, n = got.round(t, client, token, link, graph.Matching); n != 0 {
		t.Errorf("replays made %d differences", n)
	}
}

func TestTheReasonOfARemovalIsTold(t *testing.T) {
	sim, client := simulator(t)
	users := sim.AddMembers(3)
	sim.Remove(users[0].ID)
	sim.Purge(users[1].ID)
	told := map[presence.UserID]graph.Removal{}
	for page, err := range client.UsersDelta(t.Context(), token, "", graph.Matching) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Changes {
			told[c.ID] = c.Removed
		}
	}
	ids := idsOf(users)
	if diff := cmp.Diff(map[presence.UserID]graph.Removal{ids[0]: graph.Left, ids[1]: graph.LeftForGood, ids[2]: graph.Stays}, told); diff != "" {
		t.Errorf("removals (-want +got):\n%s", diff)
	}
}

func TestARoundGoesOnWhereItBrokeOff(t *testing.T) {
	sim, client := simulator(t)
	sim.Configure(simulated.Settings{DeltaPage: 10})
	users := sim.AddMembers(45)
	got := people{}
	link := ""
	for range 100 { // every call reads one page, as if the process died behind it
		var last graph.DeltaPage
		for page, err := range client.UsersDelta(t.Context(), token, link, graph.Matching) {
			if err != nil {
				t.Fatal(err)
			}
			last = page
			if len(page.Changes) > 11 {
				t.Fatalf("a page of %d changes; 10 and a repeated one are possible", len(page.Changes))
			}
			break
		}
		got.merge(last.Changes)
		if link = last.Link; last.Complete {
			break
		}
	}
	if len(got) != len(users) {
		t.Errorf("%d people; want %d", len(got), len(users))
	}
	sim.Remove(users[0].ID)
	if _, n := got.round(t, client, token, link, graph.Matching); n != 1 || len(got) != 44 {
		t.Errorf("the next round makes %d differences, %d people", n, len(got))
	}
}

func TestABrokenPageTellsNothingAndTheRestIsKept(t *testing.T) {
	sim, client := simulator(t)
	sim.Configure(simulated.Settings{DeltaPage: 10})
	users := sim.AddMembers(35)
	got, link, pages := people{}, "", 0
	for page, err := range client.UsersDelta(t.Context(), token, "", graph.Matching) {
		if err != nil {
			if _, odd := errors.AsType[*graph.FormError](err); !odd {
				t.Errorf("a broken page is %v", err)
			}
			break
		}
		if len(page.Changes) > 10 {
			t.Fatalf("a page of %d changes", len(page.Changes))
		}
		got.merge(page.Changes)
		link = page.Link
		if pages++; pages == 3 {
			sim.Inject(simulated.Fault{Kind: simulated.Truncate, Count: 1})
		}
	}
	if pages != 3 {
		t.Fatalf("%d pages before the break", pages)
	}
	got.round(t, client, token, link, graph.Matching)
	if len(got) != len(users) {
		t.Errorf("%d people; want %d", len(got), len(users))
	}
}

// failure returns the error of reading changes.
func failure(t *testing.T, client *graph.Client, token secret.Text, link string, detail graph.Detail) error {
	t.Helper()
	for _, err := range client.UsersDelta(t.Context(), token, link, detail) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestALinkThatIsNotAcceptedAnyMoreAsksForAResync(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	sim, client := simulatorAt(t, func() time.Time { return now })
	sim.Configure(simulated.Settings{DeltaPage: 10})
	sim.AddMembers(25)
	fresh := func() string {
		link, _ := people{}.round(t, client, token, "", graph.Matching)
		return link
	}
	expired := fresh()
	now = now.Add(8 * 24 * time.Hour)
	reset := fresh()
	sim.ResetDelta()
	good := fresh()
	for name, row := range map[string]struct {
		link   string
		status int
		code   string
	}{
		"a week later":           {expired, 400, "syncStateNotFound"},
		"a reset":                {reset, 410, "resyncRequired"},
		"a link that was cut":    {good[:len(good)-9], 400, "Request_BadRequest"},
		"a link of another host": {"https://graph.microsoft.us/v1.0/users/delta?$deltatoken=x", 0, ""},
		"a link that is none":    {"%", 0, ""},
	} {
		err := failure(t, client, token, row.link, graph.Matching)
		if _, ok := errors.AsType[*graph.ResyncError](err); !ok || strings.Contains(err.Error(), "token") {
			t.Errorf("%s: %v; want a resync", name, err)
		}
		if refusal, ok := errors.AsType[*graph.Error](err); ok != (row.status != 0) || ok && (refusal.Status != row.status || refusal.Code != row.code) {
			t.Errorf("%s: %v; want %d %s", name, err, row.status, row.code)
		}
	}
	if err := failure(t, client, token, good, graph.Matching); err != nil {
		t.Errorf("a good link: %v", err)
	}
	for _, fault := range []simulated.Fault{{Kind: simulated.Status, Status: 400}, {Kind: simulated.Status, Status: 410}, {Kind: simulated.Status, Status: 409, Code: "SyncStateNotFound"}} {
		pages := 0
		for _, err := range client.UsersDelta(t.Context(), token, "", graph.Matching) {
			if pages++; pages == 1 {
				sim.Inject(fault)
				continue
			}
			if _, ok := errors.AsType[*graph.ResyncError](err); !ok {
				t.Errorf("%d between two pages: %v", fault.Status, err)
			}
		}
		sim.Clear("")
		if pages != 2 {
			t.Errorf("%d pages", pages)
		}
	}
	sim.Inject(simulated.Fault{Kind: simulated.Status, Status: 410, Count: 1})
	if _, ok := errors.AsType[*graph.ResyncError](failure(t, client, token, "", graph.Matching)); !ok {
		t.Error("410 without a code, at the start, is no resync")
	}
}

func TestOtherRefusalsOfChangesAskForNoResync(t *testing.T) {
	sim, client := simulator(t)
	sim.AddMembers(3)
	link, _ := people{}.round(t, client, token, "", graph.Matching)
	for name, row := range map[string]struct {
		token secret.Text
		link  string
		fault simulated.Fault
	}{
		"throttled":                 {token, link, simulated.Fault{Kind: simulated.Throttle}},
		"no permission":             {secret.New("bare-token"), link, simulated.Fault{}},
		"an invalid token":          {secret.New("stolen-token"), link, simulated.Fault{}},
		"a broken service":          {token, link, simulated.Fault{Kind: simulated.Status, Status: 500}},
		"a wrong address":           {token, link, simulated.Fault{Kind: simulated.Status, Status: 404}},
		"a page of the network":     {token, link, simulated.Fault{Kind: simulated.HTML}},
		"a bad query":               {token, "", simulated.Fault{Kind: simulated.Status, Status: 400, Code: "BadRequest"}},
		"a connection that was cut": {token, link, simulated.Fault{Kind: simulated.Drop}},
	} {
		sim.Inject(row.fault)
		err := failure(t, client, row.token, row.link, graph.Matching)
		sim.Clear("")
		if _, resync := errors.AsType[*graph.ResyncError](err); err == nil || resync {
			t.Errorf("%s: %v; want another error", name, err)
		}
	}
	if err := failure(t, client, token, "", "id,nonsense"); !isStatus(err, http.StatusBadRequest) {
		t.Errorf("a property that there is not: %v", err)
	}
}

func isStatus(err error, status int) bool {
	refusal, ok := errors.AsType[*graph.Error](err)
	return ok && refusal.Status == status
}

func TestEntriesOfEveryFormAreRead(t *testing.T) {
	const id = "00000000-0000-4000-8000-00000000000a"
	before := matching.Account{UPN: "a@contoso.com", Mail: "a@contoso.com", Guest: true, Disabled: true, Proxies: []string{"SMTP:a@contoso.com"}, SID: "S-1"}
	with := func(f func(*matching.Account)) matching.Account {
		r := before
		r.Proxies = slices.Clone(r.Proxies)
		f(&r)
		return r
	}
	for _, row := range []struct {
		name, entry string
		want        matching.Account
	}{
		{"nothing else", `{"id":"` + id + `"}`, before},
		{"the id last, in capitals", `{"mail":"b","id":"` + strings.ToUpper(id) + `"}`, with(func(r *matching.Account) { r.Mail = "b" })},
		{"nulls", `{"id":"` + id + `","mail":null,"proxyAddresses":null,"onPremisesSecurityIdentifier":null,"userType":null,"accountEnabled":null}`, matching.Account{UPN: "a@contoso.com"}},
		{"an empty list", `{"id":"` + id + `","proxyAddresses":[]}`, with(func(r *matching.Account) { r.Proxies = nil })},
		{"escapes", `{"id":"` + id + `","userPrincipalName":"\u00fc'\"\\@contoso.com"}`, with(func(r *matching.Account) { r.UPN = "ü'\"\\@contoso.com" })},
		{"half a character", `{"id":"` + id + `","mail":"x\ud83d"}`, with(func(r *matching.Account) { r.Mail = "x\uFFFD" })},
		{"a byte that is no character", `{"id":"` + id + `","mail":"x` + "\xff" + `"}`, with(func(r *matching.Account) { r.Mail = "x\uFFFD" })},
		{"more than was asked for", `{"@odata.type":"#microsoft.graph.user","manager@delta":[{"id":"x"}],"id":"` + id + `","more":{"id":"y"}}`, before},
		{"a name twice", `{"id":"` + id + `","mail":"b","mail":"c"}`, with(func(r *matching.Account) { r.Mail = "c" })},
	} {
		t.Run(row.name, func(t *testing.T) {
			client := answering(t, func(base string) string { return `{"value":[` + row.entry + `],"@odata.deltaLink":"` + base + `/d"}` })
			for page, err := range client.UsersDelta(t.Context(), token, "", graph.Matching) {
				if err != nil || len(page.Changes) != 1 || page.Changes[0].ID != id {
					t.Fatalf("page %+v: %v", page, err)
				}
				got := before
				changed := page.Changes[0].MergeInto(&got)
				if diff := cmp.Diff(row.want, got, cmp.Transformer("list", func(l []string) string { return strings.Join(l, " ") })); diff != "" || changed == cmp.Equal(before, got) {
					t.Errorf("changed %t, record (-want +got):\n%s", changed, diff)
				}
			}
		})
	}
}

package matching_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/matching"
	"procallteams/internal/presence"
)

// object is the nth objectGUID, immutable the immutable id of the same object.
func object(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", n) }

func immutable(n int) string {
	bytes := binary.LittleEndian.AppendUint32(nil, uint32(n))
	return base64.StdEncoding.EncodeToString(append(bytes, 0, 0, 0, 0x40, 0x80, 0, 0, 0, 0, 0, 0, 0))
}

// world is a random tenant in which values collide often.
func world(r *rand.Rand) ([]matching.Account, []matching.User, string) {
	name := func(n int) string {
		return []string{"ada", "Bob", "bob", "cleo", "dan", "eve", "fay"}[r.IntN(7)] + fmt.Sprint(r.IntN(n))
	}
	maybe := func(text string) string {
		if r.IntN(3) == 0 {
			return text
		}
		return ""
	}
	var accounts []matching.Account
	var users []matching.User
	var file strings.Builder
	n := 1 + r.IntN(30)
	guid := func() int { return 1 + r.IntN(n) }
	for i := range n {
		accounts = append(accounts, matching.Account{
			ID: presence.UserID(fmt.Sprintf("a%03d", i)), UPN: name(n) + "@contoso.com", Mail: maybe(name(n) + "@mail"), OnPremisesUPN: maybe(name(n) + "@contoso.com"),
			SAM: maybe(name(n)), Domain: []string{"one.local", "two.local"}[r.IntN(2)], SID: maybe("S-1-" + fmt.Sprint(r.IntN(n))),
			Proxies: []string{"smtp:" + name(n) + "@mail", "sip:" + name(n) + "@sip"}, ImmutableID: maybe(immutable(guid())), Disabled: r.IntN(10) == 0, Guest: r.IntN(10) == 0,
		})
		users = append(users, matching.User{
			ID: fmt.Sprintf("u%03d", i), Name: name(n), UPN: maybe(name(n) + "@contoso.com"), SAM: maybe([]string{"", `ONE\`, `two.local\`}[r.IntN(3)] + name(n)),
			ObjectGUID: maybe(object(guid())), ObjectSID: maybe("S-1-" + fmt.Sprint(r.IntN(n))), Mail: maybe(name(n) + "@mail"), SIP: maybe("sip:" + name(n) + "@sip"),
		})
		if r.IntN(3) == 0 {
			fmt.Fprintf(&file, "%s@contoso.com,%s\n", name(n), name(n))
		}
	}
	return accounts, users, file.String()
}

// worlds calls check with random tenants whose files have no faults.
func worlds(t *testing.T, check func(r *rand.Rand, accounts []matching.Account, users []matching.User, list matching.List)) {
	t.Helper()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		accounts, users, file := world(r)
		if list, err := matching.Parse([]byte(file)); err == nil {
			check(r, accounts, users, list)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestTheOrderOfTheListsDoesNotMatter(t *testing.T) {
	worlds(t, func(r *rand.Rand, accounts []matching.Account, users []matching.User, list matching.List) {
		want := matching.Match(accounts, users, list)
		names := matching.Match(accounts, nil, list)
		r.Shuffle(len(accounts), func(i, j int) { accounts[i], accounts[j] = accounts[j], accounts[i] })
		r.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
		for _, a := range accounts {
			slices.Reverse(a.Proxies)
		}
		if diff := cmp.Diff(want, matching.Match(accounts, users, list)); diff != "" {
			t.Errorf("after shuffling (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(names, matching.Match(accounts, nil, list)); diff != "" {
			t.Errorf("names after shuffling (-want +got):\n%s", diff)
		}
		plainNames(t, accounts, list, names)
	})
}

func TestAMatchIsOneToOneAndBothSidesSayTheSame(t *testing.T) {
	counted := map[string]int{}
	worlds(t, func(_ *rand.Rand, accounts []matching.Account, users []matching.User, list matching.List) {
		result := matching.Match(accounts, users, list)
		if len(result.Accounts) != len(accounts) || len(result.Users) != len(users) {
			t.Errorf("%d accounts and %d users; want %d each", len(result.Accounts), len(result.Users), len(accounts))
		}
		check := func(v matching.Verdict, back func(string) (matching.Verdict, bool)) {
			counted[v.Outcome.String()+" "+v.Rule.String()+" "+v.Reason.String()]++
			other, ok := back(v.Partner)
			switch v.Outcome {
			case matching.Matched:
				if !ok || other.Outcome != matching.Matched || other.Partner != v.ID || other.Rule != v.Rule || other.Line != v.Line || v.Reason != 0 {
					t.Errorf("%+v; its partner %+v", v, other)
				}
			case matching.Ambiguous:
				if len(v.Conflict.With) == 0 || len(v.Conflict.With) == 1 && len(v.Conflict.Rivals) == 0 {
					t.Errorf("%+v with %+v", v, v.Conflict)
				}
			default:
				if v.Reason != 0 && v.Partner == "" && v.Outcome == matching.Unmatched {
					t.Errorf("%+v names nobody", v)
				}
			}
			if v.Outcome != matching.Ambiguous && v.Conflict != nil {
				t.Errorf("%+v has a conflict", v)
			}
		}
		for _, v := range result.Accounts {
			check(v, result.User)
		}
		for _, v := range result.Users {
			check(v, func(id string) (matching.Verdict, bool) { return result.Account(presence.UserID(id)) })
		}
	})
	for _, must := range []string{"matched upn ", "matched mail ", "matched usermatching.csv ", "ambiguous samAccountName ", "unmatched upn decidedByHigherRule", "nearMiss usermatching.csv noSuchUser"} {
		if counted[must] == 0 {
			t.Errorf("the random tenants never had %q: %v", must, counted)
		}
	}
}

func TestAnUnrelatedAccountChangesNothingForOthers(t *testing.T) {
	worlds(t, func(_ *rand.Rand, accounts []matching.Account, users []matching.User, list matching.List) {
		before := matching.Match(accounts, users, list)
		stranger := matching.Account{ID: "a0005", UPN: "stranger@elsewhere.org", SAM: "stranger", Domain: "elsewhere.org", Mail: "stranger@elsewhere.org", SID: "S-1-99999", ImmutableID: immutableID}
		after := matching.Match(append(slices.Clone(accounts), stranger), users, list)
		rest := slices.DeleteFunc(slices.Clone(after.Accounts), func(v matching.Verdict) bool { return v.ID == "a0005" })
		if diff := cmp.Diff(before.Accounts, rest); diff != "" {
			t.Errorf("accounts (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(before.Users, after.Users); diff != "" {
			t.Errorf("users (-before +after):\n%s", diff)
		}
	})
}

// fits says in the plainest way whether two fit by a rule.
func fits(rule matching.Rule, a matching.Account, u matching.User, list matching.List) bool {
	same := func(x, y string) bool { return x != "" && strings.EqualFold(x, y) }
	switch rule {
	case matching.ByFile:
		name, ok := list.Name(a.UPN)
		return ok && name == u.Name
	case matching.ByObjectGUID:
		n := 0
		_, err := fmt.Sscanf(u.ObjectGUID, "%08x-", &n)
		return err == nil && a.ImmutableID == immutable(n)
	case matching.ByObjectSID:
		return same(a.SID, u.ObjectSID)
	case matching.ByUPN:
		return same(a.UPN, u.UPN) || same(a.UPN, u.Name)
	case matching.ByOnPremisesUPN:
		return same(a.OnPremisesUPN, u.UPN) || same(a.OnPremisesUPN, u.Name)
	case matching.BySAM:
		label, _, _ := strings.Cut(a.Domain, ".")
		return same(a.SAM, u.SAM) || same(label+`\`+a.SAM, u.SAM) || same(a.Domain+`\`+a.SAM, u.SAM)
	}
	for _, address := range append([]string{"smtp:" + a.Mail}, a.Proxies...) {
		if _, address, _ = strings.Cut(address, ":"); same(address, u.Mail) || same("sip:"+address, u.SIP) {
			return true
		}
	}
	return false
}

// plainly matches in the plainest way and returns "outcome rule partner" by id.
func plainly(accounts []matching.Account, users []matching.User, list matching.List) map[string]string {
	decided := map[string]string{}
	open := func(id string) bool { _, ok := decided[id]; return !ok }
	for _, a := range accounts {
		if a.Disabled || a.Guest {
			decided[string(a.ID)] = "barred"
		}
	}
	for rule := matching.ByFile; rule <= matching.ByMail; rule++ {
		fit := map[string][]string{}
		for _, a := range accounts {
			for _, u := range users {
				if open(string(a.ID)) && open(u.ID) && fits(rule, a, u, list) {
					fit[string(a.ID)], fit[u.ID] = append(fit[string(a.ID)], u.ID), append(fit[u.ID], string(a.ID))
				}
			}
		}
		for id, others := range fit {
			decided[id] = "ambiguous " + rule.String()
			if len(others) == 1 && len(fit[others[0]]) == 1 {
				decided[id] = "matched " + rule.String() + " " + others[0]
			}
		}
		if rule == matching.ByFile {
			for _, line := range list.Lines() {
				for _, a := range accounts {
					if a.UPN == line.UPN && open(string(a.ID)) {
						decided[string(a.ID)] = "named"
					}
				}
				for _, u := range users {
					if u.Name == line.Name && open(u.ID) {
						decided[u.ID] = "named"
					}
				}
			}
		}
	}
	return decided
}

func TestMatchIsWhatThePlainestCodeFinds(t *testing.T) {
	worlds(t, func(_ *rand.Rand, accounts []matching.Account, users []matching.User, list matching.List) {
		want := plainly(accounts, users, list)
		result := matching.Match(accounts, users, list)
		for _, v := range append(slices.Clone(result.Accounts), result.Users...) {
			got := v.Outcome.String()
			switch v.Outcome {
			case matching.Matched:
				got += " " + v.Rule.String() + " " + v.Partner
			case matching.Ambiguous:
				got += " " + v.Rule.String()
			case matching.Unmatched, matching.NearMiss:
				if got = ""; want[v.ID] == "named" {
					got = "named"
				}
			}
			if got != want[v.ID] {
				t.Errorf("%s: %q; the plainest code says %q", v.ID, got, want[v.ID])
			}
		}
	})
}

func TestWhoeverAnAddedAccountChangesIsConnectedWithIt(t *testing.T) {
	worlds(t, func(_ *rand.Rand, accounts []matching.Account, users []matching.User, list matching.List) {
		last := len(accounts) - 1
		before, after := matching.Match(accounts[:last], users, list), matching.Match(accounts, users, list)
		// Connected: the accounts and users that a chain of fitting values reaches.
		reached := map[string]bool{string(accounts[last].ID): true}
		for grown := true; grown; {
			grown = false
			for _, a := range accounts {
				for _, u := range users {
					for rule := matching.ByFile; rule <= matching.ByMail && reached[string(a.ID)] != reached[u.ID]; rule++ {
						if fits(rule, a, u, list) {
							reached[string(a.ID)], reached[u.ID], grown = true, true, true
						}
					}
				}
			}
		}
		changes := matching.Diff(before, after)
		for _, c := range append(changes.Accounts, changes.Users...) {
			if !reached[c.ID] {
				t.Errorf("adding %s: %+v", accounts[last].ID, c)
			}
		}
	})
}

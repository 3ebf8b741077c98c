package matching_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/matching"
	"procallteams/internal/presence"
)

func parse(t testing.TB, file string) matching.List {
	t.Helper()
	list, err := matching.Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// told writes verdicts down, one line each: id outcome, and what is not zero.
func told(verdicts []matching.Verdict) string {
	var text strings.Builder
	for _, v := range verdicts {
		fmt.Fprintf(&text, "%s %s", v.ID, v.Outcome)
		if v.Rule != 0 {
			fmt.Fprintf(&text, " by %s", v.Rule)
		}
		if v.Reason != 0 {
			fmt.Fprintf(&text, ": %s", v.Reason)
		}
		if v.Line != 0 {
			fmt.Fprintf(&text, " line %d", v.Line)
		}
		if v.Partner != "" {
			fmt.Fprintf(&text, " -> %s", v.Partner)
		}
		if v.Name != "" && v.Outcome != matching.Matched {
			fmt.Fprintf(&text, " %q", v.Name)
		}
		if c := v.Conflict; c != nil {
			fmt.Fprintf(&text, " with %v, rivals %v", c.With, c.Rivals)
			if c.More {
				text.WriteString(" and more")
			}
		}
		text.WriteByte('\n')
	}
	return text.String()
}

func unindent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		b.WriteString(strings.TrimLeft(line, "\t"))
	}
	if b.String() == "\n" {
		return ""
	}
	return b.String()
}

// A known pair: an objectGUID and the base64 of its bytes (Guid.ToByteArray).
const (
	objectGUID  = "f7cc07d7-7c15-447d-876d-c01b0e5a9e38"
	immutableID = "1wfM9xV8fUSHbcAbDlqeOA=="
)

func TestMatch(t *testing.T) {
	type accounts = []matching.Account
	type users = []matching.User
	for _, row := range []struct {
		name     string
		accounts accounts
		users    users
		file     string
		want     string // accounts, then users
	}{
		{
			"a line matches exactly, before everything else",
			accounts{{ID: "a", UPN: "mmu@contoso.com", ImmutableID: immutableID}, {ID: "b", UPN: "max@domain.local"}},
			users{{ID: "1", Name: "max@domain.local"}, {ID: "2", Name: "mmu@contoso.com", ObjectGUID: objectGUID}},
			"mmu@contoso.com,max@domain.local",
			`a matched by usermatching.csv line 1 -> 1
			b unmatched by upn: decidedByHigherRule -> 1
			1 matched by usermatching.csv line 1 -> a
			2 unmatched by objectGUID: decidedByHigherRule -> a`,
		},
		{
			"the objectGUID is the immutable id, whatever the names say",
			accounts{{ID: "a", UPN: "new@contoso.com", ImmutableID: immutableID}},
			users{{ID: "1", Name: "old", ObjectGUID: strings.ToUpper(objectGUID)}},
			"", "a matched by objectGUID -> 1\n1 matched by objectGUID -> a",
		},
		{
			"the objectSID without regard to case",
			accounts{{ID: "a", UPN: "x", SID: "S-1-5-21-1-2-3-1104"}},
			users{{ID: "1", Name: "y", ObjectSID: "s-1-5-21-1-2-3-1104"}},
			"", "a matched by objectSID -> 1\n1 matched by objectSID -> a",
		},
		{
			"objectGUID goes before objectSID",
			accounts{{ID: "a", UPN: "x", ImmutableID: immutableID}, {ID: "b", UPN: "y", SID: "S-1-5-21-9"}},
			users{{ID: "1", Name: "z", ObjectGUID: objectGUID, ObjectSID: "S-1-5-21-9"}},
			"", "a matched by objectGUID -> 1\nb unmatched by objectSID: decidedByHigherRule -> 1\n1 matched by objectGUID -> a",
		},
		{
			"UCServer's UPN or user name is the UPN",
			accounts{{ID: "a", UPN: "Ada@contoso.com"}, {ID: "b", UPN: "BOB@contoso.com"}},
			users{{ID: "1", Name: "ada", UPN: "ada@contoso.com"}, {ID: "2", Name: "bob@Contoso.com"}},
			"", "a matched by upn -> 1\nb matched by upn -> 2\n1 matched by upn -> a\n2 matched by upn -> b",
		},
		{
			"user name and UPN that are different people's",
			accounts{{ID: "a", UPN: "ada@contoso.com"}, {ID: "b", UPN: "bob@contoso.com"}},
			users{{ID: "1", Name: "ada@contoso.com", UPN: "bob@contoso.com"}},
			"",
			`a ambiguous by upn with [1], rivals [b]
			b ambiguous by upn with [1], rivals [a]
			1 ambiguous by upn with [a b], rivals []`,
		},
		{
			"Anna, whose cloud UPN is another one", // C41
			accounts{{ID: "a", UPN: "anna@contoso.onmicrosoft.com", OnPremisesUPN: "anna@contoso.com"}},
			users{{ID: "1", Name: "Anna@Contoso.com"}},
			"", "a matched by onPremisesUpn -> 1\n1 matched by onPremisesUpn -> a",
		},
		{
			"twins in case claim one account", // C41
			accounts{{ID: "a", UPN: "bob@domain.local"}},
			users{{ID: "1", Name: "bob@domain.local"}, {ID: "2", Name: "Bob@domain.local"}},
			"",
			`a ambiguous by upn with [1 2], rivals []
			1 ambiguous by upn with [a], rivals [2]
			2 ambiguous by upn with [a], rivals [1]`,
		},
		{
			"a line settles the twins", // C41
			accounts{{ID: "a", UPN: "bob@domain.local"}},
			users{{ID: "1", Name: "bob@domain.local"}, {ID: "2", Name: "Bob@domain.local"}},
			"bob@domain.local,Bob@domain.local",
			`a matched by usermatching.csv line 1 -> 2
			1 unmatched by upn: decidedByHigherRule -> a
			2 matched by usermatching.csv line 1 -> a`,
		},
		{
			"a line in capitals is a near miss, with the right spelling", // C41
			accounts{{ID: "a", UPN: "bob@contoso.com"}},
			users{{ID: "1", Name: "bob@domain.local"}},
			"BOB@CONTOSO.COM,bob@domain.local",
			`a nearMiss by usermatching.csv: differsInCase line 1 -> 1 "bob@domain.local"
			1 nearMiss by usermatching.csv: differsInCase line 1 -> a "BOB@CONTOSO.COM"`,
		},
		{
			"a right name in capitals is a near miss",
			accounts{{ID: "a", UPN: "bob@contoso.com"}},
			users{{ID: "1", Name: "bob@domain.local"}},
			"bob@contoso.com,BOB@domain.local",
			`a nearMiss by usermatching.csv: differsInCase line 1 -> 1 "BOB@domain.local"
			1 nearMiss by usermatching.csv: differsInCase line 1 -> a "bob@contoso.com"`,
		},
		{
			"a zero-width space inside a name on a line", // C40
			accounts{{ID: "a", UPN: "mmu@contoso.com"}},
			users{{ID: "1", Name: "max@domain.local"}},
			"mmu@contoso.com,max\u200b@domain.local",
			`a nearMiss by usermatching.csv: differsInvisibly line 1 -> 1 "max\u200b@domain.local"
			1 nearMiss by usermatching.csv: differsInvisibly line 1 -> a "mmu@contoso.com"`,
		},
		{
			"a soft hyphen in a UPN of UCServer", // C40
			accounts{{ID: "a", UPN: "mmu@contoso.com"}},
			users{{ID: "1", Name: "mmu\u00ad@contoso.com"}},
			"", "a nearMiss: differsInvisibly -> 1\n1 nearMiss: differsInvisibly -> a",
		},
		{
			"an umlaut in two forms",
			accounts{{ID: "a", UPN: "müller@contoso.com"}},
			users{{ID: "1", Name: "mu\u0308ller@contoso.com"}},
			"", "a nearMiss: differsInvisibly -> 1\n1 nearMiss: differsInvisibly -> a",
		},
		{
			"umlauts in capitals",
			accounts{{ID: "a", UPN: "müller@contoso.com"}},
			users{{ID: "1", Name: "MÜLLER@contoso.com"}},
			"", "a matched by upn -> 1\n1 matched by upn -> a",
		},
		{
			"SAM account name with the domain's short name",
			accounts{{ID: "a", UPN: "x", SAM: "anna", Domain: "corp.contoso.com"}, {ID: "b", UPN: "y", SAM: "Anna", Domain: "fabrikam.com"}},
			users{{ID: "1", Name: "u", SAM: `CORP\anna`}, {ID: "2", Name: "v", SAM: `fabrikam.com\ANNA`}},
			"", "a matched by samAccountName -> 1\nb matched by samAccountName -> 2\n1 matched by samAccountName -> a\n2 matched by samAccountName -> b",
		},
		{
			"short names are cut to 15 characters",
			accounts{{ID: "a", UPN: "x", SAM: "anna", Domain: "averylongdomainname.local"}},
			users{{ID: "1", Name: "u", SAM: `AVERYLONGDOMAIN\anna`}},
			"", "a matched by samAccountName -> 1\n1 matched by samAccountName -> a",
		},
		{
			"SAM account name without a domain, once",
			accounts{{ID: "a", UPN: "x", SAM: "anna", Domain: "contoso.com"}},
			users{{ID: "1", Name: "u", SAM: "ANNA"}},
			"", "a matched by samAccountName -> 1\n1 matched by samAccountName -> a",
		},
		{
			"SAM account name without a domain, in two domains",
			accounts{{ID: "a", UPN: "x", SAM: "anna", Domain: "contoso.com"}, {ID: "b", UPN: "y", SAM: "anna", Domain: "fabrikam.com"}},
			users{{ID: "1", Name: "u", SAM: "anna", Mail: "anna@contoso.com"}},
			"",
			`a ambiguous by samAccountName with [1], rivals [b]
			b ambiguous by samAccountName with [1], rivals [a]
			1 ambiguous by samAccountName with [a b], rivals []`,
		},
		{
			"SAM account name of another domain",
			accounts{{ID: "a", UPN: "x", SAM: "anna", Domain: "contoso.com"}},
			users{{ID: "1", Name: "u", SAM: `FABRIKAM\anna`}},
			"", "a nearMiss: otherDomain -> 1\n1 nearMiss: otherDomain -> a",
		},
		{
			"mail, an alias, a SIP address",
			accounts{
				{ID: "a", UPN: "x", Mail: "Anna@contoso.com"},
				{ID: "b", UPN: "y", Proxies: []string{"X500:/o=x", "SMTP:b@contoso.com", "smtp:Bob@contoso.com"}},
				{ID: "c", UPN: "z", Proxies: []string{"SIP:cleo@contoso.com"}},
			},
			users{{ID: "1", Name: "u", Mail: "anna@Contoso.com"}, {ID: "2", Name: "v", Mail: "bob@contoso.com"}, {ID: "3", Name: "w", SIP: "sip:Cleo@contoso.com;transport=tls"}},
			"",
			`a matched by mail -> 1
			b matched by mail -> 2
			c matched by mail -> 3
			1 matched by mail -> a
			2 matched by mail -> b
			3 matched by mail -> c`,
		},
		{
			"one account by mail and by SIP is no conflict",
			accounts{{ID: "a", UPN: "x", Mail: "anna@contoso.com", Proxies: []string{"SMTP:anna@contoso.com", "sip:anna@contoso.com"}}},
			users{{ID: "1", Name: "u", Mail: "anna@contoso.com", SIP: "sip:anna@contoso.com"}},
			"", "a matched by mail -> 1\n1 matched by mail -> a",
		},
		{
			"a mail address that two users share",
			accounts{{ID: "a", UPN: "x", Mail: "info@contoso.com"}},
			users{{ID: "1", Name: "u", Mail: "info@contoso.com"}, {ID: "2", Name: "v", SIP: "sip:info@contoso.com"}},
			"",
			`a ambiguous by mail with [1 2], rivals []
			1 ambiguous by mail with [a], rivals [2]
			2 ambiguous by mail with [a], rivals [1]`,
		},
		{
			"an alias is not the user name",
			accounts{{ID: "a", UPN: "x@contoso.com", Mail: "anna@contoso.com"}},
			users{{ID: "1", Name: "anna@contoso.com"}},
			"", "a nearMiss: otherName -> 1\n1 nearMiss: otherName -> a",
		},
		{
			"two users claim one account by different rules: the higher one has it",
			accounts{{ID: "a", UPN: "anna@contoso.com", ImmutableID: immutableID}},
			users{{ID: "1", Name: "anna@contoso.com"}, {ID: "2", Name: "u", ObjectGUID: objectGUID}},
			"",
			`a matched by objectGUID -> 2
			1 unmatched by upn: decidedByHigherRule -> a
			2 matched by objectGUID -> a`,
		},
		{
			"what a higher rule finds ambiguous no lower rule guesses",
			accounts{{ID: "a", UPN: "x", Mail: "a@contoso.com", SID: "S-1"}},
			users{{ID: "1", Name: "u", ObjectSID: "S-1", Mail: "a@contoso.com"}, {ID: "2", Name: "v", ObjectSID: "S-1"}},
			"",
			`a ambiguous by objectSID with [1 2], rivals []
			1 ambiguous by objectSID with [a], rivals [2]
			2 ambiguous by objectSID with [a], rivals [1]`,
		},
		{
			"ambiguity reaches who fits an ambiguous one, not further",
			accounts{{ID: "a", UPN: "x", Mail: "1@c", Proxies: []string{"smtp:2@c"}}, {ID: "b", UPN: "y", Mail: "3@c"}, {ID: "c", UPN: "z", Mail: "4@c"}},
			users{{ID: "1", Name: "u", Mail: "1@c"}, {ID: "2", Name: "v", Mail: "2@c", SIP: "3@c"}, {ID: "3", Name: "w", Mail: "4@c"}},
			"",
			`a ambiguous by mail with [1 2], rivals [b]
			b ambiguous by mail with [2], rivals [a]
			c matched by mail -> 3
			1 ambiguous by mail with [a], rivals [2]
			2 ambiguous by mail with [a b], rivals [1]
			3 matched by mail -> c`,
		},
		{
			"a crowd is named in part",
			accounts{{ID: "a", UPN: "x", Mail: "info@c"}},
			users{
				{ID: "1", Name: "1", Mail: "info@c"}, {ID: "2", Name: "2", Mail: "info@c"}, {ID: "3", Name: "3", Mail: "info@c"},
				{ID: "4", Name: "4", Mail: "info@c"}, {ID: "5", Name: "5", Mail: "info@c"}, {ID: "6", Name: "6", Mail: "info@c"}, {ID: "7", Name: "7", Mail: "info@c"},
			},
			"",
			`a ambiguous by mail with [1 2 3 4 5], rivals [] and more
			1 ambiguous by mail with [a], rivals [2 3 4 5 6] and more
			2 ambiguous by mail with [a], rivals [1 3 4 5 6] and more
			3 ambiguous by mail with [a], rivals [1 2 4 5 6] and more
			4 ambiguous by mail with [a], rivals [1 2 3 5 6] and more
			5 ambiguous by mail with [a], rivals [1 2 3 4 6] and more
			6 ambiguous by mail with [a], rivals [1 2 3 4 5] and more
			7 ambiguous by mail with [a], rivals [1 2 3 4 5] and more`,
		},
		{
			"a disabled account is in nobody's way",
			accounts{{ID: "a", UPN: "anna@contoso.com", Disabled: true, ImmutableID: immutableID}, {ID: "b", UPN: "anna2@contoso.com", Mail: "anna@contoso.com"}},
			users{{ID: "1", Name: "anna@contoso.com", ObjectGUID: objectGUID, Mail: "anna@contoso.com"}},
			"",
			`a barred by objectGUID: accountDisabled -> 1
			b matched by mail -> 1
			1 matched by mail -> b`,
		},
		{
			"disabled accounts and guests explain",
			accounts{{ID: "a", UPN: "anna@contoso.com", Disabled: true}, {ID: "b", UPN: "bob_fabrikam.com#EXT#@contoso.com", Mail: "bob@fabrikam.com", Guest: true}, {ID: "c", UPN: "c", Guest: true, Disabled: true}},
			users{{ID: "1", Name: "anna@contoso.com"}, {ID: "2", Name: "bob", Mail: "bob@fabrikam.com"}},
			"",
			`a barred by upn: accountDisabled -> 1
			b barred by mail: accountGuest -> 2
			c barred: accountDisabled
			1 unmatched by upn: accountDisabled -> a
			2 unmatched by mail: accountGuest -> b`,
		},
		{
			"a line that names a disabled account",
			accounts{{ID: "a", UPN: "anna@contoso.com", Disabled: true}, {ID: "b", UPN: "anna"}},
			users{{ID: "1", Name: "anna"}},
			"anna@contoso.com,anna",
			`a barred by usermatching.csv: accountDisabled line 1 -> 1
			b unmatched by upn: decidedByHigherRule -> 1
			1 unmatched by usermatching.csv: accountDisabled line 1 -> a`,
		},
		{
			"a line whose left name nobody has",
			accounts{{ID: "b", UPN: "max@domain.local"}},
			users{{ID: "1", Name: "max@domain.local"}},
			"gone@contoso.com,max@domain.local",
			`b unmatched by upn: decidedByHigherRule -> 1
			1 nearMiss by usermatching.csv: noSuchAccount line 1 "gone@contoso.com"`,
		},
		{
			"a line whose right name nobody has",
			accounts{{ID: "a", UPN: "max@domain.local"}},
			users{{ID: "1", Name: "max@domain.local"}},
			"max@domain.local,max2",
			`a nearMiss by usermatching.csv: noSuchUser line 1 "max2"
			1 unmatched by upn: decidedByHigherRule -> a`,
		},
		{
			"a line with the mail address and another domain",
			accounts{{ID: "a", UPN: "mmu@contoso.com", Mail: "max@contoso.com"}, {ID: "b", UPN: "nora@contoso.com"}},
			users{{ID: "1", Name: "max"}, {ID: "2", Name: "nora.n"}},
			"max@contoso.com,max\nnora@contoso.de,nora.n",
			`a nearMiss by usermatching.csv: otherName line 1 -> 1 "max"
			b nearMiss by usermatching.csv: otherDomain line 2 -> 2 "nora.n"
			1 nearMiss by usermatching.csv: otherName line 1 -> a "max@contoso.com"
			2 nearMiss by usermatching.csv: otherDomain line 2 -> b "nora@contoso.de"`,
		},
		{
			"two lines with one right name",
			accounts{{ID: "a", UPN: "a@c"}, {ID: "b", UPN: "b@c"}},
			users{{ID: "1", Name: "x"}},
			"a@c,x\nb@c,x",
			`a ambiguous by usermatching.csv line 1 with [1], rivals [b]
			b ambiguous by usermatching.csv line 2 with [1], rivals [a]
			1 ambiguous by usermatching.csv line 1 with [a b], rivals []`,
		},
		{
			"two lines with one right name, one of a leaver",
			accounts{{ID: "b", UPN: "b@c"}},
			users{{ID: "1", Name: "x"}},
			"a@c,x\nb@c,x",
			"b matched by usermatching.csv line 2 -> 1\n1 matched by usermatching.csv line 2 -> b",
		},
		{
			"two users with one name, which a line gives",
			accounts{{ID: "a", UPN: "a@c"}},
			users{{ID: "1", Name: "x"}, {ID: "2", Name: "x"}},
			"a@c,x",
			`a ambiguous by usermatching.csv line 1 with [1 2], rivals []
			1 ambiguous by usermatching.csv line 1 with [a], rivals [2]
			2 ambiguous by usermatching.csv line 1 with [a], rivals [1]`,
		},
		{
			"same local part in another domain",
			accounts{{ID: "a", UPN: "anna@contoso.onmicrosoft.com"}},
			users{{ID: "1", Name: "anna@contoso.com"}},
			"", "a nearMiss: otherDomain -> 1\n1 nearMiss: otherDomain -> a",
		},
		{
			"nothing in common, nothing to compare",
			accounts{{ID: "a", UPN: "anna@contoso.com"}, {ID: "b"}},
			users{{ID: "1", Name: "bob"}, {ID: "2"}},
			"", "a unmatched\nb unmatched\n1 unmatched\n2 unmatched",
		},
		{"no users at all", accounts{{ID: "a", UPN: "a"}}, users{}, "", "a unmatched"},
		{
			"an id twice: the last entry counts",
			accounts{{ID: "a", UPN: "old"}, {ID: "a", UPN: "new"}}, users{{ID: "1", Name: "old"}, {ID: "1", Name: "new"}},
			"", "a matched by upn -> 1\n1 matched by upn -> a",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := matching.Match(row.accounts, row.users, parse(t, row.file))
			got := told(r.Accounts) + told(r.Users)
			if diff := cmp.Diff(unindent(row.want), got); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
			for _, v := range r.Accounts {
				if found, ok := r.Account(presence.UserID(v.ID)); !ok || !cmp.Equal(found, v) {
					t.Errorf("Account(%s) = %+v, %t", v.ID, found, ok)
				}
			}
		})
	}
}

func TestLinesThatMatchNobodyAreListed(t *testing.T) {
	r := matching.Match([]matching.Account{
		{ID: "a", UPN: "ada@contoso.com"}, {ID: "b", UPN: "bob@contoso.com"}, {ID: "c", UPN: "cleo@contoso.com", Disabled: true}, {ID: "d", UPN: "dan@contoso.com"}, {ID: "e", UPN: "eve@contoso.com"},
	}, []matching.User{
		{ID: "1", Name: "ada"}, {ID: "2", Name: "bob"}, {ID: "3", Name: "cleo"}, {ID: "4", Name: "twice"},
	}, parse(t, "ada@contoso.com,ada\nBob@contoso.com,bob\ncleo@contoso.com,cleo\ndan@contoso.com,twice\neve@contoso.com,twice\nnobody@contoso.com,no one\n"))
	var got []string
	for _, l := range r.Lines {
		got = append(got, fmt.Sprintf("%d %s %s %s-%s", l.Number, l.Outcome, l.Reason, l.Account, l.User))
	}
	want := []string{"2 nearMiss differsInCase b-2", "3 barred accountDisabled c-3", "4 ambiguous  d-4", "5 ambiguous  e-4", "6 nearMiss noSuchAccount -"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestWithoutUCServersUsersNamesComeFromTheFileElseTheUPN(t *testing.T) {
	accounts := []matching.Account{
		{ID: "5", UPN: "eve@contoso.com"}, {ID: "1", UPN: "ada@contoso.com"}, {ID: "2", UPN: "bob@contoso.com"},
		{ID: "3", UPN: "cleo@contoso.com", Disabled: true}, {ID: "4", UPN: "dan#EXT#@contoso.com", Guest: true}, {ID: "6", UPN: "ADA@contoso.com"},
	}
	list := parse(t, "ada@contoso.com,ada.lovelace@domain.local\nbob@contoso.com,bob@domain.local\neve@contoso.com,bob@domain.local\nFay@contoso.com,fay\ncleo@contoso.com,cleo\n")
	r := matching.Match(accounts, nil, list)
	want := unindent(`1 matched by usermatching.csv line 1
		2 ambiguous by usermatching.csv line 2 with [], rivals [5]
		3 barred by usermatching.csv: accountDisabled line 5
		4 barred by upn: accountGuest
		5 ambiguous by usermatching.csv line 3 with [], rivals [2]
		6 matched by upn`)
	if diff := cmp.Diff(want, told(r.Accounts)); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if len(r.Users) != 0 {
		t.Errorf("users = %v", r.Users)
	}
	if len(r.Lines) != 4 || r.Lines[2].Number != 4 || r.Lines[2].Reason != matching.NoSuchAccount {
		t.Errorf("lines = %+v", r.Lines)
	}
	plainNames(t, accounts, list, r)
}

// plainNames holds names and outcomes to what the plainest code finds without
// UCServer's users.
func plainNames(t *testing.T, accounts []matching.Account, list matching.List, r matching.Result) {
	t.Helper()
	name := func(a matching.Account) string {
		if name, ok := list.Name(a.UPN); ok {
			return name
		}
		return a.UPN
	}
	claims := map[string]int{}
	for _, a := range accounts {
		if !a.Disabled && !a.Guest {
			claims[name(a)]++
		}
	}
	for _, a := range accounts {
		want := matching.Matched
		switch {
		case a.Disabled || a.Guest:
			want = matching.Barred
		case claims[name(a)] > 1:
			want = matching.Ambiguous
		}
		if v, _ := r.Account(a.ID); v.Outcome != want || want == matching.Matched && v.Name != name(a) {
			t.Errorf("account %s = %+v; want %s, %s", a.ID, v, want, name(a))
		}
	}
}

func TestDiffNamesWhoGainsLosesAndMoves(t *testing.T) {
	accounts := []matching.Account{{ID: "a", UPN: "a@c"}, {ID: "b", UPN: "b@c"}, {ID: "c", UPN: "c@c"}, {ID: "d", UPN: "d@c"}}
	users := []matching.User{{ID: "1", Name: "a@c"}, {ID: "2", Name: "b@c"}, {ID: "3", Name: "c"}, {ID: "4", Name: "d@c"}}
	before := matching.Match(accounts, users, matching.List{})
	// d leaves; b gets a's user; c is matched; a loses.
	after := matching.Match(accounts[:3], users, parse(t, "b@c,a@c\nc@c,c\n"))
	var got []string
	changes := matching.Diff(before, after)
	for _, c := range append(changes.Accounts, changes.Users...) {
		got = append(got, fmt.Sprintf("%s %s %s>%s %s", c.ID, c.Effect, c.Before.Partner, c.After.Partner, c.After.Reason))
	}
	want := []string{
		"a lost 1>1 decidedByHigherRule", "b moved 2>1 ", "c gained 3>3 ", "d lost 4> ",
		"1 moved a>b ", "2 lost b>b decidedByHigherRule", "3 gained c>c ", "4 lost d> ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	// The first list of UCServer's users, with the names that are used already.
	changes = matching.Diff(matching.Match(accounts, nil, matching.List{}), before)
	if len(changes.Accounts) != 1 || changes.Accounts[0].ID != "c" || len(changes.Users) != 3 {
		t.Errorf("after the first list: %+v", changes)
	}
	if same := matching.Diff(after, after); len(same.Accounts)+len(same.Users) != 0 {
		t.Errorf("Diff(same) = %+v", same)
	}
}

func TestReasonsHaveAdvice(t *testing.T) {
	for r := range matching.AccountGuest + 1 {
		if r.Advice() == "" || r != 0 && r.String() == "" {
			t.Errorf("reason %d: %q, %q", r, r, r.Advice())
		}
	}
}

package matching_test

import (
	"testing"

	"procallteams/internal/matching"
)

func TestObjectGUIDsInEveryUsualSpelling(t *testing.T) {
	// Pairs that others published; the bytes of the second are also known as
	// 44 31 E2 46 77 83 3E 48 A8 7E B6 76 9D B6 2E ED.
	for _, row := range []struct{ name, immutable, object string }{
		{"text", "1wfM9xV8fUSHbcAbDlqeOA==", "f7cc07d7-7c15-447d-876d-c01b0e5a9e38"},
		{"capitals and braces", "3PNdoRZES0GLfV+9y1dDwQ==", "{A15DF3DC-4416-414B-8B7D-5FBDCB5743C1}"},
		{"text without hyphens", "1wfM9xV8fUSHbcAbDlqeOA==", "f7cc07d77c15447d876dc01b0e5a9e38"},
		{"bytes", "RDHiRneDPkiofrZ2nbYu7Q==", "4431E24677833E48A87EB6769DB62EED"},
		{"bytes with blanks", "RDHiRneDPkiofrZ2nbYu7Q==", "44 31 E2 46 77 83 3E 48 A8 7E B6 76 9D B6 2E ED"},
		{"bytes as in an LDAP filter", "RDHiRneDPkiofrZ2nbYu7Q==", `\44\31\e2\46\77\83\3e\48\a8\7e\b6\76\9d\b6\2e\ed`},
		{"base64", "RDHiRneDPkiofrZ2nbYu7Q==", "RDHiRneDPkiofrZ2nbYu7Q=="},
		{"base64 without its end", "RDHiRneDPkiofrZ2nbYu7Q", "RDHiRneDPkiofrZ2nbYu7Q=="},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := matching.Match([]matching.Account{{ID: "a", UPN: "x", ImmutableID: row.immutable}}, []matching.User{{ID: "1", Name: "y", ObjectGUID: row.object}}, matching.List{})
			if v := r.Accounts[0]; v.Outcome != matching.Matched || v.Rule != matching.ByObjectGUID {
				t.Errorf("%s and %s: %s", row.immutable, row.object, told(r.Accounts))
			}
		})
	}
}

func TestWhatIsNoGUIDMatchesNobody(t *testing.T) {
	for _, pair := range [][2]string{
		{"", ""},
		{"AAAAAAAAAAAAAAAAAAAAAA==", "00000000-0000-0000-0000-000000000000"},
		{"anna@contoso.com", "anna@contoso.com"},
		{"1wfM9xV8fUSHbcAbDlqeOA==", "f7cc07d7-7c15-447d-876d-c01b0e5a9e3"},
		{"1wfM9xV8fUSHbcAbDlqeOA==", "f7cc07d7-7c15-447d-876d-c01b0e5a9e388"},
		{"1wfM9xV8fUSHbcAbDlqeOA==", "g7cc07d7-7c15-447d-876d-c01b0e5a9e38"},
		{"1wfM9xV8fUSHbcAbDlqeOA==", "d707ccf7-157c-7d44-876d-c01b0e5a9e38"}, // the other byte order, as text
		{"1wfM9xV8fUSHbcAbDlqe!A==", "f7cc07d7-7c15-447d-876d-c01b0e5a9e38"},
	} {
		r := matching.Match([]matching.Account{{ID: "a", UPN: "x", ImmutableID: pair[0]}}, []matching.User{{ID: "1", Name: "y", ObjectGUID: pair[1]}}, matching.List{})
		if r.Accounts[0].Outcome != matching.Unmatched {
			t.Errorf("%q and %q: %s", pair[0], pair[1], told(r.Accounts))
		}
	}
}

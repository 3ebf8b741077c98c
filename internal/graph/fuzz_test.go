package graph_test

import (
	"errors"
	"testing"
	"unicode/utf8"

	"procallteams/internal/graph"
	"procallteams/internal/matching"
)

// FuzzChangesOfUsers holds that no answer of 200 makes the client panic, hang, or
// return a page that is not one.
func FuzzChangesOfUsers(f *testing.F) {
	for _, body := range []string{
		`{"value":[{"id":"A","userPrincipalName":"a@contoso.com","accountEnabled":false,"userType":"Guest","mail":null,"proxyAddresses":["SMTP:a"],"onPremisesImmutableId":"AA=="}],"@odata.deltaLink":"http://graph.test/d"}`,
		`{"@odata.context":"x","@odata.nextLink":"http://graph.test/n","value":[{"id":"b","@removed":{"reason":"deleted"}}]}`,
		`{"value":[{"id":"c","mail":"\ud83d"},{"id":"c","mail":"` + "\xff" + `"}],"@odata.deltaLink":"http://graph.test/d"}`,
		`{"value":[[]`, `{"value":null}`, `[]`, ``, `{}`, `{"value":[{"id":7}]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		client := answering(t, func(string) string { return body })
		pages := 0
		for page, err := range client.UsersDelta(t.Context(), token, "", graph.Matching) {
			if pages++; err != nil {
				if _, odd := errors.AsType[*graph.FormError](err); !odd || !utf8.ValidString(err.Error()) {
					t.Fatalf("error = %v", err)
				}
				continue
			}
			if page.Link == "" {
				t.Fatal("a page without a link")
			}
			for _, c := range page.Changes {
				var r matching.Account
				if c.MergeInto(&r); c.ID == "" || !utf8.ValidString(r.UPN+r.Mail+r.SID) || c.MergeInto(&r) {
					t.Fatalf("change %+v", c)
				}
			}
		}
		if pages == 0 {
			t.Fatal("neither a page nor an error")
		}
	})
}

// FuzzMembersOfAGroup holds the same for members.
func FuzzMembersOfAGroup(f *testing.F) {
	for _, body := range []string{
		`{"value":[{"@odata.type":"#microsoft.graph.user","id":"A"},{"@odata.type":"#microsoft.graph.group","id":"b"}]}`,
		`{"value":[{"id":"A"}]}`, `{"value":[],"@odata.nextLink":"http://graph.test/n"}`, `{"value":{}}`, `{`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		client := answering(t, func(string) string { return body })
		for user, err := range client.GroupMembers(t.Context(), token, "00000000-0000-4000-8000-00000000000a") {
			if _, odd := errors.AsType[*graph.FormError](err); err != nil && !odd || err == nil && user == "" {
				t.Fatalf("user %q, error = %v", user, err)
			}
		}
	})
}

package graph

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"procallteams/internal/matching"
	"procallteams/internal/secret"
)

// Detail says which properties of users the token may read.
type Detail string

const (
	// Matching needs User.Read.All. The names are Graph's (resource type user
	// v1.0); the on-premises ones are filled for synchronised users only.
	Matching Detail = "id,userPrincipalName,accountEnabled,userType,mail,proxyAddresses," +
		"onPremisesUserPrincipalName,onPremisesSamAccountName,onPremisesDomainName,onPremisesImmutableId,onPremisesSecurityIdentifier"
	// MatchingBasic is what delegated User.ReadBasic.All gives of it. Disabled accounts
	// and guests can't be told apart.
	MatchingBasic Detail = "id,userPrincipalName,mail"
)

// Users lists the tenant's users, page by page. It ends with an error when a
// page could not be read: what came before is then not the whole directory.
func (c *Client) Users(ctx context.Context, token secret.Text, detail Detail) iter.Seq2[matching.Account, error] {
	return func(yield func(matching.Account, error) bool) {
		err := c.users(ctx, token, detail, func(account matching.Account) bool { return yield(account, nil) })
		if err != nil {
			yield(matching.Account{}, fmt.Errorf("read users: %w", err))
		}
	}
}

func (c *Client) users(ctx context.Context, token secret.Text, detail Detail, yield func(matching.Account) bool) error {
	var page []matching.Account
	read := func(d *jsontext.Decoder) error {
		var u UserChange
		err := object(d, func(name jsontext.Value) error { return u.read(d, name) })
		if u.ID != "" && u.account.UPN != "" {
			u.account.ID = u.ID
			page = append(page, u.account)
		}
		return err
	}
	first := c.endpoint + "/v1.0/users?" + url.Values{"$top": {"999"}, "$select": {string(detail)}}.Encode()
	return c.list(ctx, token, first, read, func(links) (bool, error) {
		for _, user := range page {
			if !yield(user) {
				return false, nil
			}
		}
		page = page[:0]
		return true, nil
	})
}

// ours reports whether the address is at the same host: the token goes nowhere
// else.
func (c *Client) ours(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.User == nil && strings.EqualFold(u.Scheme+"://"+u.Host, c.origin)
}

package graph

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"procallteams/internal/directory"
	"procallteams/internal/secret"
)

// Detail says which properties of users the token may read.
type Detail string

const (
	// Full needs User.Read.All: disabled accounts and guests can be told apart.
	Full Detail = "id,userPrincipalName,accountEnabled,userType"
	// Basic is what delegated User.ReadBasic.All gives.
	Basic Detail = "id,userPrincipalName"
)

// Users lists the tenant's users, page by page. It ends with an error when a
// page could not be read: what came before is then not the whole directory.
func (c *Client) Users(ctx context.Context, token secret.Text, detail Detail) iter.Seq2[directory.User, error] {
	return func(yield func(directory.User, error) bool) {
		err := c.users(ctx, token, detail, func(user directory.User) bool { return yield(user, nil) })
		if err != nil {
			yield(directory.User{}, fmt.Errorf("read users: %w", err))
		}
	}
}

func (c *Client) users(ctx context.Context, token secret.Text, detail Detail, yield func(directory.User) bool) error {
	var page []directory.User
	read := func(d *jsontext.Decoder) error {
		var u UserChange
		err := object(d, func(name jsontext.Value) error { return u.read(d, name) })
		if u.ID != "" && u.record.UPN != "" {
			page = append(page, directory.User{ID: u.ID, UPN: u.record.UPN, Disabled: u.record.Disabled, Guest: u.record.Guest})
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

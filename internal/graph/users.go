package graph

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"procallteams/internal/directory"
	"procallteams/internal/presence"
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
		next := c.endpoint + "/v1.0/users?" + url.Values{"$top": {"999"}, "$select": {string(detail)}}.Encode()
		for next != "" {
			page, err := c.page(ctx, token, next)
			if err != nil {
				yield(directory.User{}, fmt.Errorf("read users: %w", err))
				return
			}
			for _, u := range page.Value {
				if u.ID == "" || u.UPN == "" {
					continue
				}
				user := directory.User{
					ID: presence.UserID(strings.ToLower(u.ID)), UPN: u.UPN,
					Disabled: u.Enabled != nil && !*u.Enabled, Guest: strings.EqualFold(u.Type, "Guest"),
				}
				if !yield(user, nil) {
					return
				}
			}
			if next = page.Next; next != "" && !c.ours(next) {
				yield(directory.User{}, fmt.Errorf("read users: %w", &FormError{What: "the next page is at another host"}))
				return
			}
		}
	}
}

// ours reports whether the address is at the same host: the token goes nowhere
// else.
func (c *Client) ours(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.User == nil && strings.EqualFold(u.Scheme+"://"+u.Host, c.origin)
}

type userPage struct {
	Value []struct {
		ID      string `json:"id"`
		UPN     string `json:"userPrincipalName"`
		Enabled *bool  `json:"accountEnabled"`
		Type    string `json:"userType"`
	} `json:"value"`
	Next string `json:"@odata.nextLink"`
}

func (c *Client) page(ctx context.Context, token secret.Text, address string) (userPage, error) {
	stream, err := c.do(ctx, http.MethodGet, address, token, nil)
	if err != nil {
		return userPage{}, err
	}
	var page userPage
	err = json.UnmarshalRead(io.LimitReader(stream, maxAnswer), &page, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if closed := stream.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return userPage{}, form(err)
	}
	if page.Value == nil {
		return userPage{}, &FormError{What: `it has no list "value"`}
	}
	return page, nil
}

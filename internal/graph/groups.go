package graph

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"procallteams/internal/presence"
	"procallteams/internal/secret"
)

// Group is a group of the tenant. Names are not unique, and may be empty.
type Group struct {
	ID   string // in lower case
	Name string
}

// NoGroupError reports that the tenant has no group of this id: it was deleted,
// or there never was one.
type NoGroupError struct{ ID string }

func (e *NoGroupError) Error() string { return "there is no group " + word(e.ID) }

// Group reads one group by its object id (Graph: get group v1.0, permission
// GroupMember.Read.All). It returns a *NoGroupError when there is none.
func (c *Client) Group(ctx context.Context, token secret.Text, id string) (Group, error) {
	address, err := c.groupAddress(id, "?$select=id,displayName")
	if err != nil {
		return Group{}, fmt.Errorf("read group: %w", err)
	}
	stream, err := c.do(ctx, http.MethodGet, address, token, nil)
	if err != nil {
		return Group{}, fmt.Errorf("read group: %w", noGroup(err, id))
	}
	group, err := decodeWhole(stream, readGroup)
	if err != nil {
		return Group{}, fmt.Errorf("read group: %w", form(err))
	}
	return group, nil
}

// GroupsNamed lists the groups with a display name, in any case of its letters;
// several may have it.
func (c *Client) GroupsNamed(ctx context.Context, token secret.Text, name string) ([]Group, error) {
	query := url.Values{"$select": {"id,displayName"}, "$filter": {"displayName eq '" + strings.ReplaceAll(name, "'", "''") + "'"}}
	var groups []Group
	read := func(d *jsontext.Decoder) error {
		group, err := readGroup(d)
		groups = append(groups, group)
		return err
	}
	if err := c.list(ctx, token, c.endpoint+"/v1.0/groups?"+query.Encode(), read, goOn); err != nil {
		return nil, fmt.Errorf("find groups by name: %w", err)
	}
	return groups, nil
}

// GroupMembers lists the users in a group and in the groups in it (Graph: list
// group transitive members v1.0). It ends with an error when a page could not be
// read: what came before is then not the whole group. The error is a
// *NoGroupError when the group is gone, also in the middle.
//
// Users may come twice. Members of a group that hides its members are not told
// without the permission Member.Read.Hidden: it looks empty.
func (c *Client) GroupMembers(ctx context.Context, token secret.Text, groupID string) iter.Seq2[presence.UserID, error] {
	return func(yield func(presence.UserID, error) bool) {
		err := c.groupMembers(ctx, token, groupID, func(user presence.UserID) bool { return yield(user, nil) })
		if err != nil {
			yield("", fmt.Errorf("read members of a group: %w", err))
		}
	}
}

// groupMembers reads all kinds of members and keeps the users. Asking for users
// alone (a cast) would read an index that lags behind.
func (c *Client) groupMembers(ctx context.Context, token secret.Text, groupID string, yield func(presence.UserID) bool) error {
	address, err := c.groupAddress(groupID, "/transitiveMembers?$select=id&$top=999")
	if err != nil {
		return err
	}
	var page []presence.UserID
	read := func(d *jsontext.Decoder) error {
		kind, id, err := readMember(d)
		if kind == "#microsoft.graph.user" {
			page = append(page, presence.UserID(id))
		}
		return err
	}
	err = c.list(ctx, token, address, read, func(links) (bool, error) {
		for _, user := range page {
			if !yield(user) {
				return false, nil
			}
		}
		page = page[:0]
		return true, nil
	})
	return noGroup(err, groupID)
}

func goOn(links) (bool, error) { return true, nil }

// groupAddress takes object ids only: anything else would be another address.
func (c *Client) groupAddress(id, rest string) (string, error) {
	if len(id) != 36 || uuid.Validate(id) != nil {
		return "", &NoGroupError{ID: id}
	}
	return c.endpoint + "/v1.0/groups/" + id + rest, nil
}

// noGroup tells the directory's 404 from one that a wrong address or something in
// between answers.
func noGroup(err error, id string) error {
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.Status == http.StatusNotFound && strings.EqualFold(refusal.Code, "Request_ResourceNotFound") {
		return &NoGroupError{ID: id}
	}
	return err
}

// readMember reads type and id of a directory object. One without them could be a
// user who would be missed.
func readMember(d *jsontext.Decoder) (kind, id string, err error) {
	err = object(d, func(name jsontext.Value) (err error) {
		switch string(name) {
		case `"@odata.type"`:
			kind, err = textOf(d)
		case `"id"`:
			id, err = textOf(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	if err == nil && (kind == "" || id == "") {
		err = &FormError{What: "a member has no type or no id"}
	}
	return strings.ToLower(kind), strings.ToLower(id), err
}

func readGroup(d *jsontext.Decoder) (Group, error) {
	var group Group
	err := object(d, func(name jsontext.Value) (err error) {
		switch string(name) {
		case `"id"`:
			group.ID, err = textOf(d)
			group.ID = strings.ToLower(group.ID)
		case `"displayName"`:
			group.Name, err = textOf(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	if err == nil && group.ID == "" {
		err = &FormError{What: "a group has no id"}
	}
	return group, err
}

package graph

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"procallteams/internal/matching"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
)

// Removal says whether a user left the directory.
type Removal byte

// Removals.
const (
	Stays       Removal = iota
	Left                // deleted, and may be restored for 30 days
	LeftForGood         // deleted for good
)

// UserChange is one entry of a delta query: a user who is new, changed, restored,
// or gone. It may be told several times, also when nothing changed; the last one
// wins.
type UserChange struct {
	ID      presence.UserID
	Removed Removal

	account matching.Account
	given   properties
}

// properties is a set of properties of a record.
type properties uint16

const (
	upn properties = 1 << iota
	mail
	proxyAddresses
	accountEnabled
	userType
	onPremisesUPN
	onPremisesSAM
	onPremisesDomain
	immutableID
	sid
)

// MergeInto writes what the entry says into an account and reports whether that
// changed it. What the entry does not mention stays: Graph leaves out what was
// never set.
func (c UserChange) MergeInto(a *matching.Account) bool {
	changed := false
	for _, p := range []struct {
		property properties
		from, to *string
	}{
		{upn, &c.account.UPN, &a.UPN}, {mail, &c.account.Mail, &a.Mail}, {onPremisesUPN, &c.account.OnPremisesUPN, &a.OnPremisesUPN},
		{onPremisesSAM, &c.account.SAM, &a.SAM}, {onPremisesDomain, &c.account.Domain, &a.Domain},
		{immutableID, &c.account.ImmutableID, &a.ImmutableID}, {sid, &c.account.SID, &a.SID},
	} {
		if c.given&p.property != 0 && *p.from != *p.to {
			*p.to, changed = *p.from, true
		}
	}
	if c.given&accountEnabled != 0 && c.account.Disabled != a.Disabled {
		a.Disabled, changed = c.account.Disabled, true
	}
	if c.given&userType != 0 && c.account.Guest != a.Guest {
		a.Guest, changed = c.account.Guest, true
	}
	if c.given&proxyAddresses != 0 && !slices.Equal(c.account.Proxies, a.Proxies) {
		a.Proxies, changed = c.account.Proxies, true
	}
	return changed
}

// DeltaPage is a part of a round of changes.
type DeltaPage struct {
	Changes []UserChange
	// Link goes on behind this page: with the rest of the round, or, when the round
	// is complete, with what changes from now on. It is worth keeping together with
	// the changes: a later call with it loses nothing. The detail is baked in.
	Link     string
	Complete bool
}

// ResyncError reports that Graph does not accept a link of a delta query any
// more: it is older than 7 days, or the service was reset. The directory has to
// be read from the start, with an empty link; who is not in it by the end of that
// round is gone. (The Location of a 410 asks for the same and is not used.)
type ResyncError struct{ cause error }

func (e *ResyncError) Error() string {
	return "the directory has to be read from the start: " + e.cause.Error()
}

func (e *ResyncError) Unwrap() error { return e.cause }

// UsersDelta reads what changed of the tenant's users since link was given out,
// page by page (Graph: user: delta v1.0); an empty link starts with everybody.
// It ends after the page that completes the round, or with an error: a
// *ResyncError, a *ThrottledError, an *Error or a *FormError. Pages that came
// before an error are good.
//
// Within a round, users may be told twice and pages may be empty. Removed ones
// are told to those, too, who never knew them.
func (c *Client) UsersDelta(ctx context.Context, token secret.Text, link string, detail Detail) iter.Seq2[DeltaPage, error] {
	return func(yield func(DeltaPage, error) bool) {
		if err := c.usersDelta(ctx, token, link, detail, func(p DeltaPage) bool { return yield(p, nil) }); err != nil {
			yield(DeltaPage{}, fmt.Errorf("read changes of users: %w", err))
		}
	}
}

// UsersLink returns a link of [Client.UsersDelta] that tells what changes from now
// on. Whoever lists all users after that and then follows the link misses nothing.
func (c *Client) UsersLink(ctx context.Context, token secret.Text, detail Detail) (string, error) {
	first := c.endpoint + "/v1.0/users/delta?" + url.Values{"$deltatoken": {"latest"}, "$select": {string(detail)}}.Encode()
	link := ""
	skip := func(d *jsontext.Decoder) error { return d.SkipValue() }
	err := c.list(ctx, token, first, skip, func(page links) (bool, error) {
		link = page.delta
		return true, nil
	})
	if err == nil && link == "" {
		err = &FormError{What: "it has no link to go on"}
	}
	if err != nil {
		return "", fmt.Errorf("begin to follow changes of users: %w", err)
	}
	return link, nil
}

func (c *Client) usersDelta(ctx context.Context, token secret.Text, link string, detail Detail, yield func(DeltaPage) bool) error {
	kept := link != ""
	if kept && !c.ours(link) {
		return &ResyncError{&FormError{What: "the link that was kept is another Graph's"}}
	}
	if !kept {
		link = c.endpoint + "/v1.0/users/delta?" + url.Values{"$select": {string(detail)}}.Encode()
	}
	var changes []UserChange
	read := func(d *jsontext.Decoder) error {
		change, err := userChange(d)
		changes = append(changes, change)
		return err
	}
	err := c.list(ctx, token, link, read, func(page links) (bool, error) {
		if (page.next == "") == (page.delta == "") {
			return false, &FormError{What: "it has not exactly one link to go on"}
		}
		done := DeltaPage{Changes: changes, Link: page.next + page.delta, Complete: page.next == ""}
		changes, kept = nil, true
		return yield(done), nil
	})
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.resync(kept) {
		return &ResyncError{refusal}
	}
	return err
}

// resync reports whether the link is the reason. 400 with the code
// syncStateNotFound and 410 are documented; but a kept link is all there is in
// the request, so any other 400 is about it as well, and would come back for ever.
func (e *Error) resync(kept bool) bool {
	switch {
	case e.Status == http.StatusGone, kept && e.Status == http.StatusBadRequest:
		return true
	case e.Status < 400 || e.Status >= 500 || e.Refused():
		return false
	}
	return strings.EqualFold(e.Code, "syncStateNotFound") || strings.EqualFold(e.Code, "resyncRequired")
}

// userChange reads one entry. Without an id nobody could tell what it says about
// whom, so the page is not usable.
func userChange(d *jsontext.Decoder) (UserChange, error) {
	var change UserChange
	err := object(d, func(name jsontext.Value) error { return change.read(d, name) })
	if err == nil && change.ID == "" {
		err = &FormError{What: "an entry has no id"}
	}
	return change, err
}

// read reads the value of one name.
func (c *UserChange) read(d *jsontext.Decoder, name jsontext.Value) (err error) {
	if property, field := textField(&c.account, name); field != nil {
		c.given |= property
		*field, err = textOf(d)
		return err
	}
	switch string(name) {
	case `"id"`:
		id, err := textOf(d)
		c.ID = presence.UserID(strings.ToLower(id))
		return err
	case `"@removed"`:
		c.Removed, err = removal(d)
	case `"proxyAddresses"`:
		c.given |= proxyAddresses
		c.account.Proxies, err = texts(d)
	case `"accountEnabled"`:
		c.given |= accountEnabled
		c.account.Disabled, err = isFalse(d)
	case `"userType"`:
		c.given |= userType
		kind, err := textOf(d)
		c.account.Guest = strings.EqualFold(kind, "Guest")
		return err
	default:
		return d.SkipValue()
	}
	return err
}

// textField finds where a text of this name belongs; nil when it is no text.
func textField(a *matching.Account, name jsontext.Value) (properties, *string) {
	switch string(name) {
	case `"userPrincipalName"`:
		return upn, &a.UPN
	case `"mail"`:
		return mail, &a.Mail
	case `"onPremisesUserPrincipalName"`:
		return onPremisesUPN, &a.OnPremisesUPN
	case `"onPremisesSamAccountName"`:
		return onPremisesSAM, &a.SAM
	case `"onPremisesDomainName"`:
		return onPremisesDomain, &a.Domain
	case `"onPremisesImmutableId"`:
		return immutableID, &a.ImmutableID
	case `"onPremisesSecurityIdentifier"`:
		return sid, &a.SID
	}
	return 0, nil
}

// removal reads {"reason":...}. A reason that nobody knows is taken as the one
// that may be undone.
func removal(d *jsontext.Decoder) (Removal, error) {
	removed := Left
	err := object(d, func(name jsontext.Value) error {
		if string(name) != `"reason"` {
			return d.SkipValue()
		}
		reason, err := textOf(d)
		if strings.EqualFold(reason, "deleted") {
			removed = LeftForGood
		}
		return err
	})
	return removed, err
}

// texts reads a list of texts; null is the empty one.
func texts(d *jsontext.Decoder) ([]string, error) {
	if d.PeekKind() == 'n' {
		return nil, d.SkipValue()
	}
	var list []string
	err := array(d, func(d *jsontext.Decoder) error {
		one, err := textOf(d)
		list = append(list, one)
		return err
	})
	return list, err
}

// isFalse reads a truth value; null is not false.
func isFalse(d *jsontext.Decoder) (bool, error) {
	value, err := d.ReadValue()
	if err != nil {
		return false, err
	}
	switch value.Kind() {
	case 'n', 't', 'f':
		return value.Kind() == 'f', nil
	}
	return false, &FormError{What: "it has something else where true or false belongs"}
}

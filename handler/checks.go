package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"procallteams/functions/presencepush"
	"procallteams/functions/status"
	"procallteams/internal/check"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/entra"
	"procallteams/internal/graph"
	"procallteams/internal/presence"
	"procallteams/internal/storage"
	"procallteams/internal/ucserver"
)

// check connects the steps of the check to what they try.
func (c clients) check(pusher presencepush.Function) check.Bridge {
	return check.Bridge{
		Warnings: c.Warnings, Cloud: c.Cloud.Name, Nobody: noOne, Now: c.now,
		Look: c.checked, Vault: c.vaultAnswers, Proxy: c.proxyReaches, Discover: c.tenantExists,
		App: c.consent.ProveApp, Person: c.consent.ProvePerson, AtGraph: c.consent.ProveAtGraph,
		Presence: c.onePresence, Someone: c.someone, Accounts: c.accountsFollowed, Group: c.groupName,
		Ping: func(ctx context.Context, tenant string) (string, error) { return ping(ctx, pusher, tenant) },
	}
}

// checked reads settings and grants, those of the app registration in use.
func (c clients) checked(ctx context.Context) (check.View, error) {
	current, fixed, err := c.settings.Load(ctx)
	if err != nil || current.Tenant == "" {
		return check.View{Settings: current, Fixed: fixed}, err
	}
	now, err := c.storage.Now(ctx, current.Tenant)
	view := check.View{Settings: current, Fixed: fixed}
	for _, g := range now.Grants {
		if g.ClientID == current.ClientID {
			view.Grants = append(view.Grants, g)
		}
	}
	return view, err
}

func (c clients) vaultAnswers(ctx context.Context) (string, error) {
	err := c.setup.Check(ctx)
	detail := "the bridge's own secret read from " + c.KeyVault.Hostname()
	if n := c.identity.Unsteady(); n > 0 {
		detail += fmt.Sprintf("; the identity endpoint failed %d times since this process started", n)
	}
	return detail, err
}

// proxyReaches reaches Entra and Graph through the proxy.
func (c clients) proxyReaches(ctx context.Context) (string, error) {
	if !c.Proxy.On() {
		return "", fmt.Errorf("%w: no proxy is set, connections go directly", check.ErrNothing)
	}
	var through []string
	for _, address := range []string{c.Cloud.Authority, c.Cloud.Graph} {
		u, err := url.Parse(address)
		if err != nil {
			return "", err
		}
		if !c.network.Proxied(u) {
			continue
		}
		if err := c.network.Reach(ctx, address); err != nil {
			return "", err
		}
		through = append(through, u.Hostname())
	}
	if len(through) == 0 {
		return "", fmt.Errorf("%w: Entra and Graph are exceptions from the proxy", check.ErrNothing)
	}
	return strings.Join(through, " and ") + " reached through " + status.OutboundOf(c.Bootstrap).Proxy.String(), nil
}

func (c clients) tenantExists(ctx context.Context, tenant string) error {
	_, err := c.entra.DiscoverNow(ctx, tenant)
	if unknown, ok := errors.AsType[*entra.TenantError](err); ok {
		return &check.Failure{Detail: unknown.Cause, Code: unknown.Code, Step: unknown.Step, Who: "administrator"}
	}
	return err
}

// onePresence asks Graph for one presence and returns Graph's status.
func (c clients) onePresence(ctx context.Context, token consent.Token, id presence.UserID) (int, error) {
	_, err := c.graph.Presences(ctx, token.Value, []presence.UserID{id})
	if refusal, ok := errors.AsType[*graph.Error](err); ok {
		return refusal.Status, nil
	}
	if pause, ok := errors.AsType[*graph.ThrottledError](err); ok {
		return pause.Status, nil
	}
	if err != nil {
		return 0, err
	}
	return http.StatusOK, nil
}

// someone returns one of those whose presence is read.
func (c clients) someone(ctx context.Context, tenant string) (presence.UserID, error) {
	now, err := c.storage.Now(ctx, tenant)
	if err != nil || now.Directory.Blob == "" {
		return "", err
	}
	people, err := c.people.Directory(ctx, now.Directory)
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, directory.ErrForm) {
		return "", nil // replaced this instant, or another version's: nobody is known
	}
	if err != nil {
		return "", err
	}
	for _, p := range people.People {
		if p.Reads && p.Standing == directory.TakesPart {
			return p.ID, nil
		}
	}
	return "", nil
}

// accountsFollowed asks Graph for a link to follow changes of accounts from now on:
// it needs the permission, and tells nothing about anybody.
func (c clients) accountsFollowed(ctx context.Context, token consent.Token) error {
	detail := graph.Matching
	if token.Kind == consent.User {
		detail = graph.MatchingBasic
	}
	_, err := c.graph.UsersLink(ctx, token.Value, detail)
	return err
}

func (c clients) groupName(ctx context.Context, token consent.Token, id string) (string, error) {
	group, err := c.graph.Group(ctx, token.Value, id)
	return group.Name, err
}

// ping sends an empty push and says what UCServer made of it.
func ping(ctx context.Context, pusher presencepush.Function, tenant string) (string, error) {
	outcome, sent, err := pusher.Ping(ctx, tenant)
	switch {
	case err != nil:
		return "", err
	case !sent:
		state, err := pusher.State(ctx, tenant)
		if err == nil && state.Stopped {
			return "", &check.Failure{
				Detail: "UCServer asked for pushes to stop (410)", Code: "push-410",
				Step: "When the receiver is back, switch pushes on again on the console.", Who: "administrator",
			}
		}
		return "", fmt.Errorf("%w: there is no feed yet, since no presence was read", check.ErrNothing)
	case outcome.Result == ucserver.Delivered:
		return "UCServer accepted an empty signed push", nil
	case outcome.Result == ucserver.Conflict:
		return "UCServer answers and verified the signature; it lacks earlier changes and gets the whole state with the next push", nil
	}
	return "", &check.Failure{Detail: outcome.Reason, Code: outcome.Code, Who: "operator"}
}

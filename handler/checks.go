package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"procallteams/functions/status"
	"procallteams/internal/consent"
)

// checks is the chain that an administrator runs with POST status: each step
// really tries what the bridge stands on.
func (c clients) checks() []status.Check {
	return []status.Check{
		{Name: "Storage", Run: func(ctx context.Context) (string, error) {
			_, err := c.settings.Tenant(ctx)
			return "table read", err
		}, NextStep: "Check the storage account and the roles of the bridge's identity."},
		{Name: "Key Vault", Run: func(ctx context.Context) (string, error) {
			err := c.setup.Check(ctx)
			detail := "set-up code read"
			if n := c.identity.Unsteady(); n > 0 {
				detail += fmt.Sprintf("; the identity endpoint failed %d times since this process started", n)
			}
			return detail, err
		}, NextStep: "Check the vault's address and the role Key Vault Secrets Officer of the bridge's identity."},
		{Name: "Outbound proxy", Run: c.tryProxy},
		{Name: "Tenant", Run: func(ctx context.Context) (string, error) {
			current, _, err := c.settings.Load(ctx)
			if err != nil {
				return "", err
			}
			if current.Tenant == "" {
				return "", fmt.Errorf("%w: no tenant is set", status.ErrSkipped)
			}
			_, err = c.entra.Discover(ctx, current.Tenant)
			return "Microsoft Entra knows it in this cloud", err
		}, NextStep: "Correct the tenant on the console."},
		{Name: "Reading presences", Run: func(ctx context.Context) (string, error) {
			return c.tryToken(ctx, c.consent.ReadToken)
		}, NextStep: "Give the admin consent or the user consent on the console."},
		{Name: "Writing calls", Run: func(ctx context.Context) (string, error) {
			return c.tryToken(ctx, c.consent.WriteToken)
		}, NextStep: "Give the admin consent on the console."},
	}
}

// tryProxy reaches Entra and Graph through the proxy.
func (c clients) tryProxy(ctx context.Context) (string, error) {
	if !c.Proxy.On() {
		return "", fmt.Errorf("%w: no proxy is set, connections go directly", status.ErrSkipped)
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
		return "", fmt.Errorf("%w: Entra and Graph are exceptions from the proxy", status.ErrSkipped)
	}
	return strings.Join(through, " and ") + " reached through " + status.OutboundOf(c.Bootstrap).Proxy.String(), nil
}

// tryToken gets a token and makes one harmless read with it.
func (c clients) tryToken(ctx context.Context, get func(context.Context, string, []consent.Grant) (consent.Token, error)) (string, error) {
	current, _, err := c.settings.Load(ctx)
	if err != nil {
		return "", err
	}
	if current.Tenant == "" || current.ClientID == "" {
		return "", fmt.Errorf("%w: the app registration is not set", status.ErrSkipped)
	}
	now, err := c.storage.Now(ctx, current.Tenant)
	if err != nil {
		return "", err
	}
	token, err := get(ctx, current.Tenant, now.Grants)
	if err != nil {
		return "", err
	}
	code, err := c.harmlessRead(ctx, token.Value)
	if err != nil {
		return "", err
	}
	if code != 200 {
		return "", errors.New(fmt.Sprint("Microsoft Graph answered ", code))
	}
	return "by the " + string(token.Kind) + " consent", nil
}

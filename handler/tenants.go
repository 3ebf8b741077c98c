package main

import (
	"context"
	"errors"
	"slices"
)

// inTenant does a duty in the tenant in use.
func (c clients) inTenant(do func(ctx context.Context, tenant string) error) func(context.Context) error {
	return func(ctx context.Context) error {
		tenant, err := c.settings.Tenant(ctx)
		if err != nil || tenant == "" {
			return err
		}
		return do(ctx, tenant)
	}
}

// abandon makes the sign-ins of former tenants unreadable.
func (c clients) abandon(ctx context.Context) error {
	tenants, err := c.settings.Replaced(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, tenant := range tenants {
		failures = append(failures, c.consent.Abandon(ctx, tenant, func(ctx context.Context) (bool, error) {
			now, err := c.settings.Replaced(ctx)
			return slices.Contains(now, tenant), err
		}))
	}
	return errors.Join(failures...)
}

// trim forgets what is older than the retention, of the tenant in use and of the
// one before.
func (c clients) trim(ctx context.Context) error {
	current, _, err := c.settings.Load(ctx)
	if err != nil || current.Tenant == "" {
		return err
	}
	previous, err := c.settings.Previous(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range []string{current.Tenant, previous} {
		if tenant == "" {
			continue
		}
		if _, _, err := c.storage.Feed(tenant).Trim(ctx, c.now(), current.RetentionDuration()); err != nil {
			return err
		}
	}
	return nil
}

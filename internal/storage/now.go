package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/health"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

// Now is everything that one sync or one judgement needs to know about a tenant,
// read in one storage operation. Absent rows leave zero values.
type Now struct {
	Settings settings.Integration // as stored, before app settings win
	// Retired says that another tenant took this one's place.
	Retired   bool
	Head      feed.Head
	Heartbeat health.Heartbeat
	Directory directory.Ref
	// Accounts, Users and List are what the directory is made of, with the settings.
	Accounts directory.AccountsRef
	Users    directory.UsersRef
	List     directory.ListRef
	Grants   []consent.Grant
	// ThrottledUntil is until when Graph asked this app to wait.
	ThrottledUntil time.Time
	// Reporters say who is on the phone; Swept is when their leases were last
	// looked at.
	Reporters calls.Reporters
	Swept     time.Time
	Writer    session.Writer
}

// Now reads the tenant's "now-" rows: one storage operation.
func (s *Storage) Now(ctx context.Context, tenant string) (Now, error) {
	var now Now
	for row, err := range s.Range(ctx, tenant, NowPrefix, NowEnd) {
		if err != nil {
			return Now{}, fmt.Errorf("read state of the tenant: %w", err)
		}
		if err := now.add(row); err != nil {
			return Now{}, err
		}
	}
	return now, nil
}

func (n *Now) add(row Row) (err error) {
	switch {
	case row.Key == RowSettings:
		n.Retired = row.Flag("retired")
		err = decodeJSON(row, &n.Settings)
	case row.Key == RowFeed:
		err = decodeJSON(row, &n.Head)
		n.Head.Version = row.ETag
	case row.Key == RowHeartbeat:
		err = decodeJSON(row, &n.Heartbeat)
	case row.Key == RowDirectory:
		err = decodeJSON(row, &n.Directory)
		n.Directory.Version = row.ETag
	case row.Key == RowAccounts:
		err = decodeJSON(row, &n.Accounts)
		n.Accounts.Version = row.ETag
	case row.Key == RowUsers:
		err = decodeJSON(row, &n.Users)
		n.Users.Version = row.ETag
	case row.Key == RowMatching:
		err = decodeJSON(row, &n.List)
		n.List.Version = row.ETag
	case row.Key == RowThrottle:
		n.ThrottledUntil = row.Time("until")
	case row.Key == RowSwept:
		n.Swept = row.Time("at")
	case row.Key == RowWriter:
		err = decodeJSON(row, &n.Writer)
		n.Writer.Version = row.ETag
	case strings.HasPrefix(row.Key, RowReporter):
		var reporter calls.Reporter
		err = decodeJSON(row, &reporter)
		reporter.Version = row.ETag
		if n.Reporters == nil {
			n.Reporters = calls.Reporters{}
		}
		n.Reporters[reporter.ID] = reporter
	case strings.HasPrefix(row.Key, RowGrant):
		var grant consent.Grant
		err = decodeJSON(row, &grant)
		grant.ETag = row.ETag
		n.Grants = append(n.Grants, grant)
	}
	return err
}

// jsonRow returns a row whose one value is v as JSON.
func jsonRow(partition, key, etag string, v any) (Row, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return Row{}, fmt.Errorf("encode row %s: %w", key, err)
	}
	return Row{Partition: partition, Key: key, ETag: etag, Values: map[string]any{"data": string(body)}}, nil
}

func decodeJSON(row Row, v any) error {
	if err := json.Unmarshal([]byte(row.Text("data")), v); err != nil {
		return fmt.Errorf("decode row %s: %w", row.Key, err)
	}
	return nil
}

// Beat stores the heartbeat: one storage operation.
func (s *Storage) Beat(ctx context.Context, tenant string, beat health.Heartbeat) error {
	return s.upsertJSON(ctx, tenant, RowHeartbeat, beat)
}

// upsertJSON stores v, whatever is there: rows with one writer.
func (s *Storage) upsertJSON(ctx context.Context, partition, key string, v any) error {
	row, err := jsonRow(partition, key, "", v)
	if err != nil {
		return err
	}
	if err := s.Upsert(ctx, row); err != nil {
		return fmt.Errorf("store row %s: %w", key, err)
	}
	return nil
}

// Throttle stores until when Graph asked this app to wait in this tenant. A longer
// pause that another process was asked for stays.
func (s *Storage) Throttle(ctx context.Context, tenant string, until time.Time) error {
	for {
		row, err := s.Get(ctx, tenant, RowThrottle)
		switch {
		case errors.Is(err, ErrNotFound):
			_, err = s.Insert(ctx, Row{Partition: tenant, Key: RowThrottle, Values: map[string]any{"until": until}})
		case err == nil && !until.After(row.Time("until")):
			return nil
		case err == nil:
			row.Values = map[string]any{"until": until}
			_, err = s.Replace(ctx, row)
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrChanged) && !errors.Is(err, ErrExists) {
			return fmt.Errorf("store throttle: %w", err)
		}
	}
}

// Settings keeps the settings row and the pointer to the tenant in use.
//
// The row lies in the tenant's own partition, so that a sync reads it together
// with everything else; before a tenant is set it lies in the installation
// partition. App settings (Overrides) win over what is stored.
type Settings struct {
	Storage   *Storage
	Overrides settings.Overrides
}

// Tenant returns the tenant in use, empty before one is set: one storage
// operation, none when an app setting names the tenant.
func (s Settings) Tenant(ctx context.Context) (string, error) {
	if s.Overrides.Tenant != "" {
		return s.Overrides.Tenant, nil
	}
	row, err := s.Storage.Get(ctx, Installation, RowTenant)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read which tenant is in use: %w", err)
	}
	return row.Text("tenant"), nil
}

// Previous returns the tenant that was in use before, empty for none: one storage
// operation.
func (s Settings) Previous(ctx context.Context) (string, error) {
	row, err := s.Storage.Get(ctx, Installation, RowTenant)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read which tenant was in use: %w", err)
	}
	return row.Text("previous"), nil
}

// Load returns the settings with app settings applied, and the JSON names of the
// fields that these fix.
func (s Settings) Load(ctx context.Context) (settings.Integration, []string, error) {
	stored, _, err := s.stored(ctx)
	if err != nil {
		return settings.Integration{}, nil, err
	}
	integration, fixed := stored.Override(s.Overrides)
	return integration, fixed, nil
}

func partitionOf(tenant string) string {
	if tenant == "" {
		return Installation
	}
	return tenant
}

// stored reads the row of the tenant in use and its ETag, empty when absent.
func (s Settings) stored(ctx context.Context) (settings.Integration, string, error) {
	tenant, err := s.Tenant(ctx)
	if err != nil {
		return settings.Integration{}, "", err
	}
	row, err := s.Storage.Get(ctx, partitionOf(tenant), RowSettings)
	if errors.Is(err, ErrNotFound) {
		return settings.Integration{Tenant: tenant}, "", nil
	}
	if err != nil {
		return settings.Integration{}, "", fmt.Errorf("read settings: %w", err)
	}
	var integration settings.Integration
	if err := decodeJSON(row, &integration); err != nil {
		return settings.Integration{}, "", err
	}
	return integration, row.ETag, nil
}

// Save stores next, whose Version must be the one that was loaded ([ErrChanged]
// when another administrator was faster), and returns it with its new version. What
// an app setting fixes is not stored: it ends with the app setting.
//
// Another tenant gets a row of its own. Then the pointer moves, then the old row
// is retired. A crash before the pointer moved changes nothing; one before the
// old row is retired leaves warm processes on the old tenant until upkeep calls
// [Settings.Repair].
func (s Settings) Save(ctx context.Context, next settings.Integration) (settings.Integration, error) {
	current, etag, err := s.stored(ctx)
	if err != nil {
		return settings.Integration{}, err
	}
	if current.Version != next.Version {
		return settings.Integration{}, ErrChanged
	}
	next.Version++
	if s.Overrides.ClientID != "" {
		next.ClientID = current.ClientID
	}
	if s.Overrides.PushURL != "" {
		next.PushURL = current.PushURL
	}
	row, err := jsonRow(partitionOf(next.Tenant), RowSettings, etag, next)
	if err != nil {
		return settings.Integration{}, err
	}
	row.Values["retired"] = false
	next, _ = next.Override(s.Overrides)
	if s.Overrides.Tenant != "" || next.Tenant == current.Tenant {
		if etag == "" {
			_, err = s.Storage.Insert(ctx, row)
		} else {
			_, err = s.Storage.Replace(ctx, row)
		}
		if errors.Is(err, ErrExists) {
			err = ErrChanged
		}
		return next, err
	}
	row.ETag = ""
	if err := s.Storage.Upsert(ctx, row); err != nil {
		return settings.Integration{}, fmt.Errorf("store settings: %w", err)
	}
	replaced, err := s.replacing(ctx, current.Tenant, next.Tenant)
	if err != nil {
		return settings.Integration{}, err
	}
	pointer := Row{Partition: Installation, Key: RowTenant, Values: map[string]any{"tenant": next.Tenant, "previous": current.Tenant, columnReplaced: replaced}}
	if err := s.Storage.Upsert(ctx, pointer); err != nil {
		return settings.Integration{}, fmt.Errorf("point at the tenant: %w", err)
	}
	return next, s.retire(ctx, current.Tenant)
}

func (s Settings) retire(ctx context.Context, tenant string) error {
	if tenant == "" {
		return nil
	}
	_, err := s.Storage.Merge(ctx, Row{Partition: tenant, Key: RowSettings, Values: map[string]any{"retired": true}})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("retire the previous tenant: %w", err)
	}
	return nil
}

// Repair retires the previous tenant once more, in case a crash came between, and
// only that one.
func (s Settings) Repair(ctx context.Context) error {
	if s.Overrides.Tenant != "" {
		return nil
	}
	row, err := s.Storage.Get(ctx, Installation, RowTenant)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read which tenant is in use: %w", err)
	}
	current := row.Text("tenant")
	if previous := row.Text("previous"); previous != current {
		if err := s.retire(ctx, previous); err != nil {
			return err
		}
	}
	// A repair that was under way while an administrator switched back may have
	// retired the tenant in use.
	inUse, err := s.Storage.Get(ctx, partitionOf(current), RowSettings)
	if errors.Is(err, ErrNotFound) || err == nil && !inUse.Flag("retired") {
		return nil
	}
	if err == nil {
		_, err = s.Storage.Merge(ctx, Row{Partition: inUse.Partition, Key: RowSettings, ETag: inUse.ETag, Values: map[string]any{"retired": false}})
	}
	if err != nil && !errors.Is(err, ErrChanged) {
		return fmt.Errorf("bring the tenant in use back: %w", err)
	}
	return nil
}

package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"procallteams/internal/access"
	"procallteams/internal/consent"
)

// Forgetting removes what may not be kept any longer, once an hour: look-ups of
// people from the audit trail, and everything about a tenant that was replaced. It
// is safe to do at any time and again; a crash leaves the rest to the next time.
type Forgetting struct {
	Settings Settings
	Now      func() time.Time

	mu   sync.Mutex
	next time.Time
}

// LookUpsKept is how long the audit trail says who looked up whom.
const LookUpsKept = 90 * 24 * time.Hour

// Do removes what is due, unless that was done within the hour.
func (f *Forgetting) Do(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.Now().UTC()
	if now.Before(f.next) {
		return nil
	}
	tenant, err := f.Settings.Tenant(ctx)
	if err != nil {
		return err
	}
	if tenant != "" {
		err = f.Settings.Storage.trimLookUps(ctx, tenant, now.Add(-LookUpsKept))
	}
	if err = errors.Join(err, f.Settings.forgetReplaced(ctx, now)); err == nil {
		f.next = now.Add(time.Hour)
	}
	return err
}

// trimLookUps removes look-ups before a time.
func (s *Storage) trimLookUps(ctx context.Context, tenant string, before time.Time) error {
	var old []string
	for row, err := range s.Range(ctx, tenant, RowAudit, RowAudit+before.UTC().Format(auditStamp)) {
		if err != nil {
			return fmt.Errorf("find old look-ups: %w", err)
		}
		if row.Text("what") == access.LookedUp {
			old = append(old, row.Key)
		}
	}
	return s.deleteRows(ctx, tenant, old)
}

// deleteRows removes rows of one partition. Who else does the same is no error.
func (s *Storage) deleteRows(ctx context.Context, partition string, keys []string) error {
	for chunk := range slices.Chunk(keys, 100) {
		writes := make([]Write, len(chunk))
		for i, key := range chunk {
			writes[i] = Write{Kind: DeleteRow, Row: Row{Partition: partition, Key: key}}
		}
		err := s.Transact(ctx, writes)
		if errors.Is(err, ErrNotFound) { // one of them is gone already
			for _, key := range chunk {
				if err = s.Delete(ctx, partition, key, ""); err != nil {
					break
				}
			}
		}
		if err != nil {
			return fmt.Errorf("delete rows: %w", err)
		}
	}
	return nil
}

// Replaced tenants stand in the row that points at the tenant in use, each with the
// time from which its retention counts: "id=2026-11-26T03:00:00Z id=". The time is
// set when [Forgetting] first sees it.
const columnReplaced = "replaced"

func replacedOf(row Row) map[string]time.Time {
	tenants := map[string]time.Time{}
	for entry := range strings.FieldsSeq(row.Text(columnReplaced)) {
		tenant, since, _ := strings.Cut(entry, "=")
		tenants[tenant], _ = time.Parse(time.RFC3339, since) // the zero time: not seen yet
	}
	return tenants
}

func formatReplaced(tenants map[string]time.Time) string {
	var entries []string
	for _, tenant := range slices.Sorted(maps.Keys(tenants)) {
		since := ""
		if at := tenants[tenant]; !at.IsZero() {
			since = at.UTC().Format(time.RFC3339)
		}
		entries = append(entries, tenant+"="+since)
	}
	return strings.Join(entries, " ")
}

// replacing returns the column after one tenant took another one's place.
func (s Settings) replacing(ctx context.Context, before, after string) (string, error) {
	row, err := s.Storage.Get(ctx, Installation, RowTenant)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("read which tenant is in use: %w", err)
	}
	tenants := replacedOf(row)
	if before != "" {
		tenants[before] = time.Time{}
	}
	delete(tenants, after)
	return formatReplaced(tenants), nil
}

// Replaced returns the tenants whose place another one took, and about which something
// is stored still: one storage operation.
func (s Settings) Replaced(ctx context.Context) ([]string, error) {
	row, err := s.Storage.Get(ctx, Installation, RowTenant)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which tenants were replaced: %w", err)
	}
	tenants := replacedOf(row)
	delete(tenants, row.Text("tenant"))
	delete(tenants, s.Overrides.Tenant) // an app setting brings any tenant back
	return slices.Sorted(maps.Keys(tenants)), nil
}

// forgetReplaced removes what is stored about tenants that were replaced, once the
// retention is over that was set for them.
func (s Settings) forgetReplaced(ctx context.Context, now time.Time) error {
	row, err := s.Storage.Get(ctx, Installation, RowTenant)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read which tenant is in use: %w", err)
	}
	tenants := replacedOf(row)
	for tenant, since := range maps.Clone(tenants) {
		switch {
		case tenant == row.Text("tenant") || tenant == s.Overrides.Tenant:
			delete(tenants, tenant)
		case since.IsZero():
			tenants[tenant] = now
		default:
			done, err := s.forget(ctx, tenant, now.Sub(since))
			if err != nil {
				return fmt.Errorf("forget a replaced tenant: %w", err)
			}
			if done {
				delete(tenants, tenant)
			}
		}
	}
	next := formatReplaced(tenants)
	if next == row.Text(columnReplaced) {
		return nil
	}
	// Whoever was faster has another list: this one is made anew next time.
	_, err = s.Storage.Merge(ctx, Row{Partition: Installation, Key: RowTenant, ETag: row.ETag, Values: map[string]any{columnReplaced: next}})
	if errors.Is(err, ErrChanged) {
		return nil
	}
	return err
}

// forget removes everything about a tenant but its audit trail, the settings last: as
// long as they are there and say that it is retired, it is known to be unused.
// An administrator who comes back to the tenant meanwhile keeps the settings.
func (s Settings) forget(ctx context.Context, tenant string, age time.Duration) (done bool, err error) {
	settings, err := s.Storage.Get(ctx, tenant, RowSettings)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	now, err := s.Storage.Now(ctx, tenant)
	if err != nil || age < now.Settings.RetentionDuration() {
		return false, err
	}
	if !now.Retired && now.Settings.Tenant != "" {
		return false, nil // its retirement is upkeep's, or it comes back this instant
	}
	if slices.ContainsFunc(now.Grants, func(g consent.Grant) bool { return g.SecretName != "" }) {
		return false, nil // nobody else knows the names of sign-ins that can be read still
	}
	for blob, err := range s.Storage.blobsIn(ctx, tenant+"/") {
		if err != nil {
			return false, err
		}
		if err := s.Storage.DeleteBlob(ctx, blob.name); err != nil {
			return false, err
		}
	}
	var keys []string
	for row, err := range s.Storage.Range(ctx, tenant, " ", "~") {
		if err != nil {
			return false, err
		}
		if row.Key != RowSettings && (!strings.HasPrefix(row.Key, RowAudit) || row.Text("what") == access.LookedUp) {
			keys = append(keys, row.Key)
		}
	}
	if err := s.Storage.deleteRows(ctx, tenant, keys); err != nil {
		return false, err
	}
	if settings.ETag == "" {
		return true, nil
	}
	if err := s.Storage.Delete(ctx, tenant, RowSettings, settings.ETag); !errors.Is(err, ErrChanged) {
		return err == nil, err
	}
	return false, nil
}

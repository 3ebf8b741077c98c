package storage

import (
	"context"
	"crypto/rand"
	"iter"
	"strings"

	"procallteams/internal/access"
)

// auditStamp is the time in the keys of the audit trail: they sort by it.
const auditStamp = "20060102T150405.000000000"

// Record appends one change to the audit trail of the tenant, or of the
// installation before there is one. Keys sort by time.
func (s *Storage) Record(ctx context.Context, tenant string, change access.Change) error {
	at := change.At.UTC()
	key := RowAudit + at.Format(auditStamp) + "-" + rand.Text()[:6]
	_, err := s.Insert(ctx, Row{Partition: partitionOf(tenant), Key: key, Values: map[string]any{
		"who": change.Who, "what": change.What, "fields": strings.Join(change.Fields, " "), "at": at,
	}})
	return err
}

// Changes yields the audit trail, oldest first.
func (s *Storage) Changes(ctx context.Context, tenant string) iter.Seq2[access.Change, error] {
	return func(yield func(access.Change, error) bool) {
		for row, err := range s.Range(ctx, partitionOf(tenant), RowAudit, after(RowAudit)) {
			change := access.Change{Who: row.Text("who"), What: row.Text("what"), Fields: strings.Fields(row.Text("fields")), At: row.Time("at")}
			if !yield(change, err) || err != nil {
				return
			}
		}
	}
}

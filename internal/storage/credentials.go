package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"procallteams/internal/access"
)

// Credentials returns all credentials of the tenant: one storage operation per
// 1,000.
func (s *Storage) Credentials(ctx context.Context, tenant string) ([]access.Credential, error) {
	var all []access.Credential
	for row, err := range s.Range(ctx, tenant, RowCredential, after(RowCredential)) {
		if err != nil {
			return nil, err
		}
		all = append(all, decodeCredential(row))
	}
	return all, nil
}

// after is the first key behind every key that begins with prefix, which ends
// with a hyphen.
func after(prefix string) string { return prefix[:len(prefix)-1] + "." }

func decodeCredential(row Row) access.Credential {
	c := access.Credential{
		ID: row.Key[len(RowCredential):], Name: row.Text("name"), ETag: row.ETag,
		Created: row.Time("created"), LastUsed: row.Time("lastUsed"), Revoked: row.Time("revoked"),
	}
	for scope := range strings.FieldsSeq(row.Text("scopes")) {
		c.Scopes = append(c.Scopes, access.Scope(scope))
	}
	for hashes := row.Binary("hashes"); len(hashes) >= sha256.Size; hashes = hashes[sha256.Size:] {
		c.Hashes = append(c.Hashes, [sha256.Size]byte(hashes))
	}
	return c
}

// PutCredential inserts or replaces a credential.
func (s *Storage) PutCredential(ctx context.Context, tenant string, c access.Credential) error {
	var hashes []byte
	for _, hash := range c.Hashes {
		hashes = append(hashes, hash[:]...)
	}
	row := Row{Partition: tenant, Key: RowCredential + c.ID, ETag: c.ETag, Values: map[string]any{
		"name": c.Name, "scopes": joined(c.Scopes), "created": c.Created, "hashes": hashes,
		"lastUsed": instant(c.LastUsed), "revoked": instant(c.Revoked),
	}}
	return s.put(ctx, row)
}

// MarkUsed merges the time of the last use.
func (s *Storage) MarkUsed(ctx context.Context, tenant, id string, at time.Time) error {
	_, err := s.Merge(ctx, Row{Partition: tenant, Key: RowCredential + id, Values: map[string]any{"lastUsed": at}})
	return err
}

func joined(scopes []access.Scope) string {
	texts := make([]string, len(scopes))
	for i, scope := range scopes {
		texts[i] = string(scope)
	}
	return strings.Join(texts, " ")
}

// put inserts a row without an ETag and replaces one with it; access.ErrRace
// when the row is not what was read.
func (s *Storage) put(ctx context.Context, row Row) (err error) {
	if row.ETag == "" {
		_, err = s.Insert(ctx, row)
	} else {
		_, err = s.Replace(ctx, row)
	}
	if errors.Is(err, ErrExists) || errors.Is(err, ErrChanged) || errors.Is(err, ErrNotFound) {
		return access.ErrRace
	}
	return err
}

// instant leaves out the zero time, which has no column value.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

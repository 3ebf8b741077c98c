package storage

import (
	"context"
	"errors"
	"fmt"

	"procallteams/internal/consent"
)

// Grants keeps the rows of consent grants: one for the admin grant, one per
// account that gave a user grant. They are read by every sync with [Storage.Now].
type Grants struct{ Storage *Storage }

// grantKey names a grant's row. A refusal that names no account has a row too.
func grantKey(g consent.Grant) string {
	switch {
	case g.Kind == consent.Admin:
		return RowGrant + "admin"
	case g.Account.ObjectID == "":
		return RowGrant + "user-nobody"
	}
	return RowGrant + "user-" + EncodeKey(g.Account.ObjectID)
}

// Grants reads all grants of a tenant: one storage operation.
func (g Grants) Grants(ctx context.Context, tenant string) ([]consent.Grant, error) {
	var grants []consent.Grant
	for row, err := range g.Storage.Range(ctx, tenant, RowGrant, RowGrant+"~") {
		if err != nil {
			return nil, err
		}
		var grant consent.Grant
		if err := decodeJSON(row, &grant); err != nil {
			return nil, err
		}
		grant.ETag = row.ETag
		grants = append(grants, grant)
	}
	return grants, nil
}

// SaveGrant stores a grant of which Grant.ETag was read; empty inserts it. It
// returns consent.ErrChanged when another writer was faster.
func (g Grants) SaveGrant(ctx context.Context, tenant string, grant consent.Grant) (consent.Grant, error) {
	row, err := jsonRow(tenant, grantKey(grant), grant.ETag, grant)
	if err != nil {
		return consent.Grant{}, err
	}
	if grant.ETag == "" {
		grant.ETag, err = g.Storage.Insert(ctx, row)
	} else {
		grant.ETag, err = g.Storage.Replace(ctx, row)
	}
	if err != nil {
		return consent.Grant{}, raced(err)
	}
	return grant, nil
}

// RemoveGrant deletes the version of a row that was read.
func (g Grants) RemoveGrant(ctx context.Context, tenant string, grant consent.Grant) error {
	return raced(g.Storage.Delete(ctx, tenant, grantKey(grant), grant.ETag))
}

// raced names a lost race in the words of package consent.
func raced(err error) error {
	if errors.Is(err, ErrChanged) || errors.Is(err, ErrExists) || errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w (%w)", consent.ErrChanged, err)
	}
	return err
}

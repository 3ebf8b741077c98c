package access

import (
	"context"
	"time"
)

// Change is one thing that an administrator did. It names fields, never values:
// a value may be a secret.
type Change struct {
	// Who is the administrator's object id, [BySetupCode], or "credential" and the id
	// of a machine's.
	Who    string
	What   string // "settings changed"
	Fields []string
	At     time.Time
}

// LookedUp is [Change.What] of a look-up of one person; Fields are "entra" and the
// object id, "ucserver" and the stable id, or nothing when nobody was found.
const LookedUp = "person looked up"

// BySetupCode is the administrator who signed in with the set-up code.
const BySetupCode = "set-up code"

// Auditor keeps changes. It is asked before a change is made, so that no change
// goes without its entry; an entry may stand for an attempt that then failed.
type Auditor interface {
	// Record appends to the tenant's audit trail, to the installation's when
	// tenant is empty.
	Record(ctx context.Context, tenant string, change Change) error
}

// Package access decides who may call the bridge.
//
// Machines present "Authorization: Bearer ptb_<id>_<secret>"; administrators
// hold a session that began with the set-up code or an Entra sign-in. The
// Functions host lets every request through (authLevel anonymous), so each HTTP
// function stands behind one of this package's gates.
package access

// Scope is what a machine credential may do.
type Scope string

// Scopes of the HTTP contract.
const (
	Read      Scope = "read"      // presence and its changes
	Report    Scope = "report"    // telephony
	Directory Scope = "directory" // users
	Monitor   Scope = "monitor"   // health, reduced status
)

// Consumer is an authenticated machine: the credential's id, in its tenant.
type Consumer struct {
	ID     string
	Tenant string
	Scopes []Scope
}

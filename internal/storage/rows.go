package storage

// Partition of rows that come before a tenant is known.
const Installation = "installation"

// Row keys. Rows whose key begins with "now-" are what one sync reads in a single
// range query of the tenant's partition: keep them few and small.
const (
	NowPrefix    = "now-"
	NowEnd       = "now."          // first key after every "now-" row
	RowFeed      = "now-feed"      // head of the feed
	RowHeartbeat = "now-heartbeat" // last sync: asOf, counters, missing users
	RowSettings  = "now-settings"  // settings.Integration of this tenant
	RowThrottle  = "now-throttle"  // until when Graph asked us to wait
	RowDirectory = "now-directory" // pointer to the directory blob, and what it was made of
	RowAccounts  = "now-accounts"  // pointer to the Entra accounts, and where their changes go on
	RowUsers     = "now-users"     // pointer to UCServer's users
	RowMatching  = "now-matching"  // pointer to usermatching.csv
	RowGrant     = "now-grant-"    // + "admin", or "user-" and the account's object id
	RowReporter  = "now-reporter-" // + credential id: epoch, generation, lease of who reports calls
	RowSwept     = "now-swept"     // when leases were last looked at
	RowWriter    = "now-writer"    // lease of who writes to Teams, and how writing stands

	RowEntry      = "entry-"      // + epoch-append-part
	RowConsumer   = "consumer-"   // + credential id, or "push": cursor, lease, next attempt
	RowCredential = "credential-" // + id: hash, scopes, revoked
	RowFlow       = "flow-"       // + hash of state: outcome of one consent callback
	RowAudit      = "audit-"      // + time: who changed what

	RowCall = "call-"    // + object id: what reporters say about a person
	RowDue  = "due-"     // + object id: a person whose reports changed, for the writer
	RowHeld = "session-" // + object id: what the bridge keeps in Teams for a person

	RowTenant  = "tenant"   // installation: pointer to the tenant in use
	RowKept    = "kept-"    // installation: + name of a secret that the bridge makes: its version in force
	RowTries   = "tries-"   // installation: + hash of an address: wrong set-up codes
	RowSession = "session-" // installation: + hash: an administrator's session
)

// Package directory knows the tenant's people and their UCServer names.
//
// A directory is read from Graph now and then, stored as one blob, and pointed
// at from a row, so that every process sees the same one. Matching is by the
// exact entry of usermatching.csv, else by UPN. No SDK here.
package directory

import "time"

// Ref points at the stored directory. The zero Ref means none was read yet.
type Ref struct {
	Blob string    `json:"blob"`
	At   time.Time `json:"at"` // when it was read from Graph
	// Users counts the accounts in it.
	Users int `json:"users"`
}

package secret

import "time"

// Label is what a vault keeps beside a secret. Everybody who may list the vault's
// secrets reads it, so it holds nothing secret. The zero value is none.
type Label struct {
	Tags map[string]string // at most 15, 256 characters each
	// Expires is when the secret is expected to end. It is information: the vault
	// gives the secret out afterwards too.
	Expires time.Time
}

// Version is one version of a secret in a vault, without its value.
type Version struct {
	ID      string
	Created time.Time // to the second
	Enabled bool      // a disabled one cannot be read
	Label
}

// Stored is a version with its value.
type Stored struct {
	Version
	Value Text
}

// Package build names the source that a handler was built from, to those who may not know
// it: whoever has the package can tell whether it is the one that answers, and whoever has
// not sees sixteen digits instead of a version. Command dist writes the name into the
// package, the handler answers it, scripts/deploy.sh compares the two.
package build

import (
	"crypto/sha256"
	"fmt"
	"net/http"
)

const (
	// Header carries the fingerprint in each answer of health, to anybody.
	Header = "Bridge-Build"
	// File of the package holds its version, a blank and its fingerprint.
	File = "version"
)

// Fingerprint is what stands for a version such as v1.2.0+0123456789ab: sixteen hexadecimal
// digits. An unknown version has none.
func Fingerprint(version string) string {
	if version == "" {
		return ""
	}
	return fmt.Sprintf("%.8x", sha256.Sum256([]byte(version)))
}

// Named adds the fingerprint to every answer, also to those that refuse.
func Named(version string, next http.Handler) http.Handler {
	fingerprint := Fingerprint(version)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fingerprint != "" {
			w.Header().Set(Header, fingerprint)
		}
		next.ServeHTTP(w, r)
	})
}

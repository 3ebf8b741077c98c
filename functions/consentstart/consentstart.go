// Package consentstart is the HTTP function behind GET consent/{grant}: it sends
// an administrator's browser to Microsoft to give the user or the admin consent.
package consentstart

import (
	"net/http"

	"procallteams/internal/consent"
)

// Function is the code of function.json beside this file.
type Function struct {
	Consent *consent.Service
	// Administrator lets signed-in administrators pass.
	Administrator func(http.Handler) http.Handler
}

func (f Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, ok := consent.ParseKind(r.PathValue("grant"))
	if !ok {
		consent.UnknownKind(w, r)
		return
	}
	f.Administrator(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.Consent.Start(w, r, kind)
	})).ServeHTTP(w, r)
}

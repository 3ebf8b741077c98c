// Package consentcallback is the HTTP function behind consent/{grant}/callback:
// it receives an administrator's browser from Microsoft and says what happened.
package consentcallback

import (
	"net/http"

	"procallteams/internal/consent"
)

// Function is the code of function.json beside this file.
type Function struct {
	Consent *consent.Service
	// Administrator lets signed-in administrators pass to next, others to stranger. The
	// form that comes from Microsoft's own site stands before it: it carries no session.
	Administrator func(next, stranger http.Handler) http.Handler
}

func (f Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, ok := consent.ParseKind(r.PathValue("grant"))
	if !ok {
		consent.UnknownKind(w, r)
		return
	}
	f.Consent.Callback(w, r, kind, f.Administrator)
}

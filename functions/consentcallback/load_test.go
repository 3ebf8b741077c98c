package consentcallback_test

import (
	"testing"
	"time"

	"procallteams/internal/consent"
)

// Every request to the token endpoint is an entry in the tenant's sign-in logs, and
// Entra throttles an app that asks too often. Counted is an hour of two processes, one
// that syncs every five seconds and one that probes every minute, after a refusal has
// lasted for a while.
func TestTheTokenEndpointIsAskedRarelyInEveryState(t *testing.T) {
	for name, row := range map[string]struct {
		happens   func(*world) error
		user, app int // the most requests in an hour
	}{
		"both work": {func(*world) error { return nil }, 12, 60},
		"both are gone": {func(w *world) error {
			must(w.t, w.entra.RevokeSessions(w.reader))
			return w.entra.RevokeApplication(w.tenant, w.client)
		}, 24, 60},
		"a policy blocks": {func(w *world) error {
			must(w.t, w.entra.RevokeApplication(w.tenant, w.client))
			return w.entra.ConditionalAccess(w.reader, true)
		}, 24, 60},
		"Graph answers 403": {func(w *world) error { w.set(func() { w.barred, w.closed = w.reader, true }); return nil }, 24, 60},
		"Graph answers 401": {func(w *world) error {
			must(w.t, w.entra.RevokeApplication(w.tenant, w.client))
			w.set(func() { w.deaf = w.reader })
			return nil
		}, 24, 60},
		"the secret has expired": {func(w *world) error { return w.entra.ExpireSecrets(w.tenant, w.client) }, 24, 60},
		"both are disconnected": {func(w *world) error {
			must(w.t, w.service.Disconnect(w.t.Context(), w.admin, consent.User, w.reader))
			return w.service.Disconnect(w.t.Context(), w.admin, consent.Admin, "")
		}, 0, 60},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.rows = &notes{grants: map[string]consent.Grant{}}
			w.service = w.process(w.back)
			w.handler = w.functions(w.service)
			upkeep := w.process(w.back)
			w.entra.SetTokenLifetime(24 * time.Hour)
			w.consentUser(w.reader)
			w.consentAdmin()
			must(t, row.happens(w))
			var before map[string]int
			for i := range 15 + 60 { // minutes
				if i == 15 {
					before = w.entra.TokenRequests()
				}
				for range 12 {
					w.advance(5 * time.Second)
					_, _ = w.sync()
				}
				_ = upkeep.Probe(t.Context())
			}
			after := w.entra.TokenRequests()
			user, app := after["refresh_token"]-before["refresh_token"], after["client_credentials"]-before["client_credentials"]
			if user > row.user || app > row.app {
				t.Errorf("%d requests for the person and %d for the app; want at most %d and %d", user, app, row.user, row.app)
			}
			if app == 0 || row.user > 0 && user == 0 {
				t.Errorf("%d requests for the person and %d for the app: a recovery would not be seen", user, app)
			}
		})
	}
}

package consentcallback_test

import (
	"strings"
	"testing"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/secret"
	"procallteams/internal/storage"
)

// ends stores when the app registration's credential ends, as a check would.
func (w *world) ends(at time.Time) {
	w.t.Helper()
	for _, g := range w.grants() {
		if g.Kind == consent.Admin {
			g.CredentialEnds = at
			_, err := storage.Grants{Storage: w.store}.SaveGrant(w.t.Context(), w.tenant, g)
			must(w.t, err)
		}
	}
}

func TestTheEndOfACredentialIsLoggedOnceAtEachThreshold(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	const day = 24 * time.Hour
	end := w.clock().Add(40 * day)
	w.ends(end)
	lines := func() int { return strings.Count(w.log.String(), `"credential ends"`) }
	// remind is a minute's upkeep in two processes, one of them started just now.
	remind := func() {
		must(t, w.service.Remind(t.Context()))
		must(t, w.process(w.back).Remind(t.Context()))
	}
	for _, row := range []struct {
		left time.Duration
		want int // lines until now
	}{{40 * day, 0}, {30 * day, 1}, {29 * day, 1}, {14*day + time.Hour, 1}, {14 * day, 2}, {7 * day, 3}, {day, 4}, {time.Hour, 4}} {
		w.advance(end.Add(-row.left).Sub(w.clock()))
		remind()
		remind()
		if n := lines(); n != row.want {
			t.Errorf("%s before the end %d lines were logged; want %d", row.left, n, row.want)
		}
	}
	w.advance(2 * time.Hour)
	remind()
	remind()
	if n := strings.Count(w.log.String(), `"credential has ended"`); n != 1 || !strings.Contains(w.log.String(), `"level":"ERROR"`) {
		t.Errorf("the end was logged %d times; want once, as an error", n)
	}
	// A new credential begins anew.
	end = w.clock().Add(20 * day)
	w.ends(end)
	remind()
	if n := lines(); n != 5 {
		t.Errorf("%d lines; want one more for the new credential", n)
	}
}

func TestThePeoplesCredentialIsWatchedWithoutAnAdminConsent(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.consentAdmin()
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.Admin, ""))
	ends := w.clock().Add(20 * 24 * time.Hour)
	must(t, w.credential.SetSecret(t.Context(), secret.New(w.clientSecret()), ends))
	w.advance(time.Minute)
	w.probe()
	must(t, w.service.Remind(t.Context()))
	g := w.grant("")
	if !g.CredentialEnds.Equal(ends) || !g.Disconnected || g.State != consent.Required || strings.Count(w.log.String(), `"credential ends"`) != 1 {
		t.Errorf("the end is known as %s, the grant %s", g.CredentialEnds, g.State)
	}
	must(t, w.entra.ExpireSecrets(w.tenant, w.client))
	for range 3 {
		w.advance(time.Minute)
		w.probe()
	}
	if g := w.grant(""); !g.CredentialEnds.Equal(ends) || !g.Disconnected || g.Code != "" {
		t.Errorf("refused, the end is known as %s, the grant %s %s", g.CredentialEnds, g.State, g.Code)
	}
}

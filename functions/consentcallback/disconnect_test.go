package consentcallback_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/internal/consent"
)

func TestADisconnectedAccountIsUsedNoMoreAndItsSignInIsGone(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	other := w.process(w.back)
	if _, err := other.ReadToken(t.Context(), w.tenant, w.grants()); err != nil {
		t.Fatal(err)
	}
	name := w.grant(w.reader).SecretName
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader))
	for _, process := range []*consent.Service{w.service, other} { // a token is still in memory there
		_, err := process.ReadToken(t.Context(), w.tenant, w.grants())
		required(t, err, "")
	}
	g := w.grant(w.reader)
	if g.State != consent.Required || !g.Disconnected || g.SecretName != "" || g.SecretVersion != "" || g.NextStep == "" {
		t.Errorf("grant = %+v", g)
	}
	if last := g.History[len(g.History)-1]; last.From != consent.Granted || last.To != consent.Required || !last.At.Equal(w.clock()) {
		t.Errorf("the history ends with %+v", last)
	}
	w.erased(name)
	asked := w.entra.TokenRequests()["refresh_token"]
	w.advance(time.Hour)
	w.probe()
	if g := w.grant(w.reader); g.State != consent.Required || w.entra.TokenRequests()["refresh_token"] != asked {
		t.Errorf("after a probe = %s, %v", g.State, w.entra.TokenRequests())
	}
	if w.consentUser(w.reader); !w.grant(w.reader).Works() || w.grant(w.reader).Disconnected {
		t.Errorf("signed in again = %+v", w.grant(w.reader))
	}
	w.advance(time.Hour)
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader))
	w.erased(name)
}

// erased demands that one version of a secret is enabled, and that it is a marker.
func (w *world) erased(name string) {
	w.t.Helper()
	versions := w.vault.Versions(name)
	for i, v := range versions {
		if v.Enabled != (i == len(versions)-1) {
			w.t.Errorf("version %d of %d: enabled %t", i+1, len(versions), v.Enabled)
		}
	}
	value, _, err := w.secrets.Get(w.t.Context(), name)
	must(w.t, err)
	if value.Reveal() != "disconnected" {
		w.t.Error("the newest version is not the marker")
	}
}

func TestADisconnectionThatKeyVaultInterruptsIsFinishedByTheProbe(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	name := w.grant(w.reader).SecretName
	w.vault.Forbid("set")
	if err := w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader); err == nil {
		t.Error("a sign-in that could not be overwritten is called disconnected")
	}
	_, err := w.read()
	required(t, err, "")
	w.vault.Allow("set")
	w.probe()
	w.erased(name)
	if g := w.grant(w.reader); g.SecretName != "" || len(g.History) != 2 {
		t.Errorf("grant = %+v", g)
	}
}

func TestADisconnectionThatStaysUnfinishedFillsNoVault(t *testing.T) {
	for _, operation := range []string{"list", "update"} {
		t.Run(operation, func(t *testing.T) {
			w := newWorld(t)
			w.consentUser(w.reader)
			name := w.grant(w.reader).SecretName
			w.vault.Forbid(operation)
			w.advance(time.Minute)
			if err := w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader); err == nil {
				t.Error("it is called disconnected")
			}
			for range 5 {
				w.advance(time.Minute)
				_ = w.service.Probe(t.Context())
			}
			if n := len(w.vault.Versions(name)); n > 2 {
				t.Errorf("%d versions after five probes; want the sign-in and at most one marker", n)
			}
			w.vault.Allow(operation)
			w.probe()
			w.erased(name)
		})
	}
}

func TestARenewalUnderWayDoesNotBringADisconnectedSignInBack(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	stale, name := w.grants(), w.grant(w.reader).SecretName
	w.advance(8 * 24 * time.Hour) // a renewal would be stored
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader))
	if token, err := w.process(w.back).ReadToken(t.Context(), w.tenant, stale); err == nil {
		t.Errorf("a process that read the row before got a token of %s", token.Account)
	}
	w.erased(name)
	if w.grant(w.reader).State != consent.Required {
		t.Errorf("the row = %s", w.grant(w.reader).State)
	}
}

func TestADisconnectedAdminConsentStaysUnusedUntilSomebodySaysSo(t *testing.T) {
	for name, back := range map[string]func(*world){
		"used again":         func(w *world) { must(w.t, w.service.UseAgain(w.t.Context(), w.admin)) },
		"given again by us":  func(w *world) { w.consentAdmin() },
		"asked for it twice": func(w *world) { w.consentAdmin(); must(w.t, w.service.UseAgain(w.t.Context(), w.admin)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.consentAdmin()
			must(t, w.service.Disconnect(t.Context(), w.admin, consent.Admin, ""))
			for range 3 {
				w.advance(time.Minute)
				w.probe() // Microsoft still holds the consent
			}
			if g := w.grant(""); g.State != consent.Required || !g.Disconnected {
				t.Errorf("after three probes = %s", g.State)
			}
			if _, err := w.service.WriteToken(t.Context(), w.tenant, w.grants()); err == nil {
				t.Error("calls are still written")
			}
			back(w)
			if g := w.grant(""); !g.Works() || g.Disconnected {
				t.Errorf("afterwards = %+v", g)
			}
		})
	}
}

func TestADisconnectedAccountIsRememberedForThirtyDays(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader))
	w.advance(30*24*time.Hour - time.Minute)
	w.probe()
	if g := w.grant(w.reader); !g.Disconnected {
		t.Errorf("after almost thirty days = %+v", g)
	}
	w.advance(2 * time.Minute)
	w.probe()
	if g := w.grant(w.reader); g.Account.ObjectID != "" {
		t.Errorf("after thirty days = %+v", g)
	}
}

func TestADisconnectedAdminConsentStaysSoUnderAnotherClientID(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.Admin, ""))
	w.set(func() { w.integration.ClientID = "77777777-8888-4999-8aaa-bbbbbbbbbbbb" })
	for range 2 {
		w.advance(time.Minute)
		_ = w.service.Probe(t.Context())
		if g := w.grant(""); !g.Disconnected || g.State != consent.Required || !strings.Contains(g.Reason, "disconnected") || !strings.Contains(g.NextStep, "Use it again") {
			t.Errorf("grant = %s, disconnected %t: %q, %q", g.State, g.Disconnected, g.Reason, g.NextStep)
		}
	}
}

func TestADisconnectionIsFinishedAlsoUnderAnotherClientID(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	name := w.grant(w.reader).SecretName
	w.vault.Forbid("set")
	if err := w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader); err == nil {
		t.Error("a disconnection that Key Vault refuses is no failure")
	}
	w.vault.Allow("set")
	w.set(func() { w.integration.ClientID = "77777777-8888-4999-8aaa-bbbbbbbbbbbb" })
	w.advance(time.Minute)
	_ = w.service.Probe(t.Context())
	w.erased(name)
	w.advance(31 * 24 * time.Hour)
	_ = w.service.Probe(t.Context())
	if grants := w.grants(); slices.ContainsFunc(grants, func(g consent.Grant) bool { return g.Kind == consent.User }) {
		t.Errorf("after thirty days = %+v", grants)
	}
}

func TestASignInToAFormerClientIDIsKeptForAsLongAsEntraKeepsIt(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	name := w.grant(w.reader).SecretName
	w.set(func() { w.integration.ClientID = "77777777-8888-4999-8aaa-bbbbbbbbbbbb" })
	for _, row := range []struct {
		days int
		kept bool
	}{{0, true}, {89, true}, {2, false}} {
		w.advance(time.Duration(row.days) * 24 * time.Hour)
		_ = w.service.Probe(t.Context())
		versions := w.vault.Versions(name)
		if readable := versions[0].Enabled; readable != row.kept {
			t.Errorf("after %d days more it can be read: %t; want %t", row.days, readable, row.kept)
		}
	}
	w.erased(name)
}

func TestADisconnectionIsAudited(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader))
	if err := w.service.Disconnect(t.Context(), w.admin, consent.User, w.second); !errors.Is(err, consent.ErrNoGrant) {
		t.Errorf("an account that never signed in: %v", err)
	}
	var entries []string
	for change, err := range w.store.Changes(t.Context(), w.tenant) {
		must(t, err)
		entries = append(entries, change.Who+": "+change.What)
	}
	if !slices.Equal(entries, []string{w.admin + ": user consent disconnected"}) {
		t.Errorf("audit trail = %q", entries)
	}
}

package consentcallback_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
	"procallteams/internal/secret"
)

// reads does what one sync does: it takes the next grant when Graph refuses one. It
// returns the account that read, "app" for the app, "" when nobody did.
func (w *world) reads() string {
	w.t.Helper()
	for range 8 {
		token, err := w.read()
		if err != nil {
			return ""
		}
		status := w.graph(token.Value)
		if status == http.StatusOK {
			if token.Kind == consent.Admin {
				return "app"
			}
			return token.Account
		}
		must(w.t, w.service.Refused(w.t.Context(), w.tenant, token, status))
	}
	return ""
}

func TestAnAccountThatGraphAnswersWith401ForEverIsLeftAloneAndRecovers(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.advance(time.Minute)
	w.consentUser(w.second)
	w.set(func() { w.deaf = w.second })
	asked := w.entra.TokenRequests()["refresh_token"]
	for i := range 120 { // ten minutes of syncs, each minute a probe
		if i%12 == 0 {
			_ = w.service.Probe(t.Context()) // says that the account rests
		}
		if who := w.reads(); who != w.reader {
			t.Fatalf("sync %d read as %q; want the other account", i, who)
		}
		if g := w.grant(w.second); i < 12 && !g.Works() {
			t.Fatalf("after %d syncs the state is %s: a 401 comes and goes", i, g.State)
		}
		w.advance(5 * time.Second)
	}
	g := w.grant(w.second)
	if g.State != consent.Blocked || g.Code != "Unauthorized" || g.NextStep == "" {
		t.Errorf("after ten minutes = %+v", g)
	}
	if n := w.entra.TokenRequests()["refresh_token"] - asked; n > 20 {
		t.Errorf("Entra was asked for %d tokens in ten minutes", n)
	}
	w.set(func() { w.deaf = "" })
	w.advance(5 * time.Minute)
	w.probe()
	if g := w.grant(w.second); !g.Works() {
		t.Errorf("after Graph takes it again = %s", g.State)
	}
}

// A guest, say, or an account without a licence: nobody would notice before it is needed.
func TestASignInThatGraphRefusesIsNotCalledConnected(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	w.set(func() { w.barred = w.reader })
	status, page := w.consentUser(w.reader)
	if status != http.StatusOK || strings.Contains(page, ">Connected") {
		t.Errorf("ends with %d %s", status, page)
	}
	shows(t, page, "Not connected", "Graph refuses this account", "has a Teams licence")
	if g := w.grant(w.reader); g.State != consent.Blocked || g.Code != "Forbidden" || g.SecretVersion == "" {
		t.Errorf("grant = %s %s", g.State, g.Code)
	}
	w.set(func() { w.barred = "" })
	w.advance(time.Minute)
	w.probe()
	if g := w.grant(w.reader); !g.Works() {
		t.Errorf("once Graph takes it = %s", g.State)
	}
	t.Run("and replaces nobody", func(t *testing.T) {
		w.t = t
		w.set(func() { w.barred = w.second })
		b := w.browser(w.admin)
		b.land(w.visit(devEntra.Person{ObjectID: w.second}, b.begin("user")))
		if _, page := b.answer("instead", w.reader); strings.Contains(page, ">Connected") || !strings.Contains(page, "It replaces no other account") {
			t.Errorf("the answer ends with %s", page)
		}
		if !w.grant(w.reader).Works() || w.grant(w.second).State != consent.Blocked {
			t.Errorf("grants = %s, %s", w.grant(w.reader).State, w.grant(w.second).State)
		}
	})
	t.Run("unless Graph is away", func(t *testing.T) {
		w.t = t
		w.service.Read = func(context.Context, secret.Text) (int, error) { return 0, errors.New("no answer") }
		if _, page := w.consentUser(w.reader); !strings.Contains(page, ">Connected") {
			t.Errorf("ends with %s", page)
		}
	})
}

func TestA401AboutOnePersonBarsNoConsent(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	for range 60 { // five minutes of turns in which one write is answered 401
		token, err := w.service.WriteToken(t.Context(), w.tenant, w.grants())
		if err != nil {
			t.Fatal(err)
		}
		must(t, w.service.Refused(t.Context(), w.tenant, token, http.StatusUnauthorized))
		w.advance(5 * time.Second)
	}
	if g := w.grant(""); !g.Works() {
		t.Errorf("grant = %s %s", g.State, g.Code)
	}
}

func TestARoleThatGraphDoesNotSeeYetIsWaitedForFifteenMinutes(t *testing.T) {
	give := map[string]func(*world){
		"in the portal": func(w *world) { must(w.t, w.entra.GrantApplication(w.tenant, w.client)); w.probe() },
		"on our page":   func(w *world) { w.consentAdmin() },
		"again, after it was taken": func(w *world) {
			must(w.t, w.entra.GrantApplication(w.tenant, w.client))
			w.probe()
			w.advance(time.Hour)
			must(w.t, w.entra.RevokeApplication(w.tenant, w.client))
			w.probe()
			w.set(func() { w.closed = true })
			w.advance(time.Hour)
			must(w.t, w.entra.GrantApplication(w.tenant, w.client))
			w.probe()
		},
	}
	for name, give := range give {
		for after, want := range map[time.Duration]consent.State{14 * time.Minute: consent.Waiting, 17 * time.Minute: consent.Blocked} {
			t.Run(name+" "+after.String(), func(t *testing.T) {
				w := newWorld(t)
				if name != "again, after it was taken" {
					w.set(func() { w.closed = true })
				}
				w.probe()
				w.advance(time.Minute)
				give(w)
				for range int(after / time.Minute) {
					if g := w.grant(""); g.State != consent.Waiting && want == consent.Waiting {
						t.Fatalf("state = %s %s", g.State, g.Code)
					}
					w.advance(time.Minute)
					w.probe()
				}
				if g := w.grant(""); g.State != want {
					t.Errorf("after %s = %s; want %s", after, g.State, want)
				}
				w.set(func() { w.closed = false })
				w.advance(time.Minute)
				w.probe()
				if g := w.grant(""); !g.Works() || g.GivenAt.IsZero() {
					t.Errorf("once Graph sees it = %+v", g)
				}
			})
		}
	}
}

func TestAPersonsConsentThatIsRemovedIsNoticedWithinFiveMinutes(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	minutes := func(n int) {
		for range n {
			w.advance(time.Minute)
			w.probe()
		}
	}
	asked := w.entra.TokenRequests()["refresh_token"]
	minutes(60)
	if n := w.entra.TokenRequests()["refresh_token"] - asked; n < 11 || n > 13 {
		t.Errorf("%d refreshes in an hour; want one every five minutes", n)
	}
	must(t, w.entra.RevokeDelegated(w.tenant, w.client, w.reader))
	minutes(5)
	if g := w.grant(w.reader); g.State != consent.Reauthorize || g.Code != "AADSTS65001" {
		t.Errorf("five minutes after the removal = %s %s", g.State, g.Code)
	}
	if _, err := w.read(); err == nil {
		t.Error("an older token is still used")
	}
}

package consentcallback_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
)

// asked brings the second account to the page that asks what it is for.
func (w *world) asked() *browser {
	w.t.Helper()
	w.consentUser(w.reader)
	b := w.browser(w.admin)
	b.land(w.visit(devEntra.Person{ObjectID: w.second}, b.begin("user")))
	return b
}

func TestAnotherAccountIsUsedAsWellInsteadOrForgotten(t *testing.T) {
	for _, row := range []struct {
		answer         string
		reader, second consent.State
		page           string
	}{
		{"add", consent.Granted, consent.Granted, "Connected"},
		{"instead", consent.Required, consent.Granted, "Connected"},
		{"forget", consent.Granted, consent.Required, "This account is not used"},
	} {
		t.Run(row.answer, func(t *testing.T) {
			w := newWorld(t)
			b := w.asked()
			names := map[string]string{w.reader: w.grant(w.reader).SecretName, w.second: w.grant(w.second).SecretName}
			status, page := b.answer(row.answer, w.reader)
			if status != 200 || !strings.Contains(page, row.page) {
				t.Errorf("ends with %d %s", status, page)
			}
			for account, want := range map[string]consent.State{w.reader: row.reader, w.second: row.second} {
				g := w.grant(account)
				if g.State != want {
					t.Errorf("%s = %s; want %s", account, g.State, want)
				}
				if want == consent.Required {
					w.erased(names[account])
				}
			}
			if _, err := w.read(); err != nil {
				t.Errorf("reading: %v", err)
			}
			// The same page once more changes nothing.
			again := b.get("/api/consent/user/callback?" + strings.SplitN(b.visited[len(b.visited)-1], "?", 2)[1])
			if again.StatusCode != 200 || !strings.Contains(b.last(), row.page) {
				t.Errorf("a reload = %d", again.StatusCode)
			}
		})
	}
}

func TestAnAccountReplacesItselfNever(t *testing.T) {
	w := newWorld(t)
	b := w.asked()
	if status, page := b.answer("instead", w.second); status != 200 || !strings.Contains(page, "Is this the right account?") {
		t.Errorf("the answer ends with %d %s", status, page)
	}
	if g := w.grant(w.second); g.State != consent.Unconfirmed || g.Disconnected {
		t.Errorf("the account = %s, disconnected %t", g.State, g.Disconnected)
	}
}

func TestAPersonWhoWasDeletedAndCreatedAnewIsAnotherAccountAndNamedAsSuch(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	must(t, w.entra.RemoveUser(w.reader))
	anew := uuid.NewString()
	must(t, w.entra.AddUser(devEntra.User{TenantID: w.tenant, ObjectID: anew, UPN: "rita@contoso.com", Name: "Rita Reader"}))
	w.advance(2 * time.Hour)
	_, err := w.read()
	required(t, err, "AADSTS50034")
	b := w.browser(w.admin)
	status, page := b.land(w.visit(devEntra.Person{ObjectID: anew}, b.begin("user?account="+w.reader)))
	if status != 200 {
		t.Errorf("renewing it ends with %d", status)
	}
	shows(t, page, "Is this the right account?", "deleted and created anew", anew, "Use it instead of the former Rita Reader")
	if g := w.grant(w.reader); g.State != consent.Reauthorize {
		t.Errorf("the former account = %s", g.State)
	}
	if _, page = b.answer("instead", w.reader); !strings.Contains(page, "Connected") {
		t.Errorf("the answer ends with %s", page)
	}
	if token, err := w.read(); err != nil || token.Account != anew || !w.grant(w.reader).Disconnected {
		t.Errorf("reading goes on as %s, %v", token.Account, err)
	}
}

func TestAnAccountThatNobodyConfirmsIsForgotten(t *testing.T) {
	w := newWorld(t)
	b := w.asked()
	name := w.grant(w.second).SecretName
	w.advance(14 * time.Minute)
	w.probe()
	if g := w.grant(w.second); g.State != consent.Unconfirmed {
		t.Errorf("after 14 minutes = %s", g.State)
	}
	w.advance(2 * time.Minute)
	if _, page := b.answer("add", ""); w.grant(w.second).State != consent.Unconfirmed || strings.Contains(page, "Connected") || !strings.Contains(page, "nobody confirmed within 15 minutes") {
		t.Errorf("an answer after 16 minutes = %s", w.grant(w.second).State)
	}
	w.probe()
	if g := w.grant(w.second); g.State != consent.Required || !strings.Contains(g.Reason, "nobody confirmed") || len(g.History) != 2 {
		t.Errorf("after 16 minutes = %+v", g)
	}
	w.erased(name)
	if !w.grant(w.reader).Works() {
		t.Error("the account before suffered")
	}
	w.advance(31 * 24 * time.Hour)
	_ = w.service.Probe(t.Context())
	if g := w.grant(w.second); g.Account.UPN != "" {
		t.Errorf("a month later its name is still stored: %+v", g)
	}
}

func TestOnlyTheAdministratorWhoBeganConfirmsAndOnlyFromOurPage(t *testing.T) {
	w := newWorld(t)
	b := w.asked()
	to := asking.FindStringSubmatch(b.last())[1]
	add := url.Values{"answer": {"add"}}
	if response := w.browser(w.second).send(post(to, add), false); response.StatusCode != http.StatusBadRequest {
		t.Errorf("another administrator = %d", response.StatusCode)
	}
	if response := b.send(post(to, add), true); response.StatusCode != http.StatusForbidden {
		t.Errorf("another site = %d", response.StatusCode)
	}
	stranger := w.browser(w.admin)
	delete(stranger.cookies, sessionCookie)
	if response := stranger.send(post(to, add), false); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody = %d", response.StatusCode)
	}
	for name, form := range map[string]url.Values{"nothing": {}, "another word": {"answer": {"yes"}}} {
		if response := b.send(post(to, form), false); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s = %d", name, response.StatusCode)
		}
	}
	if g := w.grant(w.second); g.State != consent.Unconfirmed {
		t.Errorf("state = %s", g.State)
	}
}

func TestConnectAnotherPersonUsesTheAccountAsWellWithoutAsking(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	b := w.browser(w.admin)
	_, page := b.land(w.visit(devEntra.Person{ObjectID: w.second}, b.begin("user?another=1")))
	if !strings.Contains(page, "Connected") || strings.Contains(page, "Is this the right account?") || !w.grant(w.second).Works() || !w.grant(w.reader).Works() {
		t.Errorf("the button ends with %s", page)
	}
	t.Run("a link on another site", func(t *testing.T) {
		w := newWorld(t)
		w.consentUser(w.reader)
		b := w.browser(w.admin)
		address := b.send(httptest.NewRequest(http.MethodGet, public+"/api/consent/user?another=1", nil), true).Header.Get("Location")
		b.land(w.visit(devEntra.Person{ObjectID: w.second}, address))
		if state := w.grant(w.second).State; state != consent.Unconfirmed {
			t.Errorf("the account is %s; want it to be asked about", state)
		}
	})
	t.Run("a renewal", func(t *testing.T) {
		w := newWorld(t)
		w.consentUser(w.reader)
		b := w.browser(w.admin)
		b.land(w.visit(devEntra.Person{ObjectID: w.second}, b.begin("user?another=1&account="+w.reader)))
		if state := w.grant(w.second).State; state != consent.Unconfirmed {
			t.Errorf("the account is %s; want it to be asked about", state)
		}
	})
}

func TestRenewingAnAccountAsksForThatOne(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	must(t, w.entra.RevokeSessions(w.reader))
	w.advance(2 * time.Hour)
	_, err := w.read()
	required(t, err, "AADSTS50173")
	b := w.browser(w.admin)
	address := b.begin("user?account=" + w.reader)
	if q := query(t, address); q.Get("login_hint") != "rita@contoso.com" || q.Has("prompt") {
		t.Errorf("asked for %q, prompt %q", q.Get("login_hint"), q.Get("prompt"))
	}
	if status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader}, address)); status != 200 || !strings.Contains(page, "Connected") || !w.grant(w.reader).Works() {
		t.Errorf("renewed = %d %s", status, page)
	}
	t.Run("another account comes back", func(t *testing.T) {
		status, page := b.land(w.visit(devEntra.Person{ObjectID: w.second}, b.begin("user?account="+w.reader)))
		if status != 200 || !strings.Contains(page, "Is this the right account?") || w.grant(w.second).State != consent.Unconfirmed {
			t.Errorf("ends with %d %s", status, page)
		}
	})
	t.Run("an account that nobody knows", func(t *testing.T) {
		if response := b.get("/api/consent/user?account=11111111-2222-4333-8444-555555555555"); response.StatusCode != http.StatusNotFound || !strings.Contains(b.last(), "not known here") {
			t.Errorf("= %d %s", response.StatusCode, b.last())
		}
	})
}

func TestAnAddressThatNamesNoConsentIsAnsweredInTheAskersForm(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	for _, path := range []string{"/api/consent/nonsense", "/api/consent/nonsense/callback"} {
		if response := b.get(path); response.StatusCode != http.StatusNotFound || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") || !strings.Contains(b.last(), "There is no such consent") {
			t.Errorf("%s = %d %s", path, response.StatusCode, b.last())
		}
		program := httptest.NewRecorder()
		w.handler.ServeHTTP(program, httptest.NewRequest(http.MethodGet, public+path, nil))
		if program.Code != http.StatusNotFound || program.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("a program gets %d %s", program.Code, program.Body)
		}
	}
}

func TestAnUnconfirmedAccountDoesNotComeBackWithItsClientID(t *testing.T) {
	w := newWorld(t)
	w.asked()
	name := w.grant(w.second).SecretName
	for _, client := range []string{"77777777-8888-4999-8aaa-bbbbbbbbbbbb", w.client} {
		w.set(func() { w.integration.ClientID = client })
		w.advance(time.Minute)
		_ = w.service.Probe(t.Context())
	}
	if g := w.grant(w.second); g.State != consent.Required || !g.Disconnected {
		t.Errorf("state = %s; want it forgotten", g.State)
	}
	w.erased(name)
	if !w.grant(w.reader).Works() {
		t.Error("the account that was in use did not come back")
	}
}

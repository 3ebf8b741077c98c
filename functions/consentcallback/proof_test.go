package consentcallback_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
)

// check tries one grant as the check does, the admin grant for an empty account, and
// returns Graph's status, 0 when there was no token.
func (w *world) check(account string) (int, error) {
	w.t.Helper()
	proof, err := w.service.ProveApp(w.t.Context())
	if account != "" {
		proof, err = w.service.ProvePerson(w.t.Context(), w.tenant, w.grant(account))
	}
	if err != nil {
		return 0, err
	}
	return w.service.ProveAtGraph(w.t.Context(), proof)
}

// What a check says about a consent is what status says right afterwards.
func TestWhatACheckFindsOutStandsInTheGrant(t *testing.T) {
	for _, row := range []struct {
		name    string
		account func(*world) string // nil: the admin grant
		spoil   func(*world) error
		mend    func(*world) error
		state   consent.State
		code    string
	}{
		{
			"the client secret expires", nil,
			func(w *world) error { return w.entra.ExpireSecrets(w.tenant, w.client) },
			func(w *world) error { return w.entra.RenewSecrets(w.tenant, w.client) },
			consent.Reauthorize, "AADSTS7000222",
		},
		{
			"the permission is removed in the portal", nil,
			func(w *world) error { return w.entra.RevokeApplication(w.tenant, w.client) },
			func(w *world) error { return w.entra.GrantApplication(w.tenant, w.client) },
			consent.Reauthorize, "",
		},
		{
			"Graph closes to the app", nil,
			func(w *world) error { w.set(func() { w.closed = true }); return nil },
			func(w *world) error { w.set(func() { w.closed = false }); return nil },
			consent.Blocked, "Forbidden",
		},
		{
			"the account is disabled", func(w *world) string { return w.reader },
			func(w *world) error { return w.entra.Disable(w.reader) },
			func(w *world) error { return w.entra.Enable(w.reader) },
			consent.Reauthorize, "AADSTS50057",
		},
		{
			"Graph closes to the account", func(w *world) string { return w.reader },
			func(w *world) error { w.set(func() { w.barred = w.reader }); return nil },
			func(w *world) error { w.set(func() { w.barred = "" }); return nil },
			consent.Blocked, "Forbidden",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.consentUser(w.reader)
			w.consentAdmin()
			w.advance(20 * time.Minute)
			account := ""
			if row.account != nil {
				account = row.account(w)
			}
			before := w.grant(account)
			must(t, row.spoil(w))
			if status, err := w.check(account); err == nil && status == http.StatusOK {
				t.Fatal("the check finds nothing")
			}
			g := w.grant(account)
			if g.State != row.state || g.Code != row.code || !g.CheckedAt.Equal(w.clock()) || len(g.History) != len(before.History)+1 {
				t.Errorf("grant = %s %s, checked %s, history %+v; want %s %s at once", g.State, g.Code, g.CheckedAt, g.History, row.state, row.code)
			}
			if line := `"msg":"consent changed","grant":"` + string(g.Kind) + `","account":"` + account + `","state":"` + string(row.state) + `"`; strings.Count(w.log.String(), line) != 1 {
				t.Errorf("the log does not say once %s", line)
			}
			w.advance(time.Minute)
			w.probe() // which finds the same, and says nothing new
			if again := w.grant(account); again.State != g.State || len(again.History) != len(g.History) {
				t.Errorf("a probe says %s, history %+v", again.State, again.History)
			}
			must(t, row.mend(w))
			w.advance(time.Second)
			if status, err := w.check(account); err != nil || status != http.StatusOK {
				t.Errorf("once that is cured the check says %d, %v", status, err)
			}
			if g := w.grant(account); !g.Works() || g.Code != "" {
				t.Errorf("once that is cured the grant is %s %s", g.State, g.Code)
			}
		})
	}
}

func TestACheckThatMeetsTroubleMarksNothing(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.consentAdmin()
	w.advance(20 * time.Minute)
	for name, trouble := range map[string]devEntra.Fault{
		"throttled":          {Kind: devEntra.FaultThrottle, RetryAfter: time.Minute},
		"an outage":          {Kind: devEntra.FaultOutage},
		"a page of a proxy":  {Kind: devEntra.FaultGateway},
		"a doubtful refusal": {Kind: devEntra.FaultRefuse, Number: 70000, Grant: "refresh_token"},
	} {
		trouble.Endpoint = devEntra.EndpointToken
		must(t, w.entra.Inject(trouble))
		for _, account := range []string{"", w.reader} {
			if trouble.Grant != "" && account == "" {
				continue
			}
			for range 2 {
				if _, err := w.check(account); err == nil {
					t.Errorf("%s: the check hides it", name)
				}
			}
		}
		w.undisturbed(name)
		w.entra.ClearFaults()
	}
	w.set(func() { w.deaf = w.reader }) // Graph answers 401, as it does now and then
	for range 2 {
		if status, err := w.check(w.reader); status != http.StatusUnauthorized || err != nil {
			t.Errorf("the check says %d, %v", status, err)
		}
	}
	w.undisturbed("a 401 of Graph's")
}

// A consent that was given in the portal is found by the check as well.
func TestACheckFindsAConsentGivenInThePortal(t *testing.T) {
	w := newWorld(t)
	if status, err := w.check(""); err != nil || status == http.StatusOK {
		t.Errorf("before any consent the check says %d, %v", status, err)
	}
	if g := w.grant(""); g.State != consent.Required {
		t.Errorf("before any consent = %s", g.State)
	}
	w.advance(time.Second)
	must(t, w.entra.GrantApplication(w.tenant, w.client))
	if status, err := w.check(""); err != nil || status != http.StatusOK {
		t.Errorf("the check says %d, %v", status, err)
	}
	if g := w.grant(""); g.State != consent.Granted {
		t.Errorf("grant = %s %s", g.State, g.Reason)
	}
	if token, err := w.read(); err != nil || token.Kind != consent.Admin {
		t.Errorf("ReadToken = %s, %v", token.Kind, err)
	}
}

func TestACheckLeavesADisconnectedConsentOutOfUse(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.Admin, ""))
	before := w.grant("")
	w.advance(time.Minute)
	if _, err := w.check(""); err != nil {
		t.Fatal(err)
	}
	if g := w.grant(""); g.State != consent.Required || !g.Disconnected || len(g.History) != len(before.History) {
		t.Errorf("grant = %s, disconnected %t, history %+v", g.State, g.Disconnected, g.History)
	}
	if _, err := w.read(); err == nil {
		t.Error("the bridge uses it again")
	}
	must(t, w.entra.ExpireSecrets(w.tenant, w.client))
	if _, err := w.check(""); err == nil {
		t.Error("the credential is not proven any more")
	}
}

// Somebody disconnects while the check waits for Graph.
func TestACheckThatIsSlowOverrulesNobody(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	w.advance(time.Minute)
	proof, err := w.service.ProveApp(t.Context())
	must(t, err)
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.Admin, ""))
	if _, err := w.service.ProveAtGraph(t.Context(), proof); err != nil {
		t.Fatal(err)
	}
	if g := w.grant(""); g.Works() || !g.Disconnected {
		t.Errorf("grant = %s, disconnected %t", g.State, g.Disconnected)
	}
}

package consentcallback_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
)

func TestAStartDuringAnOutageSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointDiscovery, Kind: devEntra.FaultOutage}))
	if response := b.get("/api/consent/user"); response.StatusCode != http.StatusBadGateway || len(b.trips()) != 0 {
		t.Errorf("without Entra = %d, %d trips", response.StatusCode, len(b.trips()))
	}
	shows(t, b.last(), "This did not work", "Microsoft Entra is in trouble", "AADSTS90033", "Wait a minute, then try again.", "a sign-in is to be started again")
	w.entra.ClearFaults()
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	w.service.Flows = mortalFlows{w.service.Flows, &fate{call: 1, err: errors.New("storage does not answer")}}
	if response := b.arrive(back); response.StatusCode != http.StatusBadGateway {
		t.Errorf("without storage = %d", response.StatusCode)
	}
	shows(t, b.last(), "The bridge could not finish the consent: storage does not answer.", "Wait a minute, then try again", "whoever runs the function app")
	w.restart(nil)
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("reloaded = %d %s", status, page)
	}
}

func TestATripIsForgottenAfterADay(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	b.land(w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user")))
	outcome := strings.TrimPrefix(b.visited[len(b.visited)-1], public)
	for _, row := range []struct {
		later  time.Duration
		status int
	}{{23 * time.Hour, http.StatusOK}, {2 * time.Hour, http.StatusBadRequest}} {
		w.advance(row.later)
		w.probe()
		b.signIn(w.admin)
		if response := b.get(outcome); response.StatusCode != row.status {
			t.Errorf("%s later = %d; want %d", row.later, response.StatusCode, row.status)
		}
	}
}

func TestAnAdminConsentThatIsGivenAgainDuringAnOutageIsNotCalledConnected(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	w.advance(time.Hour)
	w.probe()
	must(t, w.entra.RevokeApplication(w.tenant, w.client))
	w.advance(5 * time.Second)
	must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: devEntra.FaultThrottle, RetryAfter: time.Minute}))
	b := w.browser(w.admin)
	status, page := b.land(w.visit(devEntra.Person{ObjectID: w.admin}, b.begin("admin")))
	if status != 200 || strings.Contains(page, ">Connected") {
		t.Errorf("ends with %d %s", status, page)
	}
	shows(t, page, "Not looked at yet", "could not look at it yet (Microsoft Entra throttles this app)", `http-equiv="refresh"`)
	outcome, asked := strings.TrimPrefix(b.visited[len(b.visited)-1], public), w.entra.Requests(devEntra.EndpointToken)
	for range 10 {
		w.advance(5 * time.Second)
		b.get(outcome)
	}
	if n := w.entra.Requests(devEntra.EndpointToken) - asked; n > 0 {
		t.Errorf("the page asked Entra %d times while it wants a pause", n)
	}
	w.entra.ClearFaults()
	w.advance(time.Minute)
	b.get(outcome)
	shows(t, b.last(), ">Connected")
	if g := w.grant(""); !g.Works() || !g.CheckedAt.Equal(w.clock()) {
		t.Errorf("grant = %s, proven at %s", g.State, g.CheckedAt)
	}
}

// TestACallbackDuringAnOutageNeverClaimsTooMuch: storage, or Key Vault, goes away at any
// moment of a callback, with what was asked for last done or not, and comes back later.
func TestACallbackDuringAnOutageNeverClaimsTooMuch(t *testing.T) {
	outage := errors.New("the service does not answer (outage)")
	for name, stricken := range map[string]func(*consent.Service, *fate){
		"storage": func(s *consent.Service, f *fate) {
			s.Flows, s.Grants = mortalFlows{s.Flows, f}, mortalGrants{s.Grants, f}
		},
		"Key Vault": func(s *consent.Service, f *fate) { s.Vault = mortalVault{s.Vault, f} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var account, page string
			var b *browser
			var back devEntra.Callback
			w.everyFateOf(outage, func(f *fate) {
				account = uuid.NewString()
				must(t, w.entra.AddUser(devEntra.User{TenantID: w.tenant, ObjectID: account, UPN: account + "@contoso.com", Name: "Somebody New"}))
				b = w.browser(w.admin)
				back = w.visit(devEntra.Person{ObjectID: account}, b.begin("user?another=1"))
				w.restart(nil)
				stricken(w.service, f)
				b.arrive(back)
				page = b.last()
			}, func(when string) {
				t.Helper()
				if strings.Contains(page, ">Connected") && !w.grant(account).Works() {
					t.Errorf("%s: the page claims %s", when, page)
				}
				before := w.redemptions()
				w.advance(3 * time.Minute)
				status, page := b.land(back) // the person presses reload when the outage is over
				connected := strings.Contains(page, ">Connected")
				if connected && !w.grant(account).Works() || !connected && !strings.Contains(page, "tart again") {
					t.Errorf("%s: reloaded, the page says %d %s", when, status, page)
				}
				if n := w.redemptions() - before; n > 1 || n == 1 && !connected {
					t.Errorf("%s: the reload redeemed %d codes, and ends with %s", when, n, page)
				}
				if status, page := w.consentUser(account); status != 200 || !strings.Contains(page, "Connected") {
					t.Errorf("%s: starting again ends with %d %s", when, status, page)
				}
				w.inForce(when, account)
			})
		})
	}
}

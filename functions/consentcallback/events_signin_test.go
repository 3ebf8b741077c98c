package consentcallback_test

import (
	"errors"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
)

// stuck clicks until a page of Microsoft's leads nowhere, and returns its number.
func (w *world) stuck(person devEntra.Person, address string) int {
	w.t.Helper()
	_, err := person.Visit(w.t.Context(), address)
	page, ok := errors.AsType[*devEntra.PageError](err)
	if !ok {
		w.t.Fatalf("the way ends with %v; want a page of Microsoft's", err)
	}
	return page.Number
}

// TestASignInThatMicrosoftHoldsChangesNothing: no callback comes, so that nothing is
// known but what was known before, and the next start is as good as the first.
func TestASignInThatMicrosoftHoldsChangesNothing(t *testing.T) {
	for name, row := range map[string]struct {
		prepare, cure func(*world) error
		person        func(*world) devEntra.Person
		number        int
	}{
		"users may not consent": {
			func(w *world) error { return w.entra.SetUserConsentPolicy(w.tenant, false, false) },
			func(w *world) error { return w.entra.SetUserConsentPolicy(w.tenant, true, false) }, nil, 90094,
		},
		"the app is found risky": {
			func(w *world) error { return w.entra.SetRisky(w.tenant, w.client, true) },
			func(w *world) error { return w.entra.SetRisky(w.tenant, w.client, false) }, nil, 900941,
		},
		"assignment is required": {
			func(w *world) error { return w.entra.RequireAssignment(w.tenant, w.client, w.admin) },
			func(w *world) error { return w.entra.RequireAssignment(w.tenant, w.client) }, nil, 50105,
		},
		"Conditional Access blocks": {
			func(w *world) error { return w.entra.ConditionalAccess(w.reader, true) },
			func(w *world) error { return w.entra.ConditionalAccess(w.reader, false) }, nil, 53003,
		},
		"the account is disabled": {
			func(w *world) error { return w.entra.Disable(w.reader) },
			func(w *world) error { return w.entra.Enable(w.reader) }, nil, 50057,
		},
		"the redirect URIs are missing": {
			func(w *world) error { return w.entra.RemoveRedirectURIs(w.tenant, w.client, true) },
			func(w *world) error { return w.entra.RemoveRedirectURIs(w.tenant, w.client, false) }, nil, 50011,
		},
		"the app registration is gone": {
			func(w *world) error { return w.entra.RemoveApp(w.tenant, w.client) },
			func(w *world) error { return w.entra.RestoreApp(w.tenant, w.client) }, nil, 700016,
		},
		"an account of another tenant": {
			func(w *world) error {
				must(w.t, w.entra.AddTenant(devEntra.Tenant{ID: "fab00000-0000-4000-8000-000000000001", Domain: "fabrikam.com"}))
				return w.entra.AddUser(devEntra.User{TenantID: "fab00000-0000-4000-8000-000000000001", ObjectID: "fab00000-0000-4000-8000-000000000101", UPN: "eva@fabrikam.com"})
			}, func(*world) error { return nil },
			func(*world) devEntra.Person {
				return devEntra.Person{ObjectID: "fab00000-0000-4000-8000-000000000101"}
			}, 50020,
		},
		"the way back is lost": {
			func(w *world) error { w.entra.SuppressCallback(true); return nil },
			func(w *world) error { w.entra.SuppressCallback(false); return nil }, nil, 0,
		},
		"the person has no second factor": {
			func(w *world) error { return w.entra.RequireRegistration(w.reader) },
			func(w *world) error { return nil },
			func(w *world) devEntra.Person { return devEntra.Person{ObjectID: w.reader, WithoutFactor: true} }, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.consentUser(w.second) // stands all the while
			person := devEntra.Person{ObjectID: w.reader}
			b := w.browser(w.admin)
			start := b.begin("user")
			must(t, row.prepare(w))
			if row.person != nil {
				person = row.person(w)
			}
			if number := w.stuck(person, start); number != row.number {
				t.Errorf("stuck at AADSTS%d; want AADSTS%d", number, row.number)
			}
			w.advance(11 * time.Minute)
			if g := w.grant(w.reader); g.State != "" {
				t.Errorf("the reader's grant = %s", g.State)
			}
			if g := w.grant(w.second); !g.Works() || len(g.History) != 1 {
				t.Errorf("the other grant = %s, history %+v", g.State, g.History)
			}
			must(t, row.cure(w))
			if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
				t.Errorf("starting again ends with %d %s", status, page)
			}
		})
	}
}

func TestAPersonWhoComesBackWithoutApprovalReadsWhoMustConsent(t *testing.T) {
	for name, row := range map[string]struct {
		prepare func(*world) error
		code    string
		step    string
	}{
		"users may not consent": {func(w *world) error { return w.entra.SetUserConsentPolicy(w.tenant, false, false) }, "AADSTS90094", "Let an administrator of the tenant open this consent"},
		"users may ask":         {func(w *world) error { return w.entra.SetUserConsentPolicy(w.tenant, false, true) }, "AADSTS90095", "Admin consent requests"},
		"the app is risky":      {func(w *world) error { return w.entra.SetRisky(w.tenant, w.client, true) }, "AADSTS900941", "Let an administrator of the tenant open this consent"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			must(t, row.prepare(w))
			b := w.browser(w.admin)
			status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader, Return: true}, b.begin("user")))
			if status != 200 || !strings.Contains(page, row.code) || !strings.Contains(page, row.step) || strings.Contains(page, "Report this") {
				t.Errorf("ends with %d %s", status, page)
			}
			// An administrator consents for everyone; the person then signs in.
			if status, page := w.consentAdmin(); status != 200 || !strings.Contains(page, "Connected") {
				t.Errorf("admin consent ends with %d %s", status, page)
			}
			if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
				t.Errorf("the reader's sign-in ends with %d %s", status, page)
			}
			reported, err := w.service.Report(t.Context())
			must(t, err)
			for _, g := range reported {
				if !g.Works() {
					t.Errorf("a grant is left behind: %s %s", g.State, g.Code)
				}
			}
		})
	}
}

func TestARequestThatIsApprovedLetsThePersonConnect(t *testing.T) {
	w := newWorld(t)
	must(t, w.entra.SetUserConsentPolicy(w.tenant, false, true))
	b := w.browser(w.admin)
	w.stuck(devEntra.Person{ObjectID: w.reader, Request: true}, b.begin("user"))
	must(t, w.entra.ApproveRequests(w.tenant, w.client))
	if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("after the approval: %d %s", status, page)
	}
}

func TestASignInThatOnlyTheServersAddressFailsIsNamed(t *testing.T) {
	for _, word := range []string{"interaction_required", "invalid_grant"} {
		w := newWorld(t)
		must(t, w.entra.BlockServers(w.reader, true))
		w.entra.SetBlockedWord(word)
		status, page := w.consentUser(w.reader)
		if status != 200 || !strings.Contains(page, "Not connected") || !strings.Contains(page, "AADSTS53003") || !strings.Contains(page, "outbound address") || w.grant(w.reader).Works() {
			t.Errorf("%s: ends with %d %s", word, status, page)
		}
		reported, err := w.service.Report(t.Context())
		must(t, err)
		if g := reported[len(reported)-1]; g.Kind != consent.User || g.State != consent.Blocked || g.Code != "AADSTS53003" || g.TraceID == "" {
			t.Errorf("%s: user grant = %s %s, trace %q", word, g.State, g.Code, g.TraceID)
		}
		must(t, w.entra.BlockServers(w.reader, false))
		if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
			t.Errorf("%s: unblocked: %d %s", word, status, page)
		}
	}
}

// again is the link to a new attempt on the page where one ended.
var again = regexp.MustCompile(`href="(/api/consent/user[^"]*)">Start again`)

func TestAClaimsChallengeIsAnsweredByTheNextAttempt(t *testing.T) {
	w := newWorld(t)
	must(t, w.entra.ChallengeClaims(w.reader, true))
	b := w.browser(w.admin)
	status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user")))
	link := again.FindStringSubmatch(page)
	if status != 200 || !strings.Contains(page, "AADSTS50076") || link == nil {
		t.Fatalf("the first attempt ends with %d %s", status, page)
	}
	next := func(b *browser) string {
		return b.get(html.UnescapeString(link[1])).Header.Get("Location")
	}
	if query(t, next(w.browser(w.second))).Has("claims") {
		t.Error("another administrator's attempt carries them too")
	}
	if status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader}, next(b))); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("the next attempt ends with %d %s", status, page)
	}
	// A policy that comes later is told to a refresh.
	must(t, w.entra.ChallengeClaims(w.reader, true))
	w.advance(2 * time.Hour)
	_, err := w.read()
	required(t, err, "AADSTS50076")
	b.signIn(w.admin) // the session has ended
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user?account="+w.reader))
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("the renewal ends with %d %s", status, page)
	}
	if g := w.grant(w.reader); !g.Works() || g.Claims != "" {
		t.Errorf("grant = %s with claims %q", g.State, g.Claims)
	}
	if _, err := w.read(); err != nil {
		t.Errorf("ReadToken = %v", err)
	}
}

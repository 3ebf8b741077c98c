package entra_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"procallteams/dev/entra"
)

func TestAPasswordThatChangesOrExpiresLeavesRefreshTokensAlive(t *testing.T) {
	for name, do := range map[string]func(*world) error{
		"changed":              func(c *world) error { return c.ChangePassword(adaID) },
		"reset by the person":  func(c *world) error { return c.SelfServiceReset(adaID) },
		"expired":              func(c *world) error { return c.ExpirePassword(adaID) },
		"reset in Azure":       func(c *world) error { return c.ResetPasswordInAzure(adaID) },
		"reset in Entra":       func(c *world) error { return c.ResetPassword(adaID) },
		"sessions are revoked": func(c *world) error { return c.RevokeSessions(adaID) },
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			token := c.signIn().RefreshToken
			if err := do(c); err != nil {
				t.Fatal(err)
			}
			got := c.refresh(token)
			if name == "reset in Entra" || name == "sessions are revoked" {
				wantRefusal(t, got, 400, "invalid_grant", 50173)
			} else if got.status != http.StatusOK {
				t.Errorf("refresh: %s", got.raw)
			}
		})
	}
}

func TestANewPasswordIsWantedAtTheNextSignInOnly(t *testing.T) {
	c := start(t)
	if err := c.ExpirePassword(adaID); err != nil {
		t.Fatal(err)
	}
	if got := c.stuck(entra.Person{ObjectID: adaID, WithoutFactor: true}, c.authorizeURL()); got != 0 {
		t.Errorf("stuck at AADSTS%d; want the page for a new password", got)
	}
	c.signIn()
	if back := c.visit(entra.Person{ObjectID: adaID, WithoutFactor: true}, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("the second sign-in: %v", back)
	}
}

func TestADemandedSecondFactorIsRefusedAsWhatItIs(t *testing.T) {
	for number, row := range map[int]struct {
		do   func(*world) error
		word string
	}{
		50076: {func(c *world) error { return c.RequireMFA(adaID) }, "interaction_required"},
		50078: {func(c *world) error { return c.AgeMFA(adaID) }, "invalid_grant"},
		50079: {func(c *world) error { return c.RequireRegistration(adaID) }, "interaction_required"},
		70043: {func(c *world) error { return c.EndSignInFrequency(adaID) }, "invalid_grant"},
	} {
		c := start(t)
		token := c.signIn().RefreshToken
		if err := row.do(c); err != nil {
			t.Fatal(err)
		}
		got := c.refresh(token)
		wantRefusal(t, got, 400, row.word, number)
		if number != 70043 && (got.Suberror != "basic_action" || !json.Valid([]byte(got.Claims))) {
			t.Errorf("%d: suberror %q, claims %q", number, got.Suberror, got.Claims)
		}
		if number != 70043 && c.stuck(entra.Person{ObjectID: adaID, WithoutFactor: true}, c.authorizeURL()) != 0 {
			t.Errorf("%d: the sign-in asks for no second factor", number)
		}
		if got := c.refresh(c.signIn().RefreshToken); got.status != http.StatusOK {
			t.Errorf("%d: after a new sign-in: %s", number, got.raw)
		}
		if err := c.DropDemands(adaID); err != nil {
			t.Fatal(err)
		}
		if got := c.refresh(token); got.status != http.StatusOK {
			t.Errorf("%d: the first sign-in after the policy is gone: %s", number, got.raw)
		}
	}
}

func TestAClaimsChallengeIsAnsweredByASignInThatCarriesTheClaims(t *testing.T) {
	c := start(t)
	token := c.signIn().RefreshToken
	if err := c.ChallengeClaims(adaID, true); err != nil {
		t.Fatal(err)
	}
	code := func(changes ...string) answer {
		return c.redeem(c.visit(ada, c.authorizeURL(changes...)).Get("code"))
	}
	fresh := code()
	wantRefusal(t, fresh, 400, "interaction_required", 50076)
	wantRefusal(t, c.refresh(token), 400, "interaction_required", 50076)
	got := code("claims", fresh.Claims)
	if got.status != http.StatusOK || c.refresh(got.RefreshToken).status != http.StatusOK {
		t.Errorf("with the claims: %s", got.raw)
	}
	wantRefusal(t, code("claims", `{"access_token":{}}`), 400, "interaction_required", 50076)
	if back := c.visit(ada, c.authorizeURL("claims", "{")); back.Get("error") != "invalid_request" {
		t.Errorf("unreadable claims: %v", back)
	}
	if err := c.ChallengeClaims(adaID, false); err != nil {
		t.Fatal(err)
	}
	if got := c.refresh(token); got.status != http.StatusOK {
		t.Errorf("after the policy is gone: %s", got.raw)
	}
}

func TestAPolicyOnLocationsLetsThePersonInAndRefusesTheApp(t *testing.T) {
	for number, do := range map[int]func(*world, bool) error{
		53003: func(c *world, on bool) error { return c.BlockServers(adaID, on) },
		53000: func(c *world, on bool) error { return c.RequireDevice(adaID, on) },
	} {
		c := start(t)
		token := c.signIn().RefreshToken
		if err := do(c, true); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, c.refresh(token), 400, "interaction_required", number)
		wantRefusal(t, c.redeem(c.visit(ada, c.authorizeURL()).Get("code")), 400, "interaction_required", number)
		c.SetBlockedWord("invalid_grant")
		got := c.refresh(token)
		wantRefusal(t, got, 400, "invalid_grant", number)
		if got.Suberror != "" {
			t.Errorf("suberror %q beside invalid_grant", got.Suberror)
		}
		if err := do(c, false); err != nil {
			t.Fatal(err)
		}
		if got := c.refresh(token); got.status != http.StatusOK {
			t.Errorf("%d: unblocked: %s", number, got.raw)
		}
	}
}

func TestWhatWasDeletedCanBeRestoredForThirtyDays(t *testing.T) {
	for name, row := range map[string]struct {
		remove, restore func(*world) error
		status, number  int
		word            string
	}{
		"account": {func(c *world) error { return c.RemoveUser(adaID) }, func(c *world) error { return c.RestoreUser(adaID) }, 400, 50034, "invalid_grant"},
		"registration": {func(c *world) error { return c.RemoveApp(tenantID, clientID) }, func(c *world) error { return c.RestoreApp(tenantID, clientID) },
			400, 700016, "unauthorized_client"},
		"enterprise application": {func(c *world) error { return c.RemovePrincipal(tenantID, clientID) }, func(c *world) error { return c.RestorePrincipal(tenantID, clientID) },
			401, 7000229, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			token := c.signIn().RefreshToken
			if row.restore(c) == nil {
				t.Error("what is there was restored")
			}
			for _, days := range []int{29, 31} {
				if err := row.remove(c); err != nil {
					t.Fatal(err)
				}
				if row.remove(c) == nil {
					t.Error("deleted twice")
				}
				wantRefusal(t, c.refresh(token), row.status, row.word, row.number)
				c.advance(time.Duration(days) * 24 * time.Hour)
				err := row.restore(c)
				if (err == nil) != (days < 30) {
					t.Errorf("restored after %d days: %v", days, err)
				}
				if days < 30 {
					if got := c.refresh(token); got.status != http.StatusOK {
						t.Errorf("restored: %s", got.raw)
					}
				}
			}
		})
	}
}

func TestAConsentMakesANewEnterpriseApplication(t *testing.T) {
	c := start(t)
	c.visit(ada, c.adminURL())
	if err := c.RemovePrincipal(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.appOnly(), 401, "invalid_client", 7000229)
	if got := c.Roles(tenantID, clientID); len(got) != 0 {
		t.Errorf("roles %v survived", got)
	}
	c.visit(bob, c.authorizeURL())
	if got := c.appOnly(); got.status != http.StatusOK {
		t.Errorf("after a consent: %s", got.raw)
	}
	if err := c.RestorePrincipal(tenantID, clientID); err == nil {
		t.Error("the deleted one came back beside the new one")
	}
}

func TestARiskyAppIsAnAdministratorsMatter(t *testing.T) {
	c := start(t)
	if err := c.SetRisky(tenantID, clientID, true); err != nil {
		t.Fatal(err)
	}
	if got := c.stuck(bob, c.authorizeURL()); got != 900941 {
		t.Errorf("stuck at AADSTS%d; want AADSTS900941", got)
	}
	_ = c.SetUserConsentPolicy(tenantID, true, true)
	if got := c.stuck(bob, c.authorizeURL()); got != 900981 {
		t.Errorf("with the workflow: AADSTS%d; want AADSTS900981", got)
	}
	if back := c.visit(ada, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("administrator: %v", back)
	}
}

func TestARequestForApprovalIsApprovedOrDenied(t *testing.T) {
	c := start(t)
	_ = c.SetUserConsentPolicy(tenantID, false, true)
	asking := bob
	asking.Request = true
	ask := func() {
		t.Helper()
		_, err := asking.Visit(t.Context(), c.authorizeURL())
		if err == nil || !strings.Contains(err.(*entra.PageError).Text, "Request sent") {
			t.Fatalf("request ends with %v", err)
		}
	}
	ask()
	if err := c.DenyRequests(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	if c.ApproveRequests(tenantID, clientID) == nil {
		t.Error("a denied request was approved")
	}
	ask()
	if err := c.ApproveRequests(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	if back := c.visit(bob, c.authorizeURL()); back.Get("code") == "" {
		t.Errorf("after the approval: %v", back)
	}
}

func TestRemovedRedirectURIsEndOnAPage(t *testing.T) {
	c := start(t)
	_ = c.RemoveRedirectURIs(tenantID, clientID, true)
	for _, address := range []string{c.authorizeURL(), c.adminURL()} {
		if got := c.stuck(ada, address); got != 50011 {
			t.Errorf("stuck at AADSTS%d; want AADSTS50011", got)
		}
	}
	_ = c.RemoveRedirectURIs(tenantID, clientID, false)
	c.signIn()
}

func TestGoodRequestsAreRefusedOnAWhim(t *testing.T) {
	c := start(t)
	token := c.signIn().RefreshToken
	if err := c.Inject(entra.Fault{Endpoint: entra.EndpointToken, Kind: entra.FaultRefuse, Number: 70000, Grant: "refresh_token", Count: 2}); err != nil {
		t.Fatal(err)
	}
	if got := c.appOnly(); got.status != http.StatusOK {
		t.Errorf("another grant: %s", got.raw)
	}
	before := c.TokenRequests()["refresh_token"]
	for range 2 {
		wantRefusal(t, c.refresh(token), 400, "invalid_grant", 70000)
	}
	if got := c.refresh(token); got.status != http.StatusOK {
		t.Errorf("the third time: %s", got.raw)
	}
	if n := c.TokenRequests()["refresh_token"] - before; n != 3 {
		t.Errorf("counted %d requests; want 3", n)
	}
	if err := c.Inject(entra.Fault{Endpoint: entra.EndpointToken, Kind: entra.FaultRefuse, Number: 50196, Count: 1}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.appOnly(), 400, "invalid_grant", 50196)
	if c.Inject(entra.Fault{Endpoint: entra.EndpointToken, Kind: entra.FaultRefuse, Number: 7}) == nil {
		t.Error("a whim that nobody has seen was taken")
	}
}

func TestATokenOfAClientThatHandlesChallengesEndsWithItsSession(t *testing.T) {
	c := start(t)
	cae := `{"access_token":{"xms_cc":{"values":["cp1"]}}}`
	refresh := c.signIn().RefreshToken
	plain, challenged := c.refresh(refresh).AccessToken, c.refresh(refresh, "claims", cae).AccessToken
	if err := c.RevokeSessions(adaID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.VerifyFor(graph, plain); err != nil {
		t.Errorf("a plain token: %v; want it to live on", err)
	}
	_, err := c.VerifyFor(graph, challenged)
	challenge, ok := err.(*entra.ChallengeError)
	if !ok || !json.Valid([]byte(challenge.ClaimsChallenge())) || !strings.Contains(challenge.ClaimsChallenge(), `"nbf"`) {
		t.Errorf("a token of a client that handles challenges: %v", err)
	}
}

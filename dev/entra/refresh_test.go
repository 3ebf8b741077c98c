package entra_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"procallteams/dev/entra"
)

func TestARefreshGivesANewTokenAndLeavesTheOldOneAlive(t *testing.T) {
	c := start(t)
	first := c.signIn().RefreshToken
	second := c.refresh(first).RefreshToken
	if second == "" || second == first {
		t.Fatal("the refresh token did not change")
	}
	for _, token := range []string{first, second, first} {
		if got := c.refresh(token); got.status != http.StatusOK || got.RefreshToken == second {
			t.Errorf("refresh: %s", got.raw)
		}
	}
}

func TestARefreshTokenDiesAfterNinetyDaysWithoutUse(t *testing.T) {
	c := start(t)
	first := c.signIn().RefreshToken
	used := first
	for range 5 {
		c.advance(60 * 24 * time.Hour)
		got := c.refresh(used)
		if got.status != http.StatusOK {
			t.Fatalf("used every 60 days: %s", got.raw)
		}
		used = got.RefreshToken
	}
	wantRefusal(t, c.refresh(first), 400, "invalid_grant", 700082)
	c.advance(91 * 24 * time.Hour)
	got := c.refresh(used)
	wantRefusal(t, got, 400, "invalid_grant", 700082)
	if got.Suberror != "bad_token" || !strings.Contains(got.Description, "90.00:00:00") {
		t.Errorf("suberror %q, %s", got.Suberror, got.Description)
	}
}

func TestWhatHappensToTheAccountDecidesTheNextRefresh(t *testing.T) {
	c := start(t)
	token := c.signIn().RefreshToken
	works := func(when string) {
		t.Helper()
		if got := c.refresh(token); got.status != http.StatusOK {
			t.Errorf("%s: %s", when, got.raw)
		}
	}
	_ = c.ChangePassword(adaID)
	works("password changed by the user")
	_ = c.Disable(adaID)
	wantRefusal(t, c.refresh(token), 400, "invalid_grant", 50057)
	_ = c.Enable(adaID)
	works("enabled again")
	_ = c.ConditionalAccess(adaID, true)
	blocked := c.refresh(token)
	wantRefusal(t, blocked, 400, "interaction_required", 53003)
	if blocked.Suberror != "message_only" {
		t.Errorf("suberror %q; want message_only", blocked.Suberror)
	}
	_ = c.ConditionalAccess(adaID, false)
	works("unblocked")
	_ = c.RequireAssignment(tenantID, clientID, bobID)
	wantRefusal(t, c.refresh(token), 400, "invalid_grant", 50105)
	_ = c.RequireAssignment(tenantID, clientID)

	_ = c.RevokeDelegated(tenantID, clientID, adaID)
	revoked := c.refresh(token)
	wantRefusal(t, revoked, 400, "invalid_grant", 65001)
	if revoked.Suberror != "consent_required" {
		t.Errorf("suberror %q; want consent_required", revoked.Suberror)
	}
	_ = c.GrantDelegated(tenantID, clientID, adaID, "Presence.Read.All")
	works("consented again")

	_ = c.RequireMFA(adaID)
	demanded := c.refresh(token)
	wantRefusal(t, demanded, 400, "interaction_required", 50076)
	if !json.Valid([]byte(demanded.Claims)) {
		t.Errorf("claims %q; want JSON in a string", demanded.Claims)
	}
	token = c.signIn().RefreshToken
	works("signed in with the second factor")

	_ = c.RevokeSessions(adaID)
	wantRefusal(t, c.refresh(token), 400, "invalid_grant", 50173)
	token = c.signIn().RefreshToken
	works("signed in after the revocation")
	_ = c.ResetPassword(adaID)
	wantRefusal(t, c.refresh(token), 400, "invalid_grant", 50173)
	token = c.signIn().RefreshToken
	_ = c.ExpireGrant(adaID)
	wantRefusal(t, c.refresh(token), 400, "invalid_grant", 700082)
	token = c.signIn().RefreshToken
	_ = c.RemoveUser(adaID)
	wantRefusal(t, c.refresh(token), 400, "invalid_grant", 50034)
}

func TestOneRemovedPermissionShortensTheScopeOrFailsWhenNamed(t *testing.T) {
	c := start(t)
	token := c.signIn("scope", readScope+" "+graph+"/User.ReadBasic.All").RefreshToken
	_ = c.RevokeDelegated(tenantID, clientID, adaID, "Presence.Read.All")
	if got := c.refresh(token); got.status != http.StatusOK || strings.Contains(got.Scope, "Presence") {
		t.Errorf("without scope: %d %q", got.status, got.Scope)
	}
	wantRefusal(t, c.refresh(token, "scope", graph+"/Presence.Read.All"), 400, "invalid_grant", 65001)
}

func TestARefreshTokenBelongsToItsClientButNotToATenant(t *testing.T) {
	c := start(t)
	token := c.signIn().RefreshToken
	wantRefusal(t, c.refresh(token, "client_id", otherClient, "client_secret", "another~secret"), 400, "invalid_grant", 70000)
	wantRefusal(t, c.refresh("made-up"), 400, "invalid_grant", 9002313)
	if err := c.AddApp(entra.App{TenantID: foreignID, ClientID: clientID, Name: "Bridge", Secret: secret, RedirectURIs: []string{redirect}}); err != nil {
		t.Fatal(err)
	}
	elsewhere := func() answer {
		return c.tokenAt(foreignID, "grant_type", "refresh_token", "refresh_token", token)
	}
	wantRefusal(t, elsewhere(), 400, "invalid_grant", 65001)
	_ = c.GrantDelegated(foreignID, clientID, "", "Presence.Read.All")
	got := elsewhere()
	if claims, err := c.VerifyFor(graph, got.AccessToken); err != nil || claims.TenantID != foreignID {
		t.Errorf("token of the other tenant: %+v, %v", claims, err)
	}
	code := c.visit(ada, c.authorizeURL()).Get("code")
	wantRefusal(t, c.tokenAt(foreignID, "grant_type", "authorization_code", "code", code, "redirect_uri", redirect, "code_verifier", verifier), 400, "invalid_grant", 700005)
}

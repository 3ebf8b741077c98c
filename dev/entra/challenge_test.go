package entra_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	graphsim "procallteams/dev/graph"
)

func TestGraphChallengesARevokedSessionOfAClientThatHandlesIt(t *testing.T) {
	c := start(t)
	simulated := graphsim.New(graphsim.Config{TenantID: tenantID, VerifyToken: func(token string) (graphsim.Caller, error) {
		claims, err := c.VerifyFor(graph, token)
		return graphsim.Caller{TenantID: claims.TenantID, AppID: claims.AppID, ObjectID: claims.ObjectID, Scopes: claims.Scopes, Expires: claims.Expires}, err
	}})
	defer simulated.Close()
	simulated.AddUser(graphsim.User{ID: adaID, UserPrincipalName: "ada@contoso.com", DisplayName: "Ada"})
	ask := func(token string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodPost, "/v1.0/communications/getPresencesByUserId", strings.NewReader(`{"ids":["`+adaID+`"]}`))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		simulated.ServeHTTP(w, request)
		return w
	}
	refresh := c.signIn().RefreshToken
	plain := c.refresh(refresh).AccessToken
	challenged := c.refresh(refresh, "claims", `{"access_token":{"xms_cc":{"values":["cp1"]}}}`).AccessToken
	for _, token := range []string{plain, challenged} {
		if got := ask(token); got.Code != http.StatusOK {
			t.Fatalf("before: %d %s", got.Code, got.Body)
		}
	}
	if err := c.RevokeSessions(adaID); err != nil {
		t.Fatal(err)
	}
	if got := ask(plain); got.Code != http.StatusOK {
		t.Errorf("a client that handles no challenges: %d; want its token to live on", got.Code)
	}
	got := ask(challenged)
	if got.Code != http.StatusUnauthorized || !strings.Contains(got.Header().Get("WWW-Authenticate"), `error="insufficient_claims", claims="`) {
		t.Errorf("a client that handles them: %d %s", got.Code, got.Header().Get("WWW-Authenticate"))
	}
}

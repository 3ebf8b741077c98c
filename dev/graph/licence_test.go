package graph_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"procallteams/dev/graph"
)

func TestAPersonWithoutALicenceHasNoPresenceAndMayAskForNone(t *testing.T) {
	b := start(t, graph.Settings{})
	users := b.AddMembers(2)
	id, other := users[0].ID, users[1].ID
	person := "user " + id + " Presence.Read Presence.Read.All"
	read := func(token string) reply {
		return b.send(t, token, "POST", "/v1.0/communications/getPresencesByUserId", ask(id, other))
	}
	if err := b.SetLicence(id, false); err != nil {
		t.Fatal(err)
	}
	if r := read(reader); r.status != http.StatusOK || strings.Count(string(r.body), "PresenceUnknown") != 2 {
		t.Errorf("the app reads %d %s; want one of two unknown", r.status, r.body)
	}
	if r := read(person); r.status != http.StatusForbidden {
		t.Errorf("the person reads others: %d", r.status)
	}
	if r := b.send(t, person, "GET", "/v1.0/me/presence", ""); r.status != http.StatusForbidden {
		t.Errorf("the person reads the own presence: %d", r.status)
	}
	b.Configure(graph.Settings{UnlicensedStatus: http.StatusNotFound})
	if r := read(person); r.status != http.StatusNotFound {
		t.Errorf("with the other answer: %d", r.status)
	}
	form := url.Values{"user": {id}, "on": {"1"}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/_control/licence", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if r := read(person); r.status != http.StatusOK || strings.Contains(string(r.body), "PresenceUnknown") {
		t.Errorf("given back on the page: %d %s", r.status, r.body)
	}
	if err := b.SetLicence("nobody", false); err == nil {
		t.Error("nobody lost a licence")
	}
}

type challenged struct{}

func (challenged) Error() string { return "ended" }
func (challenged) ClaimsChallenge() string {
	return `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`
}

func TestATokenThatWasEndedIsAnsweredWithAClaimsChallenge(t *testing.T) {
	s := graph.New(graph.Config{VerifyToken: func(string) (graph.Caller, error) { return graph.Caller{}, challenged{} }})
	request := httptest.NewRequest(http.MethodGet, "/v1.0/me/presence", nil)
	request.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, request)
	header := w.Header().Get("WWW-Authenticate")
	want := `error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString([]byte(challenged{}.ClaimsChallenge())) + `"`
	if w.Code != http.StatusUnauthorized || !strings.HasPrefix(header, "Bearer ") || !strings.HasSuffix(header, want) {
		t.Errorf("answer %d %s; want %s", w.Code, header, want)
	}
}

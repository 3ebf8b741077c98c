package consentcallback_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

func TestACredentialThatEndsSoonIsExpiring(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	if g := w.grant(""); g.State != consent.Granted || !g.CredentialEnds.IsZero() {
		t.Errorf("an end that nobody knows: %s, %s", g.State, g.CredentialEnds)
	}
	ends := w.clock().Add(40 * 24 * time.Hour)
	w.advance(time.Minute)
	must(t, w.credential.SetSecret(t.Context(), secret.Text{}, ends))
	w.probe()
	if g := w.grant(""); g.State != consent.Granted || !g.CredentialEnds.Equal(ends) || g.Reason != "" {
		t.Errorf("40 days before: %s, %s, %q", g.State, g.CredentialEnds, g.Reason)
	}
	w.advance(11 * 24 * time.Hour)
	w.probe()
	if g := w.grant(""); g.State != consent.Expiring || !g.Works() || !strings.Contains(g.Reason, "the client secret ends on "+ends.Format(time.DateOnly)) || g.NextStep == "" {
		t.Errorf("29 days before: %s, %q, %q", g.State, g.Reason, g.NextStep)
	}
	if token, err := w.read(); err != nil || token.Kind != consent.Admin {
		t.Errorf("ReadToken = %s, %v", token.Kind, err)
	}
	next := "client~" + rand.Text()
	must(t, w.entra.AddSecret(w.tenant, w.client, next, w.clock().AddDate(1, 0, 0)))
	must(t, w.credential.SetSecret(t.Context(), secret.New(next), w.clock().AddDate(1, 0, 0)))
	must(t, w.service.ProveNow(t.Context()))
	if g := w.grant(""); g.State != consent.Granted || g.Reason != "" {
		t.Errorf("after the next secret: %s, %q", g.State, g.Reason)
	}
}

// identity is a managed identity in the tenant's Entra.
type identity struct {
	w        *world
	clientID string
}

func (i identity) Assertion(ctx context.Context, audience string) (secret.Text, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, i.w.back+"/msi/token?api-version=2019-08-01&client_id="+i.clientID+"&resource="+audience, nil)
	if err != nil {
		return secret.Text{}, err
	}
	r.Header.Set("X-IDENTITY-HEADER", i.w.entra.IdentityHeader())
	answer, err := i.w.transport.Do(r)
	if err != nil {
		return secret.Text{}, err
	}
	defer answer.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.Token == "" {
		return secret.Text{}, fmt.Errorf("identity endpoint answered %d: %w", answer.StatusCode, err)
	}
	return secret.New(body.Token), nil
}

// federate gives the bridge a managed identity and returns what Entra must trust.
func (w *world) federate() devEntra.Federated {
	w.t.Helper()
	id, principal := uuid.NewString(), uuid.NewString()
	must(w.t, w.entra.AddIdentity(devEntra.Identity{TenantID: w.tenant, ClientID: id, ObjectID: principal}))
	w.identity = identity{w, id}
	w.integration.Credential = settings.Federated
	w.service = w.process(w.back)
	w.handler = w.functions(w.service)
	return devEntra.Federated{Issuer: w.back + "/" + w.tenant + "/v2.0", Subject: principal, Audience: "api://AzureADTokenExchange"}
}

func TestBothConsentsWorkWithoutAnySecret(t *testing.T) {
	w := newWorld(t)
	must(t, w.entra.SetFederated(w.tenant, w.client, w.federate()))
	must(t, w.entra.RemoveSecret(w.tenant, w.client, w.clientSecret()))
	if status, page := w.consentUser(w.reader); status != http.StatusOK || w.grant(w.reader).State != consent.Granted {
		t.Errorf("user consent: %d %s", status, page)
	}
	w.consentAdmin()
	if g := w.grant(""); g.State != consent.Granted || !g.CredentialEnds.IsZero() {
		t.Errorf("admin consent: %+v", g)
	}
	w.advance(2 * time.Hour)
	if _, err := w.read(); err != nil {
		t.Errorf("two hours later: %v", err)
	}
}

func TestANewFederatedCredentialShowsAsWaiting(t *testing.T) {
	w := newWorld(t)
	trusted := w.federate()
	must(t, w.entra.GrantApplication(w.tenant, w.client))
	w.entra.SetFederatedDelay(4 * time.Minute)
	must(t, w.entra.SetFederated(w.tenant, w.client, trusted))
	w.probe()
	if g := w.grant(""); g.State != consent.Waiting || g.Code == "" || !strings.Contains(g.NextStep, "subject "+trusted.Subject) {
		t.Errorf("at first: %s %s, %q, %q", g.State, g.Code, g.Reason, g.NextStep)
	}
	w.advance(5 * time.Minute)
	w.probe()
	if g := w.grant(""); g.State != consent.Granted || g.Code != "" {
		t.Errorf("once Entra knows it: %s %s", g.State, g.Code)
	}
}

func TestAFederatedCredentialThatNeverFitsIsTold(t *testing.T) {
	w := newWorld(t)
	wrong := w.federate()
	wrong.Subject = uuid.NewString()
	must(t, w.entra.SetFederated(w.tenant, w.client, wrong))
	for range 12 {
		_ = w.service.Probe(t.Context()) // waiting is no failure
		w.advance(time.Minute)
	}
	if g := w.grant(""); g.State != consent.Unverified || g.Code != "AADSTS700213" || !strings.Contains(g.NextStep, "audience api://AzureADTokenExchange") {
		t.Errorf("after twelve minutes: %s %s, %q", g.State, g.Code, g.NextStep)
	}
}

func TestAFederatedCredentialThatVanishesTakesNothingAwayAtOnce(t *testing.T) {
	w := newWorld(t)
	must(t, w.entra.SetFederated(w.tenant, w.client, w.federate()))
	w.consentAdmin()
	must(t, w.entra.SetFederated(w.tenant, w.client))
	w.advance(time.Minute)
	_ = w.service.Probe(t.Context())
	if g := w.grant(""); !g.Works() {
		t.Errorf("after a minute: %s", g.State)
	}
	w.advance(11 * time.Minute)
	w.probe()
	if g := w.grant(""); g.State != consent.Reauthorize || !strings.HasPrefix(g.Code, "AADSTS70021") {
		t.Errorf("after twelve minutes: %s %s", g.State, g.Code)
	}
}

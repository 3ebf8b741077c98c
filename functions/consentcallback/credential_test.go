package consentcallback_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"procallteams/internal/appcredential"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
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

func TestBothConsentsWorkWithoutAnySecret(t *testing.T) {
	w := newWorld(t)
	w.federate()
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
	_, trusted := w.federate()
	must(t, w.entra.GrantApplication(w.tenant, w.client))
	must(t, w.entra.SetFederated(w.tenant, w.client))
	w.entra.SetFederatedDelay(4 * time.Minute)
	must(t, w.entra.SetFederated(w.tenant, w.client, trusted))
	w.probe()
	if g := w.grant(""); g.State != consent.Waiting || g.Code == "" || !strings.Contains(g.NextStep, "subject "+trusted.Subject) {
		t.Errorf("at first: %s %s, %q, %q", g.State, g.Code, g.Reason, g.NextStep)
	}
	if g := w.grant(""); g.Class != aadsts.Credential { // Entra is in no trouble
		t.Errorf("who must act: %s", g.Class)
	}
	status, page := w.consentAdmin()
	if status != http.StatusOK {
		t.Errorf("admin consent = %d", status)
	}
	shows(t, page, "Waiting for Microsoft", "AADSTS700211", "subject "+trusted.Subject, "This page looks again by itself")
	if status, page = w.consentUser(w.reader); strings.Contains(page, "does not answer") {
		t.Errorf("user consent = %d %s", status, page)
	}
	shows(t, page, "Not connected", "AADSTS700211", "Wait a minute, then start again", "Whoever manages the app registration")
	w.advance(5 * time.Minute)
	w.probe()
	if g := w.grant(""); g.State != consent.Granted || g.Code != "" {
		t.Errorf("once Entra knows it: %s %s", g.State, g.Code)
	}
}

func TestAClientSecretThatIsGoneIsNamedByEveryGrantAndRecovers(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.consentAdmin()
	w.advance(2 * time.Hour)
	name, kept := appcredential.SecretName(w.tenant), w.clientSecret()
	for _, v := range w.vault.Versions(name) {
		must(t, w.secrets.Disable(t.Context(), name, v.ID))
	}
	w.service = w.process(w.back) // which never knew it
	for _, when := range []string{"at first", "after probes"} {
		_, err := w.read()
		required(t, err, "")
		if !strings.Contains(err.Error(), "the client secret is missing") {
			t.Errorf("%s a sync says %q", when, err)
		}
		w.advance(time.Minute)
		w.probe()
		for _, account := range []string{"", w.reader} {
			g := w.grant(account)
			if g.Works() || g.Reason != "the client secret is missing" || !strings.HasPrefix(g.NextStep, "Create one in the app registration") || g.Class != aadsts.Credential {
				t.Errorf("%s the grant of %q is %s: %q, %q", when, account, g.State, g.Reason, g.NextStep)
			}
		}
	}
	must(t, w.credential.SetSecret(t.Context(), secret.New(kept), time.Time{}))
	must(t, w.service.ProveNow(t.Context()))
	for _, account := range []string{"", w.reader} {
		if g := w.grant(account); !g.Works() || g.Reason != "" {
			t.Errorf("with the secret the grant of %q is %s: %q", account, g.State, g.Reason)
		}
	}
}

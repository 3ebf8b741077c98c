package consentcallback_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// managed is the managed identity of the bridge, by the platform's endpoint.
type managed struct {
	w      *world
	client string
	// kept is answered instead of a fresh token, as by a platform that caches.
	kept string
}

func (m *managed) Assertion(ctx context.Context, audience string) (secret.Text, error) {
	if m.kept != "" {
		return secret.New(m.kept), nil
	}
	address := m.w.back + "/msi/token?" + url.Values{"api-version": {"2019-08-01"}, "resource": {audience}, "client_id": {m.client}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return secret.Text{}, err
	}
	request.Header.Set("X-IDENTITY-HEADER", m.w.entra.IdentityHeader())
	response, err := m.w.transport.Do(request)
	if err != nil {
		return secret.Text{}, err
	}
	defer response.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body.Token == "" {
		return secret.Text{}, errors.Join(errors.New("no token"), err)
	}
	return secret.New(body.Token), nil
}

// federate gives the bridge a managed identity that the app registration trusts.
func (w *world) federate() (*managed, devEntra.Federated) {
	w.t.Helper()
	client, object := uuid.NewString(), "abcdef00-0000-4000-8000-00000000beef"
	must(w.t, w.entra.AddIdentity(devEntra.Identity{TenantID: w.tenant, ClientID: client, ObjectID: object}))
	exact := devEntra.Federated{Issuer: w.back + "/" + w.tenant + "/v2.0", Subject: object, Audience: devEntra.ExchangeAudience}
	must(w.t, w.entra.SetFederated(w.tenant, w.client, exact))
	identity := &managed{w: w, client: client}
	w.identity = identity
	w.set(func() { w.integration.Credential = settings.Federated })
	w.service = w.process(w.back)
	w.handler = w.functions(w.service)
	return identity, exact
}

func TestAFederatedCredentialThatDiffersIsNamedAfterTenMinutesAndRecovers(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*devEntra.Federated)
		code   string
		reason string
	}{
		"the issuer":       {func(f *devEntra.Federated) { f.Issuer += "/" }, "AADSTS700211", "the issuer"},
		"the subject":      {func(f *devEntra.Federated) { f.Subject = uuid.NewString() }, "AADSTS700213", "the subject"},
		"the audience":     {func(f *devEntra.Federated) { f.Audience = "api://something" }, "AADSTS700212", "the audience"},
		"a capital letter": {func(f *devEntra.Federated) { f.Subject = strings.ToUpper(f.Subject) }, "AADSTS7002138", "the subject"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, exact := w.federate()
			w.consentUser(w.reader)
			if status, page := w.consentAdmin(); status != 200 || !strings.Contains(page, "Connected") {
				t.Fatalf("admin consent ends with %d %s", status, page)
			}
			w.advance(2 * time.Hour)
			wrong := exact
			row.change(&wrong)
			must(t, w.entra.SetFederated(w.tenant, w.client, wrong))
			for range 9 { // Entra may not know a new one yet: nothing is marked
				w.advance(time.Minute)
				_ = w.service.Probe(t.Context())
				if !w.grant("").Works() || !w.grant(w.reader).Works() {
					t.Fatalf("marked within ten minutes: %s, %s", w.grant("").State, w.grant(w.reader).State)
				}
			}
			for range 3 {
				w.advance(time.Minute)
				_ = w.service.Probe(t.Context())
			}
			for _, account := range []string{"", w.reader} {
				g := w.grant(account)
				if g.State != consent.Reauthorize || g.Code != row.code || !strings.Contains(g.Reason, row.reason) || !strings.Contains(g.NextStep, exact.Subject) {
					t.Errorf("grant of %q = %s %s %q, %q", account, g.State, g.Code, g.Reason, g.NextStep)
				}
			}
			must(t, w.entra.SetFederated(w.tenant, w.client, exact))
			w.advance(6 * time.Minute)
			w.probe()
			for _, account := range []string{"", w.reader} {
				if g := w.grant(account); !g.Works() || g.Code != "" {
					t.Errorf("corrected: grant of %q = %s %s", account, g.State, g.Code)
				}
			}
		})
	}
}

// A platform starts processes as it likes, and each believes at first that Entra may be
// slow.
func TestAFederatedCredentialThatIsWrongStaysNamedWhenProcessesStart(t *testing.T) {
	w := newWorld(t)
	_, wrong := w.federate()
	wrong.Subject = uuid.NewString()
	w.consentAdmin()
	w.advance(2 * time.Hour)
	must(t, w.entra.SetFederated(w.tenant, w.client, wrong))
	for range 12 {
		w.advance(time.Minute)
		_ = w.service.Probe(t.Context())
	}
	told := w.grant("")
	if told.State != consent.Reauthorize || told.Code != "AADSTS700213" {
		t.Fatalf("after twelve minutes = %s %s", told.State, told.Code)
	}
	for range 3 { // processes, each for a quarter of an hour
		w.service = w.process(w.back)
		for range 15 {
			w.advance(time.Minute)
			_ = w.service.Probe(t.Context())
			if g := w.grant(""); g.State != told.State || g.Code != told.Code || !g.Since.Equal(told.Since) || len(g.History) != len(told.History) {
				t.Fatalf("a new process says %s %s since %s", g.State, g.Code, g.Since)
			}
		}
	}
}

func TestAFederatedCredentialThatEntraLearnsSlowlyMarksNothing(t *testing.T) {
	w := newWorld(t)
	_, exact := w.federate()
	must(t, w.entra.SetFederated(w.tenant, w.client))
	w.entra.SetFederatedDelay(5 * time.Minute)
	must(t, w.entra.SetFederated(w.tenant, w.client, exact))
	must(t, w.entra.GrantApplication(w.tenant, w.client))
	for range 4 {
		_ = w.service.Probe(t.Context())
		w.advance(time.Minute)
		if g := w.grant(""); g.State == consent.Reauthorize || g.State == consent.Blocked {
			t.Fatalf("grant = %s %s", g.State, g.Code)
		}
	}
	w.advance(2 * time.Minute)
	w.probe()
	if g := w.grant(""); !g.Works() {
		t.Errorf("after six minutes = %s %s %q", g.State, g.Code, g.Reason)
	}
}

func TestAnAssertionThatIsOverIsNamedWithTheClock(t *testing.T) {
	w := newWorld(t)
	identity, _ := w.federate()
	w.consentAdmin()
	stale, err := identity.Assertion(t.Context(), devEntra.ExchangeAudience)
	must(t, err)
	identity.kept = stale.Reveal()
	w.advance(25 * time.Hour)
	w.probe()
	if g := w.grant(""); g.State != consent.Reauthorize || g.Code != "AADSTS700024" || !strings.Contains(g.NextStep+g.Reason, "clock") {
		t.Errorf("grant = %s %s %q, %q", g.State, g.Code, g.Reason, g.NextStep)
	}
	identity.kept = ""
	w.advance(time.Minute)
	w.probe()
	if g := w.grant(""); !g.Works() {
		t.Errorf("with a fresh one = %s %s", g.State, g.Code)
	}
}

// certify gives the bridge a certificate in Key Vault that the registration knows.
func (w *world) certify(ends time.Duration) *x509.Certificate {
	w.t.Helper()
	certificate, stored := makeCertificate(w.t, w.clock(), ends)
	w.vault.Set("bridge-certificate", stored)
	must(w.t, w.entra.SetCertificates(w.tenant, w.client, certificate))
	w.set(func() {
		w.integration.Credential, w.integration.Certificate = settings.CertificateInKeyVault, "bridge-certificate"
	})
	return certificate
}

// makeCertificate returns a certificate and what Key Vault keeps of it.
func makeCertificate(t *testing.T, now time.Time, lasts time.Duration) (*x509.Certificate, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(now.Unix()), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lasts)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	var stored bytes.Buffer
	must(t, pem.Encode(&stored, &pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	must(t, pem.Encode(&stored, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return certificate, stored.String()
}

func TestACertificateThatTheRegistrationDoesNotKnowIsNamedAndRecovers(t *testing.T) {
	w := newWorld(t)
	certificate := w.certify(365 * 24 * time.Hour)
	w.consentUser(w.reader)
	w.consentAdmin()
	if !w.grant("").Works() || !w.grant(w.reader).Works() {
		t.Fatal("the certificate gives no token")
	}
	w.advance(2 * time.Hour)
	must(t, w.entra.SetCertificates(w.tenant, w.client))
	w.probe()
	for _, account := range []string{"", w.reader} {
		if g := w.grant(account); g.State != consent.Reauthorize || g.Code != "AADSTS700027" || !strings.Contains(g.Reason, "thumbprint") || !strings.Contains(g.NextStep, "Upload") {
			t.Errorf("grant of %q = %s %s %q, %q", account, g.State, g.Code, g.Reason, g.NextStep)
		}
	}
	must(t, w.entra.SetCertificates(w.tenant, w.client, certificate))
	w.advance(2 * time.Minute)
	w.probe()
	for _, account := range []string{"", w.reader} {
		if g := w.grant(account); !g.Works() {
			t.Errorf("uploaded again: grant of %q = %s %s", account, g.State, g.Code)
		}
	}
}

func TestACertificateThatEndsIsNamedAndItsSuccessorTakenByItself(t *testing.T) {
	w := newWorld(t)
	w.certify(24 * time.Hour)
	w.consentAdmin()
	w.advance(25 * time.Hour)
	w.probe()
	g := w.grant("")
	if g.State != consent.Reauthorize || !strings.Contains(g.Reason, "expired") || !strings.Contains(g.NextStep, "Renew it in Key Vault") {
		t.Errorf("grant = %s %s %q, %q", g.State, g.Code, g.Reason, g.NextStep)
	}
	next, stored := makeCertificate(t, w.clock(), 24*time.Hour)
	w.vault.Set("bridge-certificate", stored)
	must(t, w.entra.SetCertificates(w.tenant, w.client, next))
	w.advance(time.Minute)
	w.probe()
	if g := w.grant(""); !g.Works() {
		t.Errorf("renewed = %s %s %q", g.State, g.Code, g.Reason)
	}
}

func TestAClockThatIsWrongIsNamedWithTheDifference(t *testing.T) {
	w := newWorld(t)
	w.certify(365 * 24 * time.Hour)
	w.consentAdmin()
	w.set(func() { w.behind = 20 * time.Minute })
	w.advance(time.Hour)
	w.probe()
	g := w.grant("")
	if g.State != consent.Reauthorize || g.Code != "AADSTS700024" || !strings.Contains(g.Reason+g.NextStep, "clock") {
		t.Errorf("grant = %s %s %q, %q", g.State, g.Code, g.Reason, g.NextStep)
	}
	w.set(func() { w.behind = 0 })
	w.advance(time.Minute)
	w.probe()
	if g := w.grant(""); !g.Works() {
		t.Errorf("corrected = %s %s %q", g.State, g.Code, g.Reason)
	}
}

package appcredential_test

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"software.sslmate.com/src/go-pkcs12"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/appcredential"
	"procallteams/internal/consent"
	"procallteams/internal/entra"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

func asRefusal(err error) *entra.Error {
	refusal, _ := errors.AsType[*entra.Error](err)
	return refusal
}

// give makes the credential of a kind, at Entra and for the bridge.
func (w *world) give(kind settings.CredentialKind) {
	w.t.Helper()
	switch kind {
	case settings.Federated:
		must(w.t, w.entra.SetFederated(w.tenant, w.client, w.federated))
	case settings.CertificateInKeyVault:
		c := w.certificate(keys()[2], w.clock().AddDate(1, 0, 0))
		must(w.t, w.entra.SetCertificates(w.tenant, w.client, c.Certificate))
		w.vault.Set(certName, c.pem(w.t))
	default:
		must(w.t, w.issuer.SetSecret(w.t.Context(), w.addSecret(), time.Time{}))
	}
}

// signIn lets a person sign in and returns the leg and the code.
func (w *world) signIn() (consent.Leg, secret.Text) {
	w.t.Helper()
	leg := consent.Leg{Purpose: consent.ReadPresence, Redirect: redirect, State: rand.Text(), Nonce: rand.Text(), Verifier: secret.New(rand.Text() + rand.Text())}
	c := entra.Client{Cloud: settings.Cloud{Name: "public", Authority: w.back, Graph: graph}, HTTP: w.transport}
	address, err := c.AuthorizeURL(w.t.Context(), w.app(), leg)
	must(w.t, err)
	back, err := devEntra.Person{ObjectID: w.person}.Visit(w.t.Context(), address)
	must(w.t, err)
	return leg, secret.New(back.Values().Get("code"))
}

func TestEveryKindOfCredentialServesEveryGrant(t *testing.T) {
	for _, kind := range []settings.CredentialKind{settings.Federated, settings.CertificateInKeyVault, settings.SecretInKeyVault} {
		t.Run(string(kind), func(t *testing.T) {
			w := start(t, kind)
			w.give(kind)
			leg, code := w.signIn()
			who, err := w.issuer.Redeem(t.Context(), w.app(), leg, code)
			if err != nil || who.Account.ObjectID != w.person {
				t.Fatalf("Redeem = %s, %v", who.Account.ObjectID, err)
			}
			tokens, err := w.issuer.Refresh(t.Context(), w.app(), who.Refresh)
			if err != nil || tokens.Refresh.Empty() {
				t.Errorf("Refresh: %v", err)
			}
			token, err := w.token()
			if err != nil || len(token.Roles) != 1 || token.Credential.Kind != kind || token.Credential.Note != "" {
				t.Errorf("AppToken = %v by %+v, %v", token.Roles, token.Credential, err)
			}
		})
	}
}

func TestTheManagedIdentityIsUsedWhereThereIsOne(t *testing.T) {
	w := start(t, "")
	if kind := w.issuer.Kind(w.integration); kind != settings.Federated {
		t.Errorf("with an identity: %s", kind)
	}
	w.give(settings.Federated)
	if token, err := w.token(); err != nil || token.Credential.Kind != settings.Federated || !token.Credential.Ends.IsZero() {
		t.Errorf("AppToken by %+v, %v", token.Credential, err)
	}
	w.withoutIdentity = true
	w.restart()
	if kind := w.issuer.Kind(w.integration); kind != settings.SecretInKeyVault {
		t.Errorf("without one: %s", kind)
	}
	w.integration.Credential = settings.Federated
	_, err := w.token()
	if unset, ok := errors.AsType[*consent.UnsetError](err); !ok || !strings.Contains(unset.Step, "MANAGED_IDENTITY_CLIENT_ID") {
		t.Errorf("a kind that is not there: %v", err)
	}
}

func TestAnotherCloudHasItsOwnAudience(t *testing.T) {
	w := start(t, settings.Federated)
	w.give(settings.Federated)
	w.federated.Audience = "api://AzureADTokenExchangeUSGov"
	w.restart() // in the US government's cloud
	if _, err := w.token(); !w.refused(err).Has(700212) {
		t.Errorf("AppToken = %v", err)
	}
	w.give(settings.Federated)
	if _, err := w.token(); err != nil {
		t.Error(err)
	}
}

func TestTheAppSettingWins(t *testing.T) {
	w := start(t, settings.CertificateInKeyVault)
	w.fixed, w.fixedEnds = w.addSecret(), w.clock().AddDate(0, 0, 10)
	w.restart()
	token, err := w.token()
	if err != nil || token.Credential.Kind != settings.SecretInKeyVault || !token.Credential.Ends.Equal(w.fixedEnds) {
		t.Errorf("AppToken by %+v, %v", token.Credential, err)
	}
	if err := w.issuer.SetSecret(t.Context(), w.addSecret(), time.Time{}); err == nil || !strings.Contains(err.Error(), "TEAMS_CLIENT_SECRET") {
		t.Errorf("SetSecret = %v", err)
	}
	must(t, w.entra.RemoveSecret(w.tenant, w.client, w.fixed.Reveal()))
	if _, err := w.token(); !strings.Contains(w.refused(err).Step, "app setting TEAMS_CLIENT_SECRET") {
		t.Errorf("a wrong app setting: %q", asRefusal(err).Step)
	}
}

func TestWhatIsNotSetIsSaid(t *testing.T) {
	for kind, want := range map[settings.CredentialKind]string{settings.SecretInKeyVault: "client secret", settings.CertificateInKeyVault: "certificate " + certName} {
		w := start(t, kind)
		_, err := w.token()
		if unset, ok := errors.AsType[*consent.UnsetError](err); !ok || !strings.Contains(unset.What, want) || unset.Step == "" {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// requesters ask for tokens all the time.
type requesters struct {
	asked  [3]atomic.Int64
	failed atomic.Int64
}

// run asks until the returned function is called.
func (r *requesters) run(w *world) (stop func()) {
	end := make(chan struct{})
	var wait sync.WaitGroup
	for i := range r.asked {
		wait.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				if _, err := w.issuer.AppToken(w.t.Context(), w.app()); err != nil {
					r.failed.Add(1)
					w.t.Log(err)
				}
				r.asked[i].Add(1)
			}
		})
	}
	return func() { close(end); wait.Wait() }
}

// next waits until each has begun and ended a request.
func (r *requesters) next(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for i := range r.asked {
		for until := r.asked[i].Load() + 2; r.asked[i].Load() < until; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no more requests end")
			}
		}
	}
}

func TestASecretIsReplacedWithoutAFailedRequest(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	old := w.addSecret()
	must(t, w.issuer.SetSecret(t.Context(), old, time.Time{}))
	var requests requesters
	stop := requests.run(w)
	for range 5 {
		requests.next(t)
		next := w.addSecret()
		w.advance(time.Second)
		must(t, w.issuer.SetSecret(t.Context(), next, time.Time{}))
		must(t, w.entra.RemoveSecret(w.tenant, w.client, old.Reveal()))
		old = next
	}
	requests.next(t)
	stop()
	if failed := requests.failed.Load(); failed != 0 {
		t.Errorf("%d requests failed", failed)
	}
}

func TestANewSecretThatIsWrongLeavesTheOldOneInUse(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	good := w.addSecret()
	must(t, w.issuer.SetSecret(t.Context(), good, time.Time{}))
	if _, err := w.token(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // pasted wrong, twice
		w.advance(time.Minute)
		must(t, w.issuer.SetSecret(t.Context(), secret.New("mistyped~"+rand.Text()), time.Time{}))
	}
	token, err := w.token()
	if err != nil || !strings.Contains(token.Credential.Note, "AADSTS7000215") || token.Credential.Step == "" {
		t.Errorf("AppToken by %+v, %v", token.Credential, err)
	}
	leg, code := w.signIn()
	if _, err := w.issuer.Redeem(t.Context(), w.app(), leg, code); err != nil {
		t.Errorf("a sign-in meanwhile: %v", err)
	}
	w.advance(time.Minute)
	must(t, w.issuer.SetSecret(t.Context(), w.addSecret(), time.Time{}))
	if token, err := w.token(); err != nil || token.Credential.Note != "" {
		t.Errorf("after the right one: %+v, %v", token.Credential, err)
	}
}

// interrupted is a vault in which something happens before its versions are listed.
type interrupted struct {
	appcredential.Vault
	happens func()
}

func (v interrupted) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	v.happens()
	return v.Vault.Versions(ctx, name)
}

func TestASecretThatIsCorrectedInThisMomentIsUsedAtOnce(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	old, next := w.addSecret(), w.addSecret()
	must(t, w.issuer.SetSecret(t.Context(), old, time.Time{}))
	if _, err := w.token(); err != nil {
		t.Fatal(err)
	}
	w.advance(time.Minute)
	must(t, w.issuer.SetSecret(t.Context(), secret.New("mistyped~"+rand.Text()), time.Time{}))
	w.issuer.Vault = interrupted{w.secrets, func() {
		w.advance(time.Second)
		must(t, w.issuer.SetSecret(t.Context(), next, time.Time{}))
		must(t, w.entra.RemoveSecret(w.tenant, w.client, old.Reveal()))
	}}
	if token, err := w.token(); err != nil || token.Credential.Note != "" {
		t.Errorf("AppToken by %+v, %v", token.Credential, err)
	}
}

func TestARenewedCertificateIsUsedOnceEntraKnowsIt(t *testing.T) {
	w := start(t, settings.CertificateInKeyVault)
	first, second := w.certificate(keys()[2], w.clock().AddDate(0, 1, 0)), w.certificate(keys()[3], w.clock().AddDate(1, 0, 0))
	must(t, w.entra.SetCertificates(w.tenant, w.client, first.Certificate))
	w.vault.Set(certName, first.pfx(t, pkcs12.Modern2026, ""))
	if token, err := w.token(); err != nil || !token.Credential.Ends.Equal(first.NotAfter) {
		t.Fatalf("AppToken by %+v, %v", token.Credential, err)
	}
	w.advance(time.Hour)
	w.vault.Set(certName, second.pfx(t, pkcs12.LegacyDES, "")) // Key Vault renewed it; nobody told Entra
	thumbprint := fmt.Sprintf("%X", sha1.Sum(second.Raw))
	for _, process := range []string{"the same process", "a new process"} {
		token, err := w.token()
		if err != nil || !token.Credential.Ends.Equal(first.NotAfter) || !strings.Contains(token.Credential.Note, thumbprint) || !strings.Contains(token.Credential.Step, ".cer") {
			t.Errorf("%s: AppToken by %+v, %v", process, token.Credential, err)
		}
		w.restart()
	}
	must(t, w.entra.SetCertificates(w.tenant, w.client, second.Certificate))
	if token, err := w.token(); err != nil || !token.Credential.Ends.Equal(second.NotAfter) || token.Credential.Note != "" {
		t.Errorf("after the upload: %+v, %v", token.Credential, err)
	}
}

func TestACredentialThatWasReadOutlastsKeyVault(t *testing.T) {
	for _, kind := range []settings.CredentialKind{settings.CertificateInKeyVault, settings.SecretInKeyVault} {
		w := start(t, kind)
		w.give(kind)
		if _, err := w.token(); err != nil {
			t.Fatal(err)
		}
		w.vault.Forbid("get")
		if token, err := w.token(); err != nil || !strings.Contains(token.Credential.Note, "Key Vault Secrets Officer") {
			t.Errorf("%s: AppToken by %+v, %v", kind, token.Credential, err)
		}
		w.restart()
		if _, err := w.token(); err == nil || asRefusal(err) != nil {
			t.Errorf("%s: a new process: %v; want an error that passes", kind, err)
		}
		w.vault.Allow("get")
		if token, err := w.token(); err != nil || token.Credential.Note != "" {
			t.Errorf("%s: afterwards: %+v, %v", kind, token.Credential, err)
		}
	}
}

func TestASecretOfAnotherRegistrationIsNotSent(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	w.give(settings.SecretInKeyVault)
	former := w.client
	w.client = uuid.NewString()
	w.integration.ClientID = w.client
	must(t, w.entra.AddApp(devEntra.App{TenantID: w.tenant, ClientID: w.client, Name: "another", RedirectURIs: []string{redirect}}))
	before := w.entra.Requests(devEntra.EndpointToken)
	if _, err := w.token(); err == nil || w.entra.Requests(devEntra.EndpointToken) != before {
		t.Errorf("AppToken = %v; want nothing sent", err)
	}
	w.advance(time.Minute)
	w.give(settings.SecretInKeyVault)
	if _, err := w.token(); err != nil {
		t.Error(err)
	}
	w.advance(time.Minute)
	w.give(settings.SecretInKeyVault)
	w.client = former // back again: its secret is still there
	w.integration.ClientID = former
	w.restart()
	if token, err := w.token(); err != nil || token.Credential.Note != "" {
		t.Errorf("the former registration: %+v, %v", token.Credential, err)
	}
}

func TestADisabledVersionIsNotUsed(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	w.give(settings.SecretInKeyVault)
	w.advance(time.Minute)
	must(t, w.issuer.SetSecret(t.Context(), secret.New("mistyped~"+rand.Text()), time.Time{}))
	versions, err := w.secrets.Versions(t.Context(), "client-secret-"+w.tenant)
	must(t, err, w.secrets.Disable(t.Context(), "client-secret-"+w.tenant, versions[0].ID))
	if token, err := w.token(); err != nil || token.Credential.Note != "" {
		t.Errorf("AppToken by %+v, %v", token.Credential, err)
	}
	must(t, w.secrets.Disable(t.Context(), "client-secret-"+w.tenant, versions[1].ID))
	if _, err := w.token(); err == nil {
		t.Error("a disabled version is used")
	}
}

func TestASecretThatHasEndedIsNotTriedInstead(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	must(t, w.issuer.SetSecret(t.Context(), w.addSecret(), w.clock().Add(time.Hour)))
	w.advance(2 * time.Hour)
	must(t, w.issuer.SetSecret(t.Context(), secret.New("mistyped~"+rand.Text()), time.Time{}))
	before := w.entra.TokenRequests()["client_credentials"]
	_, err := w.token()
	if n := w.entra.TokenRequests()["client_credentials"] - before; n != 1 || !w.refused(err).Has(7000215) {
		t.Errorf("%d token requests, %v", n, err)
	}
}

func TestAnOutageOfEntraIsNoRefusalOfTheCredential(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	w.give(settings.SecretInKeyVault)
	must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: devEntra.FaultThrottle, RetryAfter: time.Minute}))
	_, err := w.token()
	if refusal := asRefusal(err); refusal == nil || refusal.Class != aadsts.Transient {
		t.Errorf("AppToken = %v", err)
	}
	if n := w.vault.Requests("list"); n != 0 {
		t.Errorf("another version was looked for %d times", n)
	}
}

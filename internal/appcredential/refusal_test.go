package appcredential_test

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"software.sslmate.com/src/go-pkcs12"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/appcredential"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// contains fails for every part that text lacks.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}

func TestARefusedSecretIsNamed(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	for name, row := range map[string]struct {
		prepare     func(name string)
		code, cause string
		step        string
	}{
		"its id, stored in the portal": {func(name string) { w.vault.Set(name, uuid.NewString()) }, "AADSTS7000215", "the client secret's id, not its value", "Make a new one"},
		"mistyped":                     {func(name string) { w.vault.Set(name, "mistyped~value") }, "AADSTS7000215", "wrong", "its value, not its id"},
		"expired": {func(name string) {
			value := "client~expired"
			must(t, w.entra.AddSecret(w.tenant, w.client, value, w.clock().Add(time.Hour)))
			ends := w.clock().Add(time.Hour)
			_, err := w.secrets.Put(t.Context(), name, secret.New(value), secret.Label{Expires: ends})
			must(t, err)
			w.advance(2 * time.Hour)
		}, "AADSTS7000222", "expired (" + w.clock().Add(time.Hour).Format(time.DateOnly), "Create a new client secret"},
	} {
		t.Run(name, func(t *testing.T) {
			w.tenantSecret(row.prepare)
			_, err := w.token()
			refusal := w.refused(err)
			if refusal.Code != row.code || refusal.Class != aadsts.Credential {
				t.Errorf("refused with %s %s", refusal.Code, refusal.Class)
			}
			contains(t, refusal.Cause, row.cause)
			contains(t, refusal.Step, row.step)
		})
	}
}

// tenantSecret disables what there is and prepares a secret.
func (w *world) tenantSecret(prepare func(name string)) {
	w.t.Helper()
	name := "client-secret-" + w.tenant
	versions, err := w.secrets.Versions(w.t.Context(), name)
	must(w.t, err)
	for _, v := range versions {
		must(w.t, w.secrets.Disable(w.t.Context(), name, v.ID))
	}
	prepare(name)
}

func TestARefusedCertificateIsNamed(t *testing.T) {
	w := start(t, settings.CertificateInKeyVault)
	unknown := w.certificate(keys()[2], w.clock().AddDate(1, 0, 0))
	w.vault.Set(certName, unknown.pem(t))
	_, err := w.token()
	contains(t, w.refused(err).Cause, certName, fmt.Sprintf("%X", sha1.Sum(unknown.Raw)), "does not know")
	contains(t, w.refused(err).Step, ".cer")

	expired := w.certificate(keys()[3], w.clock().Add(time.Hour))
	must(t, w.entra.SetCertificates(w.tenant, w.client, expired.Certificate))
	w.advance(2 * time.Hour)
	w.vault.Set(certName, expired.pem(t))
	_, err = w.token()
	contains(t, w.refused(err).Cause, "expired on "+expired.NotAfter.Format(time.DateOnly))
}

func TestACertificateThatCannotSignIsNamed(t *testing.T) {
	w := start(t, settings.CertificateInKeyVault)
	rsa, ends := w.certificate(keys()[2], w.clock().AddDate(1, 0, 0)), w.clock().AddDate(1, 0, 0)
	other := w.certificate(keys()[3], ends)
	noKey, err := pkcs12.Modern2026.EncodeTrustStore([]*x509.Certificate{rsa.Certificate}, "")
	must(t, err)
	for name, row := range map[string]struct{ stored, cause string }{
		"PKCS #12 without a key":          {base64.StdEncoding.EncodeToString(noKey), "holds no private key"},
		"not exportable":                  {rsa.public(), "holds no private key"},
		"a key that Entra does not take":  {w.certificate(ellipticKey(t), ends).pem(t), "no RSA key"},
		"the key of another certificate":  {strings.TrimSuffix(rsa.pem(t), rsa.public()) + other.public(), "does not belong to the private key"},
		"a password":                      {rsa.pfx(t, pkcs12.Modern2026, "s3cret"), "protected by a password"},
		"a client secret under this name": {"client~secret~value", "neither PEM nor PKCS #12"},
		"PKCS #12 that is cut off":        {rsa.pfx(t, pkcs12.Modern2026, "")[:400], "can't be read as PKCS #12"},
		"PEM that is cut off":             {rsa.pem(t)[:300] + "PRIVATE KEY-----", "can't be read as PEM"},
		"empty":                           {" ", "neither PEM nor PKCS #12"},
	} {
		t.Run(name, func(t *testing.T) {
			name := uuid.NewString()
			w.integration.Certificate = name
			w.vault.Set(name, row.stored)
			before := w.entra.Requests(devEntra.EndpointToken)
			_, err := w.token()
			refusal := w.refused(err)
			contains(t, refusal.Cause, name, row.cause)
			if refusal.Class != aadsts.Credential || refusal.Step == "" || w.entra.Requests(devEntra.EndpointToken) != before {
				t.Errorf("refusal %+v", refusal)
			}
		})
	}
}

func TestACertificateThatCannotSignLeavesTheOneBeforeInUse(t *testing.T) {
	w := start(t, settings.CertificateInKeyVault)
	w.give(settings.CertificateInKeyVault)
	w.advance(time.Minute)
	w.vault.Set(certName, w.certificate(keys()[3], w.clock().AddDate(1, 0, 0)).public())
	token, err := w.token()
	must(t, err)
	contains(t, token.Credential.Note, "holds no private key", "the one before it is in use")
}

func TestAFederatedCredentialThatDoesNotFitIsNamed(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*devEntra.Federated)
		part   string
	}{
		"issuer":           {func(f *devEntra.Federated) { f.Issuer += "/" }, "issuer"},
		"subject":          {func(f *devEntra.Federated) { f.Subject = uuid.NewString() }, "subject"},
		"subject by case":  {func(f *devEntra.Federated) { f.Subject = strings.ToUpper(f.Subject) }, "subject of the app registration's federated credential differs in upper"},
		"audience by case": {func(f *devEntra.Federated) { f.Audience = strings.ToLower(f.Audience) }, "audience"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, settings.Federated)
			right := w.federated
			row.change(&w.federated)
			w.give(settings.Federated)
			_, err := w.token()
			if refusal := w.refused(err); !refusal.Replicating() {
				t.Errorf("at first: %+v; want a refusal that may pass", refusal)
			}
			w.advance(11 * time.Minute)
			_, err = w.token()
			refusal := w.refused(err)
			if refusal.Class != aadsts.Credential {
				t.Errorf("after ten minutes: %s", refusal.Class)
			}
			contains(t, refusal.Cause, row.part)
			contains(t, refusal.Step, "issuer "+right.Issuer+",", "subject "+right.Subject+",", "audience "+right.Audience)
			w.federated = right
			w.give(settings.Federated)
			if _, err := w.token(); err != nil {
				t.Errorf("once it fits: %v", err)
			}
		})
	}
}

func TestANewFederatedCredentialIsWaitedFor(t *testing.T) {
	w := start(t, settings.Federated)
	w.entra.SetFederatedDelay(6 * time.Minute)
	w.give(settings.Federated)
	for range 5 {
		_, err := w.token()
		if refusal := w.refused(err); !refusal.Replicating() {
			t.Fatalf("after some minutes: %+v", refusal)
		}
		w.advance(time.Minute)
	}
	w.advance(time.Minute)
	if _, err := w.token(); err != nil {
		t.Errorf("once Entra knows it: %v", err)
	}
	w.advance(time.Hour)
	must(t, w.entra.SetFederated(w.tenant, w.client))
	if _, err := w.token(); !w.refused(err).Replicating() {
		t.Error("a credential that was removed and made again is not waited for")
	}
}

// forged is an identity whose tokens bear another signature.
type forged struct{ appcredential.Identity }

func (f forged) Assertion(ctx context.Context, audience string) (secret.Text, error) {
	token, err := f.Identity.Assertion(ctx, audience)
	parts := strings.Split(token.Reveal(), ".")
	return secret.New(parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))), err
}

func TestAnIdentityThatCannotStandInIsNamed(t *testing.T) {
	t.Run("not assigned", func(t *testing.T) {
		w := start(t, settings.Federated)
		w.give(settings.Federated)
		w.issuer = w.process(uuid.NewString())
		_, err := w.token()
		refusal := w.refused(err)
		contains(t, refusal.Cause, "not assigned to the function app")
		contains(t, refusal.Step, "MANAGED_IDENTITY_CLIENT_ID")
		if refusal.Class != aadsts.Credential {
			t.Errorf("class %s", refusal.Class)
		}
	})
	t.Run("of another tenant", func(t *testing.T) {
		w := start(t, settings.Federated)
		w.give(settings.Federated)
		foreign := uuid.NewString()
		must(t, w.entra.AddIdentity(devEntra.Identity{TenantID: w.other, ClientID: foreign, ObjectID: uuid.NewString()}))
		w.issuer = w.process(foreign)
		_, err := w.token()
		contains(t, w.refused(err).Cause, "another tenant ("+w.other+")")
	})
	t.Run("signed by somebody that Entra does not know", func(t *testing.T) {
		w := start(t, settings.Federated)
		w.give(settings.Federated)
		w.issuer.Identity = forged{w.issuer.Identity}
		_, err := w.token()
		refusal := w.refused(err)
		contains(t, refusal.Cause, "cannot verify the token of the bridge's managed identity")
		contains(t, refusal.Step, "Restart the function app")
		if refusal.Class != aadsts.Credential || refusal.Code != "AADSTS50013" {
			t.Errorf("class %s, %s", refusal.Class, refusal.Code)
		}
	})
	t.Run("endpoint unsteady", func(t *testing.T) {
		w := start(t, settings.Federated)
		w.give(settings.Federated)
		must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointIdentity, Kind: devEntra.FaultOutage, Count: 2}))
		if _, err := w.token(); err != nil {
			t.Errorf("after two failures: %v", err)
		}
	})
}

func TestAWrongClockIsNamed(t *testing.T) {
	w := start(t, settings.CertificateInKeyVault)
	w.give(settings.CertificateInKeyVault)
	for ahead, want := range map[time.Duration]string{17 * time.Minute: "17m0s ahead of Microsoft's", -42 * time.Minute: "42m0s behind Microsoft's"} {
		w.bridgeAhead = ahead
		_, err := w.token()
		refusal := w.refused(err)
		contains(t, refusal.Cause, want)
		if refusal.Code != "AADSTS700024" || refusal.Step == "" {
			t.Errorf("refusal %+v", refusal)
		}
	}
	w.bridgeAhead = 2 * time.Minute
	if _, err := w.token(); err != nil {
		t.Errorf("a clock that is a little wrong: %v", err)
	}
}

func TestACredentialOfWhoeverHostsTheBridgeIsTheirsToMend(t *testing.T) {
	w := start(t, settings.SecretInKeyVault)
	w.integration.Registration = settings.SharedRegistration
	_, err := w.token()
	if unset, ok := errors.AsType[*consent.UnsetError](err); !ok || !strings.HasPrefix(unset.Sentence(), aadsts.Theirs) {
		t.Errorf("without a secret: %v", err)
	}
	ends := w.clock().Add(24 * time.Hour)
	must(t, w.issuer.SetSecret(t.Context(), w.addSecret(), ends))
	if token, err := w.token(); err != nil || !token.Credential.Shared || !strings.HasPrefix(consent.CredentialStep(token.Credential, w.clock()), aadsts.Theirs) {
		t.Errorf("a secret that ends tomorrow: %+v, %v", token.Credential, err)
	}
	must(t, w.entra.ExpireSecrets(w.tenant, w.client))
	_, err = w.token()
	if refusal := w.refused(err); refusal.Code != "AADSTS7000222" || !strings.HasPrefix(refusal.Step, aadsts.Theirs) || !strings.Contains(refusal.Step, "Create a new client secret") {
		t.Errorf("a secret that has expired: %s %s", refusal.Code, refusal.Step)
	}
}

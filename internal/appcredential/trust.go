package appcredential

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// Trust is what the federated credential of the app registration must hold, letter
// by letter (Entra: an application that trusts a managed identity).
type Trust struct {
	Issuer string
	// Subject is the managed identity's object id, which is not its client id; empty
	// when it is not known.
	Subject  string
	Audience string

	tenant string // of the identity
}

func (t Trust) String() string {
	subject := t.Subject
	if subject == "" {
		subject = "the managed identity's object (principal) id"
	}
	return "issuer " + t.Issuer + ", subject " + subject + ", audience " + t.Audience
}

// Trust returns what to enter at Entra for a tenant. It asks the platform for the
// identity's own values; while the platform does not answer, the issuer is the
// tenant's and the subject is not known. It reports false without an identity.
func (i *Issuer) Trust(ctx context.Context, tenant string) (Trust, bool) {
	if i.Identity == nil {
		return Trust{}, false
	}
	trust := i.trustIn(tenant)
	if assertion, err := i.Identity.Assertion(ctx, i.Cloud.Exchange); err == nil {
		trust.read(assertion)
	}
	return trust, true
}

func (i *Issuer) trustIn(tenant string) Trust {
	if tenant == "" {
		tenant = "{tenant id}"
	}
	return Trust{Issuer: i.Cloud.Authority + "/" + tenant + "/v2.0", Audience: i.Cloud.Exchange}
}

// read takes the values from the identity's own token, where that can be read. It is
// shown and compared, and decides nothing.
func (t *Trust) read(assertion secret.Text) {
	parts := strings.Split(assertion.Reveal(), ".")
	if len(parts) != 3 {
		return
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Tenant   string `json:"tid"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Issuer == "" {
		return
	}
	t.Issuer, t.Subject, t.Audience, t.tenant = claims.Issuer, claims.Subject, claims.Audience, claims.Tenant
}

// own reports whether the app registration belongs to the tenant itself.
func own(s settings.Integration) bool { return s.Registration != settings.SharedRegistration }

package appcredential

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// replication is how long Entra may take until it knows a new federated credential.
const replication = 10 * time.Minute

// unverified is Entra's number for an assertion whose signature it does not know.
const unverified = 50013

// mismatches say which part of a federated credential does not fit (Microsoft
// identity platform: error codes, and captures of real answers).
var mismatches = map[int]string{
	700211: "no federated credential of the app registration has the issuer of the bridge's managed identity",
	700213: "no federated credential of the app registration has the subject of the bridge's managed identity",
	700212: "no federated credential of the app registration has the audience of the bridge's managed identity",
	// The answer does not say which of the two.
	7002137: "the issuer or the audience of the app registration's federated credential differs in upper and lower case",
	7002138: "the subject of the app registration's federated credential differs in upper and lower case",
	70021:   "no federated credential of the app registration fits the bridge's managed identity",
}

// explain says of a refused credential what an administrator compares and changes.
// An end and a clock that is wrong are named by those who know.
func (i *Issuer) explain(app consent.App, p proof, e *aadsts.Error) *aadsts.Error {
	told := *e
	switch {
	case e.Has(700024, 500133):
	case p.Kind == settings.Federated:
		i.explainFederated(app, p, &told)
	case p.Kind == settings.CertificateInKeyVault:
		i.explainCertificate(p, &told)
	default:
		i.explainSecret(p, &told)
	}
	return &told
}

func (i *Issuer) explainSecret(p proof, e *aadsts.Error) {
	where := "on the bridge's page"
	if p.name == "" {
		where = "in the app setting TEAMS_CLIENT_SECRET"
	}
	switch {
	case isID(p.Secret):
		e.Cause = "what is stored is the client secret's id, not its value"
		e.Step = "Store the value " + where + ": Entra shows it once, right after the secret was made. Make a new one if nobody has it."
	case e.Has(7000222):
		e.Cause = "the client secret has expired"
		if !p.Ends.IsZero() && !p.Ends.After(i.Now()) {
			e.Cause += " (" + day(p.Ends) + ")"
		}
		e.Step = "Create a new client secret in the app registration and store its value " + where + "."
	case e.Has(7000215, 50012):
		e.Step = "Compare the secret with the app registration: store its value, not its id, " + where + "."
	}
}

// isID reports whether a secret is a GUID: Entra shows the secret's id beside its
// value.
func isID(value secret.Text) bool {
	_, err := uuid.Parse(strings.TrimSpace(value.Reveal()))
	return err == nil
}

func (i *Issuer) explainCertificate(p proof, e *aadsts.Error) {
	which := fmt.Sprintf("the certificate %s (thumbprint %s)", p.name, p.thumbprint)
	if !p.Ends.After(i.Now()) {
		e.Cause = which + " expired on " + day(p.Ends)
		e.Step = "Renew it in Key Vault and upload the new public part to the app registration (Certificates & secrets, Certificates)."
		return
	}
	e.Cause = "the app registration does not know " + which
	e.Step = "Upload the certificate's public part (.cer) to the app registration (Certificates & secrets, Certificates), and check the client id."
}

// explainFederated names the values to compare. What Entra does not know yet counts
// as transient at first: a new federated credential needs some minutes.
func (i *Issuer) explainFederated(app consent.App, p proof, e *aadsts.Error) {
	e.Cause = "the app registration does not trust the bridge's managed identity"
	e.Step = "Compare the federated credential of the app registration, letter by letter: " + p.trust.String() + "."
	if e.Has(unverified) {
		e.Cause = "Entra cannot verify the token of the bridge's managed identity"
		e.Step = "Restart the function app: the platform then issues another one."
	}
	mismatch := false
	for number, cause := range mismatches {
		if e.Has(number) {
			e.Cause, mismatch = cause, true
		}
	}
	switch {
	case p.own && p.trust.tenant != "" && p.trust.tenant != app.Tenant:
		e.Cause = "the bridge's managed identity belongs to another tenant (" + p.trust.tenant + ") than the app registration"
		e.Step = "Federated credentials work within one tenant: use an identity of the registration's tenant, or a certificate or a client secret."
	case mismatch && i.replicating(app):
		e.Class = aadsts.Transient
		e.Cause += "; Entra may need ten minutes to know a new one"
		e.Step = "Nothing, if it was made just now. Else: " + strings.ToLower(e.Step[:1]) + e.Step[1:]
	}
}

// replicating reports whether Entra may not know a new federated credential yet.
func (i *Issuer) replicating(app consent.App) bool {
	now := i.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	since, ok := i.unknown[key(app)]
	if !ok {
		since = now
		i.unknown[key(app)] = now
	}
	return now.Sub(since) < replication
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

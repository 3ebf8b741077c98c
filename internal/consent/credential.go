package consent

import (
	"time"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/settings"
)

// ExpiringWithin is how long before the end of a credential a grant that works is
// [Expiring].
const ExpiringWithin = 30 * 24 * time.Hour

// proven notes the credential that Entra took. One that it did not know yet it knows
// now.
func (g *Grant) proven(c CredentialUse, now time.Time) {
	g.CredentialKind, g.CredentialEnds = c.Kind, c.Ends
	if g.State == Waiting && g.Class == aadsts.Transient {
		g.enter(Required, now, why{})
	}
}

// standing is the state of a grant that works, by the credential that the app was
// proven with, and what is to be said about that.
func (c CredentialUse) standing(now time.Time) (State, why) {
	w := why{reason: c.Note, step: c.Step}
	if c.Ends.IsZero() || c.Ends.Sub(now) > ExpiringWithin {
		return Granted, w
	}
	what, step := "the client secret", "Create a new client secret in the app registration and store its value on the bridge's page; the old one stays valid until then."
	if c.Kind == settings.CertificateInKeyVault {
		what, step = "the certificate", "Renew it in Key Vault and upload its public part to the app registration; the bridge takes the new one by itself."
	}
	if w.reason != "" {
		w.reason += "; "
	}
	w.reason += what + " ends on " + c.Ends.UTC().Format(time.DateOnly)
	w.step = step
	return Expiring, w
}

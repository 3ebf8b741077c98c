package consent

import (
	"time"

	"procallteams/internal/entra/aadsts"
)

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
	if !EndOf(c.Ends, now).Near() {
		return Granted, w
	}
	if w.reason != "" {
		w.reason += "; "
	}
	name, end := CredentialName(c.Kind), c.Ends.UTC().Format(time.DateOnly)
	if c.Ends.After(now) {
		w.reason += "the " + name + " ends on " + end
	} else {
		w.reason += "the end date of the " + name + " (" + end + ") is past, yet Entra accepts it"
	}
	w.step = CredentialStep(c, now)
	return Expiring, w
}

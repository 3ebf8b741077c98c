package health

import (
	"slices"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/settings"
)

// lastDay is the announcement from which the end of a credential is a fault: by the
// next day both directions would stop.
const lastDay = 1

// expiring judges how near the end of the app registration's credential is. Its title
// changes with each announcement and not each day, since an alert rule tells one alert
// from another by it: there are four in all, not thirty. A client
// secret whose end nobody told is a note: its last day would come without a warning.
func expiring(now time.Time, in Input) (Finding, bool) {
	for _, g := range in.Grants {
		if g.Kind != consent.Admin || g.ClientID != "" && g.ClientID != in.Settings.ClientID {
			continue
		}
		name := consent.CredentialName(g.CredentialKind)
		shared := in.Settings.Registration == settings.SharedRegistration
		next := consent.CredentialStep(consent.CredentialUse{Kind: g.CredentialKind, Ends: g.CredentialEnds, Shared: shared}, now)
		who := "administrator"
		if shared {
			who = "operator"
		}
		end := consent.EndOf(g.CredentialEnds, now)
		switch {
		case end.Days == 0 && slices.ContainsFunc(in.Grants, func(g consent.Grant) bool { return g.Works() && g.CheckedAt.After(end.At) }):
			return Finding{
				Code: CredentialExpired, Title: "The end date of the " + name + " is past, yet Entra accepts it",
				Detail: "it was to end on " + end.At.UTC().Format(time.DateOnly), Since: end.Since(),
				NextStep: "Correct the end date on the console.", Who: who,
			}, true
		case end.Days == 0:
			return Finding{
				Code: CredentialExpired, Fault: true, Title: "The " + name + " of the app registration has ended",
				Detail: "on " + end.At.UTC().Format(time.DateOnly) + ", " + consent.DaysLeft(end.At, now), Since: end.Since(), NextStep: next, Who: who,
			}, true
		case end.Near():
			return Finding{
				Code: CredentialExpiring, Fault: end.Days <= lastDay, Title: "The " + name + " of the app registration ends within " + end.Within(),
				Detail: "on " + end.At.UTC().Format("2006-01-02 15:04 UTC") + ", " + consent.DaysLeft(end.At, now), Since: end.Since(), NextStep: next, Who: who,
			}, true
		case next != "" && slices.ContainsFunc(in.Grants, consent.Grant.Works):
			return Finding{Code: CredentialEndUnknown, Title: "Nobody told when the client secret ends", NextStep: next, Who: who}, true
		}
	}
	return Finding{}, false
}

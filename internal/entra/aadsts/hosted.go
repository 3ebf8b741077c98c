package aadsts

import (
	"slices"

	"procallteams/internal/settings"
)

// Theirs begins a step that nobody in the tenant can take: the app registration is
// shared, and belongs with its credential to whoever hosts the bridge.
const Theirs = "Whoever hosts the bridge does this, since the app registration is theirs: "

// Codes whose step is to change the app registration, beside every [Credential]'s.
var ofRegistration = []string{
	"AADSTS50011", "AADSTS70004", "AADSTS900971", "AADSTS500112", // redirect URIs
	"AADSTS700084", "AADSTS700025", "AADSTS50194", // its kind
	"AADSTS65005", "AADSTS650056", "AADSTS650057", "AADSTS650053", // permissions that it does not list
}

// Codes of an app that is not known in the tenant. Where nobody registers anything the
// consent makes it known.
var notFound = []string{"AADSTS700016", "AADSTS70001", "AADSTS700011"}

const (
	consentFirst = "Give the admin consent: it makes the app known in this tenant. If that does not help, compare tenant id and client id with those that whoever hosts the bridge has named."
	theirEntries = "Compare tenant id and client id with those that whoever hosts the bridge has named."
)

// For returns the refusal as it is told for an app registration of that kind: the step
// says who can take it.
func (e *Error) For(r settings.Registration) *Error {
	told := *e
	switch {
	case r != settings.SharedRegistration:
	case e.Class == Credential, e.Replicating(), slices.Contains(ofRegistration, e.Code):
		told.Step = Theirs + e.Step
	case slices.Contains(notFound, e.Code):
		told.Step = consentFirst
	case e.Step == entries:
		told.Step = theirEntries
	}
	return &told
}

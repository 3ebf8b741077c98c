package status

import (
	"slices"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/settings"
)

// grant is a stored grant without where its token lies (api/openapi.yaml, Grant).
type grant struct {
	Kind      consent.Kind     `json:"kind"`
	State     consent.State    `json:"state"`
	Since     time.Time        `json:"since,omitzero"`
	GivenAt   time.Time        `json:"givenAt,omitzero"`
	CheckedAt time.Time        `json:"checkedAt,omitzero"`
	Account   *consent.Account `json:"account,omitempty"`
	Code      string           `json:"code,omitempty"`
	Reason    string           `json:"reason,omitempty"`
	NextStep  string           `json:"nextStep,omitempty"`
	TraceID   string           `json:"traceId,omitempty"`
	// Advice is what an operator must know about this kind of refusal.
	Advice       *aadsts.Texts `json:"advice,omitempty"`
	Disconnected bool          `json:"disconnected,omitempty"`
	Permissions  []string      `json:"permissions,omitempty"`
	consent.Gap
	Credential     settings.CredentialKind `json:"credential,omitempty"`
	CredentialEnds time.Time               `json:"credentialEnds,omitzero"`
	History        []consent.Transition    `json:"history,omitempty"` // the newest first
}

// grants lists the stored grants, and those that were never given.
func grants(stored []consent.Grant, s settings.Integration) []grant {
	var shown []grant
	for _, kind := range []consent.Kind{consent.Admin, consent.User} {
		found := false
		for _, g := range stored {
			if g.Kind == kind {
				found = true
				shown = append(shown, shownGrant(g, s))
			}
		}
		if !found {
			shown = append(shown, grant{Kind: kind, State: consent.Required, NextStep: "Open /api/consent/" + string(kind) + " and give the consent."})
		}
	}
	return shown
}

func shownGrant(g consent.Grant, s settings.Integration) grant {
	one := grant{
		Kind: g.Kind, State: g.State, Since: g.Since, GivenAt: g.GivenAt, CheckedAt: g.CheckedAt,
		Code: g.Code, Reason: g.Reason, NextStep: g.NextStep, TraceID: g.TraceID, Disconnected: g.Disconnected, Permissions: g.Permissions,
		Gap: consent.Compare(g.Kind, g.Permissions, s), Credential: g.CredentialKind, CredentialEnds: g.CredentialEnds,
		History: slices.Clone(g.History),
	}
	slices.Reverse(one.History)
	if texts, ok := g.Class.Texts(s.Registration); ok && !g.Works() {
		one.Advice = &texts
	}
	if g.Account != (consent.Account{}) {
		one.Account = &g.Account
	}
	return one
}

// reduce leaves out who it is, and what only Microsoft's support asks for.
func (g *grant) reduce() {
	g.Account, g.Permissions, g.Gap, g.TraceID = nil, nil, consent.Gap{}, ""
	for i := range g.History {
		g.History[i].TraceID = ""
	}
}

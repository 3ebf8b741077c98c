package health

import (
	"procallteams/internal/consent"
)

// Bearer is a grant that carries a use of the permissions, or would.
type Bearer struct {
	Kind    consent.Kind     `json:"kind"`
	Account *consent.Account `json:"account,omitempty"` // of a user consent
}

// Carriage says which grant carries a use now, and what would happen if it failed.
type Carriage struct {
	Carrier *Bearer `json:"carrier,omitempty"` // nil: nothing carries it
	Standby *Bearer `json:"standby,omitempty"` // nil: the use would stop
	// IfItFailed says the same in words, with what to do where it would stop.
	IfItFailed string `json:"ifItFailed"`
}

// CarriageOf judges a use from the stored grants.
func CarriageOf(grants []consent.Grant, use consent.Use) Carriage {
	carrier, ok := consent.Carrier(grants, use)
	if !ok {
		return Carriage{IfItFailed: "Nothing carries " + string(use) + " now."}
	}
	c := Carriage{Carrier: bearerOf(carrier)}
	standby, ok := consent.Standby(grants, use)
	switch {
	case ok:
		c.Standby = bearerOf(standby)
		c.IfItFailed = "If it failed, " + string(use) + " would go on within the same sync, by " + c.Standby.words() + "."
	case use == consent.Writing:
		c.IfItFailed = "If it failed, writing would stop until the admin consent works again: nobody else may write presences."
	case carrier.Kind == consent.User:
		c.IfItFailed = "If it failed, reading would stop. Give the admin consent, which needs no person, or let another person sign in."
	default:
		c.IfItFailed = "If it failed, reading would stop. Let a person sign in as a stand-in."
	}
	return c
}

func bearerOf(g consent.Grant) *Bearer {
	b := &Bearer{Kind: g.Kind}
	if g.Kind == consent.User {
		account := g.Account
		b.Account = &account
	}
	return b
}

func (b Bearer) words() string {
	if b.Account == nil {
		return "the admin consent"
	}
	name := b.Account.Name
	if name == "" {
		name = b.Account.UPN
	}
	if name == "" {
		return "another person's sign-in"
	}
	return "the sign-in of " + name
}

// Anonymous is the carriage without names, for those who may not see any.
func (c Carriage) Anonymous() Carriage {
	if c.Standby != nil && c.Standby.Account != nil {
		c.Standby = &Bearer{Kind: c.Standby.Kind}
		c.IfItFailed = "It would go on by another person's sign-in."
	}
	if c.Carrier != nil {
		c.Carrier = &Bearer{Kind: c.Carrier.Kind}
	}
	return c
}

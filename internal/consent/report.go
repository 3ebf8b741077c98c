package consent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Names of the two directions in the HTTP contract.
const (
	TeamsToProCall = "teamsToProCall"
	ProCallToTeams = "proCallToTeams"
)

// Direction is whether one direction has the permission that it needs.
type Direction struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	// State is that of the grant that carries the direction, or of the one that
	// should be renewed.
	State State `json:"state"`
	// Carrier is the grant that carries it, empty when none does.
	Carrier  Kind      `json:"carrier,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Code     string    `json:"code,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	NextStep string    `json:"nextStep,omitempty"`
}

// Works reports whether the direction has its permission.
func (d Direction) Works() bool { return d.Carrier != "" }

// AuthorizationRequired reports whether the direction is on and lacks its grant.
func (d Direction) AuthorizationRequired() bool { return d.Enabled && d.Carrier == "" }

// Report returns every grant, those that were never given included, and what
// each direction has. It reads rows only.
func (s *Service) Report(ctx context.Context) ([]Grant, []Direction, error) {
	integration, _, err := s.Settings.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	var rows []Grant
	app, err := appOf(integration)
	unset, isUnset := errors.AsType[*UnsetError](err)
	if !isUnset {
		if rows, err = s.Grants.Grants(ctx, app.Tenant); err != nil {
			return nil, nil, fmt.Errorf("read grants: %w", err)
		}
	}
	grants := complete(app.ClientID, rows)
	if isUnset {
		for i := range grants {
			grants[i].Reason, grants[i].NextStep = unset.What+" is not set", unset.Step
		}
	}
	read := direction(TeamsToProCall, integration.Reads(), grants, func(g Grant) bool { return g.Kind == User || canRead(g) })
	write := direction(ProCallToTeams, integration.Writes(), grants, func(g Grant) bool { return g.Kind == Admin && canWrite(g) })
	return grants, []Direction{read, write}, nil
}

// complete returns the rows of one app registration in the order of use, with a
// required grant for each kind that has none.
func complete(clientID string, rows []Grant) []Grant {
	seen := map[Kind]bool{}
	var grants []Grant
	for _, g := range ordered(rows) {
		if g.ClientID != clientID {
			continue
		}
		seen[g.Kind] = true
		grants = append(grants, g)
	}
	for _, kind := range []Kind{Admin, User} {
		if !seen[kind] {
			grants = append(grants, Grant{Kind: kind, ClientID: clientID, State: Required, NextStep: "Open the " + string(kind) + " consent."})
		}
	}
	return ordered(grants)
}

func direction(name string, enabled bool, grants []Grant, carries func(Grant) bool) Direction {
	d := Direction{Name: name, Enabled: enabled, State: Required}
	for _, g := range grants {
		if g.Works() && carries(g) {
			return Direction{Name: name, Enabled: enabled, State: g.State, Carrier: g.Kind, Since: g.Since}
		}
	}
	// None works: explain by the one that was tried, else by any.
	explained := false
	for _, g := range grants {
		if !carries(g) && g.Kind != Admin || explained && g.State == Required {
			continue
		}
		explained = g.State != Required
		d.State, d.Since, d.Code, d.Reason, d.NextStep = g.State, g.Since, g.Code, g.Reason, g.NextStep
		if g.Works() { // consented, but not to what this direction needs
			d.State, d.Reason = Required, writePresence+" is not granted"
			d.NextStep = "Add " + writePresence + " to the app registration, then open the admin consent."
		}
	}
	return d
}

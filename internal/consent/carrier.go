package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Use is what a grant is needed for.
type Use string

const (
	// Reading presences carries the direction from Teams to ProCall.
	Reading Use = "reading"
	// Writing presences carries the direction from ProCall to Teams.
	Writing Use = "writing"
	// Directory is reading the tenant's accounts, Groups the members of Entra groups.
	Directory Use = "directory"
	Groups    Use = "groups"
)

// allowedBy reports whether a grant, while it works, is enough: by the permissions that
// were seen with it. None are seen when Graph's token was not readable; then a real read
// has proven it.
func (u Use) allowedBy(g Grant) bool {
	needed := u.Permission(g.Kind)
	return needed != "" && (len(g.Permissions) == 0 || slices.ContainsFunc(g.Permissions, func(name string) bool { return covers(name, needed) }))
}

// Carrier returns the grant that a use stands on: app-only first, as tokens are
// got. It reports false when there is none, with the grant that is nearest to it,
// in a state that says why it does not carry.
func Carrier(grants []Grant, use Use) (Grant, bool) {
	nearest := Grant{Kind: User, State: Required}
	if use == Writing {
		nearest.Kind = Admin
	}
	for _, g := range ordered(grants) {
		switch {
		case g.Works() && use.allowedBy(g):
			return g, true
		case g.Works() && g.Kind == Admin: // consented, but not to this
			g.lack(use)
		case g.Kind == User && use == Writing:
			continue
		}
		// Of equals, the user grant is told: it is the one that a person can renew.
		if c := rank(g) - rank(nearest); c < 0 || c == 0 && (g.Kind == User || nearest.Reason == "") {
			nearest = g
		}
	}
	return nearest, false
}

// lack makes a grant that works one that lacks what a use needs.
func (g *Grant) lack(use Use) {
	needed := use.Permission(g.Kind)
	g.Code, g.Reason = "", needed+" is not granted"
	g.State, g.NextStep = Required, "Whoever manages the app registration adds "+needed+" there; then open the "+string(g.Kind)+" consent."
}

// Standby returns the grant that a use would stand on if its carrier failed: of the
// other grants that work and allow it, the first in the order of use. It reports
// false when the use would stop.
func Standby(grants []Grant, use Use) (Grant, bool) {
	carried := false
	for _, g := range ordered(grants) {
		if !g.Works() || !use.allowedBy(g) {
			continue
		}
		if carried {
			return g, true
		}
		carried = true
	}
	return Grant{}, false
}

// Report returns every grant to the app registration in use, in the order of use,
// those that were never given included. It reads rows only.
func (s *Service) Report(ctx context.Context) ([]Grant, error) {
	integration, _, err := s.Settings.Load(ctx)
	if err != nil {
		return nil, err
	}
	var rows []Grant
	app, err := appOf(integration)
	unset, isUnset := errors.AsType[*UnsetError](err)
	if !isUnset {
		if rows, err = s.Grants.Grants(ctx, app.Tenant); err != nil {
			return nil, fmt.Errorf("read grants: %w", err)
		}
	}
	grants := complete(app.ClientID, rows)
	if isUnset {
		for i := range grants {
			grants[i].Reason, grants[i].NextStep = unset.What+" is missing", unset.Sentence()
		}
	}
	return grants, nil
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

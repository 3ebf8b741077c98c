package health

import (
	"slices"
	"time"

	"procallteams/internal/consent"
)

// DirectionState is where one direction stands. Its texts are part of the HTTP
// contract.
type DirectionState string

// States of a direction.
const (
	Working               DirectionState = "working"
	Ready                 DirectionState = "ready"    // allowed, and nothing to do yet
	Starting              DirectionState = "starting" // allowed, the first sync is due
	Off                   DirectionState = "off"
	Paused                DirectionState = "paused"
	AuthorizationRequired DirectionState = "authorization required"
	StaleState            DirectionState = "stale"
	NotSetUpYet           DirectionState = "not set up"
)

// Direction is one of the two ways that presence travels.
type Direction struct {
	Name  string         `json:"name"` // teamsToProCall or proCallToTeams
	State DirectionState `json:"state"`
	Since time.Time      `json:"since,omitzero"`
	// Carrier is the consent that carries reading: admin or user.
	Carrier consent.Kind `json:"carrier,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Code    string       `json:"code,omitempty"`
	// NextStep is empty when there is nothing to do.
	NextStep string `json:"nextStep,omitempty"`
}

// rank orders grants by how much they are worth.
var rank = map[consent.State]int{
	consent.Granted: 7, consent.Expiring: 6, consent.Unverified: 5, consent.Waiting: 4,
	consent.Reauthorize: 3, consent.Blocked: 2, consent.Declined: 1,
}

// Best returns the healthiest grant of a kind; one in state required when there
// is none.
func Best(grants []consent.Grant, kind consent.Kind) consent.Grant {
	best := consent.Grant{Kind: kind, State: consent.Required}
	for _, grant := range grants {
		if grant.Kind == kind && rank[grant.State] > rank[best.State] {
			best = grant
		}
	}
	return best
}

// Carrier returns the grant that reading stands on, the app-only one first. It
// reports false when none works, with the grant that is nearest to it.
func Carrier(grants []consent.Grant) (consent.Grant, bool) {
	admin, user := Best(grants, consent.Admin), Best(grants, consent.User)
	switch {
	case admin.Works():
		return admin, true
	case user.Works():
		return user, true
	case rank[admin.State] > rank[user.State]:
		return admin, false
	}
	return user, false
}

// Directions returns both directions, from Teams to ProCall first.
func Directions(now time.Time, in Input) []Direction {
	read := Direction{Name: "teamsToProCall"}
	write := Direction{Name: "proCallToTeams"}
	s := in.Settings
	on := map[*Direction]bool{&read: s.TeamsToProCall == "everyone", &write: s.ProCallToTeams == "everyone"}
	for _, d := range []*Direction{&read, &write} {
		switch {
		case s.Tenant == "" || s.ClientID == "":
			d.State, d.NextStep = NotSetUpYet, "Enter the tenant and the app registration."
		case !on[d]:
			d.State = Off
		case s.Paused:
			d.State, d.NextStep = Paused, "Resume on the console."
		}
	}
	if read.State == "" {
		judgeReading(now, in, &read)
	}
	if write.State == "" {
		admin := Best(in.Grants, consent.Admin)
		write.Carrier = consent.Admin
		if admin.Works() {
			write.State, write.Since = Ready, admin.Since
			write.Reason = "The permission is there; this version does not write calls to Teams yet."
		} else {
			write.blocked(required(RequiredWrite, "", admin), admin.Code)
		}
	}
	return []Direction{read, write}
}

func (d *Direction) blocked(f Finding, code string) {
	d.State, d.Since, d.Reason, d.Code, d.NextStep = AuthorizationRequired, f.Since, f.Detail, code, f.NextStep
}

func judgeReading(now time.Time, in Input, d *Direction) {
	beat := in.Heartbeat
	grant, ok := Carrier(in.Grants)
	d.Carrier = grant.Kind
	f, bad := reading(now, in)
	switch {
	case !bad:
		d.State, d.Since = Working, grant.Since
		if beat.AsOf.IsZero() {
			d.State = Starting
		}
		if kind := consent.Kind(beat.Carrier); kind != "" {
			d.Carrier = kind
		}
		if d.Carrier == consent.User {
			d.Reason = "a person's consent carries reading: guests and disabled accounts can't be told apart, and it ends when that account does"
			d.NextStep = "Give the admin consent, which needs no person."
		}
	case f.Code == RequiredRead:
		d.blocked(f, grant.Code)
		if !ok {
			d.Carrier = ""
		}
	case beat.Attempt.IsZero():
		d.State = Starting // just switched on: the first tick is due
	default:
		d.State, d.Since, d.Reason, d.NextStep = StaleState, f.Since, f.Title+": "+f.Detail, f.NextStep
	}
}

// Overall is the state of the whole: the worst of the directions that are on.
func Overall(directions []Direction) DirectionState {
	order := []DirectionState{NotSetUpYet, AuthorizationRequired, StaleState, Starting, Paused, Working, Ready}
	for _, state := range order {
		if slices.ContainsFunc(directions, func(d Direction) bool { return d.State == state }) {
			return state
		}
	}
	return Off
}

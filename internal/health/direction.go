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
	Starting              DirectionState = "starting" // allowed; the first sync, or the first report, is due
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
	// Carrier is the consent that carries it: admin or user.
	Carrier consent.Kind `json:"carrier,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Code    string       `json:"code,omitempty"`
	// NextStep is empty when there is nothing to do.
	NextStep string `json:"nextStep,omitempty"`
}

// Directions returns both directions, from Teams to ProCall first.
func Directions(now time.Time, in Input) []Direction {
	read := Direction{Name: "teamsToProCall"}
	write := Direction{Name: "proCallToTeams"}
	s := in.Settings
	on := map[*Direction]bool{&read: s.TeamsToProCall.On(), &write: s.ProCallToTeams.On()}
	for _, d := range []*Direction{&read, &write} {
		switch {
		case s.Tenant == "" || s.ClientID == "":
			d.State, d.NextStep = NotSetUpYet, "Enter the tenant and the app registration."
		case !on[d]:
			d.State = Off
		case s.Paused:
			d.State, d.NextStep = Paused, "Untick \"Pause both\" on the console, step 3."
		}
	}
	if read.State == "" {
		judgeReading(now, in, &read)
	}
	if write.State == "" {
		judgeWriting(now, in, &write)
	}
	return []Direction{read, write}
}

func (d *Direction) blocked(f Finding, code string) {
	d.State, d.Since, d.Reason, d.Code, d.NextStep = AuthorizationRequired, f.Since, f.Detail, code, f.NextStep
}

func judgeReading(now time.Time, in Input, d *Direction) {
	beat := in.Heartbeat
	grant, ok := consent.Carrier(in.Grants, consent.Reading)
	d.Carrier = grant.Kind
	f, bad := reading(now, in)
	switch {
	case !bad:
		d.State, d.Since = Working, grant.Since
		if beat.AsOf.IsZero() || renewed(beat, grant) {
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
	order := []DirectionState{NotSetUpYet, AuthorizationRequired, StaleState, Starting, Paused, Working}
	for _, state := range order {
		if slices.ContainsFunc(directions, func(d Direction) bool { return d.State == state }) {
			return state
		}
	}
	return Off
}

package presence

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Override is one line of the mapping that an installation has of its own. It
// stands in the place of the original's line with the same availability and
// activity, or beside the original's lines where these have none.
type Override struct {
	Availability Availability
	// Activity is empty for every activity of the availability that has no line of
	// its own.
	Activity     Activity
	Contribution Contribution
}

// stored is an override in JSON.
type stored struct {
	Availability string        `json:"availability"`
	Activity     string        `json:"activity,omitempty"`
	State        *ProCallState `json:"state"` // null contributes nothing
	Reasons      []string      `json:"reasons,omitempty"`
}

// MarshalJSON writes an override as the settings hold it.
func (o Override) MarshalJSON() ([]byte, error) {
	s := stored{Availability: string(o.Availability), Activity: string(o.Activity), Reasons: o.Contribution.Reasons.words()}
	if state := o.Contribution.State; state != "" {
		s.State = &state
	}
	return json.Marshal(s)
}

// UnmarshalJSON reads an override. Words of Graph may be written in any case and in
// both of its sets of values; those that are not known are a fault, since nothing
// would ever come that fits.
func (o *Override) UnmarshalJSON(text []byte) error {
	var s stored
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("%s must not be a %s", cmp.Or(wrong.Field, "a line"), wrong.Value)
		}
		return errors.New("must have the members availability, activity, state and reasons only")
	}
	parsed, err := s.parse()
	*o = parsed
	return err
}

func (s stored) parse() (Override, error) {
	availability, known := ParseAvailability(s.Availability)
	if !known {
		return Override{}, errors.New("availability is none that Teams has")
	}
	state := State{Availability: availability}
	if s.Activity != "" {
		if state.Activity, known = ParseActivity(s.Activity); !known {
			return Override{}, errors.New("activity is none that Teams has; leave it out for every activity without a line of its own")
		}
	}
	state = Classic(state)
	o := Override{Availability: state.Availability, Activity: state.Activity}
	if s.State != nil {
		if o.Contribution.State = *s.State; !slices.Contains(proCallStates, *s.State) {
			return Override{}, errors.New(`state must be "busy", "doNotDisturb", "absent" or null`)
		}
	}
	for _, reason := range s.Reasons {
		if reason != callWord {
			return Override{}, errors.New(`reasons can hold "call" only`)
		}
		o.Contribution.Reasons = CallReason
	}
	if o.Contribution.Reasons != 0 && o.Contribution.State != ProCallBusy {
		return Override{}, errors.New("a call is a reason to be busy only")
	}
	return o, nil
}

// InOrder returns overrides in their one order, and an error when two of them are
// about the same line.
func InOrder(overrides []Override) ([]Override, error) {
	sorted := slices.SortedFunc(slices.Values(overrides), func(a, b Override) int {
		return cmp.Or(strings.Compare(string(a.Availability), string(b.Availability)), strings.Compare(string(a.Activity), string(b.Activity)))
	})
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.Availability == b.Availability && a.Activity == b.Activity {
			return sorted, fmt.Errorf("%s has two lines", strings.TrimSuffix(string(a.Availability)+"/"+string(a.Activity), "/"))
		}
	}
	return sorted, nil
}

// Mapping says what each presence in Teams contributes to ProCall: the original's
// table, and over it an installation's overrides. The zero Mapping is the table
// alone. It is not changed after it was made, so it may be shared.
type Mapping struct {
	overrides map[pair]Contribution // of a whole availability under the empty activity
}

// NewMapping puts overrides over the original's table.
func NewMapping(overrides []Override) Mapping {
	if len(overrides) == 0 {
		return Mapping{}
	}
	m := Mapping{make(map[pair]Contribution, len(overrides))}
	for _, o := range overrides {
		m.overrides[pair{o.Availability, o.Activity}] = o.Contribution
	}
	return m
}

// OutcomeOf returns what a state that Graph holds now means to UCServer.
func (m Mapping) OutcomeOf(s State) Outcome {
	s = Classic(s)
	return m.Again(Outcome{Availability: s.Availability, Activity: s.Activity, OutOfOffice: s.OutOfOffice, Source: FromTeams})
}

// Again returns an outcome that was judged earlier as it is judged by this mapping.
// What is not Teams' own keeps contributing nothing.
func (m Mapping) Again(o Outcome) Outcome {
	if o.Source == FromTeams {
		o.ProCall = m.contribution(o.Availability, o.Activity)
	}
	return o
}

func (m Mapping) contribution(availability Availability, activity Activity) Contribution {
	if len(m.overrides) == 0 {
		return ruleFor(availability, activity).contribution
	}
	if c, ok := m.overrides[pair{availability, activity}]; ok {
		return c
	}
	if r, ok := byPair[pair{availability, activity}]; ok {
		return r.contribution
	}
	if c, ok := m.overrides[pair{availability, ""}]; ok {
		return c
	}
	return ruleFor(availability, activity).contribution
}

// Line is one line of a mapping, for people to read.
type Line struct {
	Availability Availability
	Activity     Activity // empty for every other activity
	ProCall      ProCall
	// Own says that it is an override of this installation.
	Own bool
}

// Lines returns the whole mapping: by availability, and of these the line for every
// other activity last.
func (m Mapping) Lines() []Line {
	pairs := map[pair]bool{}
	for p := range byPair {
		pairs[p] = true
	}
	for a := range byAvailability {
		pairs[pair{a, ""}] = true
	}
	for p := range m.overrides {
		pairs[p] = true
	}
	lines := make([]Line, 0, len(pairs))
	for p := range pairs {
		_, own := m.overrides[p]
		outcome := m.Again(Outcome{Availability: p.availability, Activity: p.activity, Source: FromTeams})
		lines = append(lines, Line{p.availability, p.activity, outcome.View(), own})
	}
	slices.SortFunc(lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(rank(a.Availability), rank(b.Availability)), cmp.Compare(noActivity(a), noActivity(b)), strings.Compare(string(a.Activity), string(b.Activity)))
	})
	return lines
}

var order = []Availability{Available, AvailableIdle, Busy, BusyIdle, DoNotDisturb, BeRightBack, Away, Offline, PresenceUnknown}

func rank(a Availability) int { return slices.Index(order, a) }

func noActivity(l Line) int {
	if l.Activity == "" {
		return 1
	}
	return 0
}

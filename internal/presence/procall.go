package presence

// Icon is the colour of the Teams icon that ProCall shows.
type Icon string

// Icons of the original.
const (
	Neutral Icon = "neutral"
	Yellow  Icon = "yellow"
	Red     Icon = "red"
)

// Label is a stable word for the icon's tooltip, to be translated by the client.
type Label string

// Labels. The first six are the original's tooltips; its German page also tells
// a meeting apart. The others name what the original does not state.
const (
	LabelPresent      Label = "present"
	LabelBusy         Label = "busy"
	LabelDoNotDisturb Label = "doNotDisturb"
	LabelAbsent       Label = "absent"
	LabelUnknown      Label = "unknown"
	LabelInCall       Label = "inCall"
	LabelInMeeting    Label = "inMeeting"
	LabelFocusing     Label = "focusing"
	LabelInactive     Label = "inactive"
	LabelOutOfOffice  Label = "outOfOffice"
)

// rule is one line of the mapping: what Teams contributes and what is shown.
type rule struct {
	contribution Contribution
	icon         Icon
	label        Label
}

var (
	nothing      = Contribution{}
	inCall       = Contribution{ProCallBusy, CallReason}
	doNotDisturb = Contribution{State: ProCallDoNotDisturb}
)

type pair struct {
	availability Availability
	activity     Activity
}

// byPair is the original's table (estos: which presence states are transferred),
// then what it does not state. A pair that is not here follows byAvailability.
var byPair = map[pair]rule{
	{Busy, InACall}:            {inCall, Red, LabelInCall},
	{Busy, InAMeeting}:         {nothing, Red, LabelInMeeting},
	{DoNotDisturb, Presenting}: {doNotDisturb, Red, LabelDoNotDisturb},

	{Busy, InAConferenceCall}:               {inCall, Red, LabelInCall},
	{DoNotDisturb, UrgentInterruptionsOnly}: {doNotDisturb, Red, LabelDoNotDisturb},
	{DoNotDisturb, "Focusing"}:              {nothing, Red, LabelFocusing},
	{Available, OutOfOffice}:                {nothing, Neutral, LabelOutOfOffice},
	{Away, OutOfOffice}:                     {nothing, Yellow, LabelOutOfOffice},
	{Offline, OutOfOffice}:                  {nothing, Neutral, LabelOutOfOffice},
	{Busy, OutOfOffice}:                     {nothing, Red, LabelBusy},
	{DoNotDisturb, OutOfOffice}:             {nothing, Red, LabelOutOfOffice},
	{Available, AvailableInactive}:          {nothing, Neutral, LabelInactive},
	{Available, Inactive}:                   {nothing, Neutral, LabelInactive},
}

var byAvailability = map[Availability]rule{
	Available:    {nothing, Neutral, LabelPresent},
	Busy:         {nothing, Red, LabelBusy},
	DoNotDisturb: {doNotDisturb, Red, LabelDoNotDisturb},
	BeRightBack:  {nothing, Yellow, LabelAbsent},
	Away:         {nothing, Yellow, LabelAbsent},
	Offline:      {nothing, Neutral, LabelUnknown},

	AvailableIdle:   {nothing, Neutral, LabelInactive},
	BusyIdle:        {nothing, Red, LabelBusy},
	PresenceUnknown: {nothing, Neutral, LabelUnknown},
}

func ruleFor(availability Availability, activity Activity) rule {
	if r, ok := byPair[pair{availability, activity}]; ok {
		return r
	}
	if r, ok := byAvailability[availability]; ok {
		return r
	}
	return byAvailability[PresenceUnknown]
}

// OutcomeOf returns what a state that Graph holds now means to UCServer by the
// original's table alone.
func OutcomeOf(s State) Outcome { return Mapping{}.OutcomeOf(s) }

// EchoOf returns what a state means that is the bridge's own: it is shown as
// Graph holds it and contributes nothing.
func EchoOf(s State) Outcome {
	outcome := OutcomeOf(s)
	outcome.Source, outcome.ProCall = FromBridge, Contribution{}
	return outcome
}

// Withdrawn returns the outcome that takes back whatever Teams caused.
func Withdrawn(why Source) Outcome {
	return Outcome{Availability: PresenceUnknown, Activity: Activity(PresenceUnknown), Source: why}
}

// ProCall is the member "procall" of a change in the HTTP contract.
type ProCall struct {
	// State is null when Teams contributes nothing now.
	State   *ProCallState `json:"state"`
	Reasons []string      `json:"reasons"` // never null
	// Raw is UCServer's calculated presence (AsnPresenceStateEnum and
	// AsnPresenceStateFlags), advisory; absent when State is null.
	Raw   uint32 `json:"raw,omitempty"`
	Icon  Icon   `json:"icon"`
	Label Label  `json:"label"`
}

// UCServer's calculated presence: low byte AsnPresenceStateEnum, upper bits
// AsnPresenceStateFlags. Manual presences are numbered differently.
const (
	rawBusy         = 2
	rawAbsent       = 3
	rawDoNotDisturb = 4
	rawCall         = 0x04000000
)

// View returns the outcome as the HTTP contract shows it. Icon and label are those
// of Teams, whatever an installation makes of it.
func (o Outcome) View() ProCall {
	r := ruleFor(o.Availability, o.Activity)
	view := ProCall{Reasons: []string{}, Icon: r.icon, Label: r.label}
	switch o.ProCall.State {
	case ProCallBusy:
		view.Raw = rawBusy
	case ProCallDoNotDisturb:
		view.Raw = rawDoNotDisturb
	case ProCallAbsent:
		view.Raw = rawAbsent
	default:
		return view
	}
	state := o.ProCall.State
	view.State = &state
	view.Reasons = append(view.Reasons, o.ProCall.Reasons.words()...)
	if o.ProCall.Reasons&CallReason != 0 {
		view.Raw |= rawCall
	}
	return view
}

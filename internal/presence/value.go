package presence

import "strings"

// Availability is the base presence, in the classic spelling. The empty value
// means that nothing is known yet.
type Availability string

// Activity is the more exact word beside an availability.
type Activity string

// Availabilities of Graph (resource type presence, classic set and the set of
// September 2025).
const (
	Available       Availability = "Available"
	AvailableIdle   Availability = "AvailableIdle"
	Away            Availability = "Away"
	BeRightBack     Availability = "BeRightBack"
	Busy            Availability = "Busy"
	BusyIdle        Availability = "BusyIdle"
	DoNotDisturb    Availability = "DoNotDisturb"
	Focusing        Availability = "Focusing"
	Offline         Availability = "Offline"
	PresenceUnknown Availability = "PresenceUnknown"
)

// Activities that mean more than their availability does.
const (
	InACall                 Activity = "InACall"
	InAConferenceCall       Activity = "InAConferenceCall"
	InAMeeting              Activity = "InAMeeting"
	Presenting              Activity = "Presenting"
	UrgentInterruptionsOnly Activity = "UrgentInterruptionsOnly"
	OffWork                 Activity = "OffWork"
	OutOfOffice             Activity = "OutOfOffice"
	Inactive                Activity = "Inactive"
	AvailableInactive       Activity = "AvailableInactive"
)

var availabilities = bySpelling(Available, AvailableIdle, Away, BeRightBack, Busy, BusyIdle, DoNotDisturb, Focusing, Offline, PresenceUnknown,
	// The set of September 2025 has these in place of a base presence.
	"InACall", "InAMeeting", "Presenting")

// Activities are all that Graph has.
var Activities = [...]Activity{InACall, InAConferenceCall, InAMeeting, Presenting, UrgentInterruptionsOnly, OffWork, OutOfOffice,
	Inactive, AvailableInactive, "Available", "Away", "BeRightBack", "Busy", "DoNotDisturb", "Focusing", "Offline", "PresenceUnknown"}

var activities = bySpelling(Activities[:]...)

// bySpelling indexes values by the spellings that occur (Busy, busy; InACall,
// inACall) and by lower case, which finds all others.
func bySpelling[T ~string](values ...T) map[string]T {
	m := make(map[string]T, 3*len(values))
	for _, v := range values {
		text := string(v)
		m[text] = v
		m[strings.ToLower(text[:1])+text[1:]] = v
		m[strings.ToLower(text)] = v
	}
	return m
}

func parse[V ~string, T string | []byte](known map[string]V, text T) (V, bool) {
	if v, ok := known[string(text)]; ok {
		return v, true
	}
	if v, ok := known[strings.ToLower(string(text))]; ok {
		return v, true
	}
	return V(PresenceUnknown), false
}

// ParseAvailability returns the value in its classic spelling. An unknown text
// is PresenceUnknown and false.
func ParseAvailability[T string | []byte](text T) (Availability, bool) {
	return parse(availabilities, text)
}

// ParseActivity returns the value in its classic spelling. An unknown text is
// PresenceUnknown and false: the availability decides then.
func ParseActivity[T string | []byte](text T) (Activity, bool) { return parse(activities, text) }

// Classic returns a state in the classic set. The set of September 2025 has the
// exact word as availability (inACall, with activity busy or outOfOffice), the
// classic one has it as activity; a tenant that is moved from one to the other
// must not look as if everybody had changed.
//
// An availability that is not known has the activity beside it as its neighbour,
// when that is the word of a base presence: so it would be in the newer set.
func Classic(s State) State {
	base := Busy
	switch s.Availability {
	case PresenceUnknown:
		switch a := Availability(s.Activity); a {
		case Available, Away, BeRightBack, Busy, DoNotDisturb, Offline:
			s.Availability, s.Activity = a, Activity(PresenceUnknown)
		}
		return s
	case "InACall", "InAMeeting":
	case "Presenting", Focusing:
		base = DoNotDisturb
	default:
		return s
	}
	s.OutOfOffice = s.OutOfOffice || s.Activity == OutOfOffice
	s.Activity = Activity(s.Availability)
	s.Availability = base
	return s
}

// ProCallState is the state that Teams contributes; empty contributes nothing.
type ProCallState string

// States of UCServer that Teams may cause. The original transfers the first two
// (estos: which presence states are transferred); absent comes by an override only.
const (
	ProCallBusy         ProCallState = "busy"
	ProCallDoNotDisturb ProCallState = "doNotDisturb"
	ProCallAbsent       ProCallState = "absent"
)

var proCallStates = []ProCallState{ProCallBusy, ProCallDoNotDisturb, ProCallAbsent}

// Reasons are the reason flags beside a state (UCServer AsnPresenceStateFlags).
type Reasons uint8

// CallReason says that a call or a joined meeting is the reason.
const CallReason Reasons = 1

const callWord = "call"

func (r Reasons) words() []string {
	if r&CallReason != 0 {
		return []string{callWord}
	}
	return nil
}

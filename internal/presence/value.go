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

var availabilities = byLowerCase(Available, AvailableIdle, Away, BeRightBack, Busy, BusyIdle, DoNotDisturb, Focusing, Offline, PresenceUnknown,
	// The set of September 2025 has these in place of a base presence.
	"InACall", "InAMeeting", "Presenting")

var activities = byLowerCase[Activity]("Available", "AvailableInactive", "Away", "BeRightBack", "Busy", "DoNotDisturb", "Focusing",
	"InACall", "InAConferenceCall", "InAMeeting", "Inactive", "Offline", "OffWork", "OutOfOffice", "PresenceUnknown", "Presenting",
	"UrgentInterruptionsOnly")

func byLowerCase[T ~string](values ...T) map[string]T {
	m := make(map[string]T, len(values))
	for _, v := range values {
		m[strings.ToLower(string(v))] = v
	}
	return m
}

// ParseAvailability returns the value in its classic spelling. An unknown text
// is PresenceUnknown and false.
func ParseAvailability(text string) (Availability, bool) {
	if v, ok := availabilities[strings.ToLower(text)]; ok {
		return v, true
	}
	return PresenceUnknown, false
}

// ParseActivity returns the value in its classic spelling. An unknown text is
// PresenceUnknown and false: the availability decides then.
func ParseActivity(text string) (Activity, bool) {
	if v, ok := activities[strings.ToLower(text)]; ok {
		return v, true
	}
	return Activity(PresenceUnknown), false
}

// ProCallState is the state that Teams contributes; empty contributes nothing.
type ProCallState string

// States of UCServer that Teams may cause (estos: which presence states are
// transferred).
const (
	ProCallBusy         ProCallState = "busy"
	ProCallDoNotDisturb ProCallState = "doNotDisturb"
)

// Reasons are the reason flags beside a state (UCServer AsnPresenceStateFlags).
type Reasons uint8

// CallReason says that a call or a joined meeting is the reason.
const CallReason Reasons = 1

package presence

import (
	"errors"
	"fmt"
	"time"
)

// Settable is a pair that an application may set for its own session: one of the
// five that Graph accepts in presence: setPresence (v1.0). The zero value is
// none of them, and no other can be built outside this package.
type Settable struct {
	availability Availability
	activity     Activity
}

// InACallPair is what a call shows: Busy/InACall.
func InACallPair() Settable { return Settable{Busy, InACall} }

// InAConferencePair is Busy/InAConferenceCall.
func InAConferencePair() Settable { return Settable{Busy, InAConferenceCall} }

// AwayPair is Away/Away. It cannot hide what a Teams client says (Graph: manage
// presence state).
func AwayPair() Settable { return Settable{Away, Activity(Away)} }

// ParseSettable reads "Busy/InACall". Available/Available and
// DoNotDisturb/Presenting could be set, but the bridge never does: it would
// overstate a person, or claim a shared screen.
func ParseSettable(text string) (Settable, error) {
	for _, s := range []Settable{InACallPair(), InAConferencePair(), AwayPair()} {
		if s.String() == text {
			return s, nil
		}
	}
	return Settable{}, errors.New("not a pair that the bridge sets")
}

// Availability and Activity return the pair's words, in the classic spelling.
func (s Settable) Availability() Availability { return s.availability }
func (s Settable) Activity() Activity         { return s.activity }

// IsZero reports whether s is no pair at all.
func (s Settable) IsZero() bool { return s == Settable{} }

func (s Settable) String() string {
	if s.IsZero() {
		return ""
	}
	return string(s.availability) + "/" + string(s.activity)
}

// MarshalText and UnmarshalText make a pair "Busy/InACall"; none is empty.
func (s Settable) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s *Settable) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*s = Settable{}
		return nil
	}
	*s, err = ParseSettable(string(text))
	return err
}

// Shows reports whether an answer of Graph may be nothing but this pair of ours.
// After Busy/InACall was set, answers were seen with activity Busy as well as
// InACall, so the activity alone proves nothing (graph-presence: echo).
func (s Settable) Shows(state State) bool {
	state = Classic(state)
	return !s.IsZero() && state.Availability == s.availability && (state.Activity == s.activity || state.Activity == Activity(s.availability))
}

// Lifetime is how long a session lasts without being renewed: 5 to 240 minutes
// (Graph: presence: setPresence). The zero value is 5 minutes.
type Lifetime struct{ minutes int }

const (
	shortest = 5
	longest  = 240
)

// LifetimeOf returns d in whole minutes, brought into the range that Graph accepts.
func LifetimeOf(d time.Duration) Lifetime {
	return Lifetime{min(max(int(d/time.Minute), shortest), longest)}
}

// Duration returns the lifetime.
func (l Lifetime) Duration() time.Duration {
	return time.Duration(max(l.minutes, shortest)) * time.Minute
}

// String is the ISO 8601 duration that Graph wants: PT10M.
func (l Lifetime) String() string { return fmt.Sprintf("PT%dM", max(l.minutes, shortest)) }

// Package calls knows what UCServer says about people on the phone.
//
// A reporter (a machine credential with scope report) sends items; the newest
// one about a person, in the order (epoch, seq), is that person's [Report]. An
// epoch is opened by a complete list only, and everything that a reporter said
// is void when its lease ends ([Reporter]). Package session decides what becomes
// of reports in Teams. [Ledger] takes items in and ends leases; its store is
// package storage. No SDK here.
package calls

import (
	"time"

	"procallteams/internal/presence"
)

// State is UCServer's calculated presence (AsnPresenceStateEnum), in the words of
// the HTTP contract.
type State string

// States. The numbers are UCServer's.
const (
	Unknown      State = "unknown"      // 0, not available or unknown
	Available    State = "available"    // 1
	Busy         State = "busy"         // 2
	Absent       State = "absent"       // 3
	DoNotDisturb State = "doNotDisturb" // 4
	OutOfOrder   State = "outOfOrder"   // 7, broken line or device
)

// Reason is a set of UCServer's flags beside a state (AsnPresenceStateFlags).
type Reason uint16

// Reasons.
const (
	Call          Reason = 1 << iota // in a call
	Conference                       // in a conference of estos' own product
	Ringing                          // a call rings
	WrapUp                           // working after a call
	Appointment                      // an appointment is active
	Idle                             // no keyboard or mouse
	Offline                          // not signed in
	Note                             // has a note
	Mobile                           // likely reachable on mobile
	realTime      = Call | Conference
	worthKeeping  = realTime | Ringing | WrapUp | Appointment
	numberOfFlags = 9
)

// RealTime reports whether the person communicates now: in a call or conference.
func (r Reason) RealTime() bool { return r&realTime != 0 }

// Has reports whether all reasons of other are in r.
func (r Reason) Has(other Reason) bool { return r&other == other }

// Manual is a presence that the person chose in ProCall. Only do not disturb may
// ever be written to Teams, and only when an administrator switched that on.
type Manual struct {
	State State `json:"state"`
	// Until is when the choice ends, zero when it does not end by itself.
	Until time.Time `json:"until,omitzero"`
}

// Report is the newest that one reporter said about one person.
type Report struct {
	Reporter string `json:"reporter"` // id of the credential
	User     string `json:"user"`     // UCServer name, as the directory has it
	// Epoch and Seq order the reports of one reporter; Generation is the
	// reporter's when it was taken in.
	Epoch      int64  `json:"epoch"`
	Generation int64  `json:"generation"`
	Seq        int64  `json:"seq"`
	State      State  `json:"state"`
	Reasons    Reason `json:"reasons,omitempty"`
	// External says that Teams itself caused the state: kept, never written.
	External bool    `json:"external,omitempty"`
	Manual   *Manual `json:"manual,omitempty"`
	// Since is when the state began, as reported but not later than At, which is
	// when the report was taken in. Both UTC.
	Since time.Time `json:"since"`
	At    time.Time `json:"at"`
}

// Active reports whether the report says anything that could be written to Teams.
// One that is not is kept for a while, so that older ones are known for such.
func (r Report) Active() bool {
	return r.Reasons&worthKeeping != 0 || r.Manual != nil
}

// same reports whether two reports say the same about the person.
func (r Report) same(o Report) bool {
	manual := r.Manual == nil && o.Manual == nil || r.Manual != nil && o.Manual != nil && r.Manual.State == o.Manual.State && r.Manual.Until.Equal(o.Manual.Until)
	return manual && r.State == o.State && r.Reasons == o.Reasons && r.External == o.External
}

// Person is everything that reporters say about one person: one row.
type Person struct {
	ID presence.UserID `json:"-"`
	// Reports has at most one per reporter.
	Reports []Report `json:"reports"`
	// Quiet says that what changed is nothing to the writer: no [Due] is stored.
	Quiet bool `json:"-"`
	// Version is the stored row's ETag, empty when there is none.
	Version string `json:"-"`
}

// Of returns the report of one reporter.
func (p Person) Of(reporter string) (Report, bool) {
	for _, r := range p.Reports {
		if r.Reporter == reporter {
			return r, true
		}
	}
	return Report{}, false
}

// with returns p with the report of its reporter replaced.
func (p Person) with(report Report) Person {
	reports := make([]Report, 0, len(p.Reports)+1)
	for _, r := range p.Reports {
		if r.Reporter != report.Reporter {
			reports = append(reports, r)
		}
	}
	p.Reports = append(reports, report)
	return p
}

// Due is a person whose reports changed and were not yet acted on: the writer's
// work. It is stored together with the person's row, and removed by the writer.
type Due struct {
	ID      presence.UserID
	At      time.Time // when the change was taken in
	Reports []Report  // those of the person's row
	// Seen is when a sync saw our pair in Teams although it was cleared; zero when
	// none did. Then Reports may be missing, and Told false.
	Seen time.Time
	// Told says that Reports are there.
	Told    bool
	Version string // of the stored row
}

package graph

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// never is later than every clock.
const never = math.MaxInt64

// Transition is one change of what a user shows, the ground truth.
type Transition struct {
	UserID       string    `json:"userId"`
	At           time.Time `json:"at"` // when an answer shows it for the first time
	Availability string    `json:"availability"`
	Activity     string    `json:"activity"`
	OutOfOffice  bool      `json:"outOfOffice"`
	Sequence     string    `json:"sequence"` // also kept while answers omit it
	// Removed says that the user left the directory; the state is empty then.
	Removed bool `json:"removed,omitempty"`
}

// session is one contribution to a user's presence: a Teams client's (key
// empty) or an application's (key is its sessionId).
type session struct {
	key                    string
	availability, activity string
	write                  uint64    // rises with every write; the newest wins a tie
	written                time.Time // start of fading
	expires                time.Time // zero: lives until it is removed
}

const clientSession = ""

// fadeAfter is the time after which an application's Available becomes
// Available/AvailableInactive, and after the same time again Away/Away (Graph:
// manage presence state).
const fadeAfter = 5 * time.Minute

// at returns what the session contributes at a time, and when that changes
// next (zero: never). An expiry that falls on a fade wins: INFER.
func (p session) at(t time.Time) (availability, activity string, alive bool, next time.Time) {
	availability, activity, next = p.availability, p.activity, p.expires
	if !p.expires.IsZero() && !t.Before(p.expires) {
		return "", "", false, time.Time{}
	}
	if p.key == clientSession || p.availability != "Available" {
		return availability, activity, true, next
	}
	for i, shown := range [][2]string{{"Available", "AvailableInactive"}, {"Away", "Away"}} {
		fade := p.written.Add(time.Duration(i+1) * fadeAfter)
		if t.Before(fade) {
			return availability, activity, true, earliest(next, fade)
		}
		availability, activity = shown[0], shown[1]
	}
	return availability, activity, true, next
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// rank orders sessions: DoNotDisturb > Busy > Available > Away (Graph: manage
// presence state). INFER: BeRightBack stands above Away, Offline is last. A value
// that nobody knows is shown, or it could not be tested.
func rank(availability string) int {
	switch availability {
	case "DoNotDisturb":
		return 5
	case "Busy", "BusyIdle":
		return 4
	case "Available", "AvailableIdle":
		return 3
	case "BeRightBack":
		return 2
	case "Away":
		return 1
	case "Offline":
		return 0
	}
	return 6
}

// effective is what the user shows at a time, and when that may change next.
// Sessions that are over are dropped.
func (u *user) effective(t time.Time) (availability, activity string, next time.Time) {
	availability, activity = "Offline", "Offline"
	best, kept := -1, u.sessions[:0]
	var newest uint64
	for _, p := range u.sessions {
		av, ac, alive, change := p.at(t)
		if !alive {
			continue
		}
		kept = append(kept, p)
		next = earliest(next, change)
		if r := rank(av); r > best || r == best && p.write > newest {
			best, newest, availability, activity = r, p.write, av, ac
		}
	}
	u.sessions = kept
	if u.preferred != nil {
		if !t.Before(u.preferred.expires) {
			u.preferred = nil
		} else {
			next = earliest(next, u.preferred.expires)
			// A preference shows nothing without a session.
			if len(kept) > 0 {
				availability, activity = u.preferred.availability, u.preferred.activity
			}
		}
	}
	return availability, activity, next
}

// refresh makes u's state at t visible: history, sequence number, rendered
// answer, next expiry. It needs the write lock.
func (s *Simulator) refresh(u *user, t time.Time) {
	availability, activity, next := u.effective(t)
	if availability != u.availability || activity != u.activity || u.outOfOffice != u.shownOutOfOffice {
		s.sequence++
		u.availability, u.activity, u.shownOutOfOffice = availability, activity, u.outOfOffice
		u.sequence = fmt.Sprintf("A%010d", s.sequence)
		u.render(s.settings)
		s.record(Transition{UserID: u.ID, At: t, Availability: availability, Activity: activity, OutOfOffice: u.outOfOffice, Sequence: u.sequence})
	}
	if !next.IsZero() && !next.Equal(u.due) {
		u.due = next
		heap.Push(&s.expiries, expiry{next, u})
	}
	if next.IsZero() {
		u.due = time.Time{}
	}
}

func (s *Simulator) record(t Transition) {
	if len(s.history) >= s.limit {
		s.history = append(s.history[:0], s.history[s.limit/10+1:]...)
	}
	s.history = append(s.history, t)
}

// render writes the user's item as answers carry it.
func (u *user) render(settings Settings) {
	availability, activity := spell(settings.Profile, u.availability, u.activity)
	message := "null"
	if u.outOfOfficeMessage != "" {
		message = quote(u.outOfOfficeMessage)
	}
	b := make([]byte, 0, 220)
	b = fmt.Appendf(b, `{"id":"%s","availability":%s,"activity":%s,"outOfOfficeSettings":{"message":%s,"isOutOfOffice":%t}`,
		u.ID, quote(availability), quote(activity), message, u.outOfOffice)
	if !settings.OmitSequence {
		b = fmt.Appendf(b, `,"sequenceNumber":"%s"`, u.sequence)
	}
	u.item = append(b, '}')
}

func quote(text string) string {
	b, _ := json.Marshal(text) // a string always marshals
	return string(b)
}

// spell returns a pair in the words of a profile.
func spell(p Profile, availability, activity string) (string, string) {
	if p != September2025 {
		return availability, activity
	}
	switch activity {
	case "InACall", "InAConferenceCall":
		return "inACall", camel(availability)
	case "InAMeeting":
		return "inAMeeting", camel(availability)
	case "Presenting":
		return "presenting", camel(availability)
	case "OutOfOffice":
		return camel(availability), "outOfOffice"
	}
	return camel(availability), camel(availability)
}

func camel(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToLower(word[:1]) + word[1:]
}

// expiry is a time at which a user's presence may change by itself. An entry
// whose time is not the user's due any more is skipped.
type expiry struct {
	at   time.Time
	user *user
}

type expiries []expiry

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(expiry)) }
func (e *expiries) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

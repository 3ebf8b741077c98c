package health

import (
	"fmt"
	"time"
)

// Pollers are the machines whose credential lets them poll presences. The zero
// value: there is none.
type Pollers struct {
	Count int
	// LastUsed is when one of their credentials was last used, exact to ten minutes;
	// zero: never.
	LastUsed time.Time
}

// unpolled is how long all pollers may be silent before that is told: their last use
// is exact to ten minutes only.
const unpolled = 30 * time.Minute

// taking judges whether anybody takes what is read, where nothing is pushed.
func taking(now time.Time, in Input) (Finding, bool) {
	p := in.Pollers
	if p == nil || !in.Settings.Reads() || in.Settings.PushURL != "" || in.Heartbeat.AsOf.IsZero() {
		return Finding{}, false
	}
	f := Finding{
		Code: NobodyPolls, Title: "Nobody takes the presences that are read", Detail: "there is no push address, and no credential that may poll",
		NextStep: "Enter a push address on the console, or issue a credential of scope read for UCServer's connector.", Who: "administrator",
	}
	switch {
	case p.Count == 0:
		return f, true
	case p.LastUsed.IsZero():
		f.Detail = "there is no push address, and no credential was used to poll yet"
		f.NextStep, f.Who = "Give the credential to UCServer's connector and start it.", "connector"
		return f, true
	case now.Sub(p.LastUsed) > unpolled:
		f.Fault, f.Since, f.Title, f.Detail = true, p.LastUsed, "UCServer polls no more", "a credential that may poll was last used about "+stamp(p.LastUsed)
		f.NextStep, f.Who = "Start the connector beside UCServer, and see whether it reaches the bridge. Nothing is lost within the retention.", "connector"
		return f, true
	}
	return Finding{}, false
}

func poisoned(messages int) Finding {
	f := Finding{
		Code: PoisonMessages, Title: "A message lies in a poison queue", Detail: "the Functions host gave it up after five failures",
		NextStep: "Nothing is lost: messages are only wake-ups. Look for the lines \"invocation failed\" of that time, cure their cause, then delete the messages.", Who: "operator",
	}
	if messages > 1 {
		f.Title, f.Detail = fmt.Sprintf("%d messages lie in poison queues", messages), "the Functions host gave them up after five failures each"
	}
	return f
}

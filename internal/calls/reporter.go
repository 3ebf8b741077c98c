package calls

import (
	"crypto/rand"
	"slices"
	"time"
)

// LeaseTime is how long a reporter may be silent before what it said is void.
const LeaseTime = 5 * time.Minute

// silentTime is after which silence a reporter's word moves nothing any more, whether
// or not its lease was ended: all timers of an app have been seen dead.
const silentTime = LeaseTime + 3*time.Minute

// Need says why nothing but a complete list is accepted from a reporter. These
// are stable words of the HTTP contract.
type Need string

// Needs.
const (
	NeedFirst   Need = "first-list"    // no complete list was ever sent
	NeedExpired Need = "lease-expired" // it was silent for longer than its lease
	// NeedMissed: something that was reported is not kept, because calls were not
	// written then, or because a name is not that person's any more.
	NeedMissed Need = "list-missed"
)

// Reporter is what the bridge remembers about one reporter: one row. Need is
// [NeedFirst] before the first complete list.
type Reporter struct {
	ID string `json:"id"`
	// Epoch is the one in which reports are accepted.
	Epoch int64 `json:"epoch"`
	// Generation rises by one when the lease ends, and with everything that is
	// refused because calls are not written: reports of another generation are void,
	// whatever their rows say.
	Generation int64 `json:"generation"`
	// Until is when the lease ends; Seen when the reporter was last heard.
	Until time.Time `json:"until"`
	Seen  time.Time `json:"seen"`
	// Need is empty while reports are accepted; NeedSince is when that ended, and
	// Ended how many active reports were void with it.
	Need      Need      `json:"need,omitempty"`
	NeedSince time.Time `json:"needSince,omitzero"`
	Ended     int       `json:"ended,omitempty"`
	// AsOf is that of the last complete list of this epoch: a report up to it that
	// comes later is an old one.
	AsOf int64 `json:"asOf,omitempty"`
	// Floor is the highest seq of this epoch among the reports that were forgotten:
	// a report up to it about a person who has no row is an old one.
	Floor int64 `json:"floor,omitempty"`
	// Extended says that the lease was extended because the bridge itself was away,
	// and nothing was heard since.
	Extended bool `json:"extended,omitempty"`
	// Mark is new with every write: whoever finds another one than its own knows that
	// somebody else wrote meanwhile.
	Mark string `json:"mark"`
	// Version is the stored row's ETag, empty when there is none.
	Version string `json:"-"`
}

// lapsed reports whether the lease has run out and nobody has ended it yet.
func (r Reporter) lapsed(now time.Time) bool { return r.Need != NeedExpired && now.After(r.Until) }

// written gives the row that is about to be stored its mark.
func (r *Reporter) written() string {
	r.Mark = rand.Text()
	return r.Mark
}

// Valid reports whether a report of this reporter still counts. An older epoch is
// no reason against it: the complete list that opened the newer one has ended
// whatever it does not name.
func (r Reporter) Valid(report Report) bool {
	return report.Reporter == r.ID && report.Generation == r.Generation
}

// silent reports whether nothing was heard for too long. A row that does not say
// when is of a reporter that was never heard.
func (r Reporter) silent(now time.Time) bool {
	return !r.Seen.IsZero() && now.Sub(r.Seen) > silentTime
}

// Reporters are a tenant's, by id.
type Reporters map[string]Reporter

// Valid returns the reports that count, in their order. A report whose reporter
// has no row counts no more.
func (r Reporters) Valid(reports []Report) []Report {
	valid := make([]Report, 0, len(reports))
	for _, report := range reports {
		if reporter, ok := r[report.Reporter]; ok && reporter.Valid(report) {
			valid = append(valid, report)
		}
	}
	return valid
}

// Heard returns those reports that count and whose reporter was heard lately.
func (r Reporters) Heard(reports []Report, now time.Time) []Report {
	return slices.DeleteFunc(r.Valid(reports), func(report Report) bool { return r[report.Reporter].silent(now) })
}

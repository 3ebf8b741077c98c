package users

import (
	"cmp"
	"slices"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/directory"
	"procallteams/internal/health"
	"procallteams/internal/matching"
	"procallteams/internal/poll"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/userlist"
)

// Answer is api/openapi.yaml, User: what is known about one person now.
type Answer struct {
	// WhyNot says in words why the person does not take part; empty: takes part.
	WhyNot   string          `json:"-"`
	User     string          `json:"user"`
	UCID     string          `json:"ucId,omitempty"`
	UPN      string          `json:"upn,omitempty"`
	EntraID  presence.UserID `json:"entraId,omitempty"`
	Standing string          `json:"standing"`
	Match    *Match          `json:"match,omitempty"`
	// The effective value of each direction, and the rule that decided.
	TeamsToProCall *userlist.Decision `json:"teamsToProCall,omitempty"`
	ProCallToTeams *userlist.Decision `json:"proCallToTeams,omitempty"`
	poll.Freshness
	Teams        *Teams    `json:"teams,omitempty"`
	Told         *Told     `json:"told,omitempty"`
	Reports      []Said    `json:"reports"`
	Session      Standing  `json:"session"`
	DoNotDisturb *Standing `json:"doNotDisturb,omitempty"`
}

// Teams is what the feed publishes.
type Teams struct {
	Availability presence.Availability `json:"availability"`
	Activity     presence.Activity     `json:"activity"`
	OutOfOffice  bool                  `json:"outOfOffice"`
	Source       presence.Source       `json:"source"`
	ObservedAt   time.Time             `json:"observedAt"`
	Age          int64                 `json:"ageSeconds"`
	ProCall      presence.ProCall      `json:"procall"`
	// Alternates says that Microsoft answers with two states by turns; nil when it does not.
	Alternates *health.Alternation `json:"alternates,omitempty"`
}

// Said is the newest that one reporter said.
type Said struct {
	Reporter string        `json:"reporter"`
	State    calls.State   `json:"state"`
	Reasons  []string      `json:"reasons"`
	External bool          `json:"external"`
	Manual   *calls.Manual `json:"manual,omitempty"`
	Since    time.Time     `json:"since"`
	At       time.Time     `json:"at"`
	Counts   bool          `json:"counts"`
}

// Write is the last call to Graph about the person.
type Write struct {
	At     time.Time      `json:"at"`
	What   string         `json:"what"`
	Answer session.Answer `json:"answer"`
	Status int            `json:"status,omitempty"`
	Code   string         `json:"code,omitempty"`
}

var standings = map[directory.Standing]string{
	directory.TakesPart: "takesPart", directory.Disabled: "disabled", directory.Guest: "guest", directory.Ambiguous: "ambiguous",
	directory.NotEnabled: "notEnabled", directory.Unmatched: "unmatched",
}

func (k known) answer() Answer {
	if k.user != nil {
		return k.nobodys()
	}
	a := Answer{
		WhyNot: whyNot[k.person.Standing],
		User:   k.person.Name, UCID: k.person.UCID, UPN: k.person.UPN, EntraID: k.person.ID, Standing: standings[k.person.Standing], Match: k.match,
		TeamsToProCall: userlist.DecisionOf(k.person.Reading), ProCallToTeams: userlist.DecisionOf(k.person.Writing),
		Freshness: k.fresh, Told: k.told(), Reports: k.said(), Session: k.standing(session.Call),
	}
	a.Session.LastWrite = lastWrite(k.session.Last)
	if k.isPublished {
		o := k.published.Outcome
		a.Teams = &Teams{o.Availability, o.Activity, o.OutOfOffice, o.Source, k.published.ObservedAt, max(0, int64(k.asked.Sub(k.published.ObservedAt)/time.Second)), o.View(), k.alternates()}
	}
	if quiet := k.standing(session.Quiet); k.settings.AlsoWrite.DoNotDisturb || quiet.State != none {
		a.DoNotDisturb = &quiet
	}
	return a
}

// alternates is how Microsoft's answers about the person came by turns lately.
func (k known) alternates() *health.Alternation {
	a, ok := k.now.Heartbeat.Alternating[k.person.ID]
	if !ok {
		return nil
	}
	return &a
}

const noAccount = "no account in Entra is this user"

// nobodys is the answer about a user of UCServer who is no account's.
func (k known) nobodys() Answer {
	a := Answer{WhyNot: noAccount, User: k.user.Name, UCID: k.user.ID, Standing: standings[directory.Unmatched], Match: k.match, Freshness: k.fresh, Reports: []Said{}}
	if k.match != nil && k.match.Outcome == matching.Ambiguous.String() {
		a.Standing = standings[directory.Ambiguous]
	}
	a.Session = Standing{State: none, Reason: "does not take part: " + noAccount}
	return a
}

// said returns the reports, the newest first.
func (k known) said() []Said {
	list := make([]Said, 0, len(k.reports))
	for _, r := range k.reports {
		counts := len(k.now.Reporters.Valid([]calls.Report{r})) > 0
		list = append(list, Said{r.Reporter, r.State, r.Reasons.Words(), r.External, r.Manual, r.Since, r.At, counts})
	}
	slices.SortFunc(list, func(a, b Said) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Reporter, b.Reporter)) })
	return list
}

// calledAs are Graph's names of the calls.
var calledAs = map[session.Subject]map[session.Deed]string{
	session.Call:  {session.Set: "setPresence", session.Clear: "clearPresence"},
	session.Quiet: {session.Set: "setUserPreferredPresence", session.Clear: "clearUserPreferredPresence"},
}

func lastWrite(l session.Last) *Write {
	if l.At.IsZero() {
		return nil
	}
	return &Write{l.At, calledAs[l.Subject][l.Deed], l.Answer, l.Status, l.Code}
}

package userlist

import (
	"bufio"
	"encoding/json"
	"io"
	"iter"
	"slices"
	"strings"

	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

// Result says in one word how it stands with a user.
type Result string

// Results, beside the codes of [matching.Outcome] of those who are not matched.
const (
	TakesPart  Result = "takesPart"  // in one direction at least
	NotEnabled Result = "notEnabled" // matched, but no direction is switched on
	NotJudged  Result = "notJudged"  // the other side is not known yet
	Gone       Result = "removed"    // not on the list any more
)

// Line is what is said about one user. What the user is matched with, or would be,
// stands in Account.
type Line struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Effect is what was done to the list, empty when it was only read.
	Effect Effect `json:"effect,omitempty"`
	Result Result `json:"result"`
	// Turns says that the step makes the user gain or lose a match, or moves it.
	Turns          string    `json:"turns,omitempty"`
	Match          *Match    `json:"match,omitempty"`
	Account        *Account  `json:"account,omitempty"`
	TeamsToProCall *Decision `json:"teamsToProCall,omitempty"`
	ProCallToTeams *Decision `json:"proCallToTeams,omitempty"`
	// Reason and Advice are for who is not matched or not enabled.
	Reason   string    `json:"reason,omitempty"`
	Advice   string    `json:"advice,omitempty"`
	Conflict *Conflict `json:"conflict,omitempty"`
	User     *User     `json:"user,omitempty"`
}

// Match is the rule that matched, was ambiguous, or would have fitted, and the line
// of usermatching.csv, 0 for none.
type Match struct {
	Rule string `json:"rule"`
	Line int32  `json:"line,omitempty"`
}

// Account names one of Entra's.
type Account struct {
	ID  presence.UserID `json:"entraId"`
	UPN string          `json:"upn,omitempty"`
}

// Other names a user of UCServer.
type Other struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// Conflict names who makes a user ambiguous: accounts that fit, and users who fit
// one of these as well.
type Conflict struct {
	Accounts []Account `json:"accounts"`
	Users    []Other   `json:"users"`
	More     bool      `json:"more,omitempty"` // than are named
}

// Decision is the effective value of one direction, and what decided it.
type Decision struct {
	TakesPart bool   `json:"takesPart"`
	Rule      string `json:"rule"`
	By        string `json:"by,omitempty"`
	Unknown   bool   `json:"unknown,omitempty"`
}

// User is a user in the form in which it is sent.
type User struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	UPN        string   `json:"upn,omitempty"`
	SAM        string   `json:"samAccountName,omitempty"`
	ObjectGUID string   `json:"objectGUID,omitempty"`
	ObjectSID  string   `json:"objectSID,omitempty"`
	Mail       string   `json:"mail,omitempty"`
	SIP        string   `json:"sip,omitempty"`
	Groups     []string `json:"groups,omitempty"`
}

// Judgement says how it stands with the users of a list.
type Judgement struct {
	Users []matching.User // in the order of ids
	// Directory and Report are what the list makes, or made; nil: not known yet.
	Directory *directory.Directory
	Report    *directory.Report

	// Found by Compare.
	turns   map[string]matching.Effect
	counted *Turns
}

// Line says how it stands with a user.
func (j *Judgement) Line(u matching.User) Line {
	l := Line{ID: u.ID, Name: u.Name, Result: NotJudged, Turns: j.turn(u.ID)}
	if j.Report == nil {
		return l
	}
	v, ok := j.Report.User(u.ID)
	if !ok {
		return l
	}
	if v.Rule != 0 {
		l.Match = &Match{v.Rule.String(), v.Line}
	}
	if v.Partner != "" {
		l.Account = &Account{ID: presence.UserID(v.Partner), UPN: j.upn(v.Partner)}
	}
	if v.Outcome == matching.Matched {
		j.decide(&l, v)
		return l
	}
	l.Result, l.Reason, l.Advice = Result(v.Outcome.String()), v.Reason.String(), v.Reason.Advice()
	if v.Conflict != nil {
		l.Conflict = j.conflict(v.Conflict)
	}
	return l
}

const notEnabledAdvice = "switch a direction on for the user, for a group the user is in, or for everyone"

func (j *Judgement) decide(l *Line, v matching.Verdict) {
	l.Result = NotEnabled
	person, _ := j.Directory.Find(presence.UserID(v.Partner))
	if person.Reads || person.Writes {
		l.Result = TakesPart
	} else {
		l.Advice = notEnabledAdvice
	}
	l.TeamsToProCall, l.ProCallToTeams = DecisionOf(person.Reading), DecisionOf(person.Writing)
}

// DecisionOf is a decision in the form in which it is told; nil when there is none.
func DecisionOf(d *participation.Decision) *Decision {
	if d == nil {
		return nil
	}
	return &Decision{d.TakesPart, d.Rule.String(), d.By, d.Unknown}
}

func (j *Judgement) conflict(c *matching.Conflict) *Conflict {
	named := &Conflict{Accounts: make([]Account, len(c.With)), Users: make([]Other, len(c.Rivals)), More: c.More}
	for i, id := range c.With {
		named.Accounts[i] = Account{presence.UserID(id), j.upn(id)}
	}
	for i, id := range c.Rivals {
		named.Users[i].ID = id
		if u := Find(j.Users, id); u != nil {
			named.Users[i].Name = u.Name
		}
	}
	return named
}

func (j *Judgement) upn(account string) string {
	person, _ := j.Directory.Find(presence.UserID(account))
	return person.UPN
}

// turn says what the step from the report before means to a user.
func (j *Judgement) turn(id string) string {
	if j.Turns() == nil {
		return ""
	}
	return j.turns[id].String()
}

// Turns counts the accounts that gain or lose a match, or are moved to another user.
type Turns struct {
	Gained int `json:"gained"`
	Lost   int `json:"lost"`
	Moved  int `json:"moved"`
}

// Turns counts what the step from the report before means to accounts; nil when
// nothing is compared.
func (j *Judgement) Turns() *Turns { return j.counted }

// Compare finds what the step from the report in force before means to everybody; nil
// compares nothing. The report is not kept.
func (j *Judgement) Compare(before *directory.Report) {
	if before == nil || j.Report == nil {
		return
	}
	changes := matching.Diff(before.Result, j.Report.Result)
	j.turns, j.counted = make(map[string]matching.Effect, len(changes.Users)), &Turns{}
	for _, c := range changes.Users {
		j.turns[strings.Clone(c.ID)] = c.Effect
	}
	for _, c := range changes.Accounts {
		switch c.Effect {
		case matching.Gained:
			j.counted.Gained++
		case matching.Lost:
			j.counted.Lost++
		case matching.Moved:
			j.counted.Moved++
		}
	}
}

// Replaced yields a line for every user before and after a list was replaced by
// that of the judgement, in the order of ids.
func (j *Judgement) Replaced(before []matching.User) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		after := j.Users
		for len(before) > 0 || len(after) > 0 {
			var l Line
			switch order := firstOf(before, after); {
			case order < 0:
				l = j.gone(before[0])
				before = before[1:]
			case order > 0:
				l = j.Line(after[0])
				l.Effect, after = Added, after[1:]
			default:
				l = j.Line(after[0])
				if l.Effect = Changed; Same(before[0], after[0]) {
					l.Effect = Unchanged
				}
				before, after = before[1:], after[1:]
			}
			if !yield(l) {
				return
			}
		}
	}
}

func firstOf(before, after []matching.User) int {
	switch {
	case len(after) == 0:
		return -1
	case len(before) == 0:
		return 1
	}
	return strings.Compare(before[0].ID, after[0].ID)
}

func (j *Judgement) gone(u matching.User) Line {
	return Line{ID: u.ID, Name: u.Name, Effect: Removed, Result: Gone, Turns: j.turn(u.ID)}
}

// Changed yields a line for every change, in their order.
func (j *Judgement) Changed(before []matching.User, changes []Change, effects []Effect) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for i, c := range changes {
			l := Line{ID: c.User.ID, Result: Gone, Turns: j.turn(c.User.ID)}
			if u := Find(j.Users, c.User.ID); u != nil {
				l = j.Line(*u) // as it is after all of them
			} else if u := Find(before, c.User.ID); u != nil {
				l.Name = u.Name
			}
			if l.Effect = effects[i]; !yield(l) {
				return
			}
		}
	}
}

// Listed yields a line with the user's own members for every user behind an id, at
// most limit of them.
func (j *Judgement) Listed(after string, limit int) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		from, found := slices.BinarySearchFunc(j.Users, after, func(u matching.User, id string) int { return strings.Compare(u.ID, id) })
		if found {
			from++
		}
		for _, u := range j.Users[from:min(len(j.Users), from+limit)] {
			l := j.Line(u)
			l.User = &User{u.ID, u.Name, u.UPN, u.SAM, u.ObjectGUID, u.ObjectSID, u.Mail, u.SIP, u.Groups}
			if !yield(l) {
				return
			}
		}
	}
}

// Write writes lines, and then the last one, which says how many there were of each
// result.
func Write(to io.Writer, lines iter.Seq[Line], last func(counts map[Result]int) any) error {
	w := bufio.NewWriterSize(to, 64<<10)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	counts := map[Result]int{}
	for line := range lines {
		counts[line.Result]++
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	if err := encoder.Encode(last(counts)); err != nil {
		return err
	}
	return w.Flush()
}

package usermatching

import (
	"cmp"
	"context"
	"slices"

	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/presence"
	"procallteams/internal/storage"
	"procallteams/internal/userlist"
)

// maxListed is how many warnings, faults and changes of a kind are told; all are
// counted.
const maxListed = 1000

// Receipt says what became of an upload: api/openapi.yaml, MatchingReceipt.
type Receipt struct {
	// Stored is false for a dry run, and when the same file is in force already.
	Stored bool `json:"stored"`
	Names  int  `json:"names"`
	// Warnings are in the order of lines, the first 1,000; WarningCount counts all.
	Warnings     []Warning `json:"warnings"`
	WarningCount int       `json:"warningCount"`
	// Changes are what the file does to the matches. Nil until Entra's accounts were
	// read.
	Changes *Changes `json:"changes,omitempty"`
	ETag    string   `json:"-"` // of the file in force now
}

// Warning is something unusual in the file, or a line that matches nobody.
type Warning struct {
	Line   int    `json:"line"`             // from 1; 0 concerns the whole file
	Column int    `json:"column,omitempty"` // in characters from 1; 0 concerns the whole line
	Text   string `json:"text"`
	Repair string `json:"repair,omitempty"`
	// Near is the name that the line almost has.
	Near string `json:"near,omitempty"`
}

// Changes are what a file does to the matches of both sides: who gets one, loses it,
// or gets another. The counts are of accounts.
type Changes struct {
	Gained int `json:"gained"`
	Lost   int `json:"lost"`
	Moved  int `json:"moved"`
	// Accounts and Users are the first 1,000 each, in the order of ids; More says that
	// there are others. Users is empty while UCServer's users are not known.
	Accounts []Turn `json:"accounts"`
	Users    []Turn `json:"users"`
	More     bool   `json:"more,omitempty"`
}

// Turn is the change of one account or user. Before and After are the names on the
// other side; empty for none.
type Turn struct {
	ID      string `json:"id"` // the account's object id, or the user's id
	Name    string `json:"name"`
	Effect  string `json:"effect"` // gained, lost, moved
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
	Outcome string `json:"outcome"` // after
	Reason  string `json:"reason,omitempty"`
	Advice  string `json:"advice,omitempty"`
}

// sides are the two directories that names belong to.
type sides struct {
	accounts *directory.Accounts
	users    []matching.User // nil while they are not known
}

func (s sides) upn(id string) string {
	account, _ := s.accounts.Find(presence.UserID(id))
	return account.UPN
}

func (s sides) user(id string) string {
	if user := userlist.Find(s.users, id); user != nil {
		return user.Name
	}
	return ""
}

// judge says what a list would make of the tenant's people in the place of another.
func (f *Function) judge(ctx context.Context, now storage.Now, before, after matching.List) (*Receipt, error) {
	r := &Receipt{Names: after.Len(), Warnings: []Warning{}}
	for _, w := range after.Warnings {
		r.Warnings = append(r.Warnings, Warning{Line: w.Line, Column: w.Column, Text: w.Text})
	}
	if now.Accounts.Blob != "" {
		s, err := f.sides(ctx, now)
		if err != nil {
			return nil, err
		}
		result := matching.Match(s.accounts.People, s.users, after)
		for _, line := range result.Lines {
			r.Warnings = append(r.Warnings, s.warning(line))
		}
		r.Changes = s.changes(matching.Diff(matching.Match(s.accounts.People, s.users, before), result))
	}
	slices.SortStableFunc(r.Warnings, func(a, b Warning) int { return cmp.Compare(a.Line, b.Line) })
	r.WarningCount = len(r.Warnings)
	r.Warnings = r.Warnings[:min(len(r.Warnings), maxListed)]
	return r, nil
}

func (f *Function) sides(ctx context.Context, now storage.Now) (s sides, err error) {
	if s.accounts, err = f.Storage.Accounts(ctx, now.Accounts); err != nil || now.Users.Blob == "" {
		return s, err
	}
	users, err := f.Storage.Users(ctx, now.Users)
	if err != nil {
		return s, err
	}
	s.users = append([]matching.User{}, users.People...) // an empty list is known
	return s, nil
}

// warning says why a line matches nobody.
func (s sides) warning(v matching.LineVerdict) Warning {
	w := Warning{Line: v.Number, Repair: v.Reason.Advice()}
	side, near := "Entra user name", s.upn(v.Account)
	if near == v.UPN { // this name is somebody's, so it is the other one
		side, near = "UCServer user name", s.user(v.User)
		if near == v.Name {
			near = ""
		}
	}
	w.Text, w.Near = lineTexts[v.Reason], near
	if w.Text == "" {
		w.Text = "matches nobody: " + v.Outcome.String()
	}
	switch v.Reason {
	case matching.DiffersInCase, matching.DiffersInvisibly, matching.OtherName, matching.OtherDomain:
		w.Text = "the " + side + " " + w.Text
	}
	return w
}

var lineTexts = map[matching.Reason]string{
	matching.DiffersInCase:    "differs only in case from the one that exists",
	matching.DiffersInvisibly: "differs from the one that exists only in case or in characters that can't be seen",
	matching.OtherName:        "is another name or address of the person",
	matching.OtherDomain:      "is nobody's; somebody has it in another domain",
	matching.NoSuchAccount:    "nobody in Entra has the Entra user name",
	matching.NoSuchUser:       "nobody in UCServer has the UCServer user name",
	matching.AccountDisabled:  "the account is disabled",
	matching.AccountGuest:     "the account is a guest's",
}

func (s sides) changes(c matching.Changes) *Changes {
	answer := &Changes{Accounts: []Turn{}, Users: []Turn{}, More: len(c.Accounts) > maxListed || len(c.Users) > maxListed}
	for _, change := range c.Accounts {
		switch change.Effect {
		case matching.Gained:
			answer.Gained++
		case matching.Lost:
			answer.Lost++
		case matching.Moved:
			answer.Moved++
		}
	}
	for _, change := range c.Accounts[:min(len(c.Accounts), maxListed)] {
		answer.Accounts = append(answer.Accounts, turn(change, s.upn(change.ID)))
	}
	for _, change := range c.Users[:min(len(c.Users), maxListed)] {
		answer.Users = append(answer.Users, turn(change, s.user(change.ID)))
	}
	return answer
}

func turn(c matching.Change, name string) Turn {
	t := Turn{ID: c.ID, Name: name, Effect: c.Effect.String(), Outcome: c.After.Outcome.String(), Reason: c.After.Reason.String()}
	if c.Before.Outcome == matching.Matched {
		t.Before = c.Before.Name
	}
	if c.After.Outcome == matching.Matched {
		t.After = c.After.Name
	} else {
		t.Advice = c.After.Reason.Advice()
	}
	return t
}

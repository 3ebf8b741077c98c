package users

import (
	"context"
	"strings"
	"time"

	"procallteams/functions/presencepush"
	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/matching"
	"procallteams/internal/presence"
	"procallteams/internal/userlist"
)

// Match is api/openapi.yaml, UserMatch: who is who, by which rule, or why not.
type Match struct {
	Outcome string `json:"outcome"`
	Rule    string `json:"rule,omitempty"`
	Line    int32  `json:"line,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Advice  string `json:"advice,omitempty"`
	// Account or User is who fits, or almost does: the other side than was asked for.
	Account  *userlist.Account  `json:"account,omitempty"`
	User     *userlist.Other    `json:"user,omitempty"`
	Conflict *userlist.Conflict `json:"conflict,omitempty"`
}

// judge reads the verdict about the person. Without a report, as in a directory that
// an older version of the bridge made, there is none.
func (f Function) judge(ctx context.Context, k *known, people *directory.Index) error {
	if k.now.Directory.Report == "" {
		return nil
	}
	report, err := f.Storage.Report(ctx, k.now.Directory)
	if err != nil {
		return err
	}
	if k.user != nil {
		j := userlist.Judgement{Users: k.users, Directory: people.Directory, Report: report}
		k.match = ofUser(j.Line(*k.user))
		return nil
	}
	v, ok := report.Account(k.person.ID)
	if !ok {
		return nil
	}
	if k.users == nil && k.now.Users.Blob != "" && v.Outcome != matching.Matched && (v.Partner != "" || v.Conflict != nil) {
		if err := f.readUsers(ctx, k); err != nil {
			return err
		}
	}
	k.match = k.ofAccount(v, people)
	return nil
}

func (f Function) readUsers(ctx context.Context, k *known) error {
	list, err := f.Storage.Users(ctx, k.now.Users)
	if err == nil {
		k.users = list.People
	}
	return err
}

func ofUser(l userlist.Line) *Match {
	m := &Match{Outcome: string(l.Result), Reason: l.Reason, Advice: l.Advice, Account: l.Account, Conflict: l.Conflict}
	if l.Result == userlist.TakesPart || l.Result == userlist.NotEnabled {
		m.Outcome = matching.Matched.String()
	}
	if l.Match != nil {
		m.Rule, m.Line = l.Match.Rule, l.Match.Line
	}
	return m
}

func (k *known) ofAccount(v matching.Verdict, people *directory.Index) *Match {
	m := &Match{Outcome: v.Outcome.String(), Line: v.Line}
	if v.Rule != 0 {
		m.Rule = v.Rule.String()
	}
	if v.Partner != "" {
		m.User = &userlist.Other{ID: v.Partner, Name: k.userName(v.Partner)}
	}
	if v.Outcome == matching.Matched {
		return m
	}
	m.Reason, m.Advice = v.Reason.String(), v.Reason.Advice()
	if c := v.Conflict; c != nil {
		m.Conflict = &userlist.Conflict{Accounts: []userlist.Account{}, Users: []userlist.Other{}, More: c.More}
		for _, id := range c.With {
			m.Conflict.Users = append(m.Conflict.Users, userlist.Other{ID: id, Name: k.userName(id)})
		}
		for _, id := range c.Rivals {
			person, _ := people.Directory.Find(presence.UserID(id))
			m.Conflict.Accounts = append(m.Conflict.Accounts, userlist.Account{ID: presence.UserID(id), UPN: person.UPN})
		}
	}
	return m
}

func (k *known) userName(id string) string {
	if id == k.person.UCID {
		return k.person.Name
	}
	if u := userlist.Find(k.users, id); u != nil {
		return u.Name
	}
	return ""
}

// findUser looks for a user of UCServer by name, else by stable id, and for the
// account of one who has one.
func (f Function) findUser(ctx context.Context, k *known, people *directory.Index, name string) error {
	if k.now.Users.Blob == "" {
		return errUnknown
	}
	if err := f.readUsers(ctx, k); err != nil {
		return err
	}
	for _, fits := range []func(u *matching.User) bool{
		func(u *matching.User) bool { return u.Name == name },
		func(u *matching.User) bool { return strings.EqualFold(u.Name, name) },
		func(u *matching.User) bool { return u.ID == name },
	} {
		for i := range k.users {
			u := &k.users[i]
			if !fits(u) {
				continue
			}
			if k.user != nil {
				return errAmbiguous
			}
			k.user = u
		}
		if k.user != nil {
			k.accountOf(people)
			return nil
		}
	}
	return errUnknown
}

// accountOf goes from a user who takes part, or could, to the person.
func (k *known) accountOf(people *directory.Index) {
	for _, person := range people.People {
		if person.UCID == k.user.ID && person.Rule != 0 {
			k.person, k.user = person, nil
			return
		}
	}
}

// Told is api/openapi.yaml, UserTold: the newest that UCServer was told, or is to be.
type Told struct {
	Change feed.ID   `json:"change"`
	User   string    `json:"user"`
	At     time.Time `json:"at"`
	Push   *pushed   `json:"push,omitempty"`
}

// pushed says whether the push target has confirmed it. Who polls keeps a cursor of
// its own.
type pushed struct {
	Confirmed   bool      `json:"confirmed"`
	LastSuccess time.Time `json:"lastSuccess,omitzero"`
	Problem     string    `json:"problem,omitempty"`
}

func (k known) told() *Told {
	if !k.isPublished {
		return nil
	}
	t := &Told{Change: k.published.ID, User: k.published.User, At: k.published.ObservedAt}
	if k.settings.PushURL != "" {
		c := k.consumer
		confirmed := c.Position.Epoch != "" && c.Position.Epoch == k.now.Head.Epoch && c.Position.ID.Compare(k.published.ID) >= 0
		t.Push = &pushed{confirmed, c.LastSuccess, c.Problem}
	}
	return t
}

// readConsumer reads how far the push target has confirmed.
func (f Function) readConsumer(ctx context.Context, tenant string, k *known) (err error) {
	if k.settings.PushURL == "" {
		return nil
	}
	k.consumer, err = f.Storage.Feed(tenant).Consumer(ctx, presencepush.ConsumerID)
	return err
}

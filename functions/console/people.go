package console

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"procallteams/internal/access"
	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/page"
	"procallteams/internal/presence"
	"procallteams/internal/storage"
	"procallteams/internal/userlist"
)

//go:embed people.html
var peopleText string

// roster is everybody on both sides, as the last sync left it.
type roster struct {
	ref       directory.Ref
	directory *directory.Directory
	report    *directory.Report
	users     []matching.User // nil while UCServer's users are not known
	list      directory.ListRef
	sent      directory.UsersRef
	lookUps   bool
}

// readRoster reads the roster; its directory is nil before one was made.
func (f *Function) readRoster(ctx context.Context) (roster, error) {
	tenant, err := f.Gate.Tenant(ctx)
	if err != nil || tenant == "" {
		return roster{}, err
	}
	r, err := f.readOnce(ctx, tenant)
	if errors.Is(err, storage.ErrNotFound) { // replaced this instant: the newest always works
		r, err = f.readOnce(ctx, tenant)
	}
	return r, err
}

func (f *Function) readOnce(ctx context.Context, tenant string) (roster, error) {
	now, err := f.Storage.Now(ctx, tenant)
	r := roster{ref: now.Directory, list: now.List, sent: now.Users, lookUps: now.Settings.LookUps.On()}
	if err != nil || now.Directory.Blob == "" {
		return r, err
	}
	r.directory, err = f.Storage.Directory(ctx, now.Directory)
	if errors.Is(err, directory.ErrForm) {
		return r, nil // another version's: the next sync makes one
	}
	if err != nil {
		return r, err
	}
	r.report = &directory.Report{}
	if now.Directory.Report != "" {
		if r.report, err = f.Storage.Report(ctx, now.Directory); err != nil {
			return r, err
		}
	}
	if now.Users.Blob != "" {
		users, err := f.Storage.Users(ctx, now.Users)
		if err != nil {
			return r, err
		}
		r.users = users.People
	}
	return r, nil
}

// kind is one of the lists, by the word in its address.
type kind struct {
	word, title string
	standing    directory.Standing
}

var kinds = []kind{
	{"notEnabled", "not switched on", directory.NotEnabled},
	{"unmatched", "without a UCServer user", directory.Unmatched},
	{"ambiguous", "ambiguous", directory.Ambiguous},
	{"disabled", "disabled", directory.Disabled},
	{"guest", "guests", directory.Guest},
	{"takesPart", "take part", directory.TakesPart},
}

// ofUCServer is the word for UCServer's users who are no account's.
const ofUCServer = "users"

// rowsPerPage is how many people one page lists.
const rowsPerPage = 100

// peopleView is the data of the page.
type peopleView struct {
	Notice  notice
	Known   bool
	Tabs    []tab
	Rows    []personRow
	Next    string // address of the next page
	Users   bool   // the list is of UCServer's users
	LookUps bool
	Off     bool // look-ups are switched off
	Offers  []upload
	Faults  []string
	More    int // faults that are not listed
	// Turns are people whose match an upload changes; MoreTurns are not listed.
	Turns     []string
	MoreTurns int
}

type tab struct {
	Title, Address string
	Count          int
	Current        bool
}

type personRow struct{ Account, User, Why, Advice string }

// Because is the reason, as a line of its own.
func (r personRow) Because() string {
	if r.Why == "" {
		return ""
	}
	return strings.ToUpper(r.Why[:1]) + r.Why[1:]
}

// people is the page that says who takes part, who does not, and why.
func (f *Function) people(w http.ResponseWriter, r *http.Request, code int, v peopleView) {
	all, err := f.readRoster(r.Context())
	if err != nil {
		f.unavailable(w, r, err)
		return
	}
	query := r.URL.Query()
	show := query.Get("show")
	if show == "" {
		show = all.first()
	}
	v.Known, v.LookUps, v.Offers, v.Users = all.directory != nil, f.LookUp != nil && all.lookUps, f.offers(all), show == ofUCServer
	v.Off = v.Known && !all.lookUps
	if v.Known {
		all.fill(&v, show, query.Get("after"))
	}
	page.Render(w, code, page.Page{Title: "People", Here: "/api/console/people", Refused: code >= http.StatusBadRequest, User: who(access.AdministratorFrom(r.Context())), Body: page.Execute(texts, "people", v)})
}

// first is the list that a page opens with: the first one in which anybody is.
func (all roster) first() string {
	for _, k := range kinds {
		if all.directory != nil && slices.ContainsFunc(all.directory.People, func(p directory.Person) bool { return p.Standing == k.standing }) {
			return k.word
		}
	}
	return kinds[0].word
}

func (all roster) fill(v *peopleView, show, after string) {
	counts := map[directory.Standing]int{}
	for i := range all.directory.People {
		counts[all.directory.People[i].Standing]++
	}
	for _, k := range kinds {
		v.Tabs = append(v.Tabs, tab{k.title, address(k.word, ""), counts[k.standing], k.word == show})
	}
	if all.users != nil {
		v.Tabs = append(v.Tabs, tab{"UCServer's users without an account", address(ofUCServer, ""), len(all.nobodys()), v.Users})
	}
	var last string
	if v.Users {
		v.Rows, last = all.userRows(after)
	} else {
		v.Rows, last = all.accountRows(show, after)
	}
	for i := range v.Rows {
		row := &v.Rows[i]
		row.Account, row.User, row.Why = matching.Visible(row.Account), matching.Visible(row.User), matching.Visible(row.Why)
	}
	if last != "" {
		v.Next = address(show, last)
	}
}

func address(show, after string) string {
	query := url.Values{"show": {show}}
	if after != "" {
		query.Set("after", after)
	}
	return "/api/console/people?" + query.Encode()
}

// accountRows are the accounts of one kind behind an id, and the last one's id when
// there are more.
func (all roster) accountRows(show, after string) (rows []personRow, last string) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.word == show })
	if i < 0 {
		return nil, ""
	}
	from, found := slices.BinarySearchFunc(all.directory.People, presence.UserID(after), func(p directory.Person, id presence.UserID) int {
		return strings.Compare(string(p.ID), string(id))
	})
	if found {
		from++
	}
	for _, p := range all.directory.People[from:] {
		if p.Standing != kinds[i].standing {
			continue
		}
		if len(rows) == rowsPerPage {
			return rows, last
		}
		rows, last = append(rows, all.row(p)), string(p.ID)
	}
	return rows, ""
}

func (all roster) row(p directory.Person) personRow {
	row := personRow{Account: p.UPN, User: p.Name}
	v, known := all.report.Account(p.ID)
	if p.Reading != nil && p.Writing != nil {
		row.Why = "Teams to ProCall: " + words(p.Reading) + "; ProCall to Teams: " + words(p.Writing)
		if known && v.Rule != 0 {
			row.Why += "; matched by " + v.Rule.String()
		}
		return row
	}
	if !known {
		return row
	}
	row.Advice = v.Reason.Advice()
	switch {
	case v.Conflict != nil:
		row.Why = "fits several by " + v.Rule.String() + ": " + all.names(v.Conflict)
	case v.Reason != 0:
		row.Why = because[v.Reason.String()]
		if v.Name != "" {
			row.Why += ": " + v.Name
		} else if u := userlist.Find(all.users, v.Partner); u != nil {
			row.Why += ": " + u.Name
		}
	}
	return row
}

// because says the codes of reasons and results in words.
var because = map[string]string{
	matching.DiffersInCase.String():    "differs in upper and lower case",
	matching.DiffersInvisibly.String(): "differs in characters that can't be seen",
	matching.OtherName.String():        "another name of the same person",
	matching.OtherDomain.String():      "the same name in another domain",
	matching.NoSuchAccount.String():    "nobody in Entra has the name in usermatching.csv",
	matching.NoSuchUser.String():       "nobody in UCServer has the name in usermatching.csv",
	matching.Decided.String():          "who would fit belongs to somebody else by a stronger rule",
	matching.AccountDisabled.String():  "the account is disabled",
	matching.AccountGuest.String():     "the account is a guest's",
	matching.NearMiss.String():         "almost fits",
	matching.Unmatched.String():        "fits no account",
	matching.Ambiguous.String():        "fits several accounts, or one that fits several users",
}

func (all roster) names(c *matching.Conflict) string {
	var names []string
	for _, id := range c.With {
		if u := userlist.Find(all.users, id); u != nil {
			names = append(names, u.Name)
		}
	}
	for _, id := range c.Rivals {
		if p, ok := all.directory.Find(presence.UserID(id)); ok {
			names = append(names, p.UPN)
		}
	}
	if c.More {
		names = append(names, "and others")
	}
	return strings.Join(names, ", ")
}

var decided = map[participation.Rule]string{
	participation.ExcludedUser: "excluded", participation.ExcludedGroup: "excluded by a group", participation.Pilot: "pilot",
	participation.User: "named", participation.InGroup: "by a group", participation.Everyone: "everyone", participation.Nobody: "nobody",
}

// words says a decision: "yes, by a group (Sales)".
func words(d *participation.Decision) string {
	text := "no, "
	if d.TakesPart {
		text = "yes, "
	}
	text += decided[d.Rule]
	if d.By != "" {
		text += " (" + d.By + ")"
	}
	if d.Unknown {
		text += ", whose members are not known"
	}
	return text
}

// nobodys are UCServer's users who are no account's, as verdicts.
func (all roster) nobodys() []matching.Verdict {
	var list []matching.Verdict
	for _, v := range all.report.Users {
		if v.Outcome != matching.Matched {
			list = append(list, v)
		}
	}
	return list
}

func (all roster) userRows(after string) (rows []personRow, last string) {
	j := userlist.Judgement{Users: all.users, Directory: all.directory, Report: all.report}
	for _, v := range all.nobodys() {
		user := userlist.Find(all.users, v.ID)
		if v.ID <= after || user == nil {
			continue
		}
		if len(rows) == rowsPerPage {
			return rows, last
		}
		l := j.Line(*user)
		row := personRow{User: l.Name, Why: because[string(l.Result)], Advice: l.Advice}
		if l.Reason != "" {
			row.Why += ": " + because[l.Reason]
		}
		if l.Account != nil {
			row.Account = l.Account.UPN
		}
		if l.Conflict != nil {
			var names []string
			for _, a := range l.Conflict.Accounts {
				names = append(names, a.UPN)
			}
			row.Account = strings.Join(names, ", ")
		}
		rows, last = append(rows, row), v.ID
	}
	return rows, ""
}

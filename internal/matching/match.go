package matching

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"procallteams/internal/presence"
)

// Account is an Entra account. What a token may not read, or what a tenant
// without synchronisation does not have, is empty.
type Account struct {
	ID            presence.UserID
	UPN           string
	Mail          string
	OnPremisesUPN string // onPremisesUserPrincipalName
	SAM           string // onPremisesSamAccountName
	Domain        string // onPremisesDomainName, a DNS name
	ImmutableID   string // onPremisesImmutableId
	SID           string // onPremisesSecurityIdentifier
	// Proxies are proxyAddresses with their schemes: SMTP:, smtp:, SIP:.
	Proxies []string
	// Disabled and Guest accounts are never matched.
	Disabled, Guest bool
}

// User is a user of UCServer.
type User struct {
	ID         string // the connector's, stable
	Name       string // user name
	UPN        string
	SAM        string // may be DOMAIN\name
	ObjectGUID string // in any usual spelling
	ObjectSID  string // S-1-5-…
	Mail       string
	SIP        string
	Groups     []string
}

// Result is what [Match] found. It is not changed afterwards.
type Result struct {
	// Accounts and Users are in the order of their ids.
	Accounts, Users []Verdict
	// Lines are those of usermatching.csv that match nobody, in their order.
	Lines []LineVerdict
}

// Account returns the verdict of an account.
func (r *Result) Account(id presence.UserID) (Verdict, bool) { return find(r.Accounts, string(id)) }

// User returns the verdict of a user of UCServer.
func (r *Result) User(id string) (Verdict, bool) { return find(r.Users, id) }

func find(verdicts []Verdict, id string) (Verdict, bool) {
	i, ok := sort.Find(len(verdicts), func(i int) int { return strings.Compare(id, verdicts[i].ID) })
	if !ok {
		return Verdict{}, false
	}
	return verdicts[i], true
}

// Match finds who is who. Users nil means that UCServer's users are not known;
// an empty list means that there are none. Of entries with the same id the last
// counts, since a list that is read page by page may repeat one.
func Match(accounts []Account, users []User, list List) Result {
	if users == nil {
		return matchNames(accounts, list)
	}
	e := newEngine(accounts, users, list)
	e.decide(ByFile, keys{e.leftOfLine, e.rightOfLine})
	e.settleLines()
	e.decide(ByObjectGUID, byObjectGUID)
	e.decide(ByObjectSID, byObjectSID)
	e.decide(ByUPN, byUPN)
	e.decide(ByOnPremisesUPN, byOnPremisesUPN)
	e.decide(BySAM, bySAM)
	e.decide(ByMail, byMail)
	e.nearMisses()
	return Result{e.verdicts[accountSide], e.verdicts[userSide], e.dead}
}

// matchNames gives each account the name of the list, else its UPN. It runs the
// engine with a user of each name, who is not spoken of afterwards.
func matchNames(accounts []Account, list List) Result {
	name := func(a *Account) string {
		if name, ok := list.Name(a.UPN); ok {
			return name
		}
		return a.UPN
	}
	seen := make(map[string]struct{}, len(accounts))
	users := make([]User, 0, len(accounts))
	for i := range accounts {
		name := name(&accounts[i])
		if _, ok := seen[name]; !ok {
			seen[name] = struct{}{}
			users = append(users, User{ID: name, Name: name})
		}
	}
	e := newEngine(accounts, users, list)
	e.decide(ByFile, keys{
		func(v *values, a *Account) { v.exactly(name(a)) },
		func(v *values, u *User) { v.exactly(u.Name) },
	})
	e.settleLines()
	e.judgeLines()
	e.forgetUsers()
	return Result{Accounts: e.verdicts[accountSide], Lines: e.dead}
}

func (e *engine) forgetUsers() {
	for i := range e.verdicts[accountSide] {
		v := &e.verdicts[accountSide][i]
		v.Partner = ""
		if v.Conflict != nil {
			v.Conflict.With = nil
		}
		if v.Rule == ByFile && v.Line == 0 {
			v.Rule = ByUPN
		}
	}
	for i := range e.dead {
		e.dead[i].User = ""
	}
}

// engine is one run of Match. People are known by their position in the order of
// ids.
type engine struct {
	list List
	// The lists in the order they came, and the order of ids.
	listed struct {
		accounts []Account
		users    []User
	}
	accounts, users []int32
	verdicts        [2][]Verdict
	// open says who is not decided yet.
	open [2][]bool
	left [2]int // how many are open
	dead []LineVerdict
	// named is who has the names on each line of the list, or none.
	named [2][]int32
	// lineOf is the line that names a person, or none.
	lineOf [2][]int32

	// Memory that one rule leaves to the next.
	index        map[string]int32 // value to group
	relation     relation
	scratch      values
	with, rivals []int32
}

func newEngine(accounts []Account, users []User, list List) *engine {
	e := &engine{list: list}
	e.listed.accounts, e.listed.users = accounts, users
	e.accounts = order(accounts, func(a *Account) string { return string(a.ID) })
	e.users = order(users, func(u *User) string { return u.ID })
	for side, people := range [2]int{len(e.accounts), len(e.users)} {
		e.verdicts[side], e.open[side], e.left[side] = make([]Verdict, people), make([]bool, people), people
		for i := range people {
			e.open[side][i] = true
		}
	}
	for i := range e.users {
		e.verdicts[userSide][i].ID = e.user(i).ID
	}
	for i := range e.accounts {
		e.verdicts[accountSide][i].ID = string(e.account(i).ID)
		e.bar(int32(i))
	}
	return e
}

// bar closes a disabled account and a guest's.
func (e *engine) bar(i int32) {
	v := &e.verdicts[accountSide][i]
	switch a := e.account(int(i)); {
	case a.Disabled:
		v.Outcome, v.Reason = Barred, AccountDisabled
	case a.Guest:
		v.Outcome, v.Reason = Barred, AccountGuest
	default:
		return
	}
	e.close(accountSide, i)
}

// order returns the positions in the order of ids, of equal ids the last.
func order[T any](people []T, id func(*T) string) []int32 {
	type entry struct {
		id string
		at int32
	}
	entries := make([]entry, len(people))
	for i := range people {
		entries[i] = entry{id(&people[i]), int32(i)}
	}
	slices.SortFunc(entries, func(x, y entry) int { return cmp.Or(strings.Compare(x.id, y.id), cmp.Compare(y.at, x.at)) })
	entries = slices.CompactFunc(entries, func(x, y entry) bool { return x.id == y.id })
	positions := make([]int32, len(entries))
	for i, entry := range entries {
		positions[i] = entry.at
	}
	return positions
}

func (e *engine) account(i int) *Account { return &e.listed.accounts[e.accounts[i]] }
func (e *engine) user(i int) *User       { return &e.listed.users[e.users[i]] }

// name returns what a verdict calls a person.
func (e *engine) name(side int, i int32) string {
	if side == accountSide {
		return e.account(int(i)).UPN
	}
	return e.user(int(i)).Name
}

func (e *engine) close(side int, i int32) {
	e.open[side][i] = false
	e.left[side]--
}

// decide lets a rule match whom it can. All decisions rest on the relation as it
// was when the rule began.
func (e *engine) decide(rule Rule, by keys) {
	if e.left[accountSide] == 0 && e.left[userSide] == 0 {
		return
	}
	r := e.relate(by, false)
	ambiguous := false
	for _, side := range []int{userSide, accountSide} {
		for i := range e.open[side] {
			v := &e.verdicts[side][i]
			if !e.open[side][i] && v.Outcome != Barred {
				continue
			}
			ambiguous = e.judge(r, rule, side, int32(i)) || ambiguous
		}
	}
	if ambiguous {
		e.nameConflicts(r, rule)
	}
}

// judge decides about one person and reports whether it is ambiguous.
func (e *engine) judge(r *relation, rule Rule, side int, i int32) bool {
	v, fit := &e.verdicts[side][i], r.fit(side, i)
	switch {
	case v.Outcome == Barred || fit.open == none:
		e.explain(v, fit, rule, side)
		return false
	case !fit.several:
		if back := r.fit(1-side, fit.open); !back.several {
			e.match(rule, side, i, fit.open)
			return false
		}
	}
	v.Outcome, v.Rule, v.Reason, v.Partner = Ambiguous, rule, 0, ""
	e.close(side, i)
	return true
}

func (e *engine) match(rule Rule, side int, i, other int32) {
	for _, one := range []struct {
		side    int
		i, with int32
	}{{side, i, other}, {1 - side, other, i}} {
		v := &e.verdicts[one.side][one.i]
		v.Outcome, v.Rule, v.Reason = Matched, rule, 0
		v.Partner, v.Name = e.verdicts[1-one.side][one.with].ID, e.name(1-one.side, one.with)
		e.close(one.side, one.i)
	}
}

// explain notes who would fit but for being decided, or for the person itself
// being barred. The highest rule's note stays.
func (e *engine) explain(v *Verdict, fit members, rule Rule, side int) {
	other := fit.closed
	if v.Outcome == Barred && fit.open != none {
		other = fit.open
	}
	if other == none || v.Partner != "" {
		return
	}
	with := &e.verdicts[1-side][other]
	v.Rule, v.Partner = rule, with.ID
	switch {
	case v.Outcome == Barred:
	case with.Outcome == Barred:
		v.Reason = with.Reason
	default:
		v.Reason = Decided
	}
}

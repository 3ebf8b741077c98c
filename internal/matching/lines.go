package matching

import "strings"

// leftOfLine and rightOfLine are the keys of usermatching.csv: the name that a
// line gives the account, and the user's name, both exactly.
func (e *engine) leftOfLine(v *values, a *Account) {
	if line, ok := e.list.line(a.UPN); ok {
		v.exactly(line.Name)
	}
}

func (e *engine) rightOfLine(v *values, u *User) { v.exactly(u.Name) }

// settleLines finds who has the names on the lines, after the lines have matched
// whom they can. Whom a line names and did not match is closed for other rules.
func (e *engine) settleLines() {
	for side, people := range [2]int{len(e.accounts), len(e.users)} {
		e.named[side], e.lineOf[side] = nobody(len(e.list.lines)), nobody(people)
	}
	if len(e.list.lines) == 0 {
		return
	}
	e.nameAccounts()
	e.nameUsers()
	for side := range e.lineOf {
		for i, l := range e.lineOf[side] {
			if l != none {
				e.settle(side, int32(i), l)
			}
		}
	}
}

func nobody(people int) []int32 {
	positions := make([]int32, people)
	for i := range positions {
		positions[i] = none
	}
	return positions
}

func (e *engine) nameAccounts() {
	for i := range int32(len(e.accounts)) {
		if l, ok := e.list.byLeft[e.account(int(i)).UPN]; ok {
			e.lineOf[accountSide][i] = l
			e.named[accountSide][l] = lower(e.named[accountSide][l], i)
		}
	}
}

// nameUsers gives a user whose name is on several lines the one that matched, else
// the first.
func (e *engine) nameUsers() {
	first, next := make(map[string]int32, len(e.list.lines)), nobody(len(e.list.lines))
	for l := int32(len(next)) - 1; l >= 0; l-- {
		if after, ok := first[e.list.lines[l].Name]; ok {
			next[l] = after
		}
		first[e.list.lines[l].Name] = l
	}
	for i := range int32(len(e.users)) {
		l, ok := first[e.user(int(i)).Name]
		if !ok {
			continue
		}
		e.lineOf[userSide][i] = l
		for ; l != none && e.named[userSide][l] == none; l = next[l] {
			e.named[userSide][l] = i
			if a := e.named[accountSide][l]; a != none && e.verdicts[accountSide][a].Outcome == Matched {
				e.lineOf[userSide][i] = l
			}
		}
	}
}

// settle notes a person's line, and closes the person if the line matched nobody.
func (e *engine) settle(side int, i, l int32) {
	v, line := &e.verdicts[side][i], e.list.lines[l]
	v.Line = int32(line.Number)
	if !e.open[side][i] {
		return
	}
	e.close(side, i)
	v.Rule = ByFile
	switch {
	case v.Reason != 0: // the line names a disabled account or a guest
	case side == accountSide:
		v.Outcome, v.Reason, v.Name = NearMiss, NoSuchUser, line.Name
	default:
		v.Outcome, v.Reason, v.Name = NearMiss, NoSuchAccount, line.UPN
	}
}

// near is who nearly has a name on a line. The higher rank is the nearer.
type near struct {
	who    int32
	reason Reason
	rank   uint8
}

const (
	sameLocalPart = iota + 1
	anotherName
	sameLetters
)

// judgeLines says of each line that matches nobody why, and tells those who
// nearly have its names.
func (e *engine) judgeLines() {
	if e.countDead() == 0 {
		return
	}
	e.dead = make([]LineVerdict, 0, e.countDead())
	left := e.nearest(accountSide, func(l Line) string { return l.UPN })
	right := e.nearest(userSide, func(l Line) string { return l.Name })
	for l, line := range e.list.lines {
		account, user := e.named[accountSide][l], e.named[userSide][l]
		verdict := LineVerdict{Line: line, Outcome: NearMiss}
		switch {
		case account == none:
			verdict.Reason = e.judgeLine(line.Number, accountSide, left[l], user, line.UPN, line.Name)
		case user == none:
			verdict.Reason = e.judgeLine(line.Number, userSide, right[l], account, line.Name, line.UPN)
		default:
			v := &e.verdicts[accountSide][account]
			if verdict.Outcome, verdict.Reason = v.Outcome, v.Reason; v.Outcome == Matched {
				continue
			}
		}
		verdict.Account = e.idOf(accountSide, account, left[l])
		verdict.User = e.idOf(userSide, user, right[l])
		e.dead = append(e.dead, verdict)
	}
}

func (e *engine) countDead() int {
	n := 0
	for _, account := range e.named[accountSide] {
		if account == none || e.verdicts[accountSide][account].Outcome != Matched {
			n++
		}
	}
	return n
}

// judgeLine tells both ends of a line whose name on a side nobody has: who nearly
// has it, and who has the other name.
func (e *engine) judgeLine(number, side int, nearly near, other int32, missing, given string) Reason {
	reason := nearly.reason
	switch {
	case reason == 0 && side == accountSide:
		reason = NoSuchAccount
	case reason == 0:
		reason = NoSuchUser
	case reason == DiffersInvisibly && strings.EqualFold(missing, e.name(side, nearly.who)):
		reason = DiffersInCase
	}
	if other != none {
		if v := &e.verdicts[1-side][other]; v.Outcome == NearMiss && v.Line == int32(number) {
			v.Reason, v.Name, v.Partner = reason, missing, e.idOf(side, none, nearly)
		}
	}
	if nearly.rank > 0 && e.open[side][nearly.who] {
		v := &e.verdicts[side][nearly.who]
		v.Outcome, v.Rule, v.Reason, v.Line = NearMiss, ByFile, reason, int32(number)
		v.Name, v.Partner = given, e.idOf(1-side, other, near{})
		e.close(side, nearly.who)
	}
	return reason
}

func (e *engine) idOf(side int, i int32, nearly near) string {
	if i == none && nearly.rank > 0 {
		i = nearly.who
	}
	if i == none {
		return ""
	}
	return e.verdicts[side][i].ID
}

// nearest finds for each line whose name on a side nobody has the person who is
// nearest to it, of several the one with the lowest id.
func (e *engine) nearest(side int, name func(Line) string) []near {
	lines, missing := len(e.list.lines), 0
	for _, i := range e.named[side] {
		if i == none {
			missing++
		}
	}
	if missing == 0 {
		return make([]near, lines)
	}
	s := search{e: e, name: name, found: make([]near, lines), letters: newSpellings(lines, missing), locals: newSpellings(lines, missing)}
	for l, i := range e.named[side] {
		if i == none {
			s.enter(int32(l))
		}
	}
	for i := range int32(len(e.verdicts[side])) {
		s.offer(side, i)
	}
	return s.found
}

// search puts people near lines.
type search struct {
	e               *engine
	name            func(Line) string
	found           []near // by line
	letters, locals *spellings
}

// spellings are the lines by what makes somebody near them.
type spellings struct {
	first map[string]int32 // of the lines with a spelling
	next  []int32          // line with the same spelling, or none
	// rank, by first line, is the one at which somebody was put near all of them.
	// Nobody else comes nearer at the same.
	rank []uint8
}

func newSpellings(lines, missing int) *spellings {
	return &spellings{first: make(map[string]int32, missing), next: nobody(lines), rank: make([]uint8, lines)}
}

func (s *search) enter(l int32) {
	text, v := s.name(s.e.list.lines[l]), &s.e.scratch
	for _, by := range []struct {
		to   *spellings
		form func(string)
	}{{s.letters, v.visible}, {s.locals, v.local}} {
		v.reset()
		by.form(text)
		for value := range v.all {
			if first, ok := by.to.first[string(value)]; ok {
				by.to.next[l] = by.to.next[first]
				by.to.next[first] = l
			} else {
				by.to.first[string(value)] = l
			}
		}
	}
}

// offer puts a person near the lines that are near.
func (s *search) offer(side int, i int32) {
	e, v := s.e, &s.e.scratch
	v.reset()
	v.visible(e.name(side, i))
	s.visit(s.letters, near{i, DiffersInvisibly, sameLetters})
	v.reset()
	if side == accountSide {
		accountNames(v, e.account(int(i)))
	} else {
		userNames(v, e.user(int(i)))
	}
	s.visit(s.letters, near{i, OtherName, anotherName})
	v.reset()
	v.local(e.name(side, i))
	s.visit(s.locals, near{i, OtherDomain, sameLocalPart})
}

// visit puts somebody near the lines of the collected spellings.
func (s *search) visit(among *spellings, n near) {
	for value := range s.e.scratch.all {
		first, ok := among.first[string(value)]
		if !ok || among.rank[first] >= n.rank {
			continue
		}
		among.rank[first] = n.rank
		for l := first; l != none; l = among.next[l] {
			if s.found[l].rank < n.rank {
				s.found[l] = n
			}
		}
	}
}

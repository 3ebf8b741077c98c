package matching

import "strings"

// leftOfLine and rightOfLine are the keys of usermatching.csv: the name that a
// line gives the account, and the user's name, both exactly.
func (e *engine) leftOfLine(to []string, a *Account) []string {
	if line, ok := e.list.line(a.UPN); ok {
		to = append(to, line.Name)
	}
	return to
}

func (e *engine) rightOfLine(to []string, u *User) []string { return append(to, u.Name) }

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
	if len(e.list.lines) == 0 {
		return
	}
	left := e.nearest(accountSide, func(l Line) string { return l.UPN })
	right := e.nearest(userSide, func(l Line) string { return l.Name })
	for l, line := range e.list.lines {
		account, user := e.named[accountSide][l], e.named[userSide][l]
		verdict := LineVerdict{Line: line, Outcome: NearMiss}
		switch {
		case account == none:
			verdict.Reason = e.judgeLine(line.Number, accountSide, left[int32(l)], user, line.UPN, line.Name)
		case user == none:
			verdict.Reason = e.judgeLine(line.Number, userSide, right[int32(l)], account, line.Name, line.UPN)
		default:
			v := &e.verdicts[accountSide][account]
			if verdict.Outcome, verdict.Reason = v.Outcome, v.Reason; v.Outcome == Matched {
				continue
			}
		}
		verdict.Account = e.idOf(accountSide, account, left[int32(l)])
		verdict.User = e.idOf(userSide, user, right[int32(l)])
		e.dead = append(e.dead, verdict)
	}
}

// judgeLine tells both ends of a line whose name on a side nobody has: who nearly
// has it, and who has the other name.
func (e *engine) judgeLine(number, side int, nearly near, other int32, missing, given string) Reason {
	reason := nearly.reason
	if reason == 0 {
		reason = NoSuchAccount
		if side == userSide {
			reason = NoSuchUser
		}
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
func (e *engine) nearest(side int, name func(Line) string) map[int32]near {
	s := search{map[int32]near{}, map[int32]string{}, map[string]*bucket{}, map[string]*bucket{}}
	for l, i := range e.named[side] {
		if i == none {
			s.enter(int32(l), name(e.list.lines[l]))
		}
	}
	if len(s.letters) == 0 {
		return s.found
	}
	var others []string
	for i := range int32(len(e.verdicts[side])) {
		own := e.name(side, i)
		s.visit(s.letters, visible(own), near{i, DiffersInvisibly, sameLetters}, strings.ToLower(own))
		if side == accountSide {
			others = accountNames(others[:0], e.account(int(i)))
		} else {
			others = userNames(others[:0], e.user(int(i)))
		}
		for _, other := range others {
			s.visit(s.letters, other, near{i, OtherName, anotherName}, "")
		}
		s.visit(s.locals, localPart(own), near{i, OtherDomain, sameLocalPart}, "")
	}
	return s.found
}

// search puts people near lines.
type search struct {
	found           map[int32]near   // by line
	text            map[int32]string // of the lines, in lower case
	letters, locals map[string]*bucket
}

// bucket is the lines that share a spelling. Once somebody was put near all of
// them at a rank, nobody else comes nearer at the same.
type bucket struct {
	lines []int32
	rank  uint8
}

func (s *search) enter(l int32, text string) {
	s.text[l] = strings.ToLower(text)
	share(s.letters, visible(text), l)
	share(s.locals, localPart(text), l)
}

func share(buckets map[string]*bucket, key string, l int32) {
	if buckets[key] == nil {
		buckets[key] = &bucket{}
	}
	buckets[key].lines = append(buckets[key].lines, l)
}

// visit puts somebody near the lines of a spelling. If folded is a line's text in
// lower case, only case makes the difference.
func (s *search) visit(buckets map[string]*bucket, key string, n near, folded string) {
	b := buckets[key]
	if b == nil || key == "" || b.rank >= n.rank {
		return
	}
	b.rank = n.rank
	for _, l := range b.lines {
		if s.found[l].rank >= n.rank {
			continue
		}
		put := n
		if folded == s.text[l] {
			put.reason = DiffersInCase
		}
		s.found[l] = put
	}
}

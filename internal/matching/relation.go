package matching

import (
	"slices"
	"strings"
)

// none stands for nobody where a position is expected.
const none = int32(-1)

// members are those of one side who have a value of a rule.
type members struct {
	open    int32 // the first who is not decided yet, or none
	several bool  // there are others
	closed  int32 // the first who is decided, or none
}

func (m *members) add(i int32, open bool) {
	switch {
	case open && m.open == none:
		m.open = i
	case open && m.open != i:
		m.several = true
	case !open && m.closed == none:
		m.closed = i
	}
}

// group is everybody who has one value of a rule.
type group struct{ accounts, users members }

func (g *group) of(side int) *members {
	if side == accountSide {
		return &g.accounts
	}
	return &g.users
}

const (
	accountSide = iota
	userSide
)

// relation is who fits whom by one rule, before the rule has decided anything.
// Its size and the time to make it grow with the values, never with the pairs.
type relation struct {
	groups []group
	// The groups of person i of a side are numbers[ends[i]:ends[i+1]].
	ends    [2][]int32
	numbers [2][]int32
}

// relate makes the relation of a rule. With onlyOpen, who is decided is left out.
func (e *engine) relate(by keys, onlyOpen bool) *relation {
	if e.index == nil {
		e.index = make(map[string]int32, len(e.accounts))
	}
	clear(e.index)
	r, keep := &e.relation, arena{}
	r.groups = r.groups[:0]
	e.eachValue(accountSide, onlyOpen, func(i int) { by.account(&e.scratch, e.account(i)) }, func(value []byte) int32 {
		number, ok := e.index[string(value)]
		if !ok {
			number = int32(len(r.groups))
			e.index[keep.string(value)] = number
			r.groups = append(r.groups, group{members{none, false, none}, members{none, false, none}})
		}
		return number
	})
	e.eachValue(userSide, onlyOpen, func(i int) { by.user(&e.scratch, e.user(i)) }, func(value []byte) int32 {
		if number, ok := e.index[string(value)]; ok {
			return number
		}
		return none
	})
	return r
}

// eachValue puts everybody of a side into the groups of their values.
func (e *engine) eachValue(side int, onlyOpen bool, collect func(i int), number func(value []byte) int32) {
	r, people := &e.relation, len(e.open[side])
	r.ends[side] = append(slices.Grow(r.ends[side][:0], people+1), 0)
	r.numbers[side] = slices.Grow(r.numbers[side][:0], people)
	for i, open := range e.open[side] {
		if open || !onlyOpen {
			e.scratch.reset()
			collect(i)
			for value := range e.scratch.all {
				if n := number(value); n != none {
					r.groups[n].of(side).add(int32(i), open)
					r.numbers[side] = append(r.numbers[side], n)
				}
			}
		}
		r.ends[side] = append(r.ends[side], int32(len(r.numbers[side])))
	}
}

// arena keeps many short texts in few blocks of memory.
type arena struct{ block strings.Builder }

const arenaBlock = 64 << 10

func (a *arena) string(text []byte) string {
	if a.block.Cap()-a.block.Len() < len(text) {
		a.block.Reset()
		a.block.Grow(max(arenaBlock, len(text)))
	}
	begin := a.block.Len()
	a.block.Write(text)
	return a.block.String()[begin:]
}

// numbersOf returns the groups of a person.
func (r *relation) numbersOf(side int, i int32) []int32 {
	return r.numbers[side][r.ends[side][i]:r.ends[side][i+1]]
}

// fit returns who fits a person: see members.
func (r *relation) fit(side int, i int32) members {
	found := members{none, false, none}
	for _, number := range r.numbersOf(side, i) {
		other := r.groups[number].of(1 - side)
		found.several = found.several || other.several || found.open != none && other.open != none && found.open != other.open
		found.open = lower(found.open, other.open)
		found.closed = lower(found.closed, other.closed)
	}
	return found
}

func lower(i, j int32) int32 {
	if i == none || j == none {
		return max(i, j)
	}
	return min(i, j)
}

package matching

import "slices"

// maxNamed bounds how many a conflict names on each side.
const maxNamed = 5

// nameConflicts tells everybody whom a rule found ambiguous about the others.
// Whoever shares a value with one of them is ambiguous by the same rule.
func (e *engine) nameConflicts(r *relation, rule Rule) {
	// Of each group the first few on each side, one more, and room for oneself.
	first := map[int32]*[2][]int32{}
	ambiguous := func(side int, i int32) bool {
		v := &e.verdicts[side][i]
		return v.Outcome == Ambiguous && v.Rule == rule
	}
	for side := range e.verdicts {
		for i := range int32(len(e.verdicts[side])) {
			if !ambiguous(side, i) {
				continue
			}
			for _, number := range r.numbersOf(side, i) {
				if first[number] == nil {
					first[number] = &[2][]int32{}
				}
				if some := &first[number][side]; len(*some) < maxNamed+2 {
					*some = append(*some, i)
				}
			}
		}
	}
	for side := range e.verdicts {
		for i := range int32(len(e.verdicts[side])) {
			if ambiguous(side, i) {
				e.verdicts[side][i].Conflict = e.conflict(r, first, side, i)
			}
		}
	}
}

// conflict names those on the other side who fit a person, and those on its own
// side who fit one of these.
func (e *engine) conflict(r *relation, first map[int32]*[2][]int32, side int, i int32) *Conflict {
	c := &Conflict{}
	with := e.with[:0]
	for _, number := range r.numbersOf(side, i) {
		if some := first[number]; some != nil {
			with = append(with, some[1-side]...)
		}
	}
	e.with = with
	with = c.few(with)
	rivals := e.rivals[:0]
	for _, other := range with {
		for _, number := range r.numbersOf(1-side, other) {
			if some := first[number]; some != nil {
				rivals = append(rivals, some[side]...)
			}
		}
	}
	e.rivals = rivals
	rivals = slices.DeleteFunc(rivals, func(rival int32) bool { return rival == i })
	rivals = c.few(rivals)
	c.With, c.Rivals = e.ids(1-side, with), e.ids(side, rivals)
	return c
}

// few returns the first few positions, each once.
func (c *Conflict) few(positions []int32) []int32 {
	slices.Sort(positions)
	positions = slices.Compact(positions)
	if len(positions) > maxNamed {
		c.More = true
		return positions[:maxNamed]
	}
	return positions
}

func (e *engine) ids(side int, positions []int32) []string {
	if len(positions) == 0 {
		return nil
	}
	ids := make([]string, len(positions))
	for n, i := range positions {
		ids[n] = e.verdicts[side][i].ID
	}
	return ids
}

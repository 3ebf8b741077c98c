package smoke

import (
	"slices"
	"testing"
	"time"
)

var all = append(slices.Clone(points), callPoints...)

func TestTheSeedAloneDecidesTheKills(t *testing.T) {
	first, again, other := plan(7, 9, time.Minute, all), plan(7, 9, time.Minute, all), plan(8, 9, time.Minute, all)
	if !slices.Equal(first, again) {
		t.Errorf("the same seed plans %v and %v", first, again)
	}
	if slices.Equal(first, other) {
		t.Error("another seed plans the same kills")
	}
}

func TestEveryPointIsVisitedInTheFirstRound(t *testing.T) {
	var seen []Point
	list := plan(1, len(all), time.Minute, all)
	for i, kill := range list {
		if slices.Contains(seen, kill.point) {
			t.Errorf("%s comes twice", kill.point)
		}
		seen = append(seen, kill.point)
		if i > 0 && kill.offset <= list[i-1].offset || kill.offset > 54*time.Second {
			t.Errorf("kill %d is at %s", i, kill.offset)
		}
		if groups[kill.point] == "" {
			t.Errorf("%s kills nobody", kill.point)
		}
	}
}

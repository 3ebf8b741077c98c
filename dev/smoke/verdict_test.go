package smoke

import (
	"testing"
	"time"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	busy  = State{Availability: "Busy", Activity: "InACall"}
	away  = State{Availability: "Away", Activity: "Away"}
	free  = State{Availability: "Available", Activity: "Available"}
)

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// arrives is a delivery that was observed at a time and arrived 0.3 s later.
func arrives(id ID, state State, observed float64) Delivery {
	return Delivery{User: "ada", ID: id, State: state, ObservedAt: at(observed), Arrived: at(observed + 0.3)}
}

func TestVerdict(t *testing.T) {
	truth := []Transition{
		{"ada", at(-10), free},
		{"ada", at(1), busy},
		{"ada", at(5), away},
		{"ada", at(5.4), busy},
		{"ada", at(20), free},
	}
	all := []Delivery{
		arrives(ID{1, 0}, free, -5),
		arrives(ID{2, 0}, busy, 1.5),
		arrives(ID{3, 0}, free, 20.5),
	}
	for _, tt := range []struct {
		name       string
		deliveries []Delivery
		other      []Delivery
		kills      []time.Time
		final      State
		want       Verdict
	}{
		{"a state too short to be read is skipped, and the one after it was held", all, all, nil, free,
			Verdict{Changes: 4, Delivered: 4, Skipped: 2}},
		{"a state that lasted and never arrived is lost", []Delivery{all[0], arrives(ID{2, 0}, free, 20.5)}, []Delivery{all[0], arrives(ID{2, 0}, free, 20.5)}, nil, free,
			Verdict{Changes: 4, Delivered: 2, Skipped: 2, Lost: 4}},
		{"within the time of a kill it counts as skipped", []Delivery{all[0], arrives(ID{2, 0}, free, 20.5)}, []Delivery{all[0], arrives(ID{2, 0}, free, 20.5)}, []time.Time{at(0.5), at(6)}, free,
			Verdict{Changes: 4, Delivered: 2, Skipped: 6}},
		{"a wrong final state is lost", all, all, nil, away,
			Verdict{Changes: 4, Delivered: 4, Skipped: 2, Lost: 2}},
		{"what only the other consumer saw is lost", []Delivery{all[0], all[2]}, all, nil, free,
			Verdict{Changes: 4, Delivered: 3, Skipped: 2, Lost: 3}},
		{"the same change again is a duplicate", append(all[:3:3], all[2], all[1]), all, nil, free,
			Verdict{Changes: 4, Delivered: 4, Skipped: 2, Duplicates: 2}},
		{"a change behind a newer one is reordered", []Delivery{all[0], all[2], all[1]}, all, nil, free,
			Verdict{Changes: 4, Delivered: 4, Skipped: 2, Reordered: 1}},
		{"an append that nobody saw is lost", []Delivery{all[0], all[1], arrives(ID{4, 0}, free, 20.5)}, []Delivery{all[0], all[1], arrives(ID{4, 0}, free, 20.5)}, nil, free,
			Verdict{Changes: 4, Delivered: 4, Skipped: 2, Lost: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			end := map[string]State{"ada": free}
			got := Judge(Evidence{
				Truth: truth, Final: map[string]State{"ada": tt.final}, Begin: start, End: at(30), Kills: tt.kills,
				Consumers: []Consumer{
					{Name: "poll", Deliveries: tt.deliveries, Final: end},
					{Name: "push", Deliveries: tt.other, Final: end},
				},
			})
			t.Log(got.Losses)
			got.Losses, got.P50, got.P99, got.P99AfterKill = nil, 0, 0, 0
			if !equal(got, tt.want) {
				t.Errorf("Judge() = %+v; want %+v", got, tt.want)
			}
		})
	}
}

func equal(a, b Verdict) bool {
	return a.Changes == b.Changes && a.Delivered == b.Delivered && a.Lost == b.Lost && a.Reordered == b.Reordered && a.Duplicates == b.Duplicates && a.Skipped == b.Skipped
}

func TestASnapshotCoversWhatCameBeforeIt(t *testing.T) {
	first, second := arrives(ID{1, 0}, busy, 1), arrives(ID{2, 0}, free, 2)
	second.Snapshot = true
	got := Judge(Evidence{
		Truth: []Transition{{"ada", at(0.5), busy}, {"ada", at(1.5), free}}, Final: map[string]State{"ada": free}, Begin: start, End: at(30),
		Consumers: []Consumer{
			{Name: "poll", Deliveries: []Delivery{first, second}, Final: map[string]State{"ada": free}},
			{Name: "push", Deliveries: []Delivery{second}, Final: map[string]State{"ada": free}, Snapshots: []ID{{2, 0}}},
		},
	})
	if got.Lost != 0 || got.Reordered != 0 {
		t.Errorf("Judge() = %+v; want nothing lost", got)
	}
}

func TestLatenciesAfterAKillCountApart(t *testing.T) {
	late := arrives(ID{1, 0}, busy, 1)
	late.Arrived = at(5)
	quick := arrives(ID{2, 0}, free, 20.1)
	got := Judge(Evidence{
		Truth: []Transition{{"ada", at(0.5), busy}, {"ada", at(20), free}}, Final: map[string]State{"ada": free}, Begin: start, End: at(30), Kills: []time.Time{at(2)},
		Consumers: []Consumer{{Name: "poll", Deliveries: []Delivery{late, quick}, Final: map[string]State{"ada": free}}},
	})
	if got.P99 != 400*time.Millisecond || got.P99AfterKill != 4500*time.Millisecond {
		t.Errorf("p99 %v, after a kill %v; want 400ms and 4.5s", got.P99, got.P99AfterKill)
	}
}

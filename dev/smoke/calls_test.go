package smoke

import (
	"testing"
	"time"

	"procallteams/dev/cloud"
	"procallteams/dev/graph"
)

func TestLatenciesOfCalls(t *testing.T) {
	begins := func(seconds float64) CallEvent { return CallEvent{"ada", true, at(seconds), at(seconds + 0.1)} }
	ends := func(seconds float64) CallEvent { return CallEvent{"ada", false, at(seconds), at(seconds + 0.1)} }
	set := func(seconds float64) written { return written{"ada", true, at(seconds), 200} }
	clear := func(seconds float64) written { return written{"ada", false, at(seconds), 200} }
	shows := func(seconds float64, s State) Transition { return Transition{"ada", at(seconds), s} }
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, tt := range []struct {
		name   string
		events []CallEvent
		writes []written
		shown  []Transition
		kills  []time.Time
		want   CallVerdict
	}{
		{"from the report to the write", []CallEvent{begins(1), ends(5)}, []written{set(1.3), clear(5.2)}, nil, nil,
			CallVerdict{Changes: 2, Begun: 1, Measured: 2, P50: ms(200), P99: ms(200)}},
		{"a repetition counts no more", []CallEvent{begins(1)}, []written{set(1.3), set(9)}, nil, nil,
			CallVerdict{Changes: 1, Begun: 1, Measured: 1, P50: ms(200), P99: ms(200)}},
		{"what is over before it was told needs no write", []CallEvent{{"ada", true, at(1), time.Time{}}, ends(1.01)}, nil, nil, nil,
			CallVerdict{Changes: 2, Begun: 1}},
		{"a short call may collapse", []CallEvent{begins(1), ends(1.5)}, nil, nil, nil,
			CallVerdict{Changes: 2, Begun: 1}},
		{"so may a short pause", []CallEvent{begins(1), ends(5), begins(5.5)}, []written{set(1.3)}, nil, nil,
			CallVerdict{Changes: 3, Begun: 2, Measured: 1, P50: ms(200), P99: ms(200)}},
		{"a long call that never came counts with its time", []CallEvent{begins(1), ends(8)}, nil, nil, nil,
			CallVerdict{Changes: 2, Begun: 1, Measured: 1, P50: ms(6900), P99: ms(6900)}},
		{"what waits for a call of Teams is left out", []CallEvent{begins(1), ends(8)}, nil, []Transition{shows(-60, busy), shows(7, free)}, nil,
			CallVerdict{Changes: 2, Begun: 1}},
		{"so is what Teams goes on to show after our clear", []CallEvent{begins(1), ends(4), begins(15), ends(25)}, []written{set(1.3), clear(4.2)}, []Transition{shows(1.4, busy)}, nil,
			CallVerdict{Changes: 4, Begun: 2, Measured: 2, P50: ms(200), P99: ms(200)}},
		{"not so when that was long ago", []CallEvent{begins(40), ends(48)}, nil, []Transition{shows(-60, busy), shows(7, free)}, nil,
			CallVerdict{}},
		{"our own session is no call of Teams", []CallEvent{begins(1), ends(4), begins(9)}, []written{set(1.3), clear(4.2), set(9.4)}, []Transition{shows(1.4, busy), shows(4.3, free), shows(9.5, busy)}, nil,
			CallVerdict{Changes: 3, Begun: 2, Measured: 3, P50: ms(200), P99: ms(300)}},
		{"after a kill counts apart", []CallEvent{begins(1)}, []written{set(4)}, nil, []time.Time{at(2)},
			CallVerdict{Changes: 1, Begun: 1, Measured: 1, P99AfterKill: ms(2900)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := JudgeCalls(CallEvidence{Events: tt.events, Writes: tt.writes, Shown: tt.shown, Begin: start, End: at(30), Kills: tt.kills})
			if got.Changes != tt.want.Changes || got.Begun != tt.want.Begun || got.Measured != tt.want.Measured ||
				got.P50 != tt.want.P50 || got.P99 != tt.want.P99 || got.P99AfterKill != tt.want.P99AfterKill {
				t.Errorf("JudgeCalls() = %+v; want %+v", got, tt.want)
			}
		})
	}
}

func TestABodyThatOverstatesAPersonIsFound(t *testing.T) {
	ours := `{"sessionId":"` + cloud.ClientID + `","availability":"Busy","activity":"InACall","expirationDuration":"PT10M"}`
	for body, want := range map[string]int{
		"": 0, ours: 0, `{"sessionId":"` + cloud.ClientID + `"}`: 0,
		`{"sessionId":"` + cloud.ClientID + `","availability":"Available","activity":"Available"}`: 1,
		`{"sessionId":"another"}`: 1, `{"availability":"Busy","activity":"Busy"}`: 1, `{`: 1,
	} {
		if got := overstated([]graph.Request{{Path: "/x", Body: body}}); len(got) != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}

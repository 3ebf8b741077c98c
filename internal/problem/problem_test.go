package problem_test

import (
	"testing"

	"procallteams/internal/problem"
)

func TestFaultsAreCountedInWords(t *testing.T) {
	for want, n := range map[string][2]int{
		"There is one fault.":                             {1, 1},
		"There are 3 faults.":                             {3, 3},
		"There are 250 faults; the first 100 are listed.": {250, 100},
	} {
		if got := problem.Faults(n[0], n[1]); got != want {
			t.Errorf("Faults(%d, %d) = %q; want %q", n[0], n[1], got, want)
		}
	}
}

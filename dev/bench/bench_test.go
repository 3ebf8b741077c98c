package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheLinesSayWhatIsOver(t *testing.T) {
	for _, tt := range []struct {
		budget Budget
		want   string
	}{
		{Budget{"handler-size", 24.5, 25, "MB", false}, "budget handler-size 24.50MB 25MB ok"},
		{Budget{"handler-start-to-ready", 51, 50, "ms", false}, "budget handler-start-to-ready 51ms 50ms over"},
		{Budget{"cpu-sync100k-against-plain-client", 1.2, 0, "x", false}, "budget cpu-sync100k-against-plain-client 1.20x - ok"},
		{Budget{"throttled-requests", 1, 0, "", true}, "budget throttled-requests 1 0 over"},
		{Budget{"throttled-requests", 0, 0, "", true}, "budget throttled-requests 0 0 ok"},
	} {
		if got := tt.budget.String(); got != tt.want {
			t.Errorf("%+v prints %q; want %q", tt.budget, got, tt.want)
		}
	}
}

func TestAMeasurementThatDoesNotExistIsAFault(t *testing.T) {
	if budgets, faults := Run(t.Context(), Options{Only: []string{"memery"}}); len(budgets) != 0 || len(faults) != 1 {
		t.Errorf("Run() = %v, %v", budgets, faults)
	}
}

func TestRatiosOfTheProductsBenchmarksAreRead(t *testing.T) {
	got := readRatios([]byte(`goos: linux
BenchmarkSync650-2     	     812	   1450000 ns/op	         0.84 x-reference	    1024 B/op
BenchmarkSync100k-2    	       5	 211000000 ns/op	         1.20 x-reference
PASS
`))
	want := []Budget{
		{"cpu-sync650-against-plain-client", 0.84, 1, "x", false},
		{"cpu-sync100k-against-plain-client", 1.20, 0, "x", false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("budgets (-want +got):\n%s", diff)
	}
}

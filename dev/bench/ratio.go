package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"procallteams/dev/cloud"
)

// ratios runs the product's benchmarks of a sync and takes the metrics whose unit
// is a ratio, as "x-reference".
func ratios(ctx context.Context, o Options) ([]Budget, error) {
	root, err := cloud.Root()
	if err != nil {
		return nil, err
	}
	pattern := "^BenchmarkSync"
	if o.Quick {
		pattern = "^BenchmarkSync(650|10k)$"
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchtime", "2s", "./functions/presencesync")
	cmd.Dir = root
	output, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s", err, output)
	}
	budgets := readRatios(output)
	if len(budgets) == 0 {
		return nil, errors.New("go test -bench: no benchmark reported a ratio")
	}
	return budgets, nil
}

// readRatios reads lines such as
//
//	BenchmarkSync10k-2   100   11223344 ns/op   0.82 x-reference
func readRatios(output []byte) []Budget {
	var budgets []Budget
	lines := bufio.NewScanner(bytes.NewReader(output))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "Benchmark"), "-")
		for i := 3; i < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i-1], 64)
			if err != nil {
				continue
			}
			switch unit := fields[i]; {
			case strings.HasPrefix(unit, "x") || strings.Contains(unit, "ratio"):
				b := Budget{Name: "cpu-" + strings.ToLower(name) + "-against-plain-client", Measured: value, Limit: 1, Unit: "x"}
				if strings.Contains(name, "100k") {
					b.Limit = 0 // reported only for now
				}
				budgets = append(budgets, b)
			}
		}
	}
	return budgets
}

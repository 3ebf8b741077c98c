package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"procallteams/dev/child"
	"procallteams/dev/cloud"
)

// starts is how often the handler is started; the median counts.
const starts = 15

// handler measures the binary's size and the time from its start to the first
// answer to the readiness probe, with the settings of the local cloud.
func handler(ctx context.Context, o Options) ([]Budget, error) {
	c, err := cloud.Start(ctx, cloud.Options{Dist: o.Dist, Users: 5, Log: o.HostLog})
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	program := filepath.Join(c.Dist, "handler")
	info, err := os.Stat(program)
	if err != nil {
		return nil, fmt.Errorf("find the handler: %w", err)
	}
	budgets := []Budget{{Name: "handler-size", Measured: float64(info.Size()) / 1e6, Limit: 25, Unit: "MB"}}
	var times []time.Duration
	for range starts {
		took, err := startOnce(ctx, program, c.Environment())
		if err != nil {
			return budgets, err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return append(budgets, Budget{Name: "handler-start-to-ready", Measured: float64(times[starts/2].Microseconds()) / 1000, Limit: 50, Unit: "ms"}), nil
}

func startOnce(ctx context.Context, program string, environment []string) (time.Duration, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	cmd := exec.Command(program)
	cmd.Dir = filepath.Dir(program)
	cmd.Env = append(environment, "FUNCTIONS_CUSTOMHANDLER_PORT="+strconv.Itoa(port))
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	begin := time.Now()
	process, err := child.Start(cmd)
	if err != nil {
		return 0, err
	}
	defer process.Kill()
	client := &http.Client{Timeout: time.Second}
	for time.Since(begin) < 10*time.Second {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(port)+"/", nil)
		if err != nil {
			return 0, fmt.Errorf("probe the handler: %w", err)
		}
		answer, err := client.Do(r)
		if err == nil {
			answer.Body.Close()
			return time.Since(begin), nil
		}
		select {
		case <-process.Done():
			return 0, fmt.Errorf("start the handler: it ended with code %d", process.ExitCode())
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(500 * time.Microsecond):
		}
	}
	return 0, fmt.Errorf("start the handler: no answer within 10 s")
}

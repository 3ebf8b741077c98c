package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"procallteams/dev/cloud"
)

// memory measures the resident memory of one handler process with 100,000 users,
// warm, while it serves a snapshot and pushes.
func memory(ctx context.Context, o Options) ([]Budget, error) {
	users := 100_000
	if o.Quick {
		users = 10_000
	}
	c, err := cloud.Start(ctx, cloud.Options{Dist: o.Dist, Users: users, Members: true, Schedule: "*/5 * * * * *", Log: o.HostLog})
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	integration, err := c.Integrate(ctx)
	if err != nil {
		return nil, err
	}
	for len(c.UCServer.Inbox().View().People) < users {
		if err := pause(ctx, time.Second); err != nil {
			return nil, fmt.Errorf("wait until %d users are pushed: %w", users, err)
		}
	}
	moving, cancel := context.WithCancel(ctx)
	defer cancel()
	go c.Graph.Move(moving, 150)
	peak := int64(0)
	for range 6 {
		served := make(chan error, 1)
		go func() { served <- snapshot(ctx, c, integration.Token) }()
		for open := true; open; {
			resident, err := residentMemory(c.Host.Processes()[0].PID)
			if err != nil {
				return nil, err
			}
			peak = max(peak, resident)
			select {
			case err := <-served:
				if err != nil {
					return nil, err
				}
				open = false
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return []Budget{{Name: fmt.Sprintf("memory-%d-users", users), Measured: float64(peak) / (1 << 20), Limit: 96, Unit: "MiB"}}, nil
}

// snapshot reads the first page of the current state, as large as it may be.
func snapshot(ctx context.Context, c *cloud.Cloud, token string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/api/v1/presence?limit=1000", nil)
	if err != nil {
		return fmt.Errorf("read a snapshot: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("read a snapshot: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("read a snapshot: status %d", answer.StatusCode)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// residentMemory is what the kernel says (VmRSS), in bytes.
func residentMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("read resident memory: no VmRSS for process %d", pid)
}

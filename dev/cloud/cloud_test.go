package cloud_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"procallteams/dev/cloud"
)

// dist is the app of this source tree, laid out once for all tests.
var dist string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cloud-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		dist, err = cloud.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// start is a local cloud for one test.
func start(t *testing.T, o cloud.Options) *cloud.Cloud {
	t.Helper()
	o.Dist = dist
	c, err := cloud.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestStopLeavesNothingBehind(t *testing.T) {
	c := start(t, cloud.Options{Users: 3, Wire: true, PerGroup: true})
	pids := []int{c.Azurite.PID()}
	for _, process := range c.Host.Processes() {
		pids = append(pids, process.PID)
	}
	if len(pids) < 7 {
		t.Errorf("%d processes run; want one for storage, two for HTTP, two for the queue function and one for each timer", len(pids))
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
	for _, address := range []string{c.URL, c.EntraPages, c.TeamsPage, c.UCServerPage, c.PushURL} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if connection, err := net.Dial("tcp", strings.Replace(u.Host, "localhost", "127.0.0.1", 1)); err == nil {
			connection.Close()
			t.Errorf("%s still listens", address)
		}
	}
	if err := c.Stop(); err != nil {
		t.Errorf("Stop() again = %v", err)
	}
}

func TestWithoutAnAppNothingStarts(t *testing.T) {
	_, err := cloud.Start(t.Context(), cloud.Options{Dist: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("Start() = %v; want an error that names make build", err)
	}
}

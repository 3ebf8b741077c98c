package child_test

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"procallteams/dev/child"
)

// TestMain lets the test binary play the parent whose death is awaited.
func TestMain(m *testing.M) {
	if os.Getenv("CHILD_TEST_PARENT") != "" {
		p, err := child.Start(exec.Command("sleep", "60"))
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(p.PID()) + "\n")
		select {}
	}
	os.Exit(m.Run())
}

func TestAChildDiesWithAParentThatIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Logf("only Linux ties a child to its parent; nothing to prove on %s", runtime.GOOS)
		return
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "CHILD_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs 10 s after its parent was killed", pid)
		}
	}
}

// alive reports whether pid runs; one that ended but was not yet reaped by its
// new parent does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestExitCodeReadsAsInAShell(t *testing.T) {
	for _, row := range []struct {
		name, script string
		want         int
	}{
		{"an exit status is itself", "exit 3", 3},
		{"a signal is 128 and its number", "kill -9 $$", 137},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := child.Start(exec.Command("sh", "-c", row.script))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.ExitCode(); got != row.want {
				t.Errorf("ExitCode() = %d; want %d", got, row.want)
			}
		})
	}
}

package child

import (
	"os"
	"os/exec"
	"syscall"
)

// tie makes the kernel kill the child with its parent, and keeps a terminal's
// Ctrl+C, which goes to the whole process group, for the parent alone.
func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

func endedBySignal(state *os.ProcessState) (int, bool) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 0, false
	}
	return int(status.Signal()), true
}

// Package child starts programs that must not outlive the program that started
// them: Azurite and the handler processes of the dev host.
//
// On Linux the kernel kills the child when its parent dies, however that
// happens. Elsewhere only [Process.Kill] ends it.
package child

import (
	"fmt"
	"os/exec"
	"runtime"
)

// Process is a started child. Its methods may be called by several goroutines.
type Process struct {
	pid  int
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts cmd, whose SysProcAttr it sets.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel means the thread, not the process, when it watches the parent:
		// this thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tie(cmd)
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// PID is the child's process id.
func (p *Process) PID() int { return p.pid }

// Done is closed when the child has ended and its output is read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the child with SIGKILL and waits until it is gone. Killing a child
// that has ended does nothing.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// ExitCode waits for the end of the child and returns its exit code, as a shell
// would: 128 + the signal's number when a signal ended it.
func (p *Process) ExitCode() int {
	<-p.done
	if p.cmd.ProcessState == nil {
		return -1
	}
	if signal, ok := endedBySignal(p.cmd.ProcessState); ok {
		return 128 + signal
	}
	return p.cmd.ProcessState.ExitCode()
}

// Err waits for the end of the child and returns what [exec.Cmd.Wait] said.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

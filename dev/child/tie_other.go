//go:build !linux

package child

import (
	"os"
	"os/exec"
)

func tie(*exec.Cmd) {}

func endedBySignal(*os.ProcessState) (int, bool) { return 0, false }

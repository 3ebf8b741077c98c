// Package bicep finds the Bicep compiler, for releases and for the tests of the templates.
package bicep

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// Version is the compiler that releases are made with: the template names it, and another
// one may write another template.
const Version = "0.49.2"

// ErrNone reports that there is no compiler, and how to get one.
var ErrNone = errors.New("there is no Bicep compiler: az bicep install --version v" + Version + ", or set BICEP")

// Find returns the compiler's path: $BICEP, the one that az bicep install put into the home
// folder, a copy beside the repository, whose root is given, or bicep on the PATH. It
// returns [ErrNone] without one.
func Find(root string) (string, error) {
	if program := os.Getenv("BICEP"); program != "" {
		return program, nil
	}
	home, _ := os.UserHomeDir()
	beside := filepath.Join(root, "..", "shared", "tools", "bicep", "bicep")
	for _, program := range []string{filepath.Join(home, ".azure", "bin", "bicep"), beside, "bicep"} {
		if path, err := exec.LookPath(program); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", ErrNone
}

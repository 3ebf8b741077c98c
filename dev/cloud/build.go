package cloud

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build lays the app out below dir, as make build does, and returns the folder.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dist := filepath.Join(dir, "dist")
	cmd := exec.CommandContext(ctx, "go", "run", "./internal/cmd/dist", dist)
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("lay out the app: %w\n%s", err, output)
	}
	return dist, nil
}

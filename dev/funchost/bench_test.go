package funchost_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"procallteams/dev/funchost"
)

func BenchmarkProxying(b *testing.B) { benchmark(b, funchost.Proxying) }

func BenchmarkForwarding(b *testing.B) { benchmark(b, funchost.Forwarding) }

// benchmark measures one call through the host, with the handler called directly
// as the reference: the difference is what the host adds.
func benchmark(b *testing.B, mode funchost.Mode) {
	root := b.TempDir()
	executable, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	write := func(path string, content any) {
		text, err := json.Marshal(content)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), text, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "any"), 0o755); err != nil {
		b.Fatal(err)
	}
	write("host.json", map[string]any{"customHandler": map[string]any{"description": map[string]any{"defaultExecutablePath": executable}}})
	write("any/function.json", map[string]any{"bindings": []map[string]any{{"type": "httpTrigger", "name": "req", "authLevel": "anonymous"}, {"type": "http", "direction": "out", "name": "res"}}})
	h, err := funchost.Start(b.Context(), funchost.Options{ScriptRoot: root, Mode: mode, Env: map[string]string{"RECORDER": filepath.Join(root, "received")}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(h.Stop)
	if err := h.AwaitReady(b.Context()); err != nil {
		b.Fatal(err)
	}
	for name, url := range map[string]string{
		"host":   h.URL() + "/api/any",
		"direct": fmt.Sprintf("http://127.0.0.1:%d/api/any", h.Processes()[0].Port),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				response, err := http.Get(url)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
}

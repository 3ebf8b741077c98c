package cmdline_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"procallteams/internal/cmdline"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"handler": func() { os.Exit(cmdline.Run(os.Args[1:], "v1", os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the tool as an administrator does: testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			// A binary with the race detector sleeps a second before its end.
			env.Vars = append(env.Vars, "GORACE=atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"bytes": bytes},
	})
}

// bytes writes a file of which the escapes \xNN stand for bytes, since a script is
// text: bytes FILE CONTENT...
func bytes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bytes FILE CONTENT...")
	}
	var content []byte
	for _, part := range args[1:] {
		text, err := strconv.Unquote(`"` + part + `"`)
		ts.Check(err)
		content = append(content, text...)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
}

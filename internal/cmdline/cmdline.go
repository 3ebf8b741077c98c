// Package cmdline is the handler on an administrator's own machine: called with
// arguments, the binary is a tool that works offline and ends.
//
//	handler usermatching check FILE...   look for faults in usermatching.csv
//	handler import FILE                  turn the original's msteams.cfg into settings
//	handler version
//	handler help
//
// The exit status is 0 when all is well, warnings included, 1 when a file has
// faults or can't be read, 2 when the arguments are not understood. Results go to
// standard output, everything for a person to read and act on to standard error,
// both as UTF-8. It contacts nobody and changes nothing.
package cmdline

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

const help = `ProCall Teams Bridge, on the command line. It works offline and changes nothing.

  handler usermatching check FILE...
      Look for faults in usermatching.csv before it is uploaded. Every fault is
      named with its line and with what to do. Exit status 0: can be uploaded,
      with or without warnings. 1: would be refused.

  handler import FILE
      Read the original's msteams.cfg. Standard output gets the settings as JSON
      for PUT /api/integration, standard error what has to be done by hand.
      Secrets in the file are never printed.

  handler version
  handler help

Without arguments it is the handler of the function app, which only the Azure
Functions host can use.
`

// Exit statuses.
const (
	well   = 0
	faulty = 1
	misuse = 2
)

// Run does what the arguments say and returns the exit status.
func Run(args []string, version string, stdout, stderr io.Writer) int {
	c := command{version: version, out: bufio.NewWriter(stdout), err: bufio.NewWriter(stderr)}
	status := c.run(args)
	if err := errors.Join(c.out.Flush(), c.err.Flush()); err != nil && status == well {
		return faulty // whoever reads the output has not got all of it
	}
	return status
}

type command struct {
	version  string
	out, err *bufio.Writer
}

func (c command) run(args []string) int {
	name, args := args[0], args[1:]
	switch {
	case name == "help", name == "-h", name == "-help", name == "--help", name == "/?":
		fmt.Fprint(c.out, help)
		return well
	case name == "version", name == "-version", name == "--version":
		fmt.Fprintf(c.out, "handler %s (%s, %s/%s)\n", c.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return well
	case name == "usermatching" && len(args) > 0 && args[0] == "check":
		return c.files("usermatching check FILE...", args[1:], -1, c.check)
	case name == "import":
		return c.files("import FILE", args, 1, c.importSettings)
	}
	fmt.Fprintf(c.err, "handler: these arguments are not known; \"handler help\" lists what is\n")
	return misuse
}

// files does one thing with each of the files that the arguments name; exactly is
// how many, if not negative. The worst status counts.
func (c command) files(usage string, args []string, exactly int, do func(path string, content []byte) int) int {
	flags := flag.NewFlagSet("handler", flag.ContinueOnError)
	flags.SetOutput(c.err)
	flags.Usage = func() { fmt.Fprintf(c.err, "usage: handler %s\n", usage) }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return well
	} else if err != nil {
		return misuse
	}
	if flags.NArg() == 0 || exactly >= 0 && flags.NArg() != exactly {
		flags.Usage()
		return misuse
	}
	worst := well
	for _, path := range flags.Args() {
		content, err := os.ReadFile(path)
		if err != nil {
			c.unreadable(path, err)
			worst = faulty
			continue
		}
		worst = max(worst, do(path, content))
	}
	return worst
}

func (c command) unreadable(path string, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(c.err, "%s: there is no such file; compare the name and the folder\n", path)
	case errors.Is(err, fs.ErrPermission):
		fmt.Fprintf(c.err, "%s: may not be read by you; close the program that has it open, or copy it elsewhere\n", path)
	default:
		fmt.Fprintf(c.err, "%s: can't be read: %v\n", path, errors.Unwrap(err))
	}
}

// Package azurecli stands in for the Azure CLI, for Core Tools and for curl in tests
// of shell scripts. It keeps the Azure that they see in one JSON file, knows only the
// commands and options that the scripts use, and refuses all others, as az does with
// a misspelt one.
//
// Commands, options and the shape of answers are those of the Azure CLI's reference
// (az ad, az rest, az functionapp, az storage blob); --query is JMESPath, and tsv
// has one line for each element. What Entra refuses, this refuses.
package azurecli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/jmespath-community/go-jmespath"
)

// command is one command of az: its options, and what it does with their values.
type command struct {
	options []string // long names; those with "+" take several values, with "!" none
	run     func(w *World, o options) (any, error)
}

// options holds the values of each option given, by its long name.
type options map[string][]string

func (o options) text(name string) string { return strings.Join(o[name], " ") }

// commands are all that is known, by name.
func commands() map[string]command {
	all := map[string]command{}
	for _, some := range []map[string]command{directoryCommands, appCommands} {
		maps.Copy(all, some)
	}
	return all
}

// Run is az: it does what args say to the world in the file named by the
// environment variable AZ_WORLD, and returns az's exit status. Each call is a line of
// the file AZ_CALLS.
func Run(args []string, stdout, stderr io.Writer) int {
	if err := record("az", args); err != nil {
		fmt.Fprintln(stderr, "ERROR:", err)
		return 1
	}
	name, o, err := parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "ERROR:", err)
		return 2 // az: a command line that it does not understand
	}
	err = change(func(w *World) error {
		if text, refused := w.refusal(strings.TrimSpace(name + " " + o.text("method"))); refused {
			return errors.New(text)
		}
		answer, err := commands()[name].run(w, o)
		if err != nil {
			return err
		}
		return show(stdout, answer, o.text("query"), o.text("output"))
	})
	if err != nil {
		fmt.Fprintln(stderr, "ERROR:", err)
		return 1
	}
	return 0
}

// parse splits a command line into the command's name and its options.
func parse(args []string) (string, options, error) {
	first := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "-") })
	if first < 0 {
		first = len(args)
	}
	name := strings.Join(args[:first], " ")
	c, ok := commands()[name]
	if !ok {
		return "", nil, fmt.Errorf("'%s' is misspelled or not recognized by the system", name)
	}
	o := options{}
	for rest := args[first:]; len(rest) > 0; {
		kind, option := kindOf(c, rest[0])
		rest = rest[1:]
		if kind == unknown {
			return "", nil, fmt.Errorf("unrecognized arguments: %s", option)
		}
		o[option] = []string{}
		for len(rest) > 0 && kind != flag && !strings.HasPrefix(rest[0], "-") {
			o[option] = append(o[option], rest[0])
			rest = rest[1:]
			if kind == single {
				break
			}
		}
		if kind != flag && len(o[option]) == 0 {
			return "", nil, fmt.Errorf("argument --%s: expected one argument", option)
		}
	}
	return name, o, nil
}

type kind int

const (
	unknown kind = iota
	single
	several
	flag
)

// short are the short names of options that every command has.
var short = map[string]string{"-o": "output", "-g": "resource-group", "-n": "name"}

func kindOf(c command, arg string) (kind, string) {
	option := strings.TrimPrefix(arg, "--")
	if long, ok := short[arg]; ok {
		option = long
	}
	switch {
	case slices.Contains(c.options, option), option == "query", option == "output":
		return single, option
	case slices.Contains(c.options, option+"+"):
		return several, option
	case slices.Contains(c.options, option+"!"):
		return flag, option
	}
	return unknown, arg
}

// show prints an answer as az does.
func show(out io.Writer, answer any, query, format string) error {
	if query != "" {
		plain, err := generic(answer)
		if err != nil {
			return err
		}
		if answer, err = jmespath.Search(query, plain); err != nil {
			return fmt.Errorf("argument --query: invalid jmespath_type value: %w", err)
		}
	}
	if answer == nil || format == "none" {
		return nil
	}
	if format == "tsv" {
		return tsv(out, answer)
	}
	text, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

// tsv prints one line for each element of a list, and one for anything else. Lists in
// a list are the columns of its lines.
func tsv(out io.Writer, answer any) error {
	plain, err := generic(answer)
	if err != nil {
		return err
	}
	rows, ok := plain.([]any)
	if !ok {
		rows = []any{plain}
	}
	for _, row := range rows {
		columns, ok := row.([]any)
		if !ok {
			columns = []any{row}
		}
		var cells []string
		for _, column := range columns {
			switch column := column.(type) {
			case nil:
				cells = append(cells, "None")
			case map[string]any, []any:
				cells = append(cells, "")
			default:
				cells = append(cells, fmt.Sprint(column))
			}
		}
		if _, err := fmt.Fprintln(out, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return nil
}

// generic is a value as JSON has it.
func generic(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var plain any
	return plain, json.Unmarshal(text, &plain)
}

// spoken is an error in the vendor's own words.
type spoken string

func (s spoken) Error() string { return string(s) }

func say(format string, args ...any) error { return spoken(fmt.Sprintf(format, args...)) }

// record adds a call to the file AZ_CALLS.
func record(program string, args []string) error {
	file, err := os.OpenFile(os.Getenv("AZ_CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, program, strings.Join(args, " "))
	return errors.Join(err, file.Close())
}

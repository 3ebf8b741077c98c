package funchost

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// output passes lines on and keeps the newest ones.
type output struct {
	mu    sync.Mutex
	to    io.Writer // may be nil
	kept  bytes.Buffer
	limit int
}

func newOutput(to io.Writer, limit int) *output {
	if limit == 0 {
		limit = 64 << 20
	}
	return &output{to: to, limit: limit}
}

// line logs "[source] level: text".
func (o *output) line(source, level, text string) {
	line := "[" + source + "] " + level + ": " + text + "\n"
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept.Len()+len(line) > o.limit {
		o.kept.Next(o.kept.Len() / 2)
	}
	o.kept.WriteString(line)
	if o.to != nil {
		_, _ = io.WriteString(o.to, line)
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kept.String()
}

// console is a handler's standard output or error, cut into lines. The real
// host's levels: everything on standard output is information; on standard error
// a line that contains "warn" is a warning and any other an error.
type console struct {
	output *output
	source string
	errors bool
	rest   []byte
	last   *[]string // the last three error lines, or nil
}

func (c *console) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		line, rest, ok := bytes.Cut(c.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		c.say(strings.TrimSuffix(string(line), "\r"))
		c.rest = rest
	}
}

func (c *console) say(line string) {
	const system = "languageworkerconsolelog"
	level := "info"
	switch {
	case c.errors && strings.Contains(strings.ToLower(line), "warn"):
		level = "warn"
	case c.errors:
		level = "fail"
		if *c.last = append(*c.last, line); len(*c.last) > 3 {
			*c.last = (*c.last)[1:]
		}
	}
	if len(line) >= len(system) && strings.EqualFold(line[:len(system)], system) {
		line = strings.TrimLeft(line[len(system):], " ")
	}
	c.output.line(c.source, level, line)
}

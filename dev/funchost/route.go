package funchost

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// route is an ASP.NET route template: literals, {x}, {x?}, {x:int}, {x:guid},
// {*rest}.
type route struct {
	segments []segment
}

type segment struct {
	literal    string
	parameter  bool
	optional   bool
	rest       bool
	constraint string
}

// parseRoute reads a template without the prefix. The real host does not start
// with a broken one.
func parseRoute(template string) (*route, error) {
	r := &route{}
	template = strings.Trim(template, "/")
	if template == "" {
		return r, nil
	}
	parts := strings.Split(template, "/")
	for n, part := range parts {
		if !strings.ContainsAny(part, "{}") {
			r.segments = append(r.segments, segment{literal: part})
			continue
		}
		inner, ok := strings.CutPrefix(part, "{")
		if ok {
			inner, ok = strings.CutSuffix(inner, "}")
		}
		if !ok || inner == "" || strings.ContainsAny(inner, "{}") {
			return nil, fmt.Errorf("template %q: segment %q is not one parameter", template, part)
		}
		s := segment{parameter: true}
		s.rest = strings.HasPrefix(inner, "*")
		inner, s.optional = strings.CutSuffix(strings.TrimLeft(inner, "*"), "?")
		_, s.constraint, _ = strings.Cut(inner, ":")
		switch s.constraint {
		case "", "int", "guid":
		default:
			return nil, fmt.Errorf("template %q: constraint %q is not simulated", template, s.constraint)
		}
		if s.rest && n != len(parts)-1 {
			return nil, fmt.Errorf("template %q: a catch-all must stand at the end", template)
		}
		r.segments = append(r.segments, s)
	}
	return r, nil
}

// match reports whether the template covers path, the decoded segments behind
// the prefix. Literals match in any case.
func (r *route) match(path []string) bool {
	if len(path) > 0 && path[len(path)-1] == "" {
		path = path[:len(path)-1] // a trailing slash means nothing
	}
	for n, s := range r.segments {
		if s.rest {
			return true
		}
		if n >= len(path) {
			return s.optional
		}
		if path[n] == "" || !s.accepts(path[n]) {
			return false
		}
	}
	return len(path) <= len(r.segments)
}

func (s segment) accepts(text string) bool {
	switch {
	case !s.parameter:
		return strings.EqualFold(s.literal, text)
	case s.constraint == "int":
		_, err := strconv.ParseInt(text, 10, 32)
		return err == nil
	case s.constraint == "guid":
		_, err := uuid.Parse(text)
		return err == nil
	}
	return true
}

// find returns the first function, in alphabetical order, whose route and method
// match; nil when none does.
func (a *app) find(method, escapedPath string) *function {
	segments := strings.Split(strings.TrimPrefix(escapedPath, "/"), "/")
	for n := range segments {
		segments[n] = decode(segments[n])
	}
	for _, part := range strings.FieldsFunc(a.prefix, func(c rune) bool { return c == '/' }) {
		if len(segments) == 0 || !strings.EqualFold(segments[0], part) {
			return nil
		}
		segments = segments[1:]
	}
	for _, f := range a.functions {
		if f.route == nil || f.err != nil || !f.route.match(segments) {
			continue
		}
		if len(f.methods) == 0 || slices.Contains(f.methods, method) {
			return f
		}
	}
	return nil
}

// decode undoes percent-encoding except that of slashes, as ASP.NET does.
func decode(text string) string {
	text = strings.NewReplacer("%2F", "%252F", "%2f", "%252f").Replace(text)
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return text
	}
	return decoded
}

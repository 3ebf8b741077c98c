package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"github.com/pb33f/libopenapi/orderedmap"
)

// cell makes one line of a table of a text.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// content says of a body of which objects it is, and in which media type. A refusal's
// is always the same and not named.
func (d *document) content(content *orderedmap.Map[string, *v3.MediaType]) string {
	var forms []string
	for kind, media := range content.FromOldest() {
		if kind != "application/problem+json" {
			forms = append(forms, fmt.Sprintf("%s as `%s`", d.typeOf(media.Schema), kind))
		}
	}
	return strings.Join(forms, "; ")
}

// typeOf names the type of a value; a named object becomes a link, and is described
// further below.
func (d *document) typeOf(proxy *base.SchemaProxy) string {
	if proxy == nil {
		return ""
	}
	if name := reference(proxy); name != "" {
		s, _ := d.doc.Components.Schemas.Get(name)
		if s := s.Schema(); !isObject(s) && len(s.OneOf) == 0 && len(s.AllOf) == 0 {
			return d.plain(s)
		}
		return d.link(name)
	}
	return d.plain(proxy.Schema())
}

// reference is the name of the schema that $ref leads to, empty without one. A
// description may stand beside it, which the model itself keeps and the $ref not.
func reference(proxy *base.SchemaProxy) string {
	path := proxy.GetReference()
	if node := proxy.GetValueNode(); path == "" && node != nil {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == "$ref" {
				path = node.Content[i+1].Value
			}
		}
	}
	return path[strings.LastIndexByte(path, '/')+1:]
}

// link names an object that is described further below.
func (d *document) link(name string) string {
	if !d.shown[name] {
		d.shown[name] = true
		d.queue = append(d.queue, name)
	}
	return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
}

func isObject(s *base.Schema) bool { return slices.Contains(s.Type, "object") }

// plain is the type of a value without a name.
func (d *document) plain(s *base.Schema) string {
	switch {
	case s.Const != nil:
		return fmt.Sprintf("`%s`", s.Const.Value)
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			if v.Value == "" {
				continue // the same as left out
			}
			values = append(values, "`"+v.Value+"`")
		}
		return strings.Join(values, ", ")
	case len(s.OneOf) > 0:
		var kinds []string
		for _, one := range s.OneOf {
			kinds = append(kinds, d.typeOf(one))
		}
		return strings.Join(kinds, " or ")
	case slices.Contains(s.Type, "array") && s.Items != nil && s.Items.A != nil:
		return "array of " + d.typeOf(s.Items.A)
	case s.Format == "date-time":
		return orNull(s, "time (RFC 3339)")
	case isObject(s) && s.Properties != nil:
		var members []string
		for name, member := range s.Properties.FromOldest() {
			members = append(members, fmt.Sprintf("`%s` %s", name, d.typeOf(member)))
		}
		return "object of " + strings.Join(members, ", ")
	case len(s.Type) == 0:
		// A part that is judged by itself, so that it does not refuse the whole.
		if name, ok := strings.CutPrefix(s.Description, "See "); ok {
			return d.link(strings.TrimSuffix(name, "."))
		}
		return "any"
	}
	return orNull(s, slices.DeleteFunc(slices.Clone(s.Type), func(t string) bool { return t == "null" })[0]) + bounds(s)
}

// bounds are what limits a number or a text.
func bounds(s *base.Schema) string {
	text := ""
	if s.Maximum != nil && *s.Maximum < 1e15 { // else it is JSON's own limit
		text += fmt.Sprintf(", %d to %d", int64(value(s.Minimum)), int64(*s.Maximum))
	}
	if s.MaxLength != nil {
		text += fmt.Sprintf(", at most %d characters", *s.MaxLength)
	}
	if s.Default != nil && s.Default.Value != "" {
		text += ", default " + s.Default.Value
	}
	return text
}

func value(number *float64) float64 {
	if number == nil {
		return 0
	}
	return *number
}

func orNull(s *base.Schema, text string) string {
	if slices.Contains(s.Type, "null") {
		return text + " or null"
	}
	return text
}

// schema describes a named object: its members, and an example where there is one.
func (d *document) schema(name string) {
	proxy, ok := d.doc.Components.Schemas.Get(name)
	if !ok {
		return
	}
	s := proxy.Schema()
	d.line("### %s\n", name)
	if s.Description != "" {
		d.line("%s\n", strings.TrimSpace(s.Description))
	}
	if len(s.OneOf) > 0 && s.Properties == nil {
		d.line("%s.\n", d.plain(s))
		return
	}
	d.line("| member | type | |\n|---|---|---|")
	d.members(s)
	d.line("")
	for _, example := range s.Examples {
		var value any
		if example.Decode(&value) != nil {
			continue
		}
		if text, err := json.Marshal(value); err == nil {
			d.line("```json\n%s\n```\n", text)
		}
	}
}

// members writes the rows of an object, those of its parts first.
func (d *document) members(s *base.Schema) {
	for _, part := range s.AllOf {
		d.members(part.Schema())
	}
	for name, member := range s.Properties.FromOldest() {
		text := member.Schema().Description
		if !slices.Contains(s.Required, name) {
			text = strings.TrimSpace("Optional. " + text)
		}
		d.line("| `%s` | %s | %s |", name, d.typeOf(member), cell(text))
	}
}

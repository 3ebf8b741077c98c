package console

import (
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"procallteams/internal/integration"
	"procallteams/internal/page"
)

// faults say what is wrong with fields of a refused form, by the fields' ids.
type faults map[string]string

// field is what the templates need around one field: its id, what describes it, and
// what is wrong with it.
type field struct{ ID, By, Fault string }

// Field returns that of a field with the ids of its hints.
func (f faults) Field(id string, hints ...string) field {
	hints = slices.DeleteFunc(hints, func(hint string) bool { return hint == "" })
	if f[id] != "" {
		hints = append(hints, id+".fault")
	}
	return field{id, strings.Join(hints, " "), f[id]}
}

// Links lead to the fields at fault, in the order of their ids.
func (f faults) Links() []link {
	var links []link
	for _, id := range slices.Sorted(maps.Keys(f)) {
		direction, name, ofRules := strings.Cut(id, ".")
		if !ofRules {
			links = append(links, link{id, labelOf(id)})
			continue
		}
		links = append(links, link{id, directions.Replace(direction) + ": " + labels[name]})
	}
	return links
}

type link struct{ ID, Label string }

// ids are those of fields that have another name on the page than in the contract.
var ids = map[string]string{"pushAuthority": "authority", "profile": "readOnly", "scopes": "scope"}

func labelOf(id string) string {
	for name, other := range ids {
		if other == id {
			id = name
		}
	}
	return labels[id]
}

// sentenceOf is one sentence of a refusal: a field, or a direction and its list; for a
// list an entry; and the fault.
var sentenceOf = regexp.MustCompile(`^(teamsToProCall|proCallToTeams)?(?:: )?([a-zA-Z]*)(?:\[([0-9]+)\])?: (.*)$`)

// faultsOf finds the fields that an error is about; none when it is about no field.
func faultsOf(err error) faults {
	f := faults{}
	if own, ok := errors.AsType[refusal](err); ok && own.field != "" {
		f[own.field] = own.text
	}
	if tenant, ok := errors.AsType[*integration.TenantError](err); ok {
		f["tenant"] = page.Sentence(tenant.Err.Error())
	}
	if fixed, ok := errors.AsType[*integration.FixedError](err); ok {
		for _, name := range fixed.Fields {
			f.add(name, "An app setting fixes this.")
		}
	}
	if invalid, ok := errors.AsType[*integration.InvalidError](err); ok {
		f.addSentences(invalid.Error())
	}
	return f
}

// addSentences takes one sentence from each line.
func (f faults) addSentences(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		part := sentenceOf.FindStringSubmatch(line)
		if part == nil {
			continue
		}
		direction, list, says := part[1], part[2], page.Sentence(directions.Replace(part[4]))
		if n, err := strconv.Atoi(part[3]); err == nil {
			says = "Entry " + strconv.Itoa(n+1) + ": " + part[4] + "."
		}
		switch {
		case direction != "" && list != "":
			f.add(direction+"."+list, says)
		case direction != "":
			f.add(direction, says)
		default:
			f.add(list, says)
		}
	}
}

// add notes a fault. What the page has no field for stands at its top alone.
func (f faults) add(name, says string) {
	_, list, ofRules := strings.Cut(name, ".")
	if !ofRules {
		list = name
	}
	if labels[list] == "" && directions.Replace(name) == name {
		return
	}
	id := name
	if other, ok := ids[name]; ok {
		id = other
	}
	f[id] = strings.TrimSpace(f[id] + " " + says)
}

// keep puts what was typed into a field that is shown again.
func keep(kept url.Values, field *string, name string) {
	if kept.Has(name) {
		*field = kept.Get(name)
	}
}

package console

import (
	_ "embed"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"procallteams/internal/matching/participation"
	"procallteams/internal/settings"
)

//go:embed directions.html
var directionsText string

// Fields of the rules of one direction, each a list with an entry on each line.
// Their names in the form are the direction's, a full stop, and this one.
const (
	fieldGroups         = "groups"
	fieldUsers          = "users"
	fieldExcludedGroups = "excludedGroups"
	fieldExcludedUsers  = "excludedUsers"
	fieldPilot          = "pilot"
)

// rulesForm are the rules of one direction as the page shows them.
type rulesForm struct {
	Name, Title string
	Everyone    bool
	Open        bool // there are rules beside everyone and nobody
	Lists       []ruleList
	// Idle counts the entries that concern nobody; Untold says why that is not known.
	Idle   int
	Untold string

	rules participation.Rules
}

// ruleList is one field of the rules. Strays says of each entry that concerns nobody
// why, and what to do.
type ruleList struct {
	Name, Title, Hint, Text string
	Strays                  []string
}

// HintID and StraysID are the ids of what stands below the field; empty for nothing.
func (l ruleList) HintID() string {
	if l.Hint == "" {
		return ""
	}
	return l.Name + ".hint"
}

func (l ruleList) StraysID() string {
	if l.Strays == nil {
		return ""
	}
	return l.Name + ".strays"
}

// Rows is how many lines the field shows: all of them, to a point.
func (l ruleList) Rows() int { return min(max(2, 1+strings.Count(l.Text, "\n")), 10) }

const groupsHint = "A UCServer group by its name; an Entra group by its object id."

const peopleHint = "By the account's object id, the connector's id of the user (the look-up of a person shows both), the UPN, or the UCServer name."

// rulesOf is how the form of one direction is filled in: as stored, or as it was
// when it was refused.
func rulesOf(name, title string, stored settings.Participation, kept url.Values) rulesForm {
	rules := stored.Rules()
	if kept.Get("step") == "directions" {
		rules = posted(name, kept)
	}
	f := rulesForm{Name: name, Title: title, Everyone: rules.Everyone, rules: rules}
	for _, l := range []ruleList{
		{Name: fieldGroups, Title: "Groups", Hint: groupsHint, Text: groupLines(rules.Groups)},
		{Name: fieldUsers, Title: "People", Hint: peopleHint, Text: strings.Join(rules.Users, "\n")},
		{Name: fieldExcludedGroups, Title: "Groups that are excluded", Hint: "An exclusion always wins.", Text: groupLines(rules.ExcludedGroups)},
		{Name: fieldExcludedUsers, Title: "People who are excluded", Hint: peopleHint, Text: strings.Join(rules.ExcludedUsers, "\n")},
		{Name: fieldPilot, Title: "Pilot groups", Hint: "While there are any, their members take part and nobody else, whatever stands above.", Text: groupLines(rules.Pilot)},
	} {
		f.Open = f.Open || l.Text != ""
		l.Name = name + "." + l.Name
		f.Lists = append(f.Lists, l)
	}
	return f
}

// posted reads the rules of one direction from the form.
func posted(name string, form url.Values) participation.Rules {
	return participation.Rules{
		Everyone:       form.Get(name) == "everyone",
		Groups:         groupsOf(form.Get(name + "." + fieldGroups)),
		Users:          entries(form.Get(name + "." + fieldUsers)),
		ExcludedGroups: groupsOf(form.Get(name + "." + fieldExcludedGroups)),
		ExcludedUsers:  entries(form.Get(name + "." + fieldExcludedUsers)),
		Pilot:          groupsOf(form.Get(name + "." + fieldPilot)),
	}
}

// entries are the lines that are not empty.
func entries(text string) (list []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// Whose group it is can be written before it; without, a GUID is an object id.
const (
	entraPrefix    = "entra:"
	ucserverPrefix = "ucserver:"
)

func groupsOf(text string) (list []participation.Group) {
	for _, line := range entries(text) {
		group := participation.Group{Source: participation.UCServer, ID: line}
		if id, found := strings.CutPrefix(line, entraPrefix); found {
			group = participation.Group{Source: participation.Entra, ID: strings.TrimSpace(id)}
		} else if name, found := strings.CutPrefix(line, ucserverPrefix); found {
			group.ID = strings.TrimSpace(name)
		} else if isID(line) {
			group.Source = participation.Entra
		}
		list = append(list, group)
	}
	return list
}

func isID(text string) bool {
	_, err := uuid.Parse(text)
	return err == nil
}

// groupLines is the inverse of groupsOf.
func groupLines(groups []participation.Group) string {
	lines := make([]string, len(groups))
	for i, g := range groups {
		switch {
		case g.Source == participation.Entra && !isID(g.ID):
			lines[i] = entraPrefix + g.ID
		case g.Source == participation.UCServer && (isID(g.ID) || strings.HasPrefix(g.ID, entraPrefix) || strings.HasPrefix(g.ID, ucserverPrefix)):
			lines[i] = ucserverPrefix + g.ID
		default:
			lines[i] = g.ID
		}
	}
	return strings.Join(lines, "\n")
}

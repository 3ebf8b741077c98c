package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/google/uuid"

	"procallteams/internal/matching/participation"
)

// Participation says who takes part in one direction: [Nobody], [Everyone], or
// rules. It is their text, one text for the same rules, so that settings can be
// compared. The zero value is nobody.
//
// In JSON it is "nobody", "everyone", or an object of rules (participation.Rules).
// A text that is none of these, such as rules of a later version of the bridge,
// lets nobody take part, and [Integration.Validate] says what is wrong with it.
type Participation string

// Nobody is the default: nothing is read, stored or sent before an administrator
// switched a direction on (design invariant 9).
const (
	Nobody   Participation = "nobody"
	Everyone Participation = "everyone"
)

// By is who takes part by these rules.
func By(rules participation.Rules) Participation {
	text, err := json.Marshal(rules)
	if err != nil {
		return Nobody // texts and lists of texts: it can't be
	}
	switch p := Participation(text); p {
	case onlyEveryone:
		return Everyone
	case nothing:
		return Nobody
	default:
		return p
	}
}

var (
	onlyEveryone = textOf(participation.Rules{Everyone: true})
	nothing      = textOf(participation.Rules{})
)

func textOf(rules participation.Rules) Participation {
	text, _ := json.Marshal(rules)
	return Participation(text)
}

// Rules returns the rules; those of a text that is not understood are the zero ones.
func (p Participation) Rules() participation.Rules {
	rules, _ := p.rules()
	return rules
}

// On reports whether there is somebody who may take part.
func (p Participation) On() bool {
	if p == Everyone || p == Nobody || p == "" {
		return p == Everyone
	}
	rules := p.Rules()
	return rules.Everyone || len(rules.Users)+len(rules.Groups)+len(rules.Pilot) > 0
}

// Tidy returns the rules without what people paste along: blanks around ids, Entra's
// ids in upper case or in braces, entries given twice.
func (p Participation) Tidy() Participation {
	rules, err := p.rules()
	if err != nil || p == "" {
		return p
	}
	rules.Users, rules.ExcludedUsers = tidyUsers(rules.Users), tidyUsers(rules.ExcludedUsers)
	rules.Groups, rules.ExcludedGroups, rules.Pilot = tidyGroups(rules.Groups), tidyGroups(rules.ExcludedGroups), tidyGroups(rules.Pilot)
	return By(rules)
}

func tidyUsers(ids []string) []string {
	var tidy []string
	for _, id := range ids {
		if id = strings.TrimSpace(id); !slices.Contains(tidy, id) {
			tidy = append(tidy, id)
		}
	}
	return tidy
}

func tidyGroups(groups []participation.Group) []participation.Group {
	var tidy []participation.Group
	for _, group := range groups {
		group.ID = strings.TrimSpace(group.ID)
		if id, err := uuid.Parse(group.ID); err == nil && group.Source == participation.Entra {
			group.ID = id.String()
		}
		if !slices.Contains(tidy, group) {
			tidy = append(tidy, group)
		}
	}
	return tidy
}

func (p Participation) rules() (participation.Rules, error) {
	switch p {
	case Nobody, "":
		return participation.Rules{}, nil
	case Everyone:
		return participation.Rules{Everyone: true}, nil
	}
	if !strings.HasPrefix(string(p), "{") {
		return participation.Rules{}, errors.New(`must be "nobody", "everyone" or rules`)
	}
	decoder := json.NewDecoder(strings.NewReader(string(p)))
	decoder.DisallowUnknownFields()
	var rules participation.Rules
	if err := decoder.Decode(&rules); err != nil {
		return participation.Rules{}, errors.New("is not rules: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return participation.Rules{}, errors.New("is not rules alone")
	}
	return rules, nil
}

// MarshalJSON writes rules as an object, and words as words.
func (p Participation) MarshalJSON() ([]byte, error) {
	switch {
	case p == "":
		p = Nobody
	case strings.HasPrefix(string(p), "{") && json.Valid([]byte(p)):
		return []byte(p), nil
	}
	return json.Marshal(string(p))
}

// UnmarshalJSON takes a word, or an object of rules. Those that are not understood
// are kept for [Integration.Validate].
func (p *Participation) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '{' {
		var compact bytes.Buffer
		if err := json.Compact(&compact, text); err != nil {
			return err
		}
		*p = Participation(compact.String())
		if rules, err := p.rules(); err == nil {
			*p = By(rules)
		}
		return nil
	}
	var word string
	if err := json.Unmarshal(text, &word); err != nil {
		return &json.UnmarshalTypeError{Value: kindOf(text), Type: reflect.TypeFor[Participation]()}
	}
	*p = Participation(word)
	return nil
}

func kindOf(text []byte) string {
	switch {
	case bytes.HasPrefix(text, []byte("[")):
		return "array"
	case bytes.HasPrefix(text, []byte("t")) || bytes.HasPrefix(text, []byte("f")):
		return "bool"
	case bytes.HasPrefix(text, []byte(`"`)):
		return "string"
	case bytes.HasPrefix(text, []byte("{")):
		return "object"
	default:
		return "number"
	}
}

// Bounds of rules. They are read with every sync, so a long list of people belongs
// into a group.
const (
	maxEntries = 200
	maxRules   = 12_000 // bytes of one direction
	maxID      = 256    // bytes of the name of a UCServer group or of a stable id
)

// validate returns what is wrong, as the end of a sentence about the field.
func (p Participation) validate() error {
	rules, err := p.rules()
	if err != nil {
		return err
	}
	var faults []error
	for _, list := range []struct {
		name   string
		groups []participation.Group
		users  []string
	}{
		{"groups", rules.Groups, nil}, {"users", nil, rules.Users}, {"excludedGroups", rules.ExcludedGroups, nil},
		{"excludedUsers", nil, rules.ExcludedUsers}, {"pilot", rules.Pilot, nil},
	} {
		if n := len(list.groups) + len(list.users); n > maxEntries {
			faults = append(faults, fmt.Errorf("%s: has %d entries, more than %d; make a group of them", list.name, n, maxEntries))
		}
		for i, id := range list.users {
			if fault := faultOf(id); fault != "" {
				faults = append(faults, fmt.Errorf("%s[%d]: %s", list.name, i, fault))
			}
		}
		for i, group := range list.groups {
			if fault := groupFault(group); fault != "" {
				faults = append(faults, fmt.Errorf("%s[%d]: %s", list.name, i, fault))
			}
		}
	}
	if len(p) > maxRules {
		faults = append(faults, fmt.Errorf("has %d bytes, more than %d; name groups instead of people", len(p), maxRules))
	}
	return errors.Join(faults...)
}

func groupFault(group participation.Group) string {
	switch group.Source {
	case participation.UCServer:
		return faultOf(group.ID)
	case participation.Entra:
		if id, err := uuid.Parse(group.ID); err != nil || id.String() != group.ID {
			return "an Entra group is named by its object id, a GUID in lower case"
		}
		return ""
	default:
		return `source must be "ucserver" or "entra"`
	}
}

func faultOf(id string) string {
	switch {
	case strings.TrimSpace(id) == "":
		return "is empty"
	case strings.TrimSpace(id) != id || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "has blanks around it, or control characters in it"
	case len(id) > maxID:
		return fmt.Sprintf("has more than %d bytes", maxID)
	}
	return ""
}

// EntraGroups returns the ids of the Entra groups in the rules of both directions,
// in order.
func (i Integration) EntraGroups() []string {
	var ids []string
	for _, direction := range i.directions() {
		rules := direction.Rules()
		for _, list := range [][]participation.Group{rules.Groups, rules.ExcludedGroups, rules.Pilot} {
			for _, group := range list {
				if group.Source == participation.Entra {
					ids = append(ids, group.ID)
				}
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"procallteams/internal/presence"
)

// Mapping is what this installation has of its own in the mapping from Teams to
// ProCall: a list of presence.Override, as a text. There is one text for the same
// overrides, so that settings can be compared. The zero value is the original's
// mapping.
//
// A text that is not understood, such as one of a later version of the bridge,
// changes nothing in the mapping, and [Integration.Validate] says what is wrong.
type Mapping string

// maxOverrides bounds the settings row, which is read with every sync.
const maxOverrides = 32

// MappingOf is the mapping with these overrides.
func MappingOf(overrides []presence.Override) Mapping {
	if len(overrides) == 0 {
		return ""
	}
	sorted, _ := presence.InOrder(overrides)
	text, err := json.Marshal(sorted)
	if err != nil {
		return "" // texts and lists of texts: it can't be
	}
	return Mapping(text)
}

// Overrides returns the lines; of a text that is not understood, none.
func (m Mapping) Overrides() []presence.Override {
	overrides, err := m.parse()
	if err != nil {
		return nil
	}
	return overrides
}

func (m Mapping) parse() ([]presence.Override, error) {
	if m == "" {
		return nil, nil
	}
	var lines []json.RawMessage
	if err := json.Unmarshal([]byte(m), &lines); err != nil {
		return nil, errors.New("must be a list")
	}
	overrides := make([]presence.Override, len(lines))
	var faults []error
	for i, line := range lines {
		if err := overrides[i].UnmarshalJSON(line); err != nil {
			faults = append(faults, fmt.Errorf("[%d]: %w", i, err))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	_, err := presence.InOrder(overrides)
	return overrides, err
}

// MarshalJSON writes the list.
func (m Mapping) MarshalJSON() ([]byte, error) {
	if m == "" || !json.Valid([]byte(m)) {
		return []byte("[]"), nil
	}
	return []byte(m), nil
}

// UnmarshalJSON takes a list. Lines that are not understood are kept for
// [Integration.Validate].
func (m *Mapping) UnmarshalJSON(text []byte) error {
	if len(text) == 0 || text[0] != '[' {
		return &json.UnmarshalTypeError{Value: kindOf(text), Type: reflect.TypeFor[Mapping]()}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return err
	}
	*m = Mapping(compact.String())
	if overrides, err := m.parse(); err == nil {
		*m = MappingOf(overrides)
	}
	return nil
}

// faults are what is wrong, one sentence each.
func (m Mapping) faults() []error {
	overrides, err := m.parse()
	switch {
	case err != nil:
		return sentences("mapping", err)
	case len(overrides) > maxOverrides:
		return []error{fmt.Errorf("mapping: has %d lines, more than %d", len(overrides), maxOverrides)}
	}
	return nil
}

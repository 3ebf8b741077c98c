package calls

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Item is one report as it arrives. Its fields are those of the HTTP contract
// (schema TelephonyItem).
type Item struct {
	User     string
	State    State
	Reasons  Reason
	External bool
	Manual   *Manual
	// Since is when the state began, zero when the item does not say.
	Since time.Time
	// Seq is -1 when the item has none.
	Seq int64
}

// Limits of an item.
const (
	maxUser = 256
	// maxInteger is the largest that every JSON reader keeps exactly (RFC 8259).
	maxInteger = 1<<53 - 1
)

// states in the order of UCServer's numbers; those in between do not exist.
var states = map[uint32]State{0: Unknown, 1: Available, 2: Busy, 3: Absent, 4: DoNotDisturb, 7: OutOfOrder}

// flags are UCServer's bits, later flags included, with their words.
var flags = [numberOfFlags]struct {
	bit    uint32
	reason Reason
	word   string
}{
	{0x04000000, Call, "call"},
	{0x00020000, Conference, "conference"},
	{0x01000000, Ringing, "ringing"},
	{0x00010000, WrapUp, "wrapUp"},
	{0x02000000, Appointment, "appointment"},
	{0x20000000, Idle, "idle"},
	{0x08000000, Offline, "offline"},
	{0x10000000, Note, "note"},
	{0x40000000, Mobile, "mobile"},
}

const (
	stateMask = 0x000000FF
	flagMask  = 0x7FFF0000 // AsnPresenceStateMasks: flags and later flags
)

// ParseRaw reads UCServer's calculated presence: the low byte is a state, the
// upper bits are flags (AsnPresenceStateEnum, AsnPresenceStateFlags). Flags that
// are not known yet are left out. Manual presences are numbered differently.
func ParseRaw(raw uint32) (State, Reason, error) {
	state, ok := states[raw&stateMask]
	if !ok {
		return "", 0, fmt.Errorf("raw: %d is no state of UCServer (0, 1, 2, 3, 4 or 7)", raw&stateMask)
	}
	if raw&^(stateMask|flagMask) != 0 {
		return "", 0, errors.New("raw: bits are set that UCServer does not use")
	}
	var reasons Reason
	for _, f := range flags {
		if raw&f.bit != 0 {
			reasons |= f.reason
		}
	}
	return state, reasons, nil
}

// Words returns the reasons as the HTTP contract has them; never nil.
func (r Reason) Words() []string {
	words := []string{}
	for _, f := range flags {
		if r&f.reason != 0 {
			words = append(words, f.word)
		}
	}
	return words
}

func parseReasons(words []string) (Reason, error) {
	var reasons Reason
	for _, word := range words {
		i := slices.IndexFunc(flags[:], func(f struct {
			bit    uint32
			reason Reason
			word   string
		}) bool {
			return f.word == word
		})
		if i < 0 {
			return 0, errors.New("reasons: there is one that does not exist")
		}
		reasons |= flags[i].reason
	}
	return reasons, nil
}

func parseState(word string) (State, error) {
	for _, s := range states {
		if string(s) == word {
			return s, nil
		}
	}
	return "", errors.New("state: must be available, busy, absent, doNotDisturb, unknown or outOfOrder")
}

// itemText is an item's JSON.
type itemText struct {
	User     string   `json:"user"`
	State    *string  `json:"state"`
	Reasons  []string `json:"reasons"`
	Raw      *uint32  `json:"raw"`
	External bool     `json:"external"`
	Manual   *struct {
		State string  `json:"state"`
		Until *string `json:"until"`
	} `json:"manual"`
	Since *string `json:"since"`
	Seq   *int64  `json:"seq"`
}

// ParseItem reads one item. The error says in words what is wrong; the item then
// still has the user and the seq, as far as they could be read, so that the
// refusal can name them.
func ParseItem(text []byte) (Item, error) {
	var in itemText
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	item := Item{User: in.User, External: in.External, Seq: -1}
	wrong, isType := errors.AsType[*json.UnmarshalTypeError](err)
	if in.Seq != nil && *in.Seq >= 0 && *in.Seq <= maxInteger && !(isType && wrong.Field == "seq") {
		item.Seq = *in.Seq
	}
	var faults [5]error
	if utf8.RuneCountInString(in.User) > maxUser {
		item.User = ""
	}
	if err != nil {
		return item, itemFault(err)
	}
	if strings.TrimSpace(item.User) == "" {
		faults[0] = errors.New("user: 1 to 256 characters")
	}
	if in.Seq != nil && item.Seq < 0 {
		faults[1] = fmt.Errorf("seq: must be 0 to %d", maxInteger)
	}
	item.Since, faults[2] = parseTime("since", in.Since)
	item.State, item.Reasons, faults[3] = in.presence()
	item.Manual, faults[4] = in.manual()
	return item, errors.Join(faults[:]...)
}

// presence returns what the item says in words, as a number, or both.
func (in itemText) presence() (State, Reason, error) {
	switch {
	case in.Raw == nil && in.State == nil:
		return "", 0, errors.New("state or raw is missing")
	case in.State == nil && in.Reasons != nil:
		return "", 0, errors.New("reasons without state")
	case in.State == nil:
		return ParseRaw(*in.Raw)
	}
	state, fault := parseState(*in.State)
	reasons, fault2 := parseReasons(in.Reasons)
	if err := errors.Join(fault, fault2); err != nil || in.Raw == nil {
		return state, reasons, err
	}
	rawState, rawReasons, err := ParseRaw(*in.Raw)
	if in.Reasons == nil {
		reasons = rawReasons // only the state is said twice
	}
	if err == nil && (state != rawState || reasons != rawReasons) {
		err = errors.New("raw says something else than state and reasons")
	}
	return state, reasons, err
}

// manual returns a choice by hand that may be written to Teams. Others are the
// person's and UCServer's business.
func (in itemText) manual() (*Manual, error) {
	if in.Manual == nil {
		return nil, nil
	}
	state, err := parseState(in.Manual.State)
	if err != nil {
		return nil, errors.New("manual." + err.Error())
	}
	until, err := parseTime("manual.until", in.Manual.Until)
	if err != nil || state != DoNotDisturb {
		return nil, err
	}
	return &Manual{State: state, Until: until}, nil
}

// parseTime reads a time of RFC 3339; none is the zero time.
func parseTime(name string, text *string) (time.Time, error) {
	if text == nil {
		return time.Time{}, nil
	}
	var at time.Time
	err := at.UnmarshalText([]byte(*text))
	// Others can't be written as text again.
	if at = at.UTC(); err != nil || at.Year() < 1 || at.Year() > 9999 {
		return time.Time{}, errors.New(name + ": no time such as 2026-11-24T03:50:49Z (RFC 3339)")
	}
	return at, nil
}

// itemFault says what is wrong with an item's JSON without quoting it.
func itemFault(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return errors.New("the item must be an object")
		}
		kind, _, _ := strings.Cut(wrong.Value, " ") // a number that does not fit comes with its digits
		if wrong.Field == "raw" || wrong.Field == "seq" {
			return fmt.Errorf("%s: must be a whole number that fits, not this %s", wrong.Field, kind)
		}
		return fmt.Errorf("%s: must not be a %s", wrong.Field, kind)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok && len(name) < 40 {
		return fmt.Errorf("the item has a member that does not exist: %s", name)
	}
	return errors.New("the item can't be read")
}

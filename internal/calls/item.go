package calls

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
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

// ParseItem reads one item. The error says in words what is wrong; the item then
// still has the user and the seq, as far as they could be read, so that the
// refusal can name them.
func ParseItem(text []byte) (Item, error) {
	var in struct {
		User     string   `json:"user"`
		State    *string  `json:"state"`
		Reasons  []string `json:"reasons"`
		Raw      *uint32  `json:"raw"`
		External bool     `json:"external"`
		Manual   *struct {
			State string     `json:"state"`
			Until *time.Time `json:"until"`
		} `json:"manual"`
		Since *time.Time `json:"since"`
		Seq   *int64     `json:"seq"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	item := Item{User: in.User, External: in.External, Seq: -1}
	if in.Seq != nil && *in.Seq >= 0 && *in.Seq <= maxInteger {
		item.Seq = *in.Seq
	}
	if len(item.User) > maxUser {
		item.User = ""
	}
	if err != nil {
		return item, itemFault(err)
	}
	var faults []error
	fault := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	if strings.TrimSpace(in.User) == "" || len(in.User) > maxUser {
		fault(errors.New("user: 1 to 256 characters"))
	}
	if in.Seq != nil && item.Seq < 0 {
		fault(fmt.Errorf("seq: must be 0 to %d", maxInteger))
	}
	if in.Since != nil {
		item.Since = in.Since.UTC()
	}
	var rawState State
	var rawReasons Reason
	switch {
	case in.Raw == nil && in.State == nil:
		fault(errors.New("state or raw is missing"))
	case in.State == nil && in.Reasons != nil:
		fault(errors.New("reasons without state"))
	}
	if in.Raw != nil {
		rawState, rawReasons, err = ParseRaw(*in.Raw)
		fault(err)
		item.State, item.Reasons = rawState, rawReasons
	}
	if in.State != nil {
		state, stateErr := parseState(*in.State)
		reasons, reasonsErr := parseReasons(in.Reasons)
		fault(stateErr)
		fault(reasonsErr)
		if in.Raw != nil && in.Reasons == nil {
			reasons = rawReasons // only the state is said twice
		}
		if in.Raw != nil && len(faults) == 0 && (state != rawState || reasons != rawReasons) {
			fault(errors.New("raw says something else than state and reasons"))
		}
		item.State, item.Reasons = state, reasons
	}
	if in.Manual != nil {
		state, err := parseState(in.Manual.State)
		if err != nil {
			fault(errors.New("manual." + err.Error()))
		}
		if state == DoNotDisturb { // others are the person's and UCServer's business
			item.Manual = &Manual{State: state}
			if in.Manual.Until != nil {
				item.Manual.Until = in.Manual.Until.UTC()
			}
		}
	}
	return item, errors.Join(faults...)
}

// itemFault says what is wrong with an item's JSON without quoting it.
func itemFault(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return errors.New("the item must be an object")
		}
		return fmt.Errorf("%s: must not be a %s", wrong.Field, wrong.Value)
	}
	if _, ok := errors.AsType[*time.ParseError](err); ok {
		return errors.New("since, or manual.until, is no time such as 2026-11-24T03:50:49Z (RFC 3339)")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok && len(name) < 40 {
		return fmt.Errorf("the item has a member that does not exist: %s", name)
	}
	return errors.New("the item can't be read")
}

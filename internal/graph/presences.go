package graph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/go-json-experiment/json/jsontext"

	"procallteams/internal/presence"
	"procallteams/internal/secret"
)

// MaxIDs is the most users of one [Client.Presences] (Graph:
// cloudCommunications: getPresencesByUserId).
const MaxIDs = 650

// Oddities counts by kind what was not as documented. Kinds are sentences for
// the status page; an unknown value stands at the end of its kind.
type Oddities map[string]int

// Kinds of oddities. The last two are followed by the value.
const (
	WithoutID           = "answer without id"
	WithoutAvailability = "answer without availability"
	Twice               = "user answered twice"
	Foreign             = "user nobody asked for"
	UnknownAvailability = "unknown availability: "
	UnknownActivity     = "unknown activity: "
)

// Answer is what Graph said about the users of one request.
type Answer struct {
	// States stand in the order of the ids that were asked for. The zero State
	// means that Graph gave no usable answer for that user.
	States   []presence.State
	Oddities Oddities // nil when there was none
}

// scratch is the memory of one request, used again by the next.
type scratch struct {
	read    bytes.Buffer
	index   map[presence.UserID]int
	decoder jsontext.Decoder
	// stamps are the version stamps of one answer, which share one block of memory.
	stamps strings.Builder
}

// stampSize is what a version stamp usually has.
const stampSize = 20

var scratches = sync.Pool{New: func() any { return &scratch{index: make(map[presence.UserID]int, MaxIDs)} }}

// Presences reads the presence of at most 650 users with one request (retried
// after a 5xx or a broken connection). Graph's order means nothing; of a user
// answered twice the newest stamp wins, else the last answer. It returns a *ThrottledError, an *Error
// or a *FormError when the whole answer is not usable.
func (c *Client) Presences(ctx context.Context, token secret.Text, ids []presence.UserID) (Answer, error) {
	if len(ids) == 0 || len(ids) > MaxIDs {
		return Answer{}, fmt.Errorf("read presences: %d users; 1 to %d are possible", len(ids), MaxIDs)
	}
	m := scratches.Get().(*scratch)
	defer scratches.Put(m)
	clear(m.index)
	body := append(make([]byte, 0, 16+39*len(ids)), `{"ids":[`...)
	for i, id := range ids {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(append(body, '"'), id...), '"')
		m.index[id] = i
	}
	body = append(body, `]}`...)
	stream, err := c.do(ctx, http.MethodPost, c.endpoint+"/v1.0/communications/getPresencesByUserId", token,
		streaming.NopCloser(bytes.NewReader(body)))
	if err != nil {
		return Answer{}, fmt.Errorf("read presences: %w", err)
	}
	m.read.Reset()
	_, err = m.read.ReadFrom(io.LimitReader(stream, maxAnswer))
	if closed := stream.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return Answer{}, fmt.Errorf("read presences: %w", form(err))
	}
	m.decoder.Reset(&m.read, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	m.stamps.Reset()
	m.stamps.Grow(stampSize * len(ids))
	answer := Answer{States: make([]presence.State, len(ids))}
	if err := m.decode(&answer); err != nil {
		return Answer{}, fmt.Errorf("read presences: %w", form(err))
	}
	return answer, nil
}

// decode reads {"value":[...]}. Without an array there, nothing was said.
func (m *scratch) decode(answer *Answer) error {
	d := &m.decoder
	if d.PeekKind() != '{' {
		return shape(d)
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	found := false
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return err
		}
		if string(name) != `"value"` {
			if err := d.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if d.PeekKind() != '[' {
			return shape(d)
		}
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for d.PeekKind() != ']' {
			if err := m.item(answer); err != nil {
				return err
			}
		}
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		found = true
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	if !found {
		return &FormError{What: `it has no list "value"`}
	}
	return nil
}

// shape explains why the next value is not the expected one.
func shape(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	return &FormError{What: `it has no list "value"`}
}

// item reads one presence: a JSON object, or anything else, which says nothing.
func (m *scratch) item(answer *Answer) error {
	d := &m.decoder
	if d.PeekKind() != '{' {
		answer.odd(WithoutID)
		return d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	at, asked, named := -1, false, false
	var state presence.State
	var strange [2]string
	activity := false
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return err
		}
		field := fieldOf(name)
		if field == outOfOffice {
			if err := m.outOfOffice(&state); err != nil {
				return err
			}
			continue
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		if field == other || value.Kind() != '"' {
			continue
		}
		text, err := unquote(value)
		if err != nil {
			return err
		}
		switch field {
		case id:
			named = true
			if at, asked = m.index[presence.UserID(text)]; !asked {
				at, asked = m.index[presence.UserID(strings.ToLower(string(text)))]
			}
		case availability:
			var known bool
			if state.Availability, known = presence.ParseAvailability(text); !known {
				strange[0] = UnknownAvailability + shown(text)
			}
		case activityField:
			var known bool
			activity = true
			if state.Activity, known = presence.ParseActivity(text); !known {
				strange[1] = UnknownActivity + shown(text)
			}
		case sequence:
			from := m.stamps.Len()
			m.stamps.Write(text)
			state.Sequence = m.stamps.String()[from:]
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	switch {
	case !named:
		answer.odd(WithoutID)
		return nil
	case !asked:
		answer.odd(Foreign)
		return nil
	case state.Availability == "":
		answer.odd(WithoutAvailability)
		return nil
	}
	if !activity {
		state.Activity = presence.Activity(presence.PresenceUnknown)
		strange[1] = UnknownActivity + "none"
	}
	for _, kind := range strange {
		if kind != "" {
			answer.odd(kind)
		}
	}
	if before := answer.States[at]; before.Availability != "" {
		answer.odd(Twice)
		if state.Sequence < before.Sequence && state.Sequence != "" {
			return nil // older than what the same answer says
		}
	}
	answer.States[at] = state
	return nil
}

// outOfOffice reads outOfOfficeSettings, which may be null.
func (m *scratch) outOfOffice(state *presence.State) error {
	d := &m.decoder
	if d.PeekKind() != '{' {
		return d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return err
		}
		wanted := string(name) == `"isOutOfOffice"`
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		if wanted && value.Kind() == 't' {
			state.OutOfOffice = true
		}
	}
	_, err := d.ReadToken()
	return err
}

type field int

const (
	other field = iota
	id
	availability
	activityField
	outOfOffice
	sequence
)

func fieldOf(name jsontext.Value) field {
	switch string(name) {
	case `"id"`:
		return id
	case `"availability"`:
		return availability
	case `"activity"`:
		return activityField
	case `"outOfOfficeSettings"`:
		return outOfOffice
	case `"sequenceNumber"`:
		return sequence
	}
	return other
}

// unquote returns the text of a JSON string, as part of value where it can.
func unquote(value jsontext.Value) ([]byte, error) {
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return text, nil
}

func (a *Answer) odd(kind string) {
	if a.Oddities == nil {
		a.Oddities = Oddities{}
	}
	a.Oddities[kind]++
}

// shown makes an unknown value fit for the status page.
func shown(text []byte) string {
	if value := word(string(text)); value != "" {
		return value[:min(len(value), 32)]
	}
	return "unreadable"
}

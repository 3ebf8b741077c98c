package funchost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/google/uuid"
)

// members is a JSON object that keeps its order and, as the host's binding data
// does, takes names of any case for the same one; the first spelling stays.
type members []member

type member struct {
	name  string
	value json.RawMessage
}

func (m *members) set(name string, value json.RawMessage) {
	at := slices.IndexFunc(*m, func(x member) bool { return strings.EqualFold(x.name, name) })
	if at < 0 {
		*m = append(*m, member{name, value})
		return
	}
	(*m)[at].value = value
}

func (m members) encode() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for n, x := range m {
		if n > 0 {
			b.WriteByte(',')
		}
		b.Write(quote(x.name))
		b.WriteByte(':')
		b.Write(x.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// quote is text as a JSON string; <, > and & stay as they are.
func quote(text string) json.RawMessage {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string always encodes
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// twice is text as the host encodes strings: the JSON string of a JSON string.
func twice(text string) json.RawMessage { return quote(string(quote(text))) }

// Layouts of .NET's dates: whole seconds in metadata, up to seven decimals else.
const (
	wholeSeconds = "2006-01-02T15:04:05-07:00"
	ticks        = "2006-01-02T15:04:05.9999999-07:00"
	ticksUTC     = "2006-01-02T15:04:05.9999999Z"
	american     = "01/02/2006 15:04:05"
)

// never is .NET's DateTimeOffset.MaxValue.
var never = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

func date(t time.Time, layout string) json.RawMessage { return quote(t.UTC().Format(layout)) }

func envelope(f *function, data json.RawMessage, metadata members) []byte {
	return members{
		{"Data", members{{f.binding, data}}.encode()},
		{"Metadata", metadata.encode()},
	}.encode()
}

// system is the member sys of Metadata.
func system(f *function, now time.Time) json.RawMessage {
	return members{
		{"MethodName", quote(f.name)},
		{"UtcNow", date(now, ticksUTC)},
		{"RandGuid", quote(uuid.NewString())},
	}.encode()
}

// timerEnvelope is what a timer function receives. A timer without a monitor has
// no schedule status; one fired by hand carries an empty message in Metadata.
func timerEnvelope(f *function, now time.Time, known status, late, byHand bool) []byte {
	scheduleStatus := json.RawMessage("null")
	if f.monitor {
		scheduleStatus = members{
			{"Last", date(known.last, ticks)},
			{"Next", date(known.next, ticks)},
			{"LastUpdated", date(known.updated, ticks)},
		}.encode()
	}
	data := members{
		{"Schedule", json.RawMessage(`{"AdjustForDST":true}`)},
		{"ScheduleStatus", scheduleStatus},
		{"IsPastDue", json.RawMessage(strconv.FormatBool(late))},
	}.encode()
	var metadata members
	if byHand {
		metadata.set(f.binding, twice(""))
	}
	metadata.set("sys", system(f, now))
	return envelope(f, data, metadata)
}

// queueEnvelope is what a queue function receives for a message.
func queueEnvelope(f *function, now time.Time, m *azqueue.DequeuedMessage, body []byte) []byte {
	at := func(t *time.Time, missing time.Time) json.RawMessage {
		if t == nil {
			t = &missing
		}
		return date(*t, wholeSeconds)
	}
	metadata := members{
		{"DequeueCount", quote(strconv.FormatInt(*m.DequeueCount, 10))},
		{"ExpirationTime", at(m.ExpirationTime, never)},
		{"Id", twice(*m.MessageID)},
		{"InsertionTime", at(m.InsertionTime, now)},
		{"NextVisibleTime", at(m.TimeNextVisible, never)},
		{"PopReceipt", twice(*m.PopReceipt)},
		{"sys", system(f, now)},
	}
	return messageEnvelope(f, metadata, body)
}

// firedEnvelope is what a queue function receives from the admin API: no Id, no
// receipt.
func firedEnvelope(f *function, now time.Time, input string) []byte {
	metadata := members{
		{"DequeueCount", quote("0")},
		{"ExpirationTime", date(never, wholeSeconds)},
		{"InsertionTime", date(now, wholeSeconds)},
		{"NextVisibleTime", date(never, wholeSeconds)},
		{f.binding, twice(input)},
		{"sys", system(f, now)},
	}
	return messageEnvelope(f, metadata, []byte(input))
}

func messageEnvelope(f *function, metadata members, body []byte) []byte {
	if f.binary {
		return envelope(f, quote(base64.StdEncoding.EncodeToString(body)), metadata)
	}
	metadata.merge(body)
	return envelope(f, twice(string(body)), metadata)
}

// merge adds the top-level properties of a payload that is a JSON object, and
// overwrites system values of the same name: nothing in Metadata can be trusted.
func (m *members) merge(payload []byte) {
	payload = bytes.TrimSpace(payload)
	if !json.Valid(payload) || payload[0] != '{' {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	_, _ = decoder.Token() // the brace
	for decoder.More() {
		token, _ := decoder.Token()
		name, _ := token.(string)
		var raw json.RawMessage
		if decoder.Decode(&raw) != nil {
			return
		}
		if strings.HasSuffix(strings.ToLower(name), "trigger") {
			continue
		}
		if value := bindingValue(raw); value != nil {
			m.set(name, value)
		}
	}
}

// bindingValue is a payload's value as Metadata shows it; nil when it does not.
func bindingValue(raw json.RawMessage) json.RawMessage {
	switch raw[0] {
	case 'n', '[':
		return nil
	case '{':
		var b bytes.Buffer
		_ = json.Compact(&b, raw) // raw is valid
		return b.Bytes()
	case 't':
		return twice("True")
	case 'f':
		return twice("False")
	case '"':
		var text string
		_ = json.Unmarshal(raw, &text) // raw is valid
		return twice(americanDate(text))
	}
	if bytes.ContainsAny(raw, ".eE") {
		if number, err := strconv.ParseFloat(string(raw), 64); err == nil {
			return twice(strconv.FormatFloat(number, 'f', -1, 64))
		}
	}
	return twice(string(raw))
}

// americanDate does what Newtonsoft and .NET do to a string that is an ISO date
// with a time.
func americanDate(text string) string {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Format(american)
		}
	}
	return text
}

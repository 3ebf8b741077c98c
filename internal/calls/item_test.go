package calls_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/calls"
)

func TestRawIsAStateInTheLowByteAndFlagsAbove(t *testing.T) {
	for _, tt := range []struct {
		name    string
		raw     uint32
		state   calls.State
		reasons calls.Reason
		bad     bool
	}{
		{"nothing known", 0, calls.Unknown, 0, false},
		{"available", 1, calls.Available, 0, false},
		{"busy", 2, calls.Busy, 0, false},
		{"absent", 3, calls.Absent, 0, false},
		{"do not disturb is 4 here and 3 among manual presences", 4, calls.DoNotDisturb, 0, false},
		{"5 does not exist", 5, "", 0, true},
		{"6 does not exist", 6, "", 0, true},
		{"out of order", 7, calls.OutOfOrder, 0, false},
		{"8 does not exist", 8, "", 0, true},
		{"255 does not exist", 0xFF, "", 0, true},
		{"busy in a call", 67108866, calls.Busy, calls.Call, false},
		{"absent, idle and mobile: the vendor's own example", 1610612739, calls.Absent, calls.Idle | calls.Mobile, false},
		{"working after a call", 0x00010002, calls.Busy, calls.WrapUp, false},
		{"in a conference", 0x00020002, calls.Busy, calls.Conference, false},
		{"ringing", 0x01000001, calls.Available, calls.Ringing, false},
		{"an appointment", 0x02000002, calls.Busy, calls.Appointment, false},
		{"offline", 0x08000000, calls.Unknown, calls.Offline, false},
		{"a note", 0x10000001, calls.Available, calls.Note, false},
		{"a later flag that nobody knows yet", 0x04800002, calls.Busy, calls.Call, false},
		{"all flags", 0x7FFF0002, calls.Busy, calls.Call | calls.Conference | calls.Ringing | calls.WrapUp | calls.Appointment | calls.Idle | calls.Offline | calls.Note | calls.Mobile, false},
		{"the top bit is not used", 0x80000000, "", 0, true},
		{"bits between state and flags are not used", 0x00000102, "", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state, reasons, err := calls.ParseRaw(tt.raw)
			if state != tt.state || reasons != tt.reasons || (err != nil) != tt.bad {
				t.Errorf("ParseRaw(%#x) = %q, %v, %v; want %q, %v, an error %t", tt.raw, state, reasons.Words(), err, tt.state, tt.reasons.Words(), tt.bad)
			}
		})
	}
}

func TestAnItemIsReadAsTheContractSays(t *testing.T) {
	at := time.Date(2026, 11, 24, 3, 50, 49, 0, time.UTC)
	for _, tt := range []struct {
		name, text string
		want       calls.Item
	}{
		{
			"state and reasons", `{"user":"ada","state":"busy","reasons":["call","conference"],"since":"2026-11-24T04:50:49+01:00","seq":7}`,
			calls.Item{User: "ada", State: calls.Busy, Reasons: calls.Call | calls.Conference, Since: at, Seq: 7},
		},
		{"raw", `{"user":"ada","raw":67108866,"seq":0}`, calls.Item{User: "ada", State: calls.Busy, Reasons: calls.Call}},
		{"both, saying the same", `{"user":"ada","raw":67108866,"state":"busy","reasons":["call"],"seq":1}`, calls.Item{User: "ada", State: calls.Busy, Reasons: calls.Call, Seq: 1}},
		{"raw, and the state once more", `{"user":"ada","raw":67108866,"state":"busy","seq":1}`, calls.Item{User: "ada", State: calls.Busy, Reasons: calls.Call, Seq: 1}},
		{"no seq", `{"user":"ada","state":"available"}`, calls.Item{User: "ada", State: calls.Available, Seq: -1}},
		{"the largest seq", `{"user":"ada","state":"available","seq":9007199254740991}`, calls.Item{User: "ada", State: calls.Available, Seq: 1<<53 - 1}},
		{"caused by Teams", `{"user":"ada","state":"busy","external":true,"seq":1}`, calls.Item{User: "ada", State: calls.Busy, External: true, Seq: 1}},
		{
			"do not disturb by hand, with its end", `{"user":"ada","state":"doNotDisturb","manual":{"state":"doNotDisturb","until":"2026-11-24T03:50:49Z"},"seq":1}`,
			calls.Item{User: "ada", State: calls.DoNotDisturb, Manual: &calls.Manual{State: calls.DoNotDisturb, Until: at}, Seq: 1},
		},
		{"another choice by hand is nobody's business", `{"user":"ada","state":"absent","manual":{"state":"absent"},"seq":1}`, calls.Item{User: "ada", State: calls.Absent, Seq: 1}},
		{"256 characters, not bytes", `{"user":"` + strings.Repeat("ü", 256) + `","state":"available","seq":1}`, calls.Item{User: strings.Repeat("ü", 256), State: calls.Available, Seq: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			item, err := calls.ParseItem([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, item); diff != "" {
				t.Errorf("item (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnItemThatCantBeUsedSaysWhyAndKeepsWhatNamesIt(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		user       string
		seq        int64
		want       string // in the error
	}{
		{"raw and state contradict", `{"user":"ada","raw":1,"state":"busy","seq":3}`, "ada", 3, "raw says something else"},
		{"raw and reasons contradict", `{"user":"ada","raw":67108866,"state":"busy","reasons":[],"seq":3}`, "ada", 3, "raw says something else"},
		{"reasons alone", `{"user":"ada","raw":67108866,"reasons":["call"],"seq":3}`, "ada", 3, "reasons without state"},
		{"neither raw nor state", `{"user":"ada","seq":3}`, "ada", 3, "state or raw is missing"},
		{"a state that does not exist", `{"user":"ada","state":"Busy","seq":3}`, "ada", 3, "state: must be"},
		{"a reason that does not exist", `{"user":"ada","state":"busy","reasons":["phone"],"seq":3}`, "ada", 3, "reasons:"},
		{"a raw state that does not exist", `{"user":"ada","raw":5,"seq":3}`, "ada", 3, "no state of UCServer"},
		{"the top bit", `{"user":"ada","raw":2147483648,"seq":3}`, "ada", 3, "raw: bits are set"},
		{"raw as a signed number", `{"user":"ada","raw":-2,"seq":3}`, "ada", 3, "raw: must be a whole number"},
		{"raw with more than 32 bits", `{"user":"ada","raw":4294967296,"seq":3}`, "ada", 3, "raw: must be a whole number"},
		{"raw as text", `{"user":"ada","raw":"2","seq":3}`, "ada", 3, "raw: must be a whole number"},
		{"a negative seq", `{"user":"ada","state":"busy","seq":-1}`, "ada", -1, "seq: must be 0 to 9007199254740991"},
		{"a seq that JSON readers round", `{"user":"ada","state":"busy","seq":9007199254740992}`, "ada", -1, "seq: must be 0 to"},
		{"a seq beyond 64 bits", `{"user":"ada","state":"busy","seq":18446744073709551616}`, "ada", -1, "seq: must be a whole number"},
		{"a broken seq", `{"user":"ada","state":"busy","seq":1.5}`, "ada", -1, "seq: must be a whole number"},
		{"no user", `{"state":"busy","seq":3}`, "", 3, "user: 1 to 256"},
		{"a blank user", `{"user":" \t","state":"busy","seq":3}`, " \t", 3, "user: 1 to 256"},
		{"an overlong user", `{"user":"` + strings.Repeat("a", 257) + `","state":"busy","seq":3}`, "", 3, "user: 1 to 256"},
		{"a user that is a number", `{"user":5,"state":"busy","seq":3}`, "", 3, "user: must not be a number"},
		{"reasons that are no list", `{"user":"ada","state":"busy","reasons":"call","seq":3}`, "ada", 3, "reasons: must not be a string"},
		{"external as text", `{"user":"ada","state":"busy","external":"yes","seq":3}`, "ada", 3, "external: must not be a string"},
		{"a time that is none", `{"user":"ada","state":"busy","since":"yesterday","seq":3}`, "ada", 3, "no time"},
		{"a time that is a number", `{"user":"ada","state":"busy","since":1795651200,"seq":3}`, "ada", 3, "since: must not be a number"},
		{"a manual state that does not exist", `{"user":"ada","state":"busy","manual":{"state":"dnd"},"seq":3}`, "ada", 3, "manual.state"},
		{"a member that does not exist", `{"user":"ada","status":"busy","seq":3}`, "ada", 3, `"status"`},
		{"a member of manual that does not exist", `{"user":"ada","state":"busy","manual":{"state":"doNotDisturb","from":"x"},"seq":3}`, "ada", 3, `"from"`},
		{"no object", `["ada"]`, "", -1, "must be an object"},
		{"null", `null`, "", -1, "user: 1 to 256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			item, err := calls.ParseItem([]byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v; want one with %q", err, tt.want)
			}
			if item.User != tt.user || item.Seq != tt.seq {
				t.Errorf("user %q, seq %d; want %q, %d", item.User, item.Seq, tt.user, tt.seq)
			}
		})
	}
}

func TestEveryFaultOfAnItemIsNamedAtOnce(t *testing.T) {
	_, err := calls.ParseItem([]byte(`{"user":"","state":"gone","reasons":["x"],"seq":-5}`))
	for _, want := range []string{"user:", "state:", "reasons:", "seq:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v; want it to name %s", err, want)
		}
	}
}

func FuzzParseItem(f *testing.F) {
	f.Add([]byte(`{"user":"ada","state":"busy","reasons":["call"],"since":"2026-11-24T03:50:49Z","seq":7}`))
	f.Add([]byte(`{"user":"ada","raw":1610612739,"external":true,"manual":{"state":"doNotDisturb","until":"2026-11-24T03:50:49Z"}}`))
	f.Add([]byte(`{"USER":"ada","raw":4294967295,"seq":-0}`))
	f.Add([]byte(`{"user":"\ud800","state":"busy","seq":1e3}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		item, err := calls.ParseItem(text)
		if item.Seq < -1 || item.Seq > 1<<53-1 || utf8.RuneCountInString(item.User) > 256 {
			t.Errorf("user of %d characters, seq %d", utf8.RuneCountInString(item.User), item.Seq)
		}
		if err != nil {
			if text := err.Error(); text == "" || len(text) > 1000 {
				t.Errorf("the error says %d bytes", len(text))
			}
			return
		}
		if strings.TrimSpace(item.User) == "" || item.State == "" {
			t.Errorf("accepted without a user or a state: %s", text)
		}
		// What is accepted can be stored and comes back the same.
		report := calls.Report{State: item.State, Reasons: item.Reasons, Manual: item.Manual, Since: item.Since}
		stored, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		var back calls.Report
		if err := json.Unmarshal(stored, &back); err != nil || !cmp.Equal(report, back) {
			t.Errorf("stored %s, read %+v: %v", stored, back, err)
		}
	})
}

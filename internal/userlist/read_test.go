package userlist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/matching"
)

func text(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func TestAListIsReadInTheOrderOfIDs(t *testing.T) {
	got, err := Read(strings.NewReader("\xef\xbb\xbf" + strings.ReplaceAll(text(
		`{"id":"2","name":"bob","groups":["Sales","Board","Sales",""]}`,
		``,
		` {"groups":null,"upn":null,"name":"müller's/50 %\\","id":"1","samAccountName":"D\\ada","objectGUID":"g","objectSID":"s","mail":"m","sip":"sip:x"} `,
		`{"count":2}`,
	), "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := []matching.User{
		{ID: "1", Name: `müller's/50 %\`, SAM: `D\ada`, ObjectGUID: "g", ObjectSID: "s", Mail: "m", SIP: "sip:x"},
		{ID: "2", Name: "bob", Groups: []string{"Board", "Sales"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}

func TestAListMayBeEmptyWhenItSaysSo(t *testing.T) {
	got, err := Read(strings.NewReader(`{"count":0}`))
	if err != nil || got == nil || len(got) != 0 {
		t.Errorf("Read = %v, %v; want an empty list that is known to be empty", got, err)
	}
}

func TestFaultsRefuseAList(t *testing.T) {
	const end = `{"count":1}`
	user := func(members string) string { return `{"id":"1","name":"ada",` + members + `}` }
	for _, test := range []struct{ name, list, want string }{
		{"nothing at all", "", `0:0 the last line`},
		{"blank lines alone", "\n\r\n \n", `0:0 the last line`},
		{"no count", text(`{"id":"1","name":"ada"}`), `0:0 the last line`},
		{"a wrong count", text(`{"id":"1","name":"ada"}`, `{"count":2}`), `0:0 the count is 2, but there are 1 users`},
		{"a count too large for a number", text(`{"count":99999999999999999999}`), `1:0 count: must be a whole number`},
		{"a count with a fraction", text(`{"count":0.0}`), `1:0 count: must be a whole number`},
		{"a count in quotation marks", text(`{"count":"0"}`), `1:0 count: must be a whole number`},
		{"a count amid a user", text(user(`"count":1`)), `1:0 count: stands on a line of its own`},
		{"something behind the count", text(`{"count":0}`, `{"id":"1","name":"ada"}`), `2:0 something follows`},
		{"two counts", text(`{"count":0}`, `{"count":0}`), `2:0 something follows`},
		{"a line cut in the middle", `{"id":"1","na`, `1:14 the line is not JSON`},
		{"a list instead of an object", text(`["1"]`, end), `1:0 must be an object`},
		{"null", text(`null`, end), `1:0 must be an object`},
		{"two objects on a line", text(`{"id":"1","name":"ada"}{"id":"2","name":"bob"}`, end), `1:24 something follows the object`},
		{"a comma between lines", text(`{"id":"1","name":"ada"},`, end), `1:24 something follows the object`},
		{"a member twice", text(`{"id":"1","name":"ada","id":"2"}`, end), `1:24 a member occurs twice`},
		{"no id", text(`{"name":"ada"}`, end), `1:0 id: is missing`},
		{"a blank id", text(`{"id":" ","name":"ada"}`, end), `1:0 id: is missing`},
		{"no name", text(`{"id":"1","name":null}`, end), `1:0 name: is missing`},
		{"a number as id", text(`{"id":1,"name":"ada"}`, end), `1:0 id: must be text`},
		{"a long id", text(`{"id":"`+strings.Repeat("é", MaxID+1)+`","name":"ada"}`, end), `1:0 id: has more than 128 characters`},
		{"a long name", text(`{"id":"1","name":"`+strings.Repeat("é", MaxText+1)+`"}`, end), `1:0 name: has more than 255 characters`},
		{"a NUL", text(user(`"mail":"a\u0000b"`), end), `1:0 mail: has a control character`},
		{"a NUL byte", text("{\"id\":\"1\x00\",\"name\":\"ada\"}", end), `1:9 the line is not JSON`},
		{"a line end in a name", text(`{"id":"1","name":"a\nb"}`, end), `1:0 name: has a control character`},
		{"a control character of Latin-1", text("{\"id\":\"1\",\"name\":\"a\u0085b\"}", end), `1:0 name: has a control character`},
		{"half a surrogate pair", text(user(`"mail":"\ud800"`), end), `the line is not JSON`},
		{"Windows-1252", text("{\"id\":\"1\",\"name\":\"m\xfcller\"}", end), `1:20 the line is not JSON`},
		{"UTF-16", "\xff\xfe{\x00}\x00", `1:1 the line is not JSON`},
		{"an unknown member", text(user(`"objectGuid":"g"`), end), `1:0 objectGuid: does not exist here`},
		{"an unknown member that can't be shown", text(user(`"öbject":{"a":[]}`), end), `1:0 a member: does not exist here`},
		{"a member of the prototype", text(user(`"__proto__":{}`), end), `1:0 __proto__: does not exist here`},
		{"groups as text", text(user(`"groups":"Sales"`), end), `1:0 groups: must be a list`},
		{"a number amid groups", text(user(`"groups":["Sales",1]`), end), `1:0 groups: must be text`},
		{"an open list of groups", text(user(`"groups":["Sales"`), end), `the line is not JSON`},
		{"the same id", text(`{"id":"1","name":"ada"}`, `{"id":"1","name":"bob"}`, `{"count":2}`), `2:0 id: line 1 has the same`},
		{"the same name", text(`{"id":"1","name":"ada"}`, `{"id":"2","name":"ada"}`, `{"count":2}`), `2:0 name: line 1 has the same`},
		{"a line without an end", text(`{"id":"`+strings.Repeat("x", 3*MaxLine)+`"}`, end), `1:0 the line has more than 1048576 bytes`},
		{"a table instead", text(`id,name`, `1,ada`), `1:1 the line is not JSON`},
		{"JSON in the usual form", "[\n" + user(`"mail":"m"`) + "\n]\n", `the line is not JSON`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(test.list))
			faults, ok := errors.AsType[*FaultsError](err)
			if !ok {
				t.Fatalf("Read = %v; want faults", err)
			}
			first := faults.Faults[0]
			if got := fmt.Sprintf("%d:%d %s", first.Line, first.Column, first.Text); !strings.Contains(got, test.want) {
				t.Errorf("fault %q; want %q", got, test.want)
			}
			if first.Repair == "" {
				t.Error("nobody is told what to do")
			}
		})
	}
}

func TestEveryFaultIsCountedAndTheFirstHundredAreTold(t *testing.T) {
	list := strings.Repeat(`{"id":"","name":"","x":1}`+"\n", 1000)
	_, err := Read(strings.NewReader(list))
	faults, ok := errors.AsType[*FaultsError](err)
	if !ok || faults.Count != 1000 || len(faults.Faults) != maxFaults || faults.Faults[99].Line != 100 {
		t.Errorf("%+v", err)
	}
}

func TestFaultsNameNoValue(t *testing.T) {
	const name = "ada.lovelace"
	_, err := Read(strings.NewReader(text(
		`{"id":"1","name":"`+name+`\u0001"}`, `{"id":"`+name+`","name":"`+name+`"}`, `{"id":"`+name+`","name":"`+name+`"}`, `{"id":"1","name":"`+name)))
	faults, ok := errors.AsType[*FaultsError](err)
	if !ok || strings.Contains(fmt.Sprint(faults.Faults, err), name) {
		t.Errorf("%v", err)
	}
}

func TestLargeListsAreRefused(t *testing.T) {
	user := func(n int) string { return fmt.Sprintf(`{"id":"%d","name":"u%d"}`+"\n", n, n) }
	var list strings.Builder
	for n := range MaxUsers {
		list.WriteString(user(n))
	}
	if got, err := Read(strings.NewReader(list.String() + fmt.Sprintf(`{"count":%d}`, MaxUsers))); err != nil || len(got) != MaxUsers {
		t.Errorf("Read = %d users, %v; want all", len(got), err)
	}
	_, err := Read(strings.NewReader(list.String() + user(MaxUsers) + `{"count":200001}`))
	if _, ok := errors.AsType[*LimitError](err); !ok {
		t.Errorf("Read = %v; want the limit", err)
	}
}

func TestAUserMayBeInManyGroups(t *testing.T) {
	groups := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf(`"%0250d"`, i)
		}
		return text(`{"id":"1","name":"ada","groups":[`+strings.Join(names, ",")+`]}`, `{"count":1}`)
	}
	if got, err := Read(strings.NewReader(groups(MaxGroups))); err != nil || len(got[0].Groups) != MaxGroups {
		t.Errorf("Read = %v", err)
	}
	if _, err := Read(strings.NewReader(groups(MaxGroups + 1))); err == nil {
		t.Error("more groups than the contract allows were taken")
	}
}

func TestABodyThatBreaksOffIsNoList(t *testing.T) {
	whole := text(`{"id":"1","name":"ada"}`, `{"count":1}`)
	for n := range len(whole) - 1 { // the last line end is no loss
		_, err := Read(io.MultiReader(strings.NewReader(whole[:n]), broken{}))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut off after %d bytes: Read = %v", n, err)
		}
		if whole[:n] == strings.TrimSpace(whole) {
			continue
		}
		if _, err = Read(strings.NewReader(whole[:n])); err == nil {
			t.Errorf("cut off after %d bytes, taken all the same", n)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestChangesAreReadInTheirOrder(t *testing.T) {
	got, err := ReadChanges(strings.NewReader(text(
		`{"user":{"id":"2","name":"bob"},"op":"put"}`, `{"op":"remove","id":"1"}`, `{"count":2}`)))
	want := []Change{{1, false, matching.User{ID: "2", Name: "bob"}}, {2, true, matching.User{ID: "1"}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("changes, %v (-want +got):\n%s", err, diff)
	}
}

func TestFaultsRefuseChanges(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"another op", `{"op":"add","user":{"id":"1","name":"ada"}}`, "op: must be put or remove"},
		{"no op", `{"user":{"id":"1","name":"ada"}}`, "op: must be put or remove"},
		{"a put without a user", `{"op":"put","id":"1"}`, "a put needs user"},
		{"a put of null", `{"op":"put","user":null}`, "user: must be an object"},
		{"a remove with a user", `{"op":"remove","user":{"id":"1","name":"ada"}}`, "a remove needs id"},
		{"a remove with both", `{"op":"remove","id":"1","user":{"id":"1","name":"ada"}}`, "a remove needs id"},
		{"a user without a name", `{"op":"put","user":{"id":"1"}}`, "user.name: is missing"},
		{"a user with a fault", `{"op":"put","user":{"id":"1","name":"ada","mail":"\u0007"}}`, "user.mail: has a control character"},
		{"an unknown member of the user", `{"op":"put","user":{"id":"1","name":"ada","count":1}}`, "user.count: does not exist here"},
		{"an unknown member", `{"op":"put","user":{"id":"1","name":"ada"},"when":1}`, "when: does not exist here"},
		{"a user as it stands in a list", `{"id":"1","name":"ada"}`, "name: does not exist here"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ReadChanges(strings.NewReader(text(test.line, `{"count":1}`)))
			faults, ok := errors.AsType[*FaultsError](err)
			if !ok || !strings.Contains(faults.Faults[0].Text, test.want) {
				t.Errorf("ReadChanges = %v; want %q", err, test.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(text(`{"id":"1","name":"ada","groups":["a","b"]}`, `{"id":"2","name":"ä","mail":null}`, `{"count":2}`)))
	f.Add([]byte("\xef\xbb\xbf{\"count\":0}\r\n\r\n"))
	f.Add([]byte(`{"id":"1","name":"a\u0041","x":[{}],"groups":[null,1]}` + "\n" + `{"count":1e0}`))
	f.Add([]byte(`{"count":1,"id":"1","name":"a"}{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := Read(bytes.NewReader(body))
		if err != nil {
			checkFaults(t, err)
			return
		}
		if !slices.IsSortedFunc(list, func(a, b matching.User) int { return strings.Compare(a.ID, b.ID) }) {
			t.Errorf("not in order: %v", list)
		}
		again, err := Read(strings.NewReader(written(t, list)))
		if err != nil || !slices.EqualFunc(list, again, Same) {
			t.Errorf("%v was read from its own form as %v, %v", list, again, err)
		}
	})
}

func FuzzReadChanges(f *testing.F) {
	f.Add([]byte(text(`{"op":"put","user":{"id":"1","name":"ada"}}`, `{"op":"remove","id":"2"}`, `{"count":2}`)))
	f.Add([]byte(text(`{"op":"put","user":{"id":"1","name":"b"}}`, `{"op":"put","user":{"id":"2","name":"b"}}`, `{"count":2}`)))
	base := []matching.User{{ID: "1", Name: "ada"}, {ID: "2", Name: "bob"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		changes, err := ReadChanges(bytes.NewReader(body))
		if err != nil {
			checkFaults(t, err)
			return
		}
		next, effects, err := Apply(base, changes)
		if err != nil {
			checkFaults(t, err)
			return
		}
		if len(effects) != len(changes) {
			t.Fatalf("%d effects of %d changes", len(effects), len(changes))
		}
		again, err := Read(strings.NewReader(written(t, next)))
		if err != nil || !slices.EqualFunc(next, again, Same) {
			t.Errorf("%v was read from its own form as %v, %v", next, again, err)
		}
	})
}

func checkFaults(t *testing.T, err error) {
	t.Helper()
	faults, ok := errors.AsType[*FaultsError](err)
	if !ok {
		if _, ok := errors.AsType[*LimitError](err); !ok {
			t.Errorf("an error of another kind: %v", err)
		}
		return
	}
	if faults.Count < len(faults.Faults) || len(faults.Faults) == 0 || len(err.Error()) > 500 {
		t.Errorf("%+v", faults)
	}
	for _, fault := range faults.Faults {
		if fault.Line < 0 || fault.Column < 0 || fault.Text == "" || fault.Repair == "" {
			t.Errorf("%+v", fault)
		}
	}
}

// written is a list in the form in which it is sent.
func written(t *testing.T, list []matching.User) string {
	t.Helper()
	j := Judgement{Users: list}
	var b bytes.Buffer
	for line := range j.Listed("", len(list)) {
		b.Write(mustJSON(t, line.User))
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, `{"count":%d}`, len(list))
	return b.String()
}

package ucserver_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"procallteams/dev/ucserver"
)

// register is the bridge's side of the contract about users, as small as it can be.
type register struct {
	mu    sync.Mutex
	t     *testing.T
	users map[string]string // nil: no list was sent yet
	log   []string
	// refuse may answer a request instead.
	refuse func(w http.ResponseWriter, r *http.Request) bool
}

func (b *register) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.URL.Path != "/api/v1/directory" || r.Header.Get("Content-Type") != "application/x-ndjson" || r.ContentLength <= 0 {
		b.t.Errorf("asked %s %s with %v", r.Method, r.URL.Path, r.Header)
	}
	if b.refuse != nil && b.refuse(w, r) {
		return
	}
	if r.Method == http.MethodPatch && b.users == nil {
		refuseWith(w, 404, "no-user-list")
		return
	}
	if r.Method == http.MethodPut {
		b.users = map[string]string{}
	}
	n := 0
	var said strings.Builder
	for lines := bufio.NewScanner(r.Body); lines.Scan(); n++ {
		var line struct {
			ID, Name, Op string
			User         struct{ ID, Name string }
			Count        *int
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			b.t.Errorf("line %d: %v", n, err)
		}
		switch {
		case line.Count != nil:
			if *line.Count != n {
				b.t.Errorf("the count is %d after %d lines", *line.Count, n)
			}
			continue
		case line.Op == "remove":
			delete(b.users, line.ID)
		case line.Op == "put":
			line.ID = line.User.ID
			b.users[line.ID] = line.User.Name
		default:
			b.users[line.ID] = line.Name
		}
		b.log = append(b.log, strings.TrimSpace(r.Method+" "+line.Op+" "+line.ID))
		fmt.Fprintf(&said, `{"id":%q,"result":"takesPart"}`+"\n", line.ID)
	}
	fmt.Fprintf(w, `%s{"count":%d,"judged":true,"results":{}}`+"\n", said.String(), len(b.users))
}

func refuseWith(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"/problems/%s","title":"x","status":%d,"confirm":1}`, kind, status)
}

func (b *register) holds(want map[string]string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprint(b.users) == fmt.Sprint(want)
}

func running(t *testing.T, b *register, members ...ucserver.Member) *ucserver.Roster {
	t.Helper()
	b.t = t
	server := httptest.NewServer(b)
	r := &ucserver.Roster{BaseURL: server.URL, Token: "ptb_x_y", MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond}
	r.Put(members...)
	ctx, done := t.Context(), make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	t.Cleanup(func() {
		<-done
		server.Close()
		if breaches := r.Violations(); len(breaches) > 0 {
			t.Errorf("breaches of the contract: %q", breaches)
		}
	})
	return r
}

func TestTheWholeListIsSentAndThenWhatChanges(t *testing.T) {
	b := &register{}
	r := running(t, b, ucserver.Member{ID: "1", Name: "ada"}, ucserver.Member{ID: "2", Name: "bob"})
	eventually(t, "the list was taken in", func() bool { return r.Idle() && b.holds(map[string]string{"1": "ada", "2": "bob"}) })
	r.Remove("1")
	r.Put(ucserver.Member{ID: "3", Name: "ada"})
	eventually(t, "the changes were", func() bool { return r.Idle() && b.holds(map[string]string{"2": "bob", "3": "ada"}) })
	if s := r.Status(); s.Lists != 1 || s.Changes == 0 || s.Results["takesPart"] != 2 {
		t.Errorf("status %+v", s)
	}
}

func TestWithoutUsersNothingIsSent(t *testing.T) {
	b := &register{refuse: func(http.ResponseWriter, *http.Request) bool { t.Error("something was sent"); return false }}
	r := running(t, b)
	time.Sleep(50 * time.Millisecond)
	if !r.Idle() {
		t.Error("it has something to say")
	}
}

func TestAListThatIsUnknownToTheBridgeIsSentAnew(t *testing.T) {
	b := &register{}
	r := running(t, b, ucserver.Member{ID: "1", Name: "ada"})
	eventually(t, "the list was taken in", r.Idle)
	b.mu.Lock()
	b.users = nil
	b.mu.Unlock()
	r.Put(ucserver.Member{ID: "2", Name: "bob"})
	eventually(t, "it was taken in anew", func() bool { return r.Idle() && b.holds(map[string]string{"1": "ada", "2": "bob"}) })
}

func TestAPersonConfirmsThatTheListShrinks(t *testing.T) {
	b := &register{refuse: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && r.URL.Query().Get("confirm") != "1" {
			refuseWith(w, 409, "list-shrinks")
			return true
		}
		return false
	}}
	r := running(t, b, ucserver.Member{ID: "1", Name: "ada"})
	eventually(t, "the bridge asks", func() bool { return r.Status().Confirm != nil })
	if s := r.Status(); s.Lists != 0 || !strings.HasPrefix(s.LastFault, "409 ") {
		t.Errorf("status %+v", s)
	}
	r.Resend()
	eventually(t, "it is taken in", func() bool { return r.Idle() && b.holds(map[string]string{"1": "ada"}) })
}

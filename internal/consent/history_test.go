package consent

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"procallteams/internal/secret"
)

// keeper is a service over rows in memory, and what it logs.
func keeper(r *rows) (*Service, *bytes.Buffer) {
	var log bytes.Buffer
	return New(Config{
		Grants: r, Vault: &vault{}, Issuer: &issuer{}, Public: &url.URL{},
		Read: func(context.Context, secret.Text) (int, error) { return 200, nil },
		Log:  slog.New(slog.NewJSONHandler(&log, nil)), Now: func() time.Time { return noon },
	}), &log
}

func TestTwoProcessesThatMarkAGrantKeepBothLines(t *testing.T) {
	works := Grant{Kind: Admin, ClientID: "c", State: Granted, Since: noon, CheckedAt: noon, ETag: "0"}
	for name, row := range map[string]struct {
		seen time.Time // when the slower process asked Entra
		want []State
	}{
		"what it found is as new":    {noon.Add(2 * time.Minute), []State{Reauthorize, Granted}},
		"what it found is older now": {noon.Add(time.Minute), []State{Reauthorize}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rows{grants: []Grant{works}}
			slow, _ := keeper(r)
			slow.Now = func() time.Time { return noon.Add(2 * time.Minute) }
			quick, _ := keeper(r)
			_, err := quick.change(t.Context(), "t", works, func(g *Grant) bool {
				g.missing(noon.Add(2*time.Minute), nil)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			found := verdict{at: row.seen, mark: func(g *Grant) {
				g.held(row.seen, AppToken{Readable: true, Roles: []string{writePresence, readUsers}}, 200)
			}}
			if _, err := slow.store(t.Context(), "t", works, found); err != nil {
				t.Fatal(err)
			}
			var states []State
			for _, line := range r.grants[0].History {
				states = append(states, line.To)
			}
			if len(states) != len(row.want) || states[0] != row.want[0] || r.grants[0].State != row.want[len(row.want)-1] {
				t.Errorf("history = %v, state %s; want %v", states, r.grants[0].State, row.want)
			}
		})
	}
}

func TestAChangeIsLoggedOnceAlsoWhenTheAnswerIsLost(t *testing.T) {
	r := &rows{}
	s, log := keeper(r)
	for i, lost := range []bool{false, true, false} {
		r.deaf = lost
		state := []State{Granted, Reauthorize, Granted}[i]
		for range 2 { // and found again
			_, err := s.change(t.Context(), "t", Grant{Kind: User, Account: Account{ObjectID: "rita", Name: "Rita Reader", UPN: "rita@contoso.com"}}, func(g *Grant) bool {
				if g.State == state {
					return false
				}
				g.enter(state, noon.Add(time.Duration(i)*time.Minute), why{trace: "trace"})
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 || strings.Contains(log.String(), "Rita") || strings.Contains(log.String(), "rita@") {
		t.Errorf("%d lines for three changes:\n%s", len(lines), log)
	}
	for i, level := range []string{"INFO", "WARN", "INFO"} {
		if !strings.Contains(lines[i], `"level":"`+level+`"`) {
			t.Errorf("line %d is not %s: %s", i, level, lines[i])
		}
	}
}

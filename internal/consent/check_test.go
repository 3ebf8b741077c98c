package consent

import (
	"context"
	"log/slog"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"procallteams/internal/secret"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestAConsentJustGivenIsLookedForSoonAndThenSlower(t *testing.T) {
	g := Grant{Kind: Admin, State: Waiting, GivenAt: noon}
	var looked []int
	for second := range 300 {
		if now := noon.Add(time.Duration(second) * time.Second); g.due(now, time.Minute) {
			g.CheckedAt = now
			looked = append(looked, second)
		}
	}
	want := []int{5, 15, 30, 60, 120, 165, 210, 255}
	if len(looked) != len(want) {
		t.Fatalf("looked at %v; want %v", looked, want)
	}
	for i := range want {
		if looked[i] != want[i] {
			t.Fatalf("looked at %v; want %v", looked, want)
		}
	}
}

func TestAConsentIsProvenAsOftenAsTheSettingSays(t *testing.T) {
	for every, want := range map[time.Duration]int{time.Minute: 60, 5 * time.Minute: 12, time.Hour: 1} {
		g, looked := Grant{Kind: Admin, State: Granted, CheckedAt: noon}, 0
		for minute := range 60 { // upkeep's turns, each a little early
			if now := noon.Add(time.Duration(minute+1)*time.Minute - 2*time.Second); g.due(now, every) {
				g.CheckedAt = now
				looked++
			}
		}
		if looked != want {
			t.Errorf("every %s: looked %d times in an hour; want %d", every, looked, want)
		}
	}
}

// A process whose clock was ahead is gone, and left its times behind.
func TestATimeThatLiesAheadKeepsNobodyFromLooking(t *testing.T) {
	later := noon.Add(20 * time.Minute)
	g := Grant{Kind: Admin, ClientID: "c", State: Granted, CheckedAt: later}
	if !g.due(noon, 5*time.Minute) {
		t.Error("the grant is not looked at")
	}
	r := &rows{grants: []Grant{g}}
	s, _ := keeper(r)
	marked, err := s.store(t.Context(), "t", g, verdict{at: noon, mark: func(g *Grant) { g.missing(noon, nil) }})
	if err != nil || marked.State != Reauthorize {
		t.Errorf("what was found out is not stored: %s, %v", marked.State, err)
	}
}

func TestTheHistoryIsBoundedAndKeepsTheNewest(t *testing.T) {
	g := Grant{Kind: User}
	for i := range 30 {
		state, w := Granted, why{}
		if i%2 == 1 {
			state, w = Reauthorize, why{code: "AADSTS" + strconv.Itoa(50000+i), trace: "trace-" + strconv.Itoa(i)}
		}
		g.enter(state, noon.Add(time.Duration(i)*time.Minute), w)
		g.enter(state, noon.Add(time.Duration(i)*time.Minute+time.Second), w) // found again: no new line
	}
	if n := len(g.History); n != maxHistory {
		t.Fatalf("%d lines; want %d", n, maxHistory)
	}
	last := Transition{At: noon.Add(29 * time.Minute), From: Granted, To: Reauthorize, Code: "AADSTS50029", TraceID: "trace-29"}
	if g.latest() != last || g.History[0].At != noon.Add(10*time.Minute) {
		t.Errorf("from %+v to %+v", g.History[0], g.latest())
	}
	g.enter(Reauthorize, noon.Add(time.Hour), why{code: "AADSTS50057", trace: "other"})
	if want := (Transition{At: noon.Add(time.Hour), From: Reauthorize, To: Reauthorize, Code: "AADSTS50057", TraceID: "other"}); g.latest() != want || g.Since != noon.Add(29*time.Minute) {
		t.Errorf("another code: %+v since %s", g.latest(), g.Since)
	}
}

func TestATokenWithoutRoles(t *testing.T) {
	for _, row := range []struct {
		name  string
		grant Grant
		roles []string
		want  State
		told  bool
	}{
		{"says nothing before a consent", Grant{}, nil, Required, false},
		{"is normal right after a consent", Grant{State: Waiting, GivenAt: noon.Add(-14 * time.Minute)}, nil, Waiting, false},
		{"is no consent after 15 minutes", Grant{State: Waiting, GivenAt: noon.Add(-16 * time.Minute)}, nil, Required, true},
		{"means removal when it worked", Grant{State: Granted}, nil, Reauthorize, true},
		{"leaves a no as it is", Grant{State: Declined}, nil, Declined, false},
		{"names a consent to something else", Grant{State: Required}, []string{"User.Read.All"}, Required, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.grant.missing(noon, row.roles)
			if row.grant.State != row.want || (row.grant.Reason != "") != row.told {
				t.Errorf("state = %s, reason %q; want %s, told %t", row.grant.State, row.grant.Reason, row.want, row.told)
			}
		})
	}
}

func TestADoubtfulRefusalCountsOnlyWhenItStays(t *testing.T) {
	var p slot
	for _, row := range []struct {
		after   time.Duration
		doubted bool
	}{{0, true}, {30 * time.Second, true}, {time.Minute, true}, {3 * time.Minute, false}} {
		if got := p.doubt(noon.Add(row.after)); got != row.doubted {
			t.Errorf("after %s: doubted %t; want %t", row.after, got, row.doubted)
		}
	}
}

func TestAUseStandsOnTheFirstGrantThatAllowsIt(t *testing.T) {
	readOnly := Grant{Kind: Admin, State: Granted, Permissions: []string{readPresence}}
	whole := Grant{Kind: Admin, State: Expiring, Permissions: []string{writePresence}}
	opaque := Grant{Kind: Admin, State: Granted}
	waiting := Grant{Kind: Admin, State: Waiting}
	person := Grant{Kind: User, State: Granted, SecretName: "x"}
	refused := Grant{Kind: User, State: Reauthorize, Code: "AADSTS50173", Reason: "revoked"}
	given := Grant{Kind: Admin, State: Required, Reason: "consent was given, but not for this"}
	type verdict struct {
		kind  Kind
		state State
		ok    bool
	}
	for _, row := range []struct {
		name        string
		grants      []Grant
		read, write verdict
	}{
		{"nothing was given", nil, verdict{User, Required, false}, verdict{Admin, Required, false}},
		{"a person reads", []Grant{person}, verdict{User, Granted, true}, verdict{Admin, Required, false}},
		{"a read-only app reads and does not write", []Grant{readOnly}, verdict{Admin, Granted, true}, verdict{Admin, Required, false}},
		{"an app that may write reads as well", []Grant{person, whole}, verdict{Admin, Expiring, true}, verdict{Admin, Expiring, true}},
		{"a token that nobody can read was proven by a read", []Grant{opaque}, verdict{Admin, Granted, true}, verdict{Admin, Granted, true}},
		{"a refusal is told for reading only", []Grant{refused}, verdict{User, Reauthorize, false}, verdict{Admin, Required, false}},
		{"of two, the one that is nearest", []Grant{refused, waiting}, verdict{Admin, Waiting, false}, verdict{Admin, Waiting, false}},
		{"one that says why, before one that was never given", []Grant{given}, verdict{Admin, Required, false}, verdict{Admin, Required, false}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for use, want := range map[Use]verdict{Reading: row.read, Writing: row.write} {
				if g, ok := Carrier(row.grants, use); (verdict{g.Kind, g.State, ok}) != want {
					t.Errorf("Carrier for %s = %s %s, %t; want %v", use, g.Kind, g.State, ok, want)
				}
			}
		})
	}
	if g, _ := Carrier([]Grant{readOnly}, Writing); !strings.Contains(g.Reason, writePresence) || !strings.Contains(g.NextStep, writePresence) {
		t.Errorf("a read-only app: %+v; want the permission that is missing", g)
	}
}

func TestWhoWouldCarryAUseIfItsCarrierFailed(t *testing.T) {
	whole := Grant{Kind: Admin, State: Granted, Permissions: []string{writePresence}}
	older := Grant{Kind: User, State: Granted, GivenAt: noon, Account: Account{ObjectID: "older"}}
	newer := Grant{Kind: User, State: Granted, GivenAt: noon.Add(time.Hour), Account: Account{ObjectID: "newer"}}
	refused := Grant{Kind: User, State: Reauthorize, Account: Account{ObjectID: "refused"}}
	for _, row := range []struct {
		name          string
		grants        []Grant
		reads, writes string // the account that stands by, "none"
	}{
		{"nothing carries, nothing stands by", []Grant{refused}, "none", "none"},
		{"the app alone", []Grant{whole, refused}, "none", "none"},
		{"a person behind the app reads, and cannot write", []Grant{older, whole}, "older", "none"},
		{"of two persons, the other one", []Grant{older, newer}, "older", "none"},
		{"of three, the one that gave consent last", []Grant{older, whole, newer}, "newer", "none"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for use, want := range map[Use]string{Reading: row.reads, Writing: row.writes} {
				got, ok := Standby(row.grants, use)
				if !ok {
					got.Account.ObjectID = "none"
				}
				if got.Account.ObjectID != want {
					t.Errorf("Standby for %s = %q; want %q", use, got.Account.ObjectID, want)
				}
			}
		})
	}
}

func TestAReportIsOfTheClientIDInUse(t *testing.T) {
	rows := []Grant{
		{Kind: User, ClientID: "former", State: Required, Account: Account{ObjectID: "rita"}},
		{Kind: User, ClientID: "c", State: Granted, Account: Account{ObjectID: "sven"}},
	}
	var told []string
	for _, g := range complete("c", rows) {
		told = append(told, string(g.Kind)+" "+g.Account.ObjectID+" "+string(g.State))
	}
	if got := strings.Join(told, ", "); got != "admin  required, user sven granted" {
		t.Errorf("complete = %s", got)
	}
}

func TestThisPackageNeedsNoSDK(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"azure-sdk-for-go", "microsoft-authentication", "golang.org/x/oauth2", "go-oidc"} {
		if strings.Contains(string(out), name) {
			t.Errorf("package consent depends on %s", name)
		}
	}
}

// opaque issues app-only tokens that nobody can read, as Microsoft may any day.
type opaque struct{ issuer }

func (opaque) AppToken(context.Context, App) (AppToken, error) {
	return AppToken{Value: secret.New("opaque"), Expires: noon.Add(time.Hour)}, nil
}

func TestATokenThatCannotBeReadIsProvenByGraphAlone(t *testing.T) {
	for _, row := range []struct {
		status int
		want   State // empty: nothing was found out
	}{{200, Granted}, {403, Required}, {401, ""}, {429, ""}, {500, ""}, {503, ""}} {
		s := New(Config{
			Vault: &vault{}, Grants: &rows{}, Issuer: &opaque{}, Public: &url.URL{}, Log: slog.New(slog.DiscardHandler),
			Read: func(context.Context, secret.Text) (int, error) { return row.status, nil },
			Now:  func() time.Time { return noon },
		})
		v, err := s.judge(t.Context(), App{Tenant: "t", ClientID: "c"}, true)
		found := Grant{}
		if err == nil {
			found = v.of(Grant{Kind: Admin})
		}
		if found.State != row.want || (err == nil) != (row.want != "") {
			t.Errorf("Graph answers %d: %q, %v; want %q", row.status, found.State, err, row.want)
		}
	}
}

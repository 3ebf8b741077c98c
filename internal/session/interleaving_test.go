package session_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

// model is one person in Teams, the person's row, and writers that follow one
// another, each of which may end at any line.
type model struct {
	rng *rand.Rand
	now time.Time
	log strings.Builder
	row session.Session // as it is stored
	due []calls.Report

	world session.World
	// sent are calls that Graph has not done yet.
	sent []call
	// teams are the app's sessions in Teams, by client id.
	teams map[string]shown
	calls int
	apps  int
	calm  bool // nothing goes wrong any more
	// writing is the writer whose call is under way, nil for none.
	writing *attempt
}

type call struct {
	at       time.Time // when Graph does it
	deed     session.Deed
	pair     presence.Settable
	lasts    time.Duration
	clientID string
}

type shown struct {
	pair presence.Settable
	ends time.Time
}

// attempt is one call of a writer: when the writer takes its answer in.
type attempt struct {
	step   session.Step
	ends   time.Time
	answer session.Answer // empty: the writer dies before it stores anything
}

func newModel(seed uint64) *model {
	m := &model{rng: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC), teams: map[string]shown{}}
	m.world = session.World{
		Settings:  settings.Integration{ProCallToTeams: settings.Everyone, ClientID: "app-0", AlsoWrite: settings.AlsoWrite{Appointment: true}},
		Reporters: calls.Reporters{"r": {ID: "r"}}, Lifetime: presence.LifetimeOf(10 * time.Minute),
	}
	return m
}

func (m *model) notef(format string, values ...any) {
	fmt.Fprintf(&m.log, "%s "+format+"\n", append([]any{m.now.Format("15:04:05")}, values...)...)
}

// store keeps what comes back from storage.
func (m *model) store(s session.Session) {
	text, err := json.Marshal(s)
	if err == nil {
		m.row = session.Session{}
		err = json.Unmarshal(text, &m.row)
	}
	if err != nil {
		panic(err)
	}
}

// wishes are what a reporter may say.
var wishes = []calls.Report{
	{Reporter: "r", State: calls.Available},
	{Reporter: "r", State: calls.Busy, Reasons: calls.Call},
	{Reporter: "r", State: calls.Busy, Reasons: calls.Appointment},
	{Reporter: "r", State: calls.Absent, Reasons: calls.Appointment},
}

// second lets a second pass.
func (m *model) second() {
	m.pass(time.Second)
}

func (m *model) pass(d time.Duration) {
	m.now = m.now.Add(d)
	m.do()
	if !m.calm {
		switch m.rng.IntN(40) {
		case 0, 1, 2, 3:
			m.due = []calls.Report{wishes[m.rng.IntN(len(wishes))]}
			m.notef("wish %s %v", m.due[0].State, m.due[0].Reasons)
		case 4:
			m.world.Settings.Paused = !m.world.Settings.Paused
			m.notef("paused %t", m.world.Settings.Paused)
		case 5:
			if m.rng.IntN(10) == 0 {
				m.apps++ // never one that was in use before: its sessions end by themselves
				m.world.Settings.ClientID = fmt.Sprintf("app-%d", m.apps)
				m.notef("client id %s", m.world.Settings.ClientID)
			}
		case 6:
			m.world.Lifetime = presence.LifetimeOf(time.Duration(10+20*m.rng.IntN(2)) * time.Minute)
		}
	}
	if m.writing != nil && !m.now.Before(m.writing.ends) {
		m.finish()
	}
	if m.writing == nil {
		m.write()
	}
}

// do lets Graph do what is due, and lets sessions end.
func (m *model) do() {
	var later []call
	for _, c := range m.sent {
		switch {
		case c.at.After(m.now):
			later = append(later, c)
		case c.deed == session.Set:
			m.teams[c.clientID] = shown{c.pair, m.now.Add(c.lasts)}
			m.notef("Graph sets %v for %s", c.pair, c.clientID)
		default:
			delete(m.teams, c.clientID)
			m.notef("Graph clears for %s", c.clientID)
		}
	}
	m.sent = later
	for id, s := range m.teams {
		if !m.now.Before(s.ends) {
			delete(m.teams, id)
			m.notef("session of %s ends", id)
		}
	}
}

func (m *model) finish() {
	a := m.writing
	m.writing = nil
	if a.answer == "" {
		return // died
	}
	s := m.row
	s.End(m.now, a.step, session.Reply{Answer: a.answer})
	m.store(s)
	m.notef("%s %s: %s", a.step.Deed, a.step.Pair, a.answer)
}

// write is one decision of a writer, with what may become of it.
func (m *model) write() {
	s := m.row
	folded := m.due != nil
	if folded {
		s.Reports = m.due
	}
	step := s.Next(m.now, m.world)
	if step.Deed == "" {
		if folded || step.Noted {
			m.store(s)
			m.due = nil
		}
		return
	}
	s.Begin(m.now, step, m.world.Settings.ClientID)
	fate := m.rng.IntN(12)
	if fate == 0 && !m.calm {
		return // it dies before the intent is stored
	}
	m.store(s)
	m.due = nil
	m.calls++
	c := call{at: m.now, deed: step.Deed, pair: step.Pair, lasts: step.Lifetime, clientID: s.Call.ClientID}
	m.notef("intent %s %v", step.Deed, step.Pair)
	if m.calm {
		m.sent = append(m.sent, c)
		m.do()
		m.writing = &attempt{step, m.now, session.Done}
		m.finish()
		return
	}
	seconds := func(n int) time.Duration { return time.Duration(m.rng.IntN(n)) * time.Second }
	switch fate {
	case 1: // it dies before the call
		m.notef("dies")
	case 2, 3: // it is cut off, but sends its call, which Graph does late
		c.at = m.now.Add(seconds(5)).Add(seconds(40))
		m.sent = append(m.sent, c)
		m.notef("dies; Graph will do it at %s", c.at.Format("15:04:05"))
	case 4: // Graph is late, and the writer gives up waiting
		c.at = m.now.Add(seconds(40))
		m.sent = append(m.sent, c)
		m.writing = &attempt{step, m.now.Add(10 * time.Second), session.Unseen}
	case 5: // the call never arrives
		m.writing = &attempt{step, m.now.Add(seconds(10)), session.Unseen}
	case 6: // Graph has no time
		m.writing = &attempt{step, m.now.Add(seconds(3)), session.Failed}
	case 7: // Graph does it, and the writer dies before it stores the answer
		m.sent = append(m.sent, c)
		m.do()
		m.writing = &attempt{step, m.now.Add(seconds(3)), ""}
	default:
		m.sent = append(m.sent, c)
		m.do()
		m.writing = &attempt{step, m.now.Add(seconds(3)), session.Done}
	}
}

// faults returns what is wrong now.
func (m *model) faults() []string {
	var list []string
	s := m.row
	for _, t := range m.teams {
		state := presence.State{Availability: t.pair.Availability(), Activity: t.pair.Activity()}
		if !s.Echo(state, m.now) {
			list = append(list, fmt.Sprintf("Teams shows our %v, and it is taken for a state of Teams' own", t.pair))
		}
		if s.Over(m.now) {
			list = append(list, "the row would be forgotten")
		}
	}
	return list
}

func (m *model) text() string {
	text, _ := json.Marshal(m.row)
	return string(text)
}

// settled returns what is wrong after everything had time to settle.
func (m *model) settled() string {
	var want presence.Settable
	if s := m.row; !m.world.Settings.Paused && len(s.Reports) > 0 {
		switch r := s.Reports[0]; {
		case r.Reasons.Has(calls.Call):
			want = presence.InACallPair()
		case r.State == calls.Busy && r.Reasons.Has(calls.Appointment):
			want = presence.InAConferencePair()
		case r.State == calls.Absent:
			want = presence.AwayPair()
		}
	}
	if got := m.teams[m.world.Settings.ClientID].pair; got != want {
		return fmt.Sprintf("Teams shows %q of ours; want %q", got, want)
	}
	return ""
}

// TestWhateverHappensTeamsShowsTheLastWish lets calls be lost, done late or done
// by writers that are gone, in every order.
func TestWhateverHappensTeamsShowsTheLastWish(t *testing.T) {
	for seed := range uint64(600) {
		m := newModel(seed)
		fail := func(fault string) {
			t.Fatalf("seed %d at %s: %s\n%s\n%s", seed, m.now.Format("15:04:05"), fault, m.log.String(), m.text())
		}
		for range 60 + m.rng.IntN(240) {
			m.second()
			for _, fault := range m.faults() {
				fail(fault)
			}
		}
		m.calm = true
		for range 110 {
			m.second()
			for _, fault := range m.faults() {
				fail(fault)
			}
		}
		if fault := m.settled(); fault != "" {
			fail(fault)
		}
		// From here on there is nothing to do but renewals.
		before := m.calls
		for range 20 * 60 / 5 {
			m.pass(5 * time.Second)
		}
		if n := m.calls - before; n > 4 {
			fail(fmt.Sprintf("%d calls in 20 quiet minutes", n))
		}
		if fault := m.settled(); fault != "" {
			fail("20 minutes later: " + fault)
		}
	}
}

package presenceset

import (
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/feed"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

// memory is what a process keeps about a tenant's sessions between turns. It is
// true while the writer's row has the version that is remembered.
type memory struct {
	tenant  string
	version string
	steps   int64
	people  map[presence.UserID]*person

	// What the last review was made with, and when.
	settings  settings.Integration
	reporters calls.Reporters
	head      feed.Position
	reviewed  time.Time
}

// person is one session in memory.
type person struct {
	session.Session
	stored bool // there is a row
	// look is when to decide about it again, zero when only a change can make a
	// difference; idle says that until then nothing changes for the person.
	look time.Time
	idle bool
}

// reviewTime is after how long everybody is decided about anew.
const reviewTime = 45 * time.Second

func newMemory(tenant, version string, sessions map[presence.UserID]session.Session, steps int64) *memory {
	m := &memory{tenant: tenant, version: version, steps: steps, people: make(map[presence.UserID]*person, len(sessions))}
	for id, s := range sessions {
		m.people[id] = &person{Session: s, stored: true}
	}
	return m
}

// review finds out whom to look at because of a new view: everybody when that may
// matter to everybody, else those who wait for what is published.
func (m *memory) review(view View, now time.Time, world func(presence.UserID) session.World) {
	all := m.reviewed.IsZero() || now.Sub(m.reviewed) >= reviewTime || m.settings != view.Settings || !same(m.reporters, view.Reporters)
	moved := m.head != view.Head.Position()
	m.settings, m.reporters, m.head = view.Settings, view.Reporters, view.Head.Position()
	if all {
		m.reviewed = now
	}
	if !all && !moved {
		return
	}
	for id, p := range m.people {
		if all || p.Waits() {
			p.plan(now, world(id))
		}
	}
}

// same reports whether the same reports count.
func same(a, b calls.Reporters) bool {
	if len(a) != len(b) {
		return false
	}
	for id, r := range a {
		if other, ok := b[id]; !ok || r.Generation != other.Generation {
			return false
		}
	}
	return true
}

// plan notes when to look at p, without changing its session. Who waits already
// keeps the place in the queue.
func (p *person) plan(now time.Time, w session.World) {
	s, since := p.Session, p.look
	step := s.Next(now, w)
	p.look, p.idle = step.At, step.Renewal || step.Deed == "" && s.Over(now) // to be forgotten
	if step.Deed != "" || step.Noted || s.Over(now) {
		p.look = now
		if !since.IsZero() && since.Before(now) {
			p.look = since
		}
	}
}

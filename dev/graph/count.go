package graph

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// WriteCount is what a user's presence was written how often. Every request
// that reached the simulator counts once, by its kind and by how it ended.
type WriteCount struct {
	Set, Clear int // setPresence, clearPresence
	Throttled  int // of these, answered 429
}

type writeCounts struct {
	mu   sync.Mutex
	user map[string]WriteCount
}

// isWrite says whether a path is one of the four writes.
func isWrite(path string) bool {
	switch lastSegment(path) {
	case "setPresence", "clearPresence", "setUserPreferredPresence", "clearUserPreferredPresence":
		return true
	}
	return false
}

func lastSegment(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func (c *writeCounts) add(r Request) {
	kind := lastSegment(r.Path)
	if kind != "setPresence" && kind != "clearPresence" {
		return
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/v1.0/users/"), "/")
	id = strings.ToLower(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.user == nil {
		c.user = map[string]WriteCount{}
	}
	n := c.user[id]
	if kind == "setPresence" {
		n.Set++
	} else {
		n.Clear++
	}
	if r.Status == http.StatusTooManyRequests {
		n.Throttled++
	}
	c.user[id] = n
}

// Writes returns how often each user's presence was written, by object id.
func (s *Simulator) Writes() map[string]WriteCount {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return maps.Clone(s.counts.user)
}

// Session is one session of an application.
type Session struct {
	Availability, Activity string
	Written, Expires       time.Time
}

// Sessions returns the sessions with this id that exist now, by object id of
// their users.
func (s *Simulator) Sessions(sessionID string) map[string]Session {
	s.settle(s.now())
	now, key := s.now(), strings.ToLower(sessionID)
	s.mu.RLock()
	defer s.mu.RUnlock()
	held := map[string]Session{}
	for _, u := range s.users {
		if u == nil {
			continue
		}
		for _, p := range u.sessions {
			if p.key == key && (p.expires.IsZero() || now.Before(p.expires)) {
				held[u.ID] = Session{p.availability, p.activity, p.written, p.expires}
			}
		}
	}
	return held
}

// TeamsClients returns what each user's Teams client shows by itself, without
// applications, by object id; signed out people are missing.
func (s *Simulator) TeamsClients() map[string]Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	shown := map[string]Session{}
	for _, u := range s.users {
		if u == nil {
			continue
		}
		for _, p := range u.sessions {
			if p.key == clientSession {
				shown[u.ID] = Session{Availability: p.availability, Activity: p.activity, Written: p.written}
			}
		}
	}
	return shown
}

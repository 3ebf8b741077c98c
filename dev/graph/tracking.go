package graph

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// tracking is what change tracking remembers of the directory. Every change of a
// user's record has the next revision.
type tracking struct {
	revision   uint64
	generation int         // of state tokens; older ones answer 410
	departures []departure // in order of time; who came back leaves an empty one, older than every round
}

// edit is the newest change of one property.
type edit struct {
	property string
	revision uint64
}

// departure is a user who left the directory.
type departure struct {
	User
	revision uint64
	forGood  bool
}

// reason is the word in @removed.
func (d departure) reason() string {
	if d.forGood {
		return "deleted"
	}
	return "changed"
}

// touch notes that a property of u was changed. It needs the write lock.
func (s *Simulator) touch(u *user, property string) {
	s.track.revision++
	for i := range u.edits {
		if u.edits[i].property == property {
			u.edits[i].revision = s.track.revision
			return
		}
	}
	u.edits = append(u.edits, edit{property, s.track.revision})
}

// edited is the revision of the newest change of a property; zero when it is as
// it was created.
func (u *user) edited(property string) uint64 {
	for _, e := range u.edits {
		if e.property == property {
			return e.revision
		}
	}
	return 0
}

// Edit changes a user's record, found by id or UPN; the id stays. It panics when
// there is none or the new UPN is taken: a mistake of the test.
func (s *Simulator) Edit(idOrUPN string, f func(*User)) {
	err := s.edit(idOrUPN, func(u *User) error { f(u); return nil })
	if err != nil {
		panic("graph simulator: " + err.Error())
	}
}

func (s *Simulator) edit(idOrUPN string, f func(*User) error) error {
	var failed error
	err := s.change(idOrUPN, false, func(u *user, now time.Time) {
		after := u.User
		after.ProxyAddresses = slices.Clone(after.ProxyAddresses)
		if failed = f(&after); failed == nil {
			after.ID = u.ID
			failed = s.replace(u, after, now)
		}
	})
	if err != nil {
		return err
	}
	return failed
}

// replace puts a changed record in place. It needs the write lock.
func (s *Simulator) replace(u *user, after User, now time.Time) error {
	before, old, name := u.User, strings.ToLower(u.UserPrincipalName), strings.ToLower(after.UserPrincipalName)
	if holder := s.byUPN[name]; name == "" || holder != nil && holder != u {
		return fmt.Errorf("edit user %s: the user principal name is taken or empty", u.ID)
	}
	delete(s.byUPN, old)
	s.byUPN[name] = u
	u.User = after
	for property, p := range properties {
		if !reflect.DeepEqual(p.read(before), p.read(after)) {
			s.touch(u, property)
		}
	}
	if after.Disabled && !before.Disabled {
		u.drop(clientSession)
		s.refresh(u, now)
	}
	return nil
}

// depart notes that u left, restorable. It needs the write lock.
func (s *Simulator) depart(u *user) {
	s.track.revision++
	s.track.departures = append(s.track.departures, departure{User: u.User, revision: s.track.revision})
}

// Restore brings a removed user back, found by object id, signed out of Teams.
// It panics when nobody restorable has the id.
func (s *Simulator) Restore(id string) {
	if err := s.restore(id); err != nil {
		panic("graph simulator: " + err.Error())
	}
}

func (s *Simulator) restore(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.settleLocked(now)
	defer s.noteDue()
	d := s.departed(id)
	if d == nil || d.forGood || s.byUPN[strings.ToLower(d.UserPrincipalName)] != nil {
		return fmt.Errorf("restore user %q: nobody restorable has this id, or the name is taken", id)
	}
	u := d.User
	*d = departure{} // the place stays, or chains of pages would lose others
	s.add(u, teamsState{"Offline", "Offline", false}, now)
	return nil
}

// Purge removes a user for good, found by object id, whether still there or
// removed already. It panics when there is none.
func (s *Simulator) Purge(id string) {
	if err := s.purge(id); err != nil {
		panic("graph simulator: " + err.Error())
	}
}

func (s *Simulator) purge(id string) error {
	// An error says that the user left already.
	_ = s.change(id, false, func(u *user, now time.Time) { id = u.ID; s.remove(u, now) })
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.departed(id)
	if d == nil || d.forGood {
		return fmt.Errorf("purge user %q: nobody has this id", id)
	}
	gone := *d
	*d = departure{}
	s.track.revision++
	gone.revision, gone.forGood = s.track.revision, true
	s.track.departures = append(s.track.departures, gone)
	return nil
}

// departed finds a removed user by object id. It needs the lock.
func (s *Simulator) departed(id string) *departure {
	for i := range s.track.departures {
		if d := &s.track.departures[i]; d.ID != "" && strings.EqualFold(d.ID, id) {
			return d
		}
	}
	return nil
}

// ResetDelta makes every state token that was handed out so far answer 410, as
// the service does after maintenance or a migration of the tenant.
func (s *Simulator) ResetDelta() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.track.generation++
}

package graph

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// User is a directory user. Empty optional fields are answered as null.
type User struct {
	ID                string // object id; made from the seed when empty
	UserPrincipalName string
	DisplayName       string
	GivenName         string
	Surname           string
	Mail              string
	UserType          string // Member (also when empty) or Guest
	Disabled          bool
	Unlicensed        bool // has no Teams licence
	ProxyAddresses    []string

	OnPremisesUserPrincipalName  string
	OnPremisesSamAccountName     string
	OnPremisesDomainName         string
	OnPremisesImmutableID        string
	OnPremisesSecurityIdentifier string
}

// user is a User with what it shows. Everything is guarded by Simulator.mu;
// item is replaced, never written to, so that an answer may still be copying it.
type user struct {
	User
	position int
	gone     bool
	created  uint64 // revision of the record's appearance
	edits    []edit

	sessions  []session
	preferred *session

	availability, activity string // shown
	shownOutOfOffice       bool
	outOfOffice            bool
	outOfOfficeMessage     string
	sequence               string
	item                   []byte
	due                    time.Time
}

var givenNames = []string{"Ada", "Bob", "Clara", "Dieter", "Elif", "Frank", "Greta", "Hans", "Ines", "Jörg", "Karin", "Lars", "Mia", "Noor", "Otto", "Paula", "Quentin", "Rosa", "Sven", "Tülay", "Uwe", "Vera", "Wanda", "Yusuf", "Zoë"}

var surnames = []string{"Adler", "Becker", "Çelik", "Dietrich", "Engel", "Fischer", "Groß", "Huber", "Ivanova", "Jansen", "Krüger", "Lang", "Meyer", "Neumann", "O'Brien", "Peters", "Quandt", "Richter", "Schäfer", "Thomas", "Ulrich", "Vogel", "Weiß", "Yilmaz", "Ziegler"}

// AddUsers generates n users from the seed: user00001@contoso.com and on, each
// with a Teams state. Of every 25, one is a guest and one is disabled.
func (s *Simulator) AddUsers(n int) []User { return s.generate(n, true) }

// AddMembers generates n users as AddUsers does, all of them enabled members.
func (s *Simulator) AddMembers(n int) []User { return s.generate(n, false) }

func (s *Simulator) generate(n int, mixed bool) []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.settleLocked(now)
	list := make([]User, 0, n)
	for range n {
		s.made++
		number := s.made
		rng := s.randomOf(number)
		u := User{
			ID:                randomGUID(rng),
			UserPrincipalName: fmt.Sprintf("user%05d@contoso.com", number),
			GivenName:         givenNames[rng.IntN(len(givenNames))],
			Surname:           surnames[rng.IntN(len(surnames))],
			UserType:          "Member",
		}
		u.DisplayName = u.GivenName + " " + u.Surname
		u.Mail = u.UserPrincipalName
		u.ProxyAddresses = []string{"SMTP:" + u.Mail}
		if mixed && number%25 == 7 {
			u.UserType = "Guest"
			u.Mail = fmt.Sprintf("user%05d@fabrikam.com", number)
			u.UserPrincipalName = fmt.Sprintf("user%05d_fabrikam.com#EXT#@contoso.onmicrosoft.com", number)
			u.ProxyAddresses = []string{"SMTP:" + u.Mail}
		}
		u.Disabled = mixed && number%25 == 13
		state := teamsStates[rng.IntN(len(teamsStates))]
		if number%3 == 0 && u.UserType == "Member" {
			u.synchronise(number, rng)
		}
		list = append(list, s.add(u, state, now).User)
	}
	return list
}

// synchronise fills what Entra Connect brings along of an on-premises account.
// The immutable id is the base64 of the bytes of objectGUID, whose first three
// groups Windows keeps with the lowest byte first.
func (u *User) synchronise(number int, rng *rand.Rand) {
	u.OnPremisesDomainName = "corp.contoso.local"
	u.OnPremisesSamAccountName = fmt.Sprintf("user%05d", number)
	u.OnPremisesUserPrincipalName = u.OnPremisesSamAccountName + "@" + u.OnPremisesDomainName
	var guid [16]byte
	for i := range guid {
		guid[i] = byte(rng.Uint32())
	}
	u.OnPremisesImmutableID = base64.StdEncoding.EncodeToString(guid[:])
	u.OnPremisesSecurityIdentifier = fmt.Sprintf("S-1-5-21-1004336348-1177238915-682003330-%d", 1000+number)
}

func (s *Simulator) randomOf(number int) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, uint64(number)))
}

func randomGUID(rng *rand.Rand) string {
	var b [16]byte
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return formatGUID(b)
}

// AddUser adds one user, signed out of Teams. It panics when the id or the UPN
// is taken or the id is no GUID: a mistake of the test.
func (s *Simulator) AddUser(u User) User {
	added, err := s.addOne(u)
	if err != nil {
		panic("graph simulator: " + err.Error())
	}
	return added
}

func (s *Simulator) addOne(u User) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.settleLocked(now)
	if u.ID == "" {
		s.made++
		u.ID = randomGUID(s.randomOf(s.made))
	}
	if id := strings.ToLower(u.ID); !isGUID(id) || s.byID[id] != nil || u.UserPrincipalName == "" || s.byUPN[strings.ToLower(u.UserPrincipalName)] != nil {
		return User{}, fmt.Errorf("add user %s %q: taken or malformed", u.ID, u.UserPrincipalName)
	}
	return s.add(u, teamsState{"Offline", "Offline", false}, now).User, nil
}

func (s *Simulator) add(u User, state teamsState, now time.Time) *user {
	u.ID = strings.ToLower(u.ID)
	if u.UserType == "" {
		u.UserType = "Member"
	}
	s.track.revision++
	added := &user{User: u, position: len(s.users), created: s.track.revision}
	s.users = append(s.users, added)
	s.byID[u.ID], s.byUPN[strings.ToLower(u.UserPrincipalName)] = added, added
	s.live++
	if !u.Disabled {
		s.showInTeams(added, state, now)
	}
	s.refresh(added, now)
	return added
}

// Remove deletes a user by id or UPN, restorable. It panics when there is none.
func (s *Simulator) Remove(idOrUPN string) {
	_ = s.change(idOrUPN, true, s.remove)
}

// remove needs the write lock.
func (s *Simulator) remove(u *user, now time.Time) {
	s.users[u.position] = nil
	delete(s.byID, u.ID)
	delete(s.byUPN, strings.ToLower(u.UserPrincipalName))
	s.live--
	u.gone = true
	s.depart(u)
	s.record(Transition{UserID: u.ID, At: now, Removed: true})
}

// Disable blocks a user's sign-in by id or UPN, which ends the Teams clients.
// It panics when there is none.
func (s *Simulator) Disable(idOrUPN string) {
	s.Edit(idOrUPN, func(u *User) { u.Disabled = true })
}

// Enable is the reverse of Disable; the user stays signed out of Teams.
func (s *Simulator) Enable(idOrUPN string) {
	s.Edit(idOrUPN, func(u *User) { u.Disabled = false })
}

// Set makes a user's Teams client show a pair, as a person or a call does;
// Offline/Offline signs it out. Any words are taken, so that tests can invent
// some. The user is named by id or UPN.
func (s *Simulator) Set(idOrUPN, availability, activity string) error {
	return s.change(idOrUPN, false, func(u *user, now time.Time) {
		s.showInTeams(u, teamsState{availability, activity, u.outOfOffice}, now)
		s.refresh(u, now)
	})
}

// SetOutOfOffice sets or clears a user's out-of-office flag.
func (s *Simulator) SetOutOfOffice(idOrUPN string, on bool, message string) error {
	return s.change(idOrUPN, false, func(u *user, now time.Time) {
		u.outOfOffice, u.outOfOfficeMessage = on, message
		u.render(s.settings)
		s.refresh(u, now)
	})
}

// showInTeams replaces the Teams client's session. It needs the write lock; the
// caller refreshes.
func (s *Simulator) showInTeams(u *user, state teamsState, now time.Time) {
	u.outOfOffice = state.outOfOffice
	u.drop(clientSession)
	if state.availability == "Offline" && state.activity == "Offline" {
		return
	}
	s.put(u, session{key: clientSession, availability: state.availability, activity: state.activity, written: now})
}

func (s *Simulator) put(u *user, p session) {
	s.writes++
	p.write = s.writes
	u.drop(p.key)
	u.sessions = append(u.sessions, p)
}

// drop removes a session and reports whether it was there.
func (u *user) drop(key string) bool {
	for i, p := range u.sessions {
		if p.key == key {
			u.sessions = append(u.sessions[:i], u.sessions[i+1:]...)
			return true
		}
	}
	return false
}

func (u *user) client() teamsState {
	for _, p := range u.sessions {
		if p.key == clientSession {
			return teamsState{p.availability, p.activity, u.outOfOffice}
		}
	}
	return teamsState{"Offline", "Offline", u.outOfOffice}
}

// change runs f on a user under the write lock, after everything that was due.
func (s *Simulator) change(idOrUPN string, must bool, f func(u *user, now time.Time)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The clock is read under the lock, so that history is in order of time.
	now := s.now()
	s.settleLocked(now)
	defer s.noteDue()
	u := s.byID[strings.ToLower(idOrUPN)]
	if u == nil {
		u = s.byUPN[strings.ToLower(idOrUPN)]
	}
	if u == nil {
		err := fmt.Errorf("find user %q: no such user", idOrUPN)
		if must {
			panic("graph simulator: " + err.Error())
		}
		return err
	}
	f(u, now)
	return nil
}

package graph

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// teamsState is what a Teams client can show, as Graph tells it.
type teamsState struct {
	availability, activity string
	outOfOffice            bool
}

// teamsStates are the states of the table "Teams state to Graph pair" (Graph:
// manage presence state). INFER: plain "Out of office" is Offline/OutOfOffice.
// The last one is signed out.
var teamsStates = []teamsState{
	{"Available", "Available", false},
	{"Available", "OutOfOffice", true},
	{"Busy", "Busy", false},
	{"Busy", "InACall", false},
	{"Busy", "InAMeeting", false},
	{"Busy", "InACall", true},
	{"DoNotDisturb", "DoNotDisturb", false},
	{"DoNotDisturb", "Presenting", false},
	{"Away", "Away", false},
	{"BeRightBack", "BeRightBack", false},
	{"Offline", "OffWork", false},
	{"Offline", "OutOfOffice", true},
	{"Offline", "Offline", false},
}

// step is one movement: who shows what, and when after the start.
type step struct {
	user   *user
	state  teamsState
	offset time.Duration
}

// Move lets enabled members change their Teams state at a rate until ctx ends.
// Who, what and when after the start follow from the seed and the users, so two
// runs move alike. Every step changes what the Teams client shows. The real
// clock paces it, History is stamped by Config.Now.
func (s *Simulator) Move(ctx context.Context, ratePerSecond float64) {
	if ratePerSecond <= 0 {
		return
	}
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := range s.steps(ratePerSecond) {
		timer.Reset(time.Until(start.Add(next.offset)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		s.take(next)
	}
}

// MoveSteps makes n steps of the movement at once.
func (s *Simulator) MoveSteps(n int) {
	if n <= 0 {
		return
	}
	for next := range s.steps(1) {
		s.take(next)
		if n--; n == 0 {
			return
		}
	}
}

func (s *Simulator) take(next step) {
	_ = s.change(next.user.ID, false, func(u *user, now time.Time) {
		if !u.Disabled {
			s.showInTeams(u, next.state, now)
			s.refresh(u, now)
		}
	})
}

func (s *Simulator) steps(rate float64) iter.Seq[step] {
	s.mu.RLock()
	var people []*user
	var shown []teamsState
	for _, u := range s.users {
		if u != nil && !u.Disabled && u.present() {
			people = append(people, u)
			shown = append(shown, u.client())
		}
	}
	s.mu.RUnlock()
	rng := rand.New(rand.NewPCG(s.seed, 0))
	return func(yield func(step) bool) {
		for i := 0; len(people) > 0; i++ {
			who := rng.IntN(len(people))
			state := teamsStates[rng.IntN(len(teamsStates))]
			for state == shown[who] {
				state = teamsStates[rng.IntN(len(teamsStates))]
			}
			shown[who] = state
			offset := time.Duration((float64(i) + rng.Float64()) / rate * float64(time.Second))
			if !yield(step{people[who], state, offset}) {
				return
			}
		}
	}
}

// History returns every transition so far, in order of time; a user's first one
// is the state it was added with.
func (s *Simulator) History() []Transition {
	s.settle(s.now())
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.history)
}

// Current returns what every user shows now, by object id.
func (s *Simulator) Current() map[string]Transition {
	s.settle(s.now())
	s.mu.RLock()
	defer s.mu.RUnlock()
	current := make(map[string]Transition, s.live)
	for _, u := range s.users {
		if u != nil {
			current[u.ID] = Transition{UserID: u.ID, Availability: u.availability, Activity: u.activity, OutOfOffice: u.outOfOffice, Sequence: u.sequence}
		}
	}
	return current
}

// Users returns the directory in order of creation.
func (s *Simulator) Users() []User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]User, 0, s.live)
	for _, u := range s.users {
		if u != nil {
			list = append(list, u.User)
		}
	}
	return list
}

// walk is the movement that the control API started, at most one.
type walk struct {
	mu     sync.Mutex
	rate   float64
	cancel context.CancelFunc
	done   chan struct{}
}

func (k *walk) start(s *Simulator, rate float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end()
	if rate <= 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	k.rate, k.cancel, k.done = rate, cancel, done
	go func() {
		defer close(done)
		s.Move(ctx, rate)
	}()
}

func (k *walk) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end()
}

func (k *walk) end() {
	if k.cancel != nil {
		k.cancel()
		<-k.done
	}
	k.rate, k.cancel, k.done = 0, nil, nil
}

func (k *walk) current() float64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rate
}

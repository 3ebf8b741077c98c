package presenceset_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sim "procallteams/dev/graph"
	"procallteams/functions/presenceset"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/graph"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// slowAnswers is storage that has done a renewal of the lease when nobody waits for
// its answer any more.
type slowAnswers struct {
	storage.Written
	renewals atomic.Int32
}

func (s *slowAnswers) SaveWriter(ctx context.Context, tenant string, row session.Writer) (session.Writer, error) {
	saved, err := s.Written.SaveWriter(ctx, tenant, row)
	if row.Holder == "" || s.renewals.Add(1) == 1 {
		return saved, err // the first takes the lease
	}
	select {
	case <-ctx.Done():
		return session.Writer{}, ctx.Err()
	case <-time.After(600 * time.Millisecond):
		return saved, err
	}
}

func TestARenewalThatIsUnderWayWhenATurnEndsIsNoLostLease(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	f.Written = &slowAnswers{Written: storage.Written{Storage: w.storage}}
	w.teams.Inject(sim.Fault{Kind: sim.Latency, Path: string(ada), Milliseconds: 1200, Count: 1})
	w.talks(ada)
	w.run(f)
	w.shows(ada, busy)
	if row := w.writer(); row.Holder != "" || row.Held != 1 {
		t.Errorf("writer = %+v; want the lease put back, and how writing stands", row)
	}
}

// deaf does what it is asked and answers that it is not there.
type deaf struct {
	presenceset.Graph
	status int
	left   atomic.Int32
}

func (d *deaf) SetPresence(ctx context.Context, token secret.Text, user presence.UserID, id string, pair presence.Settable, lasts presence.Lifetime) error {
	err := d.Graph.SetPresence(ctx, token, user, id, pair, lasts)
	if d.left.Add(-1) >= 0 && err == nil {
		return fmt.Errorf("setPresence: %w", &graph.ThrottledError{Status: d.status, RetryAfter: time.Second})
	}
	return err
}

func TestASetThatWasDoneAllTheSameIsTakenBack(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	d := &deaf{Graph: w.graph, status: http.StatusServiceUnavailable}
	d.left.Store(1)
	f.Graph = d
	w.talks(ada)
	done := make(chan struct{})
	go func() { w.run(f); close(done) }()
	w.eventually("the answer is noted", func() bool { return w.session(ada).Last.Answer != "" })
	w.hangsUp(ada)
	<-done
	w.pass(session.LateTime + session.SendTime)
	w.run(f)
	w.shows(ada, free)
}

func TestAFailureIsOverWhenNothingIsLeftToWrite(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	w.teams.Inject(sim.Fault{Kind: sim.Throttle, Path: "setPresence", RetryAfter: 30, Count: 1})
	w.talks(ada)
	w.run(f)
	if row := w.writer(); row.ErrorCode != "throttled" {
		t.Fatalf("writer = %+v", row)
	}
	w.hangsUp(ada)
	w.run(f)
	w.pass(time.Hour)
	w.turn(f)
	if row := w.writer(); row.Error != "" || row.ErrorCode != "" || !row.ErrorSince.IsZero() {
		t.Errorf("writer = %+v; want no failure: nobody waits for anything", row)
	}
}

func TestAFloodOfReportsLetsNoSessionRunOut(t *testing.T) {
	w := newWorld(t)
	w.change(func(i *settings.Integration) { i.GraphBudget = 300; i.TeamsToProCall = settings.Everyone }) // 5.5 a second
	ada, f := w.hire(), w.process()
	w.talks(ada)
	w.run(f)
	w.pass(8*time.Minute + 50*time.Second) // a renewal was due long ago, and the end is near
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range 5 {
				w.talks(w.hire())
			}
			time.Sleep(400 * time.Millisecond)
		}
	})
	for range 40 {
		w.talks(w.hire())
	}
	done := make(chan struct{})
	go func() { w.run(f); close(done) }()
	before := w.session(ada).Call.Expires
	renewed := false
	for range 250 {
		if renewed = w.session(ada).Call.Expires.After(before); renewed {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	if !renewed {
		t.Error("the session runs out, although the call goes on")
	}
	w.change(func(i *settings.Integration) { i.GraphBudget = 10000 })
	<-done
}

func TestManySessionsAtOnceHoldUpNoReport(t *testing.T) {
	w := newWorld(t)
	f := w.process()
	for range 60 {
		w.talks(w.hire())
	}
	w.run(f)
	w.change(func(i *settings.Integration) { i.Paused = true }) // all of them end
	w.run(f)
	w.calls(60, 60)
	w.change(func(i *settings.Integration) { // and come back, at 5.5 a second
		i.Paused, i.GraphBudget, i.TeamsToProCall = false, 300, settings.Everyone
	})
	done := make(chan struct{})
	go func() { w.run(f); close(done) }()
	w.eventually("they come back", func() bool { return w.sent("setPresence") > 60+5 })
	ada := w.hire()
	w.talks(ada)
	before := w.sent("setPresence")
	w.eventually("a new call shows", func() bool { return w.shown(ada) == busy })
	if n := w.sent("setPresence") - before; n > 15 {
		t.Errorf("%d others came first", n)
	}
	w.change(func(i *settings.Integration) { i.GraphBudget = 10000 })
	<-done
}

// apps notes with which token a session of which id is set.
type apps struct {
	presenceset.Graph
	open chan struct{} // until it is closed, no write goes on
	mu   sync.Mutex
	seen []string
}

func (a *apps) SetPresence(ctx context.Context, token secret.Text, user presence.UserID, id string, pair presence.Settable, lasts presence.Lifetime) error {
	a.mu.Lock()
	a.seen = append(a.seen, token.Reveal()+" "+id)
	a.mu.Unlock()
	<-a.open
	return a.Graph.SetPresence(ctx, token, user, id, pair, lasts)
}

func TestAnotherAppRegistrationGetsAnotherToken(t *testing.T) {
	const other = "5d0c5c5e-7b39-4f0e-8f0c-6c4c8c1d2e02"
	w := newWorld(t)
	ada, bob, f := w.hire(), w.hire(), w.process()
	a := &apps{Graph: w.graph, open: make(chan struct{})}
	f.Graph = a
	w.talks(ada)
	done := make(chan struct{})
	go func() { w.run(f); close(done) }()
	w.eventually("a call is under way", func() bool { return w.session(ada).Call.Open })
	w.tokens.mu.Lock()
	w.tokens.value = "token-2"
	w.tokens.mu.Unlock()
	w.change(func(i *settings.Integration) { i.ClientID = other })
	time.Sleep(1100 * time.Millisecond) // until the settings are read again
	w.talks(bob)
	close(a.open)
	<-done
	for _, seen := range a.seen {
		if seen != "token-1 "+app && seen != "token-2 "+other {
			t.Errorf("set with %s", seen)
		}
	}
	if len(a.seen) < 2 {
		t.Errorf("only %v", a.seen)
	}
}

func TestWhoAppearsOfflineIsNotMadeVisible(t *testing.T) {
	w := newWorld(t)
	w.change(func(i *settings.Integration) { i.AlsoWrite.DoNotDisturb = true })
	ada, f := w.hire(), w.process()
	w.prefers(ada, "Offline", "OffWork")
	w.reports(ada, calls.Report{State: calls.DoNotDisturb, Manual: &calls.Manual{State: calls.DoNotDisturb}})
	w.run(f)
	w.shows(ada, "Offline/OffWork")
	looked := func() int {
		n := 0
		for _, r := range w.teams.Requests() {
			if strings.HasSuffix(r.Path, "/getPresencesByUserId") {
				n++
			}
		}
		return n
	}
	before := looked()
	for range 20 { // ten minutes
		w.pass(30 * time.Second)
		w.turn(f)
	}
	if n := looked() - before; n > 2 {
		t.Errorf("looked %d times in ten minutes whether that is over", n)
	}
	w.hangsUp(ada)
	w.run(f)
	w.shows(ada, "Offline/OffWork")
}

func TestARefusalOfEverybodyIsForgottenSoon(t *testing.T) {
	w := newWorld(t)
	ada, bob, f := w.hire(), w.hire(), w.process()
	w.teams.Inject(sim.Fault{Kind: sim.Status, Path: "setPresence", Status: 403, Code: "Forbidden"})
	w.talks(ada)
	w.talks(bob)
	w.run(f)
	w.teams.Clear("")
	w.pass(time.Hour + time.Minute)
	w.turn(f)
	w.shows(ada, busy)
	w.shows(bob, busy)
}

// granted gives a token only for a grant that there is.
type granted struct{ *tokens }

func (g granted) WriteToken(ctx context.Context, tenant string, grants []consent.Grant) (consent.Token, error) {
	if len(grants) == 0 {
		return consent.Token{}, &consent.RequiredError{Kind: consent.Admin, Cause: "not given yet"}
	}
	return g.tokens.WriteToken(ctx, tenant, grants)
}

func TestAGrantToAnotherAppRegistrationCarriesNothing(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	grant := consent.Grant{Kind: consent.Admin, State: consent.Granted, ClientID: "5d0c5c5e-7b39-4f0e-8f0c-6c4c8c1d2e02"} // of before
	f.Tokens = granted{w.tokens}
	f.Look = func(ctx context.Context, tenant string) (presenceset.View, error) {
		view, err := w.look(ctx, tenant)
		view.Grants = []consent.Grant{grant}
		return view, err
	}
	w.talks(ada)
	w.run(f)
	w.calls(0, 0)
	if row := w.writer(); row.ErrorCode != "authorization-required" {
		t.Errorf("writer = %+v", row)
	}
	grant.ClientID = app
	w.turn(f)
	w.shows(ada, busy)
}

func TestWhatIsNoAnswerOfGraphIsNeitherSuccessNorRefusal(t *testing.T) {
	for name, fault := range map[string]sim.Fault{
		"a sign-in page":   {Kind: sim.HTML},
		"a redirect":       {Kind: sim.Status, Status: 302},
		"a proxy's demand": {Kind: sim.Status, Status: 407},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ada, f := w.hire(), w.process()
			fault.Path, fault.Count = "setPresence", 1
			w.teams.Inject(fault)
			w.talks(ada)
			w.run(f)
			w.pass(2 * time.Second)
			w.turn(f)
			w.shows(ada, busy)
			if s := w.session(ada); s.Refusal != nil || !s.Call.Held {
				t.Errorf("session = %+v", s)
			}
		})
	}
}

func TestAClockThatIsAheadLosesNoWakeUp(t *testing.T) {
	w := newWorld(t)
	ada, f := w.hire(), w.process()
	f.Now = func() time.Time { return w.clock().Add(4 * time.Second) }
	w.run(f) // nothing is due
	w.talks(ada)
	told := fmt.Sprintf(`{"tenant":%q,"at":%q}`, w.tenant, w.clock().UTC().Format(time.RFC3339Nano))
	if err := f.Run(t.Context(), []byte(told)); err != nil {
		t.Fatal(err)
	}
	w.shows(ada, busy)
}

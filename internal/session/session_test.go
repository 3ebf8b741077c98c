package session_test

import (
	"testing"
	"time"

	"procallteams/internal/calls"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

var start = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

const app = "app"

// at is a time after start.
func at(d time.Duration) time.Time { return start.Add(d) }

func world(edit ...func(*session.World)) session.World {
	w := session.World{
		Settings:  settings.Integration{ProCallToTeams: settings.Everyone, ClientID: app},
		Reporters: calls.Reporters{"r": {ID: "r", Epoch: 1}}, Lifetime: presence.LifetimeOf(10 * time.Minute),
	}
	for _, e := range edit {
		e(&w)
	}
	return w
}

func also(a settings.AlsoWrite) func(*session.World) {
	return func(w *session.World) { w.Settings.AlsoWrite = a }
}

func shows(availability presence.Availability, activity presence.Activity) func(*session.World) {
	return func(w *session.World) {
		w.Outcome, w.Published = presence.OutcomeOf(presence.State{Availability: availability, Activity: activity}), true
	}
}

func says(state calls.State, reasons calls.Reason) calls.Report {
	return calls.Report{Reporter: "r", Epoch: 1, State: state, Reasons: reasons}
}

func TestWhatReportsAskFor(t *testing.T) {
	everything := also(settings.AlsoWrite{Ringing: true, WrapUp: true, Appointment: true, DoNotDisturb: true})
	external := says(calls.Busy, calls.Call)
	external.External = true
	void := says(calls.Busy, calls.Call)
	void.Generation = 1
	old := says(calls.Busy, calls.Call)
	old.Epoch = 0
	stranger := says(calls.Busy, calls.Call)
	stranger.Reporter = "gone"
	manual := says(calls.DoNotDisturb, 0)
	manual.Manual = &calls.Manual{State: calls.DoNotDisturb}
	over := manual
	over.Manual = &calls.Manual{State: calls.DoNotDisturb, Until: start}
	for _, tt := range []struct {
		name    string
		world   session.World
		reports []calls.Report
		want    string // pair, or "doNotDisturb"
	}{
		{"nothing was said", world(), nil, ""},
		{"a call", world(), []calls.Report{says(calls.Busy, calls.Call)}, "Busy/InACall"},
		{"a conference", world(), []calls.Report{says(calls.Busy, calls.Conference)}, "Busy/InACall"},
		{"a call while do not disturb", world(), []calls.Report{says(calls.DoNotDisturb, calls.Call)}, "Busy/InACall"},
		{"busy for no reason", world(), []calls.Report{says(calls.Busy, 0)}, ""},
		{"ringing leaves Teams alone", world(), []calls.Report{says(calls.Busy, calls.Ringing)}, ""},
		{"ringing on request", world(everything), []calls.Report{says(calls.Busy, calls.Ringing)}, "Busy/InACall"},
		{"wrap-up leaves Teams alone", world(), []calls.Report{says(calls.Busy, calls.WrapUp)}, ""},
		{"wrap-up on request", world(everything), []calls.Report{says(calls.Busy, calls.WrapUp)}, "Busy/InACall"},
		{"an appointment leaves Teams alone", world(), []calls.Report{says(calls.Busy, calls.Appointment)}, ""},
		{"an appointment on request", world(everything), []calls.Report{says(calls.Busy, calls.Appointment)}, "Busy/InAConferenceCall"},
		{"an absence on request", world(everything), []calls.Report{says(calls.Absent, calls.Appointment)}, "Away/Away"},
		{"a free appointment", world(everything), []calls.Report{says(calls.Available, calls.Appointment)}, ""},
		{"a call outweighs an appointment", world(everything), []calls.Report{says(calls.Absent, calls.Appointment), says(calls.Busy, calls.Call)}, "Busy/InACall"},
		{"what Teams caused is not written to Teams", world(everything), []calls.Report{external}, ""},
		{"one reporter's call counts beside another's external one", world(), []calls.Report{external, says(calls.Busy, calls.Call)}, "Busy/InACall"},
		{"a report of a lease that ended", world(), []calls.Report{void}, ""},
		{"a report of an older epoch, which the newer one did not end", world(), []calls.Report{old}, "Busy/InACall"},
		{"a reporter that is not there any more", world(), []calls.Report{stranger}, ""},
		{"a manual choice leaves Teams alone", world(), []calls.Report{manual}, ""},
		{"a manual choice on request", world(everything), []calls.Report{manual}, "doNotDisturb"},
		{"a manual choice that is over", world(everything), []calls.Report{over}, ""},
		{"while paused", world(func(w *session.World) { w.Settings.Paused = true }), []calls.Report{says(calls.Busy, calls.Call)}, ""},
		{"while calls are not written", world(func(w *session.World) { w.Settings.ProCallToTeams = settings.Nobody }), []calls.Report{says(calls.Busy, calls.Call)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := session.Session{Reports: tt.reports}
			step := s.Next(start, tt.world)
			got := step.Pair.String()
			if step.Subject == session.Quiet && step.Deed != "" {
				got = string(step.Subject)
			}
			if got != tt.want || (step.Deed == session.Set) != (tt.want != "") || step.Deed == session.Clear {
				t.Errorf("Next() = %+v; want %q", step, tt.want)
			}
			if s.Wishes(tt.world) != (tt.want != "") && tt.name != "a manual choice that is over" {
				t.Errorf("Wishes() = %t", s.Wishes(tt.world))
			}
		})
	}
}

func TestWhatHoldsACallBack(t *testing.T) {
	signedIn := func(w *session.World) { w.Settings.OnlySignedIn = true }
	echo := func(w *session.World) {
		w.Outcome, w.Published = presence.EchoOf(presence.State{Availability: presence.Busy, Activity: presence.InACall}), true
	}
	for _, tt := range []struct {
		name  string
		world session.World
		want  session.Wait
	}{
		{"nothing is published", world(), ""},
		{"free", world(shows(presence.Available, "Available")), ""},
		{"a call in Teams", world(shows(presence.Busy, presence.InACall)), session.TeamsFirst},
		{"a conference in Teams", world(shows(presence.Busy, presence.InAConferenceCall)), session.TeamsFirst},
		{"a meeting, which contributes nothing", world(shows(presence.Busy, "InAMeeting")), ""},
		{"do not disturb in Teams", world(shows(presence.DoNotDisturb, "DoNotDisturb")), ""},
		{"our own echo", world(echo), ""},
		{"signed out", world(shows(presence.Offline, "Offline")), ""},
		{"signed out, and that counts", world(shows(presence.Offline, "Offline"), signedIn), session.SignedOut},
		{"unknown, and that counts", world(signedIn), session.SignedOut},
		{"away, and that counts", world(shows(presence.Away, "Away"), signedIn), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := session.Session{Reports: []calls.Report{says(calls.Busy, calls.Call)}}
			step := s.Next(start, tt.world)
			if s.Call.Wait != tt.want || (step.Deed == session.Set) != (tt.want == "") || step.Noted != (tt.want != "") || s.Waits() != (tt.want != "") {
				t.Errorf("wait %q, step %+v; want %q", s.Call.Wait, step, tt.want)
			}
			if again := s.Next(at(time.Hour), tt.world); tt.want != "" && (again.Noted || again.Deed != "" || !again.At.IsZero()) {
				t.Errorf("an hour later: %+v", again)
			}
			free := world(shows(presence.Available, "Available")).Outcome
			if s.Released(free) != (tt.want != "") {
				t.Errorf("Released() = %t", s.Released(free))
			}
		})
	}
}

func TestAWishIsHeldBackForAWhileAfterTeams(t *testing.T) {
	s := session.Session{Reports: []calls.Report{says(calls.Busy, calls.Call)}}
	busy, free := world(shows(presence.Busy, presence.InACall)), world(shows(presence.Available, "Available"))
	s.Next(start, busy)
	if step := s.Next(at(time.Minute), free); step.Deed != "" || !step.Noted || !step.At.Equal(at(time.Minute+session.Grace)) {
		t.Errorf("when Teams ends: %+v", step)
	}
	if step := s.Next(at(time.Minute+session.Grace/2), free); step.Deed != "" || step.Noted || !step.At.Equal(at(time.Minute+session.Grace)) {
		t.Errorf("half way: %+v", step)
	}
	again := s
	if step := again.Next(at(time.Minute+session.Grace/2), busy); step.Deed != "" || !step.Noted || !again.Call.WaitOver.IsZero() {
		t.Errorf("when Teams shows it again: %+v", step)
	}
	ended := s
	ended.Reports = []calls.Report{says(calls.Available, 0)}
	if step := ended.Next(at(time.Minute+session.Grace/2), free); step.Deed != "" || !step.Noted || ended.Waits() {
		t.Errorf("when UCServer has heard of the end: %+v", step)
	}
	if step := s.Next(at(time.Minute+session.Grace), free); step.Deed != session.Set || s.Waits() {
		t.Errorf("afterwards: %+v", step)
	}
}

// talking is a session that was set at start.
func talking(t *testing.T) session.Session {
	t.Helper()
	s := session.Session{Reports: []calls.Report{says(calls.Busy, calls.Call)}}
	do(t, &s, start, world(), session.Set, session.Reply{Answer: session.Done, Status: 200})
	return s
}

// do makes a session do the one thing that is wanted, with an answer.
func do(t *testing.T, s *session.Session, now time.Time, w session.World, want session.Deed, reply session.Reply) session.Step {
	t.Helper()
	step := s.Next(now, w)
	if step.Deed != want {
		t.Fatalf("at %s: %+v; want %s", now.Sub(start), step, want)
	}
	s.Begin(now, step, w.Settings.ClientID)
	s.End(now, step, reply)
	return step
}

func TestARenewalThatFailsLeavesTheTrueEnd(t *testing.T) {
	s := talking(t)
	end := s.Call.Expires
	if step := s.Next(at(6*time.Minute), world()); step.Deed != "" || !step.Renewal || !step.At.Equal(at(6*time.Minute+40*time.Second)) {
		t.Errorf("before two thirds: %+v", step)
	}
	if step := s.Next(at(7*time.Minute), world()); !step.Renewal {
		t.Errorf("at two thirds: %+v", step)
	}
	if step := s.Next(at(9*time.Minute), world()); step.Deed != session.Set || step.Renewal {
		t.Errorf("shortly before the end: %+v", step)
	}
	for _, answer := range []session.Answer{session.Failed, session.Unseen, session.Refused} {
		r := s
		do(t, &r, at(7*time.Minute), world(), session.Set, session.Reply{Answer: answer, Status: 500})
		if !r.Call.Expires.Equal(end) || !r.Call.Held {
			t.Errorf("%s: %+v", answer, r.Call)
		}
		step := r.Next(at(8*time.Minute), world())
		if (step.Deed == session.Set) != (answer != session.Refused) {
			t.Errorf("a minute after %s: %+v", answer, step)
		}
		if answer == session.Refused && (r.Refusal == nil || !step.At.Equal(at(7*time.Minute+session.RefusedTime)) && step.At.IsZero()) {
			t.Errorf("after a refusal: %+v", step)
		}
		r.Reports = nil
		do(t, &r, at(9*time.Minute), world(), session.Clear, session.Reply{Answer: session.Done})
	}
}

func TestWhatAnAnswerOfGraphIs(t *testing.T) {
	ours := presence.State{Availability: presence.Busy, Activity: presence.InACall}
	base := presence.State{Availability: presence.Busy, Activity: "Busy"}
	meeting := presence.State{Availability: presence.Busy, Activity: "InAMeeting"}
	s := talking(t)
	ended := s
	ended.Reports = nil
	do(t, &ended, at(time.Minute), world(), session.Clear, session.Reply{Answer: session.Done})
	begun := session.Session{Reports: s.Reports}
	begun.Begin(start, begun.Next(start, world()), app)
	refused := s
	refused.Reports = nil
	do(t, &refused, at(time.Minute), world(), session.Clear, session.Reply{Answer: session.Refused, Status: 403})
	moved := s
	do(t, &moved, at(time.Minute), world(func(w *session.World) { w.Settings.ClientID = "another" }), session.Set, session.Reply{Answer: session.Done})
	moved.Reports = nil
	do(t, &moved, at(2*time.Minute), world(func(w *session.World) { w.Settings.ClientID = "another" }), session.Clear, session.Reply{Answer: session.Done})
	for _, tt := range []struct {
		name  string
		s     session.Session
		state presence.State
		at    time.Duration
		want  bool
	}{
		{"nothing was ever written", session.Session{}, ours, 0, false},
		{"what we hold", s, ours, time.Minute, true},
		{"its base word", s, base, time.Minute, true},
		{"another pair while we hold ours", s, meeting, time.Minute, false},
		{"an intent whose answer is not there yet", begun, ours, time.Second, true},
		{"just after its end by itself", s, ours, 10*time.Minute + 30*time.Second, true},
		{"long after its end by itself", s, ours, 12 * time.Minute, false},
		{"just after the clear", ended, ours, time.Minute + session.EchoTime - 1, true},
		{"a minute after the clear it is a call in Teams", ended, ours, time.Minute + session.EchoTime, false},
		{"what could not be cleared, until it ends", refused, ours, 10 * time.Minute, true},
		{"afterwards", refused, ours, 12 * time.Minute, false},
		{"the session of another client id, until it ends", moved, ours, 10 * time.Minute, true},
		{"and afterwards", moved, ours, 12 * time.Minute, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.Echo(tt.state, at(tt.at)); got != tt.want {
				t.Errorf("Echo() = %t", got)
			}
		})
	}
}

func TestWhatLingersIsClearedOnceMoreAndThenIsACall(t *testing.T) {
	ours := presence.State{Availability: presence.Busy, Activity: presence.InACall}
	s := talking(t)
	if s.Lingers(ours, at(time.Minute)) {
		t.Error("what we hold lingers")
	}
	s.Reports = nil
	do(t, &s, at(time.Minute), world(), session.Clear, session.Reply{Answer: session.Done})
	if s.Lingers(ours, at(70*time.Second)) || !s.Lingers(ours, at(90*time.Second)) {
		t.Error("10 s after the clear is soon, 30 s are not")
	}
	s.Seen = at(90 * time.Second)
	do(t, &s, at(91*time.Second), world(), session.Clear, session.Reply{Answer: session.Done})
	if step := s.Next(at(92*time.Second), world()); step.Deed != "" {
		t.Errorf("once more: %+v", step)
	}
	if s.Lingers(ours, at(110*time.Second)) || s.Echo(ours, at(2*time.Minute)) {
		t.Error("the second clear prolongs what counts as an echo")
	}
	if s.Over(at(2*time.Minute)) || !s.Over(at(time.Minute+session.KeepTime)) {
		t.Error("the row is kept for three minutes")
	}
}

func TestAClientIDThatChangesLeavesTheOldSessionToItsEnd(t *testing.T) {
	s := talking(t)
	w := world(func(w *session.World) { w.Settings.ClientID = "another" })
	ended := s
	ended.Reports = nil
	if step := ended.Next(at(time.Minute), w); step.Deed != "" || !step.At.Equal(at(10*time.Minute)) {
		t.Errorf("a session of another app: %+v", step)
	}
	if step := ended.Next(at(10*time.Minute), w); step.Deed != "" || !step.Noted || ended.Holds() {
		t.Errorf("when it has ended: %+v", step)
	}
	// While the call lasts, the new app shows it.
	do(t, &s, at(time.Minute), w, session.Set, session.Reply{Answer: session.Done})
	if s.Call.ClientID != "another" || !s.Call.Held {
		t.Errorf("session = %+v", s.Call)
	}
}

func TestFailuresAreRepeatedEverMoreSlowlyButANewDeedIsTriedAtOnce(t *testing.T) {
	s := session.Session{Reports: []calls.Report{says(calls.Busy, calls.Call)}}
	now, tries := start, 0
	for ; now.Before(at(10 * time.Minute)); now = now.Add(time.Second) {
		step := s.Next(now, world())
		if step.Deed == "" {
			if !step.At.After(now) || step.Renewal {
				t.Fatalf("%+v", step)
			}
			continue
		}
		tries++
		s.Begin(now, step, app)
		s.End(now, step, session.Reply{Answer: session.Unseen})
	}
	if tries < 10 || tries > 20 {
		t.Errorf("%d tries in 10 minutes", tries)
	}
	s.Reports = nil
	if step := s.Next(now, world()); step.Deed != session.Clear {
		t.Errorf("the end of the call waits: %+v", step)
	}
}

func TestLifetimesGrowWithSessionsSoThatRenewalsTakeATenth(t *testing.T) {
	for _, tt := range []struct {
		sessions  int
		perSecond float64
		want      time.Duration
	}{
		{0, 27.5, 10 * time.Minute}, {100, 27.5, 10 * time.Minute}, {1100, 27.5, 10 * time.Minute}, {2200, 27.5, 20 * time.Minute},
		{5000, 27.5, 30 * time.Minute}, {5000, 183, 10 * time.Minute}, {100_000, 0.5, 30 * time.Minute},
	} {
		got := session.LifetimeFor(tt.sessions, tt.perSecond).Duration()
		if got != tt.want {
			t.Errorf("LifetimeFor(%d, %g) = %s; want %s", tt.sessions, tt.perSecond, got, tt.want)
		}
	}
}

func TestWhatThePersonChoseHidesOurSession(t *testing.T) {
	s := talking(t)
	quiet := presence.OutcomeOf(presence.State{Availability: presence.DoNotDisturb, Activity: "DoNotDisturb"})
	if !s.Hidden(quiet, at(time.Minute)) || s.Hidden(quiet, start) || s.Hidden(quiet, at(time.Hour)) {
		t.Error("a choice of the person is seen while our session lasts, by answers after it was set")
	}
	if s.Hidden(presence.EchoOf(presence.State{Availability: presence.Busy, Activity: presence.InACall}), at(time.Minute)) {
		t.Error("what shows is hidden")
	}
	// And nothing is repeated because of it.
	if step := s.Next(at(time.Minute), world(shows(presence.DoNotDisturb, "DoNotDisturb"))); step.Deed != "" || step.Noted {
		t.Errorf("Next() = %+v", step)
	}
}

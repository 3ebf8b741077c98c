package presencesync_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"procallteams/dev/azurite"
	"procallteams/functions/presencesync"
	"procallteams/internal/directory"
	"procallteams/internal/graph"
	"procallteams/internal/matching"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

const clientID = "9d2c7c0e-3b5a-4b8e-9d0a-2f5d6a7b8c9d"

// writer writes to Teams what is known to be wished, as the bridge's writer does:
// intent, call, answer.
type writer struct {
	*office
	written storage.Written
	steps   int64
}

func newWriter(t *testing.T, o *office) *writer {
	t.Helper()
	return &writer{office: o, written: storage.Written{Storage: o.storage}}
}

func (w *writer) save(s session.Session) {
	w.t.Helper()
	var err error
	if w.steps, err = w.written.Store(w.t.Context(), w.tenant, w.steps, session.Commit{Save: []session.Session{s}}); err != nil {
		w.t.Fatal(err)
	}
}

// does does one deed.
func (w *writer) does(user presence.UserID, deed session.Deed) {
	w.t.Helper()
	s, _, err := w.written.Session(w.t.Context(), w.tenant, user)
	if err != nil {
		w.t.Fatal(err)
	}
	step := session.Step{Subject: session.Call, Deed: deed, Pair: presence.InACallPair(), Lifetime: 10 * time.Minute}
	s.Begin(w.now, step, clientID)
	w.save(s)
	if deed == session.Set {
		err = w.graph.SetPresence(w.t.Context(), secret.New("app-token"), user, clientID, step.Pair, presence.LifetimeOf(step.Lifetime))
	} else {
		err = w.graph.ClearPresence(w.t.Context(), secret.New("app-token"), user, clientID)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	s.End(w.now, step, session.Reply{Answer: session.Done, Status: 200})
	w.save(s)
}

func (w *writer) phones(user presence.UserID)  { w.t.Helper(); w.does(user, session.Set) }
func (w *writer) hangsUp(user presence.UserID) { w.t.Helper(); w.does(user, session.Clear) }

// waits notes that a wish is held back because of what Teams contributes.
func (w *writer) waits(user presence.UserID) {
	w.t.Helper()
	w.save(session.Session{User: user, Call: session.Hold{Wait: session.TeamsFirst, WaitSince: w.now}})
}

// newCallsOffice is an office in which calls are written to Teams.
func newCallsOffice(t *testing.T) *writer {
	t.Helper()
	o := newOffice(t)
	o.change(func(i *settings.Integration) { i.ProCallToTeams, i.ClientID = settings.Everyone, clientID })
	return newWriter(t, o)
}

func TestWhatTheBridgeWroteIsNoCallInTeams(t *testing.T) {
	o := newCallsOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Available", "Available")
	o.tick()
	first := o.head()
	o.phones(ada)
	o.tick()
	o.tick()
	o.want(first, "ada@contoso.com Busy/InACall bridge")
	if c := o.since(first)[0]; c.Outcome.ProCall != (presence.Contribution{}) {
		t.Errorf("it contributes %+v; want nothing", c.Outcome.ProCall)
	}
	o.hangsUp(ada)
	cleared := o.head()
	o.tick()
	o.want(cleared, "ada@contoso.com Available/Available teams")
}

func TestSessionsThatCannotBeReadStopTheSync(t *testing.T) {
	o := newCallsOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Available", "Available")
	o.tick()
	first := o.head()
	o.phones(ada)
	// A row of another version of the bridge.
	broken := storage.Row{Partition: o.tenant, Key: storage.RowHeld + string(ada), Values: map[string]any{"data": "{"}}
	if err := o.storage.Upsert(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	o.tick()
	o.want(first)
	if beat := o.look().Heartbeat; beat.ErrorCode != "sessions-unreadable" || !beat.AsOf.Equal(o.now.Add(-5*time.Second)) {
		t.Errorf("heartbeat = %+v", beat)
	}
}

// between is a Graph that lets something happen after it answered.
type between struct {
	presencesync.Graph
	happen func()
}

func (b *between) Presences(ctx context.Context, token secret.Text, ids []presence.UserID) (graph.Answer, error) {
	answer, err := b.Graph.Presences(ctx, token, ids)
	if b.happen != nil {
		b.happen()
	}
	return answer, err
}

func TestAWriteDuringASyncIsNoCallInTeams(t *testing.T) {
	o := newCallsOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Available", "Available")
	o.tick()
	first := o.head()
	// The first session of all is set while Graph is being asked.
	o.teams.OnRequest(func(path string) {
		if path == "/v1.0/communications/getPresencesByUserId" {
			o.teams.OnRequest(nil)
			o.phones(ada)
		}
	})
	o.tick()
	o.want(first, "ada@contoso.com Busy/InACall bridge")
	// It is cleared after Graph answered.
	graph := &between{Graph: o.graph}
	graph.happen = func() { graph.happen = nil; o.hangsUp(ada) }
	o.sync.Graph = graph
	shown := o.head()
	o.tick()
	o.want(shown)
	o.tick()
	o.want(shown, "ada@contoso.com Available/Available teams")
}

// wakeUps counts the wake-ups of the writer, the only ones while nothing is pushed.
func wakeUps(wire *azurite.Wire) int { return wire.Counts()["queue.enqueue"] }

func TestStillBusyAMinuteAfterOurClearIsACallInTeams(t *testing.T) {
	o := newCallsOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Available", "Available")
	o.tick()
	o.phones(ada)
	o.tick()
	o.hangsUp(ada)
	cleared := o.now
	o.says(ada, "Busy", "InACall")
	first := o.head()
	for o.now.Sub(cleared) < 55*time.Second {
		o.tick()
	}
	o.want(first)
	o.tick()
	o.want(first, "ada@contoso.com Busy/InACall teams")
	due, err := storage.Calls{Storage: o.storage}.Due(t.Context(), o.tenant)
	if err != nil || len(due) != 1 || due[0].ID != ada || due[0].Told || due[0].Seen.Sub(cleared) < 20*time.Second {
		t.Errorf("due = %+v, %v; want what a sync saw, for the writer to clear once more", due, err)
	}
}

func TestTheWriterIsWokenOnceWhenTeamsContributesNoMore(t *testing.T) {
	o := newCallsOffice(t)
	ada, bob := o.hire("ada@contoso.com"), o.hire("bob@contoso.com")
	o.says(ada, "Busy", "InACall")
	o.says(bob, "Busy", "InACall")
	o.tick()
	o.waits(ada)
	o.waits(bob)
	o.tick()
	wire := wired(t, o.office)
	wakes := func() int {
		wire.Reset()
		o.tick()
		return wakeUps(wire)
	}
	if n := wakes(); n != 0 {
		t.Errorf("%d wake-ups while both are on the phone in Teams; counts %v", n, wire.Counts())
	}
	o.says(ada, "Available", "Available")
	o.says(bob, "Away", "Away")
	if n := wakes(); n != 1 {
		t.Errorf("%d wake-ups when both calls end; want one; counts %v", n, wire.Counts())
	}
	if n := wakes(); n != 0 {
		t.Errorf("%d wake-ups when nothing changed since", n)
	}
	o.now = o.now.Add(30 * time.Second)
	if n := wakes(); n != 1 {
		t.Errorf("%d wake-ups after the writer did nothing for half a minute; want another", n)
	}
}

func TestACallThatThePersonHidesIsCounted(t *testing.T) {
	o := newCallsOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Available", "Available")
	o.tick()
	o.phones(ada)
	if err := o.graph.SetDoNotDisturb(t.Context(), secret.New("app-token"), ada, time.Hour); err != nil {
		t.Fatal(err)
	}
	first := o.head()
	o.tick()
	o.want(first, "ada@contoso.com DoNotDisturb/DoNotDisturb teams")
	if n := o.look().Heartbeat.Hidden; n != 1 {
		t.Errorf("hidden = %d; want 1", n)
	}
	o.hangsUp(ada)
	o.tick()
	if n := o.look().Heartbeat.Hidden; n != 0 {
		t.Errorf("hidden = %d after the call; want 0", n)
	}
}

func TestCallsInQuickSuccessionAreNoAlternation(t *testing.T) {
	o := newCallsOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Available", "Available")
	o.tick()
	first := o.head()
	const calls = 6
	for range calls {
		o.phones(ada)
		o.tick()
		o.hangsUp(ada)
		o.tick()
	}
	if n := len(o.since(first)); n != 2*calls {
		t.Errorf("%d changes; want %d", n, 2*calls)
	}
	if odd := o.look().Heartbeat.Oddities; len(odd) != 0 {
		t.Errorf("oddities = %v; these were the bridge's own writes", odd)
	}
}

func TestWhatIsLeftAfterSwitchingOffIsStillKnownAsOurs(t *testing.T) {
	o := newCallsOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Available", "Available")
	o.tick()
	o.phones(ada)
	lease := session.Writer{At: o.now, Held: 1}
	lease, err := o.written.SaveWriter(t.Context(), o.tenant, lease)
	if err != nil {
		t.Fatal(err)
	}
	first := o.head()
	o.change(func(i *settings.Integration) { i.ProCallToTeams = settings.Nobody })
	o.tick()
	o.want(first, "ada@contoso.com Busy/InACall bridge")
	// Cleared, and Teams shows it for a while yet.
	o.hangsUp(ada)
	o.says(ada, "Busy", "InACall")
	lease.At, lease.Held = o.now, 0
	if _, err := o.written.SaveWriter(t.Context(), o.tenant, lease); err != nil {
		t.Fatal(err)
	}
	echoed := o.head()
	o.after(40 * time.Second)
	o.want(echoed)
	o.after(40 * time.Second)
	o.want(echoed, "ada@contoso.com Busy/InACall teams")
}

func TestWhenOnlyCallsAreWrittenTheDirectoryIsKept(t *testing.T) {
	o := newCallsOffice(t)
	ada := o.hire("ada@contoso.com")
	o.says(ada, "Busy", "InACall")
	o.change(func(i *settings.Integration) { i.TeamsToProCall = settings.Nobody })
	o.tick()
	o.want(0)
	d, err := o.storage.Directory(t.Context(), o.look().Directory)
	if err != nil {
		t.Fatal(err)
	}
	if person, ok := d.Find(ada); !ok || person.Standing != directory.TakesPart {
		t.Errorf("directory has %+v, %t", person, ok)
	}
	asked := func() (directories, presences int) {
		before := len(o.teams.Requests())
		o.tick()
		for _, request := range o.teams.Requests()[before:] {
			if request.Path == "/v1.0/communications/getPresencesByUserId" {
				presences++
			} else {
				directories++
			}
		}
		return directories, presences
	}
	for range 20 {
		if directories, presences := asked(); directories+presences != 0 {
			t.Fatalf("%d requests for the directory and %d for presences; want none", directories, presences)
		}
	}
	bob := o.hire("bob@contoso.com")
	o.reread()
	o.tick()
	if d, err = o.storage.Directory(t.Context(), o.look().Directory); err != nil {
		t.Fatal(err)
	}
	if person, ok := d.Find(bob); !ok || !person.Writes || person.Reads {
		t.Errorf("who came later is %+v, %t", person, ok)
	}
	if beat := o.look().Heartbeat; beat.Error != "" || !beat.AsOf.IsZero() || beat.Users != 0 {
		t.Errorf("heartbeat = %+v", beat)
	}
	o.change(func(i *settings.Integration) { i.Paused = true })
	o.now = o.now.Add(16 * time.Minute)
	if directories, presences := asked(); directories+presences != 0 {
		t.Errorf("%d requests for the directory and %d for presences while paused", directories, presences)
	}
}

// unlisted is a Graph that refuses to list users.
type unlisted struct{ presencesync.Graph }

func (unlisted) Users(context.Context, secret.Text, graph.Detail) iter.Seq2[matching.Account, error] {
	return func(yield func(matching.Account, error) bool) { yield(matching.Account{}, errors.New("not today")) }
}

func TestADirectoryThatCannotBeReadForCallsIsNoted(t *testing.T) {
	o := newCallsOffice(t)
	o.says(o.hire("ada@contoso.com"), "Busy", "InACall")
	o.tick()
	first := o.head()
	o.change(func(i *settings.Integration) { i.TeamsToProCall = settings.Nobody })
	o.restartWith(unlisted{o.graph})
	// Somebody removed what is stored about the tenant's people.
	now := o.look()
	for _, blob := range []string{now.Directory.Blob, now.Accounts.Blob} {
		if err := o.storage.DeleteBlob(t.Context(), blob); err != nil {
			t.Fatal(err)
		}
	}
	o.now = o.now.Add(time.Hour)
	o.tick()
	o.want(first, "ada@contoso.com removed:disabled")
	if beat := o.look().Heartbeat; beat.ErrorCode != "graph-unreachable" {
		t.Errorf("heartbeat = %+v", beat)
	}
}

func (o *office) restartWith(g presencesync.Graph) {
	o.restart()
	o.sync.Graph = g
}

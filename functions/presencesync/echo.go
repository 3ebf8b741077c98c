package presencesync

import (
	"context"
	"maps"
	"time"

	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/storage"
)

const (
	// afterWriting is for how long sessions are looked at when nothing is written
	// any more: longer than any of ours lasts without being renewed.
	afterWriting = time.Hour
	// tellAgain is the least time between two wake-ups because of the same person.
	tellAgain = 30 * time.Second
)

// echoes is what a run knows about the bridge's own writes, and finds out about
// them.
type echoes struct {
	sessions map[presence.UserID]session.Session
	// lingering are people of whom Teams shows what we cleared; released says that
	// somebody else is there whose wish needs to wait no longer.
	lingering []presence.UserID
	released  bool
	// told are those whom the writer was told about, and when.
	told   map[presence.UserID]time.Time
	hidden int
}

// mayEcho reports whether Teams may show something that the bridge wrote. Paused
// and switched-off writers still clear what they left.
func (r *run) mayEcho() bool {
	w := r.now.Writer
	return r.settings.ProCallToTeams.On() || w.Held > 0 || r.start.Sub(w.At) < afterWriting || r.start.Sub(w.LastWrite) < afterWriting
}

// readSessions reads what the bridge keeps in Teams. It is read after Graph's
// answers: the intent of a write is stored before the write, so whatever of ours
// an answer shows is in these rows. Rows read before could miss it, and the answer
// would be published as a call in Teams.
func (r *run) readSessions(ctx context.Context) *failure {
	r.echo = echoes{told: map[presence.UserID]time.Time{}}
	if !r.mayEcho() {
		return nil
	}
	if err := r.written.catchUp(ctx, storage.Written{Storage: r.Storage}, r.tenant.id, r.start); err != nil {
		return &failure{code: sessionsUnreadable, err: err}
	}
	r.echo.sessions = r.written.sessions
	return nil
}

// written keeps the sessions between runs, so that a run reads only those that were
// written since: one storage operation, however many there are.
type written struct {
	sessions map[presence.UserID]session.Session
	steps    int64
}

func (w *written) catchUp(ctx context.Context, store storage.Written, tenant string, now time.Time) error {
	changed, steps, err := store.SessionsSince(ctx, tenant, w.steps)
	if err == nil && steps < w.steps { // another table: somebody emptied the storage
		// Both, or a fault in what follows would leave only what is written later.
		w.sessions, w.steps = nil, 0
		changed, steps, err = store.SessionsSince(ctx, tenant, 0)
	}
	if err != nil {
		return err
	}
	maps.DeleteFunc(w.sessions, func(_ presence.UserID, s session.Session) bool { return s.Over(now) })
	if w.sessions == nil {
		w.sessions = changed
	}
	maps.Copy(w.sessions, changed)
	w.steps = steps
	return nil
}

// outcomeOf judges a state that Graph answered with.
func (r *run) outcomeOf(id presence.UserID, state presence.State, at time.Time) presence.Outcome {
	if len(r.echo.sessions) == 0 {
		return r.mapping.OutcomeOf(state)
	}
	s, ok := r.echo.sessions[id]
	if !ok || !s.Echo(state, at) {
		return r.mapping.OutcomeOf(state)
	}
	if s.Lingers(state, at) && r.news(id) {
		r.echo.lingering = append(r.echo.lingering, id)
	}
	return presence.EchoOf(state)
}

// reflect notes what is published, when this run is done, about a person for whom
// the bridge writes.
func (r *run) reflect(id presence.UserID, outcome presence.Outcome, at time.Time) {
	s, ok := r.echo.sessions[id]
	if !ok {
		return
	}
	if s.Hidden(outcome, at) {
		r.echo.hidden++
	}
	if s.Released(outcome) && r.news(id) {
		r.echo.released = true
	}
}

// news reports whether the writer has to be told about a person, and notes that.
func (r *run) news(id presence.UserID) bool {
	since, told := r.told[id]
	if told = told && r.start.Sub(since) < tellAgain; !told {
		since = r.start
	}
	r.echo.told[id] = since
	return !told
}

// tellWriter tells what the writer is waiting for, with one wake-up. What is lost
// here is said again by the next sync; upkeep looks once a minute besides.
func (r *run) tellWriter(ctx context.Context) {
	if r.told = r.echo.told; len(r.echo.lingering) == 0 && !r.echo.released {
		return
	}
	err := storage.Calls{Storage: r.Storage}.MarkSeen(ctx, r.tenant.id, r.echo.lingering, r.start)
	if err == nil {
		err = r.Storage.WakeWriter(ctx, r.tenant.id, 0)
	}
	if err != nil {
		r.told = nil
		r.log.Warn("writer not woken", "error", err.Error())
	}
}

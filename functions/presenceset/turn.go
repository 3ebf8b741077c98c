package presenceset

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/host"
	"procallteams/internal/presence"
	"procallteams/internal/session"
	"procallteams/internal/storage"
)

const (
	// viewTime is how old a view may be while a turn goes on, dueTime what was read
	// of what is due.
	viewTime = time.Second
	dueTime  = 250 * time.Millisecond
	// many is how much can't be done before it is read again.
	many = 10 * inFlight
	// lookInside is how long a turn waits for the next thing to do, paceInside for
	// room in the budget or the end of a pause that Graph asked for; longer waits are
	// for a delayed wake-up, up to ahead; still longer ones are upkeep's.
	lookInside = time.Second
	paceInside = 5 * time.Second
	ahead      = time.Minute
	// moment is how long to wait for one more answer.
	moment = 10 * time.Millisecond
)

// turn is from taking the lease to putting it back. One goroutine owns it; calls
// run beside it and send their answers to results.
type turn struct {
	*Function
	*memory
	lease     *lease
	end       time.Time // nothing is begun after
	view      View
	viewed    time.Time
	published Published
	// due is what was read and not acted on, order its ids, oldest first; dueRead
	// is when, versions what else is known of and is not news.
	due     map[presence.UserID]calls.Due
	order   []presence.UserID
	dueRead time.Time

	// flying are the calls whose answer was not taken in; underway counts those that
	// have none yet, planned those that are about to be made.
	flying   map[presence.UserID]*flight
	results  chan *flight
	underway atomic.Int32
	planned  int
	// calling ends when the lease is lost.
	calling context.Context

	// What the next step stores.
	changed map[presence.UserID]bool
	done    []calls.Due

	token   consent.Token
	doubted bool // the token is one that was got because Graph refused the first
	proven  bool // Graph has accepted it
	// until is when the pause ends that Graph asked for. again is when something can
	// be done that could not be done now, soon when somebody is to be looked at.
	until, again, soon time.Time
	wrote              time.Time // when a call last succeeded
	failure            *failure  // the last, nil after a success
	barred             bool      // nothing can be written in this turn
}

// begin looks whether there is something to do, and takes the lease then. nil:
// there is not, or somebody else does it.
func (f *Function) begin(ctx context.Context, tenant string, end time.Time, woken bool) (*turn, error) {
	t := &turn{Function: f, end: end, flying: map[presence.UserID]*flight{}, results: make(chan *flight, 2*inFlight), changed: map[presence.UserID]bool{}}
	looked := f.Now()
	view, err := f.Look(ctx, tenant)
	if err != nil {
		return nil, err
	}
	t.view, t.viewed, t.until = view, looked, view.ThrottledUntil
	if view.Retired {
		return nil, nil
	}
	if view.Writer.Until.After(looked) && view.Writer.Holder != f.holder {
		if woken { // who has the lease may be dead, and this the only wake-up
			f.wakeAt(ctx, tenant, view.Writer.Until.Add(time.Second))
		}
		return nil, nil
	}
	if err := t.remember(ctx, tenant); err != nil {
		return nil, err
	}
	if !view.Settings.Writes() && len(t.people) == 0 && !woken {
		return nil, nil
	}
	if err := t.read(ctx); err != nil {
		return nil, err
	}
	f.served.Store(&lookedAt{tenant, looked})
	if !t.ready(f.Now()) {
		t.wakeLater(ctx)
		return nil, nil
	}
	// The sessions were read after the version that is taken over: nobody wrote in
	// between.
	t.lease, err = f.take(ctx, tenant, view.Writer)
	if errors.Is(err, storage.ErrChanged) {
		f.memory = nil
		return nil, nil // another process was faster
	}
	return t, err
}

// remember makes sure that the sessions are those of the view.
func (t *turn) remember(ctx context.Context, tenant string) error {
	t.memory = t.Function.memory
	if t.memory == nil || t.tenant != tenant || t.version != t.view.Writer.Version {
		sessions, steps, err := t.Written.Sessions(ctx, tenant)
		if err != nil {
			return err
		}
		t.memory = newMemory(tenant, t.view.Writer.Version, sessions, steps)
		t.Function.memory = t.memory
	}
	return nil
}

// read reads what is published and what is due, after the view: whoever reads the
// end of a lease there also reads here what the reporter has said again since.
func (t *turn) read(ctx context.Context) error {
	t.published = func(presence.UserID) (presence.Outcome, bool) { return presence.Outcome{}, false }
	if t.view.Settings.Writes() {
		published, err := t.Published(ctx, t.tenant, t.view)
		if err != nil {
			return err
		}
		t.published = published
	}
	t.pace()
	if err := t.readDue(ctx); err != nil {
		return err
	}
	t.review(t.view, t.Now(), t.world)
	return nil
}

func (t *turn) readDue(ctx context.Context) error {
	t.dueRead = t.Now()
	list, err := t.Work.Due(ctx, t.tenant)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b calls.Due) int { return a.At.Compare(b.At) })
	t.due, t.order = make(map[presence.UserID]calls.Due, len(list)), t.order[:0]
	for _, d := range list {
		t.due[d.ID] = d
		t.order = append(t.order, d.ID)
	}
	return nil
}

// refresh reads again what may have changed.
func (t *turn) refresh(ctx context.Context) error {
	now, fresh, dueFresh := t.Now(), viewTime, dueTime
	if len(t.due) > many {
		fresh, dueFresh = 5*viewTime, 5*viewTime // reading them costs more than it tells
	}
	if now.Sub(t.viewed) < fresh {
		if now.Sub(t.dueRead) < dueFresh {
			return nil
		}
		return t.readDue(ctx)
	}
	view, err := t.Look(ctx, t.tenant)
	if err != nil {
		return err
	}
	if view.Settings.ClientID != t.view.Settings.ClientID {
		t.token, t.doubted, t.proven = consent.Token{}, false, false // another app's
	}
	t.view, t.viewed = view, now
	if view.ThrottledUntil.After(t.until) {
		t.until = view.ThrottledUntil
	}
	if view.Retired {
		t.end = now
	}
	if err := t.read(ctx); err != nil {
		return err
	}
	t.served.Store(&lookedAt{t.tenant, now})
	return nil
}

// burst is the most calls that are made at once after a quiet time.
const burst = 16

// pace sets the limiter to writing's share.
func (t *turn) pace() {
	if t.limit == nil {
		t.limit = rate.NewLimiter(0, 0)
	}
	limit := rate.Limit(t.view.Settings.WritingRate())
	if t.limit.Limit() != limit {
		t.limit.SetLimitAt(t.Now(), limit)
		t.limit.SetBurstAt(t.Now(), min(max(int(limit), 2), burst))
	}
}

func (t *turn) world(id presence.UserID) session.World {
	w := session.World{Settings: t.view.Settings, Reporters: t.view.Reporters, Lifetime: session.LifetimeFor(len(t.people), t.view.Settings.WritingRate())}
	w.Outcome, w.Published = t.published(id)
	return w
}

// ready reports whether there is anything to do now.
func (t *turn) ready(now time.Time) bool {
	if len(t.due) > 0 {
		return true
	}
	for _, p := range t.people {
		if !p.look.IsZero() && !p.look.After(now) {
			return true
		}
	}
	return false
}

// run does the turn's work and puts the lease back.
func (t *turn) run(ctx context.Context) error {
	calling, cancel := context.WithCancel(ctx)
	t.calling = calling
	err := t.work(ctx)
	if err != nil {
		// Nothing of ours may be under way any more, and nothing is known for sure.
		cancel()
		for range t.flying {
			<-t.results
		}
		t.lease.stop()
		return err
	}
	cancel()
	if t.version, err = t.lease.release(ctx, t.note); err != nil {
		return err
	}
	t.wakeLater(ctx)
	return nil
}

// work repeats: decide, store, call, until there is nothing more to do now. It
// returns errLost or errOld when another process may write, or did.
func (t *turn) work(ctx context.Context) error {
	for {
		flights := t.plan(ctx)
		if err := t.store(ctx); err != nil {
			for _, f := range flights { // never sent
				delete(t.flying, f.id)
			}
			return err
		}
		for _, f := range flights {
			t.launch(f)
		}
		wait, over := t.pause()
		if over {
			return nil
		}
		if err := t.wait(ctx, wait); err != nil {
			return err
		}
		if err := t.refresh(ctx); err != nil {
			return err
		}
	}
}

// pause returns how long to wait for an answer, and reports whether the turn is
// over: nothing is under way, and nothing can be done soon.
func (t *turn) pause() (time.Duration, bool) {
	now := t.Now()
	wait, idle := dueTime, true
	for _, next := range []struct {
		at       time.Time
		patience time.Duration
	}{{t.again, paceInside}, {t.soon, lookInside}} {
		if d := next.at.Sub(now); !next.at.IsZero() && d <= next.patience {
			wait, idle = min(wait, max(d, time.Millisecond)), false
		}
	}
	if len(t.flying) > 0 {
		return wait, false
	}
	return wait, idle || t.barred || !now.Before(t.end)
}

// wait takes answers in, until none comes for a moment: one step stores many.
func (t *turn) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for landed := 0; ; {
		select {
		case <-t.lease.lost:
			return errLost
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case f := <-t.results:
			t.land(ctx, f)
			if landed++; landed == inFlight/2 || len(t.flying) == 0 {
				return nil
			}
			timer.Reset(moment)
		}
	}
}

// store makes durable what changed, before anything of it is called.
func (t *turn) store(ctx context.Context) error {
	if len(t.changed) == 0 && len(t.done) == 0 {
		return nil
	}
	step := session.Commit{Done: t.done}
	now := t.Now()
	for id := range t.changed {
		switch p := t.people[id]; {
		case !p.Over(now):
			step.Save = append(step.Save, p.Session)
			p.stored = true
		case p.stored:
			step.Forget = append(step.Forget, id)
			delete(t.people, id)
		default:
			delete(t.people, id)
		}
	}
	clear(t.changed)
	t.done = nil
	if len(step.Save)+len(step.Forget)+len(step.Done) == 0 {
		return nil
	}
	steps, err := t.Written.Store(ctx, t.tenant, t.steps, step)
	if errors.Is(err, storage.ErrChanged) {
		return errOld
	}
	t.steps = steps
	return err
}

// note writes down how writing stands.
func (t *turn) note(w *session.Writer) {
	now := t.Now().UTC()
	w.At, w.Held, w.Waiting, w.Refused, w.Due, w.DueSince = now, 0, 0, 0, len(t.due), time.Time{}
	for _, p := range t.people {
		if p.Holds() {
			w.Held++
		}
		if p.Waits() {
			w.Waiting++
		}
		if p.Refused(now) {
			w.Refused++
		}
	}
	for _, d := range t.due {
		if !d.At.IsZero() && (w.DueSince.IsZero() || d.At.Before(w.DueSince)) {
			w.DueSince = d.At
		}
	}
	if !t.wrote.IsZero() {
		w.LastWrite = t.wrote.UTC()
	}
	switch {
	case t.failure != nil:
		if w.ErrorSince.IsZero() {
			w.ErrorSince = now
		}
		w.Error, w.ErrorCode = t.failure.Error(), t.failure.code
	case !t.wrote.IsZero() || t.settled(now):
		w.Error, w.ErrorCode, w.ErrorSince = "", "", time.Time{}
	}
}

// settled reports whether nobody waits for a call to Graph: what failed before is
// over then, even though nothing succeeded since.
func (t *turn) settled(now time.Time) bool {
	for _, p := range t.people {
		if p.Unsettled() {
			return false
		}
	}
	return !t.ready(now)
}

// news reports whether anything became due that this turn has not seen: its
// wake-up may have come to a process that found our lease.
func (t *turn) news(ctx context.Context) (bool, error) {
	if t.view.Retired {
		return false, nil
	}
	if !t.Now().Before(t.end) && t.ready(t.Now()) && !t.barred && !t.until.After(t.Now()) {
		return true, nil
	}
	list, err := t.Work.Due(ctx, t.tenant)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(list, func(d calls.Due) bool {
		known, ok := t.due[d.ID]
		return !ok || known.Version != d.Version
	}), nil
}

// wakeLater asks for one wake-up when there is something to do within the next
// minute. One that was asked for already serves.
func (t *turn) wakeLater(ctx context.Context) {
	now := t.Now()
	at := t.again
	for _, p := range t.people {
		if !p.idle && !p.look.IsZero() && (at.IsZero() || p.look.Before(at)) {
			at = p.look
		}
	}
	if !at.IsZero() && at.Before(t.until) {
		at = t.until
	}
	if !t.barred && at.After(now) && at.Sub(now) <= ahead {
		t.wakeAt(ctx, t.tenant, at)
	}
}

// wakeAt asks for one wake-up at a time. One that was asked for already serves, up
// to a second later too.
func (f *Function) wakeAt(ctx context.Context, tenant string, at time.Time) {
	now := f.Now()
	if f.asked.After(now) && !f.asked.After(at.Add(time.Second)) {
		return
	}
	if err := f.Wake(ctx, tenant, at.Sub(now)); err != nil {
		host.Log(ctx, f.Log).Warn("delayed wake-up not sent; upkeep will look", "error", err.Error())
		return
	}
	f.asked = at
}

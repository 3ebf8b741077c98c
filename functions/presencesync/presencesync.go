// Package presencesync is the timer function that reads presences from Teams and
// appends what changed to the feed.
//
// One run: read what is known about the tenant, the feed's head included (one
// storage operation, before Graph is asked: an old answer must never be appended
// behind a newer head) -> who takes part -> presences, in batches -> what differs
// from the published outcomes -> one append -> wake the pusher -> heartbeat. A
// run in which nothing changed costs the first and the last storage operation
// and one Graph request per 650 users. What is kept in memory is a cache: any
// process may do the next run. A run that can't read says so in the heartbeat,
// and withdraws what Teams caused once that has lasted too long.
//
// While calls are written to Teams, what the bridge itself wrote there is read
// after the presences (one storage operation more), so that nothing of ours is
// published as a state of Teams (docs/echo.md).
package presencesync

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/graph"
	"procallteams/internal/health"
	"procallteams/internal/host"
	"procallteams/internal/matching"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
	"procallteams/internal/telemetry"
)

// deadline bounds one run.
const deadline = 60 * time.Second

// Graph reads Microsoft Graph.
type Graph interface {
	// Presences reads at most 650 users: see [graph.Client.Presences].
	Presences(ctx context.Context, token secret.Text, ids []presence.UserID) (graph.Answer, error)
	// Users lists the tenant: see [graph.Client.Users].
	Users(ctx context.Context, token secret.Text, detail graph.Detail) iter.Seq2[matching.Account, error]
	// UsersLink is where their changes begin: see [graph.Client.UsersLink].
	UsersLink(ctx context.Context, token secret.Text, detail graph.Detail) (string, error)
}

// Tokens gives access to Graph.
type Tokens interface {
	// ReadToken returns a token that reads presences. grants are the tenant's
	// grants as just read. It returns a *consent.RequiredError when an
	// administrator has to consent.
	ReadToken(ctx context.Context, tenant string, grants []consent.Grant) (consent.Token, error)
	// DirectoryToken returns one that reads accounts, likewise.
	DirectoryToken(ctx context.Context, tenant string, grants []consent.Grant) (consent.Token, error)
	// Refused tells that Graph answered 401 or 403 to the token.
	Refused(ctx context.Context, tenant string, token consent.Token, status int) error
}

// Function is the code of function.json beside this file. It is made once per
// process; its runs follow one another.
type Function struct {
	Storage  *storage.Storage
	Settings storage.Settings
	Graph    Graph
	Tokens   Tokens
	// Books keeps the state of each tenant warm.
	Books *feed.Shelf
	// People keeps who takes part, for every function of the process.
	People *directory.Cache
	// Names is the path of the package's usermatching.csv, which need not be there.
	Names string
	// Interval is the time between two ticks of the schedule.
	Interval time.Duration
	// Unsteady returns how often the platform's identity endpoint failed since the
	// process started.
	Unsteady func() int64
	Now      func() time.Time
	Log      *slog.Logger
	Meter    *telemetry.Meter

	running sync.Mutex // held by the run in progress, which owns what follows
	began   time.Time  // when the run before began
	tenant  *tenant    // what is kept in memory; nil before the first run
}

// Run does one sync. It returns an error when what it found could not be stored;
// that it could not read is stored, and no error.
func (f *Function) Run(ctx context.Context, _ host.Tick) error {
	if !f.running.TryLock() {
		return nil // the run in progress reads what this one would
	}
	defer f.running.Unlock()
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if f.tenant == nil {
		if err := f.adopt(ctx); err != nil || f.tenant == nil {
			return err
		}
	}
	start := f.Now()
	now, err := f.Storage.Now(ctx, f.tenant.id)
	if err != nil {
		return err
	}
	if now.Retired {
		id := f.tenant.id
		if err := f.adopt(ctx); err != nil || f.tenant == nil {
			return err
		}
		if f.tenant.id != id {
			if now, err = f.Storage.Now(ctx, f.tenant.id); err != nil {
				return err
			}
		}
	}
	run := f.newRun(ctx, now, start)
	err = run.do(ctx)
	run.measure(ctx, err)
	if errors.Is(err, feed.ErrLostRace) {
		// Another process appended. What was read may be older than that, so it is
		// dropped: comparing it anew would turn time back.
		run.log.Info("sync discarded", "reason", "another process was faster")
		return nil
	}
	return err
}

// adopt finds the tenant in use and forgets another one's state.
func (f *Function) adopt(ctx context.Context) error {
	id, err := f.Settings.Tenant(ctx)
	switch {
	case err != nil:
		return err
	case id == "":
		f.tenant = nil
	case f.tenant == nil || f.tenant.id != id:
		f.tenant = newTenant(id, f.Books.Of(id))
	}
	return nil
}

// run is one sync.
type run struct {
	*Function
	*tenant
	now      storage.Now
	settings settings.Integration // with app settings applied
	mapping  presence.Mapping
	start    time.Time
	beat     health.Heartbeat
	feed     *storage.Feed
	book     *feed.Book
	changes  []feed.Change
	// removed are those of whom changes holds a removal, and why.
	removed map[presence.UserID]feed.RemovedReason
	// unknown is why it is not known who takes part as of now; nil when it is.
	unknown error
	echo    echoes
	log     *slog.Logger
}

func (f *Function) newRun(ctx context.Context, now storage.Now, start time.Time) *run {
	r := &run{Function: f, tenant: f.tenant, now: now, start: start, beat: now.Heartbeat, feed: f.Storage.Feed(f.tenant.id), log: host.Log(ctx, f.Log), removed: map[presence.UserID]feed.RemovedReason{}}
	r.settings, _ = now.Settings.Override(f.Settings.Overrides)
	r.mapping = presence.NewMapping(r.settings.Mapping.Overrides())
	r.beat.Attempt = start.UTC()
	r.beat.Requests, r.beat.Failed, r.beat.Changes = 0, 0, 0
	return r
}

func (r *run) do(ctx context.Context) error {
	var err error
	if r.book, err = r.warm.Book(ctx, r.feed, r.now.Head); err != nil {
		return fmt.Errorf("read the feed: %w", err)
	}
	r.recall(r.now.Heartbeat.Missing)
	r.lookUp(ctx)
	switch {
	case r.settings.Paused:
		r.part()
		r.withdraw(presence.FromPause)
		r.rest()
		r.succeeded()
	case !r.settings.Reads():
		r.removeAll(feed.Disabled)
		if r.rest(); r.settings.Writes() {
			r.keepDirectory(ctx)
		} else {
			r.succeeded()
		}
	default:
		if failure := r.read(ctx); failure != nil {
			r.part()
			r.fail(failure)
		} else {
			r.beat.AsOf = r.start.UTC()
			r.succeeded()
		}
	}
	return r.publish(ctx)
}

// lookUp brings what is known about people up to date. When that fails, what was
// known before serves.
func (r *run) lookUp(ctx context.Context) {
	r.unknown = r.know(ctx)
	if r.unknown == nil || errors.Is(r.unknown, errFaster) || errors.Is(r.unknown, errAwaited) {
		return
	}
	r.odd.add("directory not made", 1)
	if r.start.Sub(r.saidUnknown) >= time.Minute {
		r.saidUnknown = r.start
		r.log.Warn("who takes part is not known anew; what was known serves", "error", r.unknown.Error())
	}
}

// publish appends, wakes the pusher and stores the heartbeat, in this order. A
// crash after the append leaves a wake-up to upkeep; one before the heartbeat
// makes the bridge look a tick older than it is.
func (r *run) publish(ctx context.Context) error {
	head := r.now.Head
	if len(r.changes) > 0 {
		appended := len(r.changes)
		next, err := feed.Append(ctx, r.feed, r.book, head, r.changes, r.Now().UTC())
		if err != nil {
			// What is in memory may differ from what is stored.
			r.passed = nil
			return fmt.Errorf("append to the feed: %w", err)
		}
		head, r.beat.Changes = next, appended
		if r.settings.PushURL != "" {
			r.wake(ctx)
		}
		if feed.SnapshotDue(head) {
			if _, err := feed.WriteSnapshot(ctx, r.feed, head, r.book); err != nil && !errors.Is(err, feed.ErrLostRace) {
				r.log.Warn("snapshot not written", "error", err.Error())
			}
		}
	}
	r.tellWriter(ctx) // after the append: the writer decides by what is published
	r.beat.Unmatched, r.beat.Ambiguous = r.now.Directory.Unmatched, r.now.Directory.Ambiguous
	if n := r.Unsteady(); n > 0 {
		r.odd["identity endpoint unsteady"] = int(n)
	}
	r.beat.Oddities, r.beat.Alternating, r.beat.Missing = r.odd.copy(), r.alternating, r.packMissing()
	r.beat.Millis = r.Now().Sub(r.start).Milliseconds()
	if err := r.Storage.Beat(ctx, r.tenant.id, r.beat); err != nil {
		return err
	}
	return nil
}

func (r *run) wake(ctx context.Context) {
	if err := r.Storage.WakePusher(ctx, r.tenant.id); err != nil {
		r.log.Warn("pusher not woken; upkeep will find the changes", "error", err.Error())
	}
}

// rest notes that no presence is to be read.
func (r *run) rest() {
	r.passed = nil
	r.missing = map[presence.UserID]time.Time{}
	r.beat.Users, r.beat.Hidden, r.beat.Interval = 0, 0, r.Interval.Milliseconds()
}

func (r *run) succeeded() {
	r.beat.Error, r.beat.ErrorCode, r.beat.ErrorSince = "", "", time.Time{}
}

// fail notes why nothing was read, and withdraws what Teams caused when that has
// lasted for too long.
func (r *run) fail(failure *failure) {
	r.note("presences", failure)
	if !r.beat.AsOf.IsZero() && r.start.Sub(r.beat.AsOf) >= r.settings.StaleAfterDuration() {
		r.withdraw(presence.FromStale)
		return
	}
	r.restate(r.people)
}

func (r *run) note(what string, failure *failure) {
	if r.beat.ErrorSince.IsZero() {
		r.beat.ErrorSince = r.start.UTC()
	}
	if r.beat.ErrorCode != failure.code || r.start.Sub(r.logged) >= 5*time.Minute {
		r.log.Warn("sync read nothing", "what", what, "code", failure.code, "error", failure.Error())
		r.logged = r.start
	}
	r.beat.Error, r.beat.ErrorCode = failure.Error(), failure.code
}

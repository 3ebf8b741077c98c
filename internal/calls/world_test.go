package calls_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"procallteams/dev/azurite"
	"procallteams/internal/calls"
	"procallteams/internal/directory"
	"procallteams/internal/presence"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

var start = time.Date(2026, 11, 24, 3, 50, 49, 0, time.UTC)

// world is one tenant on Azurite with its people and a clock.
type world struct {
	t      *testing.T
	tenant string
	st     *storage.Storage

	mu    sync.Mutex
	now   time.Time
	on    bool
	ref   directory.Ref
	index *directory.Index
	wakes atomic.Int64
	// revoked are reporters, and since when they may not report any more; asked counts
	// who wanted to know.
	revoked map[string]time.Time
	asked   int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, tenant: uuid.NewString(), st: open(t, azurite.ForTest(t).ConnectionString()), now: start, on: true}
	w.people(staff(0)...)
	return w
}

func open(t *testing.T, connection string) *storage.Storage {
	t.Helper()
	st, err := storage.Open(settings.Storage{ConnectionString: secret.New(connection)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// staff are three people, a disabled account, two who share a name, and n more.
func staff(n int) []directory.Person {
	people := []directory.Person{
		{ID: "id-ada", Name: "ada", Standing: directory.TakesPart, Reads: true, Writes: true},
		{ID: "id-bob", Name: "bob", Standing: directory.TakesPart, Reads: true, Writes: true},
		{ID: "id-cleo", Name: "cleo", Standing: directory.TakesPart, Reads: true, Writes: true},
		{ID: "id-dan", Name: "dan", Standing: directory.Disabled},
		{ID: "id-twin1", Name: "twin", Standing: directory.Ambiguous},
		{ID: "id-twin2", Name: "twin", Standing: directory.Ambiguous},
	}
	for i := range n {
		people = append(people, directory.Person{ID: presence.UserID(fmt.Sprintf("id-x%04d", i)), Name: fmt.Sprintf("x%04d", i), Standing: directory.TakesPart, Reads: true, Writes: true})
	}
	return people
}

// people are the tenant's from now on.
func (w *world) people(people ...directory.Person) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortFunc(people, func(a, b directory.Person) int { return cmpText(string(a.ID), string(b.ID)) })
	w.ref = directory.Ref{Blob: uuid.NewString()}
	w.index = directory.NewIndex(&directory.Directory{People: people})
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) switched(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = on
}

// process is a ledger as one process has it. Its store is cut by fault, which is
// asked before and after every write; nil cuts nothing.
func (w *world) process(st *storage.Storage, fault func(write int, after bool) error) *calls.Ledger {
	return &calls.Ledger{
		Store: &cuttable{Store: storage.Calls{Storage: st}, fault: fault},
		Look: func(ctx context.Context, tenant string) (calls.View, error) {
			now, err := st.Now(ctx, tenant)
			w.mu.Lock()
			defer w.mu.Unlock()
			return calls.View{Reporters: now.Reporters, Directory: w.ref, On: w.on, Swept: now.Swept}, err
		},
		People: func(_ context.Context, ref directory.Ref) (*directory.Index, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if ref != w.ref {
				return nil, errors.New("there is no such directory")
			}
			return w.index, nil
		},
		Stopped: func(_ context.Context, _ string, since time.Time) (func(string) bool, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked++
			revoked := maps.Clone(w.revoked)
			return func(id string) bool { at, ok := revoked[id]; return ok && at.Before(since) }, nil
		},
		Wake: func(ctx context.Context, tenant string) error {
			w.wakes.Add(1)
			return st.WakeWriter(ctx, tenant, 0)
		},
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
	}
}

func (w *world) ledger() *calls.Ledger { return w.process(w.st, nil) }

var errCut = errors.New("the process ends here")

// cuttable is the real store, with places at which a process may end.
type cuttable struct {
	calls.Store
	writes atomic.Int64
	fault  func(write int, after bool) error
}

func (c *cuttable) cut(do func() error) error {
	n := int(c.writes.Add(1))
	if c.fault == nil {
		return do()
	}
	if err := c.fault(n, false); err != nil {
		return err
	}
	return errors.Join(do(), c.fault(n, true))
}

func (c *cuttable) SavePeople(ctx context.Context, tenant string, people []calls.Person, reporter *calls.Reporter) error {
	return c.cut(func() error { return c.Store.SavePeople(ctx, tenant, people, reporter) })
}

func (c *cuttable) RemoveReporter(ctx context.Context, tenant string, reporter calls.Reporter) error {
	return c.cut(func() error { return c.Store.RemoveReporter(ctx, tenant, reporter) })
}

func (c *cuttable) SaveSwept(ctx context.Context, tenant string, at time.Time) error {
	return c.cut(func() error { return c.Store.SaveSwept(ctx, tenant, at) })
}

// cutAt ends the process at one write, before it or after it.
func cutAt(write int, after bool) func(int, bool) error {
	return func(n int, is bool) error {
		if n > write || n == write && is == after {
			return errCut
		}
		return nil
	}
}

// Items of tests.
func call(user string, seq int64) calls.Entry {
	return calls.Entry{Item: calls.Item{User: user, State: calls.Busy, Reasons: calls.Call, Seq: seq}}
}

func free(user string, seq int64) calls.Entry {
	return calls.Entry{Item: calls.Item{User: user, State: calls.Available, Seq: seq}}
}

func (w *world) report(l *calls.Ledger, epoch int64, entries ...calls.Entry) calls.Receipt {
	w.t.Helper()
	receipt, err := l.Report(w.t.Context(), w.tenant, "pbx", epoch, entries)
	if err != nil {
		w.t.Fatalf("report in epoch %d: %v", epoch, err)
	}
	return receipt
}

func (w *world) complete(l *calls.Ledger, epoch, asOf int64, entries ...calls.Entry) calls.Receipt {
	w.t.Helper()
	receipt, err := l.Complete(w.t.Context(), w.tenant, "pbx", epoch, asOf, entries)
	if err != nil {
		w.t.Fatalf("complete list of epoch %d: %v", epoch, err)
	}
	return receipt
}

func (w *world) sweep(l *calls.Ledger) {
	w.t.Helper()
	if err := l.Sweep(w.t.Context(), w.tenant); err != nil {
		w.t.Fatalf("sweep: %v", err)
	}
}

func results(r calls.Receipt) []calls.Result {
	var list []calls.Result
	for _, o := range r.Outcomes {
		list = append(list, o.Result)
	}
	return list
}

func (w *world) want(r calls.Receipt, want ...calls.Result) {
	w.t.Helper()
	if diff := cmp.Diff(want, results(r)); diff != "" {
		w.t.Errorf("results (-want +got):\n%s\n%+v", diff, r.Outcomes)
	}
}

func (w *world) reporter() calls.Reporter {
	w.t.Helper()
	r, err := storage.Calls{Storage: w.st}.Reporter(w.t.Context(), w.tenant, "pbx")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// rows are all people's, by id.
func (w *world) rows() map[presence.UserID]calls.Person {
	w.t.Helper()
	rows := map[presence.UserID]calls.Person{}
	for person, err := range (storage.Calls{Storage: w.st}).Everybody(w.t.Context(), w.tenant) {
		if err != nil {
			w.t.Fatal(err)
		}
		rows[person.ID] = person
	}
	return rows
}

// onThePhone are the people about whom a report counts that could be written to
// Teams, as the writer sees them.
func (w *world) onThePhone() []string {
	w.t.Helper()
	now, err := w.st.Now(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	names := map[string]bool{}
	for _, person := range w.rows() {
		for _, report := range now.Reporters.Valid(person.Reports) {
			if report.Active() {
				names[report.User] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (w *world) wantOnThePhone(names ...string) {
	w.t.Helper()
	slices.Sort(names)
	if diff := cmp.Diff(names, w.onThePhone(), cmpEmpty); diff != "" {
		w.t.Errorf("on the phone (-want +got):\n%s", diff)
	}
}

var cmpEmpty = cmp.Transformer("list", func(s []string) map[int]string {
	m := map[int]string{}
	for i, v := range s {
		m[i] = v
	}
	return m
})

// due takes what the writer has to act on, as the writer does.
func (w *world) due() []string {
	w.t.Helper()
	list, err := storage.Calls{Storage: w.st}.Due(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, d := range list {
		ids = append(ids, string(d.ID))
		if err := w.st.Delete(w.t.Context(), w.tenant, storage.RowDue+string(d.ID), d.Version); err != nil {
			w.t.Fatal(err)
		}
	}
	slices.Sort(ids)
	return ids
}

func (w *world) wantDue(ids ...string) {
	w.t.Helper()
	if diff := cmp.Diff(ids, w.due(), cmpEmpty); diff != "" {
		w.t.Errorf("due (-want +got):\n%s", diff)
	}
}

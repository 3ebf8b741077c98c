// Package users is the HTTP function that says about one person who that is on both
// sides, whether the person takes part and why, what Teams shows, what UCServer was
// told and reports, and what the bridge keeps in Teams because of it. It shows what
// is now; there is no history of a person. Each look-up has an audit entry, and the
// settings can switch all of it off.
package users

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/directory"
	"procallteams/internal/feed"
	"procallteams/internal/host"
	"procallteams/internal/matching"
	"procallteams/internal/poll"
	"procallteams/internal/presence"
	"procallteams/internal/problem"
	"procallteams/internal/reply"
	"procallteams/internal/report"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// Function is the code of function.json beside this file. It is served behind
// access.Gate.Either(access.Directory, ...).
type Function struct {
	Storage  *storage.Storage
	Settings storage.Settings
	// People returns the directory that ref points at.
	People func(ctx context.Context, ref directory.Ref) (*directory.Index, error)
	// Feeds has the books that polls keep warm.
	Feeds    poll.Feeds
	Interval time.Duration // of the schedule
	Now      func() time.Time
	Log      *slog.Logger
}

// maxName is the longest name in characters.
const maxName = 256

// ServeCaller answers GET.
func (f Function) ServeCaller(w http.ResponseWriter, r *http.Request, caller access.Caller) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		problem.MethodNotAllowed(w, "GET, HEAD")
		return
	}
	parameters := poll.ParametersOf(r)
	name := strings.TrimSpace(parameters.Text("name"))
	if parameters.Refuse(w, r) {
		return
	}
	a, err := f.Find(r.Context(), caller, name)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	reply.JSON(w, http.StatusOK, a)
}

// Find answers for the one person who has a UCServer name, UPN or stable id, and notes
// the look-up in the audit trail. [Explain] knows its errors.
func (f Function) Find(ctx context.Context, caller access.Caller, name string) (Answer, error) {
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName || !utf8.ValidString(name) {
		return Answer{}, errName
	}
	k, err := f.look(ctx, caller, name)
	if err == nil || errors.Is(err, errUnknown) || errors.Is(err, errAmbiguous) {
		if failed := f.record(ctx, caller, k); failed != nil {
			err = failed
		}
	}
	if err != nil {
		return Answer{}, err
	}
	return k.answer(), nil
}

var (
	errName      = errors.New("name: the UCServer name or the UPN of one person, 1 to 256 characters")
	errUnknown   = errors.New("nobody has this name")
	errAmbiguous = errors.New("several people have this name")
	errOff       = errors.New("look-ups are switched off")
)

// record notes in the audit trail who looked for whom, before it is answered. The
// name is not noted: it may be anybody's.
func (f Function) record(ctx context.Context, caller access.Caller, k known) error {
	who := caller.Administrator
	if who == "" {
		who = "credential " + caller.Consumer.ID
	}
	change := access.Change{Who: who, What: access.LookedUp, At: k.asked}
	switch {
	case k.user != nil:
		change.Fields = []string{"ucserver", storage.EncodeKey(k.user.ID)}
	case k.person.ID != "":
		change.Fields = []string{"entra", string(k.person.ID)}
	}
	if err := f.Storage.Record(ctx, k.tenant, change); err != nil {
		return fmt.Errorf("record the look-up: %w", err)
	}
	return nil
}

func (f Function) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errName) {
		reply.BadRequest(w, err.Error())
		return
	}
	d, expected := Explain(err)
	if !expected {
		host.Log(r.Context(), f.Log).Error("user could not be looked up", "error", err.Error())
	}
	if errors.Is(err, calls.ErrNoDirectory) {
		w.Header().Set("Retry-After", "10")
	}
	d.Invocation = host.Invocation(r.Context())
	problem.Write(w, d)
}

// TypeOff is the problem's type of look-ups that are switched off.
const TypeOff = "/problems/helpdesk-off"

// Explain says what an error of [Function.Find] means to who asked. It returns false
// for what is not the asker's to mend, and belongs in the log.
func Explain(err error) (d problem.Details, expected bool) {
	switch {
	case errors.Is(err, errName):
		d = problem.Details{
			Title: "That is no name", Status: http.StatusBadRequest,
			NextStep: "Enter the UCServer name or the UPN of one person, 1 to 256 characters.", Who: "administrator",
		}
	case errors.Is(err, access.ErrNoTenant):
		d = problem.Details{
			Type: "/problems/no-tenant", Title: "No tenant is set yet", Status: http.StatusConflict,
			NextStep: "Set the tenant on the console first.", Who: "administrator",
		}
	case errors.Is(err, calls.ErrNoDirectory):
		d = problem.Details{
			Type: "/problems/no-directory", Title: "It is not known yet who takes part", Status: http.StatusServiceUnavailable,
			Detail:   "The tenant's users were not read yet.",
			NextStep: "Give a consent and switch on a direction; the users are read with the next sync. Then ask again.", Who: "administrator",
		}
	case errors.Is(err, errOff):
		d = problem.Details{
			Type: TypeOff, Title: "Look-ups of single people are switched off", Status: http.StatusForbidden,
			NextStep: "Untick \"Refuse look-ups of single people\" on the console (helpdesk in the settings), if that is agreed on.", Who: "administrator",
		}
	case errors.Is(err, errUnknown):
		d = problem.Details{
			Type: "/problems/unknown-user", Title: "Nobody has this name", Status: http.StatusNotFound,
			Detail:   "No account of the tenant has it as UCServer name or as UPN, and no user that UCServer sent has it.",
			NextStep: "Compare the spelling with UCServer and with usermatching.csv.", Who: "administrator",
		}
	case errors.Is(err, errAmbiguous):
		d = problem.Details{
			Type: "/problems/ambiguous-user", Title: "Several people have this name", Status: http.StatusConflict,
			Detail:   "More than one account has it as UCServer name, so none of them takes part; or it is written in another case than each of them.",
			NextStep: "Ask by UPN, and correct usermatching.csv.", Who: "administrator",
		}
	default:
		return access.Unavailable(err), false
	}
	return d, true
}

// known is everything that is known about one person.
type known struct {
	asked    time.Time
	tenant   string
	now      storage.Now
	settings settings.Integration // with app settings applied
	fresh    poll.Freshness
	person   directory.Person
	// user is set instead of person for a user of UCServer who is nobody's; users is
	// the list, when it was needed.
	user  *matching.User
	users []matching.User
	match *Match
	// published is what the feed says, when it says anything.
	published   feed.Change
	isPublished bool
	reports     []calls.Report
	due         calls.Due
	isDue       bool
	session     session.Session
	consumer    feed.Consumer // of pushes
}

// look finds the person and reads what is known: one range query, three rows, and
// what the book lacks.
func (f Function) look(ctx context.Context, caller access.Caller, name string) (known, error) {
	tenant := caller.Consumer.Tenant
	if tenant == "" {
		var err error
		if tenant, err = f.Settings.Tenant(ctx); err != nil {
			return known{}, err
		}
	}
	if tenant == "" {
		return known{}, access.ErrNoTenant
	}
	k, err := f.once(ctx, tenant, name)
	if _, gone := errors.AsType[*feed.GoneError](err); gone || errors.Is(err, storage.ErrNotFound) {
		// What a row pointed at was replaced this instant; the newest always works.
		k, err = f.once(ctx, tenant, name)
	}
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, directory.ErrForm) {
		err = calls.ErrNoDirectory // somebody removed the blob, or it is another version's; the next sync makes another
	}
	return k, err
}

func (f Function) once(ctx context.Context, tenant, name string) (k known, err error) {
	k.asked, k.tenant = f.Now().UTC(), tenant
	if k.now, err = f.Storage.Now(ctx, tenant); err != nil {
		return k, err
	}
	k.settings, _ = k.now.Settings.Override(f.Settings.Overrides)
	if !k.settings.LookUps.On() {
		return k, errOff
	}
	k.fresh = poll.FreshnessOf(k.asked, report.InputOf(k.now, k.settings, f.Interval))
	if k.now.Directory.Blob == "" {
		return k, calls.ErrNoDirectory
	}
	people, err := f.People(ctx, k.now.Directory)
	if err != nil {
		return k, err
	}
	if k.person, err = find(people, name); errors.Is(err, errUnknown) {
		err = f.findUser(ctx, &k, people, name)
	}
	if err != nil {
		return k, err
	}
	if err := f.judge(ctx, &k, people); err != nil || k.user != nil {
		return k, err
	}
	if err := f.rows(ctx, tenant, &k); err != nil {
		return k, err
	}
	if k.now.Head.Epoch == "" {
		return k, nil
	}
	book, err := f.Feeds.Books.Of(tenant).Book(ctx, f.Feeds.Open(tenant), k.now.Head)
	if err != nil {
		return k, err
	}
	k.published, k.isPublished = book.Get(k.person.ID)
	return k, nil
}

// find returns the person of a UCServer name, else of a UPN.
func find(people *directory.Index, name string) (directory.Person, error) {
	person, finding := people.Find(name)
	if finding == directory.Found || finding == directory.NotWritten {
		return person, nil
	}
	if byUPN, ok := people.ByUPN(name); ok {
		return byUPN, nil
	}
	switch {
	case person.ID != "": // who does not take part is a person all the same
		return person, nil
	case finding == directory.Several:
		return directory.Person{}, errAmbiguous
	}
	return directory.Person{}, errUnknown
}

// rows reads the person's own rows.
func (f Function) rows(ctx context.Context, tenant string, k *known) error {
	id := k.person.ID
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		people, err := storage.Calls{Storage: f.Storage}.People(ctx, tenant, []presence.UserID{id})
		k.reports = people[id].Reports
		return err
	})
	group.Go(func() (err error) {
		k.due, k.isDue, err = storage.Calls{Storage: f.Storage}.DueOf(ctx, tenant, id)
		return err
	})
	group.Go(func() error { return f.readConsumer(ctx, tenant, k) })
	group.Go(func() (err error) {
		k.session, _, err = storage.Written{Storage: f.Storage}.Session(ctx, tenant, id)
		return err
	})
	return group.Wait()
}

package report_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"procallteams/dev/azurite"
	"procallteams/internal/access"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/health"
	"procallteams/internal/report"
	"procallteams/internal/secret"
	"procallteams/internal/session"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// unexported lets the switch of the settings be compared.
var unexported = cmp.AllowUnexported(settings.OnUnlessOff{})

var at = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// world is one tenant, named by an app setting, and a reader behind a wire.
type world struct {
	tenant string
	wire   *azurite.Wire
	st     *storage.Storage
	kept   storage.Settings
	reader report.Reader
}

func newWorld(t *testing.T) *world {
	t.Helper()
	wire, err := azurite.NewWire(azurite.ForTest(t).Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	st, err := storage.Open(settings.Storage{ConnectionString: secret.New(wire.ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{tenant: uuid.NewString(), wire: wire, st: st}
	w.kept = storage.Settings{Storage: st, Overrides: settings.Overrides{Tenant: w.tenant}}
	w.reader = report.Reader{Settings: w.kept.Load, Now: st.Now, Interval: 5 * time.Second}
	return w
}

func (w *world) save(t *testing.T, s settings.Integration) settings.Integration {
	t.Helper()
	saved, err := w.kept.Save(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func read(t *testing.T, r report.Reader) report.State {
	t.Helper()
	state, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestBeforeATenantIsSetOnlyTheSettingsAreRead(t *testing.T) {
	r := report.Reader{
		Settings: func(context.Context) (settings.Integration, []string, error) {
			return settings.Integration{PushURL: "https://ucserver.example/push"}, []string{"pushUrl"}, nil
		},
		Now: func(context.Context, string) (storage.Now, error) {
			t.Error("the state of no tenant is read")
			return storage.Now{}, nil
		},
		Push: func(context.Context, string) (*health.Push, error) {
			t.Error("the pushes of no tenant are read")
			return nil, nil
		},
		Interval: time.Second,
	}
	want := report.State{Fixed: []string{"pushUrl"}, Input: health.Input{Interval: time.Second, Settings: settings.Integration{PushURL: "https://ucserver.example/push"}}}
	if diff := cmp.Diff(want, read(t, r), unexported); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestEverythingThatIsJudgedIsReadInAFewOperations(t *testing.T) {
	w := newWorld(t)
	if got := read(t, w.reader); got.Settings.Tenant != w.tenant || len(got.Grants) != 0 || !got.Heartbeat.AsOf.IsZero() {
		t.Errorf("a tenant of which nothing is stored: %+v", got)
	}
	saved := w.save(t, settings.Integration{Tenant: w.tenant, ClientID: uuid.NewString(), TeamsToProCall: settings.Everyone, ProCallToTeams: settings.Nobody, PushURL: "https://ucserver.example/push"})
	beat := health.Heartbeat{AsOf: at, Attempt: at.Add(time.Second), Users: 3, Interval: 5000}
	if err := errors.Join(w.st.Beat(t.Context(), w.tenant, beat), w.st.Throttle(t.Context(), w.tenant, at.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	var grants []consent.Grant
	for _, g := range []consent.Grant{{Kind: consent.Admin, State: consent.Granted, Since: at}, {Kind: consent.User, State: consent.Reauthorize, Since: at}} {
		g, err := (storage.Grants{Storage: w.st}).SaveGrant(t.Context(), w.tenant, g)
		if err != nil {
			t.Fatal(err)
		}
		g.ETag = ""
		grants = append(grants, g)
	}
	push := &health.Push{Position: "7.1", Behind: 2}
	w.reader.Push = func(_ context.Context, tenant string) (*health.Push, error) {
		if tenant != w.tenant {
			t.Errorf("the pushes of tenant %s are read", tenant)
		}
		return push, nil
	}

	w.wire.Reset()
	got := read(t, w.reader)
	if n := w.wire.Operations(); n > 3 {
		t.Errorf("%d storage operations: %v; want at most 3", n, w.wire.Counts())
	}
	for i := range got.Grants {
		got.Grants[i].ETag = ""
	}
	want := report.State{Fixed: []string{"tenant"}, Input: health.Input{
		Settings: saved, Heartbeat: beat, Grants: grants, Throttled: at.Add(time.Minute), Interval: 5 * time.Second, Push: push,
	}}
	if diff := cmp.Diff(want, got, unexported); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestPushesAreReadOnlyWhereSomethingIsPushed(t *testing.T) {
	w := newWorld(t)
	asked := 0
	w.reader.Push = func(context.Context, string) (*health.Push, error) { asked++; return &health.Push{}, nil }
	saved := w.save(t, settings.Integration{Tenant: w.tenant})
	if got := read(t, w.reader); got.Push != nil || asked != 0 {
		t.Errorf("no push address: push = %+v, asked %d times", got.Push, asked)
	}
	saved.PushURL = "https://ucserver.example/push"
	w.save(t, saved)
	if got := read(t, w.reader); got.Push == nil || asked != 1 {
		t.Errorf("a push address: push = %+v, asked %d times", got.Push, asked)
	}
	w.reader.Push = nil // no pusher
	if got := read(t, w.reader); got.Push != nil {
		t.Errorf("no pusher: push = %+v", got.Push)
	}
}

func TestWhatCannotBeReadIsAnErrorAndNoHalfOfAState(t *testing.T) {
	broken := errors.New("storage does not answer")
	whole := func() report.Reader {
		return report.Reader{
			Settings: func(context.Context) (settings.Integration, []string, error) {
				return settings.Integration{Tenant: "t", PushURL: "https://ucserver.example/push", ProCallToTeams: settings.Everyone}, nil, nil
			},
			Now: func(context.Context, string) (storage.Now, error) {
				return storage.Now{Heartbeat: health.Heartbeat{AsOf: at}, Reporters: calls.Reporters{"a1": {ID: "a1", Need: calls.NeedExpired}}}, nil
			},
			Push: func(context.Context, string) (*health.Push, error) { return &health.Push{}, nil },
		}
	}
	for name, spoil := range map[string]func(*report.Reader){
		"settings": func(r *report.Reader) {
			r.Settings = func(context.Context) (settings.Integration, []string, error) {
				return settings.Integration{Tenant: "t"}, nil, broken
			}
		},
		"state": func(r *report.Reader) {
			r.Now = func(context.Context, string) (storage.Now, error) {
				return storage.Now{Heartbeat: health.Heartbeat{AsOf: at}}, broken
			}
		},
		"what is due": func(r *report.Reader) {
			r.Due = func(context.Context, string) ([]calls.Due, error) { return []calls.Due{{At: at, Told: true}}, broken }
		},
		"credentials": func(r *report.Reader) {
			r.Consumers = func(context.Context) ([]access.Credential, error) { return nil, broken }
		},
		"pushes": func(r *report.Reader) {
			r.Push = func(context.Context, string) (*health.Push, error) { return &health.Push{Behind: 1}, broken }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := whole()
			spoil(&r)
			if state, err := r.Read(t.Context()); !errors.Is(err, broken) || !cmp.Equal(state, report.State{}, unexported) {
				t.Errorf("Read() = %+v, %v; want nothing and %v", state, err, broken)
			}
		})
	}
}

func TestWhatWaitsForTheWriterIsTheOldestReport(t *testing.T) {
	w := newWorld(t)
	saved := w.save(t, settings.Integration{Tenant: w.tenant, ProCallToTeams: settings.Everyone})
	// As the writer left it, some time ago.
	if _, err := (storage.Written{Storage: w.st}).SaveWriter(t.Context(), w.tenant, session.Writer{Held: 1, Due: 2, DueSince: at}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, w.reader); !got.DueSince.Equal(at) || got.Writer.Held != 1 {
		t.Errorf("state = %+v; want what the writer left", got.Input)
	}
	var due []calls.Due
	asked := 0
	w.reader.Due = func(context.Context, string) ([]calls.Due, error) { asked++; return due, nil }
	if got := read(t, w.reader); !got.DueSince.IsZero() {
		t.Errorf("due since %s although nothing is", got.DueSince)
	}
	due = []calls.Due{{At: at.Add(time.Minute), Told: true}, {Seen: at}, {At: at.Add(time.Second), Told: true}}
	if got := read(t, w.reader); !got.DueSince.Equal(at.Add(time.Second)) {
		t.Errorf("due since %s; want that of the oldest report", got.DueSince)
	}
	saved.Paused, asked = true, 0
	w.save(t, saved)
	if read(t, w.reader); asked != 0 {
		t.Error("what is due is read while nothing is written")
	}
}

func TestNobodyWaitsForTheReportsOfARevokedCredential(t *testing.T) {
	w := newWorld(t)
	w.save(t, settings.Integration{Tenant: w.tenant, ProCallToTeams: settings.Everyone})
	store := storage.Calls{Storage: w.st}
	for _, r := range []calls.Reporter{{ID: "alive"}, {ID: "silent", Need: calls.NeedExpired}, {ID: "revoked", Need: calls.NeedExpired}, {ID: "forgotten", Need: calls.NeedExpired}} {
		if err := store.SavePeople(t.Context(), w.tenant, nil, &r); err != nil {
			t.Fatal(err)
		}
	}
	w.reader.Consumers = func(context.Context) ([]access.Credential, error) {
		return []access.Credential{{ID: "alive"}, {ID: "silent"}, {ID: "revoked", Revoked: at}}, nil
	}
	if got := slices.Sorted(maps.Keys(read(t, w.reader).Reporters)); !slices.Equal(got, []string{"alive", "silent"}) {
		t.Errorf("reporters = %q; want those whose credential is in force", got)
	}
}

func TestWhoMayPollIsLookedUp(t *testing.T) {
	w := newWorld(t)
	w.save(t, settings.Integration{Tenant: w.tenant, TeamsToProCall: settings.Everyone})
	if got := read(t, w.reader).Pollers; got != nil {
		t.Errorf("pollers = %+v although nobody looked", got)
	}
	w.reader.Consumers = func(context.Context) ([]access.Credential, error) {
		return []access.Credential{
			{ID: "polls", Scopes: []access.Scope{access.Read}, LastUsed: at.Add(-time.Hour)},
			{ID: "polled longer ago", Scopes: []access.Scope{access.Read, access.Report}, LastUsed: at.Add(-2 * time.Hour)},
			{ID: "reports only", Scopes: []access.Scope{access.Report}, LastUsed: at},
			{ID: "revoked", Scopes: []access.Scope{access.Read}, LastUsed: at, Revoked: at},
		}, nil
	}
	if got := read(t, w.reader).Pollers; got == nil || got.Count != 2 || !got.LastUsed.Equal(at.Add(-time.Hour)) {
		t.Errorf("pollers = %+v; want two, last used an hour ago", got)
	}
}

func TestAQueueThatCannotBeLookedAtHidesNothingElse(t *testing.T) {
	w := newWorld(t)
	w.save(t, settings.Integration{Tenant: w.tenant, TeamsToProCall: settings.Everyone})
	w.reader.Poisoned = func(context.Context) (int, error) { return 0, errors.New("storage answered 403") }
	if got := read(t, w.reader); got.Poisoned != 0 || got.Settings.Tenant != w.tenant {
		t.Errorf("state = %+v", got)
	}
	w.reader.Poisoned = func(context.Context) (int, error) { return 3, nil }
	if got := read(t, w.reader); got.Poisoned != 3 {
		t.Errorf("poisoned = %d", got.Poisoned)
	}
}

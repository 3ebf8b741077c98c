package presencepush_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	sim "procallteams/dev/ucserver"
	"procallteams/functions/presencepush"
	"procallteams/internal/contract"
	"procallteams/internal/feed"
	"procallteams/internal/health"
	"procallteams/internal/poll"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
	"procallteams/internal/ucserver"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// world is one tenant's feed on Azurite and a simulated UCServer that it is
// pushed to.
type world struct {
	t      *testing.T
	tenant string
	store  *storage.Feed
	uc     *sim.Server
	url    string
	key    secret.Text
	book   *feed.Book
	fresh  poll.Freshness

	mu    sync.Mutex
	now   time.Time
	runs  bool // the clock is the true one
	sent  []ucserver.Delivery
	woken int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	st, err := storage.Open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text()))
	w := &world{t: t, tenant: uuid.NewString(), key: secret.New(key), book: feed.NewBook(), now: time.Now().UTC()}
	began := w.now
	w.fresh.AsOf = &began
	if w.uc, err = sim.New(sim.Config{Secrets: []string{key}, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.uc)
	t.Cleanup(server.Close)
	w.store, w.url = st.Feed(w.tenant), server.URL+"/push"
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.runs {
		return time.Now()
	}
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Push implements presencepush.Sender, holds what is sent to the contract and
// notes it.
func (w *world) Push(ctx context.Context, d ucserver.Delivery) ucserver.Outcome {
	contract.Push(w.t, d.Body)
	w.mu.Lock()
	w.sent = append(w.sent, d)
	w.mu.Unlock()
	return ucserver.Client{Now: w.clock}.Push(ctx, d)
}

func (w *world) PushSecret(context.Context) (secret.Text, error) { return w.key, nil }

// function is the function as another process would have it.
func (w *world) function() presencepush.Function {
	return presencepush.Function{
		Tenant: func(context.Context) (string, error) { return w.tenant, nil },
		Look: func(ctx context.Context, _ string) (presencepush.View, error) {
			head, err := w.store.Head(ctx)
			return presencepush.View{View: poll.View{Head: head, Freshness: w.fresh}, URL: w.url}, err
		},
		Open: func(string) presencepush.Store { return w.store }, Secrets: w, Sender: w,
		Wake: func(context.Context, string) error { w.woken++; return nil },
		Now:  w.clock, Log: slog.New(slog.DiscardHandler),
	}
}

func (w *world) append(changes ...feed.Change) feed.Head {
	w.t.Helper()
	head, err := w.store.Head(w.t.Context())
	if err == nil {
		head, err = feed.Append(w.t.Context(), w.store, w.book, head, changes, w.clock())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return head
}

func (w *world) wakeup() []byte { return []byte(`{"tenant":"` + w.tenant + `"}`) }

func (w *world) run() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	if err := w.function().Run(ctx, w.wakeup()); err != nil {
		w.t.Fatal(err)
	}
}

// equal demands that UCServer holds what the book says, and saw no breach.
func (w *world) equal() {
	w.t.Helper()
	want := map[string]string{}
	for c := range w.book.All() {
		want[c.User] = fmt.Sprint(c.ID, c.Outcome.Availability)
	}
	view := w.uc.Inbox().View()
	got := map[string]string{}
	for _, p := range view.People {
		if p.Type == "presence" {
			got[p.User] = fmt.Sprint(p.ID, p.Availability)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("UCServer holds %v; want %v", got, want)
	}
	for _, breach := range w.uc.Inbox().Violations() {
		w.t.Errorf("breach of the contract: %s", breach)
	}
	if view.Counters.Reordered > 0 || w.uc.Pushes().OtherBytes > 0 {
		w.t.Errorf("%d reordered, %d retries with other bytes", view.Counters.Reordered, w.uc.Pushes().OtherBytes)
	}
	for _, d := range w.sent {
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(d.ID) {
			w.t.Errorf("webhook-id %q", d.ID)
		}
		if len(d.Body) > 256<<10 {
			w.t.Errorf("a push has %d bytes", len(d.Body))
		}
	}
}

func (w *world) state() *health.Push {
	w.t.Helper()
	s, err := w.function().State(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

package presencechanges_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	"procallteams/functions/presencechanges"
	"procallteams/functions/presencesnapshot"
	"procallteams/internal/access"
	"procallteams/internal/contract"
	"procallteams/internal/feed"
	"procallteams/internal/feed/feedtest"
	"procallteams/internal/host"
	"procallteams/internal/poll"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// Addresses of the two functions.
const (
	changesPath  = "/api/v1/presence/changes"
	snapshotPath = "/api/v1/presence"
)

// world is one tenant on Azurite, and the sync that writes its feed.
type world struct {
	t      *testing.T
	st     *storage.Storage
	tenant string
	book   *feed.Book
	// at is the time of the next append, ahead how far the gates' clock is.
	at     time.Time
	ahead  atomic.Int64
	issuer access.Credentials
	id     string // of the credential that token belongs to
	token  string // with scope read
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, st: open(t, azurite.ForTest(t).ConnectionString()), tenant: uuid.NewString(), book: feed.NewBook(), at: feedtest.Start}
	w.issuer = access.Credentials{Store: w.st, Tenant: w.inUse, Audit: w.st, Now: w.now}
	w.id, w.token = w.credential(access.Read)
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

func (w *world) inUse(context.Context) (string, error) { return w.tenant, nil }

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) credential(scopes ...access.Scope) (id, token string) {
	w.t.Helper()
	c, text, err := w.issuer.Create(w.t.Context(), "administrator", "connector", scopes)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.ID, text.Reveal()
}

// append adds to the feed as a sync does.
func (w *world) append(changes ...feed.Change) feed.Head {
	w.t.Helper()
	store := w.st.Feed(w.tenant)
	head, err := store.Head(w.t.Context())
	if err == nil {
		head, err = feed.Append(w.t.Context(), store, w.book, head, changes, w.at)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return head
}

// keep stores a snapshot of the feed as it is now.
func (w *world) keep() {
	w.t.Helper()
	store := w.st.Feed(w.tenant)
	head, err := store.Head(w.t.Context())
	if err == nil {
		_, err = feed.WriteSnapshot(w.t.Context(), store, head, w.book)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// state is what a consumer must hold in the end: by user, the change in JSON.
func (w *world) state() map[string]string {
	w.t.Helper()
	state := map[string]string{}
	for c := range w.book.All() {
		text, err := json.Marshal(c)
		if err != nil {
			w.t.Fatal(err)
		}
		state[c.User] = string(text)
	}
	return state
}

// process is one handler process that serves the tenant: the real gate behind the
// host's mux, with caches of its own, and a wire of its own to storage.
type process struct {
	t    *testing.T
	wire *azurite.Wire
	url  string
	// token is presented unless a request says something else.
	token string
	// reads counts reads of the tenant's state, on the wire; open the requests
	// that are being served.
	reads, open atomic.Int64
}

// process starts one whose shared view of the tenant is every old at most.
func (w *world) process(every time.Duration) *process {
	w.t.Helper()
	wire, err := azurite.NewWire(azurite.ForTest(w.t).Endpoints())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = wire.Close() })
	p := &process{t: w.t, wire: wire, token: w.token}
	wire.OnResponse(func(kind string, r *http.Request, _ int) {
		if kind == "table.query" && strings.Contains(r.URL.Query().Get("$filter"), "'"+storage.NowPrefix) {
			p.reads.Add(1)
		}
	})
	st, log := open(w.t, wire.ConnectionString()), slog.New(slog.DiscardHandler)
	asOf := feedtest.Start
	feeds := poll.Feeds{
		Watch: &feed.Watch[poll.View]{Every: every, Read: func(ctx context.Context, tenant string) (poll.View, error) {
			now, err := st.Now(ctx, tenant)
			return poll.View{Head: now.Head, Freshness: poll.Freshness{AsOf: &asOf, Health: poll.Health{Status: "ok", Codes: []string{}}}}, err
		}},
		Open:  func(tenant string) feed.Reader { return st.Feed(tenant) },
		Books: &feed.Shelf{},
	}
	public, err := url.Parse("https://bridge.example")
	if err != nil {
		w.t.Fatal(err)
	}
	gate := &access.Gate{Public: public, Credentials: st, Sessions: st, Tenant: w.inUse, Now: w.now, Log: log}
	h := host.New(log)
	h.HTTP("presencesnapshot", "req", "v1/presence", gate.Machine(access.Read, presencesnapshot.Function{Feeds: feeds, Log: log}.ServeConsumer))
	h.HTTP("presencechanges", "req", "v1/presence/changes", gate.Machine(access.Read, presencechanges.Function{Feeds: feeds, Log: log}.ServeConsumer))
	checked := check(w.t, h)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p.open.Add(1)
		defer p.open.Add(-1)
		checked.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// check holds every request and answer to the contract, compressed ones as their
// reader sees them. An answer that nobody waits for any more is none.
func check(t *testing.T, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		if r.Context().Err() == nil {
			// The document knows neither other spellings of an address nor other
			// methods, which a gate refuses before the function does.
			asked := r.Clone(r.Context())
			asked.URL.Path = strings.TrimSuffix(strings.ToLower(r.URL.Path), "/")
			if recorder.Code == http.StatusUnauthorized || recorder.Code == http.StatusForbidden {
				asked.Method = http.MethodGet
			}
			contract.Handler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), recorder.Header())
				body := recorder.Body.Bytes()
				if w.Header().Get("Content-Encoding") == "gzip" {
					w.Header().Del("Content-Encoding")
					body = plain(t, body)
				}
				w.WriteHeader(recorder.Code)
				_, _ = w.Write(body)
			})).ServeHTTP(httptest.NewRecorder(), asked)
		}
		maps.Copy(w.Header(), recorder.Header())
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	})
}

func plain(t *testing.T, packed []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Error(err)
		return nil
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Error(err)
	}
	return text
}

// item is one change as it came.
type item struct {
	ID, Type, User string
	text           string
}

func (i *item) UnmarshalJSON(text []byte) error {
	type fields item
	i.text = string(text)
	return json.Unmarshal(text, (*fields)(i))
}

// answer is what either function or a problem says.
type answer struct {
	status int
	header http.Header
	text   string

	Epoch, Cursor, NextPageToken string
	AsOf                         *time.Time
	Stale                        bool
	StaleReason                  string
	Health                       struct {
		Status string
		Codes  []string
	}
	Items, Changes []item

	Type, Title, NextStep, Who string
}

// request is one call. Zero fields: GET with the process's token.
type request struct {
	method, path, query string
	authorization       *string
	header              http.Header
}

func (p *process) do(r request) answer {
	p.t.Helper()
	a, err := p.try(p.t.Context(), r)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *process) try(ctx context.Context, r request) (answer, error) {
	call, err := http.NewRequestWithContext(ctx, r.method, p.url+r.path, nil) // no method is GET
	if err != nil {
		return answer{}, err
	}
	call.URL.RawQuery = r.query // as it is: hostile ones too
	maps.Copy(call.Header, r.header)
	authorization := "Bearer " + p.token
	if r.authorization != nil {
		authorization = *r.authorization
	}
	if authorization != "" {
		call.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(call)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return answer{}, err
	}
	a := answer{status: response.StatusCode, header: response.Header, text: string(body)}
	if len(body) == 0 || response.Header.Get("Content-Encoding") != "" {
		return a, nil
	}
	return a, json.Unmarshal(body, &a)
}

func (p *process) changes(query url.Values) answer {
	p.t.Helper()
	return p.do(request{path: changesPath, query: query.Encode()})
}

func (p *process) snapshot(query url.Values) answer {
	p.t.Helper()
	return p.do(request{path: snapshotPath, query: query.Encode()})
}

func cursorOf(at feed.Position) url.Values { return url.Values{"cursor": {at.Cursor()}} }

// eventually waits until held is true, which something else makes so.
func eventually(t *testing.T, what string, held func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !held(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

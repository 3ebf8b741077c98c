package directory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	function "procallteams/functions/directory"
	"procallteams/internal/access"
	"procallteams/internal/contract"
	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/problem"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
	"procallteams/internal/userlist"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// world is one tenant on Azurite behind the real gate.
type world struct {
	t        testing.TB
	st       *storage.Storage
	wire     *azurite.Wire
	settings storage.Settings
	tenant   string
	logs     bytes.Buffer
	gate     *access.Gate
	function *function.Function
	handler  http.Handler
	token    string // with scope directory
	other    string // with every other scope
}

func newWorld(t testing.TB) *world {
	t.Helper()
	wire, err := azurite.NewWire(azurite.ForTest(t).Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	w := &world{t: t, wire: wire, tenant: uuid.NewString()}
	w.st, err = storage.Open(settings.Storage{ConnectionString: secret.New(wire.ConnectionString())}, nil, nil)
	w.must(err)
	w.settings = storage.Settings{Storage: w.st, Overrides: settings.Overrides{Tenant: w.tenant}}
	log := slog.New(slog.NewJSONHandler(&w.logs, nil))
	w.gate = &access.Gate{Public: &url.URL{Scheme: "https", Host: "bridge.example"}, Credentials: w.st, Sessions: w.st, Tenant: w.settings.Tenant, Now: time.Now, Log: log}
	w.function = &function.Function{Storage: w.st, Settings: w.settings, Audit: w.st, Now: time.Now, Log: log}
	w.handler = w.gate.Either(access.Directory, w.function.ServeCaller)
	issuer := access.Credentials{Store: w.st, Tenant: w.settings.Tenant, Audit: w.st, Now: time.Now}
	_, text, err := issuer.Create(t.Context(), "administrator", "connector", []access.Scope{access.Directory})
	w.must(err)
	w.token = text.Reveal()
	_, text, err = issuer.Create(t.Context(), "administrator", "other", []access.Scope{access.Read, access.Report, access.Monitor})
	w.must(err)
	w.other = text.Reveal()
	return w
}

// held holds every answer to the contract.
func held(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.handler = contract.Handler(t, w.handler)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// accounts are Entra's.
var accounts = []matching.Account{
	{ID: "aaaaaaaa-0000-4000-8000-000000000001", UPN: "ada@contoso.com"},
	{ID: "bbbbbbbb-0000-4000-8000-000000000002", UPN: "bob@contoso.com"},
	{ID: "cccccccc-0000-4000-8000-000000000003", UPN: "cleo@contoso.onmicrosoft.com"},
	{ID: "dddddddd-0000-4000-8000-000000000004", UPN: "twin1@contoso.com", Mail: "twins@contoso.com"},
	{ID: "eeeeeeee-0000-4000-8000-000000000005", UPN: "twin2@contoso.com", Mail: "twins@contoso.com"},
}

// know stores Entra's accounts and switches reading on for everyone.
func (w *world) know(accounts ...matching.Account) {
	w.t.Helper()
	ctx := w.t.Context()
	current, _, err := w.settings.Load(ctx)
	w.must(err)
	current.TeamsToProCall = settings.Everyone
	_, err = w.settings.Save(ctx, current)
	w.must(err)
	_, err = w.st.PutAccounts(ctx, w.tenant, w.state().Accounts, &directory.Accounts{People: accounts}, directory.AccountsRef{At: time.Now()})
	w.must(err)
}

func (w *world) state() storage.Now {
	w.t.Helper()
	now, err := w.st.Now(w.t.Context(), w.tenant)
	w.must(err)
	return now
}

// stored are the users in force.
func (w *world) stored() []matching.User {
	w.t.Helper()
	ref := w.state().Users
	if ref.Blob == "" {
		return nil
	}
	users, err := w.st.Users(w.t.Context(), ref)
	w.must(err)
	return users.People
}

// sync compiles as presencesync does.
func (w *world) sync() {
	w.t.Helper()
	ctx, now := w.t.Context(), w.state()
	accounts, err := w.st.Accounts(ctx, now.Accounts)
	w.must(err)
	var users *directory.Users
	if now.Users.Blob != "" {
		users, err = w.st.Users(ctx, now.Users)
		w.must(err)
	}
	reading, writing := now.Settings.TeamsToProCall, now.Settings.ProCallToTeams
	d, report := directory.Compile(accounts, users, matching.List{}, reading.Rules(), writing.Rules())
	made := directory.Ref{At: time.Now(), Inputs: directory.Fingerprint(now.Accounts, now.Users, now.List, string(reading), string(writing))}
	_, err = w.st.PutDirectory(ctx, w.tenant, now.Directory, d, report, made)
	w.must(err)
}

// answer is what the tests look at.
type answer struct {
	status  int
	etag    string
	header  http.Header
	text    string
	lines   []userlist.Line
	last    last
	problem problem.Details
}

type last struct {
	Count                   int
	Judged                  *bool
	Results                 map[userlist.Result]int
	Next                    string
	Added, Changed, Removed *int
	Stored                  *bool
	Turns                   *userlist.Turns
}

// request changes a request before it is sent.
type request func(*http.Request)

func with(name, value string) request {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func (w *world) ask(method, query string, body io.Reader, changes ...request) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "/api/v1/directory"+query, body)
	r.Host = "bridge.example"
	r.Header.Set("Authorization", "Bearer "+w.token)
	if body != nil {
		r.Header.Set("Content-Type", "application/x-ndjson")
	}
	for _, change := range changes {
		change(r)
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	a := answer{status: recorder.Code, etag: recorder.Header().Get("ETag"), header: recorder.Header(), text: recorder.Body.String()}
	if a.status != http.StatusOK {
		if method != http.MethodHead {
			w.must(json.Unmarshal(recorder.Body.Bytes(), &a.problem))
		}
		return a
	}
	w.must(a.read())
	return a
}

// read reads the lines of an answer.
func (a *answer) read() error {
	texts := strings.SplitAfter(a.text, "\n")
	for i, text := range texts[:len(texts)-1] {
		if i == len(texts)-2 {
			return json.Unmarshal([]byte(text), &a.last)
		}
		var line userlist.Line
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			return err
		}
		a.lines = append(a.lines, line)
	}
	return nil
}

// of returns the results of the lines by user id.
func (a answer) of() map[string]userlist.Result {
	of := map[string]userlist.Result{}
	for _, line := range a.lines {
		of[line.ID] = line.Result
	}
	return of
}

func (w *world) put(query string, list string, changes ...request) answer {
	w.t.Helper()
	return w.ask(http.MethodPut, query, strings.NewReader(list), changes...)
}

func (w *world) patch(query string, list string, changes ...request) answer {
	w.t.Helper()
	return w.ask(http.MethodPatch, query, strings.NewReader(list), changes...)
}

// done demands success.
func (w *world) done(a answer) answer {
	w.t.Helper()
	if a.status != http.StatusOK {
		w.t.Fatalf("= %d %s", a.status, a.text)
	}
	return a
}

// refused demands a refusal that says what to do.
func (w *world) refused(a answer, status int, kind string) answer {
	w.t.Helper()
	if a.status != status || a.problem.Type != "/problems/"+kind || a.problem.NextStep == "" {
		w.t.Errorf("= %d %s; want %d %s", a.status, a.text, status, kind)
	}
	return a
}

// listOf is a list of lines, and the line that counts them.
func listOf(lines ...string) string {
	return strings.Join(append(lines, fmt.Sprintf(`{"count":%d}`, len(lines))), "\n") + "\n"
}

func user(id, name string) string { return fmt.Sprintf(`{"id":%q,"name":%q}`, id, name) }

// users is a list of users u1, u2 ….
func users(ids ...int) string {
	var lines []string
	for _, id := range ids {
		lines = append(lines, user(fmt.Sprintf("u%d", id), fmt.Sprintf("user%d@contoso.com", id)))
	}
	return listOf(lines...)
}

func (w *world) administrator() *http.Cookie {
	w.t.Helper()
	recorder := httptest.NewRecorder()
	w.must(w.gate.Begin(recorder, httptest.NewRequestWithContext(context.Background(), "POST", "/", nil), access.Session{Administrator: access.BySetupCode}))
	return recorder.Result().Cookies()[0]
}

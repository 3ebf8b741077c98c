package usermatching_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"procallteams/dev/azurite"
	"procallteams/functions/usermatching"
	"procallteams/internal/access"
	"procallteams/internal/contract"
	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// before is the file in force when something else comes.
const before = "ada@contoso.com,ada@domain.local\n"

// world is one tenant on Azurite, and its administrator.
type world struct {
	t       testing.TB
	st      *storage.Storage
	tenant  string
	logs    bytes.Buffer
	cookie  string
	gated   http.Handler // as served
	handler http.Handler // the same, held to the contract
}

func newWorld(t *testing.T) *world { return inTenant(t, uuid.NewString()) }

func inTenant(t testing.TB, tenant string) *world {
	t.Helper()
	w := &world{t: t, tenant: tenant}
	var err error
	w.st, err = storage.Open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, nil)
	w.must(err)
	set := storage.Settings{Storage: w.st, Overrides: settings.Overrides{Tenant: tenant}}
	log := slog.New(slog.NewJSONHandler(&w.logs, nil))
	gate := &access.Gate{Public: &url.URL{Scheme: "https", Host: "bridge.example"}, Credentials: w.st, Sessions: w.st, Tenant: set.Tenant, Now: time.Now, Log: log}
	w.gated = gate.Administrator(&usermatching.Function{Storage: w.st, Settings: set, Audit: w.st, Now: time.Now, Log: log})
	w.handler = contract.Handler(t, w.gated)
	signIn := httptest.NewRecorder()
	w.must(gate.Begin(signIn, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/console", nil), access.Session{Administrator: "administrator-1", Tenant: w.tenant}))
	w.cookie = signIn.Result().Cookies()[0].String()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	usermatching.Receipt
	problem struct {
		Type, Detail, NextStep string
		FaultCount             int
		Faults                 []struct {
			Line, Column int
			Text, Repair string
		}
	}
}

func (w *world) send(method, query, file string, headers ...string) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "/api/usermatching"+query, strings.NewReader(file))
	r.Header.Set("Cookie", w.cookie)
	if method == http.MethodPut {
		r.Header.Set("Content-Type", "text/csv")
		r.Header.Set("Content-Length", strconv.Itoa(len(file))) // as a server sees it
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	return w.read(recorder)
}

func (w *world) read(recorder *httptest.ResponseRecorder) answer {
	w.t.Helper()
	a := answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
	switch recorder.Header().Get("Content-Type") {
	case "application/json":
		w.must(json.Unmarshal(recorder.Body.Bytes(), &a.Receipt))
	case "application/problem+json":
		w.must(json.Unmarshal(recorder.Body.Bytes(), &a.problem))
	}
	return a
}

func (w *world) put(file string, headers ...string) answer {
	w.t.Helper()
	return w.send(http.MethodPut, "", file, headers...)
}

// inForce checks that GET gives exactly these bytes.
func (w *world) inForce(want string) {
	w.t.Helper()
	if got := w.send(http.MethodGet, "", ""); got.status != http.StatusOK || got.body != want {
		w.t.Errorf("in force: %d %q; want %q", got.status, got.body, want)
	}
}

// people are known on both sides. Without users UCServer's are not known.
func (w *world) people(accounts []matching.Account, users []matching.User) {
	w.t.Helper()
	now, err := w.st.Now(w.t.Context(), w.tenant)
	w.must(err)
	_, err = w.st.PutAccounts(w.t.Context(), w.tenant, now.Accounts, &directory.Accounts{People: accounts}, directory.AccountsRef{At: time.Now()})
	w.must(err)
	if users != nil {
		_, err = w.st.PutUsers(w.t.Context(), w.tenant, now.Users, &directory.Users{People: users}, directory.UsersRef{At: time.Now(), By: "uc1"})
		w.must(err)
	}
}

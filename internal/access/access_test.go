package access_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"procallteams/dev/azurite"
	"procallteams/internal/access"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// vault keeps versions in memory.
type vault struct {
	mu       sync.Mutex
	versions map[string]string
	disabled map[string]bool
}

func (v *vault) Put(_ context.Context, _ string, value secret.Text, _ secret.Label) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.versions == nil {
		v.versions, v.disabled = map[string]string{}, map[string]bool{}
	}
	version := "v" + strconv.Itoa(len(v.versions)+1)
	v.versions[version] = value.Reveal()
	return version, nil
}

func (v *vault) GetVersion(_ context.Context, _, version string) (secret.Text, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	value, ok := v.versions[version]
	if !ok || v.disabled[version] {
		return secret.Text{}, secret.ErrNotFound
	}
	return secret.New(value), nil
}

func (v *vault) Disable(_ context.Context, _, version string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.disabled[version] = true
	return nil
}

func (v *vault) enabled() (values []string) {
	for version, value := range v.versions {
		if !v.disabled[version] {
			values = append(values, value)
		}
	}
	return values
}

func (v *vault) newest() string { return "v" + strconv.Itoa(len(v.versions)) }

// world is one bridge with a tenant of its own.
type world struct {
	t      *testing.T
	store  *storage.Storage
	tenant string
	now    time.Time
	gate   *access.Gate
	issuer access.Credentials
	reads  int // times that the tenant was asked for
}

func start(t *testing.T) *world {
	t.Helper()
	store, err := storage.Open(settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, tenant: strings.ToLower(rand.Text()), now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	w.gate = w.process()
	w.issuer = access.Credentials{Store: store, Tenant: w.tenantInUse, Audit: store, Now: w.clock}
	return w
}

func (w *world) clock() time.Time { return w.now }

func (w *world) tenantInUse(context.Context) (string, error) {
	w.reads++
	return w.tenant, nil
}

// process returns the gate of another process.
func (w *world) process() *access.Gate {
	public, err := url.Parse("https://bridge.example")
	if err != nil {
		w.t.Fatal(err)
	}
	return &access.Gate{
		Public: public, Credentials: w.store, Sessions: w.store, Tenant: w.tenantInUse, Now: w.clock,
		Log: slog.New(slog.DiscardHandler),
	}
}

func (w *world) create(scopes ...access.Scope) (access.Credential, string) {
	w.t.Helper()
	c, token, err := w.issuer.Create(w.t.Context(), "admin", "connector", scopes)
	if err != nil {
		w.t.Fatal(err)
	}
	return c, token.Reveal()
}

// call presents authorization to gate and returns the answer.
func (w *world) call(gate *access.Gate, authorization string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest("GET", "/api/v1/presence", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answer := httptest.NewRecorder()
	gate.Machine(access.Read, func(rw http.ResponseWriter, _ *http.Request, c access.Consumer) {
		if c.Tenant != w.tenant || c.ID == "" {
			w.t.Errorf("consumer = %+v", c)
		}
		rw.WriteHeader(http.StatusOK)
	}).ServeHTTP(answer, r)
	return answer
}

func TestMachinesAreRefusedWithTheReason(t *testing.T) {
	w := start(t)
	c, token := w.create(access.Read)
	_, monitor := w.create(access.Monitor)
	for _, test := range []struct {
		name, authorization string
		status              int
		problem             string
	}{
		{"the token", "Bearer " + token, 200, ""},
		{"any case of the scheme", "bearer " + token, 200, ""},
		{"nothing", "", 401, "/problems/credential-missing"},
		{"another scheme", "Basic " + token, 401, "/problems/credential-missing"},
		{"no token of ours", "Bearer abc", 401, "/problems/credential-missing"},
		{"an endless token", "Bearer ptb_" + strings.Repeat("a", 5000) + "_x", 401, "/problems/credential-missing"},
		{"an unknown id", "Bearer ptb_nobody_" + rand.Text(), 401, "/problems/credential-refused"},
		{"a wrong secret", "Bearer ptb_" + c.ID + "_" + rand.Text(), 401, "/problems/credential-refused"},
		{"another scope", "Bearer " + monitor, 403, "/problems/scope-missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := w.call(w.gate, test.authorization)
			if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.problem) {
				t.Errorf("= %d %s; want %d %s", answer.Code, answer.Body, test.status, test.problem)
			}
			if challenge := answer.Header().Get("WWW-Authenticate"); (test.status != 200) != strings.HasPrefix(challenge, "Bearer ") {
				t.Errorf("WWW-Authenticate = %q", challenge)
			}
			if strings.Contains(answer.Body.String(), token) {
				t.Error("the refusal shows the token")
			}
		})
	}
}

func TestARevokedCredentialStopsWithinFiveSecondsInEveryProcess(t *testing.T) {
	w := start(t)
	c, token := w.create(access.Read)
	other := w.process()
	for _, gate := range []*access.Gate{w.gate, other} {
		if answer := w.call(gate, "Bearer "+token); answer.Code != 200 {
			t.Fatalf("a new credential = %d %s", answer.Code, answer.Body)
		}
	}
	if err := w.issuer.Revoke(t.Context(), "admin", c.ID); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(5 * time.Second)
	for _, gate := range []*access.Gate{w.gate, other} {
		if answer := w.call(gate, "Bearer "+token); answer.Code != 401 {
			t.Errorf("5 s after it was revoked = %d", answer.Code)
		}
	}
	if _, _, err := w.issuer.Rotate(t.Context(), "admin", c.ID); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("a revoked credential was given a new secret: %v", err)
	}
	valid, _ := w.create(access.Report)
	all, err := w.issuer.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][2]bool{c.ID: {false, true}, valid.ID: {false, false}, "nobodys": {true, true}} {
		if got := [2]bool{access.RevokedBefore(all, w.now.Add(-time.Hour))(id), access.RevokedBefore(all, w.now)(id)}; got != want {
			t.Errorf("%s was revoked an hour ago, or by now: %v; want %v", id, got, want)
		}
	}
}

func TestTwoSecretsAreValidWhileAConnectorChanges(t *testing.T) {
	w := start(t)
	c, first := w.create(access.Read)
	rotate := func() string {
		t.Helper()
		_, token, err := w.issuer.Rotate(t.Context(), "admin", c.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(5 * time.Second)
		return token.Reveal()
	}
	second := rotate()
	for _, token := range []string{first, second} {
		if answer := w.call(w.gate, "Bearer "+token); answer.Code != 200 {
			t.Errorf("one of two secrets = %d", answer.Code)
		}
	}
	third := rotate()
	if answer := w.call(w.gate, "Bearer "+first); answer.Code != 401 {
		t.Errorf("the third last secret = %d; want 401", answer.Code)
	}
	if answer := w.call(w.gate, "Bearer "+third); answer.Code != 200 {
		t.Errorf("the newest secret = %d", answer.Code)
	}
}

func TestAFloodOfInventedIdsCostsOneLookPerSecond(t *testing.T) {
	w := start(t)
	w.create(access.Read)
	w.reads = 0
	for range 200 {
		w.call(w.gate, "Bearer ptb_"+rand.Text()+"_"+rand.Text())
		w.now = w.now.Add(10 * time.Millisecond)
	}
	if w.reads > 3 {
		t.Errorf("storage was asked %d times in 2 s", w.reads)
	}
}

func TestACredentialOfAnotherTenantOpensNothing(t *testing.T) {
	w := start(t)
	_, token := w.create(access.Read)
	w.tenant = strings.ToLower(rand.Text())
	if answer := w.call(w.process(), "Bearer "+token); answer.Code != 401 {
		t.Errorf("= %d; want 401", answer.Code)
	}
}

func TestLastUseIsStoredCoarsely(t *testing.T) {
	w := start(t)
	_, token := w.create(access.Read)
	for range 5 {
		w.call(w.gate, "Bearer "+token)
	}
	all, err := w.issuer.List(t.Context())
	if err != nil || len(all) != 1 || !all[0].LastUsed.Equal(w.now.Truncate(10*time.Minute)) {
		t.Errorf("List() = %+v, %v; want the last use to ten minutes", all, err)
	}
}

func TestEveryChangeOfACredentialIsInTheAuditTrailWithoutItsSecret(t *testing.T) {
	w := start(t)
	c, token := w.create(access.Read)
	if err := w.issuer.Revoke(t.Context(), "somebody", c.ID); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for change, err := range w.store.Changes(t.Context(), w.tenant) {
		if err != nil {
			t.Fatal(err)
		}
		line := change.Who + ": " + change.What + " " + strings.Join(change.Fields, ",")
		if _, value, _ := strings.Cut(token, c.ID+"_"); strings.Contains(line, value) {
			t.Errorf("the audit trail holds a secret")
		}
		seen = append(seen, line)
	}
	if len(seen) != 2 || seen[0] != "admin: credential created "+c.ID && seen[1] != "admin: credential created "+c.ID {
		t.Errorf("audit trail = %q", seen)
	}
}

func TestProcessesThatStartAtOnceShareOneSetupCode(t *testing.T) {
	w := start(t)
	shared := &vault{}
	name := "setup-" + strings.ToLower(rand.Text())
	codes := make([]string, 8)
	var group sync.WaitGroup
	for i := range codes {
		group.Go(func() {
			kept := &access.Kept{Name: name, Vault: shared, Versions: w.store, Make: access.MakeSetupCode}
			value, err := kept.Ensure(t.Context())
			if err != nil {
				t.Error(err)
			}
			codes[i] = value.Reveal()
		})
	}
	group.Wait()
	for _, code := range codes {
		if code != codes[0] || len(code) < 26 {
			t.Errorf("codes differ or are short")
		}
	}
	for _, code := range shared.enabled() {
		if code != codes[0] {
			t.Error("a code that is not in force is enabled in the vault")
		}
	}
	if newest, err := shared.GetVersion(t.Context(), name, shared.newest()); err != nil || newest.Reveal() != codes[0] {
		t.Errorf("whoever reads the newest version gets another code than the one in force: %v", err)
	}
}

func TestAKeptSecretThatIsGoneIsMadeAgain(t *testing.T) {
	w := start(t)
	shared := &vault{}
	name := "push-" + strings.ToLower(rand.Text())
	kept := func() *access.Kept {
		return &access.Kept{Name: name, Vault: shared, Versions: w.store, Make: access.MakePushSecret}
	}
	first, err := kept().Ensure(t.Context())
	if err != nil || !strings.HasPrefix(first.Reveal(), "whsec_") {
		t.Fatalf("Ensure() = %v", err)
	}
	if err := shared.Disable(t.Context(), name, "v1"); err != nil {
		t.Fatal(err)
	}
	second, err := kept().Ensure(t.Context())
	if err != nil || second.Equal(first) {
		t.Errorf("Ensure() after the version was disabled: %v", err)
	}
	third, err := kept().Replace(t.Context())
	if err != nil || third.Equal(second) {
		t.Errorf("Replace(): %v", err)
	}
	warm := kept()
	if err := warm.Check(t.Context()); err != nil {
		t.Errorf("Check() = %v", err)
	}
	if err := shared.Disable(t.Context(), name, "v3"); err != nil {
		t.Fatal(err)
	}
	if err := warm.Check(t.Context()); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("Check() from memory: %v", err)
	}
	delete(shared.disabled, "v3")
	if got, err := kept().Get(t.Context()); err != nil || !got.Equal(third) {
		t.Errorf("another process does not see the replaced secret: %v", err)
	}
}

func TestWrongCodesLeadToAPauseForThatAddressOnly(t *testing.T) {
	w := start(t)
	code := &access.Kept{Name: "setup-" + strings.ToLower(rand.Text()), Vault: &vault{}, Versions: w.store, Make: access.MakeSetupCode}
	right, err := code.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	setup := access.SetupCode{Code: code, Tries: w.store, Limiter: rate.NewLimiter(rate.Inf, 1), Now: w.clock}
	stranger, friend := rand.Text(), rand.Text()
	for i := range 10 {
		if err := setup.Check(t.Context(), secret.New("guess"), stranger); !errors.Is(err, access.ErrWrongCode) {
			t.Fatalf("wrong code %d = %v", i+1, err)
		}
	}
	var paused *access.PausedError
	if err := setup.Check(t.Context(), right, stranger); !errors.As(err, &paused) || !strings.Contains(err.Error(), "try again after") {
		t.Errorf("after ten wrong codes the right one = %v; want a pause in words", err)
	}
	if err := setup.Check(t.Context(), secret.New(" "+strings.ToLower(right.Reveal())+"\n"), friend); err != nil {
		t.Errorf("another address, the right code = %v", err)
	}
	w.now = w.now.Add(5*time.Minute + time.Second)
	if err := setup.Check(t.Context(), right, stranger); err != nil {
		t.Errorf("after the pause = %v", err)
	}
}

func TestAFloodOfWrongCodesStopsNobodyWhoKnowsTheCode(t *testing.T) {
	w := start(t)
	code := &access.Kept{Name: "setup-" + strings.ToLower(rand.Text()), Vault: &vault{}, Versions: w.store, Make: access.MakeSetupCode}
	right, err := code.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := code.Get(t.Context()); err != nil { // as the sign-in page does
		t.Fatal(err)
	}
	setup := access.SetupCode{Code: code, Tries: w.store, Limiter: access.NewSetupLimiter(), Now: w.clock}
	stranger := rand.Text()
	paused := 0
	for i := range 40 {
		err := setup.Check(t.Context(), secret.New("guess"), stranger+":"+strconv.Itoa(50000+i))
		if _, ok := errors.AsType[*access.PausedError](err); ok {
			paused++
		}
	}
	// Ten counts for the address, though each connection has a port of its own.
	if paused != 30 {
		t.Errorf("%d of 40 wrong codes met a pause; want 30", paused)
	}
	if err := setup.Check(t.Context(), right, rand.Text()); err != nil {
		t.Errorf("the right code, from elsewhere = %v", err)
	}
}

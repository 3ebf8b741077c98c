package consentcallback_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	devVault "procallteams/dev/keyvault"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/storage"
)

func TestTwoConsentsInTwoTabsBothConnect(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	user, admin := b.begin("user"), b.begin("admin")
	if status, page := b.land(w.visit(devEntra.Person{ObjectID: w.admin}, admin)); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("second tab = %d %s", status, page)
	}
	if status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader}, user)); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("first tab = %d %s", status, page)
	}
}

func TestAStartPageFetchedTwiceStillConnects(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	first := b.begin("user")
	b.begin("user")
	if status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader}, first)); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("first of two starts = %d %s", status, page)
	}
	if len(b.trips()) != 1 {
		t.Errorf("%d trips are left; want the second", len(b.trips()))
	}
}

func TestTenStartsInARowKeepEightTrips(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	addresses := make([]string, 10)
	for i := range addresses {
		addresses[i] = b.begin("user")
		w.advance(time.Second)
	}
	size := 0
	for _, c := range b.trips() {
		size += len(c.Name) + len(c.Value) + 3
	}
	if n := len(b.trips()); n != 8 || size > 6<<10 {
		t.Errorf("%d trips in %d bytes; want 8 in at most 6 KiB", n, size)
	}
	if status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader}, addresses[2])); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("the oldest kept trip = %d", status)
	}
}

func TestAPrefetchStartsAndFinishesNothing(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	ahead := func(r *http.Request) *http.Response {
		r.Header.Set("Sec-Purpose", "prefetch;prerender")
		return b.send(r, false)
	}
	if response := ahead(httptest.NewRequest(http.MethodGet, public+"/api/consent/user", nil)); response.StatusCode != http.StatusNoContent || len(b.trips()) != 0 {
		t.Errorf("start fetched ahead = %d, %d trips", response.StatusCode, len(b.trips()))
	}
	back := w.visit(devEntra.Person{ObjectID: w.admin}, b.begin("admin"))
	if response := ahead(httptest.NewRequest(http.MethodGet, back.URL, nil)); response.StatusCode != http.StatusNoContent || len(b.trips()) != 1 {
		t.Errorf("callback fetched ahead = %d, %d trips", response.StatusCode, len(b.trips()))
	}
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("the real visit = %d %s", status, page)
	}
}

func TestTheSameFormTwiceAtOnceAsksForOneToken(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: devEntra.FaultLatency, Count: 1, Latency: 300 * time.Millisecond}))
	tabs := make([]*browser, 4)
	var wait sync.WaitGroup
	for i := range tabs {
		tabs[i] = w.browser(w.admin)
		maps.Copy(tabs[i].cookies, b.cookies)
		wait.Go(func() {
			if status, page := tabs[i].land(back); status != 200 || !strings.Contains(page, "Connected") || strings.Contains(page, "Not connected") {
				t.Errorf("arrival %d = %d %s", i, status, page)
			}
		})
	}
	wait.Wait()
	if n := w.redemptions(); n != 1 {
		t.Errorf("%d token requests; want 1", n)
	}
}

func TestACrashAfterTheRowIsShownAsInterrupted(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	id := w.diedWith(b, back.Form.Get("state"))
	w.advance(3 * time.Minute)
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "interrupted") || !strings.Contains(page, "Start again") || w.redemptions() != 0 {
		t.Errorf("trip %s ends with %d %s", id, status, page)
	}
	if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("starting again = %d", status)
	}
}

// diedWith leaves what a process left behind that died right after the trip's
// row: the row that a finished trip had, without its end.
func (w *world) diedWith(b *browser, state string) string {
	w.t.Helper()
	sum := sha256.Sum256([]byte(state))
	begun, err := base64.RawURLEncoding.DecodeString(b.trips()[0].Value)
	must(w.t, err)
	var kept struct {
		Administrator string `json:"a"`
	}
	must(w.t, json.Unmarshal(begun, &kept))
	flow := consent.Flow{ID: hex.EncodeToString(sum[:]), Kind: consent.User, Administrator: kept.Administrator, Began: w.clock()}
	must(w.t, storage.Flows{Storage: w.store}.BeginFlow(w.t.Context(), w.tenant, flow))
	return flow.ID
}

func TestAVaultThatRefusesIsToldAndNothingIsKept(t *testing.T) {
	w := newWorld(t)
	w.vault.Forbid("set")
	status, page := w.consentUser(w.reader)
	if status != 200 || !strings.Contains(page, "could not keep it") || !strings.Contains(page, "Key Vault Secrets Officer") || w.grant(w.reader).Works() {
		t.Errorf("ends with %d %s", status, page)
	}
	w.vault.Allow("set")
	if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("starting again = %d", status)
	}
}

func TestAnAdministratorSignsInWithEntraOnce(t *testing.T) {
	w := newWorld(t)
	var who []consent.SignedIn
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.service.StartSignIn(rw, r)
			return
		}
		signedIn, err := w.service.FinishSignIn(rw, r)
		if errors.Is(err, consent.ErrAnswered) {
			return
		}
		must(t, err)
		who = append(who, signedIn)
		rw.WriteHeader(http.StatusNoContent)
	})
	b := &browser{w: w, cookies: map[string]*http.Cookie{}}
	back := w.visit(devEntra.Person{ObjectID: w.admin}, b.get("/api/console/signin").Header.Get("Location"))
	if response := b.arrive(back); response.StatusCode != http.StatusNoContent || len(who) != 1 {
		t.Fatalf("sign-in = %d %s", response.StatusCode, b.last())
	}
	if who[0].Account.ObjectID != w.admin || !slices.Equal(who[0].Roles, []string{"Bridge.Admin"}) || !who[0].Refresh.Empty() {
		t.Errorf("signed in %s with %v", who[0].Account.ObjectID, who[0].Roles)
	}
	if b.arrive(back); len(who) != 1 || w.redemptions() != 1 {
		t.Error("the same form signs in twice")
	}
	// Another app registration was entered meanwhile: nobody is signed in by the former.
	back = w.visit(devEntra.Person{ObjectID: w.admin}, b.get("/api/console/signin").Header.Get("Location"))
	w.set(func() { w.integration.ClientID = "77777777-8888-4999-8aaa-bbbbbbbbbbbb" })
	if response := b.arrive(back); response.StatusCode != http.StatusBadRequest || len(who) != 1 || w.redemptions() != 1 {
		t.Errorf("by the former app registration = %d, %d signed in", response.StatusCode, len(who))
	}
	w.set(func() { w.integration.ClientID = w.client })
	// A state of a sign-in finishes no consent, and no other browser's sign-in.
	back = w.visit(devEntra.Person{ObjectID: w.admin}, b.get("/api/console/signin").Header.Get("Location"))
	stranger := &browser{w: w, cookies: map[string]*http.Cookie{}}
	if response := stranger.arrive(back); response.StatusCode != http.StatusBadRequest || len(who) != 1 {
		t.Errorf("another browser = %d", response.StatusCode)
	}
	w.handler = w.functions(w.service)
	b.signIn(w.admin)
	back.URL = public + "/api/consent/user/callback"
	w.redeemed(t, b.arrive(back), b.last(), 1)
}

// An administrator's browser is signed in to Microsoft, where the role is taken away.
func TestMicrosoftSaysWithoutAQuestionWhoAnAdministratorIsNow(t *testing.T) {
	w := newWorld(t)
	var who consent.SignedIn
	var refused error
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			signedIn, err := w.service.FinishSignIn(rw, r)
			if !errors.Is(err, consent.ErrAnswered) {
				who, refused = signedIn, err
				rw.WriteHeader(http.StatusNoContent)
			}
		case r.URL.Query().Has("again"):
			to, err := w.service.SignInAgain(rw, r, "ada@contoso.com", "/api/console/people?show=guests")
			must(t, err)
			http.Redirect(rw, r, to, http.StatusSeeOther)
		default:
			w.service.StartSignIn(rw, r)
		}
	})
	jar, err := cookiejar.New(nil)
	must(t, err)
	b := &browser{w: w, cookies: map[string]*http.Cookie{}}
	microsoft := &http.Client{Jar: jar}
	trip := func(person devEntra.Person, path string) {
		t.Helper()
		person.Client = microsoft
		if response := b.arrive(w.visit(person, b.get(path).Header.Get("Location"))); response.StatusCode != http.StatusNoContent {
			t.Fatalf("%s = %d %s", path, response.StatusCode, b.last())
		}
	}
	const again = "/api/console/people?again"
	trip(devEntra.Person{}, again)
	if refusal, ok := errors.AsType[*aadsts.Error](refused); !ok || !refusal.Permanent() || !who.Silent || who.Next != "/api/console/people?show=guests" || len(who.Roles) != 0 {
		t.Errorf("nobody is signed in to Microsoft: %+v, %v", who, refused)
	}
	trip(devEntra.Person{ObjectID: w.admin}, "/api/console/signin?next=/api/console/check")
	if refused != nil || who.Silent || who.Next != "/api/console/check" || !slices.Equal(who.Roles, []string{"Bridge.Admin"}) {
		t.Errorf("signed in = %+v, %v", who, refused)
	}
	trip(devEntra.Person{}, again) // who presses nothing
	if refused != nil || !who.Silent || who.Account.ObjectID != w.admin || !slices.Equal(who.Roles, []string{"Bridge.Admin"}) {
		t.Errorf("asked again = %+v, %v", who, refused)
	}
	must(t, w.entra.SetAppRoles(w.admin))
	trip(devEntra.Person{}, again)
	if refused != nil || who.Account.ObjectID != w.admin || len(who.Roles) != 0 {
		t.Errorf("without the role = %+v, %v", who, refused)
	}
	must(t, w.entra.Disable(w.admin))
	trip(devEntra.Person{}, again)
	if refused == nil || who.Account.ObjectID != "" {
		t.Errorf("a disabled account = %+v", who)
	}
	ahead := httptest.NewRequest(http.MethodGet, public+again, nil)
	ahead.Header.Set("Sec-Purpose", "prefetch")
	if _, err := w.service.SignInAgain(httptest.NewRecorder(), ahead, "", ""); !errors.Is(err, consent.ErrPrefetch) {
		t.Errorf("a page fetched ahead: %v", err)
	}
}

func TestADeclinedConsentIsToldAndCanBeGivenLater(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	status, page := b.land(w.visit(devEntra.Person{ObjectID: w.reader, Decline: true}, b.begin("user")))
	if status != 200 || !strings.Contains(page, "declined") || !strings.Contains(page, "AADSTS65004") || !strings.Contains(page, "Start again") {
		t.Errorf("ends with %d %s", status, page)
	}
	grants, err := w.service.Report(t.Context())
	must(t, err)
	if g := grants[len(grants)-1]; g.Kind != consent.User || g.State != consent.Declined || g.Code != "AADSTS65004" {
		t.Errorf("user grant = %+v", g)
	}
	w.consentUser(w.reader)
	if grants, _ = w.service.Report(t.Context()); len(grants) != 2 || !grants[1].Works() {
		t.Errorf("grants after consent = %+v", grants)
	}
	// Declining later does not touch what works.
	b.land(w.visit(devEntra.Person{ObjectID: w.second, Decline: true}, b.begin("user")))
	if !w.grant(w.reader).Works() {
		t.Error("a second person's no took the grant away")
	}
}

func TestATripThatNeverComesBackChangesNothing(t *testing.T) {
	w := newWorld(t)
	must(t, w.entra.SetUserConsentPolicy(w.tenant, false, false))
	b := w.browser(w.admin)
	_, err := devEntra.Person{ObjectID: w.reader}.Visit(t.Context(), b.begin("user"))
	if err == nil {
		t.Log("the simulator came back although users may not consent")
	}
	w.advance(11 * time.Minute)
	w.probe()
	grants, err := w.service.Report(t.Context())
	must(t, err)
	for _, g := range grants {
		if g.State != consent.Required {
			t.Errorf("grant %s = %s; want required", g.Kind, g.State)
		}
	}
	b.arrive(devEntra.Callback{Method: http.MethodPost, URL: public + "/api/consent/user/callback", Form: map[string][]string{"state": {strings.Repeat("A", 52)}}})
	for _, number := range []string{"AADSTS50011", "AADSTS50105", "AADSTS90094"} {
		if !strings.Contains(b.last(), number) {
			t.Errorf("the page does not explain %s", number)
		}
	}
}

func TestAnAdminConsentWithoutCallbackIsFoundByTheProbe(t *testing.T) {
	w := newWorld(t)
	w.entra.SuppressCallback(true)
	b := w.browser(w.admin)
	_, _ = devEntra.Person{ObjectID: w.admin}.Visit(t.Context(), b.begin("admin"))
	w.probe()
	if g := w.grant(""); !g.Works() {
		t.Errorf("admin grant = %+v", g)
	}
}

func TestAConsentThatSpreadsSlowlyIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.entra.SetConsentDelay(4 * time.Minute)
	b := w.browser(w.admin)
	status, page := b.land(w.visit(devEntra.Person{ObjectID: w.admin}, b.begin("admin")))
	if status != 200 || !strings.Contains(page, "Waiting for Microsoft") || !strings.Contains(page, `http-equiv="refresh"`) || w.grant("").State != consent.Waiting {
		t.Fatalf("ends with %d %s", status, page)
	}
	asked := w.entra.TokenRequests()["client_credentials"]
	outcome := b.visited[len(b.visited)-1]
	for range 30 { // somebody looks at the page for two and a half minutes
		w.advance(5 * time.Second)
		b.get(strings.TrimPrefix(outcome, public))
	}
	if n := w.entra.TokenRequests()["client_credentials"] - asked; n < 4 || n > 6 {
		t.Errorf("%d tokens in two and a half minutes; want about five", n)
	}
	w.advance(2 * time.Minute)
	b.get(strings.TrimPrefix(outcome, public))
	if g := w.grant(""); !g.Works() || !strings.Contains(b.last(), "Connected") {
		t.Errorf("after four minutes the grant is %s, the page %s", g.State, b.last())
	}
}

func TestADeletedSecretIsRecoveredDuringASignIn(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	name := "refresh-" + w.tenant + "-" + w.reader
	w.vault.Delete(name)
	w.vault.SetRecoveryDelay(2)
	if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
		t.Fatalf("sign-in ends with %d %s", status, page)
	}
	w.advance(2 * time.Hour)
	if _, err := w.read(); err != nil {
		t.Errorf("ReadToken = %v", err)
	}
	t.Run("and who must do it is named when it cannot be", func(t *testing.T) {
		w.vault.Delete(name)
		w.vault.Forbid("recover")
		status, page := w.consentUser(w.reader)
		if status != 200 || strings.Contains(page, ">Connected") || !strings.Contains(page, "an administrator of the vault recovers or purges it") {
			t.Errorf("sign-in ends with %d %s", status, page)
		}
	})
}

func TestAnUnsteadyIdentityEndpointStopsNoConsent(t *testing.T) {
	w := newWorld(t)
	// The platform's endpoint fails four times, then tells.
	must(t, w.platform.Inject(devEntra.Fault{Endpoint: devEntra.EndpointIdentity, Kind: devEntra.FaultOutage, Count: 4}))
	must(t, w.vault.Inject(devVault.Fault{Operation: "set", Kind: devVault.FaultBroken, Count: 2}))
	must(t, w.vault.Inject(devVault.Fault{Operation: "get", Kind: devVault.FaultThrottle, Count: 1}))
	if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("sign-in ends with %d %s", status, page)
	}
}

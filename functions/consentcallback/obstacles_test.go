package consentcallback_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/appcredential"
	"procallteams/internal/consent"
)

// The tests of this file are the ways in which a consent goes wrong without
// anybody being to blame: each must end on a page that says what to do.

// shows demands a page that holds all the words.
func shows(t *testing.T, page string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(page, word) {
			t.Errorf("the page lacks %q:\n%s", word, page)
		}
	}
}

func TestASessionThatEndsWhileThePersonIsAtMicrosoftEndsOnAPage(t *testing.T) {
	w := newWorld(t)
	for kind, words := range map[string][]string{
		"user":  {"Your session at the bridge has ended", "start the user consent once more", `href="/api/console?next=/api/consent/user"`},
		"admin": {"Your session at the bridge has ended", "the bridge finds it by itself", `href="/api/console?next=/api/consent/admin"`},
	} {
		b := w.browser(w.admin)
		back := w.visit(devEntra.Person{ObjectID: w.admin}, b.begin(kind))
		delete(b.cookies, sessionCookie)
		response := b.arrive(back)
		if response.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", kind, response.StatusCode, response.Header.Get("Content-Type"))
		}
		shows(t, b.last(), words...)
	}
	if n := w.redemptions(); n != 0 {
		t.Errorf("%d codes were redeemed for nobody", n)
	}
	// Signed in again, the same answer still ends well.
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	delete(b.cookies, sessionCookie)
	b.arrive(back)
	b.signIn(w.admin)
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("after signing in again = %d %s", status, page)
	}
}

// answered is what Microsoft sends when a person ends the user consent like this.
func (w *world) answered(b *browser, fields url.Values) (int, string) {
	w.t.Helper()
	fields.Set("state", query(w.t, b.begin("user")).Get("state"))
	return b.land(devEntra.Callback{Method: http.MethodPost, URL: public + "/api/consent/user/callback", Form: fields})
}

func TestANoEndsKindlyWhateverMicrosoftCallsIt(t *testing.T) {
	const declined = "AADSTS65004: User declined to consent to access the app.\r\nTrace ID: 1c0ffee0-0000-4000-8000-000000000001"
	for name, fields := range map[string]url.Values{
		"declined, as it is said today":  {"error": {"access_denied"}, "error_description": {declined}},
		"declined, as it was said":       {"error": {"consent_required"}, "error_description": {declined}},
		"cancelled on the sign-in page":  {"error": {"access_denied"}, "error_description": {"the user canceled the authentication"}},
		"cancelled, with its sub-error":  {"error": {"access_denied"}, "error_subcode": {"cancel"}, "error_description": {"AADSTS65004: x"}},
		"an error beside a code is a no": {"error": {"access_denied"}, "error_description": {declined}, "code": {"stolen"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			status, page := w.answered(w.browser(w.admin), fields)
			if status != 200 || strings.Contains(page, "Report this") || strings.Contains(page, "stolen") {
				t.Errorf("ends with %d %s", status, page)
			}
			shows(t, page, "Not connected", "declined", "Start again", "Nothing was changed.", "Microsoft showed an error, or never came back?")
			if g := w.grant(""); g.State != consent.Required {
				t.Errorf("the admin consent = %s", g.State)
			}
			if w.redemptions() != 0 {
				t.Error("a code was redeemed")
			}
		})
	}
}

func TestAPersonWhoComesBackFromAnotherTenantIsToldSo(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	state := query(t, b.begin("admin")).Get("state")
	status, page := b.land(devEntra.Callback{Method: http.MethodGet, URL: public + "/api/consent/admin/callback?" + url.Values{
		"state": {state}, "tenant": {"fab00000-0000-4000-8000-000000000001"}, "admin_consent": {"True"},
	}.Encode()})
	if status != 200 || w.grant("").Works() {
		t.Errorf("ends with %d, the grant is %s", status, w.grant("").State)
	}
	shows(t, page, "another tenant", "an administrator of the configured tenant", "Start again")
}

func TestADoubleClickTheBackButtonAndAReloadAllEndWell(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	// A double click starts twice, and the second page is the one that stays.
	b.begin("user")
	address := b.begin("user")
	back := w.visit(devEntra.Person{ObjectID: w.reader}, address)
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "Connected") {
		t.Fatalf("the second of two starts = %d %s", status, page)
	}
	outcome := strings.TrimPrefix(b.visited[len(b.visited)-1], public)
	// Back once: the browser posts the same form again.
	if status, page := b.land(back); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("the back button ends with %d %s", status, page)
	}
	// Reload of the last page, also later.
	w.advance(time.Hour)
	if response := b.get(outcome); response.StatusCode != 200 || !strings.Contains(b.last(), "Connected 60 minutes ago") {
		t.Errorf("a reload = %d %s", response.StatusCode, b.last())
	}
	if n := w.redemptions(); n != 1 {
		t.Errorf("%d codes were redeemed; want 1", n)
	}
	// Back twice: Microsoft's page again, which sends another code for the old state.
	again := w.visit(devEntra.Person{ObjectID: w.reader}, address)
	if status, page := b.land(again); status != 200 || !strings.Contains(page, "Connected") {
		t.Errorf("Microsoft's page again = %d %s", status, page)
	}
	if n := w.redemptions(); n != 1 {
		t.Errorf("%d codes were redeemed; want 1", n)
	}
}

func TestTwoAdministratorsAtOnceBothConnect(t *testing.T) {
	w := newWorld(t)
	first, second := w.browser(w.admin), w.browser(w.second)
	user, admin := first.begin("user"), second.begin("admin")
	forUser := w.visit(devEntra.Person{ObjectID: w.reader}, user)
	forAdmin := w.visit(devEntra.Person{ObjectID: w.admin}, admin)
	var wait sync.WaitGroup
	for b, back := range map[*browser]devEntra.Callback{first: forUser, second: forAdmin} {
		wait.Go(func() {
			if status, page := b.land(back); status != 200 || !strings.Contains(page, "Connected") {
				t.Errorf("ends with %d %s", status, page)
			}
		})
	}
	wait.Wait()
	if !w.grant(w.reader).Works() || !w.grant("").Works() {
		t.Errorf("grants = %s, %s; want both", w.grant(w.reader).State, w.grant("").State)
	}
	// Neither sees the page of the other's consent.
	if response := second.get(strings.TrimPrefix(first.visited[len(first.visited)-1], public)); response.StatusCode != http.StatusBadRequest {
		t.Errorf("the other administrator's page = %d", response.StatusCode)
	}
}

func TestTheEndOfAConsentSaysWhereItShowsAndOffersTheCheck(t *testing.T) {
	w := newWorld(t)
	_, page := w.consentUser(w.reader)
	shows(t, page, "Where this shows at Microsoft", "User consent", "nothing is wrong, when an administrator consented for everybody", "A consent is not a sign-in", `action="/api/console/check"`)
	_, page = w.consentAdmin()
	shows(t, page, "does not appear under", "Admin consent", `action="/api/console/check"`)
}

func TestAGermanBrowserReadsWhatToDoInGerman(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	b.language = "de-DE,de;q=0.9,en;q=0.8"
	_, page := w.answered(b, url.Values{"error": {"access_denied"}, "error_description": {"AADSTS65004: x"}})
	shows(t, page, `<p lang="de"`, "Beginnen Sie von vorn, wenn Sie so weit sind.", "AADSTS65004")
	if strings.Contains(page, "Start again when you are ready.") {
		t.Error("the same step stands there in English too")
	}
	b.language = "fr"
	_, page = w.answered(b, url.Values{"error": {"access_denied"}, "error_description": {"AADSTS65004: x"}})
	shows(t, page, `<p lang="en"`, "Start again when you are ready.")
}

func TestACodeThatSomebodyElseUsedIsCalledUsed(t *testing.T) {
	w := newWorld(t)
	b := w.browser(w.admin)
	back := w.visit(devEntra.Person{ObjectID: w.reader}, b.begin("user"))
	kept, err := base64.RawURLEncoding.DecodeString(b.trips()[0].Value)
	must(t, err)
	var trip struct {
		Verifier string `json:"v"`
	}
	must(t, json.Unmarshal(kept, &trip))
	response, err := w.transport.PostForm(w.back+"/"+w.tenant+"/oauth2/v2.0/token", url.Values{
		"client_id": {w.client}, "client_secret": {w.clientSecret()}, "grant_type": {"authorization_code"}, "code_verifier": {trip.Verifier},
		"code": {back.Values().Get("code")}, "redirect_uri": {public + "/api/consent/user/callback"},
	})
	must(t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("somebody else's use = %d", response.StatusCode)
	}
	_, page := b.land(back)
	shows(t, page, "Not connected", "This sign-in was used already", "Look at the bridge&#39;s page whether it is connected", "AADSTS54005")
}

// Nobody has told the bridge yet that the consent was removed.
func TestAConsentThatIsRemovedAndGivenAgainWithinSecondsIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	w.advance(2 * time.Hour)
	w.probe()
	must(t, w.entra.RevokeApplication(w.tenant, w.client))
	w.entra.SetConsentDelay(4 * time.Minute)
	w.advance(5 * time.Second)
	if status, page := w.consentAdmin(); status != 200 || !strings.Contains(page, "Waiting for Microsoft") || strings.Contains(page, "removed") {
		t.Errorf("ends with %d %s", status, page)
	}
	for range 3 {
		w.advance(time.Minute)
		w.probe()
		if g := w.grant(""); g.State != consent.Waiting {
			t.Fatalf("meanwhile = %s: %s", g.State, g.Reason)
		}
	}
	w.advance(2 * time.Minute)
	w.probe()
	if g := w.grant(""); !g.Works() || g.Reason != "" {
		t.Errorf("afterwards = %s: %s", g.State, g.Reason)
	}
}

func TestANoLeavesADisconnectedConsentDisconnected(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	must(t, w.service.Disconnect(t.Context(), w.admin, consent.Admin, ""))
	b := w.browser(w.admin)
	status, page := b.land(w.visit(devEntra.Person{ObjectID: w.admin, Decline: true}, b.begin("admin")))
	if status != 200 || !strings.Contains(page, "declined") {
		t.Errorf("ends with %d %s", status, page)
	}
	if g := w.grant(""); g.State != consent.Required || !strings.Contains(g.Reason, "disconnected") {
		t.Errorf("grant = %s: %s", g.State, g.Reason)
	}
}

func TestASignInThatComesBackBeforeTheSecretIsStoredSaysWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	name := appcredential.SecretName(w.tenant)
	for _, v := range w.vault.Versions(name) {
		must(t, w.secrets.Disable(t.Context(), name, v.ID))
	}
	status, page := w.consentUser(w.reader)
	if status != 200 || strings.Contains(page, "could not keep it") {
		t.Errorf("ends with %d %s", status, page)
	}
	shows(t, page, "Not connected", "The client secret is missing", "store its value on the bridge", "Whoever manages the app registration")
}

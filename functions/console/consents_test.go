package console_test

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"

	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

var english = language.English

// grantsOf notes what the console asks for.
type grantsOf struct{ w *world }

func (g grantsOf) Disconnect(_ context.Context, who string, kind consent.Kind, account string) error {
	if account == "gone" {
		return consent.ErrNoGrant
	}
	g.w.parted = append(g.w.parted, who+" disconnects "+string(kind)+" "+account)
	return nil
}

func (g grantsOf) UseAgain(_ context.Context, who string) error {
	g.w.parted = append(g.w.parted, who+" uses again")
	return nil
}

// given stores a consent.
func (w *world) given(g consent.Grant) {
	w.t.Helper()
	g.ClientID = clientID
	if _, err := (storage.Grants{Storage: w.store}).SaveGrant(w.t.Context(), tenantID, g); err != nil {
		w.t.Fatal(err)
	}
}

// connected is a bridge with the admin consent, one person who reads and one who
// is refused.
func connected(t *testing.T) *world {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	w.given(consent.Grant{
		Kind: consent.Admin, State: consent.Granted, GivenAt: w.now, CheckedAt: w.now.Add(-30 * time.Second), Permissions: []string{"Presence.ReadWrite.All", "Mail.Read"},
		CredentialKind: settings.SecretInKeyVault, CredentialEnds: w.now.Add(40 * 24 * time.Hour),
	})
	w.given(consent.Grant{Kind: consent.User, State: consent.Granted, GivenAt: w.now, SecretVersion: "v1", Account: consent.Account{ObjectID: "oid-rita", Name: "Rita <Reader>", UPN: "rita@contoso.com"}})
	w.given(consent.Grant{
		Kind: consent.User, State: consent.Reauthorize, Class: aadsts.Reauthorize, Code: "AADSTS50173", Reason: "the password was reset", NextStep: "Sign in again.", SecretVersion: "v1",
		Account: consent.Account{ObjectID: "oid-sven", Name: "Sven"},
		History: []consent.Transition{{At: w.now.Add(-time.Hour), To: consent.Granted}, {At: w.now, From: consent.Granted, To: consent.Reauthorize, Code: "AADSTS50173"}},
	})
	return w
}

func TestEveryConsentShowsItsStateItsHistoryAndWhatToDo(t *testing.T) {
	w := connected(t)
	page := w.get("/api/console")
	has(t, page,
		"by the admin consent. If it failed, reading would go on within the same sync, by the sign-in of Rita &lt;Reader&gt;.", "nobody else may write presences",
		"Rita &lt;Reader&gt; (rita@contoso.com)", "Last proven 30 seconds ago", "The client secret ends on 2027-01-04 (in 40 days).",
		"Missing: User.Read.All.", "More than needed: Mail.Read.",
		"The password was reset.", "<code>AADSTS50173</code>", "works → needed again", `href="/api/consent/user?account=oid-sven"`,
		"Connect another person", "That list stays empty when the same administrator gave the admin consent first", "A consent is not a sign-in",
		html.EscapeString(aadsts.Reauthorize.Advice(english, settings.OwnRegistration).Action))
	german := httptest.NewRequest(http.MethodGet, "/api/console", nil)
	german.Header.Set("Accept", "text/html")
	german.Header.Set("Accept-Language", "de-DE,de;q=0.9,en;q=0.5")
	answer := w.send(german)
	has(t, answer, `lang="de"`, "Melden Sie sich")
	if strings.Contains(answer.Body.String(), html.EscapeString(aadsts.Reauthorize.Advice(english, settings.OwnRegistration).Action)) {
		t.Error("a German browser reads the advice in English too")
	}
	if strings.Contains(answer.Body.String(), "<p>Sign in again.</p>") {
		t.Error("the general step stands in English above the German advice, which says the same")
	}
}

func TestAConsentIsDisconnectedAfterAQuestion(t *testing.T) {
	w := connected(t)
	has(t, w.get("/api/console"), "/api/console/disconnect?kind=user&amp;account=oid-rita", "/api/console/disconnect?kind=admin")
	question := w.get("/api/console/disconnect?kind=admin")
	has(t, question, "Then reading is carried by Rita &lt;Reader&gt; (rita@contoso.com). Then writing stops.", "Revoke permission", "Keep it")
	has(t, w.get("/api/console/disconnect?kind=user&account=oid-rita"), "Rita &lt;Reader&gt;", "Remove-MgOauth2PermissionGrant", "Revoke sessions", "carried by the admin consent")
	if len(w.parted) > 0 {
		t.Errorf("the question already did %q", w.parted)
	}
	if answer := w.post("disconnect", url.Values{"kind": {"user"}, "account": {"oid-rita"}}); answer.Code != 303 || answer.Header().Get("Location") != "/api/console?done=disconnected" {
		t.Errorf("disconnect = %d %s", answer.Code, answer.Body)
	}
	if answer := w.post("use-again", url.Values{"once": {"1"}}); answer.Code != 303 {
		t.Errorf("use again = %d", answer.Code)
	}
	if got := strings.Join(w.parted, ", "); got != "set-up code disconnects user oid-rita, set-up code uses again" {
		t.Errorf("done: %s", got)
	}
	for _, form := range []url.Values{{"kind": {"user"}, "account": {"gone"}}, {"kind": {"both"}}} {
		answer := w.post("disconnect", form)
		if answer.Code != 422 {
			t.Errorf("%v = %d", form, answer.Code)
		}
		has(t, answer, "There is no such consent")
	}
	if answer := w.get("/api/console/disconnect?kind=user&account=nobody"); answer.Code != 404 {
		t.Errorf("a question about nobody = %d", answer.Code)
	}
	w.cookie = nil
	if answer := w.get("/api/console/disconnect?kind=admin"); answer.Code != 303 {
		t.Errorf("without a session = %d", answer.Code)
	}
}

func TestADisconnectedAdminConsentCanBeUsedAgain(t *testing.T) {
	w := start(t, settings.Overrides{})
	w.signIn()
	w.register()
	w.given(consent.Grant{Kind: consent.Admin, State: consent.Required, Disconnected: true, GivenAt: w.now, Reason: "an administrator disconnected it"})
	page := w.get("/api/console")
	has(t, page, "disconnected</span>", "Use it again", "An administrator disconnected it.")
	if strings.Contains(page.Body.String(), "disconnect?kind=admin") {
		t.Error("what is disconnected can be disconnected")
	}
}

func TestWithASharedRegistrationNobodyIsToldToRegisterAnything(t *testing.T) {
	w := connected(t)
	own := w.get("/api/console")
	has(t, own, "Application: Presence.ReadWrite.All, User.Read.All;")
	if answer := w.post("directions", url.Values{"step": {"directions"}, "teamsToProCall": {"everyone"}}); answer.Code != 303 {
		t.Fatalf("one direction alone ends with %d", answer.Code)
	}
	form := url.Values{"tenant": {tenantID}, "clientId": {clientID}, "kind": {"shown"}, "shared": {"yes"}, "readOnly": {"yes"}}
	if answer := w.post("app", form); answer.Code != 303 {
		t.Fatalf("a shared registration ends with %d\n%s", answer.Code, answer.Body)
	}
	if stored := w.stored(); stored.Registration != settings.SharedRegistration || stored.Profile != settings.ReadOnlyProfile {
		t.Fatalf("stored as %q, %q", stored.Registration, stored.Profile)
	}
	refused := w.post("directions", url.Values{"step": {"directions"}, "teamsToProCall": {"everyone"}, "proCallToTeams": {"everyone"}})
	has(t, refused, "read-only does not go with ProCall to Teams")
	shared := w.get("/api/console")
	has(t, shared, "Nobody here registers redirect URIs or permissions. Give the admin consent first", "Application: Presence.Read.All, User.Read.All;", "Tell whoever hosts the bridge")
	if strings.Contains(own.Body.String(), "Nobody here registers") {
		t.Error("a registration of one's own is nobody's")
	}
	w.post("app", url.Values{"tenant": {tenantID}, "clientId": {clientID}, "kind": {"shown"}})
	if stored := w.stored(); stored.Registration != settings.OwnRegistration || stored.Profile != settings.FullProfile {
		t.Errorf("boxes that are not ticked leave %q, %q", stored.Registration, stored.Profile)
	}
}

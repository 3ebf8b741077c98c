package consentcallback_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
	"procallteams/internal/secret"
	"procallteams/internal/storage"
)

// The tests of the files events_*_test.go play what happens to a grant in real
// tenants (Microsoft identity platform: refresh tokens, error codes, and captures
// of real answers) against the whole stack, one row per event: what Entra is asked
// how often, what state results, what the administrator reads, and how it recovers.

// event happens to a sign-in that works.
type event struct {
	happens func(*world) error
	// cured undoes the cause; the sign-in then works again without a person. Nil:
	// only a new consent helps.
	cured func(*world) error
	code  string
	state consent.State
	// reason and step are parts of what the administrator reads.
	reason, step string
	// perHour bounds the requests to the token endpoint while it lasts; 0 is 15.
	perHour int
}

// refusals are the events that stop a user grant until somebody acts.
var refusals = map[string]event{
	"an administrator revokes the sessions": {
		func(w *world) error { return w.entra.RevokeSessions(w.reader) }, nil,
		"AADSTS50173", consent.Reauthorize, "sessions were revoked", "Sign in again", 0,
	},
	"an administrator resets the password in the Entra admin center": {
		func(w *world) error { return w.entra.ResetPassword(w.reader) }, nil,
		"AADSTS50173", consent.Reauthorize, "reset its password", "Sign in again", 0,
	},
	"the account is disabled, and enabled again": {
		func(w *world) error { return w.entra.Disable(w.reader) }, func(w *world) error { return w.entra.Enable(w.reader) },
		"AADSTS50057", consent.Reauthorize, "account is disabled", "Enable the account", 0,
	},
	"the account is deleted, and restored": {
		func(w *world) error { return w.entra.RemoveUser(w.reader) }, func(w *world) error { return w.entra.RestoreUser(w.reader) },
		"AADSTS50034", consent.Reauthorize, "does not exist", "Restore the account", 0,
	},
	"a second factor is newly required": {
		func(w *world) error { return w.entra.RequireMFA(w.reader) }, nil,
		"AADSTS50076", consent.Reauthorize, "multi-factor", "Sign in again with multi-factor", 0,
	},
	"a second factor is required, and the policy is taken back": {
		func(w *world) error { return w.entra.RequireMFA(w.reader) }, func(w *world) error { return w.entra.DropDemands(w.reader) },
		"AADSTS50076", consent.Reauthorize, "multi-factor", "Sign in again with multi-factor", 0,
	},
	"the second factor is too old": {
		func(w *world) error { return w.entra.AgeMFA(w.reader) }, nil,
		"AADSTS50078", consent.Reauthorize, "too old", "Sign in again with multi-factor", 0,
	},
	"a second factor must be registered": {
		func(w *world) error { return w.entra.RequireRegistration(w.reader) }, nil,
		"AADSTS50079", consent.Reauthorize, "must register", "https://aka.ms/mfasetup", 0,
	},
	"the sign-in frequency has passed": {
		func(w *world) error { return w.entra.EndSignInFrequency(w.reader) }, nil,
		"AADSTS70043", consent.Reauthorize, "sign-in frequency", "exempt the account", 0,
	},
	"Conditional Access blocks": {
		func(w *world) error { return w.entra.ConditionalAccess(w.reader, true) }, func(w *world) error { return w.entra.ConditionalAccess(w.reader, false) },
		"AADSTS53003", consent.Blocked, "Conditional Access", "Exclude the account", 0,
	},
	"Conditional Access blocks, in the other words": {
		func(w *world) error {
			w.entra.SetBlockedWord("invalid_grant")
			return w.entra.ConditionalAccess(w.reader, true)
		}, func(w *world) error { return w.entra.ConditionalAccess(w.reader, false) },
		"AADSTS53003", consent.Blocked, "Conditional Access", "a new sign-in alone does not help", 0,
	},
	"a policy on locations blocks the function's address": {
		func(w *world) error { return w.entra.BlockServers(w.reader, true) }, func(w *world) error { return w.entra.BlockServers(w.reader, false) },
		"AADSTS53003", consent.Blocked, "Conditional Access", "allow the bridge's outbound address", 0,
	},
	"a managed device is required": {
		func(w *world) error { return w.entra.RequireDevice(w.reader, true) }, func(w *world) error { return w.entra.RequireDevice(w.reader, false) },
		"AADSTS53000", consent.Blocked, "managed device", "Exclude the account", 0,
	},
	"the account is at risk": {
		func(w *world) error { return w.entra.BlockRisk(w.reader, true) }, func(w *world) error { return w.entra.BlockRisk(w.reader, false) },
		"AADSTS53004", consent.Blocked, "risk policy", "dismiss the risk", 0,
	},
	"the consent is withdrawn": {
		func(w *world) error { return w.entra.RevokeDelegated(w.tenant, w.client, w.reader) }, nil,
		"AADSTS65001", consent.Reauthorize, "withdrawn", "Give consent again", 0,
	},
	"the consent is withdrawn, and given again by an administrator": {
		func(w *world) error { return w.entra.RevokeDelegated(w.tenant, w.client, w.reader) },
		func(w *world) error { return w.entra.GrantDelegated(w.tenant, w.client, "") },
		"AADSTS65001", consent.Reauthorize, "withdrawn", "Give consent again", 0,
	},
	"only Presence.Read.All is removed": {
		func(w *world) error {
			return w.entra.RevokeDelegated(w.tenant, w.client, w.reader, "Presence.Read.All")
		},
		func(w *world) error {
			return w.entra.GrantDelegated(w.tenant, w.client, w.reader, "Presence.Read.All")
		},
		"AADSTS65001", consent.Reauthorize, "withdrawn", "Give consent again", 0,
	},
	"the app registration is deleted, and restored": {
		func(w *world) error { return w.entra.RemoveApp(w.tenant, w.client) }, func(w *world) error { return w.entra.RestoreApp(w.tenant, w.client) },
		"AADSTS700016", consent.Reauthorize, "app was not found", "Check client id and tenant id", 0,
	},
	"the enterprise application is deleted, and restored": {
		func(w *world) error { return w.entra.RemovePrincipal(w.tenant, w.client) }, func(w *world) error { return w.entra.RestorePrincipal(w.tenant, w.client) },
		"AADSTS7000229", consent.Reauthorize, "enterprise application is missing", "Create it again", 0,
	},
	"the enterprise application is deleted for good": {
		func(w *world) error { return w.entra.RemovePrincipal(w.tenant, w.client) }, nil,
		"AADSTS7000229", consent.Reauthorize, "enterprise application is missing", "Create it again", 0,
	},
	"the enterprise application is disabled": {
		func(w *world) error { return w.entra.SetAppEnabled(w.tenant, w.client, false) }, func(w *world) error { return w.entra.SetAppEnabled(w.tenant, w.client, true) },
		"AADSTS7000112", consent.Reauthorize, "enterprise application is disabled", "Enabled for users to sign in", 0,
	},
	"assignment is required": {
		func(w *world) error { return w.entra.RequireAssignment(w.tenant, w.client, w.admin) }, func(w *world) error { return w.entra.RequireAssignment(w.tenant, w.client, w.admin, w.reader) },
		"AADSTS50105", consent.Reauthorize, "not assigned", "Assign it", 0,
	},
	"the client secret expires, and is replaced": {
		func(w *world) error { return w.entra.ExpireSecrets(w.tenant, w.client) }, (*world).replaceSecret,
		"AADSTS7000222", consent.Reauthorize, "client secret has expired", "Create a new client secret", 150,
	},
	"the client secret is deleted, and replaced": {
		func(w *world) error { return w.entra.RemoveSecret(w.tenant, w.client, w.clientSecret()) }, (*world).replaceSecret,
		"AADSTS7000215", consent.Reauthorize, "client secret is wrong", "not its id", 150,
	},
	"the sign-in was not used for 90 days": {
		func(w *world) error { w.advance(91 * 24 * time.Hour); return nil }, nil,
		"AADSTS700082", consent.Reauthorize, "90 days", "Sign in again", 0,
	},
	"the stored sign-in is garbage": {
		func(w *world) error { return w.spoil("not-a-refresh-token") }, nil,
		"AADSTS9002313", consent.Reauthorize, "does not accept the stored sign-in", "Sign in again", 0,
	},
}

// replaceSecret makes a new client secret and stores it on the bridge's page.
func (w *world) replaceSecret() error {
	const fresh = "a-new-and-better-secret"
	if err := w.entra.AddSecret(w.tenant, w.client, fresh, time.Time{}); err != nil {
		return err
	}
	return w.credential.SetSecret(w.t.Context(), secret.New(fresh), time.Time{})
}

// spoil puts another value in place of the reader's stored sign-in.
func (w *world) spoil(value string) error {
	g := w.grant(w.reader)
	w.vault.Set(g.SecretName, value)
	versions := w.vault.Versions(g.SecretName)
	g.SecretVersion = versions[len(versions)-1].ID
	_, err := storage.Grants{Storage: w.store}.SaveGrant(w.t.Context(), w.tenant, g)
	return err
}

// signInTo signs the reader in to an app by hand and returns the refresh token.
func (w *world) signInTo(client, clientSecret, redirect string) string {
	w.t.Helper()
	base := w.back + "/" + w.tenant + "/oauth2/v2.0/"
	person := devEntra.Person{ObjectID: w.reader, Client: w.transport}
	back, err := person.Visit(w.t.Context(), base+"authorize?"+url.Values{
		"client_id": {client}, "response_type": {"code"}, "redirect_uri": {redirect}, "scope": {"offline_access " + graph + "/Presence.Read.All"},
	}.Encode())
	must(w.t, err)
	response, err := w.transport.PostForm(base+"token", url.Values{
		"client_id": {client}, "client_secret": {clientSecret}, "grant_type": {"authorization_code"},
		"code": {back.Values().Get("code")}, "redirect_uri": {redirect},
	})
	must(w.t, err)
	defer response.Body.Close()
	var tokens struct {
		Refresh string `json:"refresh_token"`
	}
	must(w.t, json.NewDecoder(response.Body).Decode(&tokens))
	return tokens.Refresh
}

func TestEveryRefusalIsNamedAskedForRarelyAndRecovers(t *testing.T) {
	for name, e := range refusals {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.consentUser(w.reader)
			stored, _ := w.vault.Value(w.grant(w.reader).SecretName)
			w.advance(2 * time.Hour)
			must(t, e.happens(w))
			if e.code == "AADSTS9002313" {
				stored, _ = w.vault.Value(w.grant(w.reader).SecretName)
			}
			_, err := w.read()
			required(t, err, e.code)
			w.named(e)
			since := w.grant(w.reader).Since
			w.lasts(e, 20*time.Minute)
			if g := w.grant(w.reader); !g.Since.Equal(since) || g.Code != e.code {
				t.Errorf("after twenty minutes it is %s since %s; want %s since %s", g.Code, g.Since, e.code, since)
			}
			if value, ok := w.vault.Value(w.grant(w.reader).SecretName); !ok || value != stored {
				t.Error("the stored sign-in was thrown away")
			}
			w.recovers(e)
		})
	}
}

// named demands that the reader's grant says what happened.
func (w *world) named(e event) {
	w.t.Helper()
	g := w.grant(w.reader)
	if g.State != e.state || g.Code != e.code || !g.Since.Equal(w.clock()) || g.TraceID == "" {
		w.t.Errorf("grant is %s %s since %s, trace %q; want %s %s since %s", g.State, g.Code, g.Since, g.TraceID, e.state, e.code, w.clock())
	}
	if !strings.Contains(g.Reason, e.reason) || !strings.Contains(g.NextStep, e.step) {
		w.t.Errorf("the administrator reads %q, %q; want %q, %q in it", g.Reason, g.NextStep, e.reason, e.step)
	}
	if last := g.History[len(g.History)-1]; last.To != e.state || last.Code != e.code || last.TraceID != g.TraceID || !last.At.Equal(w.clock()) {
		w.t.Errorf("the history ends with %+v", last)
	}
	if !strings.Contains(w.log.String(), e.code) {
		w.t.Errorf("the log lacks %s", e.code)
	}
}

// lasts lets syncs and probes go on, and counts what they ask Entra for.
func (w *world) lasts(e event, d time.Duration) {
	w.t.Helper()
	limit := e.perHour
	if limit == 0 {
		limit = 15
	}
	before := w.entra.TokenRequests()["refresh_token"]
	for i := range int(d / (30 * time.Second)) {
		w.advance(30 * time.Second)
		if _, err := w.read(); err == nil {
			w.t.Fatalf("it recovered by itself after %d halves of a minute", i)
		}
		if i%2 == 0 {
			w.probe()
		}
	}
	if n, most := w.entra.TokenRequests()["refresh_token"]-before, int(float64(limit)*d.Hours())+1; n > most {
		w.t.Errorf("%d requests in %s; want at most %d", n, d, most)
	} else if n == 0 {
		w.t.Errorf("it was never tried again in %s", d)
	}
}

// recovers undoes the event, or gives a new consent, and demands that the grant
// works.
func (w *world) recovers(e event) {
	w.t.Helper()
	if e.cured == nil {
		w.advance(6 * time.Minute)
		if _, err := w.read(); err == nil {
			w.t.Error("it works again although nobody signed in")
		}
		if status, page := w.consentUser(w.reader); status != 200 || !strings.Contains(page, "Connected") {
			w.t.Errorf("the new consent ends with %d %s", status, page)
		}
	} else {
		must(w.t, e.cured(w))
		w.advance(6 * time.Minute)
		w.probe()
	}
	if token, err := w.read(); err != nil || token.Account != w.reader {
		w.t.Errorf("after the cure: %s, %v", token.Account, err)
	}
	if g := w.grant(w.reader); !g.Works() || g.Code != "" || g.Reason != "" || g.History[len(g.History)-1].To != consent.Granted {
		w.t.Errorf("recovered grant = %s %s %q, history %+v", g.State, g.Code, g.Reason, g.History)
	}
}

func TestWhatARefreshTokenSurvivesStopsNothing(t *testing.T) {
	for name, happens := range map[string]func(*world) error{
		"the person changes the password":                func(w *world) error { return w.entra.ChangePassword(w.reader) },
		"the person resets a forgotten password":         func(w *world) error { return w.entra.SelfServiceReset(w.reader) },
		"the password expires":                           func(w *world) error { return w.entra.ExpirePassword(w.reader) },
		"an administrator resets it in the Azure portal": func(w *world) error { return w.entra.ResetPasswordInAzure(w.reader) },
		"users may consent no longer":                    func(w *world) error { return w.entra.SetUserConsentPolicy(w.tenant, false, false) },
		"the app is found risky":                         func(w *world) error { return w.entra.SetRisky(w.tenant, w.client, true) },
		"the signing keys change":                        func(w *world) error { return w.entra.RollKeys() },
		"the redirect URIs are removed":                  func(w *world) error { return w.entra.RemoveRedirectURIs(w.tenant, w.client, true) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.consentUser(w.reader)
			must(t, happens(w))
			for range 4 {
				w.advance(2 * time.Hour)
				if token, err := w.sync(); err != nil || token.Account != w.reader {
					t.Errorf("ReadToken = %v", err)
				}
				w.probe()
			}
			if g := w.grant(w.reader); !g.Works() || len(g.History) != 1 {
				t.Errorf("grant = %s, history %+v", g.State, g.History)
			}
		})
	}
}

func TestASignInUsedEverySixtyDaysLivesOn(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	for range 4 {
		w.advance(60 * 24 * time.Hour)
		if _, err := w.read(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARefreshTokenOfAnotherClientIsDoubtedThenNamed(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	// An administrator copied the secret of another app's sign-in into the vault.
	other := "99999999-0000-4000-8000-00000000000a"
	must(t, w.entra.AddApp(devEntra.App{TenantID: w.tenant, ClientID: other, Name: "Another app", Secret: "its-own-secret", RedirectURIs: []string{public + "/other"}}))
	must(t, w.spoil(w.signInTo(other, "its-own-secret", public+"/other")))
	w.advance(2 * time.Hour)
	began, asked := w.clock(), w.entra.TokenRequests()["refresh_token"]
	for w.grant(w.reader).Works() {
		if w.clock().Sub(began) > 10*time.Minute {
			t.Fatal("not marked after ten minutes")
		}
		_, _ = w.read()
		w.advance(5 * time.Second)
	}
	if d := w.clock().Sub(began); d < 2*time.Minute {
		t.Errorf("marked after %s; want some minutes of doubt", d)
	}
	if n := w.entra.TokenRequests()["refresh_token"] - asked; n < 3 || n > 6 {
		t.Errorf("asked %d times while in doubt; want some three", n)
	}
	if g := w.grant(w.reader); g.State != consent.Reauthorize || g.Code != "AADSTS70000" || !strings.Contains(g.NextStep, "client id is unchanged") {
		t.Errorf("grant = %s %s %q", g.State, g.Code, g.NextStep)
	}
	w.consentUser(w.reader)
	if _, err := w.read(); err != nil {
		t.Errorf("after a new consent: %v", err)
	}
}

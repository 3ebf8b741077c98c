package consentcallback_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	devVault "procallteams/dev/keyvault"
	"procallteams/internal/consent"
	"procallteams/internal/secret"
)

// required demands a *consent.RequiredError with a code.
func required(t *testing.T, err error, code string) {
	t.Helper()
	refused, ok := errors.AsType[*consent.RequiredError](err)
	if !ok || refused.Code != code {
		t.Errorf("error = %v; want authorization required with %q", err, code)
	}
}

func TestNothingIsGivenBeforeConsent(t *testing.T) {
	w := newWorld(t)
	_, err := w.read()
	required(t, err, "")
	_, err = w.service.WriteToken(t.Context(), w.tenant, w.grants())
	required(t, err, "")
	for _, use := range []consent.Use{consent.Reading, consent.Writing} {
		if g, ok := w.carrier(use); ok || g.State != consent.Required {
			t.Errorf("%s stands on %+v, %t; want nothing", use, g, ok)
		}
	}
}

func TestConsentGivenAndRemovedInThePortalIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.probe()
	if g := w.grant(""); g.State != consent.Required {
		t.Errorf("before = %s", g.State)
	}
	must(t, w.entra.GrantApplication(w.tenant, w.client))
	w.advance(time.Minute)
	w.probe()
	if g := w.grant(""); !g.Works() || g.GivenAt.IsZero() || len(g.Permissions) != 3 {
		t.Errorf("after the portal's consent = %+v", g)
	}
	if _, err := w.read(); err != nil {
		t.Errorf("ReadToken = %v", err)
	}
	w.consentUser(w.reader)
	must(t, w.entra.RevokeApplication(w.tenant, w.client))
	w.advance(time.Minute)
	w.probe()
	if g := w.grant(""); g.State != consent.Reauthorize || !strings.Contains(g.Reason, "portal") || g.NextStep == "" {
		t.Errorf("after its removal = %+v", g)
	}
	// The old token would live for an hour; the row says no at once.
	if token, err := w.read(); err != nil || token.Kind != consent.User {
		t.Errorf("ReadToken = %s, %v; want the user grant", token.Kind, err)
	}
	must(t, w.entra.GrantApplication(w.tenant, w.client))
	w.advance(time.Minute)
	w.probe()
	if g := w.grant(""); !g.Works() || g.Reason != "" {
		t.Errorf("given again = %+v", g)
	}
}

func TestANewConsentReachesAProcessThatWasRefusedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	sync := w.process(w.back)
	must(t, w.entra.RevokeSessions(w.reader))
	_, err := sync.ReadToken(t.Context(), w.tenant, w.grants())
	required(t, err, "AADSTS50173")
	w.consentUser(w.reader)
	if _, err := sync.ReadToken(t.Context(), w.tenant, w.grants()); err != nil {
		t.Errorf("the other process still says %v", err)
	}
}

func TestARecoveryReachesAProcessThatWasRefusedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	must(t, w.entra.Disable(w.reader))
	w.advance(2 * time.Hour)
	_, err := w.read()
	required(t, err, "AADSTS50057")
	must(t, w.entra.Enable(w.reader))
	w.advance(5 * time.Second)
	must(t, w.process(w.back).ProveNow(t.Context())) // the console's, say
	if _, err := w.read(); err != nil {
		t.Errorf("the row says %s, and a sync says %v", w.grant(w.reader).State, err)
	}
}

func TestReadingFailsOverBetweenAccounts(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.advance(time.Minute)
	w.consentUser(w.second)
	must(t, w.entra.Disable(w.second))
	w.advance(2 * time.Hour)
	if token, err := w.read(); err != nil || token.Account != w.reader {
		t.Errorf("ReadToken = %s, %v; want the first account's", token.Account, err)
	}
	if g := w.grant(w.second); g.State != consent.Reauthorize {
		t.Errorf("the disabled account's grant = %s", g.State)
	}
	// A sync recovers by itself, should no probe run.
	must(t, w.entra.Disable(w.reader))
	must(t, w.entra.Enable(w.second))
	w.advance(2 * time.Hour)
	if token, err := w.read(); err != nil || token.Account != w.second || !w.grant(w.second).Works() {
		t.Errorf("ReadToken = %s, %v; want the account that was enabled again", token.Account, err)
	}
}

func TestAnOutageMarksNoGrant(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	must(t, w.entra.GrantApplication(w.tenant, w.client))
	w.probe()
	w.advance(2 * time.Hour)
	must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: devEntra.FaultDrop}))
	_, err := w.read()
	if _, marked := errors.AsType[*consent.RequiredError](err); err == nil || marked {
		t.Errorf("ReadToken = %v; want an error that passes", err)
	}
	w.entra.ClearFaults()
	must(t, w.entra.Inject(devEntra.Fault{Endpoint: devEntra.EndpointToken, Kind: devEntra.FaultThrottle, RetryAfter: time.Minute}))
	if err := w.service.Probe(t.Context()); err == nil {
		t.Error("the probe hides an outage")
	}
	w.entra.ClearFaults()
	w.advance(time.Minute) // that Entra asked for
	w.vault.Forbid("get")
	if _, err := w.read(); err != nil {
		t.Errorf("the credential that was read before does not carry over: %v", err)
	}
	if _, err := w.process(w.back).ReadToken(t.Context(), w.tenant, w.grants()); err == nil || !strings.Contains(err.Error(), "Key Vault Secrets Officer") {
		t.Errorf("a new process without a role at the vault: %v", err)
	}
	w.advance(time.Minute)
	if err := w.service.Probe(t.Context()); err == nil {
		t.Error("the probe hides that the stored sign-in can't be read")
	}
	if g := w.grant(""); !g.Works() || !strings.Contains(g.Reason, "Key Vault Secrets Officer") {
		t.Errorf("the grant hides the vault's refusal: %s, %s", g.State, g.Reason)
	}
	w.vault.Allow("get")
	must(t, w.vault.Inject(devVault.Fault{Kind: devVault.FaultBroken, Count: 2}))
	if _, err := w.read(); err != nil || !w.grant(w.reader).Works() || !w.grant("").Works() {
		t.Errorf("after the outage: %v, %s, %s", err, w.grant(w.reader).State, w.grant("").State)
	}
}

func TestAClientSecretThatExpiredOrIsAnIDIsNamed(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	must(t, w.entra.GrantApplication(w.tenant, w.client))
	w.probe()
	if err := w.credential.SetSecret(t.Context(), secret.New("6a1f7b2c-3d4e-4f50-8a6b-7c8d9e0f1a2b"), time.Time{}); err == nil || !strings.Contains(err.Error(), "that is the secret's id") {
		t.Errorf("SetClientSecret(id) = %v", err)
	}
	must(t, w.entra.SetSecret(w.tenant, w.client, w.clientSecret(), w.clock()))
	w.advance(2 * time.Hour)
	w.probe()
	if g := w.grant(""); g.State != consent.Reauthorize || g.Code != "AADSTS7000222" || !strings.Contains(g.NextStep, "new client secret") {
		t.Errorf("expired secret: %+v", g)
	}
	must(t, w.entra.SetSecret(w.tenant, w.client, "a-new-and-better-secret", w.clock().Add(24*time.Hour)))
	must(t, w.credential.SetSecret(t.Context(), secret.New("a-new-and-better-secret"), time.Time{}))
	must(t, w.service.ProveNow(t.Context())) // the console does, in the same second
	for _, account := range []string{"", w.reader} {
		if g := w.grant(account); !g.Works() {
			t.Errorf("new secret: %+v", g)
		}
	}
}

func TestARefusalByGraphIsProvenAndMarked(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.consentAdmin()
	token, err := w.read()
	must(t, err)
	must(t, w.service.Refused(t.Context(), w.tenant, token, http.StatusForbidden))
	if !w.grant("").Works() {
		t.Error("one 403 took away a grant that works")
	}
	must(t, w.entra.RevokeApplication(w.tenant, w.client))
	must(t, w.service.Refused(t.Context(), w.tenant, token, http.StatusForbidden))
	if g := w.grant(""); g.State != consent.Reauthorize {
		t.Errorf("admin grant = %s", g.State)
	}
	token, err = w.read()
	if err != nil || token.Kind != consent.User {
		t.Fatalf("ReadToken = %s, %v", token.Kind, err)
	}
	must(t, w.entra.RevokeDelegated(w.tenant, w.client, w.reader))
	must(t, w.entra.RevokeDelegated(w.tenant, w.client, "")) // the admin consent covered it too
	must(t, w.service.Refused(t.Context(), w.tenant, token, http.StatusForbidden))
	if g := w.grant(w.reader); g.State != consent.Reauthorize || g.Code != "AADSTS65001" {
		t.Errorf("user grant = %s %s", g.State, g.Code)
	}
}

func TestAnOldProcessNeverOverwritesANewConsent(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	old := w.process(w.back)
	grants := w.grants() // as the old process read them
	w.advance(8 * 24 * time.Hour)
	w.consentUser(w.second)
	w.consentUser(w.reader)
	inForce := w.grant(w.reader).SecretVersion
	if _, err := old.ReadToken(t.Context(), w.tenant, grants); err != nil {
		t.Errorf("the old process: %v", err)
	}
	if g := w.grant(w.reader); g.SecretVersion != inForce {
		t.Error("the old process put its sign-in in force")
	}
	for account, name := range map[string]string{w.reader: w.grant(w.reader).SecretName, w.second: w.grant(w.second).SecretName} {
		newer := false // than the version in force
		for _, v := range w.vault.Versions(name) {
			if v.Tags["oid"] != account {
				t.Errorf("%s holds a version of %s", name, v.Tags["oid"])
			}
			if v.Enabled == newer {
				t.Errorf("version %s of %s: enabled %t, newer than the one in force %t", v.ID, name, v.Enabled, newer)
			}
			newer = newer || v.ID == w.grant(account).SecretVersion
		}
	}
}

func TestARefreshTokenIsRenewedAfterSevenDaysOnly(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	name := w.grant(w.reader).SecretName
	for range 6 {
		w.advance(24 * time.Hour)
		if _, err := w.read(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.vault.Versions(name)); n != 1 {
		t.Errorf("%d versions after six days; want 1", n)
	}
	w.advance(25 * time.Hour)
	processes := []*consent.Service{w.service, w.process(w.back), w.process(w.back)}
	grants := w.grants()
	var wait sync.WaitGroup
	for _, process := range processes {
		wait.Go(func() {
			if _, err := process.ReadToken(t.Context(), w.tenant, grants); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	enabled := []string{} // the renewal, and mostly the sign-in before; what the others stored is not readable
	for _, v := range w.vault.Versions(name) {
		if v.Enabled {
			enabled = append(enabled, v.ID)
		}
	}
	if n := len(enabled); n < 1 || n > 2 || enabled[n-1] != w.grant(w.reader).SecretVersion {
		t.Errorf("%d versions are enabled, %s is in force", len(enabled), w.grant(w.reader).SecretVersion)
	}
	w.advance(2 * time.Hour)
	if _, err := w.read(); err != nil {
		t.Error(err)
	}
}

func TestAnotherAppRegistrationNeedsNewConsents(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.consentAdmin()
	w.mu.Lock()
	w.integration.ClientID = "77777777-8888-4999-8aaa-bbbbbbbbbbbb"
	w.mu.Unlock()
	w.advance(time.Minute)
	_ = w.service.Probe(t.Context())
	for _, use := range []consent.Use{consent.Reading, consent.Writing} {
		if g, ok := w.carrier(use); ok {
			t.Errorf("%s still stands on %+v", use, g)
		}
	}
	if _, err := w.read(); err == nil {
		t.Error("reading goes on with the former app registration")
	}
}

func TestAnAdminConsentRightAfterAnotherClientIDIsOfThatOne(t *testing.T) {
	w := newWorld(t)
	w.consentAdmin()
	other := uuid.NewString()
	must(t, w.entra.AddApp(devEntra.App{
		TenantID: w.tenant, ClientID: other, Name: "Another app", Secret: "another-client-secret", RedirectURIs: []string{public + "/api/consent/admin/callback"},
		Application: []string{"Presence.ReadWrite.All", "User.Read.All"},
	}))
	w.set(func() { w.integration.ClientID = other })
	must(t, w.credential.SetSecret(t.Context(), secret.New("another-client-secret"), time.Time{}))
	if status, page := w.consentAdmin(); status != 200 || !strings.Contains(page, "Connected") { // no probe came in between
		t.Errorf("ends with %d %s", status, page)
	}
	if g := w.grant(""); !g.Works() || g.ClientID != other || len(g.History) < 3 {
		t.Errorf("grant = %+v", g)
	}
}

func TestAClientIDThatIsCorrectedBringsItsConsentsBack(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.consentAdmin()
	use := func(client string) {
		w.mu.Lock()
		w.integration.ClientID = client
		w.mu.Unlock()
		w.advance(time.Minute)
		_ = w.service.Probe(t.Context())
	}
	use("77777777-8888-4999-8aaa-bbbbbbbbbbbb")
	if g := w.grants(); g[0].Works() || g[1].Works() {
		t.Fatalf("with another client id = %+v", g)
	}
	use(w.client)
	for _, account := range []string{"", w.reader} {
		if g := w.grant(account); !g.Works() || g.Reason != "" {
			t.Errorf("after the correction = %+v", g)
		}
	}
}

func TestAnAccountThatGraphRefusesStaysMarkedUntilGraphTakesIt(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.advance(time.Minute)
	w.consentUser(w.second)
	refuse := func(account string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.barred = account
	}
	refuse(w.second)
	if token, err := w.sync(); err != nil || token.Account != w.second {
		t.Fatalf("the first sync reads as %s, %v", token.Account, err)
	}
	since := w.grant(w.second).Since
	for i := range 36 { // three minutes of syncs, each minute a probe
		if i%12 == 0 {
			w.probe()
		}
		if token, err := w.sync(); err != nil || token.Account != w.reader {
			t.Fatalf("sync %d reads as %s, %v; want the account that works", i, token.Account, err)
		}
		w.advance(5 * time.Second)
	}
	if g := w.grant(w.second); g.State != consent.Blocked || g.Code != "Forbidden" || !g.Since.Equal(since) {
		t.Errorf("the refused account = %s %s since %s; want blocked since %s", g.State, g.Code, g.Since, since)
	}
	refuse("")
	w.advance(time.Minute)
	w.probe()
	if g := w.grant(w.second); !g.Works() || g.Reason != "" {
		t.Errorf("after Graph takes it again = %s, %s", g.State, g.Reason)
	}
}

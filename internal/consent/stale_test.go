package consent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

// slowVault does something between two calls of the vault, as time passes there.
type slowVault struct {
	*vault
	before func(call string)
}

func (v *slowVault) Put(ctx context.Context, name string, value secret.Text, label secret.Label) (string, error) {
	v.before("put " + value.Reveal())
	return v.vault.Put(ctx, name, value, label)
}

func (v *slowVault) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	v.before("versions")
	return v.vault.Versions(ctx, name)
}

func (v *slowVault) Disable(ctx context.Context, name, version string) error {
	v.before("disable")
	return v.vault.Disable(ctx, name, version)
}

// A disconnection overwrites a sign-in while its person signs in again.
func TestADisconnectionThatIsSlowSparesANewSignIn(t *testing.T) {
	app := App{Tenant: "t", ClientID: "c"}
	who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
	for _, moment := range []string{"put " + marker, "versions", "disable"} {
		t.Run("before it asks to "+moment, func(t *testing.T) {
			r := &rows{}
			s, _ := keeper(r)
			v := &slowVault{vault: &vault{}, before: func(string) {}}
			s.Vault = v
			if _, err := s.connect(t.Context(), app, who, false); err != nil {
				t.Fatal(err)
			}
			v.before = func(call string) {
				if call != moment {
					return
				}
				v.before = func(string) {}
				if _, err := s.connect(t.Context(), app, who, false); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.retire(t.Context(), "t", r.grants[0], why{}, func(Grant) bool { return true }); err != nil {
				t.Fatal(err)
			}
			g := r.grants[0]
			if _, err := v.GetVersion(t.Context(), "", g.SecretVersion); err != nil || !g.Works() || g.Disconnected {
				t.Errorf("the new sign-in is %v, its grant %s", err, g.State)
			}
			if v.versions[0] != nil {
				t.Error("the sign-in that was disconnected is still readable")
			}
		})
	}
}

// A renewal that crashed leaves a version newer than the one in force.
func TestADisconnectionDisablesAVersionThatNoRowNames(t *testing.T) {
	r := &rows{}
	s, _ := keeper(r)
	v := &vault{}
	s.Vault = v
	who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
	if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), "", secret.New("renewed"), secret.Label{}); err != nil {
		t.Fatal(err)
	}
	s.Now = func() time.Time { return noon.Add(time.Hour) }
	if err := s.retire(t.Context(), "t", r.grants[0], why{}, func(Grant) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if v.versions[0] != nil || v.versions[1] != nil || v.versions[2] == nil {
		t.Errorf("readable are %v; want the marker alone", v.versions)
	}
}

// What a probe read may be old when its turn comes: it waits for Entra and Key Vault.
func TestAProbeThatReadTheRowsLongAgoRetiresNoSignInInUse(t *testing.T) {
	r := &rows{}
	s, _ := keeper(r)
	now := noon
	s.Now = func() time.Time { return now }
	s.Audit = func(context.Context, string, string, string, ...string) error { return nil }
	s.Settings = fixed{settings.Integration{Tenant: "t", ClientID: "c"}}
	app := App{Tenant: "t", ClientID: "c"}
	sign := func(account string) {
		t.Helper()
		who := SignedIn{Account: Account{ObjectID: account}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
		if _, err := s.connect(t.Context(), app, who, false); err != nil {
			t.Fatal(err)
		}
	}
	sign("rita")
	sign("sven")
	stale := r.grants[1]
	now = now.Add(confirmTime - time.Second)
	if err := s.Confirm(t.Context(), "ada", "sven", ""); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if err := s.probeUser(t.Context(), "t", stale, time.Minute); err != nil {
		t.Fatal(err)
	}
	if g := r.grants[1]; !g.Works() || g.Disconnected {
		t.Errorf("an account that was confirmed is %s: %s", g.State, g.Reason)
	}
}

func TestAProbeThatReadTheRowsLongAgoForgetsNoSecondSignIn(t *testing.T) {
	r := &rows{}
	s, _ := keeper(r)
	now := noon
	s.Now = func() time.Time { return now }
	sign := func(account string) {
		t.Helper()
		who := SignedIn{Account: Account{ObjectID: account}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
		if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
			t.Fatal(err)
		}
	}
	sign("rita")
	sign("sven")
	stale := r.grants[1]
	now = now.Add(confirmTime - time.Second)
	sign("sven") // and has fifteen minutes more
	now = now.Add(2 * time.Second)
	if err := s.probeUser(t.Context(), "t", stale, time.Minute); err != nil {
		t.Fatal(err)
	}
	if g := r.grants[1]; g.State != Unconfirmed || g.Disconnected {
		t.Errorf("the account is %s: %s", g.State, g.Reason)
	}
}

// silentVault answers nobody.
type silentVault struct{ *vault }

func (silentVault) GetVersion(ctx context.Context, _, _ string) (secret.Text, error) {
	<-ctx.Done()
	return secret.Text{}, ctx.Err()
}

// spread is Entra after an administrator consented in the portal.
type spread struct{ issuer }

func (*spread) AppToken(ctx context.Context, _ App) (AppToken, error) {
	return AppToken{Readable: true, Roles: []string{writePresence, readUsers}}, ctx.Err()
}

type noFlows struct{ Flows }

func (noFlows) SweepFlows(context.Context, string, time.Time) error { return nil }

// Upkeep gives a probe ten seconds.
func TestAConsentInThePortalIsSeenThoughAPersonsSignInIsNotRead(t *testing.T) {
	r := &rows{}
	s, _ := keeper(r)
	s.Settings = fixed{settings.Integration{Tenant: "t", ClientID: "c"}}
	s.Issuer, s.Flows = &spread{}, noFlows{}
	s.Read = func(context.Context, secret.Text) (int, error) { return 200, nil }
	who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
	if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
		t.Fatal(err)
	}
	s.Vault, s.Now = silentVault{}, func() time.Time { return noon.Add(time.Hour) }
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Probe(ctx); err == nil {
		t.Error("a vault that is silent is no failure")
	}
	for _, g := range r.grants {
		if !g.Works() {
			t.Errorf("the %s grant is %s", g.Kind, g.State)
		}
	}
	if len(r.grants) != 2 {
		t.Errorf("grants = %+v; want the admin grant too", r.grants)
	}
}

// fixed are settings.
type fixed struct{ settings.Integration }

func (f fixed) Load(context.Context) (settings.Integration, []string, error) {
	return f.Integration, nil, nil
}

func TestAVerdictFromBeforeAPersonActedIsVoid(t *testing.T) {
	works := Grant{Kind: Admin, ClientID: "c", State: Granted, GivenAt: noon.Add(-time.Hour)}
	disconnected := works
	disconnected.State, disconnected.Disconnected = Required, true
	for name, row := range map[string]struct{ before, now Grant }{
		"consented":       {Grant{Kind: Admin, ClientID: "c", State: Required}, Grant{Kind: Admin, ClientID: "c", State: Waiting, GivenAt: noon}},
		"disconnected":    {works, disconnected},
		"another app":     {works, Grant{Kind: Admin, ClientID: "d", State: Required, GivenAt: works.GivenAt}},
		"used again":      {disconnected, works},
		"consented again": {Grant{Kind: Admin, ClientID: "c", State: Declined}, Grant{Kind: Admin, ClientID: "c", State: Granted, GivenAt: noon}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rows{grants: []Grant{row.now}}
			s, _ := keeper(r)
			marked := false
			if _, err := s.store(t.Context(), "t", row.before, verdict{at: noon.Add(time.Minute), mark: func(*Grant) { marked = true }}); err != nil {
				t.Fatal(err)
			}
			if marked {
				t.Error("what was found out before counts")
			}
		})
	}
}

// narrow is Entra after an administrator took the permission away: it still refreshes.
type narrow struct{ issuer }

func (n *narrow) Refresh(ctx context.Context, app App, refresh secret.Text) (Tokens, error) {
	tokens, err := n.issuer.Refresh(ctx, app, refresh)
	tokens.Scopes = []string{"User.Read"}
	return tokens, err
}

func TestARefreshThatGrantsLessIsARefusal(t *testing.T) {
	r := &rows{}
	s, _ := keeper(r)
	s.Issuer = &narrow{}
	who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
	if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
		t.Fatal(err)
	}
	before := r.grants[0].SecretVersion
	_, err := s.ReadToken(t.Context(), "t", r.grants)
	if _, refused := errors.AsType[*RequiredError](err); !refused {
		t.Errorf("ReadToken = %v; want that the permission is missing", err)
	}
	if g := r.grants[0]; g.State != Reauthorize || g.SecretVersion != before {
		t.Errorf("grant = %s, version %s; want the sign-in of before kept", g.State, g.SecretVersion)
	}
}

// Several refusals have no code of Entra's.
func TestARefusalThatTurnsIntoAnotherIsToldAndWhenItWasTried(t *testing.T) {
	r, now := &rows{}, noon
	s, _ := keeper(r)
	v := &vault{}
	s.Vault, s.Issuer, s.Now = v, &narrow{}, func() time.Time { return now }
	who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
	if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
		t.Fatal(err)
	}
	told := func() string {
		t.Helper()
		now = now.Add(6 * time.Minute)
		if err := s.probeUser(t.Context(), "t", r.grants[0], time.Minute); err != nil {
			t.Fatal(err)
		}
		if g := r.grants[0]; !g.CheckedAt.Equal(now) {
			t.Errorf("%q was tried at %s; want %s", g.Reason, g.CheckedAt, now)
		}
		return r.grants[0].Reason
	}
	stored := v.versions[0]
	v.versions[0] = nil
	if reason := told(); !strings.Contains(reason, "no longer in Key Vault") {
		t.Errorf("disabled in Key Vault: %q", reason)
	}
	v.versions[0] = stored
	if reason := told(); !strings.Contains(reason, readPresence) {
		t.Errorf("readable again, and the permission is gone: %q", reason)
	}
	if reason := told(); !strings.Contains(reason, readPresence) || !r.grants[0].Since.Equal(noon.Add(6*time.Minute)) {
		t.Errorf("still: %q since %s", reason, r.grants[0].Since)
	}
}

// Graph refused a token of the sign-in before.
func TestARefusalByGraphOfAnOlderSignInBarsNoNewOne(t *testing.T) {
	r := &rows{}
	s, _ := keeper(r)
	who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
	for range 2 {
		if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
			t.Fatal(err)
		}
	}
	before := r.grants[0]
	before.SecretVersion = "0"
	if err := s.answered(t.Context(), "t", before, s.slot("t", "c", User, "rita"), 403); err != nil {
		t.Fatal(err)
	}
	if g := r.grants[0]; !g.Works() {
		t.Errorf("grant = %s: %s", g.State, g.Reason)
	}
}

// Another process found out meanwhile that Graph refuses the account; Entra's token says
// nothing against that.
func TestARefreshThatBeganBeforeGraphRefusedRestoresNothing(t *testing.T) {
	r := &rows{}
	s, _ := keeper(r)
	who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
	if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
		t.Fatal(err)
	}
	before := r.grants[0]
	other, _ := keeper(r)
	if err := other.answered(t.Context(), "t", before, other.slot("t", "c", User, "rita"), 403); err != nil {
		t.Fatal(err)
	}
	if _, err := s.refresh(t.Context(), "t", before, s.slot("t", "c", User, "rita")); err != nil {
		t.Fatal(err)
	}
	if g := r.grants[0]; !g.barred() {
		t.Errorf("grant = %s", g.State)
	}
}

// late lets something happen after the rows were read for the first time.
type late struct {
	*rows
	then func()
}

func (l *late) Grants(ctx context.Context, tenant string) ([]Grant, error) {
	grants, err := l.rows.Grants(ctx, tenant)
	if then := l.then; then != nil {
		l.then = nil
		then()
	}
	return grants, err
}

func TestAnEndThatAnotherProcessAnnouncedMeanwhileIsNotAnnouncedAgain(t *testing.T) {
	r := &rows{grants: []Grant{{Kind: Admin, ClientID: "c", State: Granted, CredentialEnds: noon.Add(6 * day), ETag: "0"}}}
	app := fixed{settings.Integration{Tenant: "t", ClientID: "c"}}
	quick, told := keeper(r)
	slow, again := keeper(r)
	quick.Settings, slow.Settings = app, app
	slow.Grants = &late{r, func() {
		if err := quick.Remind(t.Context()); err != nil {
			t.Error(err)
		}
	}}
	if err := slow.Remind(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(told.String(), "credential ends") || strings.Contains(again.String(), "credential ends") {
		t.Errorf("the first process logged %q, the other %q", told, again)
	}
}

package check_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"procallteams/internal/check"
	"procallteams/internal/consent"
	"procallteams/internal/entra/aadsts"
	"procallteams/internal/matching/participation"
	"procallteams/internal/outbound"
	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const nobody, ada = presence.UserID("00000000-0000-0000-0000-000000000000"), presence.UserID("oid-ada")

// whole is a bridge on which everything works, with the app's permission and one
// person's; a test spoils a part of it.
func whole() check.Bridge {
	full := []string{"Presence.ReadWrite.All", "User.Read.All", "GroupMember.Read.All"}
	clock := noon
	return check.Bridge{
		Cloud: "public", Nobody: nobody,
		Look: func(context.Context) (check.View, error) {
			return check.View{
				Settings: settings.Integration{
					Version: 7, Tenant: "t", ClientID: "c", TeamsToProCall: settings.Everyone, ProCallToTeams: settings.Everyone, PushURL: "https://ucserver.example/push",
				},
				Grants: []consent.Grant{
					{Kind: consent.Admin, State: consent.Granted},
					{Kind: consent.User, State: consent.Granted, SecretVersion: "v1", Account: consent.Account{ObjectID: "oid-rita", Name: "Rita"}},
				},
			}, nil
		},
		Vault:    func(context.Context) (string, error) { return "secret read", nil },
		Proxy:    func(context.Context) (string, error) { return "", fmt.Errorf("%w: no proxy is set", check.ErrNothing) },
		Discover: func(context.Context, string) error { return nil },
		App: func(context.Context) (consent.Proof, error) {
			return consent.Proof{
				Token: consent.Token{Kind: consent.Admin}, Permissions: full, Readable: true,
				Credential: consent.CredentialUse{Kind: settings.SecretInKeyVault, Ends: noon.Add(90 * 24 * time.Hour)},
			}, nil
		},
		Person: func(context.Context, string, consent.Grant) (consent.Proof, error) {
			return consent.Proof{Token: consent.Token{Kind: consent.User}, Permissions: []string{"Presence.Read.All", "User.ReadBasic.All", "openid"}, Readable: true}, nil
		},
		AtGraph:  func(context.Context, consent.Proof) (int, error) { return 200, nil },
		Presence: func(context.Context, consent.Token, presence.UserID) (int, error) { return 200, nil },
		Someone:  func(context.Context, string) (presence.UserID, error) { return ada, nil },
		Accounts: func(context.Context, consent.Token) error { return nil },
		Group:    func(context.Context, consent.Token, string) (string, error) { return "Pilots", nil },
		Ping:     func(context.Context, string) (string, error) { return "accepted", nil },
		Now:      func() time.Time { clock = clock.Add(42 * time.Millisecond); return clock },
	}
}

// states are the report in short: "storage ok, credential failed ...".
func states(r check.Report) string {
	var parts []string
	for _, c := range r.Checks {
		text := string(c.Step) + " " + string(c.State)
		if c.Because != "" {
			text += " (" + string(c.Because) + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// of returns one step's result.
func of(t *testing.T, r check.Report, name check.Name) check.Result {
	t.Helper()
	for _, c := range r.Checks {
		if c.Step == name {
			return c
		}
	}
	t.Fatalf("there is no step %s", name)
	return check.Result{}
}

func TestWhatWorksIsShownWithEvidence(t *testing.T) {
	report := whole().Run(t.Context())
	const want = "settings ok, storage ok, key-vault ok, proxy off, tenant ok, credential ok, admin-consent ok, user-consent ok, read-presence ok, directory ok, write-presence ok, push ok"
	if got := states(report); got != want || !report.OK {
		t.Errorf("report = %s, ok %t; want %s", got, report.OK, want)
	}
	for name, evidence := range map[check.Name]string{
		check.Storage: "settings version 7", check.Credential: "ends on 2027-02-23 (in 89 days)",
		check.AdminConsent: "token with 3 roles, which Graph accepts; GroupMember.Read.All is not needed while no rule names an Entra group",
		check.UserConsent:  "token with 3 scopes", check.ReadPresence: "1 presence read in 42 ms, by the admin consent",
	} {
		if got := of(t, report, name); !strings.Contains(got.Detail, evidence) || got.Millis == 0 && name != check.Settings {
			t.Errorf("%s = %q in %d ms; want %q", name, got.Detail, got.Millis, evidence)
		}
	}
	if got := of(t, report, check.UserConsent).Account; got == nil || got.Name != "Rita" {
		t.Errorf("the user consent is of %+v", got)
	}
}

// wayOut is the error of a proxy whose private address does not answer in time.
func wayOut(t *testing.T) error {
	proxy, err := settings.ParseProxy("192.168.1.253:1234")
	if err != nil {
		t.Fatal(err)
	}
	network, err := outbound.New(outbound.Config{Proxy: proxy, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return network.Reach(t.Context(), "https://graph.contoso.test")
}

func TestOneCauseIsToldOnce(t *testing.T) {
	broken := errors.New("connection refused")
	expired := fmt.Errorf("get a token: %w", &aadsts.Error{Code: "AADSTS7000222", Class: aadsts.Credential, Cause: "the client secret has expired", Step: "Create a new one."})
	for name, row := range map[string]struct {
		spoil func(*check.Bridge)
		want  string
		next  string // of the step that failed
	}{
		"storage": {
			func(b *check.Bridge) {
				b.Look = func(context.Context) (check.View, error) { return check.View{}, broken }
			},
			"settings ok, storage failed, key-vault ok, proxy off, tenant not-tried (storage), credential not-tried (storage), admin-consent not-tried (storage), user-consent not-tried (storage), read-presence not-tried (storage), directory not-tried (storage), write-presence not-tried (storage), push not-tried (storage)",
			"storage account",
		},
		"Key Vault": {
			func(b *check.Bridge) { b.Vault = func(context.Context) (string, error) { return "", broken } },
			"settings ok, storage ok, key-vault failed, proxy off, tenant ok, credential not-tried (key-vault), admin-consent not-tried (key-vault), user-consent not-tried (key-vault), read-presence not-tried (key-vault), directory not-tried (key-vault), write-presence not-tried (key-vault), push not-tried (key-vault)",
			"Key Vault Secrets Officer",
		},
		"the proxy": {
			func(b *check.Bridge) {
				b.Proxy = func(context.Context) (string, error) { return "", wayOut(t) }
			},
			"settings ok, storage ok, key-vault ok, proxy failed, tenant not-tried (proxy), credential not-tried (proxy), admin-consent not-tried (proxy), user-consent not-tried (proxy), read-presence not-tried (proxy), directory not-tried (proxy), write-presence not-tried (proxy), push ok",
			"The bridge reaches a private address only through a virtual network",
		},
		"the credential": {
			func(b *check.Bridge) {
				b.App = func(context.Context) (consent.Proof, error) { return consent.Proof{}, expired }
			},
			"settings ok, storage ok, key-vault ok, proxy off, tenant ok, credential failed, admin-consent not-tried (credential), user-consent not-tried (credential), read-presence not-tried (credential), directory not-tried (credential), write-presence not-tried (credential), push ok",
			"Create a new one.",
		},
		"one person's sign-in": {
			func(b *check.Bridge) {
				b.Person = func(context.Context, string, consent.Grant) (consent.Proof, error) {
					return consent.Proof{}, &consent.RequiredError{Kind: consent.User, Cause: "the account is disabled", Code: "AADSTS50057", Since: noon, Step: "Enable the account."}
				}
			},
			"settings ok, storage ok, key-vault ok, proxy off, tenant ok, credential ok, admin-consent ok, user-consent failed, read-presence ok, directory ok, write-presence ok, push ok",
			"Enable the account.",
		},
		"UCServer": {
			func(b *check.Bridge) {
				b.Ping = func(context.Context, string) (string, error) {
					return "", &check.Failure{Detail: "the certificate expired", Code: "tls-expired", Step: "Renew it."}
				}
			},
			"settings ok, storage ok, key-vault ok, proxy off, tenant ok, credential ok, admin-consent ok, user-consent ok, read-presence ok, directory ok, write-presence ok, push failed",
			"Renew it.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := whole()
			row.spoil(&b)
			report := b.Run(t.Context())
			if got := states(report); got != row.want || report.OK {
				t.Errorf("report = %s, ok %t;\nwant %s", got, report.OK, row.want)
			}
			for _, c := range report.Checks {
				if c.State == check.Failed && (!strings.Contains(c.NextStep, row.next) || c.Who == "" || c.Detail == "") {
					t.Errorf("%s = %+v; want the step %q", c.Step, c, row.next)
				}
			}
		})
	}
}

// with changes settings, and the roles of the app.
func with(change func(*settings.Integration), roles ...string) check.Bridge {
	b := whole()
	look, app := b.Look, b.App
	b.Look = func(ctx context.Context) (check.View, error) {
		view, err := look(ctx)
		change(&view.Settings)
		return view, err
	}
	b.App = func(ctx context.Context) (consent.Proof, error) {
		proof, err := app(ctx)
		if roles != nil {
			proof.Permissions = roles
		}
		return proof, err
	}
	return b
}

// without takes people's sign-ins away.
func without(b check.Bridge) check.Bridge {
	look := b.Look
	b.Look = func(ctx context.Context) (check.View, error) {
		view, err := look(ctx)
		view.Grants = view.Grants[:1]
		return view, err
	}
	return b
}

func TestPermissionsAreComparedWithWhatTheSettingsNeed(t *testing.T) {
	none := func(*settings.Integration) {}
	shared := func(s *settings.Integration) { s.Registration = settings.SharedRegistration }
	off := func(s *settings.Integration) { s.ProCallToTeams = settings.Nobody }
	group := func(s *settings.Integration) {
		s.TeamsToProCall = settings.By(participation.Rules{Groups: []participation.Group{{Source: participation.Entra, ID: "8b1f4a8e-0000-4000-8000-00000000000a"}}})
	}
	for _, row := range []struct {
		name   string
		bridge check.Bridge
		step   check.Name
		state  check.State
		text   string // of detail or next step
	}{
		{"what is missing is named", with(none, "Presence.Read.All", "User.Read.All"), check.AdminConsent, check.Note, "missing: Presence.ReadWrite.All"},
		{"and fails what needs it", with(none, "Presence.Read.All", "User.Read.All"), check.WritePresence, check.Failed, "lacks Presence.ReadWrite.All"},
		{"but not what is off", with(off, "Presence.Read.All", "User.Read.All"), check.WritePresence, check.Off, "is off"},
		{"what is too much is a note", with(none, "Presence.ReadWrite.All", "User.Read.All", "Mail.Read"), check.AdminConsent, check.Note, "more than needed: Mail.Read"},
		{"with a shared registration nobody registers anything", with(shared, "Presence.Read.All", "User.Read.All"), check.AdminConsent, check.Note, "whoever hosts the bridge must add Presence.ReadWrite.All"},
		{"accounts are read by a person where the app may not", with(none, "Presence.ReadWrite.All"), check.Directory, check.Note, "by the user consent"},
		{"and the permission is named where nobody may", without(with(none, "Presence.ReadWrite.All")), check.Directory, check.Failed, "User.Read.All (application) and User.ReadBasic.All (delegated)"},
		{"members of groups need one of their own", with(group, "Presence.ReadWrite.All", "User.Read.All"), check.Directory, check.Failed, "GroupMember.Read.All"},
		{"no admin consent while calls are to be written", with(none, []string{}...), check.AdminConsent, check.Failed, "holds no role"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := of(t, row.bridge.Run(t.Context()), row.step)
			if got.State != row.state || !strings.Contains(got.Detail+got.NextStep, row.text) {
				t.Errorf("%s = %s: %s %s; want %s, %q", row.step, got.State, got.Detail, got.NextStep, row.state, row.text)
			}
		})
	}
}

func TestNobodysPresenceIsReadBeforeReadingIsOn(t *testing.T) {
	b := with(func(s *settings.Integration) { s.TeamsToProCall = settings.Nobody })
	b.Presence = func(_ context.Context, _ consent.Token, id presence.UserID) (int, error) {
		if id != nobody {
			t.Errorf("the presence of %s is read", id)
		}
		return 404, nil // which proves the permission as well
	}
	if got := of(t, b.Run(t.Context()), check.ReadPresence); got.State != check.OK {
		t.Errorf("read = %+v", got)
	}
}

func TestAPersonCarriesReadingWithoutTheAdminConsent(t *testing.T) {
	b := with(func(s *settings.Integration) { s.ProCallToTeams = settings.Nobody })
	b.App = func(context.Context) (consent.Proof, error) {
		return consent.Proof{Token: consent.Token{Kind: consent.Admin}, Readable: true, Credential: consent.CredentialUse{Kind: settings.Federated}}, nil
	}
	report := b.Run(t.Context())
	const want = "settings ok, storage ok, key-vault ok, proxy off, tenant ok, credential ok, admin-consent note, user-consent ok, read-presence ok, directory note, write-presence off, push ok"
	if got := states(report); got != want || !report.OK {
		t.Errorf("report = %s, ok %t; want %s", got, report.OK, want)
	}
}

func TestACredentialOfWhoeverHostsTheBridgeIsForThemToCure(t *testing.T) {
	for kind, want := range map[settings.Registration]string{settings.OwnRegistration: "administrator", settings.SharedRegistration: "operator"} {
		b := with(func(s *settings.Integration) { s.Registration = kind })
		app := b.App
		b.App = func(ctx context.Context) (consent.Proof, error) {
			proof, err := app(ctx)
			proof.Credential.Ends, proof.Credential.Shared = noon.Add(48*time.Hour), kind == settings.SharedRegistration
			return proof, err
		}
		if got := of(t, b.Run(t.Context()), check.Credential); got.State != check.Note || got.Who != want || strings.HasPrefix(got.NextStep, aadsts.Theirs) != (want == "operator") {
			t.Errorf("%s, ends soon: %+v", kind, got)
		}
		b.App = func(context.Context) (consent.Proof, error) {
			return consent.Proof{}, aadsts.FromAnswer(401, []byte(`{"error":"invalid_client","error_codes":[7000222]}`)).For(kind)
		}
		if got := of(t, b.Run(t.Context()), check.Credential); got.State != check.Failed || got.Who != want || strings.HasPrefix(got.NextStep, aadsts.Theirs) != (want == "operator") {
			t.Errorf("%s, has ended: %+v", kind, got)
		}
	}
}

func TestADisconnectedAdminConsentIsNotUsedByTheCheckEither(t *testing.T) {
	b := whole()
	look := b.Look
	b.Look = func(ctx context.Context) (check.View, error) {
		view, err := look(ctx)
		view.Grants[0].State, view.Grants[0].Disconnected = consent.Required, true
		return view, err
	}
	report := b.Run(t.Context())
	const want = "settings ok, storage ok, key-vault ok, proxy off, tenant ok, credential ok, admin-consent off, user-consent ok, read-presence ok, directory note, write-presence failed, push ok"
	if got := states(report); got != want {
		t.Errorf("report = %s; want %s", got, want)
	}
	if got := of(t, report, check.ReadPresence).Detail; !strings.Contains(got, "by the user consent") {
		t.Errorf("read = %s", got)
	}
}

func TestBeforeTheBridgeIsSetUpNothingFails(t *testing.T) {
	b := whole()
	b.Look = func(context.Context) (check.View, error) { return check.View{}, nil }
	report := b.Run(t.Context())
	const want = "settings ok, storage ok, key-vault ok, proxy off, tenant off, credential off, admin-consent off, user-consent off, read-presence off, directory off, write-presence off, push off"
	if got := states(report); got != want || !report.OK {
		t.Errorf("report = %s, ok %t; want %s", got, report.OK, want)
	}
}

func TestAClosedBrowserEndsTheCheck(t *testing.T) {
	b := whole()
	ctx, leave := context.WithCancel(t.Context())
	b.Vault = func(ctx context.Context) (string, error) { leave(); <-ctx.Done(); return "", ctx.Err() }
	report := b.Run(ctx)
	if got := of(t, report, check.Push); got.State != check.NotTried || report.OK {
		t.Errorf("after the browser left: %s", states(report))
	}
}

package health_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/health"
	"procallteams/internal/settings"
)

func TestTheEndOfACredentialIsAnnounced(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	grant := func(kind settings.CredentialKind, left time.Duration) consent.Grant {
		return consent.Grant{Kind: consent.Admin, State: consent.Granted, ClientID: "c", CheckedAt: now, CredentialKind: kind, CredentialEnds: now.Add(left)}
	}
	const day = 24 * time.Hour
	unknown := grant(settings.SecretInKeyVault, 0)
	unknown.CredentialEnds = time.Time{}
	federated := unknown
	federated.CredentialKind = settings.Federated
	refused := grant(settings.SecretInKeyVault, -3*day)
	refused.State = consent.Reauthorize
	// A person's sign-in stands on the same credential as the admin consent.
	none := func(g consent.Grant) consent.Grant { g.State = consent.Required; return g }
	person := consent.Grant{Kind: consent.User, State: consent.Granted, ClientID: "c", CheckedAt: now, Account: consent.Account{ObjectID: "rita"}}
	for _, row := range []struct {
		name  string
		grant consent.Grant
		code  health.Code // empty: nothing is said
		fault bool
		text  string
	}{
		{"far away", grant(settings.SecretInKeyVault, 31*day), "", false, ""},
		{"30 days ahead", grant(settings.SecretInKeyVault, 30*day), health.CredentialExpiring, false, "client secret of the app registration ends within 30 days"},
		{"in between", grant(settings.CertificateInKeyVault, 12*day+time.Hour), health.CredentialExpiring, false, "certificate of the app registration ends within 14 days"},
		{"the last day is a fault", grant(settings.SecretInKeyVault, 23*time.Hour), health.CredentialExpiring, true, "ends within a day"},
		{"ended and refused", refused, health.CredentialExpired, true, "has ended"},
		{"ended by its date, and yet accepted", grant(settings.SecretInKeyVault, -day), health.CredentialExpired, false, "yet Entra accepts it"},
		{"a secret without a known end is a quiet note", unknown, health.CredentialEndUnknown, false, "Nobody told"},
		{"a managed identity never ends", federated, "", false, ""},
		{"a secret without a known end, of people's sign-ins alone", none(unknown), health.CredentialEndUnknown, false, "Nobody told"},
		{"ended by its date, and yet accepted for people's sign-ins", none(grant(settings.SecretInKeyVault, -day)), health.CredentialExpired, false, "yet Entra accepts it"},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := health.Input{Settings: settings.Integration{Tenant: "t", ClientID: "c"}, Grants: []consent.Grant{row.grant}}
			if row.grant.State == consent.Required {
				in.Grants = append(in.Grants, person)
			}
			found := health.Assess(now, in)
			if row.code == "" {
				if len(found) > 0 {
					t.Errorf("findings = %+v; want none", found)
				}
				return
			}
			if len(found) != 1 || found[0].Code != row.code || found[0].Fault != row.fault || !strings.Contains(found[0].Title, row.text) || found[0].NextStep == "" {
				t.Errorf("findings = %+v; want %s, fault %t, %q", found, row.code, row.fault, row.text)
			}
		})
	}
}

// An alert rule splits by the title, so a title that counted days would send a mail a day.
func TestATitleChangesWithEachAnnouncementOnly(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	ends := now.Add(31 * 24 * time.Hour)
	g := consent.Grant{Kind: consent.Admin, State: consent.Granted, ClientID: "c", CheckedAt: now, CredentialKind: settings.SecretInKeyVault, CredentialEnds: ends}
	var titles []string
	for ; now.Before(ends); now = now.Add(time.Hour) {
		for _, f := range health.Assess(now, health.Input{Settings: settings.Integration{Tenant: "t", ClientID: "c"}, Grants: []consent.Grant{g}}) {
			_, within, _ := strings.Cut(f.Title, " ends within ")
			titles = append(titles, within)
		}
	}
	if got, want := slices.Compact(titles), []string{"30 days", "14 days", "7 days", "a day"}; !slices.Equal(got, want) {
		t.Errorf("ends within %q; want %q", got, want)
	}
}

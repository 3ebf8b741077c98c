package consent_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/consent"
	"procallteams/internal/matching/participation"
	"procallteams/internal/settings"
)

func TestWhatIsGrantedIsComparedWithWhatIsNeeded(t *testing.T) {
	full := settings.Integration{TeamsToProCall: settings.Everyone}
	readOnly := settings.Integration{Profile: settings.ReadOnlyProfile}
	groups := settings.Integration{ProCallToTeams: settings.By(participation.Rules{Groups: []participation.Group{{Source: participation.Entra, ID: "6a1f7b2c-3d4e-4f50-8a6b-7c8d9e0f1a2b"}}})}
	roles := func(names ...string) []string { return names }
	for _, row := range []struct {
		name    string
		kind    consent.Kind
		granted []string
		s       settings.Integration
		want    consent.Gap
	}{
		{"all that the full profile needs", consent.Admin, roles("Presence.ReadWrite.All", "User.Read.All"), full, consent.Gap{}},
		{"nothing is said about a token that could not be read", consent.Admin, nil, full, consent.Gap{}},
		{"groups are for rules that name some", consent.Admin, roles("Presence.ReadWrite.All", "User.Read.All", "GroupMember.Read.All"), full, consent.Gap{Unused: roles("GroupMember.Read.All")}},
		{"rules that name an Entra group need them", consent.Admin, roles("Presence.ReadWrite.All", "User.Read.All"), groups, consent.Gap{Missing: roles("GroupMember.Read.All")}},
		{"reading alone is not enough for the full profile", consent.Admin, roles("Presence.Read.All"), full, consent.Gap{Missing: roles("Presence.ReadWrite.All", "User.Read.All"), Superfluous: roles("Presence.Read.All")}},
		{"writing is more than the read-only profile needs", consent.Admin, roles("Presence.ReadWrite.All", "User.Read.All"), readOnly, consent.Gap{Superfluous: roles("Presence.ReadWrite.All")}},
		{"a wider permission covers a narrow one and is too much", consent.Admin, roles("Presence.ReadWrite.All", "Directory.Read.All"), groups, consent.Gap{Superfluous: roles("Directory.Read.All")}},
		{"a person's scopes, with those of every sign-in", consent.User, roles("Presence.Read.All", "User.ReadBasic.All", "openid", "profile", "User.Read"), full, consent.Gap{}},
		{"a person's scopes with more", consent.User, roles("Presence.Read.All", "Mail.Read"), full, consent.Gap{Missing: roles("User.ReadBasic.All"), Superfluous: roles("Mail.Read")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, consent.Compare(row.kind, row.granted, row.s)); diff != "" {
				t.Errorf("Compare (-want +got):\n%s", diff)
			}
		})
	}
}

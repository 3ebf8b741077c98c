package consent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"procallteams/internal/secret"
)

// lately is Entra with an app whose roles change, and people who may refresh.
type lately struct {
	issuer
	roles, scopes []string
	tokens        int
}

func (l *lately) Refresh(ctx context.Context, app App, refresh secret.Text) (Tokens, error) {
	tokens, err := l.issuer.Refresh(ctx, app, refresh)
	tokens.Scopes = l.scopes
	return tokens, err
}

func (l *lately) AppToken(context.Context, App) (AppToken, error) {
	l.tokens++
	return AppToken{Value: secret.New("app-token"), Expires: noon.Add(time.Hour), Roles: l.roles, Readable: true}, nil
}

func TestATokenIsOfAGrantThatAllowsTheUse(t *testing.T) {
	app := func(permissions ...string) Grant {
		return Grant{Kind: Admin, ClientID: "c", State: Granted, Since: noon, Permissions: permissions, ETag: "1"}
	}
	person := func(permissions ...string) Grant {
		return Grant{Kind: User, ClientID: "c", State: Granted, Account: Account{ObjectID: "rita"}, SecretName: "s", SecretVersion: "0", StoredAt: noon, Permissions: permissions, ETag: "1"}
	}
	for _, row := range []struct {
		name   string
		grants []Grant
		use    Use
		want   Kind   // whose token it is; empty: there is none
		lacks  string // what the error says
	}{
		{"the app that may, reads accounts", []Grant{person(readPresence, readBasic), app(writePresence, readUsers)}, Directory, Admin, ""},
		{"an app that may not leaves them to a person", []Grant{app(writePresence), person(readPresence, readBasic)}, Directory, User, ""},
		{"and reads presences", []Grant{app(writePresence), person(readPresence, readBasic)}, Reading, Admin, ""},
		{"a wider permission does", []Grant{app(writePresence, "Directory.Read.All")}, Directory, Admin, ""},
		{"permissions that nobody could read may do", []Grant{app()}, Directory, Admin, ""},
		{"an app alone that may not is named with what it lacks", []Grant{app(writePresence)}, Directory, "", "User.Read.All is not granted"},
		{"a person alone who may not, too", []Grant{person(readPresence)}, Directory, "", "User.ReadBasic.All is not granted"},
		{"of both, the app", []Grant{app(writePresence), person(readPresence)}, Directory, "", "User.Read.All is not granted"},
		{"groups are the app's", []Grant{person(readPresence, readBasic), app(writePresence, readUsers, readGroups)}, Groups, Admin, ""},
		{"groups want a permission of their own", []Grant{app(writePresence, readUsers), person(readPresence, readBasic)}, Groups, "", "GroupMember.Read.All is not granted"},
		{"a person reads no groups", []Grant{person(readPresence, readBasic)}, Groups, "", "admin consent: it was never given"},
		{"an app that only reads does not write", []Grant{app(readPresence)}, Writing, "", "Presence.ReadWrite.All is not granted"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &rows{grants: row.grants}
			s, _ := keeper(r)
			l, v := &lately{}, &vault{}
			s.Vault, s.Issuer = v, l
			if _, err := v.Put(t.Context(), "s", secret.New("refresh"), secret.Label{}); err != nil {
				t.Fatal(err)
			}
			for _, g := range row.grants {
				if g.Kind == User {
					l.scopes = g.Permissions
				} else {
					l.roles = g.Permissions
					if len(l.roles) == 0 { // the row is of a token that could not be read
						l.roles = []string{writePresence, readUsers}
					}
				}
			}
			token, err := s.token(t.Context(), "t", r.grants, row.use)
			if row.want != "" {
				if err != nil || token.Kind != row.want {
					t.Errorf("token of the %s grant, %v; want the %s grant's", token.Kind, err, row.want)
				}
				return
			}
			if _, ok := errors.AsType[*RequiredError](err); !ok || !strings.Contains(err.Error(), row.lacks) || strings.Contains(err.Error(), "since") {
				t.Errorf("token: %v; want an error that says %q", err, row.lacks)
			}
		})
	}
}

// The token in memory was issued before the permission was given.
func TestAPermissionThatIsNewCountsAtOnce(t *testing.T) {
	r := &rows{grants: []Grant{{Kind: Admin, ClientID: "c", State: Granted, Permissions: []string{writePresence}, ETag: "0"}}}
	s, _ := keeper(r)
	l := &lately{roles: []string{writePresence}}
	s.Issuer = l
	if _, err := s.ReadToken(t.Context(), "t", r.grants); err != nil || l.tokens != 1 {
		t.Fatalf("ReadToken: %v after %d requests", err, l.tokens)
	}
	l.roles = []string{readUsers, writePresence}
	r.grants[0].Permissions = l.roles // as a probe finds
	for range 3 {
		if token, err := s.DirectoryToken(t.Context(), "t", r.grants); err != nil || token.Kind != Admin {
			t.Errorf("DirectoryToken of the %s grant, %v", token.Kind, err)
		}
	}
	if l.tokens != 2 {
		t.Errorf("%d requests; want one more", l.tokens)
	}
}

// A role was taken away, and the row does not say so yet.
func TestAPermissionThatIsGoneIsNotAskedForAgainAndAgain(t *testing.T) {
	r := &rows{grants: []Grant{{Kind: Admin, ClientID: "c", State: Granted, Permissions: []string{writePresence, readUsers}, ETag: "0"}}}
	s, _ := keeper(r)
	l := &lately{roles: []string{writePresence}}
	s.Issuer = l
	for range 5 {
		_, err := s.DirectoryToken(t.Context(), "t", r.grants)
		if _, ok := errors.AsType[*RequiredError](err); !ok || !strings.Contains(err.Error(), "User.Read.All is not granted") {
			t.Errorf("DirectoryToken: %v", err)
		}
	}
	if l.tokens > 2 || len(r.grants[0].Permissions) != 1 {
		t.Errorf("%d requests; the row says %v", l.tokens, r.grants[0].Permissions)
	}
	if token, err := s.ReadToken(t.Context(), "t", r.grants); err != nil || token.Kind != Admin || l.tokens > 2 {
		t.Errorf("reading goes on: %v after %d requests", err, l.tokens)
	}
}

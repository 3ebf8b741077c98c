package consent

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strconv"
	"testing"
	"time"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/secret"
)

// rows keeps grants. deaf makes the answer to the next save get lost: the SDK
// sends the write again, and finds a version that it did not expect.
type rows struct {
	grants []Grant
	tags   int
	deaf   bool
}

func (r *rows) Grants(context.Context, string) ([]Grant, error) {
	return append([]Grant{}, r.grants...), nil
}

func (r *rows) SaveGrant(_ context.Context, _ string, g Grant) (Grant, error) {
	at := -1
	for i, old := range r.grants {
		if old.Kind == g.Kind && old.Account.ObjectID == g.Account.ObjectID {
			at = i
		}
	}
	if at < 0 && g.ETag != "" || at >= 0 && r.grants[at].ETag != g.ETag {
		return Grant{}, ErrChanged
	}
	r.tags++
	g.ETag = strconv.Itoa(r.tags)
	if at < 0 {
		r.grants = append(r.grants, g)
	} else {
		r.grants[at] = g
	}
	if r.deaf {
		r.deaf = false
		return Grant{}, ErrChanged
	}
	return g, nil
}

func (r *rows) RemoveGrant(context.Context, string, Grant) error { return nil }

// vault keeps versions, made a second apart; nil is a disabled one.
type vault struct{ versions []*secret.Text }

func (v *vault) GetVersion(_ context.Context, _, version string) (secret.Text, error) {
	n, err := strconv.Atoi(version)
	if err != nil || v.versions[n] == nil {
		return secret.Text{}, secret.ErrNotFound
	}
	return *v.versions[n], nil
}

func (v *vault) Put(_ context.Context, _ string, value secret.Text, _ secret.Label) (string, error) {
	v.versions = append(v.versions, &value)
	return strconv.Itoa(len(v.versions) - 1), nil
}

func (v *vault) Versions(context.Context, string) ([]secret.Version, error) {
	var versions []secret.Version
	for i := len(v.versions) - 1; i >= 0; i-- {
		versions = append(versions, secret.Version{ID: strconv.Itoa(i), Enabled: v.versions[i] != nil, Created: noon.Add(time.Duration(i) * time.Second)})
	}
	return versions, nil
}

func (v *vault) Disable(_ context.Context, _, version string) error {
	n, err := strconv.Atoi(version)
	v.versions[n] = nil
	return err
}

// issuer answers refreshes with a new refresh token each time.
type issuer struct{ refreshes int }

func (*issuer) Redeem(context.Context, App, Leg, secret.Text) (SignedIn, error) {
	return SignedIn{}, errors.New("not asked for")
}

func (i *issuer) Refresh(context.Context, App, secret.Text) (Tokens, error) {
	i.refreshes++
	return Tokens{
		Access: secret.New("access-" + strconv.Itoa(i.refreshes)), Refresh: secret.New("refresh-" + strconv.Itoa(i.refreshes)),
		Expires: noon.Add(1000 * time.Hour), Scopes: []string{readPresence},
	}, nil
}

func (*issuer) AppToken(context.Context, App) (AppToken, error) {
	return AppToken{}, aadsts.Unreachable(0)
}

func TestASignInWhoseRowWasStoredWithoutAnAnswerStaysReadable(t *testing.T) {
	r, v, now := &rows{}, &vault{}, noon
	s := New(Config{
		Vault: v, Grants: r, Issuer: &issuer{}, Public: &url.URL{}, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return now },
	})
	inForce := func(when string) {
		t.Helper()
		version := r.grants[0].SecretVersion
		if _, err := v.GetVersion(t.Context(), "", version); err != nil {
			t.Errorf("%s: the version that the row names is %v", when, err)
		}
		enabled := 0
		for i := range v.versions {
			if v.versions[i] != nil {
				enabled++
			}
		}
		if enabled > keptVersions {
			t.Errorf("%s: %d versions are enabled; want at most %d", when, enabled, keptVersions)
		}
	}
	who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("refresh-0"), Scopes: []string{readPresence}}}
	r.deaf = true
	if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
		t.Fatal(err)
	}
	inForce("after a sign-in")
	r.deaf = true
	if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
		t.Fatal(err)
	}
	inForce("after another sign-in")

	for range 3 {
		now = now.Add(1001 * time.Hour)
		r.deaf = true
		if _, err := s.ReadToken(t.Context(), "t", r.grants); err != nil {
			t.Fatal(err)
		}
		inForce("after a renewal")
	}
	if r.grants[0].SecretVersion != "4" {
		t.Errorf("version %s is in force; want the renewed one", r.grants[0].SecretVersion)
	}
}

package consent

import (
	"context"
	"errors"
	"testing"

	"procallteams/internal/secret"
)

var errCrash = errors.New("the process dies here")

// frail is a vault in which the nth call to list or disable fails.
type frail struct {
	*vault
	calls, fails int
}

func (f *frail) die() error {
	if f.calls++; f.calls == f.fails {
		return errCrash
	}
	return nil
}

func (f *frail) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	if err := f.die(); err != nil {
		return nil, err
	}
	return f.vault.Versions(ctx, name)
}

func (f *frail) Disable(ctx context.Context, name, version string) error {
	if err := f.die(); err != nil {
		return err
	}
	return f.vault.Disable(ctx, name, version)
}

// moved is a bridge whose tenant has one person's sign-in, of two versions, when
// another tenant takes its place.
func moved(t *testing.T) (*Service, *rows, *frail) {
	t.Helper()
	r, v := &rows{}, &frail{vault: &vault{}}
	s, _ := keeper(r)
	s.Vault = v
	who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
	for range 2 {
		if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
			t.Fatal(err)
		}
	}
	v.calls = 0
	return s, r, v
}

func (f *frail) readable() (n int) {
	for _, version := range f.versions {
		if version != nil {
			n++
		}
	}
	return n
}

func always(is bool) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return is, nil }
}

func TestAFormerTenantsSignInsBecomeUnreadableWhateverCrashes(t *testing.T) {
	for fails := range 5 { // the list, each version, the row, and nothing
		s, r, v := moved(t)
		v.fails = fails
		r.deaf = fails == 4
		if err := s.Abandon(t.Context(), "t", always(true)); fails >= 1 && fails <= 3 && !errors.Is(err, errCrash) {
			t.Errorf("call %d fails: %v", fails, err)
		}
		if fails >= 1 && fails <= 3 && r.grants[0].SecretName == "" {
			t.Errorf("call %d fails: the row does not name what is left", fails)
		}
		if err := s.Abandon(t.Context(), "t", always(true)); err != nil {
			t.Errorf("after call %d failed: %v", fails, err)
		}
		if g := r.grants[0]; v.readable() != 0 || g.SecretName != "" || g.SecretVersion != "" || g.State != Required || g.NextStep == "" || len(g.History) != 2 {
			t.Errorf("after call %d failed: %d versions readable, grant %+v", fails, v.readable(), g)
		}
		calls := v.calls
		if err := s.Abandon(t.Context(), "t", always(true)); err != nil || v.calls != calls {
			t.Errorf("once all is done: %v, %d more calls", err, v.calls-calls)
		}
	}
}

func TestWhoGoesBackToATenantKeepsItsSignIns(t *testing.T) {
	s, r, v := moved(t)
	v.fails = 1 // Key Vault is away when the tenant is replaced
	if err := s.Abandon(t.Context(), "t", always(true)); err == nil {
		t.Fatal("a vault that is away is no failure")
	}
	if err := s.Abandon(t.Context(), "t", always(false)); err != nil {
		t.Fatal(err)
	}
	if g := r.grants[0]; !g.Works() || g.SecretVersion != "1" || v.readable() != 2 {
		t.Errorf("grant = %s of version %q, %d versions readable", g.State, g.SecretVersion, v.readable())
	}
	unknown := errors.New("storage does not answer")
	err := s.Abandon(t.Context(), "t", func(context.Context) (bool, error) { return false, unknown })
	if !errors.Is(err, unknown) || v.readable() != 2 {
		t.Errorf("not knowing whether it was replaced: %v, %d versions readable", err, v.readable())
	}
}

// Somebody signs in while the versions before are made unreadable.
func TestASignInThatComesMeanwhileIsNotForgotten(t *testing.T) {
	s, r, v := moved(t)
	asked := 0
	replaced := func(context.Context) (bool, error) {
		if asked++; asked == 1 {
			who := SignedIn{Account: Account{ObjectID: "rita"}, Tokens: Tokens{Refresh: secret.New("newer"), Scopes: []string{readPresence}}}
			if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, false); err != nil {
				t.Fatal(err)
			}
		}
		return true, nil
	}
	if err := s.Abandon(t.Context(), "t", replaced); err != nil {
		t.Fatal(err)
	}
	if g := r.grants[0]; g.SecretName == "" || v.readable() != 1 {
		t.Errorf("the row names %q, %d versions readable; want the newer one named", g.SecretName, v.readable())
	}
	if err := s.Abandon(t.Context(), "t", replaced); err != nil || v.readable() != 0 {
		t.Errorf("next time: %v, %d versions readable", err, v.readable())
	}
}

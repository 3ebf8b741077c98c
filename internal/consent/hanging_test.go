package consent

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"procallteams/internal/secret"
)

// laggard is a vault that answers after some time, or not at all when that is zero.
type laggard struct {
	*vault
	after time.Duration
}

func (v *laggard) GetVersion(ctx context.Context, name, version string) (secret.Text, error) {
	wait := v.after
	if wait == 0 {
		wait = 24 * time.Hour
	}
	select {
	case <-time.After(wait):
		return v.vault.GetVersion(ctx, name, version)
	case <-ctx.Done():
		return secret.Text{}, ctx.Err()
	}
}

// hourly is Entra whose tokens last an hour.
type hourly struct{ issuer }

func (h *hourly) Refresh(ctx context.Context, app App, refresh secret.Text) (Tokens, error) {
	tokens, err := h.issuer.Refresh(ctx, app, refresh)
	tokens.Expires = time.Now().Add(time.Hour)
	return tokens, err
}

// syncing is a bridge with people's sign-ins, whose vault is slow. In a bubble.
func syncing(t *testing.T, people ...string) (*Service, *rows, *laggard) {
	t.Helper()
	r := &rows{}
	s, _ := keeper(r)
	v := &laggard{vault: &vault{}, after: time.Millisecond}
	s.Vault, s.Issuer, s.Now = v, &hourly{}, time.Now
	for _, name := range people {
		who := SignedIn{Account: Account{ObjectID: name}, Tokens: Tokens{Access: secret.New("first"), Expires: time.Now().Add(time.Hour), Refresh: secret.New("refresh"), Scopes: []string{readPresence}}}
		if _, err := s.connect(t.Context(), App{Tenant: "t", ClientID: "c"}, who, true); err != nil {
			t.Fatal(err)
		}
	}
	return s, r, v
}

// sync asks for a token as a sync does, and returns how long that took.
func (r *rows) sync(t *testing.T, s *Service) (time.Duration, error) {
	began := time.Now()
	_, err := s.ReadToken(t.Context(), "t", r.grants)
	return time.Since(began), err
}

// A sync comes every five seconds, and one that takes longer makes the next one drop out.
const tick = 5 * time.Second

func TestATokenThatIsStillGoodServesWhileKeyVaultHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, v := syncing(t, "rita")
		v.after = 0
		time.Sleep(55*time.Minute + time.Second)
		waited, syncs := time.Duration(0), 0
		for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); syncs++ {
			took, err := r.sync(t, s)
			if err != nil || took >= tick {
				t.Fatalf("sync %d: %s, %v; want the token in memory in time", syncs, took, err)
			}
			waited += took
			time.Sleep(tick - took)
		}
		if waited > 40*time.Second || syncs != 48 {
			t.Errorf("%d syncs waited %s in four minutes", syncs, waited)
		}
		v.after = time.Millisecond
		time.Sleep(time.Minute)
		if _, err := r.sync(t, s); err != nil || r.grants[0].State != Granted || len(r.grants[0].History) != 1 {
			t.Errorf("once it answers: %v, %s", err, r.grants[0].State)
		}
	})
}

func TestASyncThatNeedsATokenDoesNotEatTheNextOneWhileKeyVaultHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, v := syncing(t, "rita")
		v.after = 0
		time.Sleep(2 * time.Hour)
		eaten := 0
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
			took, err := r.sync(t, s)
			if err == nil {
				t.Fatal("there is a token")
			}
			eaten += int(took / tick)
			time.Sleep(tick - took%tick)
		}
		if eaten > 40 { // of 120
			t.Errorf("%d of 120 syncs dropped out in ten minutes", eaten)
		}
		if g := r.grants[0]; g.State != Granted || len(g.History) != 1 {
			t.Errorf("a vault that hangs marks the grant: %s", g.State)
		}
		v.after = time.Millisecond
		time.Sleep(time.Minute)
		if took, err := r.sync(t, s); err != nil || took > time.Second {
			t.Errorf("a minute after it answers again: %s, %v", took, err)
		}
	})
}

func TestAVaultThatIsSlowAnswersInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, v := syncing(t, "rita")
		v.after = 9 * time.Second
		time.Sleep(2 * time.Hour)
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(tick) {
			if _, err := r.sync(t, s); err == nil {
				return
			}
		}
		t.Error("there is no token after a minute")
	})
}

func TestManySignInsTakeNoLongerThanTheSyncHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, v := syncing(t, "rita", "sven", "tina", "udo", "vera", "wim", "xenia")
		v.after = 0
		time.Sleep(2 * time.Hour)
		for range 120 {
			took, err := r.sync(t, s)
			if err == nil || took > allTime || !strings.Contains(err.Error(), "read stored sign-in") {
				t.Fatalf("a sync waits %s, %v; want it to say for what", took, err)
			}
			time.Sleep(tick - took%tick)
		}
		v.after = time.Millisecond
		time.Sleep(time.Minute)
		if _, err := r.sync(t, s); err != nil {
			t.Errorf("a minute after it answers again: %v", err)
		}
	})
}

// Upkeep proves a sign-in while a sync, in the same process, needs a token.
func TestNobodyWaitsForWhoeverAsksAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, v := syncing(t, "rita")
		v.after = 0
		asking := func(wait time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			_, _ = s.ProvePerson(ctx, "t", r.grants[0])
		}
		go asking(10 * time.Second)
		synctest.Wait()
		if took, err := r.sync(t, s); err != nil || took != 0 {
			t.Errorf("with a token for an hour: %s, %v", took, err)
		}
		time.Sleep(57 * time.Minute)
		go asking(10 * time.Second)
		synctest.Wait()
		if took, err := r.sync(t, s); err != nil || took > askTime {
			t.Errorf("with a token for three minutes: %s, %v", took, err)
		}
		time.Sleep(time.Hour)
		go asking(10 * time.Second)
		synctest.Wait()
		if took, err := r.sync(t, s); err == nil || took > askTime {
			t.Errorf("without a token: %s, %v", took, err)
		}
	})
}

package consentcallback_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	devEntra "procallteams/dev/entra"
	"procallteams/internal/consent"
	"procallteams/internal/secret"
)

// fate is when a process is killed: at one of the things that it asks of storage, Key
// Vault or Entra, before that is done or after. With an error it lives, and everything
// from then on fails.
type fate struct {
	call  int // counted from 1
	after bool
	err   error
	asked int
}

// met does one thing, unless the process dies of it.
func met[T any](f *fate, do func() (T, error)) (found T, err error) {
	f.asked++
	strikes := f.asked == f.call || f.err != nil && f.asked > f.call
	if !strikes || f.after {
		found, err = do()
	}
	switch {
	case strikes && f.err == nil:
		runtime.Goexit()
	case strikes:
		err = f.err
	}
	return found, err
}

func (f *fate) met(do func() error) error {
	_, err := met(f, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// The ports of a process that meets its fate.
type (
	mortalFlows struct {
		consent.Flows
		*fate
	}
	mortalGrants struct {
		rows consent.Grants
		*fate
	}
	mortalVault struct {
		consent.Vault
		*fate
	}
	mortalIssuer struct {
		consent.Issuer
		*fate
	}
)

func (m mortalFlows) BeginFlow(ctx context.Context, tenant string, flow consent.Flow) error {
	return m.met(func() error { return m.Flows.BeginFlow(ctx, tenant, flow) })
}

func (m mortalFlows) FinishFlow(ctx context.Context, tenant string, flow consent.Flow) error {
	return m.met(func() error { return m.Flows.FinishFlow(ctx, tenant, flow) })
}

func (m mortalGrants) Grants(ctx context.Context, tenant string) ([]consent.Grant, error) {
	return met(m.fate, func() ([]consent.Grant, error) { return m.rows.Grants(ctx, tenant) })
}

func (m mortalGrants) SaveGrant(ctx context.Context, tenant string, grant consent.Grant) (consent.Grant, error) {
	return met(m.fate, func() (consent.Grant, error) { return m.rows.SaveGrant(ctx, tenant, grant) })
}

func (m mortalGrants) RemoveGrant(ctx context.Context, tenant string, grant consent.Grant) error {
	return m.met(func() error { return m.rows.RemoveGrant(ctx, tenant, grant) })
}

func (m mortalVault) Put(ctx context.Context, name string, value secret.Text, label secret.Label) (string, error) {
	return met(m.fate, func() (string, error) { return m.Vault.Put(ctx, name, value, label) })
}

func (m mortalVault) GetVersion(ctx context.Context, name, version string) (secret.Text, error) {
	return met(m.fate, func() (secret.Text, error) { return m.Vault.GetVersion(ctx, name, version) })
}

func (m mortalVault) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	return met(m.fate, func() ([]secret.Version, error) { return m.Vault.Versions(ctx, name) })
}

func (m mortalVault) Disable(ctx context.Context, name, version string) error {
	return m.met(func() error { return m.Vault.Disable(ctx, name, version) })
}

func (m mortalIssuer) Redeem(ctx context.Context, app consent.App, leg consent.Leg, code secret.Text) (consent.SignedIn, error) {
	return met(m.fate, func() (consent.SignedIn, error) { return m.Issuer.Redeem(ctx, app, leg, code) })
}

func (m mortalIssuer) Refresh(ctx context.Context, app consent.App, refresh secret.Text) (consent.Tokens, error) {
	return met(m.fate, func() (consent.Tokens, error) { return m.Issuer.Refresh(ctx, app, refresh) })
}

func (m mortalIssuer) AppToken(ctx context.Context, app consent.App) (consent.AppToken, error) {
	return met(m.fate, func() (consent.AppToken, error) { return m.Issuer.AppToken(ctx, app) })
}

// restart begins another process; with a fate it is killed.
func (w *world) restart(f *fate) {
	w.service = w.process(w.back)
	if f != nil {
		w.service.Flows, w.service.Grants = mortalFlows{w.service.Flows, f}, mortalGrants{w.service.Grants, f}
		w.service.Vault, w.service.Issuer = mortalVault{w.service.Vault, f}, mortalIssuer{w.service.Issuer, f}
	}
	w.handler = w.functions(w.service)
}

// everyFate lets a process do something, again and again, and kills it at every thing
// that it asks for; then checks. A process that lives to the end is the last.
func (w *world) everyFate(do func(*fate), check func(when string)) {
	w.t.Helper()
	w.everyFateOf(nil, do, check)
}

// everyFateOf is everyFate of processes that do not die, but meet an error.
func (w *world) everyFateOf(err error, do func(*fate), check func(when string)) {
	w.t.Helper()
	for call := 1; ; call++ {
		for _, after := range []bool{false, true} {
			f := &fate{call: call, after: after, err: err}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				do(f)
			}()
			<-ended
			lived := f.asked < call
			w.restart(nil)
			when := fmt.Sprintf("killed at %d of what it asks for, done %t", call, after)
			if lived {
				when = fmt.Sprintf("after %d things", f.asked)
			}
			check(when)
			if w.t.Failed() || lived && call < 3 {
				w.t.Fatalf("%s: it asked for %d", when, f.asked)
			}
			if lived {
				return
			}
		}
	}
}

// inForce demands that a process that starts now reads as account, with the version
// that the row names.
func (w *world) inForce(when, account string) {
	w.t.Helper()
	g := w.grant(account)
	if value, err := w.secrets.GetVersion(w.t.Context(), g.SecretName, g.SecretVersion); err != nil || value.Empty() {
		w.t.Errorf("%s: the version in force can't be read: %v", when, err)
	}
	if token, err := w.process(w.back).ReadToken(w.t.Context(), w.tenant, []consent.Grant{g}); err != nil || token.Account != account || w.graph(token.Value) != 200 {
		w.t.Errorf("%s: a process that starts now: %v", when, err)
	}
}

func TestACallbackThatIsKilledAnywhereLosesNothingButATrip(t *testing.T) {
	w := newWorld(t)
	var account string
	var b *browser
	var back devEntra.Callback
	w.everyFate(func(f *fate) {
		account = uuid.NewString()
		must(t, w.entra.AddUser(devEntra.User{TenantID: w.tenant, ObjectID: account, UPN: account + "@contoso.com", Name: "Somebody New"}))
		b = w.browser(w.admin)
		back = w.visit(devEntra.Person{ObjectID: account}, b.begin("user?another=1"))
		w.restart(f)
		b.arrive(back)
	}, func(when string) {
		t.Helper()
		w.advance(3 * time.Minute)
		before := w.redemptions()
		status, page := b.land(back) // the person presses reload
		ended := strings.Contains(page, "interrupted") && strings.Contains(page, "look at the bridge") || strings.Contains(page, ">Connected")
		if status != 200 || !ended {
			t.Errorf("%s: the page says %d %s", when, status, page)
		}
		if n := w.redemptions() - before; n > 1 || n == 1 && !strings.Contains(page, ">Connected") {
			t.Errorf("%s: %d codes were redeemed by a reload that ends with %s", when, n, page)
		}
		w.probe()
		if status, page := w.consentUser(account); status != 200 || !strings.Contains(page, "Connected") {
			t.Errorf("%s: starting again ends with %d %s", when, status, page)
		}
		w.inForce(when, account)
	})
}

func TestAnAdminCallbackThatIsKilledAnywhereIsFoundByTheProbe(t *testing.T) {
	w := newWorld(t)
	w.everyFate(func(f *fate) {
		must(t, w.entra.RevokeApplication(w.tenant, w.client))
		w.advance(20 * time.Minute)
		w.probe()
		w.advance(20 * time.Minute)
		w.probe()
		b := w.browser(w.admin)
		back := w.visit(devEntra.Person{ObjectID: w.admin}, b.begin("admin"))
		w.restart(f)
		b.arrive(back)
	}, func(when string) {
		t.Helper()
		w.advance(time.Minute)
		w.probe()
		if g := w.grant(""); !g.Works() {
			t.Errorf("%s: after a minute it is %s: %s", when, g.State, g.Reason)
		}
	})
}

func TestARenewalThatIsKilledAnywhereLeavesASignInThatWorks(t *testing.T) {
	w := newWorld(t)
	w.consentUser(w.reader)
	w.everyFate(func(f *fate) {
		w.advance(8 * 24 * time.Hour)
		w.restart(f)
		_, _ = w.service.ReadToken(t.Context(), w.tenant, w.grants())
	}, func(when string) {
		t.Helper()
		w.inForce(when, w.reader)
		if g := w.grant(w.reader); !g.Works() || len(g.History) != 1 {
			t.Errorf("%s: %s, history %+v", when, g.State, g.History)
		}
	})
}

func TestADisconnectionThatIsKilledAnywhereIsFinishedOrAskedForAgain(t *testing.T) {
	w := newWorld(t)
	var name string
	w.everyFate(func(f *fate) {
		w.restart(nil)
		w.consentUser(w.reader)
		name = w.grant(w.reader).SecretName
		w.advance(time.Minute)
		w.restart(f)
		_ = w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader)
	}, func(when string) {
		t.Helper()
		if g := w.grant(w.reader); g.Works() { // killed before anything was written
			must(t, w.service.Disconnect(t.Context(), w.admin, consent.User, w.reader))
		}
		w.advance(time.Minute)
		w.probe()
		if g := w.grant(w.reader); !g.Disconnected || g.SecretName != "" {
			t.Errorf("%s: grant = %s, secret %q", when, g.State, g.SecretName)
		}
		for _, v := range w.vault.Versions(name) {
			if v.Enabled && v.Tags["state"] != "disconnected" {
				t.Errorf("%s: version %s of the sign-in can be read", when, v.ID)
			}
		}
		w.advance(time.Minute)
	})
}
